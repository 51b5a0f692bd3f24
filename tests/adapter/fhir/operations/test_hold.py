"""``$hold``, and proposals: both end by the clock, and until then the time is nobody else's."""

from __future__ import annotations

import asyncio
import itertools
import json
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.fhir.door import HOST, Json, bare, call, get, outcome
from tests.adapter.fhir.operations.calling import (
    ANYBODY,
    clinic,
    find,
    first,
    only,
    operate,
    refused,
    status_of,
    visit,
)
from tests.adapter.mediloop.clinic import OTHER_UHID, SARAH, appointment, booking, put, slot
from tests.conftest import Api, Clock, ServiceMaker
from tests.store.support import Callback

__all__ = ["clinic"]


async def test_hold_keeps_the_slots_until_it_expires(api: Api, clock: Clock) -> None:
    ident = await first(api)
    answer = await operate(api, "$hold", appointment_reference=f"Appointment/{ident}")
    held = only(answer)
    assert (held["status"], held["id"]) == ("pending", ident)
    assert parsedate_to_datetime(answer.headers["expires"]).timestamp() == clock().timestamp() + 300
    [taken] = [one["reference"].partition("/")[2] for one in held["slot"]]
    assert await status_of(api, taken) == ["busy-tentative"]
    assert (await find(api))["total"] == 5, "what is held is not offered"
    clock.advance(seconds=299)
    assert (await get(api, f"Appointment/{ident}")).json()["status"] == "pending"
    clock.advance(seconds=1)
    assert (await get(api, f"Appointment/{ident}")).json()["status"] == "cancelled"
    assert await status_of(api, taken) == ["free"]
    refused(await operate(api, "$book", appointment_reference=f"Appointment/{ident}"), 410, "hold_expired")


async def test_a_hold_is_booked_by_its_reference(api: Api, clock: Clock) -> None:
    ident = await first(api, practitioner=SARAH)
    only(await operate(api, f"{ident}/$hold"))
    refused(await operate(api, f"{ident}/$hold"), 409, "already_held")
    booked = only(
        await operate(api, "$book", appt_id=f"{HOST}/Appointment/{ident}", patient=ANYBODY, comment="By phone")
    )
    assert (booked["status"], booked["comment"], "extension" in booked) == ("booked", "By phone", False)
    assert {one["status"] for one in booked["participant"]} == {"accepted"}
    clock.advance(seconds=301)
    assert await status_of(api, "s1") == ["busy"]
    refused(await operate(api, "$book", appt_id=f"Appointment/{ident}"), 409, "already_booked")
    refused(await operate(api, f"{ident}/$hold"), 409, "already_booked")


async def test_what_is_held_is_nobody_elses(api: Api) -> None:
    one, other = await first(api, practitioner=SARAH), await first(api, practitioner=SARAH)
    only(await operate(api, f"{one}/$hold"))
    issues = refused(await operate(api, f"{other}/$hold"), 409, "slot_unavailable", "time_conflict")
    assert issues == ["not-found", "not-found"], "as IHE has it"
    issues = refused(await operate(api, f"{other}/$book", patient=ANYBODY), 409, "slot_unavailable", "time_conflict")
    assert issues == ["conflict", "conflict"]


async def test_proposals_expire_by_the_clock(api: Api, clock: Clock) -> None:
    ident = await first(api)
    clock.advance(seconds=899)
    assert (await get(api, f"Appointment/{ident}")).status_code == 200
    clock.advance(seconds=1)
    outcome(await get(api, f"Appointment/{ident}"), 410, "expired")
    patch, headers = b'[{"op": "remove", "path": "/slot"}]', {"Content-Type": "application/json-patch+json"}
    outcome(await call(api, "PATCH", f"Appointment/{ident}", content=patch, headers=headers), 410, "expired")
    refused(await operate(api, f"{ident}/$hold"), 410, "proposal_expired")
    refused(await operate(api, "never/$hold"), 404, "unknown_appointment")


async def test_a_proposal_can_be_deleted_and_is_not_stored(api: Api) -> None:
    one, other, third = [entry["resource"]["id"] for entry in (await find(api))["entry"]][:3]
    patch = [{"op": "replace", "path": "/status", "value": "booked"}]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = await call(api, "PATCH", f"Appointment/{one}", content=json.dumps(patch), headers=headers)
    assert "$hold or $book it" in outcome(answer, 404, "not-found")["diagnostics"]
    outcome(await call(api, "DELETE", f"Appointment/{one}", headers={"If-Match": 'W/"1"'}), 412, "conflict")
    assert (await get(api, f"Appointment/{one}")).status_code == 200
    told = await call(api, "DELETE", f"Appointment/{one}", headers={"Prefer": "return=OperationOutcome"})
    assert told.json()["issue"][0]["diagnostics"] == "Deleted."
    for repeat in ({}, {"X-Idempotency-Key": "k"}):
        gone = {"request": {"method": "DELETE", "url": f"Appointment/{third if repeat else other}"}}
        sent = {"resourceType": "Bundle", "type": "transaction", "entry": [gone]}
        assert (await call(api, "POST", "", sent, headers=repeat)).status_code == 200
    for ident in (one, other, third):
        outcome(await get(api, f"Appointment/{ident}"), 404, "not-found")
        refused(await operate(api, f"{ident}/$hold"), 404, "unknown_appointment")
    assert (await call(api, "DELETE", f"Appointment/{one}")).status_code == 204


@pytest.mark.parametrize("way", ["$hold", "$book"])
@pytest.mark.parametrize("slow", ["DELETE", "POST"])
async def test_of_a_deletion_and_a_booking_of_a_proposal_at_once_the_later_sees_the_earlier(
    api: Api, monkeypatch: pytest.MonkeyPatch, way: str, slow: str
) -> None:
    ident = await first(api, practitioner=SARAH)
    given: Json = {"patient": ANYBODY} if way == "$book" else {}
    runs, transact = itertools.count(), Store.transact
    done: list[int] = []

    async def delete() -> None:
        done.append((await call(api, "DELETE", f"Appointment/{ident}")).status_code)

    async def take() -> None:
        done.append((await operate(api, f"{ident}/{way}", **given)).status_code)

    async def overtaken(store: Store, callback: Callback, **_: bool) -> Any:
        """Let the other one happen wholly after the first has read and before it writes."""

        async def step(work: UnitOfWork) -> Any:
            result = await callback(work)
            if next(runs) == 0:
                await (take if slow == "DELETE" else delete)()
            return result

        return await transact(store, step)

    monkeypatch.setattr(Store, "transact", overtaken)
    await (delete if slow == "DELETE" else take)()
    assert done == ([200, 204] if slow == "DELETE" else [204, 404])
    assert (await get(api, f"Appointment/{ident}")).status_code == (410 if slow == "DELETE" else 404)
    assert await status_of(api, "s1") == ["free"]


async def test_a_hold_that_is_over_is_booked_by_nobody(api: Api, make_service: ServiceMaker) -> None:
    """Whoever looked last knew of no hold that ends so soon: another process holds for a shorter time."""
    other = make_service().stores["test"]
    over = {
        "url": f"{api.service.systems.extensions}/hold-expires",
        "valueInstant": api.service.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    await api.get("/api/v1/appointments/")
    await put(
        other,
        {**appointment("a"), "status": "pending", "extension": [over]},
    )
    refused(await operate(api, "$book", appointment_reference="Appointment/a"), 410, "hold_expired")
    await put(other, {**appointment("b"), "status": "pending", "extension": [over]})
    answer = await call(api, "PUT", "Appointment/b", {**appointment("b"), "status": "booked"})
    outcome(answer, 422, "business-rule")
    await put(other, {**appointment("c"), "status": "pending", "extension": [over]})
    moved = await api.post("/api/v1/appointments/c/reschedule/", json={"new_start_time": "2024-01-20T12:00:00Z"})
    assert moved.json()["error"]["code"] == "invalid_status_transition"
    held = {**appointment("d"), "status": "pending", "extension": [over], "slot": [{"reference": "Slot/held"}]}
    busy = slot("held", "2024-01-20T10:00", "2024-01-20T10:30", "busy-tentative")
    await put(other, busy, held)
    answer = await call(api, "POST", "Appointment", {**bare(appointment("e")), "slot": held["slot"]})
    assert answer.status_code == 201, answer.text
    assert await status_of(api, "held") == ["busy"]


@pytest.mark.parametrize("given_up", [True, False])
async def test_what_was_held_is_over_for_every_operation(api: Api, clock: Clock, given_up: bool) -> None:
    ident = await first(api, practitioner=SARAH)
    held = only(await operate(api, f"{ident}/$hold"))
    if given_up:
        only(await operate(api, f"{ident}/$cancel"))
    clock.advance(seconds=301)
    for operation in ("$hold", "$book", "$cancel"):
        refused(await operate(api, f"{ident}/{operation}"), 410, "hold_expired")
    refused(await operate(api, f"{ident}/$reschedule", start="2024-01-20T12:00:00Z"), 410, "hold_expired")
    for status in ("pending", "booked", "cancelled"):
        sent = {name: value for name, value in held.items() if name != "extension"} | {"status": status}
        refused(await operate(api, "$book", appointment_resource=sent), 410, "hold_expired")
    replacing = await operate(api, "$book", appointment_resource=visit(), cancelled_appt_id=f"Appointment/{ident}")
    refused(replacing, 410, "hold_expired")
    assert "cancelled-appt-id" in replacing.text, "which of the two is over"


async def test_64_clients_hold_one_time(api: Api) -> None:
    idents = [await first(api, practitioner=SARAH) for _ in range(8)]
    answers = await asyncio.gather(*(operate(api, f"{idents[n % 8]}/$hold") for n in range(64)))
    assert sorted({one.status_code for one in answers}) == [200, 409]
    assert sum(one.status_code == 200 for one in answers) == 1


async def test_64_clients_book_one_hold(api: Api) -> None:
    ident = await first(api, practitioner=SARAH)
    only(await operate(api, f"{ident}/$hold"))
    answers = await asyncio.gather(*(operate(api, f"{ident}/$book", patient=ANYBODY) for _ in range(64)))
    assert sum(one.status_code == 200 for one in answers) == 1
    assert sum(one.status_code == 409 for one in answers) == 63


async def test_mediloop_books_what_a_hold_has_left(api: Api, clock: Clock) -> None:
    ident = await first(api, practitioner=SARAH)
    only(await operate(api, f"{ident}/$hold"))
    wanted = booking(patient_uhid=OTHER_UHID)
    assert (await api.post("/api/v1/appointments/", wanted)).status_code == 409
    clock.advance(seconds=300)
    assert (await api.post("/api/v1/appointments/", wanted)).status_code == 201


async def test_a_hold_for_nobody_is_booked_for_nobody_by_no_change(api: Api) -> None:
    held = only(await operate(api, f"{await first(api, practitioner=SARAH)}/$hold"))
    issue = outcome(await operate(api, "$book", appointment_resource={**held, "status": "booked"}), 400, "required")
    assert issue["expression"] == ["Appointment.participant"]
    somebody = [*held["participant"], {"actor": {"reference": ANYBODY}, "status": "accepted"}]
    only(await operate(api, "$book", appointment_resource={**held, "status": "booked", "participant": somebody}))


@pytest.mark.parametrize("way", ["$cancel", "$reschedule", "booked", "cancelled"])
async def test_what_is_only_proposed_is_not_told_to_be_unknown(api: Api, way: str) -> None:
    proposed = (await find(api, patient_reference=ANYBODY))["entry"][0]["resource"]
    if way.startswith("$"):
        given: Json = {"start": "2024-01-20T12:00:00Z"} if way == "$reschedule" else {}
        answer = await operate(api, f"{proposed['id']}/{way}", **given)
    else:
        answer = await operate(api, "$book", appointment_resource={**proposed, "status": way})
    refused(answer, 404, "unknown_appointment")
    assert "$hold or $book" in answer.json()["entry"][0]["resource"]["issue"][0]["diagnostics"]
