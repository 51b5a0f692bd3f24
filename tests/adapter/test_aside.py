"""Much work is done beside the event loop, little where it is."""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import ContextVar
from typing import Any

import pytest

from adapter.aside import LARGE, aside
from adapter.fhir import presentation, validation
from adapter.fhir.bundles import batches, transactions
from adapter.fhir.operations import parameters, validating
from adapter.fhir.validation import checking, strict_json
from tests.adapter.fhir.bundles.sending import bundle, entry
from tests.adapter.fhir.door import Json, call, get, made
from tests.conftest import Api


def is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


async def test_much_is_done_in_a_thread() -> None:
    assert await aside(is_main, much=False) is True
    assert await aside(is_main, much=True) is False


async def test_one_thing_is_done_beside_the_event_loop_at_a_time() -> None:
    under_way: list[int] = []
    most = 0

    def work() -> None:
        nonlocal most
        under_way.append(1)
        most = max(most, len(under_way))
        time.sleep(0.02)
        under_way.pop()

    await asyncio.gather(*(aside(work, much=True) for _ in range(4)))
    assert most == 1


async def test_what_belongs_to_a_request_is_known_beside_the_event_loop() -> None:
    request: ContextVar[str] = ContextVar("request")
    request.set("r1")
    assert await aside(request.get, much=True) == "r1"


PERSON: Json = {"resourceType": "Patient", "id": "x", "name": [{"family": "Okello"}]}
LONG: Json = {**PERSON, "photo": [{"contentType": "image/png", "data": "eHh4" * (LARGE // 4)}]}


def watched(monkeypatch: pytest.MonkeyPatch, place: Any, function: str) -> list[bool]:
    """Return what gets to hold, for each call of a function, whether it was in the event loop."""
    where: list[bool] = []
    real = getattr(place, function)

    def noted(*given: Any, **named: Any) -> Any:
        where.append(is_main())
        return real(*given, **named)

    monkeypatch.setattr(place, function, noted)
    return where


@pytest.mark.parametrize(
    ("place", "function", "method", "path", "around"),
    [
        (strict_json, "read_as_sent", "PUT", "Patient/x", None),
        (checking, "check", "PUT", "Patient/x", None),
        (checking, "check", "POST", "Patient/$validate", None),
        (transactions, "plan", "POST", "", "transaction"),
        (batches, "write_of", "POST", "", "batch"),
    ],
)
async def test_what_is_large_is_judged_beside_other_requests(
    api: Api, monkeypatch: pytest.MonkeyPatch, place: Any, function: str, method: str, path: str, around: str | None
) -> None:
    where = watched(monkeypatch, place, function)
    for body in (PERSON, LONG):
        sent = body if around is None else bundle(around, entry("PUT", "Patient/x", body))
        answer = await call(api, method, path, sent)
        assert answer.status_code in (200, 201), answer.text
    assert set(where[: len(where) // 2]) == {True}
    assert set(where[len(where) // 2 :]) == {False}


OPERATIONS = (
    *("Patient/$everything", "Patient/$validate", "$export", "Appointment/$find", "Slot/$prefetch"),
    *("Appointment/$hold", "Appointment/$book", "Appointment/a/$cancel", "Appointment/a/$reschedule"),
)


@pytest.mark.parametrize("path", OPERATIONS)
async def test_large_parameters_are_judged_beside_other_requests(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    where = watched(monkeypatch, parameters, "faults")
    for length in (1, LARGE):
        given = [{"name": "colour", "valueString": "x" * length}]
        answer = await call(api, "POST", path, {"resourceType": "Parameters", "parameter": given})
        assert answer.status_code == 400, answer.text
    assert where == [True, False]


@pytest.mark.parametrize(("path", "function"), [("Appointment/$find", "check"), ("Appointment/$book", "require_valid")])
async def test_large_patients_who_are_sent_are_judged_beside_other_requests(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, function: str
) -> None:
    where = watched(monkeypatch, validation, function)
    for body in (PERSON, LONG):
        given = [{"name": "patient-resource", "resource": body}]
        answer = await call(api, "POST", path, {"resourceType": "Parameters", "parameter": given})
        assert answer.status_code == 400, answer.text
    assert where == [True, False]


@pytest.mark.parametrize("around", [None, "batch"])
async def test_what_is_stored_is_judged_beside_other_requests(
    api: Api, monkeypatch: pytest.MonkeyPatch, around: str | None
) -> None:
    where = [watched(monkeypatch, *one) for one in ((validating, "decode"), (checking, "check"))]
    path = "Patient/x/$validate?mode=profile"
    assert (await call(api, "PUT", "Patient/x", PERSON)).status_code == 201
    for one in where:
        one.clear()
    if around is None:
        assert (await call(api, "GET", path)).status_code == 200
    else:
        await call(api, "POST", "", bundle(around, entry("GET", path), entry("GET", path)))
    assert all(one and set(one) == {False} for one in where)


async def test_what_is_large_is_laid_out_beside_other_requests(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[bool] = []
    real = presentation.pretty

    def noted(raw: bytes) -> bytes:
        where.append(is_main())
        return real(raw)

    monkeypatch.setattr(presentation, "pretty", noted)
    for body in (PERSON, LONG):
        await made(api, body)
        shown = await get(api, "Patient/x?_pretty=true")
        assert (shown.status_code, shown.text.startswith('{\n  "resourceType": "Patient"')) == (200, True)
    assert where == [True, False]
    monkeypatch.setattr(presentation, "MOST_PRETTY", len(shown.content) // 2)
    assert (await get(api, "Patient/x?_pretty=true")).text.startswith('{"resourceType":"Patient"')
