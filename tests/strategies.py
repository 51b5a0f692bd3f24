"""Hypothesis strategies: valid FHIR R4 Appointments, Slots and Schedules, and MediLoop objects.

They reach on purpose for what is legal and rare: odd offsets, nine digits of a second, leap seconds, partial
dates, primitives that have extensions and no value, every style of reference, several patients in one
appointment, codes of systems nobody heard of.
"""

from __future__ import annotations

import calendar
import random
from functools import cache
from typing import Any

from hypothesis import strategies as st

from mappings.appointment import FIELDS
from mappings.fields import CANCELLED_AT
from mappings.instants import shift
from mappings.systems import DEFAULT_SYSTEMS, Systems

Json = dict[str, Any]

SYSTEMS = Systems.under(uhid_aliases=("urn:example:uhid",))
"""The systems that the generated resources use; `DEFAULT_SYSTEMS` and one UHID alias."""

V2_0276 = "http://terminology.hl7.org/CodeSystem/v2-0276"
HL7_CANCELLATION = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"
MEDILOOP_STATUSES = (
    *("proposed", "pending", "booked", "arrived"),
    *("checked-in", "fulfilled", "cancelled", "noshow"),
)
STATUSES = (*MEDILOOP_STATUSES, "entered-in-error", "waitlist")
TYPES = ("ROUTINE", "WALKIN", "CHECKUP", "FOLLOWUP", "EMERGENCY")
OFFSETS = ("Z", "+03:00", "+05:45", "-00:00", "+00:00", "+14:00", "-12:00", "-03:30")
OUR_MOMENTS = (
    CANCELLED_AT,
    *(
        f"{DEFAULT_SYSTEMS.extensions}/appointment-{name}-at"
        for name in ("rescheduled", "checked-in", "arrived", "fulfilled", "noshow")
    ),
)

words = st.sampled_from(["Amina Nakato", "Dr. Okello", "Ward 7", "Éva Őry", "x", "line one\nline two", "محمد"])
codes = st.sampled_from(["consultation", "57", "general-practice", "394814009", "a.b-c", "ROUTINE", "pat"])
ids = st.sampled_from(["1", "123", "apt-123-456-789", "prov-abc-123", "A.b-9", "x" * 64])
uhids = st.sampled_from(["UG123456789A", "UG987654321B", "UG000000000Z"])
seldom = st.integers(0, 7).map(lambda number: number == 0)

# Times are drawn from large lists that are made once: ten draws for each would make the tests ten times slower.
_chance = random.Random(20240120)  # the same times in every run


def _local() -> str:
    year, month = _chance.choice([1970, 2000, 2024, 2025, 2090]), _chance.randint(1, 12)
    day = _chance.choice([1, calendar.monthrange(year, month)[1], 20])
    second = _chance.choice([0, 0, 1, 59, 60])
    digits = _chance.choice(["", "", *(f".{_chance.randrange(10**n):0{n}}" for n in range(1, 10)), ".100", ".000"])
    return f"{year}-{month:02}-{day:02}T{_chance.randint(0, 23):02}:{_chance.randint(0, 59):02}:{second:02}{digits}"


LOCAL_TIMES = tuple(_local() for _ in range(500))
local_times = st.sampled_from(LOCAL_TIMES)
instants = st.sampled_from([time + offset for time in LOCAL_TIMES for offset in OFFSETS])
"""FHIR instants in any offset and precision."""
utc_instants = st.sampled_from([f"{time}Z" for time in LOCAL_TIMES])
"""Instants as MediLoop spells them: UTC with ``Z``."""
datetimes = st.one_of(instants, instants, st.sampled_from([t[:n] for t in LOCAL_TIMES for n in (4, 7, 10)]))
"""FHIR dateTimes: instants and partial dates."""


def mapping(
    required: dict[str, st.SearchStrategy[Any]], /, **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[Json]:
    """An object with all of `required` and any of `optional`."""
    return st.fixed_dictionaries(required, optional=optional)


foreign_extensions = mapping(
    {"url": st.sampled_from(["http://example.org/a", "http://example.org/b"]), "valueString": words}, id=ids
)
modifier_extensions = st.just({"url": "http://example.org/modifier", "valueBoolean": True})
extension_lists = st.lists(foreign_extensions, min_size=1, max_size=2)
absent = st.sampled_from(["unknown", "masked"]).map(
    lambda code: {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": code}
)


def concepts(systems: tuple[str, ...], own_codes: st.SearchStrategy[str] = codes) -> st.SearchStrategy[Json]:
    """A CodeableConcept with codings of some of `systems` and of none, or a text alone."""
    coding = mapping({}, system=st.sampled_from(systems), code=own_codes, display=words).filter(bool)
    codings = st.lists(coding, min_size=1, max_size=3)
    return st.one_of(
        mapping({"coding": codings}, text=words),
        mapping({"coding": codings, "extension": extension_lists}, text=words, id=ids),
        mapping({"text": words}, _text=st.builds(lambda found: {"extension": found}, extension_lists)),
    )


human_names = mapping(
    {"family": words}, use=st.sampled_from(["official", "usual", "old"]), text=words,
    given=st.lists(words, min_size=1, max_size=2), prefix=st.lists(words, min_size=1, max_size=1),
)  # fmt: skip
uhid_identifiers = mapping(
    {"system": st.sampled_from([*SYSTEMS.all_uhid, "urn:example:mrn"]), "value": uhids.map(str.lower) | uhids},
    use=st.sampled_from(["official", "old"]),
)


@cache
def stored(kind: str) -> st.SearchStrategy[Json]:
    """A Patient, Practitioner or Location as it may be stored or contained."""
    if kind == "Location":
        return mapping({"resourceType": st.just(kind)}, name=words)
    return mapping(
        {"resourceType": st.just(kind)},
        name=st.lists(human_names, min_size=1, max_size=2),
        identifier=st.lists(uhid_identifiers, min_size=1, max_size=2),
    )


_STYLES = st.sampled_from(["relative", "absolute", "versioned", "both", "contained", "urn", "logical"])
_UUIDS = st.sampled_from(["urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"])
_INSIDE = "\0"
"""Where `actors` leave the resource that is to be contained, until `_contain` finds it a place."""


@cache
@st.composite
def actors(draw: st.DrawFn, kind: str) -> Json:
    """A Reference to a `kind`, in any legal style."""
    actor: Json = {}
    style = draw(_STYLES)
    if style == "contained" and kind in {"Patient", "Practitioner", "Location"}:
        actor[_INSIDE] = draw(stored(kind))
    elif style == "urn":
        actor |= {"reference": draw(_UUIDS), "type": kind}
    elif style == "logical":
        actor |= {"type": kind, "identifier": {"system": "urn:example:staff", "value": "7"}}
    else:
        base = "https://elsewhere.example/fhir/" if style in {"absolute", "both"} else ""
        version = "/_history/3" if style in {"versioned", "both"} else ""
        actor["reference"] = f"{base}{kind}/{draw(ids)}{version}"
    if kind == "Patient" and draw(st.booleans()):
        actor["identifier"] = draw(uhid_identifiers)
        if style == "logical" and actor["identifier"]["system"] in SYSTEMS.all_uhid:
            del actor["type"]  # the identifier alone tells
    if draw(st.booleans()):
        actor["display"] = draw(words)
    if draw(seldom):
        actor["extension"] = draw(extension_lists)
        if "display" in actor:
            actor["_display"] = {"extension": draw(extension_lists)}
    return actor


def _contain(container: Json, references: list[Json]) -> None:
    for actor in references:
        if _INSIDE in actor:
            inside = container.setdefault("contained", [])
            inside.append({**actor.pop(_INSIDE), "id": f"c{len(inside)}"})
            actor["reference"] = f"#{inside[-1]['id']}"


_KINDS = ("Patient", "Patient", "Practitioner", "Practitioner", "Location", "Location", "HealthcareService")
_PARTICIPATION = st.sampled_from(["accepted", "declined", "tentative", "needs-action"])
_participants = st.one_of(
    *(
        mapping(
            {"status": _PARTICIPATION, "actor": actors(kind)},
            required=st.sampled_from(["required", "optional", "information-only"]),
            period=st.builds(lambda start: {"start": start}, datetimes),
            modifierExtension=st.lists(modifier_extensions, min_size=1, max_size=1),
        )
        for kind in _KINDS
    ),
    mapping({"status": _PARTICIPATION, "type": st.just([{"text": "a nurse, to be found"}])}),
)
_participant_lists = st.lists(_participants, min_size=1, max_size=4)


OPTIONAL_ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "id": ids,
    "meta": st.just({"versionId": "2", "tag": [{"system": "urn:example", "code": "t"}]}),
    "language": st.just("en-UG"),
    "identifier": st.lists(
        mapping(
            {"system": st.sampled_from([SYSTEMS.appointment_number, "urn:example:visit"])},
            value=st.sampled_from(["APT-2024-001234", "V-9"]), use=st.just("usual"),
        ), min_size=1, max_size=3,
    ),
    "cancelationReason": concepts(
        (SYSTEMS.cancellation_reason, HL7_CANCELLATION, HL7_CANCELLATION, "urn:example:why"),
        st.sampled_from(["patient-request", "pat", "pat-mv", "pat-dec", "prov-edu", "weather", "x-new"]),
    ),
    "serviceType": st.lists(
        concepts((SYSTEMS.service_type, "urn:example:service")), min_size=1, max_size=2
    ),
    "specialty": st.lists(concepts((SYSTEMS.specialty, "http://snomed.info/sct")), min_size=1, max_size=2),
    "appointmentType": concepts(
        (V2_0276, "http://hl7.org/fhir/v2/0276", "urn:example:type"), st.sampled_from(TYPES)
    ),
    "reasonCode": st.lists(concepts(("http://snomed.info/sct",)), min_size=1, max_size=2),
    "priority": st.one_of(st.integers(0, 12), st.just(2147483647)),
    "description": words,
    "supportingInformation": st.just([{"reference": "DocumentReference/9"}]),
    "start": instants,
    "end": instants,
    "minutesDuration": st.integers(1, 600),
    "slot": st.lists(
        st.sampled_from(
            ("Slot/slot-001", "Slot/slot-002/_history/3", "https://clinic.example.org/fhir/R4/Slot/slot-003")
        ).map(lambda reference: {"reference": reference}),
        min_size=1,
        max_size=2,
    ),
    "created": datetimes,
    "comment": words,
    "patientInstruction": words,
    "modifierExtension": st.lists(modifier_extensions, min_size=1, max_size=1),
    "extension": st.lists(
        st.one_of(
            foreign_extensions,
            mapping({"url": st.sampled_from(OUR_MOMENTS), "valueDateTime": datetimes}, id=ids),
            st.builds(
                lambda text: {
                    "url": f"{DEFAULT_SYSTEMS.extensions}/appointment-reschedule-reason", "valueString": text
                },
                words,
            ),
        ), min_size=1, max_size=4,
    ),
}  # fmt: skip
PRIMITIVES = ("status", "priority", "start", "end", "minutesDuration", "created", "comment", "patientInstruction")


_SIBLING = mapping({"extension": st.lists(st.one_of(foreign_extensions, absent), min_size=1, max_size=2)}, id=ids)
_SIBLINGS = st.one_of(
    st.just({}),
    *(
        st.fixed_dictionaries({}, optional={f"_{name}": _SIBLING for name in names})
        for names in (PRIMITIVES[:4], PRIMITIVES[4:])
    ),
)
_OPTIONAL = st.fixed_dictionaries({}, optional=OPTIONAL_ELEMENTS)
_STATUS = st.sampled_from(STATUSES)
_CANCELLED = st.sampled_from(["cancelled", "noshow"])


@st.composite
def appointments(draw: st.DrawFn) -> Json:
    """A valid FHIR R4 Appointment."""
    resource: Json = {"resourceType": "Appointment", "status": draw(_STATUS)}
    resource |= draw(_OPTIONAL)
    if ("start" in resource) != ("end" in resource):  # app-2: both or neither
        resource.pop("start", None)
        resource.pop("end", None)
    if "start" not in resource and resource["status"] not in {"proposed", "cancelled", "waitlist"}:
        resource |= {"start": draw(instants), "end": draw(instants)}  # app-3
    if "cancelationReason" in resource:
        resource["status"] = draw(_CANCELLED)  # app-4, as meant
        if resource["status"] == "noshow" and "start" not in resource:
            resource["status"] = "cancelled"
    resource["participant"] = draw(_participant_lists)
    _contain(resource, [one["actor"] for one in resource["participant"] if "actor" in one])
    resource |= draw(_SIBLINGS)
    return resource


@st.composite
def known_for(draw: st.DrawFn, resource: Json) -> dict[str, Json]:
    """Stored resources for some of the relative references of an Appointment or a Schedule."""
    references = [p.get("actor", {}) for p in resource.get("participant", ())] + resource.get("actor", [])
    known: dict[str, Json] = {}
    for actor in references:
        kind, _, rest = actor.get("reference", "").partition("/")
        if kind in {"Patient", "Practitioner", "Location"} and draw(st.booleans()):
            identity = rest.partition("/")[0]
            known[f"{kind}/{identity}"] = {**draw(stored(kind)), "id": identity}
    return known


_MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "id": ids,
    "appointment_number": st.sampled_from(["APT-2024-001234", "APT-2026-999999"]),
    "patient_uhid": uhids,
    "practitioner_id": ids,
    "facility_id": ids,
    "status": st.sampled_from(MEDILOOP_STATUSES),
    "appointment_type_code": st.sampled_from(TYPES),
    "priority": st.integers(1, 10),
    "duration_minutes": st.integers(1, 600),
    "cancellation_reason_code": st.sampled_from(["patient-request", "pat-dec", "pat", "maint", "x-new"]),
}
_NEVER_NULL = frozenset({"id", "status", "appointment_type_code", "priority"})


def _member(name: str, kind: str, nullable: bool) -> st.SearchStrategy[Any]:
    by_type = {"datetime": utc_instants, "string": codes if name.endswith("_code") else words}
    strategy = _MEMBERS[name] if name in _MEMBERS else by_type[kind]
    return st.one_of(strategy, strategy, st.none()) if nullable else strategy


@cache
def changes(*, null_names: bool = True) -> st.SearchStrategy[Json]:
    """Any members of a MediLoop appointment, with values that MediLoop could show together.

    Members have `None` for a value also where a FHIR document may lack what MediLoop's page takes for granted.
    `null_names=False` keeps names: the name of a stored resource cannot be taken away.
    """

    def coherent(chosen: Json) -> Json:
        if chosen.get("duration_minutes", 0) is None:
            chosen["start_time"] = None  # a length that is not stated is computed, if it can be
        return chosen

    def nullable(name: str) -> bool:
        return name not in _NEVER_NULL and (null_names or not name.endswith("_name"))

    members = {field.name: _member(field.name, field.type, nullable(field.name)) for field in FIELDS}
    return st.fixed_dictionaries({}, optional=members).map(coherent)


@st.composite
def mediloop_appointments(draw: st.DrawFn) -> Json:
    """A whole MediLoop appointment as the documented page has it: booked, for 5 minutes to 8 hours."""
    start, minutes = draw(utc_instants.filter(lambda text: ":60" not in text)), draw(st.integers(5, 480))
    return {
        "id": draw(ids),
        "appointment_number": draw(_MEMBERS["appointment_number"]),
        "patient_uhid": draw(uhids),
        "patient_name": draw(words),
        "practitioner_id": draw(ids),
        "practitioner_name": draw(words),
        "facility_id": draw(ids),
        "facility_name": draw(words),
        "status": "booked",
        "service_type_code": draw(codes),
        "specialty_code": draw(codes),
        "appointment_type_code": draw(st.sampled_from(TYPES)),
        "start_time": start,
        "end_time": shift(start, minutes),
        "duration_minutes": minutes,
        "reason_text": draw(words),
        "priority": draw(st.integers(1, 10)),
        "patient_instruction": draw(words),
        "notes": draw(words),
        "created_at": draw(utc_instants),
    }


def slots() -> st.SearchStrategy[Json]:
    """A valid FHIR R4 Slot."""
    return mapping(
        {
            "resourceType": st.just("Slot"),
            "id": ids,
            "schedule": st.just({"reference": "Schedule/s1"}),
            "status": st.sampled_from(["free", "busy", "busy-unavailable", "busy-tentative", "entered-in-error"]),
            "start": instants,
            "end": instants,
        },
        serviceType=st.lists(concepts((SYSTEMS.service_type,)), min_size=1, max_size=1),
        overbooked=st.booleans(),
        comment=words,
        extension=extension_lists,
        _start=st.builds(lambda found: {"extension": [found]}, st.one_of(foreign_extensions, absent)),
    )


@st.composite
def schedules(draw: st.DrawFn) -> Json:
    """A valid FHIR R4 Schedule of at least one actor."""
    kinds = st.sampled_from(["Practitioner", "Location", "PractitionerRole"])
    named = draw(st.lists(kinds, min_size=1, max_size=3))
    resource: Json = {"resourceType": "Schedule", "id": "s1", "active": True}
    resource["actor"] = [draw(actors(kind)) for kind in named]
    _contain(resource, resource["actor"])
    return resource
