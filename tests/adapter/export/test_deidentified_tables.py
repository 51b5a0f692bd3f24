"""The columns of de-identified tables are what the page says: empty, a pseudonym, or as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from adapter.export.columns import COLUMNS, Rows
from adapter.export.deidentify import Deidentifier
from mappings.fields import CANCELLED_AT
from mappings.vocabulary import Vocabulary
from tests import strategies

Json = dict[str, Any]
SYSTEMS = strategies.SYSTEMS
PAGE = Path(__file__).parents[3] / "docs" / "deidentification.md"
DAY = "2026-03-02T09:00:00Z"
EVENTS = ("rescheduled", "checked-in", "arrived", "fulfilled", "noshow")
EXTENSIONS = [
    {"url": CANCELLED_AT, "valueDateTime": DAY},
    {"url": f"{SYSTEMS.extensions}/appointment-reschedule-reason", "valueString": "Akello was away"},
    *({"url": f"{SYSTEMS.extensions}/appointment-{event}-at", "valueDateTime": DAY} for event in EVENTS),
]
PEOPLE = [
    {"reference": "Patient/p1", "display": "Akello", "identifier": {"system": SYSTEMS.uhid, "value": "UG123456789A"}},
    {"reference": "Practitioner/d1", "display": "Akello"},
    {"reference": "Location/l1", "display": "Akello"},
]
TIMED = {"meta": {"versionId": "2", "lastUpdated": DAY}, "start": DAY, "end": "2026-03-02T09:30:00Z"}
APPOINTMENT = TIMED | {
    "resourceType": "Appointment",
    "id": "a1",
    "extension": EXTENSIONS,
    "identifier": [{"system": SYSTEMS.appointment_number, "value": "APT-2026-000001"}],
    "status": "cancelled",
    "cancelationReason": {"coding": [{"system": SYSTEMS.cancellation_reason, "code": "away"}], "text": "Akello"},
    "serviceType": [{"coding": [{"system": SYSTEMS.service_type, "code": "consultation"}], "text": "Akello"}],
    "specialty": [{"coding": [{"system": "http://clinic.example.org", "code": "akello"}], "text": "Akello"}],
    "reasonCode": [{"text": "Akello"}],
    "priority": 3,
    "minutesDuration": 30,
    "slot": [{"reference": "Slot/s1"}],
    "created": DAY,
    "comment": "Akello",
    "patientInstruction": "Akello",
    "participant": [{"actor": actor, "status": "accepted"} for actor in PEOPLE],
}
SCHEDULE = {"resourceType": "Schedule", "id": "c1", "actor": PEOPLE[1:]}
SLOT = TIMED | {
    "resourceType": "Slot",
    "id": "s1",
    "schedule": {"reference": "Schedule/c1"},
    "status": "free",
    "overbooked": True,
}


def _fates() -> dict[str, str]:
    """What the page says of the columns that are not left as they are, up to the first comma."""
    section = PAGE.read_text("utf-8").partition("### In the tables")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*) \| (.*) \|$", section, re.MULTILINE)
    return {name: fate.partition(",")[0] for names, fate in rows for name in re.findall(r"`(\w+)`", names)}


def _cells(schedule: Json, resource: Json) -> Json:
    rows = Rows(SYSTEMS, Vocabulary.default())
    rows.add_schedule(schedule)
    columns = COLUMNS[resource["resourceType"]]
    return {column.name: cell for column, cell in zip(columns, rows.row(resource), strict=True)}


@pytest.mark.parametrize("resource", [APPOINTMENT, SLOT], ids=["Appointment", "Slot"])
def test_the_page_says_what_becomes_of_every_column(resource: Json) -> None:
    hide = Deidentifier(b"a key of this test alone", SYSTEMS).resource
    before, after = _cells(SCHEDULE, resource), _cells(hide(SCHEDULE), hide(resource))
    assert None not in before.values()
    fates = _fates()
    for name, cell in after.items():
        fate = fates.get(name, "as they are")
        if fate == "empty" or name == "specialty_code":  # whose vocabulary is not known
            assert cell is None, name
        elif fate == "pseudonyms":
            assert re.fullmatch("[0-9a-fA-F]{32}", cell), name
        else:
            assert cell == before[name], name
