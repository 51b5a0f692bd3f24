"""Whom and where a list asks for, as documents may name them.

Appointments and Schedules may have several practitioners, places and patients, and MediLoop shows one of each. Who asks
for the second of them is to see the second: so the same goes into the query and into the view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter import uhids
from adapter.mediloop import directory
from adapter.mediloop.requests import AvailabilityQuery, ListQuery
from adapter.security.callers import Caller
from mappings import references
from store.codec import Resource
from store.source import Documents


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom and where a list asks for.

    Attributes:
        groups: for the practitioner and the facility, the references of which a document names one.
        uhid: of the patient.
        patients: the stored Patients with that UHID, by reference.
        further: the other UHIDs that mean one of them (`uhids.meaning`).
        sought: all UHIDs that were looked for: those that the patients carry beside are among them.
        carrying: the stored Patients with one of `sought`, by reference.
        shown: whom the view is to show; None where nobody is asked for, and it shows the first of each kind.
        roles: the practitioner's PractitionerRoles, and whom they stand for.
    """

    groups: tuple[tuple[str, ...], ...] = ()
    uhid: str | None = None
    patients: Mapping[str, Resource] = field(default_factory=dict)
    further: frozenset[str] = frozenset()
    sought: frozenset[str] = frozenset()
    carrying: Mapping[str, Resource] = field(default_factory=dict)
    shown: references.Asked | None = None
    roles: Mapping[str, str] = field(default_factory=dict)


NOBODY = Asked()


async def asked_for(who: Caller, wanted: ListQuery | AvailabilityQuery, source: Documents) -> Asked:
    """Return whom and where `wanted` asks for; what is known of them is read, and whose roles are whose in `source`."""
    uhid = wanted.patient_uhid if isinstance(wanted, ListQuery) else None
    if uhid is None and wanted.practitioner_id is None and wanted.facility_id is None:
        return NOBODY
    groups: list[tuple[str, ...]] = []
    practitioner, facility, roles = None, None, {}
    if wanted.practitioner_id is not None:
        practitioner, *others = await directory.practitioner_references(source, wanted.practitioner_id)
        groups.append((practitioner, *others))
        roles = dict.fromkeys(others, practitioner)
    if wanted.facility_id is not None:
        facility = f"Location/{wanted.facility_id}"
        groups.append((facility,))
    if uhid is None:
        shown = references.Asked(practitioner=practitioner, facility=facility)
        return Asked(tuple(groups), shown=shown, roles=roles)
    systems = who.service.systems
    patients = carrying = await directory.patients(who, [uhid])
    beside = uhids.others(patients, uhid, systems)
    if beside:
        carrying = {**patients, **await directory.patients(who, beside)}
    further = uhids.meaning(patients, carrying, beside, systems)
    shown = references.Asked(uhid, frozenset(patients), practitioner, facility, further)
    return Asked(tuple(groups), uhid, patients, further, beside | {uhid}, carrying, shown, roles)
