"""The filters of ``mediloop-fhir export`` as MongoDB queries, for each type that they apply to.

What only some filters need (HL7's definitions, how a UHID is spelt) is loaded with the first of them: an export of
everything begins faster without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from adapter.errors import Malformed, Problem
from adapter.export.asked import Asked
from adapter.export.engine import Cut, Selection, resources
from adapter.settings import Settings
from store import codec
from store.dates import days
from store.exporting import Query
from store.extract import ID
from store.indexing import naming
from store.store import Store
from store.types import TYPES

_APPLIES: Mapping[str, tuple[str, ...]] = {
    "status": ("Appointment", "Slot"),
    "date_from": ("Appointment", "Slot"),
    "date_to": ("Appointment", "Slot"),
    "practitioner": ("Appointment", "Slot", "Schedule"),
    "facility": ("Appointment", "Slot", "Schedule"),
    "patient_uhid": ("Appointment", "Patient"),
}
_BEGINS = {"Appointment": "date", "Slot": "start"}


@dataclass(frozen=True, slots=True)
class Filters:
    """What is wanted of each type; what is None does not matter.

    Attributes:
        status: FHIR statuses, any of which.
        date_from: the first calendar day of the clinic on which it starts.
        date_to: the last one.
        practitioner: a practitioner's id; documents may name one of their roles instead.
        facility: a Location's id.
        patient_uhid: of the patient.
    """

    status: tuple[str, ...] | None = None
    date_from: date | None = None
    date_to: date | None = None
    practitioner: str | None = None
    facility: str | None = None
    patient_uhid: str | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of those that matter."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name) is not None)

    def as_options(self) -> dict[str, Any]:
        """Return those that matter, as JSON keeps them."""
        found = {name: getattr(self, name) for name in self.given}
        return {name: str(value) if isinstance(value, date) else value for name, value in found.items()}


def kinds(filters: Filters, named: Sequence[str], most: Sequence[str]) -> tuple[str, ...]:
    """Return the types to export: those named, or those of `most` that every filter applies to.

    Raises:
        Malformed: a type is not known, not in this format, or a filter does not apply to it; a status is none.
    """
    unknown = [kind for kind in named if kind not in most]
    if unknown:
        raise _bad(f"--type {','.join(unknown)}: not a type of this export. There are {', '.join(most)}.", "type")
    if filters.status is not None:
        _check_statuses(filters.status, [kind for kind in named or most if kind in _APPLIES["status"]], bool(named))
    found = tuple(kind for kind in most if all(_applies(filters, name, kind) for name in filters.given))
    if not named:
        if not found:
            raise _bad(f"No type has all of {', '.join(map(_option, filters.given))}; use fewer.", filters.given[0])
        return found
    for kind in named:
        for name in filters.given:
            if not _applies(filters, name, kind):
                text = f"{_option(name)} does not apply to {kind}; leave out the one or the other."
                raise _bad(text, name)
    return tuple(kind for kind in most if kind in named)


def _check_statuses(asked: Sequence[str], kinds: Sequence[str], each: bool) -> None:
    """Refuse statuses that none of the types has; or that one of them has not, if each is wanted.

    Raises:
        Malformed: with those that there are.
    """
    if not kinds:
        return
    found = {kind: _statuses(kind) for kind in kinds}
    every = sorted(frozenset().union(*found.values()))
    if not asked:
        raise _bad(f"--status takes statuses, separated by commas. There are {', '.join(every)}.", "status")
    wrong = [one for one in asked if one not in every]
    if wrong:
        text = f"--status {','.join(wrong)}: not a status of {' or '.join(kinds)}. There are {', '.join(every)}."
        raise _bad(text, "status")
    for kind, possible in found.items():
        wrong = [one for one in asked if one not in possible]
        if wrong and each:
            text = f"--status {','.join(wrong)}: not a status of {kind}. There are {', '.join(sorted(possible))}."
            raise _bad(text, "status")
    if not any(possible.issuperset(asked) for possible in found.values()):
        of = "; ".join(f"{kind}: {', '.join(sorted(possible))}" for kind, possible in found.items())
        raise _bad(f"--status {','.join(asked)}: no type has them all. {of}.", "status")


def _statuses(kind: str) -> frozenset[str]:
    from adapter.fhir.validation.definitions import type_of

    return frozenset(type_of(kind).members["status"].codes or ())


def _applies(filters: Filters, name: str, kind: str) -> bool:
    if name == "status" and kind in _APPLIES[name]:
        return _statuses(kind).issuperset(filters.status or ())
    return kind in _APPLIES[name]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def check(settings: Settings, filters: Filters) -> None:
    """Refuse values with which nothing can be looked for, before anything is written.

    Raises:
        Malformed: an id that is none, a UHID without the shape of one, days in the wrong order or beyond all days.
    """
    for name in ("practitioner", "facility"):
        ident = getattr(filters, name)
        if ident is not None and not ID.fullmatch(ident):
            raise _bad(f"{_option(name)} takes an id alone, such as prov-abc-123. Give one, or leave it out.", name)
    if filters.patient_uhid is not None:
        from mappings.uhid import matches

        if not matches(filters.patient_uhid, settings.uhid_pattern):
            raise _bad("--patient-uhid: not a UHID. Check it for typing errors.", "patient_uhid")
    if filters.date_from and filters.date_to and filters.date_to < filters.date_from:
        raise _bad("--date-to is before --date-from. Give a later day.", "date_to")
    for name, first, last in (("date_from", filters.date_from, None), ("date_to", None, filters.date_to)):
        try:
            days(first, last, settings.zone)
        except OverflowError:
            text = f"{_option(name)} {first or last}: there is no such moment. Leave it out."
            raise _bad(text, name) from None


async def asked_for(settings: Settings, store: Store, cut: Cut, filters: Filters) -> Asked:
    """Return whom and where `filters` ask for. They are checked before.

    What they name of other resources (a practitioner's roles, a UHID's Patients) is looked up as it was at the cut: an
    export that was interrupted goes on with the very same queries, whatever has changed meanwhile.
    """
    practitioner = f"Practitioner/{filters.practitioner}" if filters.practitioner else None
    uhid: str | None = None
    roles: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    if practitioner is not None:
        having = naming("practitioner", [practitioner])["$or"]
        roles = await _names(store, cut, Selection("PractitionerRole", queries=tuple(having)))
    if filters.patient_uhid is not None:
        from mappings.uhid import normalise

        uhid = normalise(filters.patient_uhid)
        patients, further = await _patients(settings, store, cut, uhid)
    return Asked(
        practitioner=practitioner,
        roles=roles,
        facility=f"Location/{filters.facility}" if filters.facility else None,
        uhid=uhid,
        patients=patients,
        further=further,
    )


async def queries(
    settings: Settings, store: Store, cut: Cut, filters: Filters, asked: Asked, kind: str
) -> tuple[Query, ...]:
    """Return the queries of which a resource of the type must match one; none: all are wanted.

    A practitioner's Schedules are looked up as they were at the cut, as for `asked_for`, which gives `asked`.
    """
    query: dict[str, Any] = {}
    if filters.status is not None:
        query["_index.status"] = {"$in": list(filters.status)}
    if span := days(filters.date_from, filters.date_to, settings.zone):
        query[f"_index.{_BEGINS[kind]}"] = span
    actors: list[dict[str, Any]] = [{"_index.actor": {"$in": list(group)}} for group in asked.groups]
    if actors and kind == "Slot":
        found = await _names(store, cut, Selection("Schedule", queries=({"$and": actors},)))
        query["_index.schedule"] = {"$in": list(found)}
    elif actors:
        query["$and"] = actors
    if asked.uhid is None:
        return (query,) if query else ()
    # Beside a practitioner, a Patient who is referred to is one more condition on the actors.
    return tuple({**query, "$and": [*query.get("$and", ()), one]} for one in _patient(settings, asked, kind))


async def _names(store: Store, cut: Cut, selection: Selection) -> tuple[str, ...]:
    found = [codec.ident(line) async for part in resources(store, cut, selection) for line in part.lines]
    return tuple(f"{selection.kind}/{ident}" for ident in found)


async def _patients(settings: Settings, store: Store, cut: Cut, uhid: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the Patients with a UHID, and the others that mean one of them where nothing else is said."""
    from adapter import uhids
    from adapter.terms import systems_of

    async def carrying(values: Iterable[str]) -> dict[str, codec.Resource]:
        selection = Selection("Patient", queries=(uhids.carriers_query(values, systems),))
        lines = [line async for part in resources(store, cut, selection) for line in part.lines]
        return {f"Patient/{one['id']}": one for one in map(codec.decode, lines)}

    systems = systems_of(settings)
    found = await carrying([uhid])
    beside = uhids.others(found, uhid, systems)
    everybody = found | await carrying(beside) if beside else found
    return tuple(found), tuple(sorted(uhids.meaning(found, everybody, beside, systems)))


def _patient(settings: Settings, asked: Asked, kind: str) -> list[dict[str, Any]]:
    from adapter import uhids
    from adapter.terms import systems_of

    systems, uhid = systems_of(settings), asked.uhid or ""
    if kind == "Patient":
        return [uhids.carriers_query([uhid], systems)]
    return uhids.visits(uhid, asked.further, asked.patients, systems)


def _bad(text: str, param: str) -> Malformed:
    return Malformed(Problem("invalid_request_error", text, param))


EVERY = tuple(TYPES)
"""All types, in the order in which they are exported."""
