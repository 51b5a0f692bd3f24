"""A portal's story over HTTP, against a started service: find, hold, let it lapse, book, reschedule, cancel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Running, serving

Json = dict[str, Any]
FHIR = {"Content-Type": "application/fhir+json"}


def _parameters(**given: str) -> Json:
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name.replace("_", "-"), "valueString": value} for name, value in given.items()],
    }


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with the demo clinic, in which holds last two seconds."""
    with serving(tmp_path_factory.mktemp("holds"), hold_seconds="2") as made:
        yield made


def test_from_search_to_visit(running: Running) -> None:
    with httpx.Client(base_url=running.base, headers=running.headers | FHIR, timeout=30) as http:
        found = _found(http)
        assert found["total"] > 2
        first, second = (one["resource"]["id"] for one in found["entry"][:2])

        held = http.post(f"/fhir/R4/Appointment/{first}/$hold", json={"resourceType": "Parameters"})
        assert held.status_code == 200, held.text
        assert "expires" in held.headers
        appointment = held.json()["entry"][0]["resource"]
        slot = appointment["slot"][0]["reference"]
        assert (appointment["status"], _status(http, slot)) == ("pending", "busy-tentative")
        assert slot not in str(_found(http)), "nobody else is offered it"

        time.sleep(2.5)
        assert _status(http, slot) == "free"
        late = http.post("/fhir/R4/Appointment/$book", json=_parameters(appointment_reference=f"Appointment/{first}"))
        assert late.status_code == 410
        assert late.json()["entry"][0]["resource"]["issue"][0]["severity"] == "fatal"

        http.post(f"/fhir/R4/Appointment/{second}/$hold").raise_for_status()
        key = {"X-Idempotency-Key": "portal-1"}
        asked = _parameters(
            appointment_reference=f"Appointment/{second}", patient_reference="Patient/p", comment="From the portal"
        )
        answers = [http.post("/fhir/R4/Appointment/$book", json=asked, headers=key) for _ in range(2)]
        assert answers[0].content == answers[1].content
        booked = answers[0].json()["entry"][0]["resource"]
        assert booked["status"] == "booked"
        mine = booked["slot"][0]["reference"]

        moved = http.post(f"/fhir/R4/Appointment/{second}/$reschedule", json=_parameters(slot=slot))
        assert moved.status_code == 200, moved.text
        assert (_status(http, mine), _status(http, slot)) == ("free", "busy")
        gone = http.post(f"/fhir/R4/Appointment/{second}/$cancel", json=_parameters(reason="Feeling better"))
        assert gone.status_code == 200, gone.text
        assert _status(http, slot) == "free"
        seen = http.get(f"/api/v1/appointments/{second}/").json()
        assert (seen["status"], seen["notes"]) == ("cancelled", "From the portal")


def _found(http: httpx.Client) -> Json:
    now = time.time()
    days = [time.strftime("%Y-%m-%d", time.gmtime(now + offset * 86_400)) for offset in (0, 30)]
    asked = {"start": days[0], "end": days[1], "practitioner": "prov-abc-123", "_count": "5"}
    answer = http.get("/fhir/R4/Appointment/$find", params=asked)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def _status(http: httpx.Client, slot: str) -> str:
    status: str = http.get(f"/fhir/R4/{slot}").json()["status"]
    return status
