"""Every cell of a flat table is what its ViewDefinition says: FHIRPath against rows, on generated resources."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.export import columns
from adapter.export.columns import COLUMNS, SCHEDULE_COLUMNS, Rows
from adapter.export.views import NAMES, views
from mappings.fields import CANCELLED_AT
from mappings.instants import to_utc
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary
from tests import strategies
from tests.scale import examples

Json = dict[str, Any]
SYSTEMS = strategies.SYSTEMS
VIEWS = {view["resource"]: view for view in views(SYSTEMS, Vocabulary.default())}
LENIENT = settings(max_examples=examples(120), suppress_health_check=[HealthCheck.too_slow], deadline=None)


@cache
def _compiled(path: str) -> Any:
    return fhirpathpy.compile(path, models["r4"])


def _bare(node: Any) -> Any:
    """Without the siblings of primitives: the library takes their extensions for values."""
    if isinstance(node, dict):
        return {name: _bare(value) for name, value in node.items() if not name.startswith("_")}
    return [_bare(item) for item in node] if isinstance(node, list) else node


def _cell(resource: Json, node: Any, column: Json) -> Any:
    found = _compiled(column["path"])(node, {"resource": resource})
    assert len(found) <= 1, (column["name"], found)
    value = found[0] if found else None
    return to_utc(value) if column["type"] in ("dateTime", "instant") and value is not None else value


def evaluated(resource: Json, view: Json | None = None) -> Json:
    """The row that the ViewDefinition of the resource's type makes of it."""
    resource, row = _bare(resource), {}
    for part in (view or VIEWS[resource["resourceType"]])["select"]:
        nodes = (
            _compiled(part["forEachOrNull"])(resource, {"resource": resource})
            if "forEachOrNull" in part
            else [resource]
        )
        assert len(nodes) <= 1
        for column in part["column"]:
            row[column["name"]] = _cell(resource, nodes[0], column) if nodes else None
    return row


@LENIENT
@given(strategies.appointments())
def test_the_rows_of_appointments_are_what_the_view_says(resource: Json) -> None:
    rows = Rows(SYSTEMS, Vocabulary.default())
    named = dict(zip((column.name for column in COLUMNS["Appointment"]), rows.row(resource), strict=True))
    assert evaluated(resource) == named


@LENIENT
@given(strategies.slots(), strategies.schedules(), st.booleans())
def test_the_rows_of_slots_are_the_views_of_slot_and_schedule_joined(slot: Json, schedule: Json, known: bool) -> None:
    rows = Rows(SYSTEMS, Vocabulary.default())
    slot = slot | {"schedule": {"reference": f"Schedule/{schedule['id']}"}}
    if known:
        rows.add_schedule(schedule)
    named = dict(zip((column.name for column in COLUMNS["Slot"]), rows.row(slot), strict=True))
    joined = evaluated(schedule) if known else dict.fromkeys(columns.FROM_SCHEDULE)
    assert joined | evaluated(slot) == named | {"schedule_id": slot["schedule"]["reference"].partition("/")[2]}


def test_the_views_describe_exactly_the_columns_of_the_tables() -> None:
    def names(kind: str) -> list[str]:
        return [column["name"] for part in VIEWS[kind]["select"] for column in part["column"]]

    assert names("Appointment") == [column.name for column in COLUMNS["Appointment"]]
    both = {*names("Slot"), *names("Schedule")}
    assert both == {column.name for column in COLUMNS["Slot"]}
    assert names("Schedule") == [column.name for column in SCHEDULE_COLUMNS]
    for view in VIEWS.values():
        assert re.fullmatch(r"[a-z]+", view["name"])
        assert view["name"] == NAMES[view["resource"]]
        assert all(re.fullmatch(r"[a-z_]+", name) for name in names(view["resource"]))


ALSO = {"id": "string", "code": "string", "unsignedInt": "integer", "positiveInt": "integer"}


@pytest.mark.parametrize(
    ("own", "moments"),
    [
        (
            {"resourceType": "Appointment", "status": "booked", "created": "2026-03-01", "minutesDuration": 30}
            | {"extension": [{"url": CANCELLED_AT, "valueDateTime": "2026-03-01"}], "comment": "Brings a relative."},
            {"start_time": "instant", "end_time": "instant", "created_at": "dateTime", "cancelled_at": "dateTime"},
        ),
        ({"resourceType": "Slot", "status": "free"}, {"start_time": "instant", "end_time": "instant"}),
    ],
)
def test_each_column_of_a_view_has_the_type_of_what_its_path_gives(own: Json, moments: Json) -> None:
    start = "2026-03-02T09:00:00Z"
    resource = own | {"meta": {"versionId": "1", "lastUpdated": start}, "start": start, "end": "2026-03-02T09:30:00Z"}
    columns = [one for part in VIEWS[own["resourceType"]]["select"] for one in part["column"]]
    said = {column["name"]: column["type"] for column in columns}
    found = {one["name"]: _compiled(f"({one['path']}).type()")(resource, {"resource": resource}) for one in columns}
    given = {name: kinds[0]["name"] for name, kinds in found.items() if kinds and kinds[0]["namespace"] == "FHIR"}
    assert given.items() >= (moments | {"last_updated": "instant"}).items()
    assert {name: ALSO.get(kind, kind) for name, kind in given.items()} == {name: said[name] for name in given}


def test_a_deployment_has_its_own_systems_in_its_views() -> None:
    text = str(views(Systems.under("https://clinic.example.org/fhir"), Vocabulary.default()))
    assert "mediloop.co/fhir/sid" not in text
    assert "https://clinic.example.org/fhir/sid/uhid" in text


@pytest.mark.parametrize("mode", ["fixed", "none"])
def test_replaced_code_tables_are_in_the_views(mode: str) -> None:
    tables = {table.resource["id"]: table.resource for table in Vocabulary.default().maps}
    replaced = tables["appointment-type"] | {
        "group": [
            {
                "source": "urn:types",
                "target": "urn:t",
                "element": [
                    {"code": "A", "target": [{"code": "ROUTINE", "equivalence": "equal"}]},
                    {"code": "O'B", "target": [{"code": "WALKIN", "equivalence": "equal"}]},
                ],
            }
            | ({"unmapped": {"mode": "fixed", "code": "CHECKUP"}} if mode == "fixed" else {})
        ]
    }
    vocabulary = Vocabulary.with_overrides([replaced])
    view = views(SYSTEMS, vocabulary)[0]
    rows = Rows(SYSTEMS, vocabulary)
    position = [one.name for one in COLUMNS["Appointment"]].index("appointment_type_code")
    for code in ("A", "O'B", "C"):
        resource = {
            "resourceType": "Appointment",
            "status": "proposed",
            "appointmentType": {"coding": [{"system": "urn:types", "code": code}]},
        }
        assert evaluated(resource, view)["appointment_type_code"] == rows.row(resource)[position]


def test_rows_tell_fhirs_own_ids_and_version() -> None:
    resource = {
        "resourceType": "Appointment",
        "id": "a1",
        "meta": {"versionId": "3", "lastUpdated": "2024-01-20T10:00:00.000Z"},
        "status": "booked",
        "slot": [{"reference": "https://x/fhir/R4/Slot/s1"}],
        "participant": [{"actor": {"reference": "Patient/p1"}}],
    }
    rows = Rows(SYSTEMS, Vocabulary.default())
    named = dict(zip((column.name for column in COLUMNS["Appointment"]), rows.row(resource), strict=True))
    assert (named["patient_id"], named["slot_id"], named["version_id"]) == ("p1", "s1", "3")
    assert datetime.fromisoformat(named["last_updated"]) == datetime(2024, 1, 20, 10, tzinfo=UTC)


def test_what_is_stored_as_a_time_and_is_none_is_an_empty_cell() -> None:
    resource = {
        "resourceType": "Appointment",
        "status": "cancelled",
        "meta": {"lastUpdated": "soon"},
        "extension": [{"url": CANCELLED_AT, "valueDateTime": "1-01-01T00:00:00Z"}],
    }
    row = Rows(SYSTEMS, Vocabulary.default()).row(resource)
    named = dict(zip((column.name for column in COLUMNS["Appointment"]), row, strict=True))
    assert (named["cancelled_at"], named["last_updated"], named["status"]) == (None, None, "cancelled")


@pytest.mark.parametrize(
    ("reference", "without", "within"),
    [
        ("Patient/late", "late", "late"),
        ("Patient/late/_history/2", "late", "late"),
        ("http://other.example/fhir/Patient/late", None, None),
        ("https://clinic.example.org/a+b/fhir/R4/Patient/late", None, "late"),
        ("https://clinic.example.org/a+b/fhir/R4/Patient/late/_history/2", None, "late"),
        ("https://clinic.example.org/a+b/fhir/R4/x/Patient/late", None, None),
        ("https://clinicXexample.org/a+b/fhir/R4/Patient/late", None, None),
        ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", None, None),
        ("#p", None, None),
    ],
)
def test_a_patient_of_another_server_has_no_id_here(reference: str, without: str | None, within: str | None) -> None:
    resource = {
        "resourceType": "Appointment",
        "contained": [{"resourceType": "Patient", "id": "p"}],
        "participant": [{"actor": {"reference": reference, "type": "Patient"}}],
    }
    position = [one.name for one in COLUMNS["Appointment"]].index("patient_id")
    for bases, expected in (((), without), (("https://clinic.example.org/a+b/fhir/R4", "https://b.example"), within)):
        view = views(SYSTEMS, Vocabulary.default(), bases)[0]
        assert Rows(SYSTEMS, Vocabulary.default(), bases).row(resource)[position] == expected
        assert evaluated(resource, view)["patient_id"] == expected


@pytest.mark.parametrize(
    ("stated", "contained", "shown"),
    [
        ("ug987654321b", [], "UG987654321B"),
        ("ug987654321b", ["ug123456789a"], "UG123456789A"),
        ("ug987654321b ", ["UG123456789A", "UG987654321B"], "UG987654321B"),
        (None, ["ug123456789a"], "UG123456789A"),
        (None, ["UG123456789A-old", "UG987654321B"], "UG987654321B"),
        ("UG123456789A", ["UG123456789A-old", "UG987654321B"], "UG987654321B"),
        ("UG987654321B", ["UG123456789A-old", "UG987654321B-old"], "UG987654321B"),
    ],
)
def test_the_uhid_is_one_of_the_contained_patients_own(stated: str | None, contained: list[str], shown: str) -> None:
    inside: Json = {"resourceType": "Patient", "id": "p"}
    if contained:
        parts = [one.partition("-") for one in contained]
        inside["identifier"] = [
            {"system": SYSTEMS.uhid, "value": value} | ({"use": use} if use else {}) for value, _, use in parts
        ]
    actor: Json = {"reference": "#p"} | ({"identifier": {"system": SYSTEMS.uhid, "value": stated}} if stated else {})
    resource = {"resourceType": "Appointment", "contained": [inside], "participant": [{"actor": actor}]}
    position = [one.name for one in COLUMNS["Appointment"]].index("patient_uhid")
    assert Rows(SYSTEMS, Vocabulary.default()).row(resource)[position] == shown
    assert evaluated(resource)["patient_uhid"] == shown
