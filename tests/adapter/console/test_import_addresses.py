"""What a Bundle says by addresses: what has an id comes in as it is, and what it refers to is what came with it."""

from __future__ import annotations

from tests.adapter.console.imports import PEOPLE, Import, Json, Stored, lines
from tests.adapter.console.test_import_bundles import DOCTOR, JOHN, actors, bundle, entry, meeting, urn

OURS, THEIRS = "http://127.0.0.1:8000/fhir/R4", "https://his.example/fhir"


def whole(*resources: Json, base: str) -> bytes:
    """A Bundle of resources that have their ids, as a search on a server returns them."""
    entries = [{"fullUrl": f"{base}/{one['resourceType']}/{one['id']}", "resource": one} for one in resources]
    return bundle(*entries, kind="searchset")


def visit_of(patient: str, doctor: str, hour: int = 9) -> Json:
    return meeting(patient, doctor, hour) | {"id": "x"}


def test_a_version_that_is_meant_is_the_same_after_an_export_as_a_bundle(bring: Import, stored: Stored) -> None:
    versioned = visit_of("Patient/john/_history/7", "Practitioner/p/_history/3")
    assert bring(a__ndjson=lines(*PEOPLE, versioned)) == {"created": 4}
    before = stored("Appointment")
    out = bring.folder / "out"
    bring.cli.json("export", str(out), "--format", "bundle")
    assert bring.run(str(out)) == {"unchanged": 4}
    assert stored("Appointment") == before


def test_of_who_gets_an_id_here_no_version_is_known(bring: Import, stored: Stored) -> None:
    came = bundle(
        entry(DOCTOR, urn(1)),
        entry(JOHN, f"{THEIRS}/Patient/7"),
        entry(meeting(f"{THEIRS}/Patient/7/_history/2", f"{urn(1)}/_history/1"), urn(3)),
    )
    known = [DOCTOR | {"id": "p"}, JOHN | {"id": "john"}]
    assert bring(a__ndjson=lines(*known), b__json=came) == {"created": 3, "unchanged": 2}
    assert actors(stored) == [["Patient/john", "Practitioner/p"]]
    assert bring(b__json=came) == {"unchanged": 3}
