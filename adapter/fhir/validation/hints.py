"""What somebody may have meant by an element that R4 does not have: other releases' names, other spellings."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from adapter.fhir.validation.definitions import Type

_ELSEWHERE: Mapping[str, str] = {
    "Appointment.cancellationReason": "R4 spells it cancelationReason",
    "Appointment.cancellationDate": "it is R5's; R4 needs an extension for it",
    "Appointment.subject": "it is R5's; in R4 the patient is the actor of a participant",
    "Appointment.patient": "in R4 the patient is the actor of a participant",
    "Appointment.practitioner": "in R4 the practitioner is the actor of a participant",
    "Appointment.location": "in R4 the location is the actor of a participant",
    "Appointment.reason": "it is R5's; R4 has reasonCode and reasonReference",
    "Appointment.note": "it is R5's; R4 has comment",
    "Appointment.duration": "R4 has minutesDuration",
    "Appointment.type": "R4 has appointmentType",
    "Appointment.replaces": "it is R5's; R4 needs an extension for it",
    "Appointment.class": "it is R5's; R4 has serviceCategory",
    "AppointmentResponse.status": "R4 has participantStatus",
    "AppointmentResponse.proposedNewTime": "it is R5's; R4 gives the new time as start and end",
    "Schedule.name": "it is R5's; R4 has comment",
    "Schedule.practitioner": "R4 has actor",
    "Location.contact": "it is R5's; R4 has telecom and address",
    "Location.form": "it is R5's; R4 has physicalType",
    "HealthcareService.contact": "it is R5's; R4 has telecom",
    "HealthcareService.availability": "it is R5's; R4 has availableTime and notAvailable",
    "PractitionerRole.contact": "it is R5's; R4 has telecom",
    "PractitionerRole.availability": "it is R5's; R4 has availableTime and notAvailable",
    "Organization.qualification": "it is R5's; R4 needs an extension for it",
    "Patient.birthdate": "R4 spells it birthDate",
    "Patient.surname": "R4 has name.family",
    "Patient.phone": "R4 has telecom with the system phone",
    "Patient.email": "R4 has telecom with the system email",
}


def hint(made: Type, name: str) -> str:
    """Return a sentence on what `name` may have meant in `made`; empty for no idea."""
    known = _ELSEWHERE.get(f"{made.name}.{name}")
    if known is not None:
        return f" ({known})"
    lowered = {member.lower(): member for member in made.members}
    same = lowered.get(name.lower())
    close = [same] if same else get_close_matches(name, made.members, 1, 0.8)
    return f" (did you mean {close[0]}?)" if close else ""


def code_hint(codes: frozenset[str], given: object) -> str:
    """Return which of `codes` may have been meant; empty for no idea."""
    if not isinstance(given, str):
        return ""
    close = get_close_matches(given.strip().lower(), codes, 1, 0.75)
    return f" Did you mean {close[0]}?" if close else ""
