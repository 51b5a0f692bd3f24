"""Who claims many names is asked for in parts."""

from __future__ import annotations

import pytest

from adapter.scheduling import claiming, claims, intervals
from store.store import Store
from tests.adapter.scheduling.support import visit
from tests.store.support import create


async def test_what_two_queries_find_is_there_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "_MOST", 1)
    long = visit("x", "09:30", "10:45")
    await create(store, long, visit("y", "11:00", "11:30"), visit("z", "14:00", "14:30"))
    when = intervals.of(long)
    assert when is not None
    names = [*claims.names(["Practitioner/p"], when), "Practitioner/p|2024-01-20T11", "Practitioner/q|2024-01-20T10"]
    found = await store.transact(lambda work: claiming.found(work, "Appointment", names))
    assert list(found) == ["Appointment/x", "Appointment/y"]


def test_no_query_is_made_for_nothing() -> None:
    assert list(claiming.queries([])) == []
