"""What is wrong with a resource whatever is stored: told before it is sent."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling.by_itself import faults
from adapter.scheduling.occupancy import CAPACITY
from tests.adapter.mediloop.clinic import appointment, slot

Json = dict[str, Any]
START = "2024-01-20T10:00:00Z"
OVERBOOKED = "https://mediloop.co/fhir/StructureDefinition/overbooked"
BY_NAME_ALONE = ({"display": "x"}, {"identifier": {"value": "x"}}, {"reference": "#x"})


def visit(**members: Any) -> Json:
    return appointment("a") | members


def response(link: Json) -> Json:
    return {"resourceType": "AppointmentResponse", "appointment": link, "participantStatus": "accepted"}


def of_schedule(link: Json, **members: Any) -> Json:
    return slot("s", "2024-01-20T10:00", "2024-01-20T10:30") | {"schedule": link} | members


def reason(text: str) -> list[Json]:
    return [{"url": OVERBOOKED, "valueString": text}]


def places(number: int) -> list[Json]:
    return [{"url": CAPACITY, "valueInteger": number}]


def told(resource: Json) -> list[tuple[str, str | None]]:
    return [(problem.code, problem.param) for problem in faults(resource)]


@pytest.mark.parametrize(
    "resource",
    [
        visit(),
        visit(status="proposed", start=START, end=START),
        visit(status="proposed", slot=[{"display": "the first one"}]),
        visit(status="noshow", slot=[{"reference": "Slot/s"}]),
        visit(extension=reason("an emergency")),
        visit(status="cancelled", extension=reason(" ")),
        *(visit(slot=[{"reference": text}]) for text in ("Slot/s", "urn:uuid:s", "http://localhost/fhir/R4/Slot/s")),
        *(of_schedule({"reference": text}) for text in ("Schedule/s", "urn:uuid:s", "http://localhost/Schedule/s")),
        of_schedule({"reference": "Schedule/s"}, extension=places(3)),
        of_schedule({"display": "x"}, status="entered-in-error"),
        {name: value for name, value in of_schedule({"reference": "Schedule/s"}).items() if name != "id"},
        *(response({"reference": text}) for text in ("Appointment/a", "urn:uuid:a", "http://localhost/Appointment/a")),
        {"resourceType": "Patient"},
    ],
)
def test_nothing(resource: Json) -> None:
    assert told(resource) == []


@pytest.mark.parametrize(
    ("resource", "code", "param"),
    [
        (visit(start=START, end=START), "invalid_time", "Appointment.start"),
        (visit(extension=reason(" ")), "blank_reason", "Appointment.extension"),
        *((visit(slot=[link]), "unknown_slot", "Appointment.slot[0]") for link in BY_NAME_ALONE),
        (of_schedule({"reference": "Schedule/s"}, extension=places(0)), "invalid_capacity", "Slot.extension"),
        *((of_schedule(link), "unknown_schedule", "Slot.schedule") for link in BY_NAME_ALONE),
        *((response(link), "unknown_appointment", "AppointmentResponse.appointment") for link in BY_NAME_ALONE),
    ],
)
def test_a_fault(resource: Json, code: str, param: str) -> None:
    assert told(resource) == [(code, param)]
