"""What an operation of a FHIRPath Patch brings: a ``value[x]`` of some datatype, a resource, or an element in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.fhir.patching.locating import members_named
from adapter.fhir.patching.values import SHOWN, NotApplicable, clone, malformed
from adapter.fhir.validation.definitions import Member, Type
from adapter.fhir.validation.primitives import PRIMITIVES

_RESOURCE = "a resource"
_IN_PARTS = "an element in parts"
_KINDS = {
    "boolean": "boolean",
    "decimal": "number",
    "integer": "number",
    "positiveInt": "number",
    "unsignedInt": "number",
}


@dataclass(frozen=True, slots=True)
class Content:
    """A value and its type.

    Attributes:
        datatype: FHIR's name, ``_RESOURCE`` or ``_IN_PARTS``.
        value: in JSON; the parts, where it comes in parts.
        sibling: the id and extensions of a primitive value.
    """

    datatype: str
    value: Any = None
    sibling: Any = None

    def placed(self, members: Mapping[str, Member], name: str) -> tuple[str, Member, Any, Any]:
        """Return where this goes and what goes there: name in JSON, member, value and sibling.

        Args:
            members: those that an element's name stands for; one of them must take this type.
            name: the element's.

        Raises:
            NotApplicable: it is of another type than the element, or of a choice the parts do not tell which.
        """
        found = [one for one in members.items() if self._suits(one[1], choice=len(members) > 1)]
        if len(found) > 1:
            found = [one for one in found if self._has_parts_of(one[1])]
            if len(found) > 1:
                raise NotApplicable(f"The parts do not tell of which type {name[:SHOWN]} is. Give it as a value[x].")
        if not found:
            raise NotApplicable(f"{name[:SHOWN]} does not take {self.datatype[:SHOWN]}.")
        json, member = found[0]
        value = clone(self.value)
        if self.datatype == _IN_PARTS and member.type is not None:
            value = _assembled(member.type(), value)
        return json, member, value, clone(self.sibling)

    def _has_parts_of(self, member: Member) -> bool:
        """Tell whether a type of a choice has all these parts as elements."""
        return member.type is not None and all(members_named(member.type(), name) for name, _ in self.value)

    def _suits(self, member: Member, *, choice: bool) -> bool:
        if member.primitive is None:
            if member.type is None:
                return self.datatype == _RESOURCE
            named = self.datatype in (member.type().name, "BackboneElement", "Element")
            return self.datatype == _IN_PARTS or (named and isinstance(self.value, dict))
        if self.datatype not in PRIMITIVES:
            return False
        if choice:  # its type decides which member it becomes
            return member.primitive.name == self.datatype
        # A string for a code or a date is what many send; whether it is one is judged with the whole resource.
        return _KINDS.get(member.primitive.name) == _KINDS.get(self.datatype)


def content_of(part: Mapping[str, Any], where: str) -> Content:
    """Read a part of a Parameters resource that holds a value.

    Raises:
        Malformed: it has none, or several.
    """
    names = [name for name in part if name.startswith("value") or name in ("resource", "part")]
    bare = [name[1:] for name in part if name.startswith("_value")]
    if not names and len(bare) == 1:
        names = bare
    if len(names) != 1 or (bare and bare != names):
        raise malformed("A part has one of value[x], resource and part.", where)
    try:
        value, sibling = clone(part.get(names[0])), clone(part.get(f"_{names[0]}"))
    except NotApplicable as refused:
        raise malformed(refused.text, where) from None
    if names[0] == "resource":
        return Content(_RESOURCE, value)
    if names[0] == "part":
        return Content(_IN_PARTS, _parts(value, where))
    kind = names[0].removeprefix("value")
    primitive = kind[:1].lower() + kind[1:]
    return Content(primitive if primitive in PRIMITIVES else kind, value, sibling)


def _parts(parts: Any, where: str) -> list[tuple[str, Content]]:
    found: list[tuple[str, Content]] = []
    for index, part in enumerate(parts if isinstance(parts, list) else [None]):
        place = f"{where}.part[{index}]"
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise malformed("A part is an object with a name.", place)
        found.append((part["name"], content_of(part, place)))
    return found


def _assembled(kind: Type, parts: list[tuple[str, Content]]) -> dict[str, Any]:
    """Return an element of `kind`, made of its parts; a name that comes twice is a list with two items.

    Raises:
        NotApplicable: `kind` has no such element, or it does not repeat.
    """
    made: dict[str, Any] = {}
    for name, content in parts:
        members = members_named(kind, name)
        if not members:
            raise NotApplicable(f"{kind.name} has no element {name[:SHOWN]}.")
        taken = f"{kind.name}.{name[:SHOWN]} is given twice, and does not repeat."
        place(made, members, content.placed(members, name), taken)
    return made


def place(
    owner: dict[str, Any], members: Mapping[str, Member], placed: tuple[str, Member, Any, Any], taken: str
) -> None:
    """Give an object an element, one item more where it repeats.

    Args:
        owner: the object.
        members: all that the element may be called there (``valueString``, ``valueCode``).
        placed: what it becomes (`Content.placed`).
        taken: what to refuse it with where it is there already, by whatever of these names, and does not repeat.

    Raises:
        NotApplicable: so it is.
    """
    json, member, value, sibling = placed
    if member.many:
        append(owner, json, value, sibling)
    elif any(key in owner or f"_{key}" in owner for key in members):
        raise NotApplicable(taken)
    else:
        put(owner, json, value, sibling)


def put(owner: dict[str, Any], name: str, value: Any, sibling: Any) -> None:
    """Set an element that does not repeat; what it was is gone, extensions included."""
    for key, one in ((name, value), (f"_{name}", sibling)):
        if one is None:
            owner.pop(key, None)
        else:
            owner[key] = one


def append(owner: dict[str, Any], name: str, value: Any, sibling: Any) -> None:
    """Add an item to the end of a list."""
    end = length(owner, name)
    splice(owner, name, end, end, [(value, sibling)])


def splice(owner: dict[str, Any], name: str, start: int, stop: int, pairs: Sequence[tuple[Any, Any]]) -> None:
    """Put `pairs`, items with their siblings, in the place of those from `start` to `stop` of a list.

    The list is changed where it is, and nobody looks at the other items: a Group has 50,000, a patch 1,000 operations.
    Siblings of which only null is left go with all that is empty, once the patch is applied (`tidy`).
    """
    values, siblings = lists(owner, name)
    if siblings or any(sibling is not None for _, sibling in pairs):
        end = length(owner, name)
        for items in (values, siblings):
            items += [None] * (end - len(items))
        siblings[start:stop] = [sibling for _, sibling in pairs]
    values[start:stop] = [value for value, _ in pairs]
    put(owner, name, values or None, siblings or None)


def length(owner: Mapping[str, Any], name: str) -> int:
    """Return how many items a list has; one that has extensions only is one, too."""
    return max(map(len, lists(owner, name)))


def lists(owner: Mapping[str, Any], name: str) -> tuple[list[Any], list[Any]]:
    """Return the items of a list, and their siblings, which may be fewer; empty where there is none."""
    values, siblings = owner.get(name), owner.get(f"_{name}")
    return values if isinstance(values, list) else [], siblings if isinstance(siblings, list) else []
