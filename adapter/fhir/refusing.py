"""Refusals that more than one way into the FHIR API gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from adapter.errors import Malformed, MethodNotAllowed, NotFound, Problem, Refused, few
from store.errors import AlreadyExists, NotUnique


def unknown_type(name: str) -> NotFound:
    """Return the refusal for a resource type, or another word, that this server does not have."""
    text = f"This server has no {name}. Its CapabilityStatement (metadata) lists the types it has."
    return NotFound(Problem("unknown_type", text, issue="not-supported"))


def invalid(name: str, text: str, issue: str = "value") -> Malformed:
    """Return the refusal of a parameter that cannot be taken as it is."""
    return Malformed(Problem("invalid_parameter", text, name, issue=issue))


class Faults:
    """What is wrong with the parameters of a call, or a patch: kept until all has been read, and told together."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keep what is refused within (`Malformed`), and go on after it."""
        try:
            yield
        except Malformed as refused:
            self.take(refused)

    def take(self, refused: Malformed) -> None:
        """Keep what a refusal names."""
        self._problems += refused.problems

    def add(self, name: str, text: str, issue: str = "value") -> None:
        """Keep what `invalid` would refuse."""
        self.take(invalid(name, text, issue))

    def require_none(self, beside: Sequence[Problem] = ()) -> None:
        """Let pass what nothing is wrong with.

        Raises:
            Malformed: with everything that is, and with what is to be told `beside`.
        """
        if self._problems:
            raise Malformed(few([*self._problems, *beside]))


def not_allowed(*methods: str) -> MethodNotAllowed:
    """Return the refusal for a method that a path does not take."""
    allow = ", ".join(methods)
    problem = Problem("method_not_allowed", f"This path takes {allow}.")
    return MethodNotAllowed(problem, headers={"Allow": allow})


def clashed(clash: AlreadyExists | NotUnique, entry: int | None = None) -> Refused:
    """Return the refusal for an id or an identifier that another resource has; `entry`: of several writes, the one."""
    if isinstance(clash, NotUnique):
        text = "Another resource has that identifier already, and it must be unique. Update that one."
        return Refused(Problem("duplicate_identifier", text, issue="duplicate", entry=entry), status=409)
    text = "Somebody made that resource at the same moment. Repeat the request."
    return Refused(Problem("exists", text, entry=entry), status=409)
