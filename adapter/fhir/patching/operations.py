"""FHIRPath Patch: the operations of a Parameters resource (https://hl7.org/fhir/R4/fhirpatch.html).

Each names one element by a path. `add` appends, or sets what is not there yet; `insert` and `move` work on a whole
list; `replace` needs something to replace; `delete` is content where there is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapter.errors import Malformed
from adapter.fhir.patching.contents import Content, content_of, length, place, put, splice
from adapter.fhir.patching.fhirpath import Path, read_path
from adapter.fhir.patching.locating import Node, locate, members_named
from adapter.fhir.patching.values import SHOWN, Budget, NotApplicable, malformed
from adapter.fhir.refusing import Faults
from adapter.fhir.validation.definitions import Member
from store.codec import Resource

_NEEDS = {
    "add": ("name", "value"),
    "insert": ("value", "index"),
    "delete": (),
    "replace": ("value",),
    "move": ("source", "destination"),
}
_TEXTS = ("type", "path", "name")
_NUMBERS = ("index", "source", "destination")


@dataclass(frozen=True, slots=True)
class ElementOperation:
    """One operation.

    Attributes:
        kind: add, insert, delete, replace or move.
        text: the path, as it was sent.
        path: the same, read.
        name: of the element that `add` adds.
        content: what is added, inserted or put in the place.
        index: where `insert` puts it.
        source, destination: where `move` takes an item and where it puts it.
    """

    kind: str
    text: str
    path: Path
    name: str = ""
    content: Content | None = None
    index: int = 0
    source: int = 0
    destination: int = 0

    @property
    def label(self) -> str:
        """What it does and where."""
        return f"{self.kind} {self.text[:SHOWN]}"

    def expression(self, kind: str) -> str:
        """Return the path; the resource where it does not begin with that, as an element's name alone is none."""
        return self.text if self.text[0].isupper() else kind

    def carry_out(self, resource: Resource, budget: Budget) -> Resource:
        """Change `resource` and return it.

        Raises:
            NotApplicable: the path leads nowhere, or to several elements; the value is of another type.
        """
        nodes = locate(self.path, resource, budget)
        if self.kind == "delete":
            if nodes:
                _delete(_single(nodes))
        elif self.kind == "move":
            _move(_list(nodes), self.source, self.destination)
        elif self.content is None:
            raise AssertionError("these operations have a value")
        elif self.kind == "add":
            _add(_single(nodes), self.name, self.content)
        elif self.kind == "insert":
            _insert(_list(nodes), self.index, self.content)
        else:
            _replace(_single(nodes), self.content)
        return resource


def read(parameters: list[Any]) -> list[ElementOperation]:
    """Read the parameters of a FHIRPath Patch.

    Raises:
        Malformed: with each that is no operation, has a part that is missing, unknown or there twice, or a path that is
            none.
    """
    found: list[ElementOperation] = []
    faults = Faults()
    for index, parameter in enumerate(parameters):
        with faults.noted():
            found.append(_operation(parameter, f"Parameters.parameter[{index}]"))
    faults.require_none()
    return found


def _operation(parameter: Any, where: str) -> ElementOperation:
    if not isinstance(parameter, dict) or parameter.get("name") != "operation":
        raise malformed("Each parameter of a FHIRPath Patch is named operation.", where)
    faults = Faults()
    parts: dict[str, Any] = {}
    given = parameter.get("part")
    for index, part in enumerate(given if isinstance(given, list) else ()):
        name = part.get("name") if isinstance(part, dict) else None
        if name not in (*_TEXTS, *_NUMBERS, "value") or name in parts:
            text = f"An operation has the parts {', '.join((*_TEXTS, 'value', *_NUMBERS))}, each once."
            faults.take(malformed(text, f"{where}.part[{index}]"))
        else:
            parts[name] = part
    kind = ""
    with faults.noted():
        kind = _kind(parts, where)
    made: dict[str, Any] = {}
    for name in ("path", *_NEEDS[kind]) if kind else ():
        if name not in parts:
            faults.take(malformed(f"An operation of type {kind} needs the part {name}.", where, issue="required"))
            continue
        with faults.noted():
            made |= _read_part(parts, name, where)
    faults.require_none()
    return ElementOperation(kind, **made)


def _kind(parts: Mapping[str, Any], where: str) -> str:
    kind = _text(parts, "type", where)
    if kind not in _NEEDS:
        raise malformed(f"The type of an operation is one of {', '.join(_NEEDS)}.", where, issue="value")
    return kind


def _read_part(parts: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """Return what a part tells of the operation."""
    if name == "path":
        text = _text(parts, name, where)
        return {"text": text, "path": _path(text, where)}
    if name == "name":
        return {name: _text(parts, name, where)}
    if name == "value":
        return {"content": content_of(parts[name], where)}
    return {name: _number(parts[name], name, where)}


def _path(text: str, where: str) -> Path:
    try:
        return read_path(text)
    except Malformed as refused:
        raise Malformed([replace(problem, param=where) for problem in refused.problems]) from None


def _text(parts: Mapping[str, Any], name: str, where: str) -> str:
    value = _only(parts.get(name, {}))
    if not isinstance(value, str) or not value:
        kind = "valueCode" if name == "type" else "valueString"
        raise malformed(f"An operation has a part {name} with a {kind}.", where, issue="required")
    return value


def _only(part: Mapping[str, Any]) -> Any:
    """Return the value of a part; None where it has none, or several, of which no one is meant more than another."""
    values = [one for key, one in part.items() if key.startswith("value")]
    return values[0] if len(values) == 1 else None


def _number(part: Mapping[str, Any], name: str, where: str) -> int:
    value = _only(part)
    if type(value) is not int or value < 0:
        raise malformed(f"The part {name} has a valueInteger, from 0.", where, issue="value")
    return value


def _single(nodes: list[Node]) -> Node:
    if len(nodes) != 1:
        found = "There is no element" if not nodes else f"There are {len(nodes)} elements"
        raise NotApplicable(f"{found} at the path, and it must lead to one.")
    return nodes[0]


def _list(nodes: list[Node]) -> Node:
    """Return the first item of the list that the path leads to."""
    if not nodes:
        raise NotApplicable("There is no list at the path. To begin one, use add.")
    first = nodes[0]
    if first.index is None:
        raise NotApplicable("The element at the path does not repeat. Use add or replace.")
    if len(nodes) != length(first.owner, first.name) or any(node.owner is not first.owner for node in nodes):
        raise NotApplicable("The path must lead to a whole list, such as Appointment.participant.")
    return first


def _add(node: Node, name: str, content: Content) -> None:
    members = members_named(node.type, name)
    if not members:
        raise NotApplicable(f"{node.type.name} has no element {name[:SHOWN]}.")
    placed = content.placed(members, name)
    owner = node.content
    if owner is None:  # a primitive gets its first extension
        owner = {}
        if node.index is None:
            put(node.owner, node.name, node.value, owner)
        else:
            splice(node.owner, node.name, node.index, node.index + 1, [(node.value, owner)])
    place(owner, members, placed, f"{name[:SHOWN]} is there already and does not repeat. Use replace.")


def _insert(node: Node, index: int, content: Content) -> None:
    end = length(node.owner, node.name)
    if index > end:
        raise NotApplicable(f"The list has {end} items; an item is inserted at 0 to {end}.")
    _, _, value, sibling = content.placed(_own(node), node.name)
    splice(node.owner, node.name, index, index, [(value, sibling)])


def _move(node: Node, source: int, destination: int) -> None:
    end = length(node.owner, node.name)
    if max(source, destination) >= end:
        raise NotApplicable(f"The list has {end} items, at 0 to {end - 1}.")
    if source != destination:
        moved = replace(node, index=source)
        pair = (moved.value, moved.sibling)
        splice(node.owner, node.name, source, source + 1, [])
        splice(node.owner, node.name, destination, destination, [pair])


def _delete(node: Node) -> None:
    if node.is_root:
        raise NotApplicable("A patch cannot delete the resource. Use DELETE.")
    if node.index is None:
        put(node.owner, node.name, None, None)
    else:
        splice(node.owner, node.name, node.index, node.index + 1, [])


def _replace(node: Node, content: Content) -> None:
    if node.is_root:
        raise NotApplicable("A patch cannot replace the resource. Use PUT.")
    if node.index is not None:
        _, _, value, sibling = content.placed(_own(node), node.name)
        splice(node.owner, node.name, node.index, node.index + 1, [(value, sibling)])
        return
    json, _, value, sibling = content.placed(node.choice, node.name)
    if json != node.name:
        put(node.owner, node.name, None, None)
    put(node.owner, json, value, sibling)


def _own(node: Node) -> dict[str, Member]:
    return {node.name: node.choice[node.name]}
