"""MediLoop's appointment objects as FHIR Appointments: what a clinic has, as the MediLoop API lists it.

A new one is made of all members, its id, number, status and times included. One that is stored already is changed where
it differs and keeps everything that MediLoop's words cannot express.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from adapter.errors import Malformed, Problem, Unprocessable
from adapter.fhir.validation.findings import tellable
from adapter.fhir.validation.structure import as_object, repeated_names
from adapter.importing import shown, withdrawing
from adapter.importing.means import Means
from adapter.mediloop.fields import STATUSES, UHID_PATTERN, AppointmentTypeCode, Id, Instant, Priority, Uhid, Words
from mappings import appointment as lens
from mappings import uhid
from mappings.elements import NOBODY
from mappings.instants import minutes_between, shift
from mappings.instants import parse as parse_instant
from mappings.references import PATIENT
from store.codec import Resource, decode, parse

_NAMES = {field.name: field for field in lens.FIELDS}
_TIMES = frozenset(name for name, field in _NAMES.items() if field.type == "datetime")
_TEXTS = frozenset(name for name, field in _NAMES.items() if field.type in ("string", "uuid"))
_UHID: TypeAdapter[str] = TypeAdapter(Uhid)
# The front door's, but what it limits by itself: another server's texts and visits may be longer.
_CHECKS: Mapping[str, TypeAdapter[Any]] = (
    dict.fromkeys(_TEXTS, TypeAdapter(Words))
    | dict.fromkeys(_TIMES, TypeAdapter(Instant))
    | dict.fromkeys(("id", "practitioner_id", "facility_id"), TypeAdapter(Id))
    | {
        "appointment_type_code": TypeAdapter(AppointmentTypeCode),
        "duration_minutes": TypeAdapter(Annotated[int, Field(ge=1)]),
        "priority": TypeAdapter(Priority),
    }
)
_REQUIRED = ("patient_uhid", "practitioner_id", "status", "start_time", "end_time")


@dataclass(frozen=True, slots=True)
class Patient:
    """A stored Patient: its reference (``Patient/123``) and its JSON."""

    reference: str
    raw: bytes


def read(raw: bytes) -> Any:
    """Return the parsed JSON of an object, as it was sent; nulls are no fault in it.

    Raises:
        Malformed: it has a member twice, or is no JSON.
    """
    try:
        value = parse(raw, as_object=as_object)
    except ValueError:
        raise Malformed(Problem("invalid_json", "It is not JSON in UTF-8.", issue="structure")) from None
    fault = repeated(value)
    if fault is not None:
        raise fault
    return value


def repeated(value: Any) -> Malformed | None:
    """Return the refusal of an object, parsed `as_object`, in which a name is there twice; None for all others."""
    names = repeated_names(value)
    if not names:
        return None
    said = ", ".join(name for name in names if tellable(name)) or "a name that is no member's"
    text = f"Given twice in one object: {said}. What is meant cannot be told; give it once."
    return Malformed(Problem("duplicate_key", text, names[0] if tellable(names[0]) else None, issue="structure"))


def members(service: Means, given: Mapping[str, Any], required: Sequence[str] = _REQUIRED) -> dict[str, Any]:
    """Return what of a MediLoop object is written: its known members that have a value, or may have none, checked.

    Args:
        service: whose settings.
        given: the object.
        required: what must be there.

    Raises:
        Malformed: every member that is missing or wrong is named.
    """
    wrong: list[Problem] = []
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _NAMES:
            continue
        if value is None:
            if _NAMES[name].nullable:
                found[name] = None
            continue
        try:
            found[name] = _checked(service, name, value)
        except ValidationError as error:
            message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            wrong.append(_wrong(name, message[0].lower() + message[1:]))
        except ValueError as error:
            wrong.append(_wrong(name, str(error)))
    wrong += _lasting(found)
    refused = {problem.param for problem in wrong}
    if "duration_minutes" in refused:
        refused.add("end_time")  # it would be worked out of it
    wrong += [_wrong(name, "is missing") for name in required if name not in found and name not in refused]
    if wrong:
        raise Malformed(wrong)
    return found


def unknown(given: Mapping[str, Any]) -> list[str]:
    """Return the members with a value that MediLoop's documentation does not know, so that nothing is lost unsaid."""
    return [name for name, value in given.items() if name not in _NAMES and value is not None]


def _wrong(name: str, message: str) -> Problem:
    return Problem("invalid_request_error", f"{name}: {message}.", name, issue="value")


def _lasting(found: dict[str, Any]) -> list[Problem]:
    """Return what is wrong with the length of a visit; work out its end where it is not given.

    A duration may be less than the time from start to end, as FHIR has it and our own lists show it. (A booking must
    have them agree.)
    """
    start, minutes = found.get("start_time"), found.get("duration_minutes")
    if start is None:
        return []
    if "end_time" not in found:
        if minutes is None:
            return []
        try:
            found["end_time"] = _CHECKS["end_time"].validate_python(shift(start, minutes))
        except ValueError:
            return [_wrong("duration_minutes", "no time is so far from start_time; give the end_time")]
        return []
    if parse_instant(found["end_time"]) <= parse_instant(start):
        return [_wrong("end_time", "must be after start_time")]
    length = max(1, minutes_between(start, found["end_time"]))
    if minutes is not None and minutes > length:
        return [_wrong("duration_minutes", f"end_time is {length} minutes after start_time; give one of them")]
    return []


def _checked(service: Means, name: str, value: Any) -> Any:
    if name == "patient_uhid":
        return _UHID.validate_python(value, strict=True, context={UHID_PATTERN: service.settings.uhid_pattern})
    if name == "status":
        if value not in STATUSES:
            raise ValueError(f"give one of {', '.join(STATUSES)}")
        return value
    return _CHECKS[name].validate_python(value, strict=True)


def applied(
    service: Means,
    before: Resource | None,
    wanted: Mapping[str, Any],
    known: Mapping[str, Resource] = NOBODY,
    patient: Patient | None = None,
) -> Resource:
    """Return the Appointment that `wanted` makes of what is stored, or of nothing.

    Args:
        service: whose systems and tables.
        before: what is stored.
        wanted: the members that are given.
        known: who and where is stored of those that `before` and `wanted` name, by reference. MediLoop's list shows
            their UHIDs and their names of today: what came as it would be shown, nobody has changed.
        patient: the one stored with the UHID of `wanted`; if that is a new UHID there, it is referred to.
    """
    if before is not None:
        unwritten = shown.told_already(service, before, wanted, known)
        wanted = {name: value for name, value in wanted.items() if name not in unwritten}
        wanted = withdrawing.lossless(service, before, wanted)
    base = lens.blank() if before is None else before
    new = NOBODY if patient is None or "patient_uhid" not in wanted else {patient.reference: decode(patient.raw)}
    return lens.update(base, wanted, systems=service.systems, vocabulary=service.vocabulary, known=new)


def referring(resource: Resource, patient: Patient) -> Resource:
    """Return a copy of a new Appointment whose patient is referred to too, as a booking does it."""
    participants = [
        {**one, "actor": {**one["actor"], "reference": patient.reference}}
        if one["actor"].get("type") == PATIENT
        else one
        for one in resource["participant"]
    ]
    return {**resource, "participant": participants}


def completed(service: Means, resource: Resource, patient: Patient, uhid_: str) -> Resource:
    """Return a stored Appointment whose patient, known by that UHID alone until now, is referred to as well.

    The Patient may have come later than the Appointment; whom a reference names already stays.
    """
    systems = service.systems.all_uhid

    def is_meant(actor: Resource) -> bool:
        identifier = actor.get("identifier", {})
        return (
            actor.get("type") == PATIENT
            and "reference" not in actor
            and identifier.get("system") in systems
            and uhid.normalise(identifier.get("value", "")) == uhid_
        )

    if not any(is_meant(one.get("actor", {})) for one in resource["participant"]):
        return resource
    participants = [
        {**one, "actor": {**one["actor"], "reference": patient.reference}} if is_meant(one.get("actor", {})) else one
        for one in resource["participant"]
    ]
    return {**resource, "participant": participants}


def people(wanted: Mapping[str, Any]) -> dict[str, str]:
    """Return who and where must be known where the settings say so (`ADAPTER_UNKNOWN_ACTORS`): member by reference."""
    found = {f"Practitioner/{wanted['practitioner_id']}": "practitioner_id"}
    if wanted.get("facility_id") is not None:
        found[f"Location/{wanted['facility_id']}"] = "facility_id"
    return found


def unknown_patient(entry: int) -> Problem:
    """Return what is wrong with an appointment of a patient who is not stored."""
    text = "No patient with that UHID is known here. Import the patients first."
    return Problem("unknown_patient", text, "patient_uhid", entry=entry)


def unknown_person(member: str) -> Unprocessable:
    """Return the refusal of an appointment with somebody, or somewhere, that is not stored."""
    code = "unknown_practitioner" if member == "practitioner_id" else "unknown_facility"
    what, all_ = ("practitioner", "practitioners") if member == "practitioner_id" else ("facility", "facilities")
    text = f"No {what} with that id is known here. Import the {all_} first."
    return Unprocessable(Problem(code, text, member))
