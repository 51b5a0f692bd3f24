"""Whatever FHIR writes come one after another: what is stored keeps the rules, as found anew from all documents."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from adapter.errors import Refused
from adapter.scheduling.status import GRAPH
from store.codec import Resource, decode
from store.store import Store
from tests.adapter.scheduling.support import linking, of_type, publish_day, role, schedule, settle_all, slot, visit
from tests.scale import examples
from tests.store.support import create, emptied, everything

HOLDING = {"pending", "booked", "arrived", "checked-in", "fulfilled"}
VISITS, SLOTS = ("x", "y", "z", "w"), ("a", "b", "c", "k", "m")
ROLES = {"PractitionerRole/r": "Practitioner/p"}
OWNERS = {"Schedule/s": "Practitioner/p", "Schedule/t": "Practitioner/q"}


def clock(quarter: int) -> str:
    return f"{10 + quarter // 4}:{quarter % 4 * 15:02}"


quarters = st.tuples(st.integers(0, 6), st.integers(1, 3))
people = st.sampled_from(
    [
        *([("Practitioner/p",)] * 3),
        ("Practitioner/q",),
        ("PractitionerRole/r",),
        ("Practitioner/p", "Practitioner/q"),
        (),
    ]
)


@st.composite
def visits(draw: st.DrawFn) -> Resource:
    start, length = draw(quarters)
    status = draw(st.sampled_from([*(["booked"] * 6), "pending", "proposed", "arrived", "cancelled", *GRAPH]))
    named = draw(st.one_of(st.just([]), st.lists(st.sampled_from(SLOTS), max_size=2), st.just([""])))
    if named == [""]:  # one of the day's own slots, and its time
        ident, start, length = draw(st.sampled_from([("a", 0, 2), ("b", 2, 2), ("c", 4, 2), ("k", 0, 3)]))
        named = [ident]
    more: dict[str, Any] = linking(*named) if named else {}
    if draw(st.integers(0, 6)) == 0:
        more["appointmentType"] = of_type("WALKIN")
    ident, who = draw(st.sampled_from(VISITS)), draw(people)
    made = visit(ident, clock(start), clock(start + length), status=status, who=who, **more)
    for participant in made["participant"][1:]:
        participant["status"] = draw(st.sampled_from(["accepted", "accepted", "needs-action", "declined"]))
    return made


@st.composite
def slots(draw: st.DrawFn) -> Resource:
    start, length = draw(quarters)
    status = draw(st.sampled_from(["free", "free", "busy", "busy", "busy-tentative", "busy-unavailable"]))
    return slot(
        draw(st.sampled_from(SLOTS)),
        clock(start),
        clock(start + length),
        status=status,
        schedule=draw(st.sampled_from(["s", "s", "t"])),
    )


@st.composite
def responses(draw: st.DrawFn) -> Resource:
    return {
        "resourceType": "AppointmentResponse",
        "id": draw(st.sampled_from(["r1", "r2"])),
        "appointment": {"reference": f"Appointment/{draw(st.sampled_from(VISITS))}"},
        "actor": {"reference": draw(st.sampled_from(["Practitioner/p", "Practitioner/q"]))},
        "participantStatus": draw(st.sampled_from(["accepted", "declined"])),
    }


def moves_along() -> st.SearchStrategy[tuple[str, str]]:
    """A stored appointment, and the status it is to have: nothing else changes."""
    return st.tuples(st.sampled_from([f"Appointment/{ident}" for ident in VISITS]), st.sampled_from(sorted(GRAPH)))


def set_by_hand() -> st.SearchStrategy[tuple[str, str]]:
    """A stored Slot, and the status it is to have."""
    return st.tuples(st.sampled_from(["Slot/a", "Slot/b"]), st.sampled_from(["busy-tentative", "busy", "free"]))


writes = st.one_of(
    visits(),
    visits(),
    visits(),
    visits(),
    slots(),
    responses(),
    moves_along(),
    moves_along(),
    set_by_hand(),
    set_by_hand(),
    st.sampled_from([f"Appointment/{ident}" for ident in VISITS]),
    st.sampled_from([f"Slot/{ident}" for ident in SLOTS]),
)
sets = st.lists(writes, min_size=1, max_size=3)


async def documents(store: Store, kind: str) -> dict[str, Resource]:
    return {f"{kind}/{one['_id']}": decode(one["_json"]) for one in await store.documents(kind, {})}


def once(wanted: list[Any], stored: dict[str, Resource]) -> list[Resource | str]:
    """The writes of a set with each resource once; what is to be deleted or moved along must be there."""
    found: dict[str, Resource | str] = {}
    for one in wanted:
        if isinstance(one, tuple):
            name, status = one
            if name in stored:
                found.setdefault(name, {**stored[name], "status": status})
        elif isinstance(one, str):
            if one in stored:
                found.setdefault(one, one)
        else:
            found.setdefault(f"{one['resourceType']}/{one['id']}", one)
    return list(found.values())


def minutes(resource: Resource) -> set[int]:
    """The quarters of the day that it takes."""
    first, last = (int(resource[end][11:13]) * 4 + int(resource[end][14:16]) // 15 for end in ("start", "end"))
    return set(range(first, last))


def coming(appointment: Resource) -> set[str]:
    """The practitioners who take part."""
    names = {
        participant["actor"]["reference"]
        for participant in appointment["participant"]
        if participant["status"] != "declined"
    }
    return {ROLES.get(name, name) for name in names if name.startswith("Practitioner")}


def away(appointment: Resource) -> set[str]:
    """The practitioners who have declined."""
    names = [one["actor"]["reference"] for one in appointment["participant"] if one["status"] == "declined"]
    return {ROLES.get(name, name) for name in names}


def named(appointment: Resource) -> list[str]:
    return [link["reference"] for link in appointment.get("slot", [])]


async def require_rules(store: Store) -> None:
    appointments, published = await documents(store, "Appointment"), await documents(store, "Slot")
    holding = [one for one in appointments.values() if one["status"] in HOLDING]
    for one, other in combinations(holding, 2):
        assert not set(named(one)) & set(named(other)), "one slot, two appointments"
        if "appointmentType" not in one and "appointmentType" not in other and coming(one) & coming(other):
            assert not minutes(one) & minutes(other), "one practitioner, two appointments"
    taken = {name: one["status"] for one in holding for name in named(one)}
    for name, holder in taken.items():
        status = published[name]["status"]
        assert status == ("busy-tentative" if holder == "pending" else "busy"), f"{name} is {holder} and {status}"
    for one in holding:
        links = named(one)
        # For what they reach: who stands beside others may outlast them, and whoever names no practitioner; and who has
        # declined is not coming any more.
        reached = "appointmentType" in one or not coming(one)
        kept = reached or any(OWNERS[published[link]["schedule"]["reference"]] in away(one) for link in links)
        spans = [minutes(published[link]) for link in links]
        assert kept or not links or minutes(one) <= set().union(*spans), "not covered"
        assert all(minutes(one) & minutes(published[link]) for link in links), "a slot at another time"


async def answer_to(store: Store, asked: list[Resource | str], fills_slots: bool) -> Refused | None:
    try:
        await settle_all(store, *asked, fills_slots=fills_slots)
    except Refused as refused:
        return refused
    return None


@given(st.lists(st.tuples(sets, st.booleans()), min_size=4, max_size=12))
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_after_any_writes_the_rules_hold(store: Store, history: list[tuple[list[Any], bool]]) -> None:
    await emptied(store)
    await publish_day(store)
    await create(store, role("r"), schedule("t", "Practitioner/q"), slot("k", "10:00", "10:45", schedule="t"))
    for wanted, fills_slots in history:
        before = await everything(store.database)
        stored = await documents(store, "Appointment") | await documents(store, "Slot")
        asked = once(wanted, stored)
        refused = await answer_to(store, asked, fills_slots)
        if refused is not None:
            event(f"{refused.status} {refused.problems[0].code}")
            assert await everything(store.database) == before
            assert all(0 <= (problem.entry or 0) < len(asked) for problem in refused.problems)
        else:
            event(f"{len(asked)} writes accepted")
            for name, after in (await documents(store, "Appointment")).items():
                old = stored.get(name, after)["status"]
                assert after["status"] in (old, "entered-in-error", *GRAPH[old])
            for one in asked:
                if not isinstance(one, str) and one["resourceType"] == "Appointment":
                    assert (await documents(store, "Appointment"))[f"Appointment/{one['id']}"]["start"] == one["start"]
        await require_rules(store)
