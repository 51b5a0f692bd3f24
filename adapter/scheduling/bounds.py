"""How much time may be decided about at once: each hour of each practitioner is a guard that is written.

A month of two thousand practitioners is a request of some kilobytes, and a million and a half guards. So they are
counted before any of them is named.
"""

from __future__ import annotations

from collections.abc import Iterable

from adapter.errors import Problem, TooLarge, Unprocessable
from adapter.scheduling import claims, intervals, reasons
from adapter.scheduling.claimset import ClaimSet, Draft, Stake
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import People

MOST_HOURS = 25_000
"""Hours of practitioners and Schedules, and Slots, that one unit of work may change: about a second of work, and a
quarter of what makes a transaction too large for a small MongoDB. A thousand visits of a day's work for three take as
many, or 33 of a month for one."""


def require_affordable(asked: ClaimSet, known: People) -> None:
    """Let pass a set whose claims are few enough to be compared and guarded; `known` is who is behind the roles.

    Raises:
        Unprocessable: of one change alone they are too many.
        TooLarge: of all together they are; in smaller sets they may pass.
    """
    counted = {visit.draft.entry: (_taken(visit.had), _taken(visit.takes)) for visit in asked.visits.values()}
    for draft in asked.written.values():
        before, after = (0 if one is None else claims.how_many(one) for one in (draft.before, draft.after))
        counted[draft.entry] = before, after
    for visit, stake, when in asked.new if known.behind else ():
        if not stake.beside:
            before, after = counted[visit.draft.entry]
            by_roles = (len(known.names(known.of(stake.people))) - len(stake.people)) * when.how_many_hours()
            counted[visit.draft.entry] = before, after + max(0, by_roles)
    total, faults = 0, []
    for draft in asked.drafts:
        before, after = counted.get(draft.entry, (0, 0))
        total += before + after
        if after > MOST_HOURS and after > before:  # what is stored, from before there was a limit, may be changed
            faults.append(_too_much(draft, after))
    if faults:
        raise Unprocessable(faults)
    if total > MOST_HOURS and len(asked.drafts) > 1:
        text = (
            f"Together they are about {total} hours of practitioners or schedules; {MOST_HOURS} at most can be decided "
            "about at once. Send them in parts."
        )
        raise TooLarge(Problem("too_many_hours", text, issue="too-costly"))


def require_few_hours(moving: Iterable[tuple[int, Interval]]) -> None:
    """Let pass rooms and devices that move along, how many to which times, if their hours are few enough to be named.

    Raises:
        TooLarge: they are not.
    """
    total = sum(many * when.how_many_hours() for many, when in moving)
    if total > MOST_HOURS:
        text = (
            f"The rooms and devices that move along are asked about {total} hours; {MOST_HOURS} at most can be decided "
            "about at once. Move fewer appointments at once, or name the slots."
        )
        raise TooLarge(Problem("too_many_hours", text, issue="too-costly"))


def _taken(stake: Stake | None) -> int:
    """Return how many names it claims (`claims.claims`)."""
    if stake is None:
        return 0
    hours = 0 if stake.when is None or stake.beside else len(stake.people) * stake.when.how_many_hours()
    return len(stake.slots) + hours


def _too_much(draft: Draft, hours: int) -> Problem:
    after = draft.after or {}
    kind, when = after["resourceType"], intervals.of(after)
    what = "A slot" if kind == "Slot" else "An appointment"
    long = None if when is None else reasons.too_long(what, when.start, when.end, f"{kind}.end")
    text = (
        f"It takes {hours} hours of practitioners, {MOST_HOURS} at most: those who take part, each for every hour. "
        "Name fewer of them, or make several of a shorter time."
    )
    problem = long or Problem("too_many_hours", text, f"{kind}.participant", issue="too-costly")
    return Problem(problem.code, problem.message, draft.param or problem.param, issue=problem.issue, entry=draft.entry)
