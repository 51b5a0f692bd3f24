"""Which of several writes, or which header, the problems of a refusal are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapter.errors import Problem, Refused


def at(refused: Refused, index: int) -> Refused:
    """Let the problems name the write that they are about."""
    return _with(refused, [replace(problem, entry=index) for problem in refused.problems])


def at_header(refused: Refused, header: str) -> Refused:
    """Let what is said of a criterion name the header that this stands in; its text names the criterion."""
    return _with(refused, [one if one.param is None else replace(one, param=header) for one in refused.problems])


def moved(refused: Refused, places: Sequence[int]) -> Refused:
    """Let the problems name the writes that were asked for, where settling knows only the changes they became."""
    return _with(
        refused,
        [
            p if p.entry is None or p.entry >= len(places) else replace(p, entry=places[p.entry])
            for p in refused.problems
        ],
    )


def alone(refused: Refused) -> Refused:
    """Return the refusal of a single write: there are no entries to tell apart."""
    return _with(refused, [replace(problem, entry=None) for problem in refused.problems])


def _with(refused: Refused, problems: Sequence[Problem]) -> Refused:
    return Refused(problems, status=refused.status, headers=refused.headers)
