"""Code translations, read from FHIR ConceptMaps.

The tables are data, and docs/mapping.md is printed from the same files, so the documentation cannot differ from what
the service does. A deployment replaces a table by giving a ConceptMap with the same id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from mappings.elements import Resource, copied

_NO_MATCH = frozenset({"unmatched", "disjoint"})
_NEEDS_COMMENT = frozenset({"narrower", "inexact"})
_EQUIVALENCES = frozenset(
    {"relatedto", "equivalent", "equal", "wider", "subsumes", "specializes", *_NEEDS_COMMENT, *_NO_MATCH}
)

REASON_TO_HL7 = "mediloop-cancellation-to-hl7"
REASON_TO_MEDILOOP = "hl7-cancellation-to-mediloop"
STATUS_TO_MEDILOOP = "appointment-status-to-mediloop"
STATUS_TO_FHIR = "mediloop-status-to-appointment"
APPOINTMENT_TYPE = "appointment-type"
IDS = (REASON_TO_HL7, REASON_TO_MEDILOOP, STATUS_TO_MEDILOOP, STATUS_TO_FHIR, APPOINTMENT_TYPE)


@dataclass(frozen=True, slots=True)
class Match:
    """What a code is translated to.

    Attributes:
        code: the target code.
        system: its code system, as the map names it.
        equivalence: the target relative to the source, in R4's words; `None` where the rule for unmapped
            codes applied, which states none.
        display: the target's display, where the map gives one.
        provided: the code is the one that was asked about, passed through by ``unmapped.mode: provided``.
    """

    code: str
    system: str
    equivalence: str | None = None
    display: str | None = None
    provided: bool = False


class ConceptMap:
    """One parsed R4 ConceptMap.

    Attributes:
        resource: the ConceptMap as it was given.
        sources: the source code systems of its groups, in order.
        target: the target code system of its first group.

    Raises:
        ValueError: the resource is not a usable ConceptMap; the message is one sentence and names the place.
    """

    __slots__ = ("_displays", "_table", "_unmapped", "resource", "sources", "target")

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self._table: dict[tuple[str | None, str], tuple[Match, ...]] = {}
        self._unmapped: dict[str | None, Match] = {}
        self._displays: dict[tuple[str | None, str], str] = {}
        where = f"ConceptMap {resource.get('id')!r}"
        groups = _items(resource, "group", where)
        if not groups:
            raise ValueError(f"{where} has no group.")
        for number, group in enumerate(groups):
            self._add(group, f"{where}, group {number + 1}")
        self.target: str = groups[0]["target"]
        self.sources = tuple(dict.fromkeys(group["source"] for group in groups))

    def _add(self, group: Resource, where: str) -> None:
        source, system = _text(group, "source", where), _text(group, "target", where)
        seen: set[str] = set()
        for element in _items(group, "element", where):
            code = _text(element, "code", f"{where}, an element")
            place = f"{where}, code {code!r}"
            if code in seen:
                raise ValueError(f"{place} is there twice.")
            seen.add(code)
            targets = _items(element, "target", place)
            matches = tuple(_matches(targets, system, place))
            # Under None the tables ignore the system: one side of each map is MediLoop's, whose URL is a
            # setting (`Systems`), so a code is known there by its role and not by the URL in the file.
            for key in ((source, code), (None, code)):
                if targets:
                    # A code without a target is not mapped, and falls to the rule for unmapped codes.
                    self._table.setdefault(key, matches)
                if "display" in element:
                    self._displays.setdefault(key, element["display"])
        rule = _unmapped(group.get("unmapped"), system, where)
        if rule is not None:
            self._unmapped.setdefault(source, rule)
            self._unmapped.setdefault(None, rule)

    def matches(self, code: str, system: str | None = None) -> tuple[Match, ...]:
        """Return all translations of `code`, the preferred first; without `system` in any group."""
        found = self._table.get((system, code))
        if found is not None:
            return found
        rule = self._unmapped.get(system)
        if rule is None:
            return ()
        return (Match(code, rule.system, provided=True) if rule.provided else rule,)

    def match(self, code: str, system: str | None = None) -> Match | None:
        """Return the preferred translation of `code`, `None` where there is none."""
        found = self.matches(code, system)
        return found[0] if found else None

    def translate(self, code: str, system: str | None = None) -> str | None:
        """Return the code that `code` is translated to, `None` where there is none."""
        found = self.matches(code, system)
        return found[0].code if found else None

    def hides(self, code: str | None) -> bool:
        """Say whether the map names `code` and says that it has no counterpart (unmatched, disjoint)."""
        return code is not None and self._table.get((None, code)) == ()

    def display(self, code: str, system: str | None = None) -> str | None:
        """Return the display the map gives for the source code `code`."""
        return self._displays.get((system, code))


def _text(element: Mapping[str, Any], name: str, where: str) -> str:
    value = element.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} has no {name}.")
    return value


def _items(element: Mapping[str, Any], name: str, where: str) -> list[Resource]:
    items = element.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{where}: {name} is not a list of objects.")
    return items


def _matches(targets: list[Resource], system: str, where: str) -> Iterator[Match]:
    for target in targets:
        equivalence = target.get("equivalence")
        if not isinstance(equivalence, str) or equivalence not in _EQUIVALENCES:
            raise ValueError(
                f"{where}: the equivalence {equivalence!r} is not one of {', '.join(sorted(_EQUIVALENCES))}."
            )
        if equivalence in _NEEDS_COMMENT and not target.get("comment"):
            raise ValueError(f"{where}: the equivalence {equivalence!r} needs a comment (FHIR rule cmd-1).")
        if equivalence not in _NO_MATCH:
            code = _text(target, "code", f"{where}, its target")
            yield Match(code, system, equivalence, target.get("display"))


def _unmapped(rule: object, system: str, where: str) -> Match | None:
    """Return what a group does with a code it does not map; the code of "provided" is put in later."""
    if rule is None:
        return None
    if not isinstance(rule, dict) or rule.get("mode") not in ("fixed", "provided"):
        raise ValueError(f"{where}: unmapped.mode must be 'fixed' or 'provided'.")
    if rule["mode"] == "provided":
        return Match("", system, provided=True)
    code = _text(rule, "code", f"{where}, unmapped with mode 'fixed' (FHIR rule cmd-2),")
    return Match(code, system, display=rule.get("display"))


class Vocabulary:
    """The five tables of the mapping.

    Attributes:
        reason_to_hl7: MediLoop cancellation reason -> HL7.
        reason_to_mediloop: HL7 cancellation reason -> MediLoop.
        status_to_mediloop: Appointment.status -> MediLoop status.
        status_to_fhir: MediLoop status -> Appointment.status.
        appointment_type: types in any system that is read -> MediLoop's (HL7 v2 table 0276).
    """

    __slots__ = (
        "appointment_type",
        "reason_to_hl7",
        "reason_to_mediloop",
        "status_to_fhir",
        "status_to_mediloop",
    )

    def __init__(self, concept_maps: Iterable[Resource]) -> None:
        """Take exactly one ConceptMap for each of `IDS`; `with_overrides` is the usual way in."""
        maps = {resource["id"]: ConceptMap(resource) for resource in concept_maps}
        self.reason_to_hl7 = maps[REASON_TO_HL7]
        self.reason_to_mediloop = maps[REASON_TO_MEDILOOP]
        self.status_to_mediloop = maps[STATUS_TO_MEDILOOP]
        self.status_to_fhir = maps[STATUS_TO_FHIR]
        self.appointment_type = maps[APPOINTMENT_TYPE]

    @classmethod
    def default(cls) -> Vocabulary:
        """Return the vocabulary of the packaged ConceptMaps; always the same object."""
        return _default()

    @classmethod
    def with_overrides(cls, concept_maps: Iterable[Resource]) -> Vocabulary:
        """Return the packaged vocabulary with each map replaced by the given one of the same id.

        Raises:
            ValueError: a map is unusable: not a ConceptMap, an unknown or repeated id, a code or
                equivalence missing. The message is one sentence.
        """
        given: dict[str, Resource] = {}
        for resource in concept_maps:
            if not isinstance(resource, dict) or resource.get("resourceType") != "ConceptMap":
                raise ValueError("A replacement table must be a FHIR resource of type ConceptMap.")
            identity = resource.get("id")
            if identity not in IDS:
                raise ValueError(f"ConceptMap {identity!r} replaces nothing: its id must be one of {', '.join(IDS)}.")
            if identity in given:
                raise ValueError(f"ConceptMap {identity!r} is given twice.")
            given[identity] = copied(resource)
        return cls((_packaged() | given).values())

    @property
    def maps(self) -> tuple[ConceptMap, ...]:
        """All tables, in the order of `IDS`."""
        return (
            self.reason_to_hl7,
            self.reason_to_mediloop,
            self.status_to_mediloop,
            self.status_to_fhir,
            self.appointment_type,
        )


@cache
def _packaged() -> dict[str, Resource]:
    folder = files("mappings") / "concept_maps"
    return {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in IDS}


@cache
def _default() -> Vocabulary:
    return Vocabulary(_packaged().values())
