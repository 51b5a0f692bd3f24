"""Of several practitioners, places or patients, the one that a list asks for is the one that it shows."""

from __future__ import annotations

from typing import Any

import pytest

from store.store import Store
from tests.adapter.mediloop.clinic import (
    JAMES,
    KAMPALA,
    MULAGO,
    NAME,
    OTHER_NAME,
    OTHER_UHID,
    PATH,
    SARAH,
    UHID,
    action_path,
    appointment,
    booking,
    open_clinic,
    patient,
    put,
    schedule,
    slot,
    with_actors,
)
from tests.conftest import Api

FIRST = {
    "patient_uhid": UHID,
    "patient_name": NAME,
    "practitioner_id": JAMES,
    "practitioner_name": "Dr. James Okello",
    "facility_id": KAMPALA,
    "facility_name": "Kampala Family Clinic",
}
MARY = {"patient_uhid": OTHER_UHID, "patient_name": OTHER_NAME}
BY_SARAH = {"practitioner_id": SARAH, "practitioner_name": "Dr. Sarah Nakamya"}
AT_MULAGO = {"facility_id": MULAGO, "facility_name": "Mulago Hospital"}
DAYS = {"date_from": "2024-02-01", "date_to": "2024-02-01"}


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    """A visit of two patients with two practitioners at two places, and a Schedule of these."""
    await open_clinic(store)
    actors = (f"Practitioner/{JAMES}", f"Practitioner/{SARAH}", f"Location/{KAMPALA}", f"Location/{MULAGO}")
    await put(
        store,
        patient("mary", OTHER_UHID, OTHER_NAME),
        appointment("group", participant=with_actors("Patient/john", "Patient/mary", *actors)),
        schedule("both", *actors),
        slot("shared", "2024-02-01T10:00", "2024-02-01T10:30", of="both"),
    )


async def _only(api: Api, path: str, **query: str) -> dict[str, Any]:
    answer = await api.get(PATH + path, params=query)
    [item] = answer.json()["results"]
    return {name: item[name] for name in FIRST if name in item}


@pytest.mark.parametrize(
    ("path", "query", "other"),
    [
        ("", {}, {}),
        ("", {"practitioner_id": SARAH}, BY_SARAH),
        ("by-practitioner/", {"practitioner_id": SARAH}, BY_SARAH),
        ("", {"practitioner_id": JAMES}, {}),
        ("", {"facility_id": MULAGO}, AT_MULAGO),
        ("by-patient/", {"patient_uhid": OTHER_UHID}, MARY),
        (
            "",
            {"patient_uhid": OTHER_UHID, "practitioner_id": SARAH, "facility_id": MULAGO},
            MARY | BY_SARAH | AT_MULAGO,
        ),
    ],
)
async def test_an_appointment_shows_whom_is_asked_for(
    api: Api, path: str, query: dict[str, str], other: dict[str, str]
) -> None:
    assert await _only(api, path, **query) == FIRST | other


@pytest.mark.parametrize("written", [{"type": "Patient"}, {"reference": "Patient/unknown"}])
async def test_a_patient_who_is_known_by_the_uhid_alone(api: Api, store: Store, written: dict[str, str]) -> None:
    stated = written | {"identifier": {"system": "https://mediloop.co/fhir/sid/uhid", "value": OTHER_UHID}}
    group = [*with_actors("Patient/john"), {"actor": stated | {"display": "Mary"}, "status": "accepted"}]
    await put(store, patient("mary", "UG000000009Z", OTHER_NAME), appointment("group", participant=group))
    found = await _only(api, "by-patient/", patient_uhid=OTHER_UHID)
    assert (found["patient_uhid"], found["patient_name"]) == (OTHER_UHID, "Mary")
    found = await _only(api, "by-patient/", patient_uhid=UHID)
    assert (found["patient_uhid"], found["patient_name"]) == (UHID, NAME)


async def test_who_is_found_by_a_role_is_shown_beside_others(api: Api, store: Store) -> None:
    role = {
        "resourceType": "PractitionerRole",
        "id": "sarah-here",
        "practitioner": {"reference": f"Practitioner/{SARAH}"},
    }
    actors = (f"Practitioner/{JAMES}", "PractitionerRole/sarah-here", f"Location/{KAMPALA}")
    await put(
        store, role, appointment("group", participant=with_actors("Patient/john", *actors)), schedule("both", *actors)
    )
    assert await _only(api, "", practitioner_id=SARAH) == FIRST | BY_SARAH
    assert await _only(api, "", practitioner_id=JAMES) == FIRST
    free = await _only(api, "availability/", practitioner_id=SARAH, **DAYS)
    assert free["practitioner_id"] == SARAH


ABROAD = "https://other.example/fhir"


@pytest.mark.parametrize(
    ("actors", "asked"),
    [
        ((f"{ABROAD}/Practitioner/{SARAH}",), {"practitioner_id": SARAH}),
        ((f"Practitioner/{SARAH}", f"{ABROAD}/Location/{MULAGO}"), {"practitioner_id": SARAH, "facility_id": MULAGO}),
        (("PractitionerRole/sarah-here",), {"practitioner_id": SARAH}),
        ((f"Practitioner/{JAMES}", f"{ABROAD}/Practitioner/{SARAH}"), {"practitioner_id": SARAH}),
        ((f"Practitioner/{JAMES}", "PractitionerRole/sarah-here"), {"practitioner_id": SARAH}),
        ((f"Practitioner/{JAMES}", f"{ABROAD}/PractitionerRole/sarah-here"), {"practitioner_id": SARAH}),
        ((f"Practitioner/{JAMES}", f"Location/{KAMPALA}", f"{ABROAD}/Location/{MULAGO}"), {"facility_id": MULAGO}),
    ],
    ids=["a practitioner", "a place", "by a role", "the second", "a role of theirs", "a far role", "the second place"],
)
async def test_what_is_published_for_who_is_named_by_another_address_is_offered(
    api: Api, store: Store, actors: tuple[str, ...], asked: dict[str, str]
) -> None:
    """It can be booked as theirs, and what is computed of theirs is offered."""
    role = {
        "resourceType": "PractitionerRole",
        "id": "sarah-here",
        "practitioner": {"reference": f"{ABROAD}/Practitioner/{SARAH}"},
    }
    await put(store, role, schedule("far", *actors), slot("far", "2024-02-05T10:00", "2024-02-05T10:30", of="far"))
    days = {"date_from": "2024-02-05", "date_to": "2024-02-05"}
    assert (await _only(api, "availability/", **asked, **days)).items() >= asked.items()


async def test_the_slot_of_several_is_shown_with_whom_is_asked_for_and_can_be_booked_so(api: Api) -> None:
    first = {name: value for name, value in FIRST.items() if not name.startswith("patient")}
    assert await _only(api, "availability/", **DAYS) == first
    asked = {"practitioner_id": SARAH, "facility_id": MULAGO}
    assert await _only(api, "availability/", **DAYS, **asked) == BY_SARAH | AT_MULAGO
    made = await api.post(PATH, booking(start_time="2024-02-01T10:00:00Z", slot_id="shared", **asked))
    assert (made.status_code, made.json()["practitioner_id"]) == (201, SARAH)


async def test_a_corrected_uhid_finds_earlier_appointments_and_is_shown_with_them(api: Api, store: Store) -> None:
    await api.post(action_path("group", "cancel"), {"cancellation_reason_code": "patient-request"})
    made = (await api.post(PATH, booking())).json()
    corrected = {"patient_uhid": "UG000000009Z", "patient_name": "John Corrected"}
    await put(store, patient("john", "UG000000009Z", "John Corrected"))
    shown = (await api.get(f"{PATH}{made['id']}/")).json()
    assert made | corrected == shown
    for query, expected in (
        ({}, corrected),
        ({"patient_uhid": "UG000000009Z"}, corrected),
        ({"patient_uhid": UHID}, {"patient_uhid": UHID, "patient_name": NAME}),
    ):
        found = await _only(api, "", status="booked", **query)
        assert found == found | expected


async def test_uhid_and_name_are_never_of_two_patients(api: Api, store: Store) -> None:
    contradiction = {
        "reference": "Patient/john",
        "identifier": {"system": "https://mediloop.co/fhir/sid/uhid", "value": OTHER_UHID},
    }
    await put(store, appointment("group", participant=[{"actor": contradiction, "status": "accepted"}]))
    for query, uhid, name in (
        ({}, UHID, NAME),
        ({"patient_uhid": UHID}, UHID, NAME),
        ({"patient_uhid": OTHER_UHID}, OTHER_UHID, None),
    ):
        found = await _only(api, "", **query)
        assert (found["patient_uhid"], found["patient_name"]) == (uhid, name)


@pytest.mark.parametrize(
    ("role", "others", "shown"),
    [
        ({"practitioner": {"reference": f"Practitioner/{SARAH}"}}, (), BY_SARAH),
        ({"practitioner": {"reference": f"Practitioner/{SARAH}"}}, (f"Practitioner/{JAMES}",), {}),
        ({}, (), {"practitioner_id": None, "practitioner_name": None}),
    ],
)
async def test_a_contained_role_shows_whose_time_it_takes(
    api: Api, store: Store, role: dict[str, Any], others: tuple[str, ...], shown: dict[str, Any]
) -> None:
    inside = {"resourceType": "PractitionerRole", "id": "r"} | role
    actors = with_actors("Patient/john", "#r", *others, f"Location/{KAMPALA}")
    await put(store, appointment("x", participant=actors, contained=[inside]))
    seen = (await api.get(f"{PATH}x/")).json()
    assert {name: seen[name] for name in FIRST} == FIRST | shown


@pytest.mark.parametrize("declined", [False, True])
async def test_a_contained_role_shows_a_practitioner_who_is_contained_as_well(
    api: Api, store: Store, declined: bool
) -> None:
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "#p"}}
    inside = {"resourceType": "Practitioner", "id": "p", "name": [{"text": "Dr. Locum"}]}
    actors = with_actors("Patient/john", "#r")
    if declined:
        actors.append({"actor": {"reference": f"Practitioner/{SARAH}"}, "status": "declined"})
    await put(store, appointment("x", participant=actors, contained=[role, inside]))
    seen = (await api.get(f"{PATH}x/")).json()
    assert (seen["practitioner_id"], seen["practitioner_name"]) == (None, "Dr. Locum")


async def test_what_a_stored_role_contains_is_not_looked_for_in_the_appointment(api: Api, store: Store) -> None:
    role = {"resourceType": "PractitionerRole", "id": "r9", "practitioner": {"reference": "#p"}}
    inside = {"resourceType": "Practitioner", "id": "p", "name": [{"text": "Dr. Locum"}]}
    actors = with_actors("Patient/john", "PractitionerRole/r9")
    basis = [{"url": "http://example.org/x", "valueReference": {"reference": "#p"}}]
    await put(store, role | {"contained": [inside | {"name": [{"text": "Dr. Role"}]}]})
    await put(store, appointment("x", participant=actors, contained=[inside], extension=basis))
    seen = (await api.get(f"{PATH}x/")).json()
    assert (seen["practitioner_id"], seen["practitioner_name"]) == (None, None)
