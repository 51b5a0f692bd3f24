"""The operations as OperationDefinition resources: to be read and listed, never written.

Ours have canonicals of the deployment. IHE's keep their own names in the CapabilityStatement; what is served here for
them is our reading, with the aliases that are taken, and cites IHE's as its base.
https://hl7.org/fhir/R4/operationdefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from adapter import __version__
from adapter.fhir.call import Call, Reply
from adapter.fhir.conformance.serving import Searched, serve
from adapter.fhir.operations import IHE, OPERATIONS, Operation
from adapter.fhir.operations.scheduling.asked import ALIASES
from mappings.systems import BASE

OPERATION_DEFINITION = "OperationDefinition"

SEARCHED: Mapping[str, Searched] = {
    "_id": Searched("id", "token", "Resource-id"),
    "url": Searched("url", "uri", "conformance-url"),
    "name": Searched("name", "string", "conformance-name"),
    "status": Searched("status", "token", "conformance-status", "http://hl7.org/fhir/publication-status"),
    "code": Searched("code", "token", "OperationDefinition-code"),
    "base": Searched("base", "reference", "OperationDefinition-base"),
}

_ABOUT = {
    "appointment-find": "Proposes appointments at times at which everybody and everything asked for is free. What is "
    "proposed can be read, held and booked by its reference until it expires; it holds nothing.",
    "appointment-hold": "Holds a proposed appointment for a moment: pending, its slots busy-tentative, until the time "
    "in the header Expires. Then the hold lapses by itself.",
    "appointment-book": "Books what was proposed or held, or a new appointment (status pending); changes one (booked) "
    "or cancels one (cancelled).",
    "appointment-cancel": "Cancels an appointment; its slots become free.",
    "appointment-reschedule": "Moves an appointment to another time or other slots: old ones freed and new ones taken "
    "at once, or nothing is changed. A room that it has moves along.",
    "slot-prefetch": "Returns free slots.",
    "slot-find": "Returns free slots, as $prefetch does.",
}

_WHERE = (
    ("practitioner", 0, "*", "Reference", "Any of them; literal, or by identifier."),
    ("organization", 0, "*", "Reference", "Any of them: its services, locations and practitioners in their roles."),
    ("location-string", 0, "*", "string", "The beginning of a part of a location's address, or of its name."),
    ("location-reference", 0, "*", "Reference", "Any of them."),
    ("specialty", 0, "*", "string", "A token (system|code); any of them."),
    ("visit-type", 0, "*", "string", "A token (system|code) of the service type; any of them."),
)
_WINDOW = (
    ("start", 1, "1", "dateTime", "The beginning of the time in which to look."),
    ("end", 1, "1", "dateTime", "Its end; a date without a time is included."),
)
_COUNT = (("_count", 0, "1", "integer", "How many to return at most; 20 unless said."),)
_PARAMETERS: Mapping[str, tuple[tuple[str, int, str, str, str], ...]] = {
    "appointment-find": (
        *_WINDOW,
        *_WHERE,
        ("patient-reference", 0, "*", "Reference", "For whom; times at which they have an appointment are left out."),
        (
            "patient-resource",
            0,
            "*",
            "Patient",
            "For whom, known or not; nothing is stored. Times at which they have an appointment are left out.",
        ),
        ("reason", 0, "*", "string", "A token (system|code)."),
        ("referral-identifier", 0, "1", "Identifier", "Of the ServiceRequest."),
        ("timing", 0, "1", "Timing", "Its repeat.duration is how long the visit is to be."),
        ("insurance-reference", 0, "*", "Reference", "Kept as supporting information."),
        (
            "duration",
            0,
            "1",
            "integer",
            "How long the visit is to be, in minutes; slots that follow each other are joined.",
        ),
        *_COUNT,
    ),
    "appointment-hold": (("appointment-reference", 1, "1", "Reference", "What $find has proposed."),),
    "appointment-book": (
        ("appointment-reference", 0, "1", "Reference", "What $find has proposed, or $hold holds."),
        ("appointment-resource", 0, "1", "Appointment", "Pending: a new one; booked: a change; cancelled: to cancel."),
        ("patient-resource", 0, "*", "Patient", "Who joins; stored unless one with that identifier is."),
        ("patient-reference", 0, "*", "Reference", "Who joins."),
        ("cancelled-appt-id", 0, "*", "Reference", "What it replaces: cancelled in the same transaction."),
        ("comment", 0, "1", "string", "A comment for the appointment."),
        ("overbook", 0, "1", "string", "Why to book over what is in the way; needs the permission overbook:write."),
        ("schedule", 0, "*", "Reference", "The schedules to book on, as ISiK has it: free slots of each are taken."),
    ),
    "appointment-cancel": (
        ("reason", 0, "1", "CodeableConcept", "Why; a text will do."),
        ("comment", 0, "1", "string", "A comment for the appointment."),
    ),
    "appointment-reschedule": (
        ("start", 0, "1", "instant", "The new start; this or a slot is needed."),
        ("end", 0, "1", "instant", "The new end; the length stays as it is where none is given."),
        ("slot", 0, "*", "Reference", "The slots to take; none: free ones are looked for."),
        ("reason", 0, "1", "CodeableConcept", "Why; a text will do."),
        ("comment", 0, "1", "string", "A comment for the appointment."),
    ),
    "slot-prefetch": (*_WINDOW, *_WHERE, *_COUNT),
    "slot-find": (*_WINDOW, *_WHERE, *_COUNT),
}


@lru_cache(maxsize=4)
def operation_definitions(canonical_base: str = BASE) -> Mapping[str, dict[str, Any]]:
    """Return the OperationDefinition resources, by id."""
    made = [_definition(one, canonical_base) for one in OPERATIONS if one.definition.rpartition("/")[2] in _ABOUT]
    return {one["id"]: one for one in made}


def _definition(operation: Operation, canonical_base: str) -> dict[str, Any]:
    ident = operation.definition.rpartition("/")[2]
    said: dict[str, Any] = {
        "resourceType": OPERATION_DEFINITION,
        "id": ident,
        "url": f"{canonical_base}/{OPERATION_DEFINITION}/{ident}",
        "version": __version__,
        "name": "".join(word.capitalize() for word in ident.split("-")),
        "status": "active",
        "kind": "operation",
        "description": _ABOUT[ident],
        "affectsState": operation.affects_state,
        "code": operation.name,
    }
    if operation.definition.startswith(IHE):
        said["base"] = operation.definition
    names = _PARAMETERS[ident]
    return said | {
        "resource": list(operation.kinds),
        "system": False,
        "type": "type" in operation.levels,
        "instance": "instance" in operation.levels,
        "parameter": [*(_parameter(*one) for one in names), _returned()],
    }


def _parameter(name: str, least: int, most: str, kind: str, about: str) -> dict[str, Any]:
    others = [alias for alias, meant in ALIASES.items() if meant == name]
    known = f" Also read as: {', '.join(others)}." if others else ""
    return {"name": name, "use": "in", "min": least, "max": most, "documentation": about + known, "type": kind}


def _returned() -> dict[str, Any]:
    return {
        "name": "return",
        "use": "out",
        "min": 1,
        "max": "1",
        "documentation": "A searchset; where it is refused, an OperationOutcome alone is in it.",
        "type": "Bundle",
    }


def operation_definition(call: Call) -> Reply:
    """Answer for the type OperationDefinition: read one, or search them.

    Raises:
        NotFound: there is none of that id. MethodNotAllowed: they cannot be changed. Malformed: a bad search.
    """
    made = operation_definitions(call.who.service.settings.canonical_base)
    return serve(call, OPERATION_DEFINITION, made, SEARCHED)
