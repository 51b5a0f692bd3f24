"""What was asked and what was answered, one JSON line for each call: the evidence that the checker judges."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["ok", "refused", "unknown"]
Kind = Literal["book", "propose", "hold", "confirm", "cancel", "move", "get", "free", "list", "lapse"]

PROPOSED, HELD, BOOKED, CANCELLED = "proposed", "held", "booked", "cancelled"


@dataclass(frozen=True, slots=True)
class Shown:
    """One appointment as a read showed it.

    Attributes:
        tag: which one (the name of the call that made it, sent as the reason of the visit).
        state: ``proposed`` (which takes no time), ``held``, ``booked`` or ``cancelled`` (which has none any more).
        low, high: its time in units of the calendar, from `low` to before `high`.
        over: whether it says that it was booked over others; None: this door does not tell.
    """

    tag: str
    state: str
    low: int
    high: int
    over: bool | None = False

    @property
    def takes(self) -> bool:
        """Whether it takes its time from others."""
        return self.state in (HELD, BOOKED)


@dataclass(frozen=True, slots=True)
class Op:
    """One call.

    Attributes:
        name: of the call, unique; that of a call which makes an appointment is the appointment's tag.
        calendar: whose time it is about: calls on different calendars have nothing to do with one another.
        kind: ``book``, ``propose``, ``hold`` (what is proposed), ``confirm`` (book what is held), ``cancel``, ``move``
            change; ``get`` (one appointment), ``list`` (all that take time) and ``free`` (the free slots) read.
            ``lapse`` is no call: the end of a hold, put in by the checker.
        start, end: seconds of one clock; `end` is None where nobody knows when it was over.
        outcome: ``unknown``: no answer, or one that says so (5xx): it may have been done, at any time from `start`.
        tag: the appointment it is about; empty where the call makes one under its own name.
        low, high: the time it wants.
        over: whether it is to pass over others (`book`, `move`).
        room: how many may hold the same unit of the calendar; the same for all its calls.
        shown: what a read showed of appointments.
        free: the free units that a read showed.
        until: when a hold ends.
        via: the door, and the service process.
        status: of the answer; 0 for none.
    """

    name: str
    calendar: str
    kind: Kind
    start: float
    end: float | None
    outcome: Outcome
    tag: str = ""
    low: int = 0
    high: int = 0
    over: bool = False
    room: int = 1
    shown: tuple[Shown, ...] = ()
    free: tuple[int, ...] = ()
    until: float | None = None
    via: str = ""
    status: int = 0

    @property
    def reads(self) -> bool:
        """Whether it leaves everything as it is."""
        return self.kind in ("get", "free", "list") or self.outcome == "refused"

    def line(self) -> str:
        """Return it as a JSON line."""
        return json.dumps({name: value for name, value in asdict(self).items() if value not in ("", (), None)})

    @classmethod
    def of(cls, line: str) -> Op:
        """Read a JSON line."""
        raw = json.loads(line)
        raw["shown"] = tuple(Shown(**one) for one in raw.get("shown", ()))
        raw["free"] = tuple(raw.get("free", ()))
        return cls(**({"end": None} | raw))


def save(path: Path, ops: Iterable[Op], **about: object) -> None:
    """Write a history; the first line says what made it (seed, seconds)."""
    with path.open("w") as file:
        print(json.dumps({"about": about}), file=file)
        for op in ops:
            print(op.line(), file=file)


def load(path: Path) -> tuple[dict[str, object], list[Op]]:
    """Read a history with what is said about it."""
    first, *rest = path.read_text().splitlines()
    return json.loads(first)["about"], [Op.of(line) for line in rest]
