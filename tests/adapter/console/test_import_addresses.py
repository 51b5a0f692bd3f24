"""What a Bundle says by addresses: what has an id comes in as it is, and what it refers to is what came with it."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("configured", [True, False])
def test_what_is_stored_by_our_own_address_stays(
    bring: Import, stored: Stored, monkeypatch: pytest.MonkeyPatch, configured: bool
) -> None:
    if configured:
        monkeypatch.setenv("ADAPTER_BASE_URL", OURS.removesuffix("/fhir/R4"))
    link = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{OURS}/Patient/john">John</a></div>'
    came = visit_of(f"{OURS}/Patient/john", "Practitioner/p") | {
        "meta": {"source": f"{OURS}/Location/l"},
        "text": {"status": "additional", "div": link},
    }
    assert bring(a__ndjson=lines(*PEOPLE, came)) == {"created": 4}
    before = stored("Appointment")
    out = bring.folder / "out"
    bring.cli.json("export", str(out), "--format", "bundle")
    assert bring.run(str(out)) == {"unchanged": 4}
    assert stored("Appointment") == before
    longer = came | {"participant": [*came["participant"], {"actor": {"reference": f"{OURS}/Location/l"}}]}
    longer["participant"][2]["status"] = "accepted"
    assert bring(b__json=whole(*PEOPLE, longer, base=OURS)) == {"updated": 1, "unchanged": 3}
    assert actors(stored) == [[f"{OURS}/Patient/john", "Practitioner/p", "Location/l"]]
    assert bring(b__json=whole(*PEOPLE, longer, base=OURS)) == {"unchanged": 4}


def test_what_came_with_it_from_elsewhere_is_meant_and_where_it_is_from_stays(
    bring: Import, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTER_BASE_URL", "https://here.test")
    came = visit_of(f"{THEIRS}/Patient/john", f"{THEIRS}/Practitioner/p/_history/3")
    came |= {"meta": {"source": f"{THEIRS}/Location/l"}}
    assert bring(a__ndjson=lines(came)) == {"created": 1}
    assert bring(b__json=whole(*PEOPLE, came, base=THEIRS)) == {"created": 3, "updated": 1}
    assert actors(stored) == [["Patient/john", "Practitioner/p/_history/3"]]
    assert stored("Appointment")[0]["meta"]["source"] == f"{THEIRS}/Location/l"
    assert bring(b__json=whole(*PEOPLE, came, base=THEIRS)) == {"unchanged": 4}


def test_an_address_in_a_uri_follows_who_gets_another_name(bring: Import, stored: Stored) -> None:
    came = bundle(
        entry(DOCTOR, f"{THEIRS}/Practitioner/7"), entry(JOHN | {"meta": {"source": f"{THEIRS}/Practitioner/7"}})
    )
    assert bring(a__ndjson=lines(DOCTOR | {"id": "p"}), b__json=came) == {"created": 2, "unchanged": 1}
    assert stored("Patient")[0]["meta"]["source"] == "Practitioner/p"
