"""``Appointment/$find`` (IHE ITI-115) and ``Slot/$prefetch`` (Argonaut): time that can be had.

What is proposed is kept, so that it can be read, held and booked by its reference until it expires; it holds nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from adapter.aside import aside
from adapter.clock import exact, text
from adapter.errors import Problem
from adapter.fhir import searching, validation
from adapter.fhir.access import require_type
from adapter.fhir.call import Call, Reply
from adapter.fhir.operations.scheduling.answers import bundle
from adapter.fhir.operations.scheduling.asked import Asked, Given, is_instant
from adapter.fhir.operations.scheduling.patients import sought as sought_patients
from adapter.fhir.operations.scheduling.search import Candidate, Query, Search, page
from adapter.fhir.operations.scheduling.sought import LARGEST, Sought, count
from adapter.scheduling import holds
from adapter.scheduling.availability import first
from adapter.scheduling.intervals import Interval
from adapter.scheduling.lookup import Wanted
from adapter.uhids import tokens
from mappings.instants import minutes_between
from mappings.references import stated_uhid, uhids
from store import search as engine
from store.codec import Resource, decode
from store.extract import id_of, references
from store.indexing import naming
from store.reading import Moment
from store.search.dates import repaired
from store.search.text import escaped
from store.search.tokens import system_and_code

TAKES = (
    *("start", "end", "specialty", "visit-type", "practitioner", "organization", "location-string"),
    *("location-reference", "patient-reference", "patient-resource", "reason", "referral-identifier", "timing"),
    *("insurance-reference", "duration", "_count"),
)
PREFETCHES = (
    *("start", "end", "practitioner", "organization", "location-string", "location-reference"),
    *("specialty", "visit-type", "_count"),
)
_ACTORS = ("Practitioner", "PractitionerRole", "Location", "HealthcareService", "Device")
_NOTHING = Problem(
    "nothing_available",
    "No time that suits is free then. Ask for a longer span, or with fewer conditions.",
    severity="information",
)


async def find(call: Call, kind: str, ident: str | None) -> Reply:
    """Propose appointments: times at which everybody and everything asked for is free.

    Raises:
        Forbidden: the key may not read appointments and slots, or what a criterion looks into.
        Malformed: a parameter is missing or wrong.
    """
    require_type(call.who, "Appointment", "read")
    require_type(call.who, "Slot", "read")
    asked = await Asked.of(call, TAKES)
    service = call.who.service
    patients = asked.references("patient-reference", "Patient", base=call.base)
    sent = asked.resources("patient-resource", "Patient")
    judged = await aside(lambda: [fault for one in sent for fault in validation.check(one, "Patient")], much=call.large)
    asked.note(*judged)
    asked.tokens("reason")
    asked.one("referral-identifier")
    most = count(asked)
    sought = Sought.of(call, asked)
    async with holds.settled(call.who.store) as moment:
        search = await _search(call, sought, moment)
        visits = await _visits(call, patients, sent, moment)
        found, total = await page(moment, search, visits, most, zone=service.settings.zone)
        firsts = [one.openings[0] for one in found]
        stored = await moment.read_all([f"Slot/{one.ident}" for one in firsts if one.made is None and one.stored])
    slots = [decode(raw) if (raw := stored.get(f"Slot/{one.ident}")) else one.slot for one in firsts]
    proposed = [_proposal(asked, sought.window, one, slot, patients) for one, slot in zip(found, slots, strict=True)]
    await call.who.store.proposals.keep(proposed, service.now() + timedelta(seconds=service.settings.proposal_seconds))
    return Reply(200, bundle(call, proposed, () if proposed else (_note(total),), total))


async def prefetch(call: Call, kind: str, ident: str | None) -> Reply:
    """Answer with the free Slots themselves (Argonaut's ``Slot/$prefetch``).

    Raises:
        Forbidden: the key may not read slots, or what a criterion looks into.
        Malformed: a parameter is missing or wrong.
    """
    require_type(call.who, "Slot", "read")
    asked = await Asked.of(call, PREFETCHES)
    most = count(asked)
    sought = Sought.of(call, asked)
    async with holds.settled(call.who.store) as moment:
        search = await _search(call, sought, moment)
        wanted = Wanted(
            search.window,
            search.groups(),
            service_types=search.service_types,
            specialties=search.specialties,
            limit=most,
        )
        found, total = await first(moment, wanted, zone=call.who.service.settings.zone)
    shown = [one.slot for one in found]
    return Reply(200, bundle(call, shown, () if shown else (_note(total),), total))


def _note(total: int) -> Problem:
    if not total:
        return _NOTHING
    return Problem("not_shown", "None of them is shown, as _count asks for none.", severity="information")


async def _visits(call: Call, patients: Sequence[Resource], sent: Sequence[Resource], moment: Moment) -> list[Query]:
    """Return the queries of the appointments that patients have, by reference or by a UHID of theirs alone.

    Args:
        call: the call.
        patients: references to them.
        sent: Patients themselves, who may be stored.
        moment: where to look.

    Raises:
        Forbidden: one is named, or sent, by an identifier, and the key may not read patients.
    """
    systems = call.who.service.systems
    names = _each(
        [
            *[name for one in patients for name in await _named(call, "Patient", one, moment)],
            *[name for one in sent for name in await _meant(call, one, moment)],
        ]
    )
    stated = [uhid for one in patients if (uhid := stated_uhid(one, systems))]
    stated += [uhid for one in sent for uhid in uhids(one, systems)]
    stored = await moment.read_all([name for name in names if name.startswith("Patient/")])
    theirs = _each([*stated, *(uhid for raw in stored.values() for uhid in uhids(decode(raw), systems))])
    found: list[Query] = [*naming("actor", names)["$or"]] if names else []
    return [*found, {"_index.patient:identifier": {"$in": tokens(theirs, systems)}}] if theirs else found


async def _meant(call: Call, patient: Resource, moment: Moment) -> list[str]:
    """Return the references of whom a Patient that is sent may be: by its id, and those of whom `$book` would be."""
    named = [f"Patient/{patient['id']}"] if "id" in patient else []
    for criteria in sought_patients(call, patient):
        found = await _found(call, "Patient", criteria, moment)
        if found:
            return named + found
    return named


async def _search(call: Call, sought: Sought, moment: Moment) -> Search:
    """Return what is looked for; who is named by an identifier or an address is looked up.

    Raises:
        Forbidden: the key may not read what that looks into.
    """
    people: list[str] = []
    for one in sought.people:
        people += await _named(call, "Practitioner", one, moment)
    if people:
        # Whose time it is tells nobody anything of the roles: a booking of the practitioner looks at them as well.
        roles = await moment.keys("PractitionerRole", naming("practitioner", people), limit=LARGEST)
        people += [f"PractitionerRole/{ident}" for ident in roles]
    places: list[str] = []
    for one in sought.places:
        places += await _named(call, "Location", one, moment)
    for given in sought.addresses:
        for name in ("address", "name"):
            places += await _found(call, "Location", [(name, escaped(given))], moment)
    others: list[tuple[str, ...]] = []
    if sought.organizations:
        others.append(tuple(_each(await _of_organizations(call, sought.organizations, moment))))
    return Search(
        sought.window,
        tuple(_each(people)) or (("Practitioner/",) if sought.people else ()),  # somebody unknown is nobody's name
        tuple(_each(places)) or (("Location/",) if sought.places or sought.addresses else ()),
        tuple(group or ("Organization/",) for group in others),
        tuple(sought.service_types),
        tuple(sought.specialties),
        sought.minutes,
    )


async def _of_organizations(call: Call, organizations: Iterable[Resource], moment: Moment) -> list[str]:
    names: list[str] = []
    for one in organizations:
        for organization in await _named(call, "Organization", one, moment):
            names.append(organization)
            for kind in ("HealthcareService", "Location", "PractitionerRole"):
                names += await _found(call, kind, [("organization", organization)], moment)
    roles = [id_of(name) for name in names if name.startswith("PractitionerRole/")]
    if roles:
        found = await moment.read_all([f"PractitionerRole/{ident}" for ident in roles])
        names += [name for raw in found.values() for name in references(decode(raw), "practitioner")]
    return names


def _each(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


async def _named(call: Call, kind: str, reference: Resource, moment: Moment) -> list[str]:
    """Return whom a reference means: by its name, or by its identifier."""
    if "reference" in reference:
        return [reference["reference"]]
    identifier = reference["identifier"]
    token = escaped(identifier["value"])
    if identifier.get("system"):
        token = f"{escaped(identifier['system'])}|{token}"
    return await _found(call, kind, [("identifier", token)], moment)


async def _found(call: Call, kind: str, pairs: Sequence[tuple[str, str]], moment: Moment) -> list[str]:
    """Return the references of what a search finds: a criterion tells of that type, as a chain does.

    Raises:
        Forbidden: the key may not read the type.
    """
    require_type(call.who, kind, "read")
    return await _idents(call, kind, pairs, moment)


async def _idents(call: Call, kind: str, pairs: Sequence[tuple[str, str]], moment: Moment) -> list[str]:
    how = searching.reading(call.who, call.base, strict=True)
    try:
        wanted = engine.parse((kind,), tuple(pairs), how)
        [compiled] = await engine.compiled(moment, wanted)
    except engine.SearchRefused as refused:
        raise searching.as_refusal(refused) from None
    return [f"{kind}/{ident}" for ident in await moment.keys(kind, compiled.query, limit=LARGEST)]


def _proposal(asked: Asked, window: Interval, found: Candidate, slot: Resource, patients: list[Resource]) -> Resource:
    """Return the appointment that a candidate would be; `slot` is the first of its Slots."""
    start, end = exact(found.when.start), exact(found.when.end)
    actors: dict[str, Resource] = {}
    for one in found.openings:
        for actor in one.schedule.get("actor", ()):
            name = actor.get("reference", "")
            if name.split("/")[-2:-1] and name.split("/")[-2] in _ACTORS:
                actors.setdefault(name, actor)
    if found.place is not None:
        actors.setdefault(found.place, {"reference": found.place})
    for patient in patients:
        actors.setdefault(patient.get("reference", str(patient.get("identifier"))), patient)
    proposal: dict[str, Any] = {
        "resourceType": "Appointment",
        "id": str(uuid.uuid4()),
        "status": "proposed",
    }
    first = found.openings[0]
    for member in ("serviceCategory", "serviceType", "specialty", "appointmentType"):
        value = slot.get(member) or first.schedule.get(member)
        if value:
            proposal[member] = value
    reasons = [_coded(token) for token in asked.tokens("reason")]
    if reasons:
        proposal["reasonCode"] = reasons
    insurance = [one.value for one in asked.all("insurance-reference") if _has(one, "reference", "identifier")]
    if insurance:
        proposal["supportingInformation"] = insurance
    proposal |= {
        "start": start,
        "end": end,
        "minutesDuration": max(1, minutes_between(start, end)),
        "slot": [{"reference": f"Slot/{one.ident}"} for one in found.openings],
    }
    referral = asked.one("referral-identifier")
    if referral is not None and _has(referral, "value") and isinstance(referral.value["value"], str):
        proposal["basedOn"] = [{"type": "ServiceRequest", "identifier": referral.value}]
    proposal["participant"] = [
        {"actor": actor, "required": "required", "status": "needs-action"} for actor in actors.values()
    ]
    proposal["requestedPeriod"] = [{name: _as_asked(asked, name, window) for name in ("start", "end")}]
    return proposal


def _as_asked(asked: Asked, name: str, window: Interval) -> str:
    """Return a bound of the window as it was sent, if that is a dateTime of FHIR: a time of day needs its offset."""
    sent = repaired(asked.text(name) or "")
    bound: datetime = getattr(window, name)
    return sent if "T" not in sent or is_instant(sent) else text(bound)


def _has(given: Given, *members: str) -> bool:
    return isinstance(given.value, dict) and any(member in given.value for member in members)


def _coded(token: str) -> Resource:
    system, code = system_and_code(token)
    return {"coding": [{"system": system, "code": code} if system else {"code": code}]}
