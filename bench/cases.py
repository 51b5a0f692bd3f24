"""What is measured: each kind of request with its clients, its goal, and the bytes that are sent."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from adapter.clock import text
from bench import data, fhir
from bench.requests import SEED, Request

SERVICE, FLOOR, LEAST, CONSTANT = "service", "floor", "least", "constant"
"""What is measured side by side: the service, the floor of the same operations, the least of a booking, and a bare
constant answer."""

_BASE = "/api/v1/appointments/"
_READS = 2_000


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of request.

    Attributes:
        name: for ``--only``.
        title: for the table.
        clients: how many at once, one row for each.
        quick: the same for a quick run.
        goal: the least ratio to the floor that is good enough.
        requests: makes the requests, an endless supply or (bookings) one for each free slot.
        targets: what is compared.
        entries: how many resources one request is about.
    """

    name: str
    title: str
    clients: tuple[int, ...]
    quick: tuple[int, ...]
    goal: float
    requests: Callable[[], Iterator[Request]]
    targets: tuple[str, ...] = (SERVICE, FLOOR)
    entries: int = 1


def _details() -> Iterator[Request]:
    chosen = random.Random(SEED).sample(range(data.APPOINTMENTS), _READS)
    return itertools.cycle([Request("GET", f"{_BASE}apt-{number:05d}/") for number in chosen])


def _lists() -> Iterator[Request]:
    weeks = data.APPOINTMENTS // data.PRACTITIONERS // data.A_DAY // 5
    chosen = random.Random(SEED)
    requests = []
    for _ in range(_READS):
        monday = data.FIRST_PAST_DAY + timedelta(weeks=chosen.randrange(weeks))
        practitioner = data.practitioner_id(chosen.randrange(data.PRACTITIONERS))
        span = f"date_from={monday}&date_to={monday + timedelta(days=6)}"
        requests.append(Request("GET", f"{_BASE}?practitioner_id={practitioner}&{span}&page_size=20"))
    return itertools.cycle(requests)


def _month() -> Iterator[Request]:
    first, last = data.MONTH
    return itertools.repeat(Request("GET", f"{_BASE}availability/?date_from={first}&date_to={last}"))


def _own_month() -> Iterator[Request]:
    first, last = data.MONTH
    return itertools.cycle(
        [
            Request(
                "GET",
                f"{_BASE}availability/?practitioner_id={data.practitioner_id(number)}&date_from={first}&date_to={last}",
            )
            for number in range(data.PRACTITIONERS)
        ]
    )


def _bookings() -> Iterator[Request]:
    places = list(data.slots())
    # Shuffled: neighbours in one hour of one practitioner would meet at their guard.
    random.Random(SEED).shuffle(places)
    for number, place in enumerate(places):
        body = {
            "patient_uhid": data.patient_uhid(number),
            "practitioner_id": data.practitioner_id(place.practitioner),
            "service_type_code": "consultation",
            "start_time": text(place.start),
            "slot_id": place.ident,
            "facility_id": data.facility_id(place.practitioner),
            "reason_text": data.REASON,
        }
        yield Request("POST", _BASE, json.dumps(body).encode())


# Bookings come last: they take the slots that availability finds, and the floor takes more of them.
CASES: tuple[Case, ...] = (
    Case("detail", "Detail read", (1, 16), (16,), 0.6, _details),
    Case("list", "List, 20 results", (1, 16), (16,), 0.5, _lists),
    Case("availability", "Availability, a month", (1, 16), (16,), 0.5, _month),
    Case("practitioner", "Availability, 1 practitioner", (1, 16), (16,), 0.5, _own_month),
    *(
        Case(name, title, (1, 16), (16,), goal, requests, (SERVICE, FLOOR, CONSTANT), entries)
        for name, title, goal, requests, entries in (
            ("fhir-read", "FHIR read", 0.6, fhir.reads, 1),
            ("fhir-appointments", "FHIR search: patient, dates", 0.5, fhir.appointments, 1),
            ("fhir-slots", "FHIR search: free Slots", 0.5, fhir.slots, 1),
            ("fhir-create", "FHIR create", 0.5, fhir.creates, 1),
            ("fhir-transaction", "FHIR transaction of 100, entries", 0.5, fhir.transactions, fhir.ENTRIES),
            ("fhir-booking", "FHIR transaction: book a Slot", 0.5, fhir.bookings, 1),
        )
    ),
    Case("booking", "Booking", (1, 16, 64), (1, 16, 64), 0.6, _bookings, (SERVICE, FLOOR, LEAST)),
)

MARKS = {
    "detail": "marks: a bare handler with one find 2,300/s (1 client), 3,200/s (16)",
    "booking": "marks: a bare transaction 420/s and 1,330/s; the best other server 81/s and 143/s",
}
"""Absolute figures from the issue, seen on two cores; a ratio says more where the machine is another."""


def by_name(name: str) -> Case:
    """Return the case of that name."""
    from bench import growth  # which is made of cases itself

    return next(case for case in (*CASES, *growth.CASES) if case.name == name)
