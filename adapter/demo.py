"""The demo clinic: the documents' own people and a few more, so that the printed examples answer.

Test data only. What exists is left alone, so loading it twice changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from adapter import clock, private
from adapter.errors import Conflict
from adapter.patience import patiently
from adapter.scheduling import commands, publishing
from adapter.scheduling.intervals import Interval
from adapter.service import Service
from adapter.settings import SettingsError
from mappings import appointment as lens
from mappings import uhid
from store.codec import Resource
from store.unit_of_work import UnitOfWork

KEY_FILE = "demo-key"

_PRACTITIONERS = (
    ("prov-abc-123", "Dr.", "Sarah", "Nakamya", "general-practice"),
    ("prov-def-456", "Dr.", "James", "Okello", "paediatrics"),
    ("prov-ghi-789", "Dr.", "Grace", "Atim", "obstetrics"),
    ("prov-jkl-012", "Dr.", "Peter", "Mugisha", "dermatology"),
)
_LOCATIONS = (("fac-xyz-789", "Mulago Hospital"), ("fac-kla-002", "Kampala Family Clinic"))
_PATIENTS = (
    ("UG123456789A", "John", "Doe"),
    ("UG987654321B", "Mary", "Nansubuga"),
    ("UG867551443P", "Sarah", "Nakato"),
    ("UG400000001C", "David", "Ssali"),
)
_PLACES = {"prov-abc-123": "fac-xyz-789", "prov-def-456": "fac-xyz-789"}
# The free slots of the page's availability example (its third is not printed; the reschedule example needs one there).
_PRINTED_SLOTS = (
    ("slot-001", "2024-01-20T09:00:00Z"),
    ("slot-002", "2024-01-20T10:00:00Z"),
    ("slot-003", "2024-01-22T14:00:00Z"),
)
_HOURS = publishing.parse_hours("mon-fri 09:00-12:00,14:00-17:00")
_MINUTES = 30
_BACK, _AHEAD = 5, 14  # days around today with slots


async def is_wanted(service: Service) -> bool:
    """Tell whether the test store is empty, or has been left with a part of the clinic: its last visit never came."""
    store = service.stores["test"]
    if await store.count("Practitioner", {}) == 0:
        return True
    if await store.count("Practitioner", {"_id": _PRACTITIONERS[0][0]}) == 0:
        return False
    last = _appointments(service)[-1]

    async def never_came(work: UnitOfWork) -> bool:
        return await work.last_version("Appointment", last["id"]) == 0

    return await store.transact(never_came)


async def key(service: Service) -> str | None:
    """Return the demo's test key: made once, kept beside the embedded server's data so that it can be shown again.

    None where MongoDB is somebody else's, or a bootstrap key is set: then no key is made that nobody asked for. None as
    well where it works no longer: whoever revoked it does not get another one unasked.
    """
    settings = service.settings
    if settings.mongodb_uri is not None or settings.bootstrap_key is not None or not settings.loads_demo:
        return None
    file = settings.data_dir / KEY_FILE
    secret = file.read_text().strip() if file.exists() else ""
    if not secret:  # an empty one was left by a full disk: nobody has been shown it
        secret = f"sk_test_{secrets.token_hex(16)}"
        private.replace(file, f"{secret}\n".encode())
    try:
        return None if await service.keys["test"].ensure(secret, "demo clinic") is None else secret
    except ValueError as error:
        raise SettingsError(f"{file} holds no key: {error} Remove the file; another key is made then.") from None


async def load_if_wanted(service: Service) -> None:
    """Load the demo clinic where it is wanted.

    Raises:
        Unreachable: MongoDB is not there, or does not answer in time. The next start completes the clinic.
    """
    if await is_wanted(service):
        await load(service)


async def load(service: Service) -> int:
    """Load the demo clinic into the test store; return how many resources it made.

    Raises:
        Unreachable: MongoDB is not there, or does not answer in time (`patiently`).
    """
    made = 0

    async def work() -> None:
        nonlocal made
        made += await _create(service, [*_people(service), *_schedules(service)])
        for schedule in _schedules(service):
            made += await _publish(service, schedule)
        for members in _appointments(service):
            made += await _book(service, members)

    await patiently(service.stores["test"], work)
    return made


async def _create(service: Service, resources: Sequence[Resource]) -> int:
    async def step(work: UnitOfWork) -> int:
        fresh = [one for one in resources if await work.read(one["resourceType"], one["id"]) is None]
        for one in fresh:
            work.create(one)
        return len(fresh)

    return await service.stores["test"].transact(step)


def _people(service: Service) -> list[Resource]:
    people: list[Resource] = [
        {"resourceType": "Location", "id": ident, "status": "active", "name": name} for ident, name in _LOCATIONS
    ]
    for ident, prefix, given, family, _ in _PRACTITIONERS:
        name = {"prefix": [prefix], "given": [given], "family": family, "text": f"{prefix} {given} {family}"}
        people.append({"resourceType": "Practitioner", "id": ident, "active": True, "name": [name]})
    for value, given, family in _PATIENTS:
        people.append(
            {
                "resourceType": "Patient",
                "id": f"pat-{value[2:].lower()}",
                "identifier": [uhid.uhid_identifier(value, service.systems)],
                "active": True,
                "name": [{"given": [given], "family": family, "text": f"{given} {family}"}],
            }
        )
    return people


def _schedules(service: Service) -> list[Resource]:
    return [
        {
            "resourceType": "Schedule",
            "id": f"schedule-{ident}",
            "active": True,
            "serviceType": [{"coding": [{"system": service.systems.service_type, "code": "consultation"}]}],
            "specialty": [{"coding": [{"system": service.systems.specialty, "code": specialty}]}],
            "actor": [
                {"reference": f"Practitioner/{ident}", "display": f"{prefix} {given} {family}"},
                {"reference": f"Location/{_place(ident)}", "display": dict(_LOCATIONS)[_place(ident)]},
            ],
        }
        for ident, prefix, given, family, specialty in _PRACTITIONERS
    ]


def _place(practitioner: str) -> str:
    return _PLACES.get(practitioner, "fac-kla-002")


def _today(service: Service) -> date:
    return service.now().astimezone(service.settings.zone).date()


async def _publish(service: Service, schedule: Resource) -> int:
    days: dict[date, list[Resource]] = {}
    if schedule["id"] == "schedule-prov-abc-123":
        for ident, start in _PRINTED_SLOTS:
            begins = datetime.fromisoformat(start)
            when = Interval(begins, begins + timedelta(minutes=_MINUTES))
            days.setdefault(begins.date(), []).append(publishing.slot(schedule, when, ident))
    today = _today(service)
    first, last = today - timedelta(days=_BACK), today + timedelta(days=_AHEAD)
    for when in publishing.spans(_HOURS, _MINUTES, first, last, service.settings.zone):
        days.setdefault(when.start.date(), []).append(publishing.slot(schedule, when))
    made = 0
    for slots in days.values():

        async def step(work: UnitOfWork, slots: list[Resource] = slots) -> int:
            return len(await publishing.publish(work, schedule, slots))

        made += await service.stores["test"].transact(step)
    return made


def _working_day(service: Service, steps: int) -> date:
    """Return the working day `steps` before (negative) or after today."""
    day, left = _today(service), abs(steps)
    while left:
        day += timedelta(days=1 if steps > 0 else -1)
        left -= day.weekday() < 5
    return day


def _appointments(service: Service) -> list[dict[str, Any]]:
    """Return the members of each appointment; the first is the one of the page's examples."""

    def at(steps: int, hour: int) -> str:
        local = datetime.combine(_working_day(service, steps), time(hour), service.settings.zone)
        return clock.text(local.astimezone(UTC))

    printed = {
        "id": "apt-123-456-789",
        "appointment_number": "APT-2024-001234",
        "practitioner_id": "prov-abc-123",
        "specialty_code": "general-practice",
        "start_time": "2024-01-19T10:00:00Z",
        "reason_text": "General checkup",
        "patient_instruction": "Please bring previous test results",
        "created_at": "2024-01-15T10:00:00Z",
    }
    others = (
        ("apt-demo-001", 0, "prov-abc-123", at(1, 10), "booked"),
        ("apt-demo-002", 1, "prov-abc-123", at(1, 11), "booked"),
        ("apt-demo-003", 2, "prov-def-456", at(2, 9), "pending"),
        ("apt-demo-004", 3, "prov-ghi-789", at(2, 15), "proposed"),
        ("apt-demo-005", 1, "prov-abc-123", at(-1, 9), "fulfilled"),
        ("apt-demo-006", 2, "prov-jkl-012", at(-1, 14), "noshow"),
    )
    listed: list[dict[str, Any]] = [{**_patient(0), **printed, "status": "booked"}]
    for number, (ident, patient, practitioner, start, status) in enumerate(others, 1):
        members = {
            "id": ident,
            "appointment_number": f"APT-DEMO-{number:06d}",
            "practitioner_id": practitioner,
            "start_time": start,
            "status": status,
            "created_at": clock.text(service.now()),
        }
        listed.append({**_patient(patient), **members})
    return listed


def _patient(index: int) -> dict[str, str]:
    value, given, family = _PATIENTS[index]
    return {"patient_uhid": value, "patient_name": f"{given} {family}"}


async def _book(service: Service, members: dict[str, Any]) -> int:
    names = {ident: f"{prefix} {given} {family}" for ident, prefix, given, family, _ in _PRACTITIONERS}
    place = _place(members["practitioner_id"])
    whole = {
        "practitioner_name": names[members["practitioner_id"]],
        "facility_id": place,
        "facility_name": dict(_LOCATIONS)[place],
        "service_type_code": "consultation",
        "appointment_type_code": "ROUTINE",
        "duration_minutes": _MINUTES,
        "priority": 5,
        **members,
    }

    async def step(work: UnitOfWork) -> int:
        if await work.read("Appointment", members["id"]) is not None:
            return 0
        draft = lens.update(lens.blank(), whole, systems=service.systems, vocabulary=service.vocabulary)
        draft["participant"][0]["actor"]["reference"] = f"Patient/pat-{members['patient_uhid'][2:].lower()}"
        commands.stage(work, None, await commands.plan(work, draft))
        return 1

    try:
        return await service.stores["test"].transact(step)
    except Conflict:
        return 0  # its time is taken: the clinic has been in use since it was first loaded
