"""JSON Patch (RFC 6902), pointers (RFC 6901) on the stored JSON.

Of our own, and short, rather than a library: a refusal has to name the operation and must not repeat the values it
compared, and a patch that copies its own copies has to be stopped before it fills the memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from adapter.fhir.patching.values import SHOWN, Budget, NotApplicable, clone, malformed, same
from adapter.fhir.refusing import Faults
from adapter.fhir.validation.findings import element, tellable

Pointer = tuple[str, ...]

_NEEDS = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("from", "path"),
    "copy": ("from", "path"),
    "test": ("path", "value"),
}
_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class JsonOperation:
    """One operation: what, where, with which value or from where."""

    op: str
    path: Pointer
    value: Any = None
    source: Pointer = ()

    @property
    def label(self) -> str:
        """What it does and where."""
        return f"{self.op} {_written(self.path)[:SHOWN]}"

    def expression(self, kind: str) -> str:
        """Return the FHIRPath of the place, as far as it names elements."""
        steps = kind
        for token in self.path:
            if _INDEX.fullmatch(token):
                steps += f"[{token}]"
            elif tellable(token):
                steps += f".{element(token)}"
            else:
                break
        return steps

    def carry_out(self, resource: Any, budget: Budget) -> Any:
        """Change `resource` and return it, or what has taken its place.

        Raises:
            NotApplicable: there is nothing at a pointer, or a test fails.
        """
        if self.op == "test":
            if not same(_get(resource, self.path), self.value):
                raise NotApplicable("What is there is not what the test expects.", code="patch_test_failed")
            return resource
        if self.op == "remove":
            _remove(resource, self.path)
            return resource
        if self.op in ("add", "replace"):
            put = _add if self.op == "add" else _replace
            made = put(resource, self.path, budget.give(self.value))
            if self.value is None and self.path:
                budget.give_null(_get(made, self.path[:-1]))
            return made
        value = _get(resource, self.source)
        if self.op == "copy":
            budget.weigh(value)
            return _add(resource, self.path, clone(value))
        if self.path == self.source:
            return resource
        if self.path[: len(self.source)] == self.source:
            raise NotApplicable("A value cannot be moved into itself.")
        _remove(resource, self.source)
        return _add(resource, self.path, value)


def read(document: list[Any]) -> list[JsonOperation]:
    """Read the operations of a JSON Patch; members that RFC 6902 does not know are ignored, as it says.

    Raises:
        Malformed: with each that is no object, has an unknown `op`, lacks a member, or has a pointer that is none.
    """
    found: list[JsonOperation] = []
    faults = Faults()
    for index, one in enumerate(document):
        with faults.noted():
            found.append(_operation(index, one))
    faults.require_none()
    return found


def _operation(index: int, given: Any) -> JsonOperation:
    if not isinstance(given, dict):
        raise malformed(f"Operation {index} (from 0) is not an object.")
    op = given.get("op")
    if not isinstance(op, str) or op not in _NEEDS:
        raise malformed(f"Operation {index} (from 0): op must be one of {', '.join(_NEEDS)}.")
    faults = Faults()
    missing = [name for name in _NEEDS[op] if name not in given]
    if missing:
        faults.take(malformed(f"Operation {index} (from 0), {op}: it needs {' and '.join(missing)}."))
    pointers: dict[str, Pointer] = {}
    for name in ("from", "path"):
        if name in _NEEDS[op] and name in given:
            with faults.noted():
                pointers[name] = _pointer(index, given[name])
    value = None
    if "value" in _NEEDS[op]:
        try:
            value = clone(given.get("value"))
        except NotApplicable as refused:
            faults.take(malformed(f"Operation {index} (from 0), {op}: {refused.text}"))
    faults.require_none()
    return JsonOperation(op, pointers["path"], value, pointers.get("from", ()))


def _pointer(index: int, text: Any) -> Pointer:
    if not isinstance(text, str) or (text and not text.startswith("/")) or _BAD_ESCAPE.search(text):
        raise malformed(f"Operation {index} (from 0): a path is a JSON Pointer such as /participant/0/status.")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])


def _written(pointer: Pointer) -> str:
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in pointer) or '""'


def _get(root: Any, pointer: Pointer) -> Any:
    found = root
    for depth, token in enumerate(pointer):
        if isinstance(found, dict) and token in found:
            found = found[token]
        elif isinstance(found, list) and _INDEX.fullmatch(token) and int(token) < len(found):
            found = found[int(token)]
        else:
            raise NotApplicable(f"There is nothing at {_written(pointer[: depth + 1])[:SHOWN]}.")
    return found


def _parent(root: Any, pointer: Pointer) -> Any:
    parent = _get(root, pointer[:-1])
    if not isinstance(parent, dict | list):
        raise NotApplicable(f"What is at {_written(pointer[:-1])[:SHOWN]} is a plain value, which has no members.")
    return parent


def _add(root: Any, pointer: Pointer, value: Any) -> Any:
    if not pointer:
        return value
    try:
        parent = _parent(root, pointer)
    except NotApplicable as refused:
        if pointer[-1] in ("-", "0"):
            refused.text += " To begin a list, add the list itself."
        raise
    token = pointer[-1]
    if isinstance(parent, dict):
        parent[token] = value
    elif token == "-":  # noqa: S105  (no password: the place after the last item)
        parent.append(value)
    elif _INDEX.fullmatch(token) and int(token) <= len(parent):
        parent.insert(int(token), value)
    else:
        raise NotApplicable(f"The list has {len(parent)} items; an item is added at 0 to {len(parent)}, or at -.")
    return root


def _replace(root: Any, pointer: Pointer, value: Any) -> Any:
    if not pointer:
        return value
    _get(root, pointer)
    parent = _parent(root, pointer)
    parent[pointer[-1] if isinstance(parent, dict) else int(pointer[-1])] = value
    return root


def _remove(root: Any, pointer: Pointer) -> None:
    if not pointer:
        raise NotApplicable("A patch cannot remove the resource. Use DELETE.")
    _get(root, pointer)
    parent = _parent(root, pointer)
    del parent[pointer[-1] if isinstance(parent, dict) else int(pointer[-1])]
