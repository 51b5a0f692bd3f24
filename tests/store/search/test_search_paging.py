"""Pages, orders and totals, against a real MongoDB."""

from __future__ import annotations

import base64
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.codec import Resource
from store.search import Page, SearchRefused, paging, run, running
from store.search.model import Position
from store.store import Store
from tests.conftest import Clock
from tests.store.search.support import appointment, concept, page, parsed, put, resource, schedule, slot
from tests.store.support import change


async def pages(store: Store, kinds: str, text: str) -> list[Page]:
    """All pages, from the first one on."""
    found = [await page(store, kinds, text)]
    while found[-1].cursor is not None:
        found.append(await page(store, kinds, f"{text}&_cursor={found[-1].cursor}"))
        assert len(found) < 100
    return found


def names(found: list[Page]) -> list[str]:
    """The ids on pages, in order."""
    return [entry.ident for one in found for entry in one.entries]


_STARTS = (None, "2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z", "2026-01-03T09:00:00.123Z")
_STATUSES = ("booked", "cancelled", "proposed")
_one = st.tuples(st.sampled_from(_STARTS), st.sampled_from(_STATUSES), st.sampled_from((None, "a", "b")))


def _resource(number: int, start: str | None, status: str, code: str | None) -> Resource:
    more = {"serviceType": [concept("b"), concept(code)]} if code else {}
    return appointment(f"{number:02d}", start, "Patient/1", status=status, **more)


def _key(item: tuple[int, tuple[str | None, ...]], name: str) -> Any:
    number, (start, status, code) = item
    codes = (max if name.startswith("-") else min)(code, "b") if code else None
    value = {"date": start, "status": status, "service-type": codes, "_id": f"{number:02d}"}[name.lstrip("-")]
    return (value is not None, value or "")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.lists(_one, min_size=1, max_size=12),
    order=st.lists(
        st.sampled_from(("date", "-date", "status", "-status", "service-type", "-service-type", "_id", "-_id"))
    ),
    size=st.integers(1, 5),
)
async def test_pages_are_the_whole_in_order(
    store: Store, found: list[tuple[str | None, str, str | None]], order: list[str], size: int
) -> None:
    await store.database["Appointment"].delete_many({})
    await store.database["history"].delete_many({})
    await put(store, *(_resource(number, *one) for number, one in enumerate(found)))
    expected = list(enumerate(found))
    last = order[-1][0] if order else ""
    # What is equal comes as the index has it, where one gives the order.
    further = {"status": ["date"], "-status": ["-date"]}.get(order[0], []) if len(order) == 1 else []
    for name in [f"{last if last == '-' else ''}_id", *further, *reversed(order)]:
        expected.sort(key=lambda item: _key(item, name), reverse=name.startswith("-"))
    if len({name.lstrip("-") for name in order}) < len(order):
        order = []  # a key that comes twice counts once: another test's business
    if not order:
        expected = list(enumerate(found))
    sort = f"&_sort={','.join(order)}" if order else ""
    read = await pages(store, "Appointment", f"_count={size}{sort}")
    assert names(read) == [f"{number:02d}" for number, _ in expected]
    assert {one.total for one in read} == {len(found)}
    assert all(len(one.entries) == size for one in read[:-1])


@pytest.mark.parametrize(
    "text",
    [
        "patient=Patient/1&practitioner=Practitioner/1&date=ge2026",
        "practitioner=Practitioner/1&patient=Patient/1&date=ge2026",
        "practitioner=Practitioner/1&patient=Patient/1&date=ge2026&_sort=-date",
        "actor=Patient/1&actor=Practitioner/1&date=ne2025&_sort=date",
        "actor=Patient/1&actor=Practitioner/1&_lastUpdated=ge2000&_sort=_lastUpdated",
    ],
)
async def test_further_pages_too_are_held_to_two_conditions_on_one_element(store: Store, text: str) -> None:
    """A patient's visits with one practitioner are not followed by those with another, or by another patient's."""
    days = ("2026-01-01", "2026-01-02", "2026-01-03")
    for day in days:
        await put(
            store,
            appointment(f"both-{day}", f"{day}T09:00:00Z", "Patient/1", "Practitioner/1"),
            appointment(f"other-practitioner-{day}", f"{day}T09:00:00Z", "Patient/1", "Practitioner/2"),
            appointment(f"other-patient-{day}", f"{day}T09:00:00Z", "Patient/2", "Practitioner/1"),
        )
    for size in (1, 2, 50):
        assert sorted(names(await pages(store, "Appointment", f"{text}&_count={size}"))) == [
            f"both-{day}" for day in days
        ]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.tuples(st.sampled_from(("Appointment", "Slot")), st.integers(0, 900)), min_size=1, max_size=12),
    order=st.sampled_from(("", "&_sort=_id", "&_sort=-_lastUpdated")),
    count=st.integers(1, 13),
    most=st.integers(1, 4_000),
)
async def test_a_page_of_large_resources_has_fewer_and_nothing_is_left_out(
    store: Store, sizes: list[tuple[str, int]], order: str, count: int, most: int
) -> None:
    await store.database["Appointment"].delete_many({})
    await store.database["Slot"].delete_many({})
    await store.database["history"].delete_many({})
    many = [(kind, f"{number:02d}", "x" * size) for number, (kind, size) in enumerate(sizes)]
    await put(
        store,
        *(
            appointment(ident, comment=text) if kind == "Appointment" else slot(ident, comment=text)
            for kind, ident, text in many
        ),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "PAGE_BYTES", most)
        read = await pages(store, "Appointment,Slot", f"_count={count}{order}")
    assert sorted(names(read)) == [ident for _, ident, _ in many]
    assert {one.total for one in read} == {len(many)}
    for one, following in itertools.zip_longest(read, read[1:]):
        size = sum(len(entry.raw) for entry in one.entries)
        assert len(one.entries) == 1 or size <= most
        if following is not None:  # and it is as full as it may be
            assert len(one.entries) == count or size + len(following.entries[0].raw) > most


@pytest.mark.parametrize("criteria", ["", "actor=Practitioner/1", "date=ge2026-01-01", "status=proposed&date=ge2026"])
async def test_by_the_id_nothing_is_lost_or_repeated_that_is_moved_meanwhile(store: Store, criteria: str) -> None:
    """What was shown goes to the end of all dates, what was not to their beginning."""
    idents = [f"{number:02d}" for number in range(9)]
    await put(store, *(appointment(one, f"2026-02-1{one[1]}T09:00:00Z", "Practitioner/1") for one in idents))
    text = f"{criteria}&_sort=_id&_count=2"
    found = [await page(store, "Appointment", text)]
    while found[-1].cursor is not None:
        shown = names(found)
        for one in idents:
            start = "2026-03-01T09:00:00Z" if one in shown else "2026-01-02T09:00:00Z"
            await change(store, "Appointment", one, start=start, end=start)
        found.append(await page(store, "Appointment", f"{text}&_cursor={found[-1].cursor}"))
    assert names(found) == idents
    assert {one.total for one in found} == {9}


async def test_what_is_written_meanwhile_neither_repeats_nor_hides(store: Store) -> None:
    await put(store, *(appointment(ident, "2026-01-02T09:00:00Z") for ident in "bdfh"))
    first = await page(store, "Appointment", "_sort=date&_count=2")
    await put(store, appointment("a", "2026-01-01T09:00:00Z"), appointment("e", "2026-01-02T09:00:00Z"))
    await put(store, appointment("z"))
    rest = await page(store, "Appointment", f"_sort=date&_count=9&_cursor={first.cursor}")
    assert names([first, rest]) == ["b", "d", "e", "f", "h"]
    assert rest.total == 4  # as it was when the search began
    assert rest.cursor is None


async def test_the_order_that_nobody_asked_for_is_the_one_of_an_index(store: Store) -> None:
    await put(
        store,
        appointment("a", "2026-01-02T09:00:00Z", "Patient/1"),
        appointment("b", "2026-01-01T09:00:00Z", "Patient/1"),
        appointment("c", None, "Patient/1"),
        slot("x", start="2026-01-02T09:00:00Z"),
        slot("y", start="2026-01-01T09:00:00Z"),
    )
    assert names(await pages(store, "Appointment", "patient=1&_count=1")) == ["c", "b", "a"]
    assert names(await pages(store, "Appointment", "date=2026&_count=1")) == ["b", "a"]
    assert names(await pages(store, "Appointment", "status=proposed&patient=1&date=ge2026&_count=1")) == ["b", "a"]
    assert names(await pages(store, "Appointment", "_count=1")) == ["a", "b", "c"]
    assert names(await pages(store, "Slot", "schedule=s&_count=1")) == ["y", "x"]
    assert names(await pages(store, "Slot", "schedule=s&status=free&_count=1")) == ["y", "x"]


async def test_spans_and_last_updated_are_sorted(store: Store, clock: Clock) -> None:
    for ident, start in (("a", "2026-02"), ("b", "2026-01"), ("c", None)):
        clock.advance(seconds=1)
        await put(store, schedule(ident, "Practitioner/1", **({"planningHorizon": {"start": start}} if start else {})))
    assert names(await pages(store, "Schedule", "_sort=date&_count=1")) == ["c", "b", "a"]
    assert names(await pages(store, "Schedule", "_sort=-date&_count=1")) == ["a", "b", "c"]
    assert names(await pages(store, "Schedule", "_sort=-_lastUpdated&_count=1")) == ["c", "b", "a"]
    assert names(await pages(store, "Schedule", "_lastUpdated=gt2000&_count=1")) == ["a", "b", "c"]


async def test_several_types_come_one_after_the_other(store: Store) -> None:
    await put(store, *(slot(ident) for ident in "abc"), *(schedule(ident, "Practitioner/1") for ident in "ab"))
    read = await pages(store, "Slot,Patient,Schedule", "_count=2")
    assert [[f"{one.kind}/{one.ident}" for one in part.entries] for part in read] == [
        ["Slot/a", "Slot/b"],
        ["Slot/c", "Schedule/a"],
        ["Schedule/b"],
    ]
    assert [part.total for part in read] == [5, 5, 5]
    assert (await page(store, "Slot,Schedule", "_id=a&_summary=count")).total == 2


async def test_a_type_of_which_nothing_can_match_takes_no_other_along(store: Store) -> None:
    await put(store, appointment("a"), slot("s1"), slot("s2"), slot("s3"))
    text = "status=http://hl7.org/fhir/slotstatus|free"  # no Appointment has a status of that system
    assert [one.ident for one in (await page(store, "Appointment,Slot", text)).entries] == ["s1", "s2", "s3"]
    for more in ("_summary=count", "_count=1", "_count=1&_total=accurate"):
        assert (await page(store, "Appointment,Slot", f"{text}&{more}")).total == 3


@pytest.mark.parametrize("size", [1, 2, 3, 10])
async def test_several_types_are_sorted_together(store: Store, clock: Clock, size: int) -> None:
    for ident, kind in enumerate(("Slot", "Schedule", "Slot", "Schedule", "Slot")):
        if ident not in (1, 4):
            clock.advance(seconds=1)
        await put(store, slot(str(ident)) if kind == "Slot" else schedule(str(ident), "Practitioner/1"))
    for order, expected in {
        "_lastUpdated": "01243",
        "-_lastUpdated": "43201",
        "_lastUpdated,-_id": "10243",
        "_id": "01234",
        "-_id": "43210",
        "_source": "02413",
    }.items():
        read = names(await pages(store, "Slot,Schedule", f"_sort={order}&_count={size}"))
        assert "".join(read) == expected, order


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("sign", ["", "-"])
async def test_types_whose_indexes_order_what_is_equal_otherwise_are_sorted_together(
    store: Store, size: int, sign: str
) -> None:
    people = (resource("Patient", one, name=[{"family": "o", "given": [one]}]) for one in "ba")
    given = {"a": "z", "b": "y"}
    staff = (resource("Practitioner", one, name=[{"family": "o", "given": [given[one]]}]) for one in "ab")
    await put(store, *people, *staff)
    read = await pages(store, "Patient,Practitioner", f"_sort={sign}family&_count={size}")
    names = [f"{one.kind}/{one.ident}" for part in read for one in part.entries]
    expected = {
        "": ["Patient/a", "Patient/b", "Practitioner/b", "Practitioner/a"],
        "-": ["Patient/b", "Patient/a", "Practitioner/a", "Practitioner/b"],
    }
    assert names == expected[sign]


async def test_equal_ids_of_several_types_are_all_there(store: Store) -> None:
    await put(store, slot("a"), schedule("a", "Practitioner/1"), resource("Patient", "a"), slot("b"))
    for size in (1, 2, 3):
        read = await pages(store, "Slot,Schedule,Patient", f"_sort=_id&_count={size}")
        assert names(read) == ["a", "a", "a", "b"]


async def test_totals(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(store, *(slot(ident) for ident in "abcd"), slot("e", status="busy"))
    first = await page(store, "Slot", "_count=2&status=free")
    assert (first.total, len(first.entries)) == (4, 2)
    assert (await page(store, "Slot", "_count=2&_total=none")).total is None
    assert (await page(store, "Slot", "_count=9&_total=none")).total is None
    assert (await page(store, "Slot", "_count=9&_total=estimate")).total == 5
    for text in ("_count=0", "_summary=count", "_summary=count&_total=none"):
        counted = await page(store, "Slot", f"{text}&status=free")
        assert (counted.total, counted.entries, counted.cursor) == (4, (), None)
    assert (await page(store, "Slot", "_summary=count")).total == 5
    assert (await page(store, "Slot", "schedule._id=none&_summary=count")).total == 0
    monkeypatch.setattr(running, "COUNTED", 3)
    assert [one.total for one in await pages(store, "Slot", "_count=1")] == [None] * 5
    assert [one.total for one in await pages(store, "Slot", "_count=2&_total=accurate")] == [5, 5, 5]
    assert (await page(store, "Slot,Schedule", "_count=1")).total is None
    assert (await page(store, "Slot", "_count=9")).total == 5


async def test_a_page_without_matches(store: Store) -> None:
    assert await page(store, "Slot", "status=free&_include=Slot:schedule") == Page((), 0, None, ())


_BAD = [b"", b"[]", b"{}", b"[0,1]", b"[0,null,[]]", b"[0,null,[1]]", b'[1,null,["a"]]', b'[true,null,["a"]]', b"[0"]
_BAD += [b'[0,-1,["a"]]', b'[0,"1",["a"]]', b'[0,null,[{"$gt":1},"a"]]', b'[0,null,[{"at":1e300},"a"]]', b"[0,null,1]"]
_BAD += [b'[0,null,[{"at":999999999999999999},"a"]]', b'[0,null,["a","b"]]', b'[0,null,[{"at":true},"a"]]', b"\xff"]


@pytest.mark.parametrize("raw", _BAD)
async def test_a_cursor_from_elsewhere_is_refused(store: Store, raw: bytes) -> None:
    text = base64.urlsafe_b64encode(raw).decode()
    with pytest.raises(SearchRefused) as refused:
        await run(store, parsed("Slot", f"_cursor={text or 'x'}"))
    assert refused.value.status == 400
    assert refused.value.problems[0].parameter == "_cursor"


def test_a_cursor_says_what_it_was_made_of() -> None:
    for moment in (datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)):
        position = Position(1, 7, (moment, None, "é", "id"))
        assert paging.position(paging.cursor(position), 2) == position
    with pytest.raises(SearchRefused):
        paging.position("é", 1)
