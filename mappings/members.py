"""How single members of MediLoop's appointment are read from and written to a FHIR Appointment.

Which member uses which of these is declared in `mappings.fields`. Writers change the resource of the `Reading` in
place, and are called only with a value other than the one shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from mappings.elements import Resource, coded, emptied, put, put_extension, put_list, withdraw
from mappings.instants import elapsed, minutes_between, shown, to_utc
from mappings.reading import Reading
from mappings.systems import Systems

ROUTINE = "ROUTINE"
"""Shown where no type is given: table 0276 says "default if not valued"."""

PRIORITY = 5
"""Shown where none is given: MediLoop's default, and iCalendar's middle."""

LOWEST_PRIORITY = 10

_CODE = re.compile(r"\S+( \S+)*")
"""What FHIR takes for a code (https://hl7.org/fhir/R4/datatypes.html#code)."""

Read = Callable[[Reading], Any]
Write = Callable[[Reading, Any], None]


def primitive(element: str) -> tuple[Read, Write]:
    """Return reader and writer of a primitive that both sides spell alike."""
    return lambda r: r.resource.get(element), lambda r, value: put(r.resource, element, value)


def moment(element: str) -> tuple[Read, Write, Callable[[str], str]]:
    """Return reader, writer and spelling of a point in time."""
    return lambda r: shown(r.resource.get(element)), lambda r, value: put(r.resource, element, value), to_utc


def extension(url: str, kind: str) -> tuple[Read, Write]:
    """Return reader and writer of an extension; a `url` that is only a name is one of ours."""

    def canonical(r: Reading) -> str:
        return url if ":" in url else f"{r.systems.extensions}/{url}"

    def read(r: Reading) -> str | None:
        found = r.extensions.get(canonical(r)) if r.extensions else None
        return found.get(kind) if found is not None else None

    return read, lambda r, value: put_extension(r.resource, canonical(r), kind, value)


def extension_moment(url: str) -> tuple[Read, Write, Callable[[str], str]]:
    """Return reader, writer and spelling of a point in time in an extension."""
    value_of, write = extension(url, "valueDateTime")
    return lambda r: shown(value_of(r)), write, to_utc


def read_number(r: Reading) -> str | None:
    """Return the first value in the appointment-number system."""
    for identifier in r.resource.get("identifier", ()):
        if identifier.get("system") == r.systems.appointment_number and "value" in identifier:
            return str(identifier["value"])
    return None


def write_number(r: Reading, value: str | None) -> None:
    """Write the first identifier in the appointment-number system; `None` removes all that have a value."""
    system = r.systems.appointment_number
    identifiers = r.resource.get("identifier", [])
    if value is None:
        rest = [one for one in identifiers if one.get("system") != system or "value" not in one]
        put_list(r.resource, "identifier", rest)
        return
    for identifier in identifiers:
        if identifier.get("system") == system:
            # The first in this system, with or without a value: a valueless one before would not be shown.
            put(identifier, "value", value)
            return
    r.resource["identifier"] = [*identifiers, {"system": system, "value": value}]


def read_status(r: Reading) -> str | None:
    """Return MediLoop's status; a status that the table hides is returned as it is."""
    code = r.resource.get("status")
    return r.vocabulary.status_to_mediloop.translate(code) or code if code is not None else None


def write_status(r: Reading, value: str | None) -> None:
    """Write the FHIR status for a MediLoop one."""
    code = r.vocabulary.status_to_fhir.translate(value) if value is not None else None
    put(r.resource, "status", code or value)


def _concept_code(concept: Resource, system: str) -> str | None:
    other = None
    for coding in concept.get("coding", ()):
        code = coding.get("code")
        if code is not None:
            if coding.get("system") == system:
                return str(code)
            other = other or code
    return other or concept.get("text")


def first_code(element: str, system: Callable[[Systems], str]) -> tuple[Read, Write]:
    """Return reader and writer of the code in the first item of a list of concepts."""

    def read(r: Reading) -> str | None:
        concepts = r.resource.get(element)
        return _concept_code(concepts[0], system(r.systems)) if concepts else None

    def write(r: Reading, value: str | None) -> None:
        if value is None:
            withdraw(r.resource, element, lambda concept: _concept_code(concept, system(r.systems)))
            return
        concepts = r.resource.setdefault(element, [{}])
        if _CODE.fullmatch(value):
            coded(concepts[0], [{"system": system(r.systems), "code": value}])
        else:  # a text that is shown where there is no code, and may be any
            concepts[0].pop("coding", None)
            put(concepts[0], "text", value)

    return read, write


def read_type(r: Reading) -> str | None:
    """Return MediLoop's appointment type, `None` where there are only foreign codings."""
    concept = r.resource.get("appointmentType")
    if concept is None:
        return ROUTINE
    table = r.vocabulary.appointment_type
    for system in table.sources:  # the present system of table 0276 before the obsolete one
        for coding in concept.get("coding", ()):
            if coding.get("system") == system and "code" in coding:
                return table.translate(coding["code"], system)
    return None


def write_type(r: Reading, value: str | None) -> None:
    """Write the appointment type; `None` leaves only extensions."""
    concept = r.resource.setdefault("appointmentType", {})
    if value is not None:
        coded(concept, [{"system": r.vocabulary.appointment_type.target, "code": value}])
        return
    rest = emptied(concept)
    if rest is None:
        del r.resource["appointmentType"]
    else:
        r.resource["appointmentType"] = rest


def read_duration(r: Reading) -> int | None:
    """Return the length in minutes: the one stated, unless the time is shorter, else the computed one.

    A FHIR client that changes the end alone leaves an outdated length behind. A time shorter than a minute counts as
    one: in FHIR and in MediLoop's bookings lengths begin at 1.
    """
    stated: int | None = r.resource.get("minutesDuration")
    start, end = r.resource.get("start"), r.resource.get("end")
    if start is None or end is None:
        return stated
    try:
        minutes = minutes_between(start, end)
        if minutes <= 0:
            if elapsed(start, end) <= timedelta(0):
                return stated  # no time at all, which tells no length
            minutes = 1
    except ValueError:
        return stated  # what stands there is no time
    return minutes if stated is None else min(stated, minutes)


def stated_duration(r: Reading) -> int | None:
    """Return the length in minutes that the element states, also where the time is shorter; else the computed one."""
    stated: int | None = r.resource.get("minutesDuration")
    return read_duration(r) if stated is None else stated


def _concept_text(concept: Resource) -> str | None:
    text: str | None = concept.get("text")
    if text is not None:
        return text
    displays = (coding.get("display") for coding in concept.get("coding", ()))
    return next((display for display in displays if display is not None), None)


def read_reason(r: Reading) -> str | None:
    """Return the text of the first reason, else its first display."""
    concepts = r.resource.get("reasonCode")
    return _concept_text(concepts[0]) if concepts else None


def write_reason(r: Reading, value: str | None) -> None:
    """Write the text of the first reason, beside its codings; `None` withdraws the reason."""
    if value is None:
        withdraw(r.resource, "reasonCode", _concept_text)
    else:
        put(r.resource.setdefault("reasonCode", [{}])[0], "text", value)


def read_priority(r: Reading) -> int:
    """Return 1 to 10, 5 where FHIR states none."""
    return min(r.resource.get("priority") or PRIORITY, LOWEST_PRIORITY)
