"""``mediloop-fhir export`` with filters: of several people or places, tables show the one that is asked for."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from adapter.export.deidentify import Deidentifier
from mappings.systems import DEFAULT_SYSTEMS
from tests.adapter.console.cli import Cli
from tests.adapter.console.imports import Import, Json, lines, slot, visit

KEY = "a key of these tests alone"
BASE = "https://clinic.example.org/fhir/R4"
A, B, C = "UG000000001A", "UG000000002B", "UG000000003C"
SYSTEM = DEFAULT_SYSTEMS.uhid
HIDDEN = Deidentifier(KEY.encode(), DEFAULT_SYSTEMS, (BASE,))


def patient(ident: str, *uhids: str) -> Json:
    return {"resourceType": "Patient", "id": ident, "identifier": [{"system": SYSTEM, "value": one} for one in uhids]}


def actors(*references: str) -> list[Json]:
    return [{"reference": one} for one in references]


def stating(uhid: str, **members: Any) -> Json:
    return {"type": "Patient", "identifier": {"system": SYSTEM, "value": uhid}} | members


SEVERAL = actors("Practitioner/p1", "Practitioner/p2", "Location/l1", f"{BASE}/Location/l2")


@pytest.fixture(autouse=True)
def group(bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visits of several patients with several practitioners at several places, and a Slot of these."""
    monkeypatch.setenv("ADAPTER_BASE_URL", BASE.removesuffix("/fhir/R4"))
    monkeypatch.setenv("ADAPTER_DEIDENTIFY_KEY", KEY)

    def of(*people: Json) -> list[Json]:
        return [{"actor": one, "status": "accepted"} for one in (*people, *SEVERAL)]

    bring(
        all__ndjson=lines(
            patient("a", A),
            patient("b", B),
            {"resourceType": "Schedule", "id": "s", "active": True, "actor": SEVERAL},
            slot("one", 7),
            visit("referred", 8, participant=of(*actors("Patient/b", "Patient/a"))),
            visit("absolute", 9, participant=of(*actors("Patient/b", f"{BASE}/Patient/a"))),
            visit("stated", 10, participant=of(*actors("Patient/b"), stating(A.lower()))),
            visit("third", 11, participant=of(*actors("Patient/b"), stating(C))),
        )
    )


def role(ident: str, practitioner: str) -> Json:
    return {"resourceType": "PractitionerRole", "id": ident, "practitioner": {"reference": practitioner}}


def table(cli: Cli, folder: Path, kind: str, *words: str) -> dict[str, Json]:
    """The rows that an export has written, by id."""
    cli.json("export", str(folder), "--format", "csv", "--type", kind, *words)
    with (folder / f"{kind}.00001.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_a_patients_visits_show_that_patient_alone(cli: Cli, tmp_path: Path) -> None:
    rows = table(cli, tmp_path / "a", "Appointment", "--patient-uhid", A.lower())
    assert {name: (row["patient_uhid"], row["patient_id"]) for name, row in rows.items()} == {
        "referred": (A, "a"),
        "absolute": (A, "a"),
        "stated": (A, ""),
    }
    assert B not in (tmp_path / "a" / "Appointment.00001.csv").read_text()


@pytest.mark.parametrize("kind", ["Appointment", "Slot"])
def test_practitioner_and_place_are_those_asked_for(cli: Cli, tmp_path: Path, kind: str) -> None:
    def shown(*words: str) -> set[tuple[str, str]]:
        rows = table(cli, tmp_path / f"{len(words)}{words[-1:]}", kind, *words)
        assert rows
        return {(row["practitioner_id"], row["facility_id"]) for row in rows.values()}

    assert shown() == {("p1", "l1")}
    assert shown("--practitioner", "p2") == {("p2", "l1")}
    assert shown("--facility", "l2") == {("p1", "l2")}
    assert shown("--practitioner", "p2", "--facility", "l2") == {("p2", "l2")}


@pytest.mark.parametrize("where", [(), ("--facility", "l1")], ids=["anywhere", "at a place"])
def test_who_is_there_in_a_role_is_found_and_shown(
    cli: Cli, bring: Import, tmp_path: Path, where: tuple[str, ...]
) -> None:
    there = actors("Practitioner/p1", "PractitionerRole/r3", "Location/l1")
    people = [{"actor": one, "status": "accepted"} for one in (*actors("Patient/a"), *there)]
    bring(
        roles__ndjson=lines(
            role("r3", f"{BASE}/Practitioner/p3"),
            role("r4", "Practitioner/p4"),
            {"resourceType": "Schedule", "id": "in-a-role", "active": True, "actor": there},
            slot("two", 13) | {"schedule": {"reference": "Schedule/in-a-role"}},
            visit("booked-in-it", 14, participant=people),
        )
    )
    words = ("--practitioner", "p3", *where)
    for kind, ident in (("Appointment", "booked-in-it"), ("Slot", "two")):
        [row] = table(cli, tmp_path / kind, kind, *words).values()
        assert (row["id"], row["practitioner_id"], row["facility_id"]) == (ident, "p3", "l1")
        [row] = table(cli, tmp_path / f"hidden-{kind}", kind, *words, "--deidentify").values()
        assert row["practitioner_id"] == HIDDEN.name("Practitioner/p3").partition("/")[2]
    assert cli.json("export", str(tmp_path / "s"), "--type", "Schedule", *words)["output"][0]["count"] == 1
    patients = table(cli, tmp_path / "patients", "Appointment", "--patient-uhid", A, *words)
    assert list(patients) == ["booked-in-it"]
    assert table(cli, tmp_path / "others", "Appointment", "--practitioner", "p4") == {}


def test_a_visit_by_another_uhid_of_that_patient_is_theirs(cli: Cli, bring: Import, tmp_path: Path) -> None:
    """As MediLoop's lists have it: where it states nothing else, and nobody else carries that UHID."""
    late = patient("late", "UG000000004D", "UG000000005E", "UG000000006F")
    late["identifier"][0]["use"] = "old"
    people = {
        "alone": stating(" ug000000004d"),
        "of-another": stating("UG000000004D", reference="Patient/b"),
        "far": stating("UG000000004D", reference="https://elsewhere.example/Patient/1"),
    }
    first = {"actor": {"reference": "Patient/a"}, "status": "accepted"}
    visits = [
        visit(ident, 14, participant=[first, {"actor": who, "status": "accepted"}]) for ident, who in people.items()
    ]
    bring(late__ndjson=lines(late, *visits))
    rows = table(cli, tmp_path / "e", "Appointment", "--patient-uhid", "UG000000005E")
    assert {name: (row["patient_uhid"], row["patient_id"]) for name, row in rows.items()} == {
        "alone": ("UG000000005E", "")
    }
    rows = table(cli, tmp_path / "h", "Appointment", "--patient-uhid", "UG000000005E", "--deidentify")
    assert [row["patient_uhid"] for row in rows.values()] == [HIDDEN.uhid("UG000000005E")]


def test_under_pseudonyms_they_are_the_same(cli: Cli, tmp_path: Path) -> None:
    words = ("--patient-uhid", A, "--practitioner", "p2", "--facility", "l2", "--deidentify")
    rows = table(cli, tmp_path / "a", "Appointment", *words)
    assert len(rows) == 3
    own = ("Patient/a", "Practitioner/p2", "Location/l2")
    patient_id, practitioner_id, facility_id = (HIDDEN.name(one).partition("/")[2] for one in own)
    assert {row["patient_id"] for row in rows.values()} == {patient_id, ""}
    assert {row["patient_uhid"] for row in rows.values()} == {HIDDEN.uhid(A)}
    assert {(row["practitioner_id"], row["facility_id"]) for row in rows.values()} == {(practitioner_id, facility_id)}
    slots = table(cli, tmp_path / "s", "Slot", *words[2:])
    assert {(row["practitioner_id"], row["facility_id"]) for row in slots.values()} == {(practitioner_id, facility_id)}
