"""The plain hospital flow over HTTP, as an interface engine does it with nothing but FHIR: and everybody at once.

Patient, Practitioner, Schedule and Slot are made; a visit is proposed, answered by both, booked, seen through MediLoop,
cancelled there. Then 64 clients want the same thing at the same moment.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Running

Json = dict[str, Any]
CLIENTS = 64
UHIDS = "https://mediloop.co/fhir/sid/uhid"


@dataclass
class Hospital:
    """A hospital of its own: nothing of it is shared with another test."""

    http: httpx.AsyncClient
    key: str
    mark: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def uhid(self) -> str:
        return f"UG{int(self.mark, 16) % 10**9:09d}A"

    async def fhir(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Call the FHIR API; headers as keywords (``if_match``)."""
        return await self._send(method, f"/fhir/R4/{path}".rstrip("/"), body, headers)

    async def mediloop(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Call the MediLoop API."""
        return await self._send(method, f"/api/v1/appointments/{path}", body, {})

    async def _send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named |= {"Authorization": f"Bearer {self.key}"} | ({"Content-Type": "application/fhir+json"} if body else {})
        if "api/v1" in url and body is not None:
            named["Content-Type"] = "application/json"
        given = {} if body is None else {"json": body}
        return await self.http.request(method, url, headers=named, **given)

    async def made(self, body: Json) -> Json:
        """Create a resource."""
        answer = await self.fhir("POST", body["resourceType"], body)
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"].endswith(f"/{answer.json()['id']}/_history/1")
        found: Json = answer.json()
        return found

    async def read(self, resource: Json) -> Json:
        """Read a resource as it is now."""
        answer = await self.fhir("GET", f"{resource['resourceType']}/{resource['id']}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def open(self) -> tuple[Json, Json, Json]:
        """Make a patient, a practitioner and a free slot of hers."""
        patient = await self.made(
            {
                "resourceType": "Patient",
                "identifier": [{"system": UHIDS, "value": self.uhid}],
                "name": [{"family": "Auma", "given": ["Grace"]}],
                "birthDate": "1990-05-17",
            }
        )
        doctor = await self.made({"resourceType": "Practitioner", "name": [{"text": f"Dr. {self.mark}"}]})
        schedule = await self.made(
            {"resourceType": "Schedule", "active": True, "actor": [{"reference": f"Practitioner/{doctor['id']}"}]}
        )
        slot = await self.made(
            {
                "resourceType": "Slot",
                "schedule": {"reference": f"Schedule/{schedule['id']}"},
                "status": "free",
                "start": "2031-05-05T09:00:00+03:00",
                "end": "2031-05-05T09:30:00+03:00",
            }
        )
        return patient, doctor, slot

    async def slot_status(self, slot: Json) -> str:
        """The status of a slot now."""
        status: str = (await self.read(slot))["status"]
        return status


def visit(patient: Json, doctor: Json, slot: Json, status: str) -> Json:
    """An Appointment of these."""
    answered = "accepted" if status == "booked" else "needs-action"
    return {
        "resourceType": "Appointment",
        "status": status,
        "start": slot["start"],
        "end": slot["end"],
        "slot": [{"reference": f"Slot/{slot['id']}"}],
        "participant": [
            {"actor": {"reference": f"{one['resourceType']}/{one['id']}"}, "required": "required", "status": answered}
            for one in (patient, doctor)
        ],
    }


def transaction(*entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


@pytest.fixture
async def hospital(running: Running) -> AsyncIterator[Hospital]:
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=running.base, timeout=60, limits=limits) as http:
        yield Hospital(http, running.key)


@pytest.mark.parametrize("busy_by", ["hand", "server"])
async def test_propose_answer_book_and_cancel(hospital: Hospital, busy_by: str) -> None:
    patient, doctor, slot = await hospital.open()
    free = await hospital.fhir("GET", f"Slot?schedule.actor=Practitioner/{doctor['id']}&status=free&start=ge2031-05-05")
    assert [one["resource"]["id"] for one in free.json()["entry"]] == [slot["id"]]

    proposed = await hospital.made(visit(patient, doctor, slot, "proposed"))
    assert await hospital.slot_status(slot) == "free", "a proposal holds no time"

    for number, who in enumerate((patient, doctor)):
        await hospital.made(
            {
                "resourceType": "AppointmentResponse",
                "appointment": {"reference": f"Appointment/{proposed['id']}"},
                "actor": {"reference": f"{who['resourceType']}/{who['id']}"},
                "participantStatus": "accepted",
            }
        )
        answered = [one["status"] for one in (await hospital.read(proposed))["participant"]]
        assert answered == ["accepted", "accepted" if number else "needs-action"]

    if busy_by == "hand":
        current = await hospital.fhir("GET", f"Slot/{slot['id']}")
        busy = current.json() | {"status": "busy"}
        answer = await hospital.fhir("PUT", f"Slot/{slot['id']}", busy, if_match=current.headers["etag"])
        assert answer.status_code == 200, answer.text
        stale = await hospital.fhir("PUT", f"Slot/{slot['id']}", busy, if_match=current.headers["etag"])
        assert stale.status_code == 412

    current = await hospital.fhir("GET", f"Appointment/{proposed['id']}")
    booked = current.json() | {"status": "booked"}
    answer = await hospital.fhir("PUT", f"Appointment/{proposed['id']}", booked, if_match=current.headers["etag"])
    assert (answer.status_code, answer.json()["status"]) == (200, "booked"), answer.text
    assert await hospital.slot_status(slot) == "busy"

    seen = (await hospital.mediloop("GET", f"{proposed['id']}/")).json()
    assert (seen["status"], seen["patient_uhid"], seen["practitioner_id"]) == ("booked", hospital.uhid, doctor["id"])
    assert (seen["start_time"], seen["duration_minutes"]) == ("2031-05-05T06:00:00Z", 30)
    listed = (await hospital.mediloop("GET", f"by-patient/?patient_uhid={hospital.uhid}")).json()
    assert [one["id"] for one in listed["results"]] == [proposed["id"]]
    mine = await hospital.fhir("GET", f"Appointment?patient.identifier={UHIDS}|{hospital.uhid}&status=booked")
    assert [one["resource"]["id"] for one in mine.json()["entry"]] == [proposed["id"]]

    cancelled = await hospital.mediloop(
        "POST", f"{proposed['id']}/cancel/", {"cancellation_reason_code": "patient-request"}
    )
    assert cancelled.status_code == 200, cancelled.text
    after = await hospital.read(proposed)
    assert after["status"] == "cancelled"
    said = {(one["system"], one["code"]) for one in after["cancelationReason"]["coding"]}
    assert ("http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "pat") in said
    assert await hospital.slot_status(slot) == "free"
    history = (await hospital.fhir("GET", f"Appointment/{proposed['id']}/_history")).json()
    versions = [one["resource"]["meta"]["versionId"] for one in history["entry"]]
    assert versions == [str(n) for n in range(len(versions), 0, -1)]


async def test_booking_through_mediloop_is_seen_through_fhir_at_once(hospital: Hospital) -> None:
    _, doctor, slot = await hospital.open()
    booking = {
        "patient_uhid": hospital.uhid,
        "practitioner_id": doctor["id"],
        "service_type_code": "consultation",
        "start_time": "2031-05-05T06:00:00Z",
        "slot_id": slot["id"],
    }
    made = await hospital.mediloop("POST", "", booking)
    assert made.status_code == 201, made.text
    found = await hospital.fhir("GET", f"Appointment?slot=Slot/{slot['id']}&_include=Appointment:slot")
    assert [one["resource"]["id"] for one in found.json()["entry"]] == [made.json()["id"], slot["id"]]
    assert found.json()["entry"][1]["resource"]["status"] == "busy"


def booking(patient: Json, doctor: Json, slot: Json) -> Json:
    """The portable way to book: the slot to busy, by its version, and the appointment, in one transaction."""
    busy = slot | {"status": "busy"}
    put = {"method": "PUT", "url": f"Slot/{slot['id']}", "ifMatch": f'W/"{slot["meta"]["versionId"]}"'}
    post = {"method": "POST", "url": "Appointment"}
    made = visit(patient, doctor, slot, "booked")
    return transaction({"resource": made, "request": post}, {"resource": busy, "request": put})


async def test_of_64_transactions_that_book_one_slot_one_wins(hospital: Hospital) -> None:
    patient, doctor, slot = await hospital.open()
    bundle = booking(patient, doctor, slot)
    answers = await asyncio.gather(*(hospital.fhir("POST", "", bundle) for _ in range(CLIENTS)))
    count = Counter(one.status_code for one in answers)
    assert count[200] == 1, count
    assert set(count) <= {200, 409, 412}, count
    for one in answers:
        expected = "Bundle" if one.status_code == 200 else "OperationOutcome"
        assert one.json()["resourceType"] == expected
    found = (await hospital.fhir("GET", f"Appointment?slot=Slot/{slot['id']}&_total=accurate")).json()
    assert found["total"] == 1
    now = await hospital.read(slot)
    assert (now["status"], now["meta"]["versionId"]) == ("busy", "2"), "one claim, not two"
    history = (await hospital.fhir("GET", f"Appointment/{found['entry'][0]['resource']['id']}/_history")).json()
    assert history["total"] == 1


async def test_of_64_appointments_for_one_slot_one_is_made(hospital: Hospital) -> None:
    patient, doctor, slot = await hospital.open()
    body = visit(patient, doctor, slot, "booked")
    answers = await asyncio.gather(*(hospital.fhir("POST", "Appointment", body) for _ in range(CLIENTS)))
    assert Counter(one.status_code for one in answers) == {201: 1, 409: CLIENTS - 1}
    outcome = next(one for one in answers if one.status_code == 409).json()
    winner = next(one for one in answers if one.status_code == 201).json()
    assert winner["id"] in str(outcome) or slot["id"] in str(outcome)
    assert "Auma" not in str(outcome)
    assert hospital.uhid not in str(outcome)


@pytest.mark.parametrize("system", [UHIDS, "urn:somebody-elses"])
async def test_64_conditional_creates_make_one_resource(hospital: Hospital, system: str) -> None:
    body = {"resourceType": "Patient", "identifier": [{"system": system, "value": hospital.uhid}]}
    criteria = f"identifier={system}|{hospital.uhid}"
    answers = await asyncio.gather(
        *(hospital.fhir("POST", "Patient", body, if_none_exist=criteria) for _ in range(CLIENTS))
    )
    assert Counter(one.status_code for one in answers) == {201: 1, 200: CLIENTS - 1}
    assert len({one.json()["id"] for one in answers}) == 1
    found = (await hospital.fhir("GET", f"Patient?{criteria}&_total=accurate")).json()
    assert found["total"] == 1
    assert found["entry"][0]["resource"]["meta"]["versionId"] == "1"


async def test_64_conditional_updates_make_one_resource_with_as_many_versions(hospital: Hospital) -> None:
    criteria = f"identifier=urn:race|{hospital.mark}"

    def body(number: int) -> Json:
        identifier = [{"system": "urn:race", "value": hospital.mark}]
        return {"resourceType": "Patient", "identifier": identifier, "name": [{"text": f"writer {number}"}]}

    answers = await asyncio.gather(
        *(hospital.fhir("PUT", f"Patient?{criteria}", body(number)) for number in range(CLIENTS))
    )
    count = Counter(one.status_code for one in answers)
    assert count[201] == 1, count
    assert set(count) == {200, 201}, count
    found = (await hospital.fhir("GET", f"Patient?{criteria}&_total=accurate")).json()
    assert found["total"] == 1
    ident = found["entry"][0]["resource"]["id"]
    assert {one.json()["id"] for one in answers} == {ident}
    versions = sorted(int(one.json()["meta"]["versionId"]) for one in answers)
    history = (await hospital.fhir("GET", f"Patient/{ident}/_history?_count=100")).json()
    assert history["total"] == versions[-1] <= CLIENTS
    assert versions == list(range(1, CLIENTS + 1)), "no version was given twice"


async def test_of_64_updates_of_one_version_one_wins(hospital: Hospital) -> None:
    patient, _, _ = await hospital.open()
    answers = await asyncio.gather(
        *(
            hospital.fhir("PUT", f"Patient/{patient['id']}", patient | {"language": f"en-{n:03}"}, if_match='W/"1"')
            for n in range(CLIENTS)
        )
    )
    assert Counter(one.status_code for one in answers) == {200: 1, 412: CLIENTS - 1}
    assert (await hospital.read(patient))["meta"]["versionId"] == "2"


async def test_a_practitioner_is_not_booked_twice_whichever_door(hospital: Hospital) -> None:
    patient, doctor, slot = await hospital.open()
    by_fhir = [
        hospital.fhir("POST", "Appointment", visit(patient, doctor, slot, "booked")) for _ in range(CLIENTS // 2)
    ]
    wish = {
        "patient_uhid": hospital.uhid,
        "practitioner_id": doctor["id"],
        "service_type_code": "consultation",
        "start_time": "2031-05-05T06:00:00Z",
    }
    by_mediloop = [hospital.mediloop("POST", "", wish) for _ in range(CLIENTS // 2)]
    answers = await asyncio.gather(*by_fhir, *by_mediloop)
    assert Counter(one.status_code for one in answers) == {201: 1, 409: CLIENTS - 1}
