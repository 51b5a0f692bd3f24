"""What the items of a batch are to be: a resource as it came, a MediLoop object laid over what is stored of it.

A MediLoop object says whom and where by their numbers; who they are is looked for here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapter import uhids
from adapter.errors import Problem, Unprocessable
from adapter.fhir import validation
from adapter.importing import mediloop, shown
from adapter.importing.checking import Ready
from adapter.importing.identity import same
from adapter.importing.mediloop import Patient
from adapter.mediloop import actors
from adapter.service import Service
from store.codec import Resource, decode
from store.extract import token
from store.unit_of_work import UnitOfWork


async def referred(
    service: Service, work: UnitOfWork, batch: Sequence[Ready], stored: Sequence[Resource | None]
) -> dict[str, Resource]:
    """Read whom and where the Appointments name that MediLoop objects are to change, and who is behind their roles."""
    names = {
        name
        for ready, before in zip(batch, stored, strict=True)
        if ready.members is not None and before is not None
        for name in shown.referred(service, before)
    }
    found = await work.read_many(sorted(names)) if names else {}
    behind = {*actors.behind(found).values()} - names
    return {**found, **await work.read_many(sorted(behind))} if behind else found


async def patients_of(
    service: Service, work: UnitOfWork, batch: Sequence[Ready], stored: Sequence[Resource | None]
) -> dict[str, list[Patient]]:
    """Return the stored Patients of MediLoop objects, and of the Appointments that they are to change, by UHID.

    That is all who carry it, those with the first id first.
    """
    systems = service.systems.all_uhid
    wanted: set[str] = set()
    for ready, before in zip(batch, stored, strict=True):
        if ready.members is not None:
            wanted.add(ready.members["patient_uhid"])
            wanted |= set() if before is None else shown.unlinked(service, before)
    tokens = {token(system, one): one for one in wanted for system in systems}
    if not tokens:
        return {}
    query = {"_index.identifier": {"$in": list(tokens)}}
    documents = await work.documents("Patient", query, fields=("_index.identifier",))
    found: dict[str, list[Patient]] = {}
    for document in sorted(documents, key=lambda one: str(one["_id"])):
        patient = Patient(f"Patient/{document['_id']}", document["_json"])
        for uhid in {tokens[text] for text in document["_index"]["identifier"] if text in tokens}:
            found.setdefault(uhid, []).append(patient)
    return found


def resources(
    service: Service,
    batch: Sequence[Ready],
    given: Sequence[Resource],
    stored: Sequence[Resource | None],
    people: Mapping[str, Resource],
    patients: Mapping[str, Sequence[Patient]],
) -> list[Resource | None]:
    """Return what each is to be; None for what is to be deleted."""
    wanted: list[Resource | None] = []
    for ready, resource, before in zip(batch, given, stored, strict=True):
        carriers = patients.get(ready.members["patient_uhid"], ()) if ready.members is not None else ()
        patient = None if ready.members is None else _meant(service, carriers, ready.members["patient_uhid"])
        if ready.deletes:
            wanted.append(None)
        elif ready.if_none and before is not None:
            wanted.append(before)
        elif ready.members is not None and before is not None:
            members = {**ready.members, "id": ready.found}
            meant = [one for uhid in shown.unlinked(service, before) for one in patients.get(uhid, ())]
            met = {one.reference: one.raw for one in (*carriers, *meant)}
            known = {**people, **{name: decode(raw) for name, raw in met.items() if name not in people}}
            after = mediloop.applied(service, before, members, known, patient)
            if patient is not None:
                after = mediloop.completed(service, after, patient, ready.members["patient_uhid"])
            if not same(before, after):
                validation.require_valid(after, "Appointment")
            wanted.append(after)
        else:
            after = resource if patient is None else mediloop.referring(resource, patient)
            wanted.append(after if ready.ident == ready.found else {**after, "id": ready.found})
    return wanted


def _meant(service: Service, carriers: Sequence[Patient], uhid: str) -> Patient | None:
    """Return whom a UHID means among all who carry it, as of a booking (docs/mapping.md): of two alike neither."""
    if len(carriers) < 2:
        return carriers[0] if carriers else None
    known = {one.reference: decode(one.raw) for one in carriers}
    meant = uhids.carriers(known, service.systems, of=(uhid,)).get(uhid)
    return next((one for one in carriers if one.reference == meant), None)


async def require_known(
    service: Service, work: UnitOfWork, batch: Sequence[Ready], places: Iterable[int], patients: Collection[str]
) -> None:
    """Refuse a MediLoop appointment with somebody who is not stored, where the settings say so."""
    settings = service.settings
    written = {place: members for place in places if (members := batch[place].members) is not None}
    faults: list[Problem] = []
    if settings.unknown_patients == "refuse":
        faults += [
            mediloop.unknown_patient(place)
            for place, members in written.items()
            if members["patient_uhid"] not in patients
        ]
    if settings.unknown_actors == "refuse":
        faults += await _unknown_people(work, written)
    if faults:
        raise Unprocessable(sorted(faults, key=lambda problem: problem.entry or 0))


async def _unknown_people(work: UnitOfWork, written: Mapping[int, Mapping[str, Any]]) -> list[Problem]:
    asked = {place: mediloop.people(members) for place, members in written.items()}
    known = await work.read_many(sorted({name for people in asked.values() for name in people}))
    return [
        replace(problem, entry=place)
        for place, people in asked.items()
        for name, member in people.items()
        if name not in known
        for problem in mediloop.unknown_person(member).problems
    ]
