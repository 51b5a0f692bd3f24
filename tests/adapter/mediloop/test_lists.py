"""The lists of appointments: filters, order, pages."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from adapter.mediloop import lists
from adapter.scheduling import availability
from mappings.fields import CANCELLED_AT
from store.store import Store
from tests.adapter.mediloop.clinic import (
    JAMES,
    KAMPALA,
    MULAGO,
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
    refused,
    slot,
    with_actors,
)
from tests.conftest import Api, Clock

_JAMES_AT_KAMPALA = (f"Practitioner/{JAMES}", f"Location/{KAMPALA}")


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    """Store one appointment for each value that a filter can tell from another."""
    await open_clinic(store)
    mary = with_actors("Patient/mary", f"Practitioner/{SARAH}", f"Location/{KAMPALA}")
    await put(
        store,
        patient("mary", OTHER_UHID, OTHER_NAME),
        appointment("b", "booked", "2024-01-20T10:00"),
        appointment("a", "pending", "2024-01-20T10:00"),
        appointment("c", "waitlist", "2024-01-19T23:30"),
        appointment("d", "cancelled", "2024-01-21T00:00"),
        appointment("e", "booked", "2024-01-22T10:00", participant=mary),
        appointment("f", "proposed", "2024-01-23T10:00", participant=with_actors("Patient/john", *_JAMES_AT_KAMPALA)),
        appointment("g", "fulfilled", "2024-01-10T10:00"),
        appointment("wrong", "entered-in-error", "2024-01-20T11:00"),
        appointment("h", "proposed", None),
    )


ALL = ["h", "g", "c", "a", "b", "d", "e", "f"]
"""By start, then id; the one without a time first."""

FILTERS: dict[str, tuple[str, set[str]]] = {
    "status": ("booked,pending", {"a", "b", "c", "e"}),
    "patient_uhid": (UHID, {"h", "g", "c", "a", "b", "d", "f"}),
    "practitioner_id": (SARAH, {"h", "g", "c", "a", "b", "d", "e"}),
    "facility_id": (MULAGO, {"h", "g", "c", "a", "b", "d"}),
    "date_from": ("2024-01-20", {"a", "b", "d", "e", "f"}),
    "date_to": ("2024-01-21", {"g", "c", "a", "b", "d"}),
    "upcoming_only": ("true", {"c", "a", "b", "e", "f"}),
}


async def test_without_filters_all_are_listed_by_start_and_then_id(api: Api) -> None:
    assert ids(await api.get(PATH)) == ALL


async def test_the_items_are_whole_objects(api: Api) -> None:
    for item in (await api.get(PATH)).json()["results"]:
        assert (await api.get(f"{PATH}{item['id']}/")).json() == item


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_filters_work_alone_and_combined(api: Api, size: int) -> None:
    for names in combinations(FILTERS, size):
        answer = await api.get(PATH, params={name: FILTERS[name][0] for name in names})
        expected = [ident for ident in ALL if all(ident in FILTERS[name][1] for name in names)]
        assert ids(answer) == expected, names
        assert answer.json()["total"] == len(expected)


@pytest.mark.parametrize(
    ("path", "name", "given"),
    [
        ("by-patient/", "patient_uhid", UHID),
        ("by-practitioner/", "practitioner_id", SARAH),
    ],
)
async def test_the_lists_of_one_person_take_every_filter(api: Api, path: str, name: str, given: str) -> None:
    for other in FILTERS:
        params = {name: given} | {other: FILTERS[other][0]}
        assert (await api.get(PATH + path, params=params)).json() == (await api.get(PATH, params=params)).json()


STATUSES = {
    "proposed": ["h", "f"],
    "pending": ["c", "a"],
    "booked": ["b", "e"],
    "cancelled": ["d"],
    "fulfilled": ["g"],
    "noshow": [],
    "arrived,checked-in": [],
    "cancelled,pending,cancelled": ["c", "a", "d"],
    "proposed,pending,booked,arrived,checked-in,fulfilled,cancelled,noshow": ALL,
}


async def test_a_status_or_several_are_chosen_and_waitlist_is_pending(api: Api) -> None:
    for wanted, expected in STATUSES.items():
        answer = await api.get(PATH, params={"status": wanted})
        assert ids(answer) == expected, wanted
        assert {item["status"] for item in answer.json()["results"]} <= set(wanted.split(","))


async def test_what_was_entered_in_error_is_nowhere(api: Api) -> None:
    assert "wrong" not in (await api.get(PATH)).text
    refused(await api.get(f"{PATH}wrong/"), 404, ("appointment_not_found", "id"))
    for action in ("arrived", "noshow"):
        refused(await api.post(action_path("wrong", action)), 404, ("appointment_not_found", "id"))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ({"days": 0}, ["c", "a", "b", "e", "f"]),
        ({"days": 5}, ["a", "b", "e", "f"]),  # exactly the start of a and b
        ({"days": 5, "seconds": 1}, ["e", "f"]),
        ({"days": 30}, []),
    ],
)
async def test_upcoming_is_what_starts_now_or_later_and_is_not_over(
    api: Api, clock: Clock, moment: dict[str, float], expected: list[str]
) -> None:
    clock.advance(**moment)
    assert ids(await api.get(f"{PATH}?upcoming_only=true")) == expected
    assert ids(await api.get(f"{PATH}?upcoming_only=False")) == ALL


@pytest.mark.parametrize("first", ["2024-01-01", "2024-01-23"])
async def test_upcoming_and_a_first_day_both_hold(api: Api, clock: Clock, first: str) -> None:
    clock.advance(days=6)
    listed = ids(await api.get(f"{PATH}?upcoming_only=true&date_from={first}"))
    assert listed == (["e", "f"] if first == "2024-01-01" else ["f"])


@pytest.mark.parametrize("status", ["arrived", "checked-in", "fulfilled", "noshow"])
async def test_a_visit_that_has_begun_is_upcoming_until_it_is_over(api: Api, store: Store, status: str) -> None:
    await put(store, appointment("x", status, "2024-01-15T12:00"))
    listed = ids(await api.get(f"{PATH}?upcoming_only=true"))
    assert ("x" in listed) == (status in ("arrived", "checked-in"))


PAGES: list[tuple[int, int, list[str], int | None, int | None]] = [
    (1, 1, ["h"], 2, None),
    (8, 1, ["f"], None, 7),
    (1, 3, ["h", "g", "c"], 2, None),
    (3, 3, ["e", "f"], None, 2),
    (2, 4, ["b", "d", "e", "f"], None, 1),
    (1, 8, ALL, None, None),
    (1, 100, ALL, None, None),
    (2, 100, [], None, 1),
    (10_000_000, 100, [], None, 9_999_999),
]
"""Page, its size, what is on it, the next and the previous one."""


class TestPages:
    async def test_a_page_tells_where_it_stands(self, api: Api) -> None:
        for page, size, expected, following, previous in PAGES:
            answer = (await api.get(PATH, params={"page": page, "page_size": size})).json()
            assert [item["id"] for item in answer.pop("results")] == expected
            assert answer == {
                "count": len(expected),
                "total": 8,
                "page": page,
                "page_size": size,
                "next": following,
                "previous": previous,
            }

    async def test_a_page_has_twenty_items_unless_another_size_is_asked_for(self, api: Api, store: Store) -> None:
        await put(store, *(appointment(f"n{number:03}", "cancelled", "2024-02-01T10:00") for number in range(113)))
        answer = (await api.get(PATH)).json()
        assert (answer["count"], answer["total"], answer["page_size"], answer["next"]) == (20, 121, 20, 2)
        assert len(ids(await api.get(f"{PATH}?page_size=100"))) == 100

    async def test_the_pages_together_are_the_list(self, api: Api) -> None:
        page: int | None = 1
        found: list[Any] = []
        while page is not None:
            answer = (await api.get(f"{PATH}?page_size=3&page={page}")).json()
            found += [item["id"] for item in answer["results"]]
            page = answer["next"]
        assert found == ALL


async def test_one_whose_time_is_none_takes_no_list_down(api: Api, store: Store) -> None:
    lapsed = {"url": CANCELLED_AT, "valueDateTime": "1-01-01T00:00:00Z"}  # as releases wrote the first year
    await put(store, appointment("d", "cancelled", "2024-01-21T00:00", extension=[lapsed]))
    answer = await api.get(f"{PATH}?page_size=50")
    assert ids(answer) == ALL
    [shown] = [one for one in answer.json()["results"] if one["id"] == "d"]
    assert shown["cancelled_at"] is None


async def test_who_is_named_through_the_slot_alone_is_found_by_fhir_and_by_no_list(api: Api) -> None:
    held = [{"reference": "Slot/slot-001"}]
    sent = appointment("x", start="2024-01-20T09:00", participant=with_actors("Patient/john"), slot=held)
    assert (await api.put("/fhir/R4/Appointment/x", json=sent)).status_code == 201
    shown = (await api.get(f"{PATH}x/")).json()
    assert (shown["practitioner_id"], shown["facility_id"]) == (None, None)
    for filters in ({"practitioner_id": SARAH}, {"facility_id": MULAGO}):
        assert "x" not in ids(await api.get(PATH, params=filters))
    error = refused(
        await api.post(PATH, json=booking(start_time="2024-01-20T09:00:00Z")), 409, ("slot_unavailable", "start_time")
    )
    assert error["slots"] == ["slot-001"]
    for found_by in ("slot=Slot/slot-001", f"slot.schedule.actor=Practitioner/{SARAH}&date=2024-01-20"):
        page = (await api.get(f"/fhir/R4/Appointment?{found_by}")).json()
        assert [one["resource"]["id"] for one in page["entry"]] == ["x"]


@pytest.mark.parametrize("path", ["", "availability/"])
async def test_a_page_that_is_too_large_is_refused_and_smaller_ones_have_everything(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for module in (lists, availability):
        monkeypatch.setattr(module, "WHOLE_PAGE_BYTES", 12_000)
    long = {"comment": 5_000 * "x"}
    for hour in (10, 11, 12):
        start, end = f"2024-02-20T{hour}:00", f"2024-02-20T{hour}:30"
        await put(store, slot(f"l{hour}", start, end, **long) if path else appointment(f"l{hour}", start=start, **long))
    asked = f"{PATH}{path}?date_from=2024-02-20&date_to=2024-02-20"
    answer = await api.get(asked)
    refused(answer, 413, ("answer_too_large", "page_size"))
    pages = [(await api.get(f"{asked}&page_size=2&page={number}")).json() for number in (1, 2, 3)]
    assert [page["count"] for page in pages] == [2, 1, 0]
    assert {page["total"] for page in pages} == {3}
    monkeypatch.setattr(lists, "WHOLE_PAGE_BYTES", 100)
    monkeypatch.setattr(availability, "WHOLE_PAGE_BYTES", 100)
    assert (await api.get(f"{asked}&page_size=1&page=2")).json()["count"] == 1
