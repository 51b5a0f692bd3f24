"""What decides how a resource is filed has one digest: the rules of the release (held here) and settings."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from store import reindex, revision
from store.codec import Resource, encode
from store.documents import compose
from store.store import Store
from store.types import TYPES, ResourceType
from tests.store.support import NUMBERS, RULES, appointment, create, patient

FILED = (1, "87078027b41f017a05694660d47f3b4df2566808c784f6c8c0f57199742485a8")
"""The number of the rules, and the digest of what they file of the resources below."""

FULL = replace(RULES, zone=ZoneInfo("Africa/Kampala"), bases=("https://x.org/fhir/R4",), patient_systems=("urn:uhid",))
MOMENT = "2024-01-20T23:50:00-01:00"
CODINGS = [{"system": "urn:c|d", "code": "Gen ", "display": "General"}, {"code": "a\\b"}]
NUMBER = {"system": "urn:n|o", "value": " 7| ", "type": {"coding": CODINGS, "text": "A number"}}
UHID = {"identifier": {"system": "urn:uhid", "value": "UG1"}}
VALUES: dict[str, Any] = {
    "id": "a",
    "boolean": True,
    "code": "booked",
    "string": "St.  Mary's",
    "date": "2001-12-31",
    "dateTime": "2024-01",
    "instant": MOMENT,
    "uri": "urn:x",
    "canonical": ["https://x.org/p|1"],
    "Coding": CODINGS,
    "CodeableConcept": {"coding": CODINGS, "text": "Both"},
    "Identifier": [NUMBER, {"system": "urn:alone"}, {"system": NUMBERS, "value": "APT-1"}],
    "Period": [{"start": "2024-01-20", "end": "2024-02"}, {"start": "2023"}],
    "Reference": [{"reference": "https://x.org/fhir/R4/Location/l"}, {"reference": "https://y.org/Schedule/s"}, UHID],
    "HumanName": {"family": "O'Brien-Smith", "given": ["Ada Máire", "Eve"], "text": "Dr. Ada"},
    "Address": {"line": ["Street 1"], "city": "Kampala", "use": "home"},
    "ContactPoint": [{"system": "phone", "value": "+256 1"}, {"system": "email", "value": "A@x.org"}],
    "BackboneElement": {"longitude": 32.5, "latitude": 0.3},
}


def with_all(declared: ResourceType) -> Resource:
    """A resource that has something for each parameter of its type."""
    made: Resource = {"resourceType": declared.name}
    paths = {(path.steps, path.datatype) for one in declared.parameters.values() for path in one.paths}
    for steps, datatype in sorted(paths, key=lambda path: (path[0].count("."), path)):
        *above, last = steps.split(".")
        node = made
        for step in above:
            below = node.setdefault(step, [{}])
            node = below[0] if isinstance(below, list) else below
        node.setdefault(last, copy.deepcopy(VALUES[datatype]))
    return made


def slot(ident: str, start: str, end: str, schedule: str) -> Resource:
    status = "busy" if ident == "busy" else "free"
    reference = {"reference": schedule}
    return {"resourceType": "Slot", "id": ident, "schedule": reference, "status": status, "start": start, "end": end}


def attending(**actor: Any) -> Resource:
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}
    return {"type": [{"coding": [coding]}], "actor": actor, "status": "accepted"}


def fixed() -> list[Resource]:
    """The resources: whatever is filed, and whoever's time is taken."""
    role = {"resourceType": "PractitionerRole", "id": "k", "practitioner": {"reference": "Practitioner/q"}}
    people = [
        attending(reference="#k"),
        attending(reference="#i"),
        attending(identifier={"system": "urn:d", "value": "7 "}),
        attending(reference="https://y.org/doctors/7"),
        attending(reference="https://y.org/fhir/Practitioner/z"),
        {"actor": {"reference": "Practitioner/away"}, "status": "declined"},
        {"actor": UHID, "status": "accepted"},
    ]
    return [
        *(with_all(one) for one in TYPES.values()),
        appointment("plain"),
        appointment("cancelled", status="cancelled"),
        appointment("emergency", appointmentType={"coding": [{"code": "EMERGENCY"}]}),
        appointment("long", end="2024-01-22T09:00:00+03:00", slot=[{"reference": "Slot/free"}]),
        {"resourceType": "Appointment", "id": "asked", "status": "proposed", "requestedPeriod": VALUES["Period"]},
        appointment("people", contained=[role, patient("i", **UHID)], participant=people),
        slot("free", "2024-01-20T10:00:00Z", "2024-01-20T12:00:00Z", "Schedule/s"),
        slot("busy", MOMENT, "2024-01-21T01:10:00Z", "https://y.org/Schedule/s"),
        slot("s.20240120T1000Z.30", "2024-01-20T10:00:00Z", "2024-01-20T10:30:00Z", "Schedule/s"),
        slot("s.20240120T1100Z.30", "2024-01-20T10:00:00Z", "2024-01-20T10:30:00Z", "Schedule/s"),
    ]


def filed(one: Resource) -> dict[str, Any]:
    """What is filed of a resource."""
    moment = datetime(2024, 1, 15, 10, tzinfo=UTC)
    index: dict[str, Any] = compose(TYPES[one["resourceType"]], one, encode(one), moment, FULL)["_index"]
    return index


def test_what_is_filed_otherwise_has_other_rules() -> None:
    told = json.dumps([filed(one) for one in fixed()], default=str, sort_keys=True)
    digest = hashlib.sha256(told.encode()).hexdigest()
    assert (revision.RULES, digest) == FILED, (
        "What `_index` holds of a resource is not what it was: what is stored has to be made anew. Raise RULES in "
        f"store/revision.py by one, and put it here, as FILED, with the new digest, {digest}."
    )


@pytest.mark.parametrize(
    "other",
    [
        {"zone": ZoneInfo("UTC")},
        {"bases": ()},
        {"patient_systems": ("urn:uhid", "urn:nin")},
        {"unique_systems": ("urn:number",)},
        {"bases": FULL.patient_systems, "patient_systems": FULL.bases},
    ],
    ids=str,
)
def test_other_settings_have_another_digest(other: dict[str, Any]) -> None:
    assert revision.revision(replace(FULL, **other)) != revision.revision(FULL)


def test_the_order_in_which_settings_name_something_does_not_matter() -> None:
    one, two = (replace(FULL, patient_systems=systems) for systems in (("urn:a", "urn:b"), ("urn:b", "urn:a")))
    assert revision.revision(one) == revision.revision(two)


def test_other_rules_have_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = revision.revision(FULL)
    monkeypatch.setattr(revision, "RULES", revision.RULES + 1)
    assert revision.revision(FULL) != before


async def test_an_empty_database_is_filed_by_the_rules_of_who_comes_first(store: Store) -> None:
    other = replace(RULES, bases=("https://x.org/fhir/R4",))
    await revision.prepare(store.database, other)
    assert not await revision.is_due(store.database, RULES)  # nothing is stored
    await revision.prepare(store.database, RULES)
    await create(store, patient("a"))
    await revision.prepare(store.database, other)
    assert not await revision.is_due(store.database, RULES)
    assert await revision.is_due(store.database, other)


async def test_where_nobody_knows_how_something_is_filed_it_is_to_be_made_anew(store: Store) -> None:
    await create(store, patient("a"))
    await revision.prepare(store.database, RULES)
    assert await revision.is_due(store.database, RULES)
    async for _ in reindex.reindex(store):
        assert await revision.is_due(store.database, RULES)
    assert not await revision.is_due(store.database, RULES)


async def test_what_is_half_made_anew_is_filed_by_neither_rules(store: Store) -> None:
    await revision.prepare(store.database, RULES)
    await create(store, patient("a"))
    other = replace(RULES, bases=("https://x.org/fhir/R4",))
    begun = reindex.reindex(Store(store._client, store.database.name, rules=other))
    await anext(begun)
    await begun.aclose()  # type: ignore[attr-defined]  # an async generator
    assert await revision.is_due(store.database, RULES)
    assert await revision.is_due(store.database, other)


@pytest.mark.parametrize("stopped", [False, True])
async def test_where_something_could_not_be_made_anew_it_stays_due(store: Store, stopped: bool) -> None:
    await create(store, patient("b"))
    bad = {"_id": "a", "_json": b'{"resourceType":"Patient","id":"a"}', "_index": {}}
    await store.database.Patient.insert_one(dict(bad))
    if stopped:
        first = reindex.reindex(store, batch=1)
        while (await anext(first)).done < 1:
            pass
        await first.aclose()  # type: ignore[attr-defined]  # an async generator
    async for _ in reindex.reindex(store):
        pass
    assert await revision.is_due(store.database, RULES)


async def test_who_begins_by_other_rules_takes_the_mark_away(store: Store) -> None:
    await revision.prepare(store.database, RULES)
    await create(store, patient("a"))
    await revision.begin(store.database, RULES)
    assert not await revision.is_due(store.database, RULES)
    await revision.begin(store.database, replace(RULES, bases=("https://x.org/fhir/R4",)))
    assert await revision.is_due(store.database, RULES)
