"""Reading FHIR resources: the stored bytes, with the headers of their version."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from store.codec import encode
from store.store import Store
from tests.adapter.mediloop.clinic import PATH, action_path, appointment, booking, open_clinic, put
from tests.conftest import Api, Clock

MEDIA_TYPE = "application/fhir+json; charset=utf-8"
STORED = {
    "Appointment": "a1",
    "Slot": "slot-001",
    "Schedule": "sarah",
    "Patient": "john",
    "Practitioner": "prov-abc-123",
    "Location": "fac-xyz-789",
}


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)
    await put(store, appointment("a1", start="2024-03-01T10:00"))


def _is_outcome(content: bytes, code: str) -> str:
    read = OperationOutcome.model_validate_json(content)
    assert [issue.code for issue in read.issue] == [code]
    return str(read.issue[0].diagnostics)


@pytest.mark.parametrize("kind", STORED)
async def test_what_is_served_are_the_stored_bytes(api: Api, store: Store, kind: str) -> None:
    answer = await api.get(f"/fhir/R4/{kind}/{STORED[kind]}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == MEDIA_TYPE
    document = await store.database[kind].find_one({"_id": STORED[kind]})
    assert document is not None
    assert answer.content == bytes(document["_json"])
    model: Any = getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
    assert model.model_validate_json(answer.content).id == STORED[kind]


async def test_digits_offsets_and_foreign_extensions_come_back_as_they_were_stored(api: Api, store: Store) -> None:
    extension = [{"url": "urn:example:dose", "valueDecimal": 1}]
    times = {"start": "2024-03-02T13:00:00.100+03:00", "end": "2024-03-02T13:30:00+03:00"}
    await put(store, appointment("a2", start=None, extension=extension) | times)
    raw = await store.read("Appointment", "a2")
    answer = await api.get("/fhir/R4/Appointment/a2")
    assert answer.content == raw
    assert b'"2024-03-02T13:00:00.100+03:00"' in answer.content
    assert encode(extension[0]) in answer.content


async def test_the_version_and_the_time_of_its_making_are_headers(api: Api, clock: Clock) -> None:
    for version in (1, 2):
        answer = await api.get("/fhir/R4/Appointment/a1")
        assert answer.headers["ETag"] == f'W/"{version}"'
        assert answer.json()["meta"]["versionId"] == str(version)
        modified = answer.headers["Last-Modified"]
        assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", modified)
        assert parsedate_to_datetime(modified) == clock.moment
        clock.advance(minutes=1)
        await api.post(action_path("a1", "arrived"))


async def test_a_booking_is_read_as_a_valid_fhir_appointment(api: Api) -> None:
    made = (await api.post(PATH, booking())).json()
    answer = await api.get(f"/fhir/R4/Appointment/{made['id']}")
    model: Any = import_module("fhir.resources.R4B.appointment").Appointment
    read = model.model_validate_json(answer.content)
    assert (read.status, read.minutesDuration) == ("booked", 30)


async def test_what_was_entered_in_error_can_be_read(api: Api, store: Store) -> None:
    await put(store, appointment("wrong", "entered-in-error"))
    assert (await api.get("/fhir/R4/Appointment/wrong")).json()["status"] == "entered-in-error"


@pytest.mark.parametrize("kind", STORED)
async def test_what_is_not_there_is_404(api: Api, kind: str) -> None:
    for ident in ("nothing", "a1%00", "A1", "x" * 2_000, "%ED%A0%80"):
        answer = await api.get(f"/fhir/R4/{kind}/{ident}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert "no " + kind in _is_outcome(answer.content, "not-found")


@pytest.mark.parametrize("kind", ["Encounter", "appointment", "keys", "history", "counters", "$export"])
async def test_an_unknown_type_is_404_and_says_where_the_known_ones_are(api: Api, kind: str) -> None:
    answer = await api.get(f"/fhir/R4/{kind}/x")
    assert answer.status_code == 404
    assert "metadata" in _is_outcome(answer.content, "not-found" if "$" in kind else "not-supported")
