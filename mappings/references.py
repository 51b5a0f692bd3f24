"""Who a FHIR Reference means, and what is known about them.

The person or place of an appointment may be named in many legal ways: relative, absolute, versioned,
contained, ``urn:uuid`` or by identifier alone. The rest of the mapping asks here and sees one kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from mappings.elements import NOBODY, Known, Resource, put, put_list
from mappings.systems import Systems
from mappings.uhid import normalise

PATIENT, PRACTITIONER, LOCATION = KINDS = ("Patient", "Practitioner", "Location")

Names = Mapping[str, str]
"""Relative reference (``Patient/123``) -> name."""

UNNAMED: Names = MappingProxyType({})


class Asked(NamedTuple):
    """Whom a reader asks for: of several of a kind, that one is shown and not the first.

    Attributes:
        uhid: of the patient, normalised.
        patients: the stored Patients with that UHID, as relative references.
        practitioner: relative reference.
        facility: relative reference.
        further: other UHIDs of that patient, each of which means them where it is all that is said.
    """

    uhid: str | None = None
    patients: frozenset[str] = frozenset()
    practitioner: str | None = None
    facility: str | None = None
    further: frozenset[str] = frozenset()

    def names(self, actor: Resource, container: Resource, kind: str | None, systems: Systems) -> bool:
        """Tell whether `actor`, of that resource type, is asked for."""
        if kind == PRACTITIONER:
            return self.practitioner is not None and relative(actor) == self.practitioner
        if kind == LOCATION:
            return self.facility is not None and relative(actor) == self.facility
        if kind != PATIENT or self.uhid is None:
            return False
        stated = stated_uhid(actor, systems)
        if relative(actor) in self.patients or stated == self.uhid:
            return True
        if stated in self.further and "reference" not in actor:
            return True
        inside = resolve(actor, container, NOBODY)
        return inside is not None and self.uhid in uhids(inside, systems)


_RANKS = {"official": 0, "usual": 1, "old": 3, "maiden": 3}
_NO_RANK = 2

_TARGET = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9.-]+)(?:/_history/[A-Za-z0-9.-]+)?$").search


_LONGEST = 200  # letters of what is remembered; a reference of some MB would stay in memory for good


def target(reference: str) -> tuple[str, str] | None:
    """Return type and id that `reference` names in its text, `None` for ``#p1``, ``urn:uuid:...`` and such."""
    return _known(reference) if len(reference) <= _LONGEST else _named(reference)


def _named(reference: str) -> tuple[str, str] | None:
    kind, _, identity = reference.partition("/")
    if kind in KINDS and identity and "/" not in identity:  # the common case, without the cost of a search
        return kind, identity
    found = _TARGET(reference)
    return (found[1], found[2]) if found else None


# Of one appointment this is asked for more than once, of its practitioner all the time.
_known = lru_cache(maxsize=4_096)(_named)


def contained(container: Resource, reference: str) -> Resource | None:
    """Return the resource that the local `reference` (``#p1``) names inside `container`."""
    for resource in container.get("contained", ()):
        if f"#{resource.get('id')}" == reference:
            return resource  # type: ignore[no-any-return]  # an element of JSON
    return None


def kind_of(actor: Resource, container: Resource, systems: Systems) -> str | None:
    """Return the resource type of `actor`, by the first sign of it there is.

    In this order: type segment of the reference, ``actor.type``, the contained resource, an identifier in a
    UHID system (only patients have one). `None` where nothing tells.
    """
    reference = actor.get("reference")
    if reference is not None and (found := target(reference)) is not None:
        return found[0]
    kind = actor.get("type")
    if kind is not None:
        return str(kind).rpartition("/")[2]  # may be spelt as the StructureDefinition's URL
    inside = contained(container, reference) if reference is not None else None
    if inside is not None:
        return inside.get("resourceType")
    return PATIENT if actor.get("identifier", {}).get("system") in systems.all_uhid else None


def identity(actor: Resource) -> str | None:
    """Return the id of `actor`, from a relative, absolute or versioned reference."""
    found = target(actor.get("reference", ""))
    return found[1] if found else None


def relative(actor: Resource) -> str | None:
    """Return ``Type/id`` where `actor` is referred to on this server; an absolute URL may mean another one."""
    reference = actor.get("reference", "")
    if ":" in reference or (found := target(reference)) is None:
        return None
    return f"{found[0]}/{found[1]}"


def named(actor: Resource) -> str | None:
    """Return ``Type/id`` by which `actor` is referred to, at whatever address: scheduling goes by that."""
    found = target(actor.get("reference", ""))
    return f"{found[0]}/{found[1]}" if found else None


def resolve(actor: Resource, container: Resource, known: Known) -> Resource | None:
    """Return the resource that `actor` refers to: a contained one, else one of `known`."""
    reference = actor.get("reference", "")
    if reference.startswith("#"):
        return contained(container, reference)
    return known.get(relative(actor) or "") if known else None


def human_name(name: Resource) -> str | None:
    """Return a HumanName as one text: ``text``, else prefix, given and family names."""
    text = name.get("text")
    if text:
        return str(text)
    parts = [*name.get("prefix", ()), *name.get("given", ()), name.get("family")]
    return " ".join(part for part in parts if part) or None


def own_name(resource: Resource) -> str | None:
    """Return the name of a stored Patient, Practitioner or Location, the official or usual one first."""
    names = resource.get("name")
    if isinstance(names, str):
        return names
    ordered = sorted(names or (), key=lambda name: _RANKS.get(name.get("use", ""), _NO_RANK))
    return next((text for text in map(human_name, ordered) if text), None)


def names_of(known: Known) -> dict[str, str]:
    """Return what stored people and places are called, those that have a name."""
    return {reference: name for reference, resource in known.items() if (name := own_name(resource)) is not None}


def name_of(actor: Resource, container: Resource, known: Known) -> str | None:
    """Return the name to show for `actor`: its display, else the name in the resource it refers to."""
    display = actor.get("display")
    if display is not None:
        return str(display)
    resource = resolve(actor, container, known)
    return own_name(resource) if resource is not None else None


def present_name(actor: Resource, container: Resource, known: Known) -> str | None:
    """Return what `actor` is called now: the name in the resource it refers to, else its display."""
    resource = resolve(actor, container, known)
    found = own_name(resource) if resource is not None else None
    return found or name_of(actor, container, known)


def uhids(patient: Resource, systems: Systems) -> list[str]:
    """Return the UHIDs among the identifiers of a Patient, those of earlier days last (`current_uhids`)."""
    return [*current_uhids(patient, systems), *former_uhids(patient, systems)]


def current_uhids(patient: Resource, systems: Systems) -> list[str]:
    """Return the UHIDs of a Patient that are not marked ``old``, those of our own system before those of the aliases.

    What their ``period`` says is not looked at: a view depends on no moment.
    """
    return _uhids([one for one in patient.get("identifier", ()) if one.get("use") != "old"], systems)


def former_uhids(patient: Resource, systems: Systems) -> list[str]:
    """Return the UHIDs of a Patient that are marked ``old``, in the same order."""
    return _uhids([one for one in patient.get("identifier", ()) if one.get("use") == "old"], systems)


def _uhids(identifiers: Sequence[Resource], systems: Systems) -> list[str]:
    if not identifiers:
        return []
    return [
        normalise(identifier["value"])
        for system in systems.all_uhid
        for identifier in identifiers
        if identifier.get("system") == system and identifier.get("value")
    ]


def own_uhid(patient: Resource, systems: Systems) -> str | None:
    """Return the first of the `uhids` of a Patient."""
    return next(iter(uhids(patient, systems)), None)


def stated_uhid(actor: Resource, systems: Systems) -> str | None:
    """Return the UHID that the reference itself states as ``actor.identifier``."""
    identifier = actor.get("identifier")
    if identifier is None or identifier.get("system") not in systems.all_uhid:
        return None
    value = identifier.get("value")
    return normalise(value) if value else None


def uhid_of(actor: Resource, container: Resource, known: Known, systems: Systems) -> str | None:
    """Return the UHID of the patient `actor`: that of the Patient referred to, else the one stated.

    If the Patient has several, the stated one is shown. A stated one that is not theirs, or no longer, was corrected
    since or was never right: it must not be shown beside their name.
    """
    stated = stated_uhid(actor, systems)
    resource = resolve(actor, container, known)
    theirs = (current_uhids(resource, systems) or uhids(resource, systems)) if resource is not None else []
    return stated if not theirs or stated in theirs else theirs[0]


def by_identifier(actor: Resource, container: Resource, known: Known, uhid: str, systems: Systems) -> Resource:
    """Return the patient `actor` who has `uhid`: without the reference, if that leads to a Patient with others only."""
    resource = resolve(actor, container, known)
    theirs = uhids(resource, systems) if resource is not None else []
    if not theirs or uhid in theirs:
        return actor
    return {name: value for name, value in actor.items() if name != "reference"}


def release(actor: Resource, container: Resource) -> None:
    """Take from `actor`, in place, all that says whom it means; its extensions stay.

    A contained resource that nothing refers to any more goes too: FHIR forbids an orphan (dom-3).
    """
    reference = actor.get("reference", "")
    for name in ("reference", "display"):
        put(actor, name, None)
    actor.pop("identifier", None)
    _forget(container, reference)


def _forget(container: Resource, reference: str) -> None:
    orphan = contained(container, reference)
    if orphan is None or reference in _local_references(container):
        return
    put_list(container, "contained", [one for one in container["contained"] if one is not orphan])
    for further in _local_references(orphan):
        _forget(container, further)


def _local_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for member in value.values():
            yield from _local_references(member)
    elif isinstance(value, list):
        for item in value:
            yield from _local_references(item)
    elif isinstance(value, str) and value.startswith("#"):
        yield value
