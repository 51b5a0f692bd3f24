"""What the items of a batch are to be: a resource as it came, a MediLoop object laid over what is stored of it.

A MediLoop object says whom and where by their numbers; who they are is looked for here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapter.errors import Problem, Unprocessable
from adapter.fhir import validation
from adapter.importing import mediloop
from adapter.importing.checking import Ready
from adapter.importing.identity import same
from adapter.importing.mediloop import Patient
from adapter.service import Service
from store.codec import Resource
from store.extract import token
from store.unit_of_work import UnitOfWork


async def referred(
    service: Service, work: UnitOfWork, batch: Sequence[Ready], stored: Sequence[Resource | None]
) -> dict[str, Resource]:
    """Read whom and where the Appointments refer to that MediLoop objects are to change."""
    names = {
        name
        for ready, before in zip(batch, stored, strict=True)
        if ready.members is not None and before is not None
        for name in mediloop.referred(service, before)
    }
    return await work.read_many(sorted(names)) if names else {}


async def patients_of(service: Service, work: UnitOfWork, batch: Sequence[Ready]) -> dict[str, Patient]:
    """Return the stored Patients of MediLoop objects, by UHID; of several with the same, the first by id."""
    systems = service.systems.all_uhid
    uhids = {ready.members["patient_uhid"] for ready in batch if ready.members is not None}
    tokens = {token(system, one): one for one in uhids for system in systems}
    if not tokens:
        return {}
    query = {"_index.identifier": {"$in": list(tokens)}}
    documents = await work.documents("Patient", query, fields=("_index.identifier",))
    found: dict[str, Patient] = {}
    for document in sorted(documents, key=lambda one: str(one["_id"])):
        patient = Patient(f"Patient/{document['_id']}", document["_json"])
        for text in document["_index"]["identifier"]:
            if text in tokens:
                found.setdefault(tokens[text], patient)
    return found


def resources(
    service: Service,
    batch: Sequence[Ready],
    given: Sequence[Resource],
    stored: Sequence[Resource | None],
    people: Mapping[str, Resource],
    patients: Mapping[str, Patient],
) -> list[Resource | None]:
    """Return what each is to be; None for what is to be deleted."""
    wanted: list[Resource | None] = []
    for ready, resource, before in zip(batch, given, stored, strict=True):
        patient = patients.get(ready.members["patient_uhid"]) if ready.members is not None else None
        if ready.deletes:
            wanted.append(None)
        elif ready.if_none and before is not None:
            wanted.append(before)
        elif ready.members is not None and before is not None:
            members = {**ready.members, "id": ready.found}
            after = mediloop.applied(service, before, members, people, patient)
            if patient is not None:
                after = mediloop.completed(service, after, patient, ready.members["patient_uhid"])
            if not same(before, after):
                validation.require_valid(after, "Appointment")
            wanted.append(after)
        else:
            after = resource if patient is None else mediloop.referring(resource, patient)
            wanted.append(after if ready.ident == ready.found else {**after, "id": ready.found})
    return wanted


async def require_known(
    service: Service, work: UnitOfWork, batch: Sequence[Ready], places: Iterable[int], patients: Mapping[str, Patient]
) -> None:
    """Refuse a MediLoop appointment with somebody who is not stored, where the settings say so (decision 2.11)."""
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
