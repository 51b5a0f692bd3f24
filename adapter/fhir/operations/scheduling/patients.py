"""Patients of a booking: whom it brings along (``patient-resource``), and whom it names by a UHID alone.

Those who are stored already are used, others are made. Whoever has the UHID is meant, or else one of the other
identifiers: a hospital sends its own record number as well.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from adapter.errors import PreconditionFailed, Problem
from adapter.fhir import meeting, searching
from adapter.fhir.call import Call, Pairs
from adapter.fhir.writes import Write
from adapter.uhids import carriers, carriers_query
from mappings import uhid
from mappings.references import kind_of, stated_uhid, uhids
from mappings.systems import Systems
from store.codec import Resource, decode, encode
from store.extract import relative
from store.search.text import escaped
from store.unit_of_work import UnitOfWork

_KIND = "Patient"


async def brought(
    call: Call, work: UnitOfWork, resources: Sequence[Resource]
) -> tuple[Sequence[Write], Sequence[Resource]]:
    """Return the writes of new patients, none of those with whose identifier one is stored; and how to refer to all.

    Args:
        call: the call.
        work: the unit of work to look in; two calls that find nobody by the same identifier meet there.
        resources: the Patients that were sent; who is sent twice is one.

    Raises:
        PreconditionFailed: the identifiers are those of several.
    """
    writes: list[Write] = []
    actors: list[Resource] = []
    seen: set[str | bytes] = set()
    for resource in resources:
        # Another number than a UHID may be that of twins.
        names: set[str | bytes] = {encode(resource, sort=True), *uhids(resource, call.who.service.systems)}
        is_new = seen.isdisjoint(names)
        seen |= names
        if not is_new:
            continue
        found = await _stored(call, work, resource)
        ident = found or str(uuid.uuid4())
        actor: Resource = {"reference": f"{_KIND}/{ident}"}
        if resource.get("identifier"):
            actor["identifier"] = resource["identifier"][0]
        actors.append(actor)
        if found is None:
            writes.append(Write("POST", _KIND, ident, resource={**resource, "id": ident}))
    return writes, actors


def sought(call: Call, resource: Resource) -> list[Pairs]:
    """Return by which criteria a Patient that is sent is looked for: the first that find somebody tell who is meant.

    A UHID is one person's, other numbers are shared (a family's insurance): so the UHIDs decide where they are known.
    Where they are not, whoever has one of their own is somebody else.
    """
    systems = call.who.service.systems.all_uhid
    identifiers = _identifiers(call, resource)
    stated = [one for one in identifiers if one["system"] in systems]
    found: list[Pairs] = [(("identifier", _wanted(stated)),)] if stated else []
    others = [one for one in identifiers if one["system"] and one not in stated]
    if others:
        theirs = ",".join(f"{escaped(name)}|" for name in systems)
        without = (("identifier:not", theirs),) if stated else ()
        found.append((("identifier", _wanted(others)), *without))
    return found


async def with_patients(
    call: Call,
    work: UnitOfWork,
    appointment: Resource,
    joining: Sequence[Resource] = (),
    new: Sequence[Write] = (),
) -> Resource:
    """Return the appointment with further patients; whom a UHID alone names is referred to, where it tells who.

    `new`: of patients who are stored with it.
    """
    there = [one.get("actor", {}) for one in appointment["participant"]]
    linked = await _linking(call, work, [*there, *joining], new)
    participants = [
        {**one, "actor": linked(one["actor"])} if "actor" in one else one for one in appointment["participant"]
    ]
    return joined(call, {**appointment, "participant": participants}, [linked(one) for one in joining])


def joined(call: Call, appointment: Resource, actors: Sequence[Resource]) -> Resource:
    """Return the appointment with further patients; who is there already, under whatever name, takes part once.

    Who has declined does so again: it is booked for them anew.
    """
    there = {_who(call, one.get("actor", {})) for one in appointment["participant"]}
    again = {_who(call, one) for one in actors} - {None}
    participants = [
        {**one, "status": "accepted"}
        if one.get("status") == "declined" and _who(call, one.get("actor", {})) in again
        else one
        for one in appointment["participant"]
    ]
    for actor in actors:
        who = _who(call, actor)
        if who is None or who not in there:
            participants.append({"actor": actor, "required": "required", "status": "accepted"})
            there.add(who)
    return {**appointment, "participant": participants}


def _who(call: Call, actor: Resource) -> tuple[str, str] | None:
    """Return by what a patient is known again: the reference, or the identifier that stands alone; None for nothing."""
    if "reference" in actor:
        return "", relative(actor["reference"], (call.base,))
    systems, identifier = call.who.service.systems, actor.get("identifier", {})
    if kind_of(actor, {}, systems) not in (_KIND, None):
        return None  # a parent may state the child's
    stated = stated_uhid(actor, systems)
    system, value = (systems.uhid, stated) if stated else (identifier.get("system"), identifier.get("value"))
    return (system, value) if system and value else None


async def _linking(
    call: Call, work: UnitOfWork, actors: Sequence[Resource], new: Sequence[Write]
) -> Callable[[Resource], Resource]:
    """Return what gives one of `actors` who states a UHID alone the reference to the one Patient who carries it.

    As a MediLoop booking has it: without the reference the visit is in no record of theirs.
    """
    systems = call.who.service.systems
    stated = {uhid for one in actors if (uhid := _stated_alone(one, systems))}
    documents = await work.documents(_KIND, carriers_query(sorted(stated), systems)) if stated else []
    known = {f"{_KIND}/{one['_id']}": decode(one["_json"]) for one in documents}
    known |= {f"{_KIND}/{one.ident}": one.resource for one in new if one.resource is not None}
    carrying = carriers(known, systems, stated)

    def linked(actor: Resource) -> Resource:
        name = carrying.get(_stated_alone(actor, systems) or "")
        return actor if name is None else {"reference": name, **actor}

    return linked


def _stated_alone(actor: Resource, systems: Systems) -> str | None:
    if "reference" in actor or kind_of(actor, {}, systems) != _KIND:
        return None
    return stated_uhid(actor, systems)


def _identifiers(call: Call, resource: Resource) -> list[Resource]:
    """Return the identifiers as they are compared: trimmed, and a UHID under each name of its system."""
    systems = call.who.service.systems.all_uhid
    made: list[Resource] = []
    for one in resource.get("identifier", ()):
        value, system = one.get("value", "").strip(), one.get("system", "")
        if system in systems:
            made += [{"system": name, "value": uhid.normalise(value)} for name in systems if value]
        elif value:
            made.append({"system": system, "value": value})
    return made


async def _stored(call: Call, work: UnitOfWork, resource: Resource) -> str | None:
    """Return the id of the Patient who is meant; guard the identifiers where nobody is."""
    for criteria in sought(call, resource):
        found = await _one(call, work, criteria)
        if found is not None:
            return found
    identifiers = _identifiers(call, resource)
    if identifiers:
        work.guard(meeting.places(_KIND, (("identifier", _wanted(identifiers)),), {"identifier": identifiers}))
    return None


async def _one(call: Call, work: UnitOfWork, criteria: Pairs) -> str | None:
    """Return the id of the one Patient whom the criteria match, None where there is none.

    Raises:
        PreconditionFailed: there are several.
    """
    found = await searching.matches(work, _KIND, criteria, searching.reading(call.who, call.base, strict=True))
    if len(found) > 1:
        told = " and ".join(f"{_KIND}/{ident}" for ident in sorted(found))
        text = f"The identifiers of that patient are those of {told}. Send those of one, or patient-reference."
        raise PreconditionFailed(Problem("multiple_matches", text, "patient-resource", issue="multiple-matches"))
    return found[0] if found else None


def _wanted(identifiers: list[Resource]) -> str:
    return ",".join(f"{escaped(one['system'])}|{escaped(one['value'])}" for one in identifiers)
