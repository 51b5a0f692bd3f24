"""Who and where: the people and places that an appointment names, looked up in the store.

A practitioner and a facility must be known, a patient need not be (the registry is elsewhere); each is a
setting (decision 2.11). Names come from here when an appointment is made, and where a stored one has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from adapter.errors import Malformed, Problem
from adapter.security.callers import Caller
from mappings import uhid
from mappings.appointment import referred
from mappings.references import own_name
from store.codec import Resource
from store.extract import relative, token


def checked_uhid(who: Caller, text: str) -> str:
    """Return a UHID in its normal form.

    Raises:
        Malformed: it does not have the shape of one.
    """
    value = uhid.normalise(text)
    if not uhid.matches(value, who.service.settings.uhid_pattern):
        form = who.service.settings.uhid_pattern
        text = f"patient_uhid: not a UHID (expected form: {form}). Check it for typing errors."
        raise Malformed(Problem("invalid_request_error", text, "patient_uhid"))
    return value


def uhid_tokens(who: Caller, value: str) -> list[str]:
    """Return a UHID as the identifiers that may carry it, as they are indexed: our system's, then the aliases'."""
    return [token(system, value) for system in who.service.systems.all_uhid]


async def patient_references(who: Caller, value: str) -> list[str]:
    """Return the stored Patients with that UHID, as references (``Patient/123``)."""
    found = await who.store.find("Patient", {"_index.identifier": {"$in": uhid_tokens(who, value)}})
    return [f"Patient/{orjson.loads(raw)['id']}" for raw in found]


async def look_up(
    who: Caller, patient_uhid: str, practitioner_id: str, facility_id: str | None
) -> tuple[dict[str, Any], list[Problem], dict[str, Resource], str | None]:
    """Return the names to write into a new appointment, what is wrong, who is stored, and the Patient's reference."""
    wanted = [f"Practitioner/{practitioner_id}"] + ([f"Location/{facility_id}"] if facility_id else [])
    people, patients = await asyncio.gather(
        who.store.read_all(wanted),
        who.store.find("Patient", {"_index.identifier": {"$in": uhid_tokens(who, patient_uhid)}}, limit=1),
    )
    found = {reference: orjson.loads(raw) for reference, raw in people.items()}
    patient: Resource | None = orjson.loads(patients[0]) if patients else None
    settings = who.service.settings
    problems: list[Problem] = []
    if patient is None and settings.unknown_patients == "refuse":
        problems.append(Problem("unknown_patient", "No patient with that UHID is known here.", "patient_uhid"))
    if settings.unknown_actors == "refuse":
        if wanted[0] not in found:
            problems.append(
                Problem("unknown_practitioner", "No practitioner with that id is known here.", "practitioner_id")
            )
        if facility_id and wanted[-1] not in found:
            problems.append(Problem("unknown_facility", "No facility with that id is known here.", "facility_id"))
    names = {"patient_name": _name(patient), "practitioner_name": _name(found.get(wanted[0]))}
    if facility_id:
        names["facility_name"] = _name(found.get(wanted[-1]))
    reference = None if patient is None else f"Patient/{patient['id']}"
    if patient is not None:
        found[f"Patient/{patient['id']}"] = patient
    return {name: value for name, value in names.items() if value is not None}, problems, found, reference


async def known_for(
    who: Caller, appointments: Sequence[Resource], known: Mapping[str, Resource] | None = None
) -> Mapping[str, Resource]:
    """Return the stored people and places that these appointments refer to, as they are now; `known` are at hand."""
    systems, bases = who.service.systems, who.service.settings.fhir_bases
    at_hand = {} if known is None else known
    shown = (at_home(one, bases) for one in appointments)
    names = dict.fromkeys(name for one in shown for name in referred(one, systems=systems).values())
    wanted = [name for name in names if name not in at_hand]
    if not wanted:
        return at_hand
    found = await who.store.read_all(wanted)
    return {**at_hand, **{reference: orjson.loads(raw) for reference, raw in found.items()}}


def at_home(resource: Resource, bases: tuple[str, ...]) -> Resource:
    """Return an Appointment or a Schedule whose actors are referred to as ``Type/id`` where they are ours.

    The documents keep the absolute addresses that a client wrote; `mappings` looks up nobody by these, as they may be
    another server's. The very same where nothing changes.

    Args:
        resource: as it is stored.
        bases: the service's own FHIR addresses, without a slash at the end.
    """
    if not bases:
        return resource
    if "participant" in resource:
        taking_part = [
            one | {"actor": _at_home(one["actor"], bases)} if "actor" in one else one for one in resource["participant"]
        ]
        return resource | {"participant": taking_part}
    return resource | {"actor": [_at_home(one, bases) for one in resource.get("actor", ())]}


def _at_home(actor: Resource, bases: tuple[str, ...]) -> Resource:
    text = actor.get("reference", "")
    return actor | {"reference": relative(text, bases)} if "://" in text else actor


def _name(resource: Resource | None) -> str | None:
    return None if resource is None else own_name(resource)
