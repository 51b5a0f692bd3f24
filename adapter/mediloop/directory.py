"""Who and where: the people and places that an appointment names, looked up in the store.

A practitioner and a facility must be known, a patient need not be (the registry is elsewhere); each is a
setting. Names come from here when an appointment is made, and where a stored one has none.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from adapter import uhids
from adapter.errors import Problem
from adapter.mediloop import actors
from adapter.scheduling import foresight
from adapter.security.callers import Caller
from mappings import slot as slot_lens
from mappings.appointment import referred, unlinked_uhid
from mappings.elements import NOBODY
from mappings.references import Asked, own_name
from mappings.uhid import normalise
from store.codec import Resource, decode
from store.extract import references
from store.indexing import naming
from store.source import Documents
from store.unit_of_work import UnitOfWork

BY_IDENTIFIER = ("identifier", "_id")
"""The index that a look for Patients by UHID goes through."""

_MOST_ROLES = 1_000
NO_ROLES: Mapping[str, str] = MappingProxyType({})


class People(NamedTuple):
    """Who and where is shown of appointments, as they are stored now.

    Attributes:
        known: people and places, by reference.
        carrying: who is meant by the UHID that is all that an appointment says.
    """

    known: Mapping[str, Resource] = NOBODY
    carrying: uhids.Carriers = uhids.NO_CARRIERS


def patient_query(who: Caller, values: Iterable[str]) -> dict[str, Any]:
    """Return the MongoDB query of the Patients with one of these UHIDs; `BY_IDENTIFIER` serves it."""
    return uhids.carriers_query(values, who.service.systems)


async def patients(who: Caller, values: Iterable[str]) -> dict[str, Resource]:
    """Return the stored Patients with one of these UHIDs, by reference (``Patient/123``)."""
    found = map(orjson.loads, await who.store.find("Patient", patient_query(who, values), hint=BY_IDENTIFIER))
    return {f"Patient/{patient['id']}": patient for patient in found}


async def look_up(
    who: Caller, work: UnitOfWork, patient_uhid: str, practitioner_id: str, facility_id: str | None
) -> tuple[dict[str, Any], list[Problem], dict[str, Resource], str | None]:
    """Return the names to write into a new appointment, what is wrong, who is stored, and the Patient's reference.

    Where two Patients carry the UHID (`uhids.carriers`), it does not say which of them is meant: then there is neither
    name nor reference.
    It is looked up in the unit of work that books: whoever is deleted at the same time is gone, or is booked and stays.
    """
    wanted = [f"Practitioner/{practitioner_id}"] + ([f"Location/{facility_id}"] if facility_id else [])
    await work.foresee([*foresight.named(wanted), ("Patient", patient_query(who, [patient_uhid]))])
    found = await work.read_many(wanted)
    documents = await work.documents("Patient", patient_query(who, [patient_uhid]), hint=BY_IDENTIFIER)
    patients = {f"Patient/{one['_id']}": decode(one["_json"]) for one in documents}
    problems = [] if patients else _unknown_patient(who)
    problems += _unknown(who, found, practitioner_id, facility_id)
    reference = uhids.carriers(patients, who.service.systems, of=(patient_uhid,)).get(patient_uhid)
    names = {"patient_name": _name(patients.get(reference or "")), "practitioner_name": _name(found.get(wanted[0]))}
    if facility_id:
        names["facility_name"] = _name(found.get(wanted[-1]))
    return {name: value for name, value in names.items() if value is not None}, problems, found | patients, reference


async def unknown(who: Caller, members: Mapping[str, Any]) -> list[Problem]:
    """Return who and where of a booking is not known here, as far as its `members` say it."""
    uhid, practitioner, facility = (members.get(name) for name in ("patient_uhid", "practitioner_id", "facility_id"))
    problems = [] if uhid is None or await patients(who, [normalise(uhid)]) else _unknown_patient(who)
    wanted = ([f"Practitioner/{practitioner}"] if practitioner else []) + ([f"Location/{facility}"] if facility else [])
    return problems + _unknown(who, await who.store.read_all(wanted), practitioner, facility)


def _unknown_patient(who: Caller) -> list[Problem]:
    if who.service.settings.unknown_patients != "refuse":
        return []
    return [Problem("unknown_patient", "No patient with that UHID is known here.", "patient_uhid")]


def refuses_strangers(who: Caller) -> bool:
    """Tell whether no booking may name a practitioner or a facility that is not stored here."""
    return who.service.settings.unknown_actors == "refuse"


def _unknown(who: Caller, found: Container[str], practitioner: str | None, facility: str | None) -> list[Problem]:
    """Return who and where is asked for and not among the references `found`."""
    problems: list[Problem] = []
    if not refuses_strangers(who):
        return problems
    if practitioner and f"Practitioner/{practitioner}" not in found:
        text = "No practitioner with that id is known here."
        problems.append(Problem("unknown_practitioner", text, "practitioner_id"))
    if facility and f"Location/{facility}" not in found:
        problems.append(Problem("unknown_facility", "No facility with that id is known here.", "facility_id"))
    return problems


async def practitioner_references(source: Documents, ident: str) -> list[str]:
    """Return how documents may refer to a practitioner: directly, or by one of their roles."""
    own = f"Practitioner/{ident}"
    roles = await source.keys("PractitionerRole", naming("practitioner", [own]), limit=_MOST_ROLES)
    return [own, *(f"PractitionerRole/{role}" for role in roles)]


async def known_for(
    who: Caller,
    appointments: Sequence[Resource],
    known: Mapping[str, Resource] = NOBODY,
    *,
    roles: Mapping[str, str] = NO_ROLES,
    asked: Asked | None = None,
    sought: Collection[str] = (),
) -> People:
    """Return the stored people and places that are shown of these appointments, as they are now.

    Patients of whom an appointment has the UHID alone are among them: all who carry it.

    Args:
        who: calls.
        appointments: as they are stored.
        known: those that are at hand.
        roles: of the practitioner who is asked for (`actors.as_shown`).
        asked: who is to be shown of several.
        sought: UHIDs that were looked for: who carries them is among `known`.
    """
    bases, systems = who.service.settings.fhir_bases, who.service.systems
    unlinked = {uhid for one in appointments if (uhid := unlinked_uhid(one, systems=systems, asked=asked))}
    if further := unlinked.difference(sought):
        known = {**known, **await patients(who, further)}
    carrying = uhids.carriers(known, systems, of=unlinked.union(sought))
    at_hand = await _read(who, actors.roles(appointments, bases), known)
    shown = (actors.as_shown(one, bases, at_hand, roles, systems) for one in appointments)
    wanted = (name for one in shown for name in referred(one, systems=systems, asked=asked).values())
    return People(await _read(who, wanted, at_hand), carrying)


async def published_by(
    who: Caller, schedules: Mapping[str, Resource], roles: Mapping[str, str], asked: Asked | None
) -> tuple[dict[str, Resource], Mapping[str, Resource]]:
    """Return Schedules as MediLoop shows them, and the stored people and places that they refer to.

    Whom, or where, a booking could not name is not among those shown. `roles` and `asked` as for `known_for`.
    """
    bases, systems = who.service.settings.fhir_bases, who.service.systems
    if refuses_strangers(who):
        known = await _read(who, (name for one in schedules.values() for name in references(one, "actor")), {})
        known = await _read(who, actors.behind(known).values(), known)
        schedules = {name: actors.without_strangers(one, known) for name, one in schedules.items()}
    else:
        known = await _read(who, actors.roles(schedules.values(), bases), {})
    shown = {name: actors.as_shown(one, bases, known, roles, systems) for name, one in schedules.items()}
    wanted = (name for one in shown.values() for name in slot_lens.referred(one, systems=systems, asked=asked))
    return shown, await _read(who, wanted, known)


async def _read(who: Caller, names: Iterable[str], at_hand: Mapping[str, Resource]) -> Mapping[str, Resource]:
    wanted = [name for name in dict.fromkeys(names) if name not in at_hand]
    if not wanted:
        return at_hand
    found = await who.store.read_all(wanted)
    return {**at_hand, **{reference: orjson.loads(raw) for reference, raw in found.items()}}


def _name(resource: Resource | None) -> str | None:
    return None if resource is None else own_name(resource)
