"""The clinic that is measured: 20 practitioners, 20,000 slots ahead, 20,000 appointments behind.

Written once through the store's own unit of work, then copied inside MongoDB, so that service and floor read
documents that are the same to the byte. All dates are fixed: nothing measured depends on today.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from adapter.clock import text
from adapter.scheduling import publishing
from adapter.scheduling.intervals import Interval
from adapter.service import Service
from mappings import appointment as lens
from mappings.uhid import uhid_identifier
from store.chunks import chunks
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork

PRACTITIONERS = 20
PATIENTS = 500
FACILITIES = 4
SLOTS = 20_000
APPOINTMENTS = 20_000
MINUTES = 30

FIRST_PAST_DAY = date(2026, 9, 7)
FIRST_SLOT_DAY = date(2027, 1, 4)
"""Mondays: appointments fill the weeks from the first one, free slots those from the second."""
MONTH = ("2027-02-01", "2027-02-28")
"""The month that availability is searched in: a fifth of the slots."""

_HOURS = (9, 10, 11, 14, 15, 16)
A_DAY = 2 * len(_HOURS)
_BATCH = 250
_STATUSES = ("fulfilled", "fulfilled", "fulfilled", "booked", "noshow")


@dataclass(frozen=True, slots=True)
class Place:
    """One half hour of one practitioner."""

    ident: str
    practitioner: int
    start: datetime

    @property
    def end(self) -> datetime:
        """When it is over."""
        return self.start + timedelta(minutes=MINUTES)


def practitioner_id(number: int) -> str:
    """Return a practitioner's id."""
    return f"prov-{number:02d}"


def schedule_id(practitioner: str) -> str:
    """Return the id of a practitioner's one schedule."""
    return f"schedule-{practitioner}"


def facility_id(practitioner: int) -> str:
    """Return where a practitioner works."""
    return f"fac-{practitioner % FACILITIES}"


def patient_uhid(number: int) -> str:
    """Return the UHID of one of the patients, over and over."""
    return f"UG{number % PATIENTS:09d}A"


def slots() -> Iterator[Place]:
    """Yield where the free slots are."""
    return _places("slot", SLOTS, FIRST_SLOT_DAY)


def appointments() -> Iterator[Place]:
    """Yield when the stored appointments were."""
    return _places("apt", APPOINTMENTS, FIRST_PAST_DAY)


def _places(prefix: str, count: int, first: date) -> Iterator[Place]:
    for number in range(count):
        row, practitioner = divmod(number, PRACTITIONERS)
        working_day, half_hour = divmod(row, A_DAY)
        week, weekday = divmod(working_day, 5)
        day = first + timedelta(weeks=week, days=weekday)
        start = datetime.combine(day, time(_HOURS[half_hour // 2], half_hour % 2 * MINUTES), UTC)
        yield Place(f"{prefix}-{number:05d}", practitioner, start)


async def fill(service: Service) -> None:
    """Write everything into the service's test store."""
    store = service.stores["test"]
    await _write(store, _people(service))
    schedules = [{"resourceType": "Schedule", "id": schedule_id(practitioner_id(n))} for n in range(PRACTITIONERS)]
    await _write(
        store,
        [publishing.slot(schedules[p.practitioner], Interval(p.start, p.end), p.ident) for p in slots()],
    )
    await _write(store, [_appointment(service, number, place) for number, place in enumerate(appointments())])
    while await store.sequence():  # or the service would be busy with it while it is measured
        pass


async def copy(service: Service, target: str, kinds: Sequence[str] | None = None) -> None:
    """Copy the test store into the database `target`, inside MongoDB, with the same indexes."""
    source = service.stores["test"].database
    await Store(service.client, target).prepare()
    for name in kinds or await source.list_collection_names():
        # Into a collection that has its indexes already: `$out` keeps them.
        await (await source[name].aggregate([{"$out": {"db": target, "coll": name}}])).to_list()


async def _write(store: Store, resources: Sequence[Resource]) -> None:
    for some in chunks(resources, _BATCH):

        async def step(work: UnitOfWork, batch: Sequence[Resource] = some) -> None:
            for resource in batch:
                work.create(resource)

        await store.transact(step)
        await asyncio.sleep(0)  # lets Ctrl-C through


def _people(service: Service) -> list[Resource]:
    people: list[Resource] = [
        {"resourceType": "Location", "id": f"fac-{number}", "status": "active", "name": _facility(number)}
        for number in range(FACILITIES)
    ]
    for number in range(PATIENTS):
        uhid = patient_uhid(number)
        people.append(
            {
                "resourceType": "Patient",
                "id": f"pat-{uhid.lower()}",
                "identifier": [uhid_identifier(uhid, service.systems)],
                "active": True,
                "name": [{"given": ["Mary"], "family": "Nansubuga", "text": _patient(number)}],
            }
        )
    for number in range(PRACTITIONERS):
        ident, name = practitioner_id(number), _practitioner(number)
        people.append({"resourceType": "Practitioner", "id": ident, "active": True, "name": [{"text": name}]})
        people.append(
            {
                "resourceType": "Schedule",
                "id": schedule_id(ident),
                "active": True,
                "serviceType": [{"coding": [{"system": service.systems.service_type, "code": "consultation"}]}],
                "actor": [
                    {"reference": f"Practitioner/{ident}", "display": name},
                    {"reference": f"Location/{facility_id(number)}", "display": _facility(number)},
                ],
            }
        )
    return people


def _practitioner(number: int) -> str:
    return f"Dr. Sarah Nakamya {number:02d}"


def _facility(number: int) -> str:
    return f"Mulago Hospital {number}"


def _patient(number: int) -> str:
    return f"Mary Nansubuga {number:03d}"


def _appointment(service: Service, number: int, place: Place) -> Resource:
    """Return an appointment as a booking of the same members makes it: the floor copies its size."""
    members = {
        "id": place.ident,
        "appointment_number": f"APT-2026-B{number:06d}",
        "patient_uhid": patient_uhid(number),
        "patient_name": _patient(number % PATIENTS),
        "practitioner_id": practitioner_id(place.practitioner),
        "practitioner_name": _practitioner(place.practitioner),
        "facility_id": facility_id(place.practitioner),
        "facility_name": _facility(place.practitioner % FACILITIES),
        "service_type_code": "consultation",
        "appointment_type_code": "ROUTINE",
        "start_time": text(place.start),
        "end_time": text(place.end),
        "duration_minutes": MINUTES,
        "reason_text": REASON,
        "priority": 5,
        "status": _STATUSES[number % len(_STATUSES)],
        "created_at": text(place.start - timedelta(days=7)),
    }
    draft = lens.update(lens.blank(), members, systems=service.systems, vocabulary=service.vocabulary)
    draft["participant"][0]["actor"]["reference"] = f"Patient/pat-{patient_uhid(number).lower()}"
    return draft


REASON = "General checkup"
