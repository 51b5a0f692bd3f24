"""FHIRPath for whom an appointment or a schedule is about: the first actor of a type.

Types are told as `mappings.references` tells them. Who has declined comes last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from adapter.export.view_paths import ID, ColumnPath, first_of, literal, pattern_of, union
from mappings.references import LOCATION, PATIENT, PRACTITIONER
from mappings.systems import Systems
from store.extract import spellings

_PRESENT = "participant.where(status.where($this = 'declined').empty()).actor"
_DECLINED = "participant.where(status = 'declined').actor"
PARTICIPANTS = f"{_PRESENT}.combine(%resource.{_DECLINED})"


def _practitioners() -> str:
    """Return the path of the participants where a Practitioner is looked for: one with an id before one without."""
    with_id = f"where(reference.matches({literal(pattern_of('[A-Z][A-Za-z]+'))}))"
    every = (f"{_PRESENT}.{with_id}", _PRESENT, f"{_DECLINED}.{with_id}", _DECLINED)
    return every[0] + "".join(f".combine(%resource.{one})" for one in every[1:])


def actor_of(path: str, kind: str, systems: Systems) -> str:
    """Return the path of the first actor of a type among those at `path`."""
    if path == PARTICIPANTS and kind == PRACTITIONER:
        path = _practitioners()
    any_kind = pattern_of("[A-Z][A-Za-z]+")
    by_identifier = f"identifier.system in ({union(systems.all_uhid)})" if kind == PATIENT else "false"
    inside = "reference.startsWith('#') and reference.substring(1) in %resource.contained.id"
    contained = f"reference.substring(1) in %resource.contained.ofType({kind}).id"
    by_type = f"iif(type.exists(), type.matches('^(.*/)?{kind}$'), iif({inside}, {contained}, {by_identifier}))"
    told = f"reference.matches({literal(any_kind)})"
    return f"{path}.where(iif({told}, reference.matches({literal(pattern_of(kind))}), {by_type})).first()"


def id_in(path: str, kind: str) -> str:
    """Return the id in the reference to a type at `path`, wherever it lies."""
    pattern = literal(f"^(.*/)?{kind}/({ID})(/_history/{ID})?$")
    return f"{path}.where($this.matches({pattern})).replaceMatches({pattern}, '$2')"


def own_id(kind: str, bases: Sequence[str]) -> str:
    """Return the id in a reference that is relative, or below one of `bases`."""
    addresses = dict.fromkeys(one for base in bases for one in spellings(base))
    below = "|".join(re.sub(r"([^A-Za-z0-9:/_-])", r"\\\1", f"{one}/") for one in addresses)
    pattern = literal(f"^{f'({below})?' if bases else ''}{kind}/({ID})(/_history/[^/]+)?$")
    return f"reference.where($this.matches({pattern})).replaceMatches({pattern}, '${2 if bases else 1}')"


def people_of(
    path: str, actors: Iterable[tuple[str, str]], systems: Systems, *, present: bool = False
) -> dict[str, ColumnPath]:
    """Return ids and names; what somebody is called in the contained resource goes before the display, if `present`."""
    found: dict[str, ColumnPath] = {}
    for kind, name in actors:
        actor = actor_of(path, kind, systems)
        found[f"{name}_id"] = actor, id_in("reference", kind)
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
    return f"select({first_of(names)})"


def uhid_of(systems: Systems) -> ColumnPath:
    """Return the UHID that is stated beside the patient, else the contained Patient's own."""
    actor = actor_of(PARTICIPANTS, PATIENT, systems)
    stated = f"identifier.where(system in ({union(systems.all_uhid)})).value"
    current = "where(use.where($this = 'old').empty())"
    own = first_of(
        [
            f"identifier.where(system = {literal(one)}).{which}value.first()"
            for which in (f"{current}.", "")
            for one in systems.all_uhid
        ]
    )
    contained = _inside(actor, PATIENT)
    all_theirs = f"{contained}.identifier.where(system in ({union(systems.all_uhid)}))"
    theirs = f"iif({all_theirs}.{current}.value.exists(), {all_theirs}.{current}, {all_theirs})"
    theirs += ".value.select(trim().upper())"
    # What is none of the Patient's own, or no longer, is not shown beside their name.
    fits = f"{theirs}.empty() or {stated}.trim().upper() in {theirs}"
    return actor, f"iif({stated}.exists() and ({fits}), {stated}, {contained}.select({own})).trim().upper()"
