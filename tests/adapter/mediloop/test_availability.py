"""The search for free slots."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from mappings.systems import DEFAULT_SYSTEMS
from store.store import Store
from tests.adapter.mediloop.clinic import (
    JAMES,
    KAMPALA,
    MULAGO,
    PATH,
    SARAH,
    booking,
    concept,
    ids,
    location,
    open_clinic,
    practitioner,
    put,
    schedule,
    slot,
)
from tests.adapter.scheduling.weekly import available, open_on, weekly
from tests.conftest import Api, ApiMaker, ServiceMaker

SEARCH = f"{PATH}availability/"
DAYS = {"date_from": "2024-01-20", "date_to": "2024-01-25"}
SPECIALTY, SERVICE = DEFAULT_SYSTEMS.specialty, DEFAULT_SYSTEMS.service_type


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    """Store slots that differ in what the filters look at; Sarah's three are from `open_clinic`."""
    await open_clinic(store)
    await put(
        store,
        schedule(
            "james",
            f"Practitioner/{JAMES}",
            f"Location/{KAMPALA}",
            specialty=concept(SPECIALTY, "paediatrics"),
            serviceType=concept(SERVICE, "vaccination"),
        ),
        slot("j1", "2024-01-20T09:00", "2024-01-20T09:15", of="james"),
        slot("j2", "2024-01-21T09:00", "2024-01-21T10:00", of="james"),
        slot("own", "2024-01-22T09:00", "2024-01-22T09:30", specialty=concept("urn:other", "dermatology")),
        slot("late", "2024-01-26T00:00", "2024-01-26T00:30"),
        slot("early", "2024-01-19T23:30", "2024-01-20T00:00"),
        *(
            slot(status, "2024-01-20T12:00", "2024-01-20T12:30", status)
            for status in ("busy", "busy-tentative", "busy-unavailable", "entered-in-error")
        ),
    )


ALL = ["j1", "slot-001", "slot-002", "slot-003", "j2", "own"]
SARAHS = {"slot-001", "slot-002", "slot-003", "own"}
FILTERS: dict[str, tuple[str, set[str]]] = {
    "practitioner_id": (SARAH, SARAHS),
    "facility_id": (MULAGO, SARAHS),
    "service_type": ("consultation", SARAHS),
    "specialty": ("general-practice", SARAHS - {"own"}),
    "duration_minutes": ("30", {*SARAHS, "j2"}),
    "page_size": ("100", set(ALL)),
}


async def _search(api: Api, **params: Any) -> list[str]:
    return ids(await api.get(SEARCH, params=DAYS | params))


async def test_only_free_slots_of_those_days_are_offered_by_start_and_then_id(api: Api) -> None:
    assert await _search(api) == ALL


async def test_a_slot_that_names_its_schedule_by_an_address_is_offered_with_it(api: Api, store: Store) -> None:
    far = {"reference": "https://elsewhere.example/fhir/Schedule/james"}
    await put(store, slot("far", "2024-01-23T09:00", "2024-01-23T09:30", schedule=far))
    whole = [*ALL, "far"]
    assert await _search(api) == whole
    for asked in ({"practitioner_id": JAMES}, {"specialty": "paediatrics"}, {"service_type": "vaccination"}):
        assert await _search(api, **asked) == ["j1", "j2", "far"]
    await put(store, schedule("james", f"Practitioner/{JAMES}", f"Location/{KAMPALA}", active=False))
    assert await _search(api) == [name for name in ALL if name not in ("j1", "j2")]


async def test_a_slot_shows_whose_and_where_it_is(api: Api) -> None:
    answer = (await api.get(SEARCH, params=DAYS | {"practitioner_id": SARAH, "page_size": 1})).json()
    assert answer.pop("results") == [
        {
            "id": "slot-001",
            "practitioner_id": SARAH,
            "practitioner_name": "Dr. Sarah Nakamya",
            "facility_id": MULAGO,
            "facility_name": "Mulago Hospital",
            "start_time": "2024-01-20T09:00:00Z",
            "end_time": "2024-01-20T09:30:00Z",
            "status": "free",
        }
    ]
    assert answer == {"count": 1, "total": 4, "page": 1, "page_size": 1, "next": 2, "previous": None}


@pytest.mark.parametrize("size", [1, 2, 3, 6])
async def test_filters_work_alone_and_combined(api: Api, size: int) -> None:
    for names in combinations(FILTERS, size):
        found = await _search(api, **{name: FILTERS[name][0] for name in names})
        assert found == [ident for ident in ALL if all(ident in FILTERS[name][1] for name in names)], names


SEARCHES: list[tuple[dict[str, Any], list[str]]] = [
    ({"practitioner_id": JAMES}, ["j1", "j2"]),
    ({"practitioner_id": "nobody"}, []),
    ({"practitioner_id": SARAH, "facility_id": KAMPALA}, []),
    ({"facility_id": KAMPALA, "duration_minutes": 60}, ["j2"]),
    ({"duration_minutes": 61}, []),
    ({"duration_minutes": 1}, ALL),
    ({"specialty": "paediatrics"}, ["j1", "j2"]),
    ({"specialty": "dermatology"}, ["own"]),
    ({"specialty": "dermatology", "service_type": "consultation"}, ["own"]),
    ({"specialty": "nothing"}, []),
    ({"service_type": "vaccination"}, ["j1", "j2"]),
    ({"date_from": "2024-01-21", "date_to": "2024-01-21"}, ["j2"]),
    ({"date_from": "2024-01-19", "date_to": "2024-01-19"}, ["early"]),
]


async def test_what_is_asked_for_is_what_is_found(api: Api) -> None:
    for params, expected in SEARCHES:
        assert await _search(api, **params) == expected, params


async def test_a_slots_own_specialty_goes_before_that_of_its_schedule(api: Api, store: Store) -> None:
    assert "own" not in await _search(api, specialty="general-practice")
    await put(store, slot("own", "2024-01-22T09:00", "2024-01-22T09:30"))
    assert "own" in await _search(api, specialty="general-practice")


@pytest.mark.parametrize("hours", [False, True], ids=["published alone", "beside weekly hours"])
async def test_what_has_no_code_is_found_by_its_text_as_it_is_shown(api: Api, store: Store, hours: bool) -> None:
    coded = [{"coding": [{"system": SPECIALTY, "code": "cardiology"}], "text": "Cardio"}]
    await put(
        store,
        schedule(
            "james", f"Practitioner/{JAMES}", specialty=[{"text": "Cardio | Géné"}], serviceType=[{"text": "Echo"}]
        ),
        slot("j1", "2024-01-20T09:00", "2024-01-20T09:15", of="james", serviceType=[{"text": "Other"}]),
        slot("j2", "2024-01-21T09:00", "2024-01-21T10:00", of="james"),
        slot("own", "2024-01-22T09:00", "2024-01-22T09:30", specialty=coded),
    )
    more = []
    if hours:
        opened = available(open_on("", "09:00", "09:30"))
        whose = (f"Practitioner/{SARAH}", f"Location/{KAMPALA}")
        await put(store, weekly("w", opened, actors=whose, specialty=[{"text": "cardio | gene"}]))
        more = [f"w.202401{day}T0900Z.30" for day in range(20, 26)]
    found = await _search(api, specialty="cardio | gene")
    assert sorted(found) == sorted(["j1", "j2", *more])
    assert await _search(api, specialty="cardio | gene", service_type="echo") == ["j2"]
    assert await _search(api, service_type="OTHER") == ["j1"]
    assert sorted(await _search(api, specialty="Cardio | Gene", facility_id=KAMPALA)) == more
    assert await _search(api, specialty="cardio") == []
    assert await _search(api, specialty="cardiology") == ["own"]


@pytest.mark.parametrize("params", [{}, {"practitioner_id": SARAH}, {"specialty": "general-practice"}])
async def test_a_schedule_that_is_not_active_is_not_offered(api: Api, store: Store, params: dict[str, str]) -> None:
    closed = schedule("sarah", f"Practitioner/{SARAH}", specialty=concept(SPECIALTY, "general-practice"), active=False)
    await put(store, closed)
    assert not SARAHS & set(await _search(api, **params))
    await put(store, {name: value for name, value in closed.items() if name != "active"})
    assert "slot-001" in await _search(api, **params)


@pytest.mark.parametrize("params", [{}, {"facility_id": MULAGO}])
async def test_a_slot_without_a_practitioner_is_not_offered_for_no_booking_could_take_it(
    api: Api, store: Store, params: dict[str, str]
) -> None:
    before = await _search(api, **params)
    vacant = {"resourceType": "PractitionerRole", "id": "vacant"}
    await put(
        store,
        vacant,
        schedule("room", f"Location/{MULAGO}"),
        schedule("post", "PractitionerRole/vacant", f"Location/{MULAGO}"),
        slot("r", "2024-01-22T10:00", "2024-01-22T10:30", of="room"),
        slot("p", "2024-01-22T11:00", "2024-01-22T11:30", of="post"),
    )
    answer = await api.get(SEARCH, params=DAYS | params)
    assert (ids(answer), answer.json()["total"]) == (before, len(before))
    await put(store, vacant | {"practitioner": {"reference": f"Practitioner/{SARAH}"}})
    assert "p" in await _search(api, **params)
    await put(store, vacant, schedule("post", "PractitionerRole/vacant", f"Practitioner/{SARAH}", f"Location/{MULAGO}"))
    assert "p" in await _search(api, **params)


@pytest.mark.parametrize("params", [{}, {"facility_id": MULAGO}, {"practitioner_id": "ghost"}])
async def test_whose_booking_would_be_refused_is_not_offered(
    api: Api, store: Store, make_service: ServiceMaker, make_api: ApiMaker, params: dict[str, str]
) -> None:
    before = await _search(api, **params)
    await put(
        store,
        schedule("ghost", "Practitioner/ghost", f"Location/{MULAGO}"),
        slot("g", "2024-01-22T10:00", "2024-01-22T10:30", of="ghost"),
    )
    assert await _search(api, **params) == before
    lenient: Api = await make_api(make_service(unknown_actors="accept"))
    assert await _search(lenient, **params) == [*before, "g"]
    answer = await lenient.get(SEARCH, params=DAYS | params)
    assert answer.json()["results"][-1]["practitioner_id"] == "ghost"
    await put(store, practitioner("ghost", "Dr. New"))
    assert await _search(api, **params) == [*before, "g"]


async def test_of_several_one_is_shown_whom_a_booking_can_name(api: Api, store: Store) -> None:
    day = {"date_from": "2024-01-23", "date_to": "2024-01-23"}
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": f"Practitioner/{JAMES}"}}
    ghosts = {**role, "id": "ghosts", "practitioner": {"reference": "Practitioner/ghost"}}

    async def shown(*actors: Any, **asked: str) -> list[tuple[Any, ...]]:
        await put(store, schedule("x", actor=list(actors)))
        items = (await api.get(SEARCH, params=day | asked)).json()["results"]
        return [(one["practitioner_id"], one["facility_id"], one["facility_name"]) for one in items]

    def named(name: str, **more: str) -> dict[str, str]:
        return {"reference": name, **more}

    ghost, post, place = named("Practitioner/ghost"), named("PractitionerRole/r"), named("Location/far", display="Far")
    await put(store, role, ghosts, slot("x", "2024-01-23T10:00", "2024-01-23T10:30", of="x"))
    known = named(f"Location/{KAMPALA}")
    assert await shown(ghost, post, place) == [(JAMES, None, "Far")]
    assert await shown(named("PractitionerRole/ghosts"), post, place, known) == [
        (JAMES, KAMPALA, "Kampala Family Clinic")
    ]
    assert await shown(ghost, named(f"Practitioner/{JAMES}"), known) == [(JAMES, KAMPALA, "Kampala Family Clinic")]
    assert await shown(ghost, post, named("Location/far")) == [(JAMES, None, None)]
    assert await shown(ghost, post, known, practitioner_id="ghost") == []
    assert await shown(ghost, post, known, practitioner_id=JAMES) == [(JAMES, KAMPALA, "Kampala Family Clinic")]
    assert await shown(ghost, post, place, facility_id="far") == [(JAMES, None, "Far")]


async def test_a_booked_slot_is_no_longer_offered(api: Api) -> None:
    assert (await api.post(PATH, booking())).status_code == 201
    assert await _search(api, practitioner_id=SARAH) == ["slot-001", "slot-003", "own"]


async def test_names_are_the_present_ones_of_people_and_places(api: Api, store: Store) -> None:
    await put(store, practitioner(JAMES, "Dr. James Renamed"), location(KAMPALA, "Clinic Renamed"))
    [first, *_] = (await api.get(SEARCH, params=DAYS)).json()["results"]
    assert (first["practitioner_name"], first["facility_name"]) == ("Dr. James Renamed", "Clinic Renamed")
    actors = [{"reference": f"Practitioner/{JAMES}", "display": "Stated"}]
    await put(store, schedule("james", actor=actors))
    [first, *_] = (await api.get(SEARCH, params=DAYS)).json()["results"]
    shown = (first["practitioner_name"], first["facility_id"], first["facility_name"])
    assert shown == ("Dr. James Renamed", None, None)


async def test_who_may_read_slots_alone_is_shown_the_names(api: Api, make_api: ApiMaker) -> None:
    reader: Api = await make_api(api.service, granted=["slots:read"])
    shown = (await reader.get(SEARCH, params=DAYS)).json()
    assert shown == (await api.get(SEARCH, params=DAYS)).json()
    assert all(one["practitioner_name"] and one["facility_name"] for one in shown["results"])


async def test_a_slot_whose_schedule_is_not_stored_shows_nobody(api: Api, store: Store) -> None:
    await put(store, slot("lost", "2024-01-23T09:00", "2024-01-23T09:30", of="nothing"))
    answer = await api.get(SEARCH, params={"date_from": "2024-01-23", "date_to": "2024-01-23"})
    [lost] = answer.json()["results"]
    assert (lost["id"], lost["practitioner_id"], lost["practitioner_name"]) == ("lost", None, None)


async def test_the_pages_together_are_the_list(api: Api) -> None:
    pages = [await _search(api, page=page, page_size=4) for page in (1, 2, 3)]
    assert pages == [ALL[:4], ALL[4:], []]
