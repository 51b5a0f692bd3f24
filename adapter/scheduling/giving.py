"""Which Slots the appointments of a claim set give up, so that they are free, or to be had in the same set.

What was held is given up by who holds it no longer. A no-show leaves its Slots busy, until it is entered in error or
deleted; then it gives up none that another no-show leaves busy too, and none that was made anew at another time.

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
        appointments: those that are stored around it.
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
    """Tell whether two appointments or Slots are there at once; of one without a time nobody knows that it is not."""
    when, then = intervals.of(one), intervals.of(other)
    return when is None or then is None or when.overlaps(then)
