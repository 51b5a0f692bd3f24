"""What the tests of ``mediloop-fhir import`` share: resources of one clinic, and what brings files of them in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.adapter.console.cli import Cli

Json = dict[str, Any]
Stored = Callable[..., list[Json]]

PEOPLE: tuple[Json, ...] = (
    {"resourceType": "Practitioner", "id": "p", "name": [{"text": "Dr. Atim"}]},
    {"resourceType": "Location", "id": "l", "name": "Ward"},
    {"resourceType": "Patient", "id": "john", "name": [{"family": "Okello"}]},
)
SCHEDULE: Json = {"resourceType": "Schedule", "id": "s", "active": True, "actor": [{"reference": "Practitioner/p"}]}


def slot(ident: str, hour: int, **members: Any) -> Json:
    return {
        "resourceType": "Slot",
        "id": ident,
        "schedule": {"reference": "Schedule/s"},
        "status": "free",
        "start": f"2027-01-20T{hour:02d}:00:00Z",
        "end": f"2027-01-20T{hour:02d}:30:00Z",
    } | members


def visit(ident: str, hour: int, *slots: str, **members: Any) -> Json:
    return (
        {
            "resourceType": "Appointment",
            "id": ident,
            "status": "booked",
            "start": f"2027-01-20T{hour:02d}:00:00Z",
            "end": f"2027-01-20T{hour:02d}:30:00Z",
            "participant": [
                {"actor": {"reference": "Patient/john"}, "status": "accepted"},
                {"actor": {"reference": "Practitioner/p"}, "status": "accepted"},
            ],
        }
        | ({"slot": [{"reference": f"Slot/{one}"} for one in slots]} if slots else {})
        | members
    )


def lines(*resources: Json) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in resources)


class Import:
    """Imports files of a folder of its own."""

    def __init__(self, cli: Cli, folder: Path) -> None:
        self.cli, self.folder = cli, folder

    def __call__(self, **files: bytes) -> Json:
        for name, content in files.items():
            (self.folder / name.replace("__", ".")).write_bytes(content)
        return self.run(*(str(self.folder / name.replace("__", ".")) for name in files))

    def run(self, *words: str, code: int | None = None) -> Json:
        result = self.cli.run("import", "--json", "--errors", str(self.errors), *words)
        assert result.exit_code in ((0, 1) if code is None else (code,)), result.output
        assert result.stdout, result.stderr
        found: Json = json.loads(result.stdout)
        return {name: value for name, value in found.items() if value and name != "total"}

    @property
    def errors(self) -> Path:
        return self.folder / "errors"

    def refused(self) -> list[tuple[int, list[str]]]:
        """The lines refused, each with the codes of its reasons."""
        said = [json.loads(line) for line in self.errors.read_text().splitlines()]
        return [(one["line"], [reason["code"] for reason in one["reasons"]]) for one in said]


def content(document: Json) -> Json:
    return {name: value for name, value in document.items() if name not in ("_id", "_index", "_json", "meta")}


MEDILOOP: Json = {
    "id": "apt-123-456-789",
    "appointment_number": "APT-2024-001234",
    "patient_uhid": "UG123456789A",
    "patient_name": "John Doe",
    "practitioner_id": "p",
    "practitioner_name": "Dr. Atim",
    "facility_id": "l",
    "facility_name": "Ward",
    "status": "cancelled",
    "service_type_code": "consultation",
    "specialty_code": None,
    "appointment_type_code": "ROUTINE",
    "start_time": "2024-01-20T10:00:00Z",
    "end_time": "2024-01-20T10:30:00Z",
    "duration_minutes": 30,
    "reason_text": "General checkup",
    "priority": 5,
    "created_at": "2024-01-15T10:00:00Z",
    "cancellation_reason_code": "patient-request",
    "cancelled_at": "2024-01-16T08:00:00Z",
    "branch": "north",
}
