"""Is a history what one calendar, asked one call at a time, could have answered?

For every calendar by itself the checker looks for an order of its calls that respects real time (a call that was
answered before another was made comes before it) and in which each answer is the one that the sequential model gives:
a search after Wing and Gong, with the memory of Lowe (https://doi.org/10.1002/cpe.3928): a set of calls done and the
state they left is never tried twice. A call without an answer may come anywhere from its start on, or never.

The model knows appointments with a state and a time. Booking, holding and moving need time that no other appointment
has, or, where a calendar has room for several, that fewer have than there is room for. What is booked over others
needs nothing, and from then on takes its time like any other. The end of a hold is an event of its own, due at its
moment and `GRACE` seconds after at the latest. That openings are computed makes no difference: they are free where
nobody has taken them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tests.linearizability.history import BOOKED, CANCELLED, HELD, PROPOSED, Op, Shown

GRACE = 0.5
"""Seconds by which clocks and answers may round the end of a hold."""

UNKNOWN_SPAN = 30.0
"""Seconds after its start within which the end of a hold was decided whose answer is unknown."""

_MOST = 3_000_000  # steps of a search before it gives up

_MAKES = {"book": BOOKED, "propose": PROPOSED, "hold": HELD}
_TAKES = {"hold": HELD, "confirm": BOOKED}

State = frozenset[Shown]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one calendar.

    Attributes:
        calendar: which.
        reason: empty where its calls are linearizable; else what stands where no order goes on.
        steps: of the search.
    """

    calendar: str
    reason: str = ""
    steps: int = 0

    @property
    def sound(self) -> bool:
        """Whether there is an order."""
        return not self.reason


class Undecided(AssertionError):
    """The search took too long: the workload made a calendar with too many calls at once."""


def check(ops: Iterable[Op]) -> list[Verdict]:
    """Judge a history, each calendar by itself."""
    calendars: dict[str, list[Op]] = defaultdict(list)
    for op in ops:
        calendars[op.calendar].append(op)
    return [judge(name, found) for name, found in calendars.items()]


def judge(calendar: str, ops: Sequence[Op]) -> Verdict:
    """Judge the calls on one calendar."""
    fault = next((text for op in ops if (text := overlap_in(op))), "")
    if fault:
        return Verdict(calendar, fault)
    return _Search(calendar, [*(op for op in ops if not _says_nothing(op)), *_lapses(ops)]).run()


def overlap_in(op: Op) -> str:
    """Return what is wrong in one answer by itself: more at the same time than there is room for.

    Those that were booked over others do not count, nor do any where the door does not tell which those are.
    """
    taken: dict[int, list[str]] = defaultdict(list)
    for one in op.shown:
        if not one.takes or one.over is not False:
            continue
        for unit in range(one.low, one.high):
            taken[unit].append(one.tag)
            if len(taken[unit]) > op.room:
                return f"{op.name} shows {' and '.join(taken[unit])} at the same time ({unit})"
    return ""


def _says_nothing(op: Op) -> bool:
    return op.outcome == "unknown" and op.kind in ("get", "free", "list")


def _lapses(ops: Iterable[Op]) -> Iterable[Op]:
    """Make the end of every hold an event."""
    for op in ops:
        if op.kind != "hold" or op.outcome == "refused" or op.until is None:
            continue
        # One that was stored when it was over already, by a server that had stood still, ends after that.
        first, last = op.until, max(op.until, op.end or 0) + GRACE
        if op.outcome == "unknown":  # its moment was decided some time after the start
            last += UNKNOWN_SPAN
        yield Op(f"end of {op.name}", op.calendar, "lapse", first, last, "ok", tag=op.tag or op.name)


def apply(state: State, op: Op) -> State | None:
    """Return the state after `op` with the answer that it got; None where it cannot have got that answer."""
    if op.reads:
        return state if _agrees(state, op) else None
    mine = next((one for one in state if one.tag == (op.tag or op.name)), None)
    after = _after(state, op, mine)
    if after is None:
        # What was not answered may also have been refused; the end of a hold that has become something else is none.
        return state if op.outcome == "unknown" or op.kind == "lapse" else None
    return frozenset(one for one in state if one is not mine) | {after}


def _after(state: State, op: Op, mine: Shown | None) -> Shown | None:
    """Return the appointment that a change makes; None where it is not possible."""
    if op.kind in _MAKES and mine is None:
        made = Shown(op.tag or op.name, _MAKES[op.kind], op.low, op.high, op.over)
        return None if made.takes and _taken(state, made, op.room) else made
    if mine is None or mine.state == CANCELLED or op.kind in ("book", "propose"):
        return None
    if mine.state == PROPOSED and op.kind in _TAKES:
        return None if _taken(state, mine, op.room) else replace(mine, state=_TAKES[op.kind])
    if op.kind == "cancel":
        return replace(mine, state=CANCELLED)
    if op.kind == "lapse":
        return replace(mine, state=CANCELLED) if mine.state == HELD else None
    if op.kind == "confirm":
        return replace(mine, state=BOOKED) if mine.state == HELD else None
    if op.kind == "hold":
        return None
    moved = replace(mine, low=op.low, high=op.high, over=op.over)
    # Of the time that it had it was there first: it keeps its place there, whoever has been booked over it since.
    kept = range(0) if mine.over else range(mine.low, mine.high)
    return None if _taken(state - {mine}, moved, op.room, kept) else moved


def _taken(state: State, wanted: Shown, room: int, kept: range = range(0)) -> bool:
    """Tell whether there is no room for what is wanted in one of its units, those apart that are kept.

    What is booked over others needs none.
    """
    needed = set(range(wanted.low, wanted.high)) - set(kept)
    return not wanted.over and not _full(state, room).isdisjoint(needed)


def _full(state: State, room: int) -> set[int]:
    """Return the units that as many hold as there is room for, or more."""
    held = Counter(unit for one in state if one.takes for unit in range(one.low, one.high))
    return {unit for unit, count in held.items() if count >= room}


def _as_shown(state: State, shown: Iterable[Shown]) -> State:
    """Return the state as a door shows it that does not tell what was booked over others, if `shown` is of one."""
    if all(one.over is not None for one in shown):
        return state
    return frozenset(replace(one, over=None) for one in state)


def _agrees(state: State, op: Op) -> bool:
    """Tell whether what was read, or refused, is so."""
    if op.kind == "get":
        seen = _as_shown(state, op.shown)
        return all(one in seen for one in op.shown) if op.shown else all(one.tag != op.tag for one in state)
    if op.kind == "list":
        return frozenset(op.shown) == frozenset(one for one in _as_shown(state, op.shown) if one.takes)
    if op.kind == "free":
        return frozenset(op.free) == frozenset(range(op.low, op.high)) - _full(state, op.room)
    mine = next((one for one in state if one.tag == (op.tag or op.name)), None)
    return _after(state, replace(op, outcome="ok"), mine) is None


class _Search:
    """One calendar's search for an order."""

    def __init__(self, calendar: str, ops: Sequence[Op]) -> None:
        self._calendar = calendar
        self._ops = sorted(ops, key=lambda op: op.start)
        self._ends = [math.inf if op.outcome == "unknown" or op.end is None else op.end for op in self._ops]
        for place, op in enumerate(self._ops):
            if op.kind == "lapse" and op.end is not None:
                self._ends[place] = op.end
        self._must = sum(1 << place for place, end in enumerate(self._ends) if end != math.inf)
        self._steps = 0
        self._best = -1
        self._stuck = ""

    def run(self) -> Verdict:
        seen: set[tuple[int, State]] = set()
        stack: list[tuple[int, State]] = [(0, frozenset())]
        while stack:
            done, state = self._settle(*stack.pop())
            if (done, state) in seen:
                continue
            seen.add((done, state))
            self._steps += 1
            if self._steps > _MOST:
                raise Undecided(f"{self._calendar}: no verdict after {_MOST} steps of {len(self._ops)} calls")
            if done & self._must == self._must:
                return Verdict(self._calendar, "", self._steps)
            possible = self._possible(done)
            moves = [
                (done | 1 << place, after)
                for place in possible
                if (after := apply(state, self._ops[place])) is not None
                and not (after == state and self._ends[place] == math.inf)
            ]
            if not moves:
                self._note(done, state, possible)
            # The last is tried first: what was answered soonest, as it was most likely done first.
            moves.sort(key=lambda move: -self._ends[(move[0] ^ done).bit_length() - 1])
            stack.extend(moves)
        return Verdict(self._calendar, self._stuck or "no order", self._steps)

    def _possible(self, done: int) -> list[int]:
        """Return the calls that may come next: those made before the first answer of what is left."""
        bound = math.inf
        found: list[int] = []
        for place, op in enumerate(self._ops):
            if op.start > bound:
                break
            if not done >> place & 1:
                found.append(place)
                bound = min(bound, self._ends[place])
        return [place for place in found if self._ops[place].start <= bound]

    def _settle(self, done: int, state: State) -> tuple[int, State]:
        """Take every read that agrees at once: it changes nothing, so no order is lost by taking it first."""
        going = True
        while going:
            going = False
            for place in self._possible(done):
                op = self._ops[place]
                if op.reads and _agrees(state, op):
                    done |= 1 << place
                    going = True
        return done, state

    def _note(self, done: int, state: State, possible: Sequence[int]) -> None:
        reached = done.bit_count()
        if reached <= self._best:
            return
        self._best = reached
        standing = ", ".join(
            f"{one.tag} {one.state} {one.low}-{one.high}{' over' if one.over else ''}"
            for one in sorted(state, key=lambda one: (one.low, one.tag))
        )
        waiting = "\n  ".join(self._ops[place].line() for place in possible if self._ends[place] != math.inf)
        self._stuck = (
            f"{self._calendar}: after {reached} of {len(self._ops)} calls nothing goes on from [{standing}]; "
            f"none of these can have been answered so:\n  {waiting}"
        )
