"""Whose appointment it is, however the FHIR document says so."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.service import Service
from mappings.systems import DEFAULT_SYSTEMS
from store.store import Store
from tests.adapter.mediloop.clinic import (
    ACTION_BODIES,
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
    ids,
    open_clinic,
    patient,
    put,
    schedule,
    slot,
    stored,
    with_actors,
)
from tests.conftest import Api, ApiMaker, ServiceMaker

BY_REFERENCE = with_actors("Patient/mary", f"Practitioner/{SARAH}")


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)


async def _shown(api: Api, ident: str) -> tuple[Any, Any]:
    item = (await api.get(f"{PATH}{ident}/")).json()
    return item["patient_uhid"], item["patient_name"]


async def _found(api: Api, uhid: str) -> list[str]:
    return ids(await api.get(f"{PATH}by-patient/?patient_uhid={uhid}"))


async def test_one_named_only_by_reference_shows_and_is_found_by_the_uhid_of_that_patient(
    api: Api, store: Store
) -> None:
    await put(store, patient("mary", OTHER_UHID, OTHER_NAME), appointment("x", participant=BY_REFERENCE))
    assert await _shown(api, "x") == (OTHER_UHID, OTHER_NAME)
    assert await _found(api, OTHER_UHID) == ["x"]
    listed = (await api.get(PATH)).json()["results"]
    assert [item["patient_uhid"] for item in listed] == [OTHER_UHID]


async def test_so_it_is_when_the_patient_is_stored_later_and_when_it_changes(api: Api, store: Store) -> None:
    await put(store, appointment("x", participant=BY_REFERENCE))
    assert await _shown(api, "x") == (None, None)
    assert await _found(api, OTHER_UHID) == []
    await put(store, patient("mary", OTHER_UHID, OTHER_NAME))
    assert await _shown(api, "x") == (OTHER_UHID, OTHER_NAME)
    assert await _found(api, OTHER_UHID) == ["x"]
    await put(store, patient("mary", "UG000000009Z", "Mary Married"))
    assert await _shown(api, "x") == ("UG000000009Z", "Mary Married")
    assert await _found(api, OTHER_UHID) == []
    assert await _found(api, "UG000000009Z") == ["x"]


@pytest.mark.parametrize("action", ["cancel", "reschedule", "check-in", "arrived", "fulfilled", "noshow"])
async def test_the_answer_of_an_action_shows_that_patient_too(api: Api, store: Store, action: str) -> None:
    await put(store, patient("mary", OTHER_UHID, OTHER_NAME), appointment("x", participant=BY_REFERENCE))
    answer = (await api.post(action_path("x", action), ACTION_BODIES.get(action))).json()
    assert (answer["patient_uhid"], answer["patient_name"]) == (OTHER_UHID, OTHER_NAME)
    assert answer["practitioner_name"] == "Dr. Sarah Nakamya"


async def test_both_ways_of_naming_a_patient_are_found_once_each_and_in_order(api: Api, store: Store) -> None:
    by_reference = with_actors("Patient/john", f"Practitioner/{SARAH}")
    await put(
        store,
        appointment("both", "cancelled", "2024-01-20T10:00"),
        appointment("reference", "cancelled", "2024-01-20T09:00", participant=by_reference),
    )
    assert await _found(api, UHID) == ["reference", "both"]
    assert (await api.get(f"{PATH}?patient_uhid={UHID}&page_size=1")).json()["total"] == 2


@pytest.mark.parametrize("spelling", [UHID.lower(), f"%20{UHID}%20", "Ug123456789a"])
async def test_the_uhid_of_a_query_is_normalised(api: Api, store: Store, spelling: str) -> None:
    await put(store, appointment("x"))
    assert await _found(api, spelling) == ["x"]


@pytest.mark.parametrize("written", [f" {UHID.lower()}", f"{UHID} ", f"\t{UHID}\n"])
async def test_a_uhid_with_blanks_around_it_is_found_as_it_is_shown(api: Api, store: Store, written: str) -> None:
    stated = {"type": "Patient", "identifier": {"system": DEFAULT_SYSTEMS.uhid, "value": written}}
    await put(
        store,
        patient("john", written, NAME),
        appointment("stated", "cancelled", participant=[{"actor": stated, "status": "accepted"}]),
        appointment("referred", "cancelled", "2024-01-20T11:00", participant=with_actors("Patient/john")),
    )
    assert [await _shown(api, ident) for ident in ("stated", "referred")] == [(UHID, NAME), (UHID, NAME)]
    assert await _found(api, UHID) == ["stated", "referred"]
    made = (await api.post(PATH, booking())).json()
    assert made["patient_name"] == NAME
    linked = (await stored(store, "Appointment", made["id"]))["participant"][0]["actor"]
    assert linked["reference"] == "Patient/john"


async def test_a_contained_patient_is_found_by_the_uhid_that_is_shown(api: Api, store: Store) -> None:
    inside = {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"value": "other"}, {"system": DEFAULT_SYSTEMS.uhid, "value": f"{OTHER_UHID} "}],
    }
    await put(store, appointment("x", participant=with_actors("#p1"), contained=[inside]))
    assert await _shown(api, "x") == (OTHER_UHID, None)
    assert await _found(api, OTHER_UHID) == ["x"]
    assert await _found(api, UHID) == []


async def test_a_uhid_finds_the_visits_of_a_patient_and_not_of_whoever_else_carries_it(api: Api, store: Store) -> None:
    def carrying(uhid: str, **actor: str) -> dict[str, Any]:
        identifier = {"system": DEFAULT_SYSTEMS.uhid, "value": uhid}
        return {"actor": {**actor, "identifier": identifier}, "status": "accepted"}

    inside = {
        "resourceType": "RelatedPerson",
        "id": "dad",
        "identifier": [carrying("UG000000003D")["actor"]["identifier"]],
    }
    others = [
        carrying("UG000000001M", reference="RelatedPerson/mum"),
        carrying("UG000000002P", reference=f"Practitioner/{SARAH}"),
        *with_actors("#dad"),
        carrying("UG000000004T", type="Person"),
    ]
    child = carrying(OTHER_UHID, display="Child")
    await put(store, appointment("x", participant=[child, *others], contained=[inside]))
    stated = ("UG000000001M", "UG000000002P", "UG000000003D", "UG000000004T")
    assert await _found(api, OTHER_UHID) == ["x"]
    assert [await _found(api, uhid) for uhid in stated] == 4 * [[]]
    await put(store, *(patient(f"p{number}", uhid, "N") for number, uhid in enumerate(stated)))
    assert [await _found(api, uhid) for uhid in stated] == 4 * [[]]


async def test_a_patient_without_a_uhid_shows_as_null(api: Api, store: Store) -> None:
    other = {"actor": {"display": "Somebody", "type": "Patient"}, "status": "accepted"}
    await put(store, appointment("x", participant=[other]))
    assert await _shown(api, "x") == (None, "Somebody")
    assert ids(await api.get(PATH)) == ["x"]


async def test_a_uhid_under_an_alias_is_shown_and_found(make_service: ServiceMaker, make_api: ApiMaker) -> None:
    alias = "urn:example:old-uhid"
    api: Api = await make_api(make_service(uhid_aliases=alias))
    store = api.service.stores["test"]
    stated = {"identifier": {"system": alias, "value": OTHER_UHID}}
    await put(
        store,
        patient("mary", OTHER_UHID, OTHER_NAME, alias),
        appointment("x", "cancelled", participant=BY_REFERENCE),
        appointment("y", "cancelled", "2024-01-20T11:00", participant=[{"actor": stated, "status": "accepted"}]),
    )
    assert [await _shown(api, ident) for ident in ("x", "y")] == [(OTHER_UHID, OTHER_NAME), (OTHER_UHID, OTHER_NAME)]
    assert await _found(api, OTHER_UHID) == ["x", "y"]


async def test_the_uhid_system_of_the_deployment_is_the_one_that_counts(
    make_service: ServiceMaker, make_api: ApiMaker, store: Store, service: Service
) -> None:
    ours = "https://hospital.example/uhid"
    api: Api = await make_api(make_service(uhid_system=ours))
    actor = {"reference": "Patient/mary", "display": "M", "identifier": {"system": service.systems.uhid, "value": UHID}}
    await put(
        store,
        patient("mary", OTHER_UHID, OTHER_NAME, ours),
        appointment("x", participant=[{"actor": actor, "status": "accepted"}]),
    )
    assert await _shown(api, "x") == (OTHER_UHID, OTHER_NAME)
    assert await _found(api, OTHER_UHID) == ["x"]


async def test_a_corrected_name_reaches_answers_about_earlier_bookings(api: Api, store: Store) -> None:
    await put(store, appointment("x", participant=with_actors("Patient/john", f"Practitioner/{SARAH}")))
    for name in ("John Changed", "John Changed Again"):
        await put(store, patient("john", UHID, name))
        assert await _shown(api, "x") == (UHID, name)


async def test_our_own_address_in_full_means_who_is_stored_here(make_service: ServiceMaker, make_api: ApiMaker) -> None:
    ours = "https://fhir.example.org/clinic"
    api: Api = await make_api(make_service(base_url=ours))
    store = api.service.stores["test"]
    who = (f"{ours}/fhir/R4/Patient/john/_history/1", f"{ours}/fhir/R4/Practitioner/{SARAH}")
    nobody = {"type": [{"text": "nurse"}], "actor": {"display": "Whoever is there"}, "status": "needs-action"}
    others = ("https://other.example.org/fhir/Patient/john", f"https://other.example.org/fhir/Practitioner/{SARAH}")
    await put(
        store,
        appointment("x", participant=[*with_actors(*who), nobody]),
        appointment("y", "cancelled", participant=with_actors(*others)),
        schedule("whole-address", who[1]),
        slot("s", "2024-01-25T10:00", "2024-01-25T10:30", of="whole-address"),
    )
    shown = (await api.get(f"{PATH}x/")).json()
    assert (shown["patient_uhid"], shown["patient_name"]) == (UHID, NAME)
    assert (shown["practitioner_id"], shown["practitioner_name"]) == (SARAH, "Dr. Sarah Nakamya")
    assert await _found(api, UHID) == ["x"]
    assert ids(await api.get(f"{PATH}by-practitioner/?practitioner_id={SARAH}")) == ["x"]
    assert await _shown(api, "y") == (None, None)
    [free] = (await api.get(f"{PATH}availability/?date_from=2024-01-25&date_to=2024-01-25")).json()["results"]
    assert (free["practitioner_id"], free["practitioner_name"]) == (SARAH, "Dr. Sarah Nakamya")
    done = await api.post(f"{PATH}x/arrived/", {})
    assert done.json()["patient_uhid"] == UHID
    assert (await stored(store, "Appointment", "x"))["participant"][0]["actor"]["reference"] == who[0]


async def test_a_role_stands_for_its_practitioner(api: Api, store: Store) -> None:
    role = {
        "resourceType": "PractitionerRole",
        "id": "sarah-here",
        "practitioner": {"reference": f"Practitioner/{SARAH}"},
    }
    vacant = {"resourceType": "PractitionerRole", "id": "vacant"}
    await put(
        store,
        role,
        vacant,
        appointment("x", participant=with_actors("Patient/john", "PractitionerRole/sarah-here")),
        appointment("y", "cancelled", participant=with_actors("PractitionerRole/sarah-here", f"Practitioner/{JAMES}")),
        appointment(
            "z", "cancelled", participant=with_actors("PractitionerRole/vacant", "PractitionerRole/not-stored")
        ),
        schedule("by-role", "PractitionerRole/sarah-here", f"Location/{MULAGO}"),
        slot("s", "2024-01-25T10:00", "2024-01-25T10:30", of="by-role"),
    )
    shown = {one["id"]: one for one in (await api.get(PATH)).json()["results"]}
    said = {ident: (one["practitioner_id"], one["practitioner_name"]) for ident, one in shown.items()}
    assert said == {"x": (SARAH, "Dr. Sarah Nakamya"), "y": (JAMES, "Dr. James Okello"), "z": (None, None)}
    assert (await api.get(f"{PATH}x/")).json() == shown["x"]
    for query, expected in (
        (f"practitioner_id={SARAH}", ["x", "y"]),
        (f"practitioner_id={JAMES}", ["y"]),
        (f"practitioner_id={SARAH}&patient_uhid={UHID}", ["x"]),
        (f"practitioner_id={SARAH}&facility_id={MULAGO}", []),
        (f"practitioner_id={JAMES}&facility_id={MULAGO}", []),
    ):
        assert ids(await api.get(f"{PATH}?{query}")) == expected, query
    days = "date_from=2024-01-25&date_to=2024-01-25"
    for query in (
        f"practitioner_id={SARAH}",
        f"practitioner_id={SARAH}&facility_id={MULAGO}",
        f"facility_id={MULAGO}",
        "",
    ):
        [free] = (await api.get(f"{PATH}availability/?{days}&{query}")).json()["results"]
        assert (free["practitioner_id"], free["practitioner_name"]) == (SARAH, "Dr. Sarah Nakamya")
    for query in (f"practitioner_id={JAMES}", f"practitioner_id={SARAH}&facility_id={KAMPALA}"):
        assert (await api.get(f"{PATH}availability/?{days}&{query}")).json()["total"] == 0
    moved = await api.post(action_path("x", "reschedule"), {"new_start_time": "2024-01-26T10:00:00Z"})
    assert (moved.status_code, moved.json()["practitioner_id"]) == (200, SARAH)
    assert (await stored(store, "Appointment", "x"))["participant"][1]["actor"][
        "reference"
    ] == "PractitionerRole/sarah-here"


async def test_a_role_stands_for_its_practitioner_where_another_one_has_declined(api: Api, store: Store) -> None:
    role = {
        "resourceType": "PractitionerRole",
        "id": "sarah-here",
        "practitioner": {"reference": f"Practitioner/{SARAH}"},
    }
    there = with_actors(f"Practitioner/{JAMES}", "PractitionerRole/sarah-here")
    await put(store, role, appointment("x", participant=[there[0] | {"status": "declined"}, there[1]]))
    assert (await api.get(f"{PATH}x/")).json()["practitioner_id"] == SARAH
    for who in (SARAH, JAMES):
        [found] = (await api.get(f"{PATH}by-practitioner/?practitioner_id={who}")).json()["results"]
        assert found["practitioner_id"] == who


@pytest.mark.parametrize("turn", [1, -1])
async def test_who_is_shown_does_not_depend_on_the_order_of_role_and_practitioner(
    api: Api, store: Store, turn: int
) -> None:
    """Somebody with an id where there is one: the practitioner's own before the role's."""
    role = {
        "resourceType": "PractitionerRole",
        "id": "sarah-here",
        "practitioner": {"reference": f"Practitioner/{SARAH}"},
    }
    [named] = with_actors("PractitionerRole/sarah-here")
    known_by_number = {"type": "Practitioner", "identifier": {"system": "urn:reg", "value": "R77"}, "display": "Dr. R"}
    somebody = {"actor": known_by_number, "status": "accepted"}
    [foreign] = with_actors("https://x.example/Practitioner/far")
    await put(
        store,
        role,
        appointment("x", participant=[somebody, named][::turn]),
        appointment("y", "cancelled", participant=[foreign, named][::turn]),
        appointment("z", "cancelled", participant=[somebody | {"status": "declined"}, named][::turn]),
    )
    shown = {one["id"]: one["practitioner_id"] for one in (await api.get(PATH)).json()["results"]}
    assert shown == {"x": SARAH, "y": "far", "z": SARAH}


async def test_our_own_address_by_http_means_who_is_stored_here(make_service: ServiceMaker, make_api: ApiMaker) -> None:
    """A proxy that ends TLS and does not tell it: clients write what they were answered with."""
    api: Api = await make_api(make_service(base_url="https://fhir.example.org"))
    store = api.service.stores["test"]
    who = [f"http://fhir.example.org/fhir/R4/{name}" for name in ("Patient/john", f"Practitioner/{SARAH}")]
    await put(store, appointment("x", participant=with_actors(*who)))
    assert await _shown(api, "x") == (UHID, NAME)
    assert await _found(api, UHID) == ["x"]
    assert ids(await api.get(f"{PATH}by-practitioner/?practitioner_id={SARAH}")) == ["x"]
