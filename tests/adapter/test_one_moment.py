"""What is open is told as of one moment: whatever is given up and taken between the queries that tell it.

One time is given up and then another one taken, before each of the queries in turn: so no answer may leave out both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from store.source import Documents
from store.store import Store
from tests.adapter.fhir.door import call
from tests.adapter.mediloop.clinic import (
    JAMES,
    MULAGO,
    PATH,
    SARAH,
    appointment,
    ids,
    open_clinic,
    put,
    schedule,
    slot,
    with_actors,
)
from tests.adapter.scheduling.weekly import available, open_on, weekly
from tests.conftest import Api

Json = dict[str, Any]
Change = Callable[[], Awaitable[None]]

NINE, TEN, LATE = "2024-01-20T09:00", "2024-01-20T10:00", "2024-01-20T10:30"
FIRST, THIRD = "w.20240120T0900Z.30", "w.20240120T1000Z.30"
DAYS = "date_from=2024-01-20&date_to=2024-01-20"
WINDOW = "start=2024-01-20T00:00:00Z&end=2024-01-21T00:00:00Z"
MOST = 40  # queries: no look needs so many

PUBLISHED = (f"MediLoop: {DAYS}", f"MediLoop: {DAYS}&practitioner_id={SARAH}")
COMPUTED = (f"MediLoop: {DAYS}", f"MediLoop: {DAYS}&practitioner_id={JAMES}")
FOUND = (
    f"Appointment/$find?{WINDOW}",
    f"Appointment/$find?{WINDOW}&practitioner=Practitioner/{{who}}",
    f"Appointment/$find?{WINDOW}&practitioner=Practitioner/{{who}}&location-reference=Location/{MULAGO}",
    f"Appointment/$find?{WINDOW}&duration=30",
    f"Slot/$prefetch?{WINDOW}&practitioner=Practitioner/{{who}}",
)


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)


@contextmanager
def before_query(number: int, change: Change) -> Iterator[None]:
    """Have something happen, wholly, before the query of that number."""
    seen = 0
    usual = Documents._bounded

    async def bounded(self: Documents, sent: Callable[[], Awaitable[Any]]) -> Any:
        nonlocal seen
        seen += 1
        if seen == number:
            await change()
        return await usual(self, sent)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Documents, "_bounded", bounded)
        yield


async def shown(api: Api, path: str) -> frozenset[str]:
    """The Slots that an answer offers."""
    if path.startswith("MediLoop: "):
        return frozenset(ids(await api.get(f"{PATH}availability/?{path.removeprefix('MediLoop: ')}")))
    answer = await call(api, "GET", path)
    assert answer.status_code == 200, answer.text
    found = [entry["resource"] for entry in answer.json()["entry"]]
    return frozenset(
        one["id"] if one["resourceType"] == "Slot" else one["slot"][0]["reference"].partition("/")[2]
        for one in found
        if one["resourceType"] != "OperationOutcome"
    )


async def at_each_query(api: Api, path: str, start: Change, steps: tuple[Change, Change]) -> None:
    """Take both steps before the first, the second, ... query of a look: it must be true of one of the three states."""
    true = []
    await start()
    true.append(await shown(api, path))
    for step in steps:
        await step()
        true.append(await shown(api, path))
    assert len(set(true)) == 3

    for number in range(1, MOST + 1):
        await start()
        done: list[int] = []

        async def both(done: list[int] = done) -> None:
            done.append(1)
            for step in steps:
                await step()

        with before_query(number, both):
            found = await shown(api, path)
        if not done:
            break
        assert found in true, f"before query {number}: {sorted(found)} is none of {[sorted(one) for one in true]}"
    else:
        pytest.fail("there was no end of queries")
    assert number > 3


def putting(store: Store, *resources: Json) -> Change:
    async def change() -> None:
        await put(store, *resources)

    return change


@pytest.mark.parametrize("path", [*PUBLISHED, *(one.format(who=SARAH) for one in FOUND)])
async def test_published_openings_are_those_of_one_moment(
    api: Api,
    store: Store,
    path: str,
) -> None:
    """An appointment without a Slot is in the way of one; it is given up, and another Slot taken."""
    visit = appointment("v", start=NINE)
    start = putting(store, visit, slot("slot-002", TEN, LATE))
    steps = (putting(store, {**visit, "status": "cancelled"}), putting(store, slot("slot-002", TEN, LATE, "busy")))
    await at_each_query(api, path, start, steps)


@pytest.mark.parametrize("by_slot_first", [True, False])
@pytest.mark.parametrize("path", [*COMPUTED, *(one.format(who=JAMES) for one in FOUND)])
async def test_computed_openings_are_those_of_one_moment(
    api: Api,
    store: Store,
    path: str,
    by_slot_first: bool,
) -> None:
    """One time is given up and another taken, of which a Slot tells the one and an appointment the other."""
    hours = available(open_on("", "09:00", "10:30"))
    await put(
        store,
        schedule("sarah", f"Practitioner/{SARAH}", active=False),
        weekly("w", hours, actors=(f"Practitioner/{JAMES}", f"Location/{MULAGO}")),
    )
    visit = appointment("v", start=TEN if by_slot_first else NINE, participant=with_actors(f"Practitioner/{JAMES}"))
    gone = {**visit, "status": "cancelled"}
    opening = (FIRST, NINE, "2024-01-20T09:30") if by_slot_first else (THIRD, TEN, LATE)
    busy, free = (slot(*opening, status, of="w") for status in ("busy", "free"))
    if by_slot_first:
        start, steps = putting(store, busy, gone), (putting(store, free), putting(store, visit))
    else:
        start, steps = putting(store, free, visit), (putting(store, gone), putting(store, busy))
    await at_each_query(api, path, start, steps)
