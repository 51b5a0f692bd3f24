"""What an export is to hold, as queries: each with an index, and none lost where an earlier version kept the job."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.export.plan import MEMBERS, Plan
from store.exporting import filtered
from store.store import Store
from tests.store.support import explain

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
PLAN = Plan(MEMBERS, SINCE, {}, patients=("a", "b", "c"), joined=("c",), base="http://x/fhir/R4")


@pytest.mark.parametrize("kind", MEMBERS)
async def test_what_is_of_who_joined_is_read_by_an_index(store: Store, kind: str) -> None:
    selection = PLAN.selection(kind, joined=True)
    query: dict[str, Any] = filtered(selection.queries, {"_id": {"$gt": "m"}})
    told = await explain(store, kind, query, sort=[("_id", 1)])
    assert "COLLSCAN" not in str(told["queryPlanner"]["winningPlan"])


@pytest.mark.parametrize("kind", [one for one in MEMBERS if one != "Patient"])
async def test_filters_name_the_patients_once_and_have_an_index(store: Store, kind: str) -> None:
    own = [{"_index.identifier": "x"}, {"_index.identifier": "y"}]
    plan = Plan((kind,), filters={kind: own}, patients=("a", "b"), base="http://x/fhir/R4")
    [query] = plan.queries(kind)
    assert str(query).count("'Patient/a'") == 1
    told = await explain(store, kind, filtered([query], {"_id": {"$gt": "m"}}), sort=[("_id", 1)])
    assert "COLLSCAN" not in str(told["queryPlanner"]["winningPlan"])


def test_the_largest_of_its_queries_is_told() -> None:
    small = Plan(MEMBERS, base="http://x/fhir/R4")
    assert small.largest < 500
    many = tuple(f"{number:036}" for number in range(1_000))
    assert 150_000 < Plan(MEMBERS, patients=many, base="http://x/fhir/R4").largest < 250_000
    joined = Plan(MEMBERS, SINCE, patients=many, joined=many[500:], base="http://x/fhir/R4")
    assert 150_000 < joined.largest < 250_000


def test_a_plan_is_kept_with_its_job() -> None:
    assert Plan.of(PLAN.document()) == PLAN
    earlier = {name: value for name, value in PLAN.document().items() if name != "joined"}
    assert Plan.of(earlier).joined == ()
