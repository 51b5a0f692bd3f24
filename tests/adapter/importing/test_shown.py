"""A list of our own, whoever it asks for, says nothing new of the visits that are stored."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from adapter.errors import Malformed
from adapter.importing.checking import check
from adapter.importing.deciding import Writer
from adapter.importing.item import Item
from mappings.systems import DEFAULT_SYSTEMS
from tests.adapter.mediloop.clinic import (
    KAMPALA,
    MULAGO,
    OTHER_NAME,
    OTHER_UHID,
    PATH,
    UHID,
    appointment,
    location,
    patient,
    practitioner,
    put,
    stored,
    with_actors,
)
from tests.conftest import Api, ApiMaker, ServiceMaker

HERE = "https://clinic.example/fhir/R4"
SECOND_UHID, SHARED_UHID = "UG333333333C", "UG444444444D"
ASKED = (
    {},
    *({"patient_uhid": uhid} for uhid in (UHID, OTHER_UHID, SECOND_UHID, SHARED_UHID)),
    *({"practitioner_id": ident} for ident in ("p1", "p2", "p3")),
    *({"facility_id": ident} for ident in (MULAGO, KAMPALA)),
)


def _role(ident: str, of: str) -> dict[str, Any]:
    return {"resourceType": "PractitionerRole", "id": ident, "practitioner": {"reference": f"Practitioner/{of}"}}


@pytest.fixture
async def clinic(make_service: ServiceMaker, make_api: ApiMaker) -> Api:
    api: Api = await make_api(make_service(base_url="https://clinic.example"))
    john = patient("john", UHID, "John Doe")
    john["identifier"].append({"system": DEFAULT_SYSTEMS.uhid, "value": SECOND_UHID})
    await put(
        api.service.stores["test"],
        john,
        patient("mary", OTHER_UHID, OTHER_NAME),
        patient("one", SHARED_UHID, "One"),
        patient("two", SHARED_UHID, "Two"),
        *(practitioner(ident, f"Dr. {ident}") for ident in ("p1", "p2", "p3")),
        _role("r1", "p1"),
        _role("r2", "p2"),
        location(MULAGO, "Mulago Hospital"),
        location(KAMPALA, "Kampala Family Clinic"),
    )
    return api


async def brought(api: Api, shown: dict[str, Any]) -> Any:
    ready = check(api.service, Item(1, orjson.dumps(shown), "MediLoop"))
    [result] = await Writer(api.service, api.service.stores["test"]).write([ready])
    return result


def _shared(ident: str | None = None) -> dict[str, Any]:
    actor = {"type": "Patient", "identifier": {"system": DEFAULT_SYSTEMS.uhid, "value": SHARED_UHID}}
    return actor | ({"reference": f"Patient/{ident}"} if ident else {})


PATIENTS = (
    {"reference": "Patient/john"},
    {"reference": f"{HERE}/Patient/john", "display": "Johnny"},
    {"reference": "Patient/mary/_history/1"},
    {"reference": "Patient/two"},
    _shared(),
    _shared("two"),
)
OTHERS = (
    {"reference": "Practitioner/p1", "display": "An earlier name"},
    {"reference": f"{HERE}/Practitioner/p2"},
    {"reference": "Practitioner/p3"},
    {"reference": "https://elsewhere.example/fhir/Practitioner/p3"},
    {"reference": "PractitionerRole/r1"},
    {"reference": f"{HERE}/PractitionerRole/r2"},
    {"reference": "#inside"},
    {"reference": f"Location/{MULAGO}"},
    {"reference": f"Location/{KAMPALA}", "display": "At night"},
)


@pytest.mark.parametrize("seed", range(12))
async def test_a_list_of_our_own_changes_nothing_whoever_it_asks_for(clinic: Api, seed: int) -> None:
    chance = random.Random(seed)
    visits = []
    for number in range(8):
        actors = [*chance.sample(PATIENTS, chance.randint(1, 2)), *chance.sample(OTHERS, chance.randint(1, 5))]
        chance.shuffle(actors)
        status = ("accepted", "accepted", "accepted", "declined")
        participants = [{"actor": actor, "status": chance.choice(status)} for actor in actors]
        visit = appointment(f"v{number}", "cancelled", f"2024-02-1{number}T10:00", participant=participants)
        is_inside = {"reference": "#inside"} in actors
        visits.append(visit | ({"contained": [_role("inside", "p2")]} if is_inside else {}))
    store = clinic.service.stores["test"]
    await put(store, *visits)
    compared = 0
    for query in ASKED:
        for shown in (await clinic.get(PATH, params=query)).json()["results"]:
            if shown["patient_uhid"] is None or shown["practitioner_id"] is None:
                continue
            assert await brought(clinic, shown) == "unchanged", (
                query,
                shown,
                await stored(store, "Appointment", shown["id"]),
            )
            compared += 1
    assert compared > 8


async def test_who_takes_part_beside_the_one_given_stays(clinic: Api) -> None:
    """What else the object says is written all the same."""
    store = clinic.service.stores["test"]
    actors = ("Patient/john", "Patient/mary", "PractitionerRole/r1", f"Location/{MULAGO}")
    participants = [{"actor": {"reference": one}, "status": "accepted"} for one in actors]
    await put(store, appointment("v", "cancelled", participant=participants))
    [shown] = (await clinic.get(PATH, params={"patient_uhid": OTHER_UHID})).json()["results"]
    assert await brought(clinic, shown | {"notes": "Bring the card."}) == "updated"
    after = await stored(store, "Appointment", "v")
    assert after["comment"] == "Bring the card."
    assert after["participant"] == participants
    assert await brought(clinic, shown | {"practitioner_id": "p3", "practitioner_name": "Dr. p3"}) == "updated"
    assert {"reference": "Practitioner/p3", "display": "Dr. p3"} in [
        one["actor"] for one in (await stored(store, "Appointment", "v"))["participant"]
    ]


@pytest.mark.parametrize("is_new", [True, False])
async def test_of_two_patients_with_one_uhid_neither_is_referred_to(clinic: Api, is_new: bool) -> None:
    store = clinic.service.stores["test"]
    shown = {
        "id": "v",
        "patient_uhid": SHARED_UHID,
        "practitioner_id": "p1",
        "status": "booked",
        "start_time": "2024-02-10T10:00:00Z",
        "end_time": "2024-02-10T10:30:00Z",
    }
    if not is_new:
        assert await brought(clinic, shown | {"patient_uhid": "UG555555555E"}) == "created"
    assert await brought(clinic, shown) == ("created" if is_new else "updated")
    actors = [one["actor"] for one in (await stored(store, "Appointment", "v"))["participant"]]
    assert [one.get("reference") for one in actors] == [None, "Practitioner/p1"]
    assert actors[0]["identifier"]["value"] == SHARED_UHID
    assert await brought(clinic, shown) == "unchanged"


@pytest.mark.parametrize("is_new", [True, False])
async def test_who_has_a_uhid_now_goes_before_who_had_it_once_as_in_a_booking(clinic: Api, is_new: bool) -> None:
    store = clinic.service.stores["test"]
    corrected = patient("earlier", OTHER_UHID, "Corrected")  # mary has it now
    corrected["identifier"][0]["use"] = "old"
    corrected["identifier"].append({"system": DEFAULT_SYSTEMS.uhid, "value": "UG666666666F"})
    await put(store, corrected)
    visit = {"patient_uhid": OTHER_UHID, "practitioner_id": "p1", "start_time": "2024-02-10T10:00:00Z"}
    booked = await clinic.post(PATH, json=visit | {"service_type_code": "consultation"})
    shown = visit | {"id": "v", "status": "cancelled", "end_time": "2024-02-10T10:30:00Z"}
    if not is_new:
        assert await brought(clinic, shown | {"patient_uhid": "UG555555555E"}) == "created"
    assert await brought(clinic, shown) == ("created" if is_new else "updated")
    for ident in (booked.json()["id"], "v"):
        actors = [one["actor"] for one in (await stored(store, "Appointment", ident))["participant"]]
        assert actors[0]["reference"] == "Patient/mary", ident
    assert await brought(clinic, shown) == "unchanged"


@pytest.mark.parametrize("text", [" ", "\u00a0", "\u2028", "a\x7fb", "\x85", "a\t\r\nb "])
async def test_whatever_text_fhir_takes_comes_in_from_a_list(clinic: Api, text: str) -> None:
    members = ("notes", "patient_instruction", "reason_text", "service_type_code")
    worded: dict[str, Any] = {"comment": text, "patientInstruction": text, "reasonCode": [{"text": text}]}
    people = with_actors("Patient/john", "Practitioner/p1")
    await put(
        clinic.service.stores["test"], appointment("x", **worded, serviceType=[{"text": text}], participant=people)
    )
    shown = (await clinic.get(f"{PATH}x/")).json()
    assert [shown[name] for name in members] == [text] * 4
    assert await brought(clinic, shown) == "unchanged"
    other = {"id": "y", "start_time": "2024-01-21T10:00:00Z", "end_time": "2024-01-21T10:30:00Z"}
    assert await brought(clinic, shown | other) == "created"
    again = (await clinic.get(f"{PATH}y/")).json()
    assert [again[name] for name in members] == [text] * 4


async def test_an_empty_text_and_one_with_control_characters_that_fhir_refuses_are_refused(clinic: Api) -> None:
    await put(clinic.service.stores["test"], appointment("x"))
    shown = (await clinic.get(f"{PATH}x/")).json()
    for text in ("", "a\u0007b"):
        with pytest.raises(Malformed):
            await brought(clinic, shown | {"notes": text})
