"""A narrative that was generated goes when something else than its sender changes what it tells (R4, patch)."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling import holds
from store.finishing import HOLD_EXPIRES
from store.store import Store
from tests.adapter.fhir.door import call, person
from tests.adapter.mediloop.clinic import ACTION_BODIES, SARAH, action_path, appointment, open_clinic, put, slot, stored
from tests.conftest import Api, Clock

Json = dict[str, Any]


def text(words: str = "Booked", status: str = "generated") -> Json:
    return {"status": status, "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>'}


def replacing(path: str, value: str) -> Json:
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": path},
        {"name": "value", "valueCode": value},
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


async def sent(api: Api, method: str, path: str, body: Any, *statuses: int) -> Json:
    answer = await call(api, method, path, body)
    assert answer.status_code in (statuses or (200,)), answer.text
    found: Json = answer.json()
    return found


@pytest.fixture
async def visit(api: Api, store: Store) -> str:
    """A visit in a Slot, both with a narrative."""
    await open_clinic(store)
    await put(store, slot("told", "2024-01-21T10:00", "2024-01-21T10:30", text=text("Free")))
    one = appointment("v", start="2024-01-21T10:00", slot=[{"reference": "Slot/told"}], text=text())
    made = await sent(api, "PUT", "Appointment/v", one, 201)
    assert made["text"] == text(), "what is sent is stored as it is"
    return "v"


async def test_the_server_changes_a_slot(visit: str, store: Store) -> None:
    changed = await stored(store, "Slot", "told")
    assert (changed["status"], "text" in changed) == ("busy", False)


@pytest.mark.parametrize(
    "patch", [[{"op": "replace", "path": "/status", "value": "arrived"}], replacing("Appointment.status", "arrived")]
)
async def test_a_patch(api: Api, visit: str, patch: Any) -> None:
    found = await sent(api, "PATCH", "Appointment/v", patch)
    assert (found["status"], "text" in found) == ("arrived", False)
    before = await sent(api, "GET", "Appointment/v/_history/1", None)
    assert before["text"] == text(), "a version stays what it was"


async def test_a_patch_of_any_other_type(api: Api) -> None:
    await sent(api, "PUT", "Patient/p", person("p", text=text("Okello")), 201)
    same = await sent(api, "PATCH", "Patient/p", [{"op": "add", "path": "/meta/tag", "value": [{"code": "vip"}]}])
    assert same["text"] == text("Okello"), "no content was changed"
    found = await sent(api, "PATCH", "Patient/p", [{"op": "replace", "path": "/name/0/family", "value": "Auma"}])
    assert "text" not in found


async def test_a_patch_that_brings_its_own(api: Api, visit: str) -> None:
    patch = [
        {"op": "replace", "path": "/status", "value": "cancelled"},
        {"op": "replace", "path": "/text", "value": text("Cancelled")},
    ]
    assert (await sent(api, "PATCH", "Appointment/v", patch))["text"] == text("Cancelled")


@pytest.mark.parametrize("status", ["additional", "empty"])
async def test_what_was_not_generated_is_left(api: Api, store: Store, visit: str, status: str) -> None:
    one = appointment("w", status="proposed", text=text("Bring the X-ray", status))
    await sent(api, "PUT", "Appointment/w", one, 201)
    found = await sent(api, "PATCH", "Appointment/w", [{"op": "replace", "path": "/status", "value": "cancelled"}])
    assert found["text"] == text("Bring the X-ray", status)


async def test_an_update_is_stored_as_it_is_sent(api: Api, visit: str) -> None:
    before = await sent(api, "GET", "Appointment/v", None)
    assert (await sent(api, "PUT", "Appointment/v", before | {"status": "arrived"}))["text"] == text()


async def test_links_that_are_added_to_what_is_sent_take_nothing_away(api: Api, store: Store) -> None:
    await open_clinic(store)
    made = await sent(api, "PUT", "Appointment/w", appointment("w", text=text()), 201)
    assert made["slot"]
    assert made["text"] == text()


@pytest.mark.parametrize("action", ["cancel", "reschedule", "check-in", "arrived", "noshow"])
async def test_an_action_of_mediloop(api: Api, store: Store, visit: str, action: str) -> None:
    answer = await api.post(action_path("v", action), ACTION_BODIES.get(action, {}))
    assert answer.status_code == 200, answer.text
    assert "text" not in await stored(store, "Appointment", "v")


@pytest.mark.parametrize(
    ("name", "value"), [("$cancel", None), ("$reschedule", {"name": "start", "valueDateTime": "2024-01-25T10:00:00Z"})]
)
async def test_an_operation(api: Api, store: Store, visit: str, name: str, value: Json | None) -> None:
    body: Json = {"resourceType": "Parameters"} | ({} if value is None else {"parameter": [value]})
    await sent(api, "POST", f"Appointment/v/{name}", body)
    assert "text" not in await stored(store, "Appointment", "v")


async def test_a_booking_of_what_was_sent_as_pending(api: Api, store: Store) -> None:
    await open_clinic(store)
    pending = {name: value for name, value in appointment("x", "pending", text=text("Pending")).items() if name != "id"}
    body = {"resourceType": "Parameters", "parameter": [{"name": "appointment-resource", "resource": pending}]}
    answer = await call(api, "POST", "Appointment/$book", body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["entry"][0]["resource"]
    assert (made["status"], "text" in made) == ("booked", False)


async def test_an_answer_of_a_participant(api: Api, store: Store) -> None:
    await open_clinic(store)
    actors = [
        {"actor": {"reference": name}, "status": "needs-action"} for name in ("Patient/john", f"Practitioner/{SARAH}")
    ]
    asked = appointment("w", "proposed", participant=actors, text=text("Nobody has answered"))
    await sent(api, "PUT", "Appointment/w", asked, 201)
    says = {
        "resourceType": "AppointmentResponse",
        "appointment": {"reference": "Appointment/w"},
        "actor": {"reference": "Patient/john"},
        "participantStatus": "accepted",
    }
    await sent(api, "POST", "AppointmentResponse", says, 201)
    changed = await stored(store, "Appointment", "w")
    assert (changed["participant"][0]["status"], "text" in changed) == ("accepted", False)


async def test_a_hold_that_lapses(api: Api, store: Store, clock: Clock) -> None:
    await open_clinic(store)
    ends = {"url": f"urn:x/StructureDefinition/{HOLD_EXPIRES}", "valueInstant": "2024-01-15T10:05:00Z"}
    await put(store, appointment("h", "pending", extension=[ends], text=text("Held")))
    clock.advance(minutes=10)
    assert await holds.lapse(store, ["h"]) == 1
    assert "text" not in await stored(store, "Appointment", "h")
