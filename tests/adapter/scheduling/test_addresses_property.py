"""By which address something is named changes no decision: the same history is told twice, and goes the same way."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from adapter.errors import Refused
from adapter.scheduling.occupancy import CAPACITY
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import ABROAD, book, linking, role, schedule, settle_all, slot, visit
from tests.adapter.scheduling.test_settling_property import clock, documents, moves_along, once, slots, visits
from tests.scale import examples
from tests.store.support import create, emptied

KINDS = ("Appointment", "Slot", "Schedule", "PractitionerRole")
P, Q, ROLE, ROOM = "Practitioner/p", "Practitioner/q", "PractitionerRole/r", "Location/room"
GROUP = [{"url": CAPACITY, "valueInteger": 3}]

WORLD = (
    role("r"),
    schedule("s", P, "Location/l"),
    schedule("t", ROLE),
    *(schedule(ident, ROOM) for ident in "uv"),
    *(slot(ident, clock(quarter), clock(quarter + 2)) for ident, quarter in (("a", 0), ("b", 2), ("c", 4))),
    {**slot("k", "10:00", "10:45", schedule="t"), "extension": GROUP},
    slot("m", "10:00", "10:30", schedule="u"),
    slot("n", "10:15", "10:45", schedule="v"),
)

things = st.builds(
    lambda ident, name, quarter: visit(ident, clock(quarter), clock(quarter + 2), who=(), **linking(name)),
    st.sampled_from("xyzw"),
    st.sampled_from("mn"),
    st.integers(0, 1),
)
groups = st.builds(
    lambda ident, who: visit(ident, "10:00", "10:45", who=(who,), **linking("k")),
    st.sampled_from("xyzw"),
    st.sampled_from([P, Q, ROLE]),
)
calendars = st.builds(schedule, st.sampled_from("stuv"), st.sampled_from([P, Q, ROLE, ROOM]))
roles = st.builds(role, st.just("r"), st.sampled_from(["p", "q", None]))
writes = st.one_of(
    visits(),
    visits(),
    things,
    groups,
    groups,
    slots(),
    calendars,
    roles,
    moves_along(),
    st.sampled_from([f"Appointment/{ident}" for ident in "xyzw"]),
)
steps = st.one_of(st.lists(writes, min_size=1, max_size=3), visits())
"""What a FHIR client writes at once, or an Appointment that MediLoop books."""


def spelt(value: Any, chance: random.Random | None) -> Any:
    """The same with some of its references as those of a server that nobody here knows; None: with none."""
    if isinstance(value, list | tuple):
        return [spelt(one, chance) for one in value]
    if not isinstance(value, dict):
        return value
    made = {name: spelt(one, chance) for name, one in value.items()}
    if isinstance(made.get("reference"), str):
        alone = made["reference"].removeprefix(f"{ABROAD}/")
        made["reference"] = f"{ABROAD}/{alone}" if chance is not None and chance.random() < 0.5 else alone
    return made


async def told(store: Store, history: list[Any], chance: random.Random | None) -> list[tuple[Any, Any]]:
    """What comes of each step of a history, and what is stored then, addresses and versions apart."""
    await emptied(store)
    await create(store, *spelt(WORLD, chance))
    found: list[tuple[Any, Any]] = []
    for number, wanted in enumerate(history):
        stored = await documents(store, "Appointment")
        outcome: Any = "accepted"
        try:
            if isinstance(wanted, list):
                asked = once(wanted, stored)
                await settle_all(store, *(one if isinstance(one, str) else spelt(one, chance) for one in asked))
            else:
                await book(store, spelt({**wanted, "id": f"booked{number}", "status": "booked"}, chance))
        except Refused as refused:
            outcome = sorted((one.code, str(one.param), one.entry or 0) for one in refused.problems)
        found.append(
            (outcome, {name: plain(one) for kind in KINDS for name, one in (await documents(store, kind)).items()})
        )
    return found


def plain(resource: Resource) -> Resource:
    made: Resource = spelt(resource, None)
    return {name: value for name, value in made.items() if name not in ("meta", "text")}


@given(st.lists(steps, min_size=3, max_size=10), st.integers(0, 2**20))
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_an_address_changes_no_decision(store: Store, history: list[Any], seed: int) -> None:
    expected = await told(store, history, None)
    for outcome, _ in expected:
        event("accepted" if outcome == "accepted" else str(outcome[0][0]))
    assert await told(store, history, random.Random(seed)) == expected
