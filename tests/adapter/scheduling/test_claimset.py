"""What each Appointment of a claim set takes and gives up, told from its two versions alone."""

from __future__ import annotations

import pytest

from adapter.scheduling import occupancy
from adapter.scheduling.claimset import Draft, Stake, Visit
from store.codec import Resource
from tests.adapter.scheduling.sharing import over
from tests.adapter.scheduling.support import visit


def stake(appointment: Resource) -> Stake:
    found = Stake.of(appointment)
    assert found is not None
    return found


def by_key(key: str) -> Resource:
    """An appointment that was booked over others by the key."""
    return occupancy.signed(over(visit("x")), key)


def test_who_gets_a_time_or_loses_it_takes_another_than_it_had() -> None:
    """One that came without an end has taken nobody's time yet."""
    timed, timeless = stake(visit("x")), stake(visit("x", end=None))
    assert timed.outlasts(timeless)
    assert timeless.outlasts(timed)
    assert not timeless.outlasts(timeless)


@pytest.mark.parametrize(
    ("before", "sent", "signed"),
    [
        (by_key("key-1"), over(visit("x")), "key-1"),
        (by_key("key-1"), by_key("key-2"), "key-1"),
        (over(visit("x")), by_key("key-2"), "key-2"),
        (None, by_key("key-2"), "key-2"),
    ],
)
def test_a_copy_may_bring_who_booked_it_over_others_where_nobody_is_known(
    before: Resource | None, sent: Resource, signed: str
) -> None:
    """The extension of who it was is the service's own: what it has recorded, no import takes away."""
    copy = Visit(Draft(0, before, sent, sent=sent), copied=True)
    copy.sign("")
    assert copy.draft.after is not None
    assert occupancy.by(copy.draft.after) == signed


def test_what_is_written_here_never_says_itself_who_booked_it_over_others() -> None:
    changed = Visit(Draft(0, over(visit("x")), by_key("somebody"), sent=by_key("somebody")))
    changed.sign("key-1")
    assert changed.draft.after == over(visit("x"))
