"""Every example of the Appointments page as it is printed, against a started service with the demo clinic.

The commands and answers below are copied from the page; host and key alone are replaced when they are sent.
"""

from __future__ import annotations

import json
import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.conftest import Running, serving

OBJECT = """
{
  "id": "apt-123-456-789",
  "appointment_number": "APT-2024-001234",
  "patient_uhid": "UG123456789A",
  "patient_name": "John Doe",
  "practitioner_id": "prov-abc-123",
  "practitioner_name": "Dr. Sarah Nakamya",
  "facility_id": "fac-xyz-789",
  "facility_name": "Mulago Hospital",
  "status": "booked",
  "service_type_code": "consultation",
  "specialty_code": "general-practice",
  "appointment_type_code": "ROUTINE",
  "start_time": "2024-01-20T10:00:00Z",
  "end_time": "2024-01-20T10:30:00Z",
  "duration_minutes": 30,
  "reason_text": "General checkup",
  "priority": 5,
  "patient_instruction": "Please bring previous test results",
  "created_at": "2024-01-15T10:00:00Z"
}
"""
BOOK = r"""
curl -X POST https://api.mediloop.co/api/v1/appointments/ \
  -H "Authorization: Bearer sk_test_..." \
  -H "Content-Type: application/json" \
  -d '{
    "patient_uhid": "UG123456789A",
    "practitioner_id": "prov-abc-123",
    "service_type_code": "consultation",
    "start_time": "2024-01-20T10:00:00Z",
    "duration_minutes": 30,
    "facility_id": "fac-xyz-789",
    "reason_text": "General checkup"
  }'
"""
BOOKED = """
{
  "id": "apt-123-456-789",
  "appointment_number": "APT-2024-001234",
  "patient_uhid": "UG123456789A",
  "status": "booked",
  "start_time": "2024-01-20T10:00:00Z",
  "end_time": "2024-01-20T10:30:00Z",
  "created_at": "2024-01-15T10:00:00Z"
}
"""
LIST = r"""
curl "https://api.mediloop.co/api/v1/appointments/?patient_uhid=UG123456789A&upcoming_only=true" \
  -H "Authorization: Bearer sk_test_..."
"""
LISTED = """
{
  "count": 1,
  "results": [
    {
      "id": "apt-123-456-789",
      "appointment_number": "APT-2024-001234",
      "patient_uhid": "UG123456789A",
      "status": "booked",
      "start_time": "2024-01-20T10:00:00Z"
    }
  ]
}
"""
SEARCH = r"""
curl "https://api.mediloop.co/api/v1/appointments/availability/?date_from=2024-01-20&date_to=2024-01-25&specialty=general-practice" \
  -H "Authorization: Bearer sk_test_..."
"""  # noqa: E501
FOUND = """
{
  "count": 3,
  "results": [
    {
      "id": "slot-001",
      "practitioner_id": "prov-abc-123",
      "practitioner_name": "Dr. Sarah Nakamya",
      "facility_name": "Mulago Hospital",
      "start_time": "2024-01-20T09:00:00Z",
      "end_time": "2024-01-20T09:30:00Z",
      "status": "free"
    },
    {
      "id": "slot-002",
      "practitioner_id": "prov-abc-123",
      "practitioner_name": "Dr. Sarah Nakamya",
      "facility_name": "Mulago Hospital",
      "start_time": "2024-01-20T10:00:00Z",
      "end_time": "2024-01-20T10:30:00Z",
      "status": "free"
    }
  ]
}
"""
CANCEL = r"""
curl -X POST https://api.mediloop.co/api/v1/appointments/apt-123-456-789/cancel/ \
  -H "Authorization: Bearer sk_test_..." \
  -H "Content-Type: application/json" \
  -d '{
    "cancellation_reason_code": "patient-request",
    "cancellation_reason_text": "Patient unable to attend"
  }'
"""
CANCELLED = """
{
  "id": "apt-123-456-789",
  "status": "cancelled",
  "cancellation_reason_code": "patient-request",
  "cancellation_reason_text": "Patient unable to attend",
  "cancelled_at": "2024-01-18T14:00:00Z"
}
"""
RESCHEDULE = r"""
curl -X POST https://api.mediloop.co/api/v1/appointments/apt-123-456-789/reschedule/ \
  -H "Authorization: Bearer sk_test_..." \
  -H "Content-Type: application/json" \
  -d '{
    "new_start_time": "2024-01-22T14:00:00Z",
    "reason": "Provider schedule conflict"
  }'
"""
RESCHEDULED = """
{
  "id": "apt-123-456-789",
  "status": "booked",
  "start_time": "2024-01-22T14:00:00Z",
  "end_time": "2024-01-22T14:30:00Z",
  "rescheduled_at": "2024-01-18T14:00:00Z"
}
"""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_HOST, _KEY = "https://api.mediloop.co", "sk_test_..."


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Running]:
    """A service that no other test has touched."""
    with serving(tmp_path) as made:
        yield made


def _run(command: str, running: Running) -> httpx.Response:
    """Send what a printed curl command sends."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words.pop(0) == "curl"
    method, url, headers, body = "GET", "", {}, None
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, value = words.pop(0).split(": ", 1)
            headers[name] = value.replace(_KEY, running.key)
        elif word == "-d":
            body = words.pop(0)
        else:
            url = word.replace(_HOST, running.base)
    assert url.startswith(running.base)
    return httpx.request(method, url, headers=headers, content=body)


def _assert_as_printed(answered: Any, printed: Any, *varying: str, name: str = "") -> None:
    """Check that all that is printed is there, of the same type and, but for `varying` members, the same."""
    assert type(answered) is type(printed), name
    if isinstance(printed, dict):
        for member, value in printed.items():
            assert member in answered, member
            _assert_as_printed(answered[member], value, *varying, name=member)
    elif isinstance(printed, list):
        for item, value in zip(answered, printed, strict=False):
            _assert_as_printed(item, value, *varying, name=name)
        assert len(answered) >= len(printed)
    elif name in varying:
        assert not _MOMENT.fullmatch(str(printed)) or _MOMENT.fullmatch(answered), name
    else:
        assert answered == printed, name


def test_the_appointment_object(running: Running) -> None:
    answer = httpx.get(f"{running.base}/api/v1/appointments/apt-123-456-789/", headers=running.headers)
    assert answer.status_code == 200
    # The printed booking takes the printed time, so the clinic's own appointment lies on the day before.
    _assert_as_printed(answer.json(), json.loads(OBJECT), "start_time", "end_time")
    assert answer.json()["notes"] is None


def test_check_availability(running: Running) -> None:
    answer = _run(SEARCH, running)
    assert answer.status_code == 200
    _assert_as_printed(answer.json(), json.loads(FOUND))


def test_list_appointments(running: Running) -> None:
    answer = _run(LIST, running)
    assert answer.status_code == 200
    _assert_as_printed(answer.json(), json.loads(LISTED), "id", "appointment_number", "start_time")


def test_book_an_appointment(running: Running) -> None:
    answer = _run(BOOK, running)
    assert answer.status_code == 201
    made = answer.json()
    _assert_as_printed(made, json.loads(BOOKED), "id", "appointment_number", "created_at")
    assert re.fullmatch(r"APT-\d{4}-\d{6}", made["appointment_number"])
    path = f"{running.base}/api/v1/appointments/{made['id']}/cancel/"
    cancelled = httpx.post(path, json={"cancellation_reason_code": "patient-request"}, headers=running.headers)
    assert cancelled.status_code == 200  # for the other tests: the slot is free again


def test_every_example_in_one_go_with_rescheduling_before_cancelling(fresh: Running) -> None:
    assert [_run(command, fresh).status_code for command in (BOOK, LIST, SEARCH)] == [201, 200, 200]
    moved = _run(RESCHEDULE, fresh)
    assert moved.status_code == 200
    _assert_as_printed(moved.json(), json.loads(RESCHEDULED), "rescheduled_at")
    cancelled = _run(CANCEL, fresh)
    assert cancelled.status_code == 200
    _assert_as_printed(cancelled.json(), json.loads(CANCELLED), "cancelled_at")
    again = _run(RESCHEDULE, fresh)
    assert again.status_code == 409
    assert again.json()["error"]["code"] == "invalid_status_transition"


class TestSlashes:
    @pytest.mark.parametrize("slash", ["/", ""])
    @pytest.mark.parametrize(
        "path",
        [
            "",
            "/apt-123-456-789",
            "/availability{slash}?date_from=2024-01-20&date_to=2024-01-25",
            "/by-patient{slash}?patient_uhid=UG123456789A",
            "/by-practitioner{slash}?practitioner_id=prov-abc-123",
        ],
    )
    def test_a_path_answers_with_and_without_one(self, running: Running, path: str, slash: str) -> None:
        path = path.format(slash=slash) if "{slash}" in path else path + slash
        answer = httpx.get(f"{running.base}/api/v1/appointments{path}", headers=running.headers)
        assert answer.status_code == 200
        assert not answer.history

    @pytest.mark.parametrize("slash", ["/", ""])
    @pytest.mark.parametrize("action", ["cancel", "reschedule", "check-in", "arrived", "fulfilled", "noshow"])
    def test_a_post_keeps_its_body_with_and_without_one(self, running: Running, action: str, slash: str) -> None:
        base = f"{running.base}/api/v1/appointments"
        body = {
            "patient_uhid": "UG123456789A",
            "practitioner_id": "prov-ghi-789",
            "service_type_code": "consultation",
            "appointment_type_code": "WALKIN",
            "start_time": "2024-02-01T10:00:00Z",
        }
        made = httpx.post(base + slash, json=body, headers=running.headers)
        assert made.status_code == 201
        bodies = {
            "cancel": {"cancellation_reason_code": "patient-request"},
            "reschedule": {"new_start_time": "2024-02-02T10:00:00Z"},
        }
        path = f"{base}/{made.json()['id']}/{action}{slash}"
        answer = httpx.post(path, json=bodies.get(action), headers=running.headers)
        assert answer.status_code == 200
        assert not answer.history


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_10_mb_is_413_and_the_next_request_is_answered(running: Running, declared: bool) -> None:
    def in_parts() -> Iterator[bytes]:
        for _ in range(160):
            yield b" " * 65_536

    body = b" " * 10_485_760 if declared else in_parts()
    headers = running.headers | {"Content-Type": "application/json"}
    with httpx.Client(base_url=running.base, headers=headers) as client:
        answer = client.post("/api/v1/appointments/", content=body)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "body_too_large"
        assert client.get("/api/v1/appointments/").status_code == 200


def test_a_client_that_waits_for_a_word_before_it_sends_10_mb_gets_413_at_once(running: Running) -> None:
    address = urlsplit(running.base)
    request = (
        f"POST /api/v1/appointments/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {running.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 10485760\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(request.encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413")
