"""The FHIR requests that are measured, and what other servers came to on a machine like this one.

The others' figures are rates of a two-core machine on which a bare FastAPI constant answer came to 5,700/s (1 client)
and 12,600/s (16). A constant answer is measured here in the same run, so what is compared are shares of it: how many
times the share of the best other server this one reaches.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from adapter.clock import text
from adapter.scheduling import publishing
from adapter.scheduling.intervals import Interval
from bench import data
from bench.requests import SEED, Request

CONSTANT_ELSEWHERE = {1: 5_700.0, 16: 12_600.0}
"""Answers a second of the bare constant, by clients, in the runs that the others' figures are from."""

BEST_OTHER = {
    "fhir-read": {1: 674.0, 16: 1_266.0},
    "fhir-appointments": {1: 324.0, 16: 610.0},
    "fhir-slots": {1: 371.0, 16: 688.0},
    "fhir-create": {1: 360.0, 16: 782.0},
    "fhir-booking": {1: 141.0, 16: 332.0},
    "fhir-transaction": {1: 1_207.0, 16: 1_361.0},
}
"""Best other server, a second, by clients (issue 3): Hearth with indexes added, icanbwell, Medplum, fhirstarter.
``fhir-create`` is of one that neither checks nor journals, ``fhir-booking`` of one that books twice."""

TIMES = {
    "fhir-read": {1: 2.0, 16: 2.0},
    "fhir-appointments": {1: 3.0, 16: 3.0},
    "fhir-slots": {1: 3.0, 16: 3.0},
    "fhir-create": {1: 1.0, 16: 2.0},
    "fhir-booking": {1: 2.0, 16: 2.0},
    "fhir-transaction": {1: 2.0, 16: 2.0},
}
"""The goal: so many times the share of the best other server."""

ENTRIES = 100
"""In a transaction of the last case: entries a second are counted."""

_BASE = "/fhir/R4"
_READS = 2_000
_JSON = "application/fhir+json"
_FAR = datetime(2030, 1, 7, 8, tzinfo=UTC)
_LATER = datetime(2032, 1, 5, 8, tzinfo=UTC)


def reads() -> Iterator[Request]:
    """Read by id."""
    chosen = random.Random(SEED).sample(range(data.APPOINTMENTS), _READS)
    return itertools.cycle([Request("GET", f"{_BASE}/Appointment/apt-{number:05d}") for number in chosen])


def appointments() -> Iterator[Request]:
    """Search by patient and a range of dates that holds ten of the patient's appointments."""
    chosen = random.Random(SEED)
    # One patient's appointments are evenly spread: ten of them take so many days.
    days = _span(data.APPOINTMENTS) * 10 // (data.APPOINTMENTS // data.PATIENTS)
    found = []
    for _ in range(_READS):
        patient = f"pat-{data.patient_uhid(chosen.randrange(data.PATIENTS)).lower()}"
        first = data.FIRST_PAST_DAY + timedelta(days=chosen.randrange(_span(data.APPOINTMENTS) - days))
        span = f"date=ge{first}&date=lt{first + timedelta(days=days)}"
        found.append(Request("GET", f"{_BASE}/Appointment?patient=Patient/{patient}&{span}"))
    return itertools.cycle(found)


def slots() -> Iterator[Request]:
    """Search for free Slots of a Schedule on one day, ten of them."""
    chosen = random.Random(SEED)
    weeks = data.SLOTS // data.PRACTITIONERS // data.A_DAY // 5
    found = []
    for _ in range(_READS):
        day = data.FIRST_SLOT_DAY + timedelta(weeks=chosen.randrange(weeks), days=chosen.randrange(5))
        schedule = data.schedule_id(data.practitioner_id(chosen.randrange(data.PRACTITIONERS)))
        # Twelve a day; until 16:00 there are ten of them.
        span = f"start=ge{day}&start=lt{day}T16:00:00Z"
        found.append(Request("GET", f"{_BASE}/Slot?status=free&schedule=Schedule/{schedule}&{span}"))
    return itertools.cycle(found)


def creates() -> Iterator[Request]:
    """Create booked Appointments, each at a time of its own."""
    for number in itertools.count():
        body = json.dumps(appointment(number, _time(_FAR, number // data.PRACTITIONERS))).encode()
        yield Request("POST", f"{_BASE}/Appointment", body, _JSON)


def bookings() -> Iterator[Request]:
    """Book as a transaction: PUT the Slot busy with ifMatch, POST the Appointment."""
    places = list(data.slots())
    random.Random(SEED).shuffle(places)
    # From the other end than the MediLoop bookings, so that neither takes the other's.
    for number, place in enumerate(reversed(places)):
        schedule = {"id": data.schedule_id(data.practitioner_id(place.practitioner))}
        slot = publishing.slot(schedule, Interval(place.start, place.end), place.ident) | {"status": "busy"}
        visit = appointment(place.practitioner, (place.start, place.end), patient=number)
        visit["slot"] = [{"reference": f"Slot/{place.ident}"}]
        entries = [
            _entry("PUT", f"Slot/{place.ident}", slot) | {"request": _request("PUT", f"Slot/{place.ident}", 'W/"1"')},
            _entry("POST", "Appointment", visit),
        ]
        yield _bundle(entries)


def transactions() -> Iterator[Request]:
    """Store a hundred booked Appointments in one transaction, each at a time of its own."""
    for number in itertools.count():
        entries = []
        for step in range(number * ENTRIES, (number + 1) * ENTRIES):
            when = _time(_LATER, step // data.PRACTITIONERS)
            entries.append(_entry("POST", "Appointment", appointment(step, when)))
        yield _bundle(entries)


def _bundle(entries: list[dict[str, Any]]) -> Request:
    body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return Request("POST", _BASE, json.dumps(body).encode(), _JSON)


def _entry(method: str, url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": _request(method, url)}


def _request(method: str, url: str, if_match: str | None = None) -> dict[str, Any]:
    return {"method": method, "url": url} | ({} if if_match is None else {"ifMatch": if_match})


def _span(count: int) -> int:
    """Return over how many days `count` places of the clinic lie."""
    return count // data.PRACTITIONERS // data.A_DAY // 5 * 7


def _time(first: datetime, number: int) -> tuple[datetime, datetime]:
    start = first + number * timedelta(minutes=data.MINUTES)
    return start, start + timedelta(minutes=data.MINUTES)


def appointment(number: int, when: tuple[datetime, datetime], patient: int | None = None) -> dict[str, Any]:
    """Return a booked appointment of 1.1 kB, of the kind that hospital systems send."""
    practitioner = number % data.PRACTITIONERS
    uhid = data.patient_uhid(number if patient is None else patient)
    concept = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/service-type", "code": "124"}]}]
    return {
        "resourceType": "Appointment",
        "status": "booked",
        "serviceType": concept,
        "specialty": [{"coding": [{"system": "http://snomed.info/sct", "code": "394814009"}]}],
        "appointmentType": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0276", "code": "ROUTINE"}]},
        "reasonCode": [{"text": data.REASON}],
        "priority": 5,
        "description": "Review of the results of the last visit",
        "start": text(when[0]),
        "end": text(when[1]),
        "minutesDuration": data.MINUTES,
        "created": "2026-11-01T08:00:00Z",
        "comment": "The patient asked for a seat near the door.",
        "participant": [
            {
                "actor": {"reference": f"Patient/pat-{uhid.lower()}", "display": "Mary Nansubuga"},
                "required": "required",
                "status": "accepted",
            },
            {
                "actor": {"reference": f"Practitioner/{data.practitioner_id(practitioner)}", "display": "Dr. Nakamya"},
                "required": "required",
                "status": "accepted",
            },
            {
                "actor": {"reference": f"Location/{data.facility_id(practitioner)}", "display": "Mulago Hospital"},
                "required": "required",
                "status": "accepted",
            },
        ],
    }
