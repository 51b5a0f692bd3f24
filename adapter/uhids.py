"""Who carries a UHID, and by which UHIDs a patient's visits are found: one answer for all doors.

A visit that says nothing of its patient but a UHID is shown as one of the Patient who alone carries it
(`adapter.mediloop.actors`). So whoever asks by another UHID of that Patient is to find it.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mappings.references import PATIENT, current_uhids, former_uhids, uhids
from mappings.systems import Systems
from store.codec import Resource
from store.extract import token

Carriers = Mapping[str, str]
"""UHID -> the one Patient who carries it, as a reference."""

NO_CARRIERS: Carriers = MappingProxyType({})


def carriers(known: Mapping[str, Resource], systems: Systems, of: Container[str]) -> Carriers:
    """Return who carries which of the UHIDs `of`; not one that two carry: it does not say whom.

    Who carries it now goes before who carries it as one of earlier days.

    Args:
        known: stored resources by reference, all Patients among them who carry one of these UHIDs.
        systems: canonical URLs.
        of: UHIDs. Others are passed over: of who carries them, those that happen to be known may be a part.
    """
    now: dict[str, str | None] = {}
    once: dict[str, str | None] = {}
    for name, resource in known.items():
        if resource["resourceType"] == PATIENT:
            for found, theirs in ((now, current_uhids(resource, systems)), (once, former_uhids(resource, systems))):
                for uhid in dict.fromkeys(theirs):
                    if uhid in of:
                        found[uhid] = None if uhid in found else name
    return {uhid: name for uhid, name in (once | now).items() if name is not None}


def tokens(values: Iterable[str], systems: Systems) -> list[str]:
    """Return UHIDs as the identifiers that may carry them, as they are indexed: our system's, then the aliases'."""
    return [token(system, value) for value in values for system in systems.all_uhid]


def carriers_query(values: Iterable[str], systems: Systems) -> dict[str, Any]:
    """Return the MongoDB query of the Patients with one of these UHIDs."""
    return {"_index.identifier": {"$in": tokens(values, systems)}}


def others(patients: Mapping[str, Resource], uhid: str, systems: Systems) -> frozenset[str]:
    """Return the UHIDs that stored `patients` carry beside `uhid`."""
    return frozenset(one for patient in patients.values() for one in uhids(patient, systems)) - {uhid}


def meaning(
    patients: Collection[str], carrying: Mapping[str, Resource], of: Collection[str], systems: Systems
) -> frozenset[str]:
    """Return which of the UHIDs `of` mean one of these `patients`; all who carry them are among `carrying`."""
    return frozenset(uhid for uhid, name in carriers(carrying, systems, of).items() if name in patients)


def visits(uhid: str, further: Collection[str], patients: Collection[str], systems: Systems) -> list[dict[str, Any]]:
    """Return MongoDB queries of Appointments, each served by an index: a patient's are those that match any of them.

    Args:
        uhid: that is asked for.
        further: the others that mean that patient, where nothing else is said (`meaning`).
        patients: the stored Patients with `uhid`, as references.
        systems: canonical URLs.
    """
    # A patient's: others who take part may carry a UHID, too, and the visit is not theirs to see.
    found: list[dict[str, Any]] = [{"_index.patient:identifier": {"$in": tokens([uhid], systems)}}]
    if patients:
        found.append({"_index.actor": {"$in": list(patients)}})
    if further:
        found.append(_stated_alone(sorted(further), systems))
    return found


def _stated_alone(values: Sequence[str], systems: Systems) -> dict[str, Any]:
    """Return the query of who names somebody by one of these UHIDs and by nothing else.

    Beside a reference it is that which says who is meant, and the index does not tell whether there is one. Nor does it
    tell which participant it means: somebody else may carry the same UHID beside a contained patient.
    """
    identifier = "$$one.actor.identifier"
    kind = {"$arrayElemAt": [{"$split": [{"$ifNull": ["$$one.actor.type", PATIENT]}, "/"]}, -1]}  # `kind_of`
    as_shown = {"$toUpper": {"$trim": {"input": f"{identifier}.value"}}}  # `mappings.uhid.normalise`
    alone = [
        {"$eq": [{"$type": "$$one.actor.reference"}, "missing"]},
        {"$eq": [kind, PATIENT]},
        {"$setIsSubset": [[f"{identifier}.system"], {"$literal": list(systems.all_uhid)}]},
        {"$setIsSubset": [[as_shown], {"$literal": list(values)}]},
    ]
    some = {"$anyElementTrue": [{"$map": {"input": "$participant", "as": "one", "in": {"$and": alone}}}]}
    return {"_index.patient:identifier": {"$in": tokens(values, systems)}, "$expr": some}
