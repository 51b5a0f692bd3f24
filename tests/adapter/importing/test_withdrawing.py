"""Null in a MediLoop object takes away what was there, and nothing that MediLoop's words cannot bring back."""

from __future__ import annotations

from typing import Any

import pytest

from mappings.fields import CANCELLED_AT
from tests.adapter.importing.test_shown import brought, clinic
from tests.adapter.mediloop.clinic import MULAGO, UHID, appointment, put, stored, with_actors
from tests.conftest import Api

__all__ = ["clinic"]

OBJECT: dict[str, Any] = {
    "id": "v",
    "patient_uhid": UHID,
    "practitioner_id": "p1",
    "facility_id": MULAGO,
    "facility_name": "Mulago Hospital",
    "status": "booked",
    "specialty_code": "general-practice",
    "start_time": "2024-02-10T10:00:00Z",
    "end_time": "2024-02-10T10:30:00Z",
    "reason_text": "Checkup",
    "notes": "Bring the card.",
    "rescheduled_at": "2024-01-10T08:00:00Z",
    "reschedule_reason": "Ill",
    "arrived_at": "2024-02-10T09:50:00Z",
}
NULLABLE = ("facility_id", "facility_name", "specialty_code", "reason_text", "notes", "rescheduled_at", "arrived_at")


async def after(api: Api) -> dict[str, Any]:
    return await stored(api.service.stores["test"], "Appointment", "v")


async def seen(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get("/api/v1/appointments/v/")).json()
    return found


async def test_what_is_null_at_the_source_goes_and_what_is_absent_stays(clinic: Api) -> None:
    assert await brought(clinic, OBJECT) == "created"
    assert await brought(clinic, {name: OBJECT[name] for name in OBJECT if name not in NULLABLE}) == "unchanged"
    for name in NULLABLE[2:]:
        gone = OBJECT | {name: None}
        assert await brought(clinic, gone) == "updated"
        assert (await seen(clinic)).get(name) is None
        assert await brought(clinic, gone) == "unchanged"
        assert await brought(clinic, OBJECT) == "updated"
    assert await brought(clinic, OBJECT | dict.fromkeys(NULLABLE)) == "updated"
    shown = await seen(clinic)
    assert [name for name in NULLABLE if shown.get(name) is not None] == []
    assert [one["actor"]["reference"] for one in (await after(clinic))["participant"]] == [
        "Patient/john",
        "Practitioner/p1",
    ]


async def test_the_reason_of_an_earlier_move_is_not_told_of_another(clinic: Api) -> None:
    await brought(clinic, OBJECT)
    assert await brought(clinic, OBJECT | {"reschedule_reason": None, "rescheduled_at": "2024-01-11T08:00:00Z"})
    shown = await seen(clinic)
    assert (shown["rescheduled_at"], shown["reschedule_reason"]) == ("2024-01-11T08:00:00Z", None)


CODED = {"coding": [{"system": "urn:x", "code": "1", "display": "Shown"}]}
WARD = {"actor": {"reference": f"Location/{MULAGO}"}, "status": "accepted", "period": {"start": "2024"}}
CALLED = {"actor": {"reference": f"Location/{MULAGO}", "display": "The old name"}, "status": "accepted"}
PEOPLE = with_actors("Patient/john", "Practitioner/p1")


@pytest.mark.parametrize(
    ("members", "null"),
    [
        ({"specialty": [CODED]}, ["specialty_code"]),
        ({"reasonCode": [CODED]}, ["reason_text"]),
        ({"reasonCode": [{"text": "a"}, {"text": "b"}]}, ["reason_text"]),
        ({"comment": "a", "_comment": {"id": "c"}}, ["notes"]),
        ({"participant": [*PEOPLE, WARD]}, ["facility_id", "facility_name"]),
        ({"participant": [*PEOPLE, WARD]}, ["facility_name"]),
        ({"participant": [*PEOPLE, CALLED]}, ["facility_name"]),  # shown is the Location's own name
        (
            {
                "cancelationReason": CODED,
                "extension": [{"url": CANCELLED_AT, "valueDateTime": "2024-01-10T11:00:00+03:00", "id": "e"}],
            },
            ["cancellation_reason_code", "cancellation_reason_text", "cancelled_at"],
        ),
    ],
)
async def test_what_its_words_cannot_bring_back_stays(clinic: Api, members: dict[str, Any], null: list[str]) -> None:
    before = appointment("v", "cancelled", participant=PEOPLE) | members
    await put(clinic.service.stores["test"], before)
    shown = await seen(clinic)
    assert await brought(clinic, shown | dict.fromkeys(null)) == "unchanged"


async def test_a_cancellation_loses_its_text_alone_or_all_of_its_reason(clinic: Api) -> None:
    given = OBJECT | {"status": "cancelled", "cancellation_reason_code": "maint", "cancellation_reason_text": "Flood"}
    assert await brought(clinic, given) == "created"
    code, text = ("cancellation_reason_code", "cancellation_reason_text")
    assert await brought(clinic, given | {code: None}) == "unchanged"  # with a text, the code is not all that it says
    assert await brought(clinic, given | {text: None}) == "updated"
    assert [(await seen(clinic))[name] for name in (code, text)] == ["maint", None]
    assert await brought(clinic, given | {code: None, text: None}) == "updated"
    assert "cancelationReason" not in await after(clinic)


async def test_null_for_the_name_alone_leaves_the_display_of_a_place_that_is_stored(clinic: Api) -> None:
    await put(clinic.service.stores["test"], appointment("v", participant=[*PEOPLE, CALLED]))
    told = {name: value for name, value in (await seen(clinic)).items() if name != "facility_id"}
    assert await brought(clinic, told | {"facility_name": None}) == "unchanged"
