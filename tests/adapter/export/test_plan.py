"""What an export is to hold, as queries: each with an index, and none lost where an earlier version kept the job."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.export.plan import MEMBERS, Plan
from store.exporting import filtered
from store.store import Store

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
PLAN = Plan(MEMBERS, SINCE, {}, patients=("a", "b", "c"), joined=("c",), base="http://x/fhir/R4")


@pytest.mark.parametrize("kind", MEMBERS)
async def test_what_is_of_who_joined_is_read_by_an_index(store: Store, kind: str) -> None:
    selection = PLAN.selection(kind, joined=True)
    query: dict[str, Any] = filtered(selection.queries, {"_id": {"$gt": "m"}})
    told = await store.explain(kind, query, sort=[("_id", 1)])
    assert "COLLSCAN" not in str(told["queryPlanner"]["winningPlan"])


def test_a_plan_is_kept_with_its_job() -> None:
    assert Plan.of(PLAN.document()) == PLAN
    earlier = {name: value for name, value in PLAN.document().items() if name != "joined"}
    assert Plan.of(earlier).joined == ()
