"""Which Slots the appointments of a claim set give up: they become free, or can be taken in the same set.

An appointment that no longer holds a Slot gives it up. A no-show leaves its Slots busy until it is entered in error or
deleted. Even then it does not give up a Slot that another no-show leaves busy as well, nor one that has since been made
anew at another time.

Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapter.scheduling import intervals
from adapter.scheduling.claimset import Visit, left_busy
from store.codec import Resource


def given_up(
    visits: Mapping[str, Visit], appointments: Mapping[str, Resource], slots: Mapping[str, Resource]
) -> set[str]:
    """Return the Slots that `visits` give up.

    Args:
        visits: the appointments of the set, by relative reference.
        appointments: the stored ones beside them.
        slots: as they are going to be.
    """
    final = {name: visit.appointment for name, visit in visits.items()}
    noshows = [one for one in ({**appointments} | final).values() if one.get("status") == "noshow"]
    left = {name for one in noshows for name in left_busy(one) if share_a_moment(one, slots.get(name, {}))}
    return {
        name
        for one in visits.values()
        for name in one.gives_up
        if one.had is not None or (name not in left and share_a_moment(one.draft.before or {}, slots.get(name, {})))
    }


def share_a_moment(one: Resource, other: Resource) -> bool:
    """Tell whether two appointments or Slots may be there at once; one without a time may always be."""
    when, then = intervals.of(one), intervals.of(other)
    return when is None or then is None or when.overlaps(then)
