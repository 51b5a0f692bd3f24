"""The flat tables as ViewDefinitions of SQL on FHIR (https://sql-on-fhir.org): FHIRPath for every column.

They describe for other tools exactly what `adapter.export.columns` writes, so that the same table can be made of any
FHIR server's resources; a test evaluates each expression and compares with the rows. They go beyond the shareable
subset of FHIRPath, since MediLoop's columns follow code tables and choose among participants. Made for a
deployment's own canonicals and code tables; those of the defaults are under docs/views.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from adapter.export.columns import COLUMNS, SCHEDULE_COLUMNS, Column
from mappings.fields import CANCELLED_AT, FIELDS
from mappings.references import LOCATION, PATIENT, PRACTITIONER
from mappings.systems import Systems
from mappings.vocabulary import ConceptMap, Vocabulary
from store.codec import Resource
from store.extract import spellings

NAMES = {"Appointment": "appointments", "Slot": "slots", "Schedule": "schedules"}
"""What the views are called, by the resource type of their rows."""

_TYPES = {"string": "string", "integer": "integer", "boolean": "boolean", "timestamp": "dateTime"}
_INSTANTS = ("start", "end", "meta.lastUpdated")
"""Paths of what FHIR calls an instant: by the type a reader of the view makes a column, and refuses what is another."""
_Path = str | tuple[str, str]
_ID = "[A-Za-z0-9.-]+"
_NOTHING = "{}"


def views(systems: Systems, vocabulary: Vocabulary, bases: Sequence[str] = ()) -> list[Resource]:
    """Return the ViewDefinitions of appointments, slots and schedules.

    The rows of slots take the columns of their Schedules from the third: joined by ``schedule_id``.

    Args:
        systems: the canonical URLs of the deployment.
        vocabulary: its code tables.
        bases: its addresses, below which a reference is its own; no other absolute one is.
    """
    slots = tuple(column for column in COLUMNS["Slot"] if column.source == "Slot")
    appointment = _appointment(systems, vocabulary)
    appointment["patient_id"] = _actor(_PARTICIPANTS, PATIENT, systems), _own_id(PATIENT, bases)
    actors = ((PRACTITIONER, "practitioner"), (LOCATION, "facility"))
    schedule: dict[str, _Path] = {"schedule_id": "id", **_people("actor", actors, systems, present=True)}
    slot: dict[str, _Path] = _OWN | {
        "id": "id",
        "status": "status",
        "start_time": "start",
        "end_time": "end",
        "schedule_id": _id("schedule.reference", "Schedule"),
        "overbooked": "overbooked",
    }
    return [
        _view("Appointment", COLUMNS["Appointment"], appointment, systems),
        _view("Slot", slots, slot, systems),
        _view("Schedule", SCHEDULE_COLUMNS, schedule, systems),
    ]


_OWN: dict[str, _Path] = {"version_id": "meta.versionId", "last_updated": "meta.lastUpdated"}


def _view(kind: str, columns: Sequence[Column], paths: dict[str, _Path], systems: Systems) -> Resource:
    name = NAMES[kind]
    selects = []
    for each, some in groupby(columns, key=lambda column: _of(paths[column.name])[0]):
        described: list[dict[str, Any]] = [
            {"name": column.name, "path": _of(paths[column.name])[1], "type": _type_of(column, paths)}
            | ({"description": column.note} if column.note else {})
            for column in some
        ]
        selects.append(({"forEachOrNull": each} if each else {}) | {"column": described})
    return {
        "resourceType": "ViewDefinition",
        "url": f"{systems.extensions.rpartition('/')[0]}/ViewDefinition/{name}",
        "name": name,
        "status": "active",
        "resource": kind,
        "fhirVersion": ["4.0.1"],
        "select": selects,
    }


def _type_of(column: Column, paths: dict[str, _Path]) -> str:
    return "instant" if paths[column.name] in _INSTANTS else _TYPES[column.kind]


def _of(path: _Path) -> tuple[str, str]:
    """Return what a path starts from (nothing: the resource) and the path."""
    return ("", path) if isinstance(path, str) else path


def _appointment(systems: Systems, vocabulary: Vocabulary) -> dict[str, _Path]:
    actors = ((PATIENT, "patient"), (PRACTITIONER, "practitioner"), (LOCATION, "facility"))
    people = _people(_PARTICIPANTS, actors, systems)
    extensions: dict[str, _Path] = {
        field.name: _extension(field.name, field.element.partition("`")[2].rstrip("`"), systems)
        for field in FIELDS
        if field.element.startswith("extension")
    }
    number = f"identifier.where(system = {_text(systems.appointment_number)} and value.exists()).value.first()"
    reason = "reasonCode.first()"
    return (
        _OWN
        | people
        | extensions
        | {
            "id": "id",
            "appointment_number": number,
            "patient_uhid": _uhid(systems),
            "status": f"status.select({_translated(vocabulary.status_to_mediloop, None, '$this')})",
            "service_type_code": _code("serviceType.first()", systems.service_type),
            "specialty_code": _code("specialty.first()", systems.specialty),
            "appointment_type_code": _type(vocabulary),
            "start_time": "start",
            "end_time": "end",
            "duration_minutes": "minutesDuration",
            "reason_text": f"iif({reason}.text.exists(), {reason}.text, {reason}.coding.display.first())",
            "priority": "iif(priority.exists() and priority > 0, iif(priority > 10, 10, priority), 5)",
            "patient_instruction": "patientInstruction",
            "notes": "comment",
            "created_at": "created",
            "cancellation_reason_code": _cancellation(systems, vocabulary, text=False),
            "cancellation_reason_text": _cancellation(systems, vocabulary, text=True),
            "fhir_status": "status",
            "slot_id": _id("slot.first().reference", "Slot"),
        }
    )


# Whom it is about: the first actor of a type, as `mappings.references` tells types; who has declined comes last.

_PRESENT = "participant.where(status.where($this = 'declined').empty()).actor"
_DECLINED = "participant.where(status = 'declined').actor"
_PARTICIPANTS = f"{_PRESENT}.combine(%resource.{_DECLINED})"


def _practitioners() -> str:
    """Return the path of the participants where a Practitioner is looked for: one with an id before one without."""
    with_id = f"where(reference.matches({_text(_matching('[A-Z][A-Za-z]+'))}))"
    every = (f"{_PRESENT}.{with_id}", _PRESENT, f"{_DECLINED}.{with_id}", _DECLINED)
    return every[0] + "".join(f".combine(%resource.{one})" for one in every[1:])


def _actor(path: str, kind: str, systems: Systems) -> str:
    if path == _PARTICIPANTS and kind == PRACTITIONER:
        path = _practitioners()
    any_kind = _matching("[A-Z][A-Za-z]+")
    by_identifier = f"identifier.system in ({_union(systems.all_uhid)})" if kind == PATIENT else "false"
    inside = "reference.startsWith('#') and reference.substring(1) in %resource.contained.id"
    contained = f"reference.substring(1) in %resource.contained.ofType({kind}).id"
    by_type = f"iif(type.exists(), type.matches('^(.*/)?{kind}$'), iif({inside}, {contained}, {by_identifier}))"
    told = f"reference.matches({_text(any_kind)})"
    return f"{path}.where(iif({told}, reference.matches({_text(_matching(kind))}), {by_type})).first()"


def _matching(kind: str) -> str:
    return f"^(.*/)?{kind}/{_ID}(/_history/{_ID})?$"


def _id(path: str, kind: str) -> str:
    pattern = _text(f"^(.*/)?{kind}/({_ID})(/_history/{_ID})?$")
    return f"{path}.where($this.matches({pattern})).replaceMatches({pattern}, '$2')"


def _own_id(kind: str, bases: Sequence[str]) -> str:
    """Return the id in a reference that is relative, or below one of `bases`."""
    addresses = dict.fromkeys(one for base in bases for one in spellings(base))
    below = "|".join(re.sub(r"([^A-Za-z0-9:/_-])", r"\\\1", f"{one}/") for one in addresses)
    pattern = _text(f"^{f'({below})?' if bases else ''}{kind}/({_ID})(/_history/[^/]+)?$")
    return f"reference.where($this.matches({pattern})).replaceMatches({pattern}, '${2 if bases else 1}')"


def _people(
    path: str, actors: Iterable[tuple[str, str]], systems: Systems, *, present: bool = False
) -> dict[str, _Path]:
    """Return ids and names; what somebody is called in the contained resource goes before the display, if `present`."""
    found: dict[str, _Path] = {}
    for kind, name in actors:
        actor = _actor(path, kind, systems)
        found[f"{name}_id"] = actor, _id("reference", kind)
        display, own = "display", f"{_inside(actor, kind)}.{_own_name(kind)}"
        first, second = (own, display) if present else (display, own)
        found[f"{name}_name"] = actor, f"iif({first}.exists(), {first}, {second})"
    return found


def _inside(actor: str, kind: str) -> str:
    """Return the contained resource that an actor refers to."""
    return f"%resource.contained.ofType({kind}).where(('#' + id) = %resource.{actor}.reference).first()"


def _own_name(kind: str) -> str:
    if kind == LOCATION:
        return "name"
    ranked = "use in ('official' | 'usual' | 'old' | 'maiden')"
    order = ("use = 'official'", "use = 'usual'", f"use.empty() or ({ranked}).not()", "use = 'old' or use = 'maiden'")
    text = "iif(text.exists(), text, prefix.combine(given).combine(family).join(' '))"
    names = [f"name.where({rank}).select({text}).where($this != '').first()" for rank in order]
    return f"select({_first_of(names)})"


def _first_of(paths: Sequence[str]) -> str:
    """Return the expression for the first of some that has a value."""
    made = paths[-1]
    for path in reversed(paths[:-1]):
        made = f"iif({path}.exists(), {path}, {made})"
    return made


def _uhid(systems: Systems) -> _Path:
    actor = _actor(_PARTICIPANTS, PATIENT, systems)
    stated = f"identifier.where(system in ({_union(systems.all_uhid)})).value"
    current = "where(use.where($this = 'old').empty())"
    own = _first_of(
        [
            f"identifier.where(system = {_text(one)}).{which}value.first()"
            for which in (f"{current}.", "")
            for one in systems.all_uhid
        ]
    )
    contained = _inside(actor, PATIENT)
    all_theirs = f"{contained}.identifier.where(system in ({_union(systems.all_uhid)}))"
    theirs = f"iif({all_theirs}.{current}.value.exists(), {all_theirs}.{current}, {all_theirs})"
    theirs += ".value.select(trim().upper())"
    # What is none of the Patient's own, or no longer, is not shown beside their name.
    fits = f"{theirs}.empty() or {stated}.trim().upper() in {theirs}"
    return actor, f"iif({stated}.exists() and ({fits}), {stated}, {contained}.select({own})).trim().upper()"


# Codes, by the code tables.


def _code(concept: str, system: str) -> str:
    own = f"{concept}.coding.where(system = {_text(system)} and code.exists()).code.first()"
    any_code = f"{concept}.coding.code"
    return f"iif({own}.exists(), {own}, iif({any_code}.exists(), {any_code}.first(), {concept}.text))"


def _translated(table: ConceptMap, system: str | None, otherwise: str) -> str:
    """Return the expression that translates the code ``$this``; `otherwise` where the table does not know it."""
    groups: dict[str, list[str]] = {}
    for code in _codes_of(table, system):
        target = table.translate(code, system)
        groups.setdefault(_text(target) if target is not None else otherwise, []).append(code)
    rule = table.match("\0", system)
    rest = otherwise if rule is None else "$this" if rule.provided else _text(rule.code)
    made = rest
    for target, codes in groups.items():
        alike = [code for code in codes if _text(code) != target or rest != "$this"]
        if alike and target != made:
            made = f"iif($this in ({_union(alike)}), {target}, {made})"
    return made


def _codes_of(table: ConceptMap, system: str | None) -> list[str]:
    groups = [group for group in table.resource["group"] if system in (None, group["source"])]
    return list(dict.fromkeys(element["code"] for group in groups for element in group["element"]))


def _type(vocabulary: Vocabulary) -> str:
    table = vocabulary.appointment_type
    made = _NOTHING
    for system in reversed(table.sources):
        own = f"appointmentType.coding.where(system = {_text(system)} and code.exists()).first().code"
        made = f"iif({own}.exists(), {own}.select({_translated(table, system, _NOTHING)}), {made})"
    return f"iif(appointmentType.empty(), 'ROUTINE', {made})"


def _cancellation(systems: Systems, vocabulary: Vocabulary, *, text: bool) -> str:
    table, concept = vocabulary.reason_to_mediloop, "cancelationReason"
    own = f"{concept}.coding.where(system = {_text(systems.cancellation_reason)} and code.exists()).code.first()"
    known = f"{concept}.coding.where(system in ({_union(table.sources)}) and code.exists()).first()"
    if not text:
        rest = f"{concept}.coding.code.first()"
        translated = f"{known}.select({_per_system(table)})"
        return f"iif({own}.exists(), {own}, iif({known}.exists(), {translated}, {rest}))"
    display = f"{known}.select({_displays(table)})"
    return f"iif({concept}.text.exists() or {own}.exists(), {concept}.text, {display})"


def _per_system(table: ConceptMap) -> str:
    made = _NOTHING
    for system in reversed(table.sources):
        made = f"iif(system = {_text(system)}, code.select({_translated(table, system, _NOTHING)}), {made})"
    return made


def _displays(table: ConceptMap) -> str:
    """Return the expression for the display of a coding that the table leaves as it is."""
    made = "display"
    for system in table.sources:
        for code in _codes_of(table, system):
            match, stated = table.match(code, system), table.display(code, system)
            here = f"system = {_text(system)} and code = {_text(code)}"
            if match is not None and not match.provided:
                made = f"iif({here}, {_NOTHING}, {made})"
            elif stated is not None:
                made = f"iif({here}, {_text(stated)}, {made})"
    return made


def _extension(name: str, url: str, systems: Systems) -> str:
    canonical = url if url == CANCELLED_AT else f"{systems.extensions}/{url}"
    kind = "string" if name == "reschedule_reason" else "dateTime"
    return f"extension.where(url = {_text(canonical)}).first().value.ofType({kind})"


def _text(value: str) -> str:
    """Return a FHIRPath literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _union(values: Iterable[str]) -> str:
    return " | ".join(map(_text, values))
