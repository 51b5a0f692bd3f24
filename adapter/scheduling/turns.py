"""In which order the appointments of a set take the Slots that are found for them.

The result of a transaction must not depend on the order of its entries (https://hl7.org/fhir/R4/http.html#trules). The
appointment with the fewest Slots to choose from comes first; as long as it may help, those that got none go ahead of
the others and all try again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from adapter.errors import Problem
from adapter.scheduling.claimset import Stake, Visit
from adapter.scheduling.intervals import Interval
from adapter.scheduling.world import World

_TRIES = 8  # each goes through the whole set

_Need = tuple[int, datetime, datetime, Sequence[str], Sequence[str], str]


def take(world: World, taken: Callable[[Visit, Stake, Interval], list[Problem]]) -> list[Problem]:
    """Let all new appointments of the set take their Slots; return what stands in their way.

    Args:
        world: keeps what they take.
        taken: lets one take its Slots, and returns what stands in its way.
    """

    def need(claim: tuple[Visit, Stake, Interval]) -> _Need:
        visit, stake, when = claim
        people = world.people.of(stake.people)
        choice = min((len(world.published.offers(person, when)) for person in people), default=0)
        return choice, when.start, when.end, sorted(people), sorted(stake.places), visit.name

    by_need = order = sorted(world.asked.new, key=need)
    tried: list[list[str]] = []
    while len(tried) < _TRIES and (names := [visit.name for visit, _, _ in order]) not in tried:
        refused = {visit.name for visit, stake, when in order if taken(visit, stake, when)}
        if not refused:
            return []
        world.release()
        tried.append(names)
        if names[0] not in refused:  # else the first of all got none, and no other order can help it
            order = sorted(order, key=lambda claim: claim[0].name not in refused)
    return [problem for visit, stake, when in by_need for problem in taken(visit, stake, when)]
