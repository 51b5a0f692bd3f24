"""Parts of a resource for those who do not want the whole: ``_summary``, ``_elements``, ``_pretty``.

https://hl7.org/fhir/R4/search.html#summary and #elements. What is left out is said: the subset carries the tag
SUBSETTED, and is refused when it comes back (`part_faults`), as storing it would lose the rest. Which elements belong
to a summary stands in ``summaries.json``; what is mandatory or modifies the meaning is taken from the definitions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from adapter.errors import Problem
from store import r4
from store.codec import Resource, decode, encode
from store.extract import every_reference
from store.search import results

_TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = frozenset({"resourceType", "id", "meta"})
# Without these nobody may read the rest, not even in a summary of the text alone.
_NEVER_HIDDEN = frozenset({"implicitRules", "modifierExtension"})


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a subset of a type keeps, by names in JSON."""

    mandatory: frozenset[str]
    modifiers: frozenset[str]
    summary: frozenset[str]
    nested: Mapping[str, frozenset[str]]  # of an element whose own members are not all in the summary


def subset(raw: bytes, kind: str, *, summary: str | None, elements: tuple[str, ...]) -> bytes:
    """Return the part of a stored resource that was asked for, tagged as a part.

    Args:
        raw: its JSON.
        kind: its type.
        summary: ``true``, ``text``, ``data``; ``false`` or None for no summary.
        elements: names of top-level elements, bare (``start``) or with the type that they are meant for
            (``Appointment.start``); of ``participant.actor`` the whole participant is kept. Unknown ones are ignored.
            Where both are given, what either asks for is kept.
    """
    summary = None if summary == "false" else summary
    asked = _asked(elements, kind)
    if summary is None and asked is None:
        return raw
    resource = decode(raw)
    shape = _shape(kind)
    if summary == "data" and asked is None:
        kept = {name: value for name, value in resource.items() if name != "text"}
    else:
        names = _ALWAYS | _NEVER_HIDDEN | shape.mandatory | _wanted(shape, summary) | (asked or frozenset())
        if asked is not None:
            names |= shape.modifiers
        kept = {name: value for name, value in resource.items() if _element(name) in names}
        if summary == "true":
            for name in shape.nested.keys() & kept.keys() - (asked or frozenset()):
                kept[name] = [_reduced(item, shape.nested[name]) for item in kept[name]]
        _keep_contained(resource, kept)
    kept["meta"] = _tagged(resource.get("meta", {}))
    return encode(kept)


def _asked(elements: Iterable[str], kind: str) -> frozenset[str] | None:
    """Return the names asked for of `kind`; None where all that is asked for is meant for other types."""
    found: set[str] = set()
    meant = False
    for name in elements:
        steps = name.split(".")
        if steps[0][:1].isupper():
            if steps[0] != kind:
                continue
            steps = steps[1:]
        meant = True
        found.update(results.members(kind, steps[0]) if steps else ())
    return frozenset(found) if meant else None


def _wanted(shape: _Shape, summary: str | None) -> frozenset[str]:
    if summary == "true":
        return shape.summary | shape.modifiers
    return frozenset({"text"}) if summary == "text" else frozenset()


def _element(name: str) -> str:
    return name[1:] if name.startswith("_") else name


def _reduced(item: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if _element(name) in names}


def _keep_contained(resource: Resource, kept: Resource) -> None:
    """Keep what a part refers to within the resource: else its reference would lead nowhere (ref-1)."""
    if "contained" in kept or "contained" not in resource:
        return
    inside = {f"#{inner['id']}": inner for inner in resource["contained"] if "id" in inner}
    needed: set[str] = set()
    waiting = [*every_reference(kept)]
    while waiting:
        name = waiting.pop()
        if name in inside and name not in needed:
            needed.add(name)
            waiting.extend(every_reference(inside[name]))
    if needed:
        kept["contained"] = [inner for inner in resource["contained"] if f"#{inner.get('id')}" in needed]


def _tagged(meta: Mapping[str, Any]) -> dict[str, Any]:
    tags = meta.get("tag", [])
    return {**meta, "tag": tags if any(_is_mark(tag) for tag in tags) else [*tags, _TAG]}


def _is_mark(tag: Any) -> bool:
    return isinstance(tag, dict) and all(tag.get(name) == value for name, value in _TAG.items())


def part_faults(resource: Resource, kind: str) -> Iterator[Problem]:
    """Yield what is wrong with storing a resource that says of itself that it is only a part.

    Args:
        resource: it, valid or not.
        kind: the type that it should be of.
    """
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    for index, tag in enumerate(tags if isinstance(tags, list) else ()):
        if _is_mark(tag):
            text = "This is a part of a resource (tag SUBSETTED); stored, it would replace the whole. Send the whole."
            yield Problem("subsetted", text, f"{kind}.meta.tag[{index}]", issue="business-rule")
            return  # once is enough, however many such tags there are


@cache
def _summaries() -> dict[str, list[str]]:
    found: dict[str, list[str]] = orjson.loads(files("adapter.fhir").joinpath("summaries.json").read_bytes())
    return found


@cache
def _shape(kind: str) -> _Shape:
    tops = [element for element in r4.elements(kind) if element["path"].count(".") == 1]
    mandatory = [element["path"] for element in tops if element["min"] > 0]
    modifiers = [element["path"] for element in tops if element.get("mod")]
    nested = {path.partition(".")[2]: names for path, names in _summaries().items() if path.startswith(f"{kind}.")}
    return _Shape(
        mandatory=frozenset(name for path in mandatory for name in results.members(kind, path.partition(".")[2])),
        modifiers=frozenset(name for path in modifiers for name in results.members(kind, path.partition(".")[2])),
        summary=frozenset(_summaries()[kind]),
        nested={name: frozenset(names) for name, names in nested.items()},
    )


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+')
_INDENT = b"  "

MOST_PRETTY = 8_000_000
"""Bytes up to which JSON is laid out: nobody reads more, and it would take the processor for many seconds."""


def pretty(raw: bytes) -> bytes:
    """Return JSON with line breaks and indents; every value stays byte for byte what it was."""
    written = bytearray()
    depth, opened = 0, False
    for found in _TOKEN.finditer(raw):  # one at a time: to find them all at once would let nobody else go on meanwhile
        token = found[0]
        if token in b"}]":
            depth -= 1
        if (token in b"}]" and not opened) or (opened and token not in b"}]"):
            written += b"\n" + _INDENT * depth
        opened = token in b"{["
        if opened:
            depth += 1
        written += b": " if token == b":" else token
        if token == b",":
            written += b"\n" + _INDENT * depth
    return bytes(written)
