"""How many hours may be decided about at once: what takes more is refused before the hours are named."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import TooLarge
from adapter.scheduling import bounds, claiming
from adapter.scheduling.claims import claims, how_many
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import at, linking, of_type, refused, role, schedule, settle_all, slot, visit
from tests.store.support import create, everything


def month(ident: str, *who: str, **more: Any) -> Resource:
    """A visit of 31 days, which touches 744 hours."""
    return {
        **visit(ident, who=who or (f"Practitioner/{ident}",)),
        "start": at("00:00", 1),
        "end": "2024-02-01T00:00:00Z",
    } | more


def many(number: int) -> tuple[str, ...]:
    return tuple(f"Practitioner/q{one}" for one in range(number))


@pytest.mark.parametrize(
    "resource",
    [
        visit("a"),
        visit("a", "10:30", "11:30", who=many(3), **linking("s")),
        visit("a", "10:30", None, **linking("s")),
        visit("a", appointmentType=of_type("WALKIN"), **linking("s", "t")),
        visit("a", status="proposed"),
        slot("s", "09:10", "10:50"),
        slot("s", "10:50", "09:10"),
        schedule(),
        month("a"),
    ],
)
def test_claims_are_counted_as_they_are_named(resource: Resource) -> None:
    assert how_many(resource) == len(claims(resource).names)


async def test_a_month_of_a_ward_passes_and_of_thousands_is_refused(store: Store) -> None:
    await settle_all(store, month("x", *many(33)))
    assert await refused(store, month("y", *many(34))) == [("too_many_hours", "Appointment.participant", 0)]


async def test_roles_count_by_all_the_names_of_who_has_them(store: Store) -> None:
    await create(store, *(role(f"r{number}") for number in range(34)))
    wanted = month("x", "PractitionerRole/r0")
    assert await refused(store, wanted) == [("too_many_hours", "Appointment.participant", 0)]
    await settle_all(store, {**wanted, "appointmentType": of_type("WALKIN")})


async def test_what_is_longer_than_anything_may_be_is_told_so(store: Store) -> None:
    ages = {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T00:00:00Z"}
    assert await refused(store, month("x") | ages) == [("invalid_time", "Appointment.end", 0)]
    await create(store, schedule())
    assert await refused(store, slot("a") | ages) == [("invalid_time", "Slot.end", 0)]


async def test_a_set_that_takes_too_much_is_refused_as_a_whole(store: Store) -> None:
    before = await everything(store.database)
    with pytest.raises(TooLarge) as refusal:
        await settle_all(store, *(month(f"x{number}") for number in range(34)))
    [problem] = refusal.value.problems
    assert (problem.code, problem.issue, problem.entry) == ("too_many_hours", "too-costly", None)
    assert await everything(store.database) == before
    await settle_all(store, *(month(f"x{number}") for number in range(33)))


async def test_what_is_given_up_counts_as_well(store: Store) -> None:
    for ident in ("x", "y"):
        await settle_all(store, month(ident, *(f"Practitioner/{ident}{one}" for one in range(20))))
    with pytest.raises(TooLarge):
        await settle_all(store, "Appointment/x", "Appointment/y")


async def test_what_was_stored_before_there_was_a_limit_can_be_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settle_all(store, month("x", *many(10)))
    monkeypatch.setattr(bounds, "MOST_HOURS", 5_000)
    await settle_all(store, month("x", *many(10), comment="bring the film"))
    await settle_all(store, month("x", *many(10), status="cancelled"))


async def test_who_is_asked_for_in_a_later_query_is_in_the_way_as_well(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_MOST", 1)
    await create(store, visit("z", who=("Practitioner/q",)))
    wanted = visit("x", who=("Practitioner/p", "Practitioner/q"))
    assert await refused(store, wanted) == [("time_conflict", "Appointment.start", 0)]
