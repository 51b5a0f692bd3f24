"""What comes in, and what is there afterwards, in tests of imports into a server that holds the state before."""

from __future__ import annotations

import json
from pathlib import Path

from tests.adapter.console.cli import Cli
from tests.adapter.console.imports import PEOPLE, SCHEDULE, Json, Stored, content, lines, slot, visit

BASE = (*PEOPLE, SCHEDULE, slot("x", 9), slot("y", 10), slot("z", 11), slot("w", 12))
OVERBOOKED = {"url": "https://mediloop.co/fhir/StructureDefinition/overbooked", "valueString": "urgent"}
CAPACITY = {"url": "http://fhir-registry.smarthealthit.org/StructureDefinition/slot-capacity"}


def answer(ident: str, appointment: str, says: str) -> Json:
    """What somebody says to an appointment."""
    return {
        "resourceType": "AppointmentResponse",
        "id": ident,
        "appointment": {"reference": f"Appointment/{appointment}"},
        "actor": {"reference": "Practitioner/p"},
        "participantStatus": says,
    }


def cancelled(ident: str, hour: int, *slots: str) -> Json:
    """A visit that was called off."""
    return visit(ident, hour, *slots, status="cancelled")


def state(stored: Stored, mode: str = "test") -> dict[str, Json]:
    """What is stored, by name, without what each server writes for itself."""
    kinds = ("Patient", "Practitioner", "Location", "Schedule", "Slot", "Appointment", "AppointmentResponse")
    return {f"{kind}/{one['_id']}": content(one) for kind in kinds for one in stored(kind, mode=mode)}


def check(cli: Cli) -> None:
    """The second program finds nobody booked twice."""
    result = cli.run("check", "--mode", "test")
    assert result.exit_code == 0, result.output


def increment(folder: Path, deleted: list[str], *resources: Json, moment: str = "2027-01-02T00:00:00Z") -> Path:
    """An increment as a bulk export gives it: files, with a manifest that lists also what was deleted."""
    folder.mkdir()
    (folder / "all.ndjson").write_bytes(lines(*resources))
    bundles = [
        {"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "DELETE", "url": one}}]}
        for one in deleted
    ]
    (folder / "deleted.ndjson").write_bytes(lines(*bundles))
    (folder / "manifest.json").write_text(
        json.dumps(
            {
                "transactionTime": moment,
                "output": [{"type": "Appointment", "url": "all.ndjson"}],
                "deleted": [{"type": "Bundle", "url": "deleted.ndjson"}] if deleted else [],
            }
        )
    )
    return folder


def closed(ident: str, hour: int, places: int) -> Json:
    """A Slot for several that was closed by hand."""
    return slot(ident, hour, status="busy", extension=[CAPACITY | {"valueInteger": places}])
