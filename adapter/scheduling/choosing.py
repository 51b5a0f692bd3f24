"""Which of the free Slots a visit takes that names none: as few as cover its time without a gap, all at one place.

Pure functions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple

from adapter.scheduling.intervals import Interval
from store import slotids
from store.codec import Resource


class Free(NamedTuple):
    """A Slot that may be taken.

    Attributes:
        when: its time.
        slot: the Slot.
        places: the Locations of its Schedule (``Location/l``); none: it is anywhere.
    """

    when: Interval
    slot: Resource
    places: frozenset[str]


def choose(free: Sequence[Free], when: Interval, own: Collection[str], *, one_place: bool) -> list[Resource]:
    """Choose Slots that leave no gap in the time; none where there is one.

    Args:
        free: what may be taken.
        when: the time.
        own: the Slots (``Slot/s``) that the visit holds already: of those that serve alike it keeps them.
        one_place: whether the Slots have to share a place, as where nobody has said where the visit is.
    """
    run = _run(free, when, own)
    if run and one_place and not _share(run):
        places = sorted({place for one in free for place in one.places})
        runs = [_run([one for one in free if not one.places or place in one.places], when, own) for place in places]
        run = min(filter(None, runs), key=lambda found: [_rank(one, own) for one in found], default=[])
    return [one.slot for one in run]


def _share(run: Sequence[Free]) -> bool:
    placed = [one.places for one in run if one.places]
    return not placed or bool(frozenset.intersection(*placed))


def _run(free: Sequence[Free], when: Interval, own: Collection[str]) -> list[Free]:
    taken: list[Free] = []
    reached = when.start
    while reached < when.end:
        usable = [one for one in free if one.when.start <= reached < one.when.end and not _overlaps(one, taken)]
        if not usable:
            return []
        best = _best(usable, when, own)
        reached = best.when.end
        taken.append(best)
    return taken


def _overlaps(one: Free, taken: Sequence[Free]) -> bool:
    """Tell whether it is an opening that is none any more once the Slot before it is taken: such may overlap."""
    return bool(taken) and slotids.is_computed(one.slot) and one.when.start < taken[-1].when.end


def _best(usable: Sequence[Free], when: Interval, own: Collection[str]) -> Free:
    """Of those that reach the end, or reach furthest, choose its own, the shortest; the id settles a tie.

    Rivals must choose alike, to meet there.
    """
    furthest = min(when.end, max(one.when.end for one in usable))
    return min((one for one in usable if one.when.end >= furthest), key=lambda one: _rank(one, own))


def _rank(one: Free, own: Collection[str]) -> tuple[bool, timedelta, str]:
    return f"Slot/{one.slot['id']}" not in own, one.when.end - one.when.start, one.slot["id"]
