"""Where in a resource a check is, and what it has found there.

A place is a linked tuple, which costs almost nothing to make; its FHIRPath is only spelled out for a problem.
"""

from __future__ import annotations

import re
from typing import Any

from adapter.errors import MOST_NAMED, Problem

Place = tuple[Any, str, int | None] | str
"""The place of the parent, the member's name and the index in a list; a resource's own place is its type's name."""

MOST = MOST_NAMED
"""A body that has more problems is broken as a whole."""

_SIBLING = re.compile(r"_[A-Za-z]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def expression(place: Place) -> str:
    """Return the FHIRPath of `place` (``Appointment.participant[0].actor``); of ``_status`` it is ``status``."""
    steps: list[str] = []
    while not isinstance(place, str):
        place, name, index = place
        steps.append(element(name) if index is None else f"{element(name)}[{index}]")
    return ".".join([place, *reversed(steps)])


def element(name: str) -> str:
    """Return the element that a member is of: of ``_status``, too, that is ``status``."""
    return name[1:] if _SIBLING.match(name) else name


def tellable(name: str) -> bool:
    """Tell whether `name` may be shown: a member's name, and not a patient's that stands where one belongs."""
    return _NAME.fullmatch(name) is not None


class Findings:
    """The problems found so far, in the order of the resource, each once for its place (of a div there are several)."""

    __slots__ = ("_seen", "left_out", "problems")

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.left_out = 0
        self._seen: set[tuple[str, str | None, str]] = set()

    @property
    def full(self) -> bool:
        """Whether what is found from now on is only counted: how it is told is not worth any work."""
        return len(self.problems) >= MOST

    def add(self, code: str, issue: str, message: str, place: Place, *, severity: str = "error") -> None:
        """Add one: `code` for machines, `issue` of FHIR's issue types, `message` with the remedy."""
        if self.full:
            self.left_out += 1  # to tell them apart would be most of the work
            return
        self.take(Problem(code, message, expression(place), issue=issue, severity=severity))

    def take(self, problem: Problem) -> None:
        """Add `problem`, unless the same is told of its place already."""
        key = (problem.code, problem.param, problem.message)
        if key in self._seen:
            return
        if self.full:
            self.left_out += 1
            return
        self._seen.add(key)
        self.problems.append(problem)

    def all(self) -> list[Problem]:
        """Return the problems; the last tells of those that are not named."""
        if not self.left_out:
            return self.problems
        text = f"There are up to {self.left_out} further problems. Repair the ones named here and send it again."
        return [*self.problems, Problem("further_problems", text, issue="structure")]
