"""What is logged, and what never is: names, UHIDs, keys."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from adapter.errors import Conflict, Problem
from adapter.logs import redact
from store.errors import Unreachable
from store.store import Store
from tests.acceptance.conftest import Running, serving
from tests.adapter.mediloop.clinic import NAME, PATH, UHID, booking, open_clinic
from tests.adapter.records import recorded
from tests.conftest import URI, Api


def _assert_nobody_is_named(text: str, *keys: str) -> None:
    for secret in (UHID, UHID.lower(), *NAME.split(), *keys):
        assert secret not in text


class TestRequests:
    async def test_a_request_is_one_line_with_its_id_and_its_route(self, api: Api) -> None:
        with recorded() as records:
            await api.get(f"{PATH}some-id/?page=1", headers={"X-Request-Id": "mine"})
        [line] = [line for line in records.lines if line["event"] == "request"]
        assert line.pop("milliseconds") > 0
        assert line.pop("timestamp").endswith("Z")
        assert line == {
            "event": "request",
            "level": "info",
            "method": "GET",
            "route": f"{PATH}{{id}}/",
            "status": 400,
            "request_id": "mine",
        }

    async def test_a_booking_is_logged_without_saying_for_whom(self, api: Api, store: Store) -> None:
        await open_clinic(store)
        with recorded(level="debug") as records:
            await api.post(PATH, booking(notes=f"{NAME} called"), headers={"X-Idempotency-Key": f"for-{UHID}"})
            await api.get(f"{PATH}by-patient/?patient_uhid={UHID}")
            await api.get(f"{PATH}{UHID}/")
            await api.get(f"/{NAME}/{UHID}")
        assert len(records.lines) >= 4
        _assert_nobody_is_named(records.text, api.key)

    async def test_a_fault_is_told_by_kind_and_place_and_names_nobody(self, api: Api, store: Store) -> None:
        broken = {"meta": {"versionId": f"{NAME} {UHID} {api.key}", "lastUpdated": "2026-01-01T00:00:00Z"}}
        await store.database["Appointment"].insert_one({"_id": "broken", "_json": json.dumps(broken).encode()})
        with recorded() as records:
            await api.get("/fhir/R4/Appointment/broken", headers={"X-Request-Id": "mine", "If-None-Match": 'W/"1"'})
        [line] = [line for line in records.lines if line["event"] == "request_failed"]
        assert (line["level"], line["route"], line["request_id"]) == ("error", "/fhir/R4/{type}/{id}", "mine")
        assert "builtins.ValueError" in line["exception"]
        assert "adapter/fhir/reads.py" in line["exception"]
        _assert_nobody_is_named(records.text, api.key)

    async def test_a_level_above_info_leaves_out_the_requests(self, api: Api) -> None:
        with recorded(level="warning") as records:
            await api.get(PATH)
        assert records.text == ""


def _fail(error: Exception) -> None:
    raise error


def _told(error: Exception) -> str:
    """Return how an exception is told in a log line."""
    with recorded() as records:
        try:
            _fail(error)
        except type(error):
            structlog.get_logger().exception("failed")
    told: str = records.lines[0]["exception"]
    return told


class TestExceptions:
    def test_the_text_of_our_own_is_told(self) -> None:
        assert "Unreachable: MongoDB did not answer" in _told(Unreachable("MongoDB did not answer"))
        assert "slot_unavailable: No slot." in _told(Conflict(Problem("slot_unavailable", "No slot.")))

    def test_the_text_of_others_is_not_but_the_number_of_a_mongodb_error_is(self) -> None:
        assert NAME not in _told(KeyError(NAME))
        told = _told(OperationFailure(f"duplicate key: {NAME}", 11000))
        assert NAME not in told
        assert "MongoDB error 11000" in told

    def test_what_led_to_it_is_told_too(self) -> None:
        error = Unreachable("MongoDB did not answer")
        error.__cause__ = TimeoutError(NAME)
        told = _told(error)
        assert told.index("Unreachable") < told.index("after:") < told.index("TimeoutError")
        assert NAME not in told

    def test_what_was_set_aside_is_not(self) -> None:
        error = ValueError("x")
        error.__context__, error.__suppress_context__ = KeyError("y"), True
        assert "KeyError" not in _told(error)

    def test_one_that_led_to_itself_is_told_once(self) -> None:
        first, second = ValueError("x"), Unreachable("MongoDB did not answer")
        first.__cause__, second.__cause__ = second, first
        assert _told(first).count("after:") == 1
        second.__cause__ = second
        assert "after:" not in _told(second)

    def test_those_of_libraries_are_told_alike(self) -> None:
        with recorded() as records:
            try:
                _fail(ValueError(NAME))
            except ValueError:
                logging.getLogger("uvicorn.error").exception("for %s", UHID)
        [line] = records.lines
        assert (line["event"], line["level"]) == ("for [redacted]", "error")
        assert "builtins.ValueError" in line["exception"]
        _assert_nobody_is_named(records.text)


class TestRedaction:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("key sk_test_abcDEF-_1 here", "key [redacted] here"),
            ("sk_live_0123456789abcdef", "[redacted]"),
            ("SK_LIVE_0123456789ABCDEF", "[redacted]"),
            (f"patient {UHID}.", "patient [redacted]."),
            (f"patient {UHID.lower()}", "patient [redacted]"),
            (f"after a line's end\\n{UHID}", "after a line's end\\n[redacted]"),
            ("UG12345678A and sk_other_x stay", "UG12345678A and sk_other_x stay"),
        ],
    )
    def test_keys_and_uhids_are_blotted_out_of_every_text(self, text: str, expected: str) -> None:
        assert redact(text) == expected

    def test_a_uhid_is_what_the_deployment_says(self) -> None:
        with recorded(uhid_pattern="^KE-[0-9]{4}$") as records:
            structlog.get_logger().info("event", id="for-ke-1234", key="sk_test_abc")
            logging.getLogger("uvicorn.error").warning("of KE-1234\nKE-1235")
        ours, theirs = records.lines
        assert (ours["id"], ours["key"]) == ("for-[redacted]", "[redacted]")
        assert theirs["event"] == "of [redacted]\n[redacted]"

    def test_whatever_its_pattern_a_line_stays_one_with_its_time(self) -> None:
        with recorded(uhid_pattern="^[0-9]*$") as records:
            structlog.get_logger().info("event", id="one 12 two", status=200)
        [line] = records.lines
        assert (line["id"], line["status"], line["level"]) == ("one [redacted] two", 200, "info")
        assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None

    async def test_whatever_its_pattern_our_own_words_stay_and_those_of_libraries_do_not(self, api: Api) -> None:
        with recorded(uhid_pattern="^[A-Z0-9/{}]{3,12}$") as records:
            await api.get(PATH)
            logging.getLogger("uvicorn.error").warning("request")
        ours, theirs = records.lines
        assert (ours["event"], ours["method"], ours["route"]) == ("request", "GET", PATH)
        assert theirs["event"] == "[redacted]"

    def test_uhids_are_found_in_lists_objects_and_what_becomes_text(self) -> None:
        with recorded(uhid_pattern="^KE-[0-9]{4}$") as records:
            values = {"KE-1234": ["of KE-1234", ("KE-1235", 7, None)]}
            structlog.get_logger().info("event", values=values, path=Path("/tmp/KE-1234"))
        [line] = records.lines
        assert line["values"] == {"[redacted]": ["of [redacted]", ["[redacted]", 7, None]]}
        assert line["path"] == "/tmp/[redacted]"


def test_a_value_that_is_no_json_is_logged_as_text() -> None:
    with recorded() as records:
        structlog.get_logger().info("event", path=Path("/tmp"), text="é\n")
    assert records.lines[0] == records.lines[0] | {"path": "/tmp", "text": "é\n"}


def test_for_people_lines_are_not_json_and_keep_the_rules() -> None:
    with recorded(log_format="console") as records:
        try:
            _fail(ValueError(NAME))
        except ValueError:
            structlog.get_logger().exception("failed", key="sk_test_secret")
    assert "failed" in records.text
    assert "ValueError" in records.text
    _assert_nobody_is_named(records.text, "sk_test_secret")


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn.error", "uvicorn.access"])
def test_of_uvicorns_own_lines_those_of_access_are_off(name: str) -> None:
    with recorded() as records:
        logging.getLogger(name).info("a line")
    assert (records.text == "") == (name == "uvicorn.access")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`mediloop-fhir serve` itself."""
    with serving(tmp_path_factory.mktemp("logs"), uhid_pattern="^(UG[0-9]{9}[A-Z]|KE-[0-9]{4})$") as made:
        yield made


def test_a_started_service_writes_one_line_for_a_request_and_names_nobody(running: Running) -> None:
    database = f"{running.environment['ADAPTER_DATABASE']}_test"
    broken = {"_id": "broken", "_json": b'{"meta":{"versionId":"John Doe UG123456789A","lastUpdated":""}}'}
    with MongoClient[dict[str, Any]](os.environ[URI]) as client:
        client[database]["Appointment"].insert_one(broken)
    headers = running.headers | {"X-Request-Id": "mine"}
    with httpx.Client(base_url=running.base, headers=headers) as client:
        statuses = [
            client.post(PATH, json=booking()).status_code,
            client.get(f"{PATH}by-patient/?patient_uhid={UHID}").status_code,
            client.get("/fhir/R4/Appointment/broken", headers={"If-None-Match": 'W/"1"'}).status_code,
            client.get(f"{PATH}{UHID}/").status_code,
            client.get(PATH, headers={"Authorization": "Bearer sk_test_wrong"}).status_code,
            client.get(PATH, headers={"X-Request-Id": "for-KE-1234"}).status_code,
        ]
    assert statuses == [201, 200, 500, 404, 401, 200]
    running.stop()  # a line is written after its answer: only now are all of them there
    text = running.log.read_text()
    _assert_nobody_is_named(text, running.key, "sk_test_wrong", "KE-1234")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    mine = [line for line in lines if line.get("request_id") == "mine"]
    routes = [line["route"] for line in mine if line["event"] == "request"]
    assert routes == [PATH, f"{PATH}by-patient/", "/fhir/R4/{type}/{id}", f"{PATH}{{id}}/", PATH]
    assert [line["event"] for line in mine if line["event"] != "request"] == ["request_failed"]
    assert "HTTP/1.1" not in text  # uvicorn's own access lines
