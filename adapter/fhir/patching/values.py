"""JSON values as patches handle them: copied, compared, counted, tidied; and the two ways in which a patch fails."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from adapter.errors import Malformed, Problem
from store.codec import Resource

_DEEPEST = 100
_MOST_WORK = 1_000_000
_NODE = 4  # what a copied node costs besides its text
_VISIT = 20
SHOWN = 200
"""Of a pointer or a path, so many characters are repeated in a message."""


class NotApplicable(Exception):
    """An operation cannot be done with this resource.

    Attributes:
        text: why, and what to do.
        code: stable word for machines.
        issue: FHIR's issue type; None for that of the status.
    """

    def __init__(self, text: str, *, code: str = "patch_failed", issue: str | None = None) -> None:
        super().__init__(text)
        self.text, self.code, self.issue = text, code, issue


def malformed(text: str, param: str | None = None, *, issue: str = "structure") -> Malformed:
    """Return the refusal for a patch that no resource could be changed by."""
    return Malformed(Problem("invalid_patch", text, param, issue=issue))


class Budget:
    """How much work one patch may make: a copy can be copied, so a short patch could ask for endless room.

    It grows with the resource, so that one look at each of its values is always in it: a member of a large Group is
    found by what it is. To judge the result takes longer than that.

    It also knows what is empty in the values of the operations: FHIR's JSON has no such thing. What an operation puts
    into a list of its own later, or empties by taking things away, is another matter.

    Attributes:
        step: the index of the operation that is carried out.
    """

    def __init__(self, resource: Resource) -> None:
        self._left = _MOST_WORK + _VISIT * _values_in(resource)
        self.step = 0
        self._given: dict[int, tuple[Any, int]] = {}
        self._nulled: dict[int, tuple[Any, int]] = {}

    def spend(self, work: int) -> None:
        """Count `work` (characters that are copied).

        Raises:
            NotApplicable: there was too much of it.
        """
        self._left -= work
        if self._left < 0:
            text = (
                "The patch makes too much work. Send several patches, lead to items by their places ([n]), or send the "
                "whole resource."
            )
            raise NotApplicable(text, code="patch_too_costly", issue="too-costly")

    def visit(self) -> None:
        """Count an element that a path is tried on."""
        self.spend(_VISIT)

    def give(self, value: Any) -> Any:
        """Return a copy of what an operation brings, and remember what is empty in it."""
        given = clone(value)
        for empty in _empty(given):
            self._given[id(empty)] = (empty, self.step)  # kept, so that the id stays its own
        return given

    def give_null(self, holder: Any) -> None:
        """Remember an object or list that an operation has put a null into: a list of nothing else is empty."""
        self._nulled[id(holder)] = (holder, self.step)

    def left_empty(self, resource: Any) -> int | None:
        """Return the index of an operation that brought something empty which is so still; None where there is none."""
        if not self._given and not self._nulled:
            return None
        left: list[int] = []
        for empty in _empty(resource):
            # A list without items holds the null no more: it was taken away again.
            given = self._given.get(id(empty)) or (self._nulled.get(id(empty)) if empty else None)
            if given is not None:
                left.append(given[1])
        return min(left, default=None)

    def weigh(self, value: Any, depth: int = 0) -> None:
        """Count a copy of `value`."""
        _require_shallow(depth)
        if isinstance(value, dict):
            for name, inner in value.items():
                self.spend(len(name))
                self.weigh(inner, depth + 1)
        elif isinstance(value, list):
            for inner in value:
                self.weigh(inner, depth + 1)
        self.spend(len(value) + _NODE if isinstance(value, str) else _NODE)


def clone(value: Any, depth: int = 0) -> Any:
    """Return a deep copy; numbers keep their digits.

    Raises:
        NotApplicable: `value` is nested so deeply that it could not be stored.
    """
    if isinstance(value, dict):
        _require_shallow(depth)
        return {
            name: clone(inner, depth + 1) if isinstance(inner, dict | list) else inner for name, inner in value.items()
        }
    if isinstance(value, list):
        _require_shallow(depth)
        return [clone(inner, depth + 1) if isinstance(inner, dict | list) else inner for inner in value]
    return value


def _values_in(value: Any) -> int:
    """Return how many values there are within: members, and items of lists."""
    if not isinstance(value, dict | list):
        return 0
    return len(value) + sum(map(_values_in, value.values() if isinstance(value, dict) else value))


def _empty(value: Any, *, aligned: bool = False) -> Iterator[Any]:
    """Yield the lists and objects in `value` that are empty, as one of null is that is not `aligned` with another."""
    if isinstance(value, dict):
        if not value:
            yield value
        for name, inner in value.items():
            yield from _empty(inner, aligned=name.startswith("_") or not _is_void(value.get(f"_{name}", [])))
    elif isinstance(value, list):
        if not value or (_is_void(value) and not aligned):
            yield value
        for inner in value:
            yield from _empty(inner)


def _is_void(value: Any) -> bool:
    """Tell whether this is a list in which there is nothing but null."""
    return type(value) is list and all(item is None for item in value)


def _require_shallow(depth: int) -> None:
    if depth > _DEEPEST:
        text = f"It is nested more than {_DEEPEST} levels deep. Send a flatter value."
        raise NotApplicable(text, code="too_deep", issue="structure")


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal (RFC 6902 section 4.6): numbers by value, ``true`` only itself."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(value, other[name]) for name, value in one.items())
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, int | Decimal):
        return isinstance(other, int | Decimal) and one == other
    return type(one) is type(other) and bool(one == other)


def tidy(resource: Resource) -> Resource:
    """Return `resource` without the lists and objects that became empty: FHIR's JSON has none.

    Raises:
        NotApplicable: it is nested too deeply.
    """
    tidied: Resource = _tidied(resource, 0)
    return tidied


def _tidied(value: Any, depth: int, *, aligned: bool = False) -> Any:
    _require_shallow(depth)
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for name, inner in value.items():
            kept = _tidied(inner, depth + 1, aligned=name.startswith("_")) if type(inner) in _NESTING else inner
            if kept or type(kept) not in _NESTING:
                made[name] = kept
        # Lists in which only null is left: extensions first, as they keep a list of nulls in its place.
        void = [name for name, inner in made.items() if _is_void(inner)]
        for name in sorted(void):  # an underscore comes before small letters
            if name.startswith("_") or f"_{name}" not in made:
                del made[name]
        return made
    items = [_tidied(inner, depth + 1) if type(inner) in _NESTING else inner for inner in value]
    if aligned:  # with a list of primitives: the places count
        return [None if type(item) in _NESTING and not item else item for item in items]
    return [item for item in items if item or type(item) not in _NESTING]


_NESTING = (dict, list)
