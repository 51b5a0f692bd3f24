"""What other FHIR servers did when four of them were measured, each as a test by name.

The checklist that came of it is in `test_commonly_wrong`.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from store.store import Store
from tests.adapter.fhir.asking import UHIDS, bare, bundle, clinic, entry, matches, refused, search, send, taken
from tests.adapter.fhir.door import notes
from tests.adapter.mediloop.clinic import SARAH, UHID, appointment, concept, patient, put, slot, slot_status, stored
from tests.conftest import Api

__all__ = ["clinic"]


RIVALS = 16


async def test_measured_two_appointments_for_one_slot(api: Api, store: Store) -> None:
    winner = await taken(api, store, "slot-002")
    rival = bare(
        slot=[{"reference": "Slot/slot-002"}],
        participant=[{"actor": {"reference": "Patient/john"}, "status": "accepted"}],
    )
    answer = await send(api, "POST", "Appointment", rival)
    refused(answer, 409, "conflict")
    assert "slot-002" in answer.text
    found = await search(api, "Appointment?slot=Slot/slot-002&status=booked")
    assert matches(found) == {winner["id"]}


async def test_measured_many_rivals_for_one_slot_have_one_winner(api: Api, store: Store) -> None:
    body = bare(slot=[{"reference": "Slot/slot-002"}])
    answers = await asyncio.gather(*(send(api, "POST", "Appointment", body) for _ in range(RIVALS)))
    assert Counter(one.status_code for one in answers) == {201: 1, 409: RIVALS - 1}
    assert len(matches(await search(api, "Appointment?slot=slot-002"))) == 1
    assert await slot_status(store, "slot-002") == "busy"


async def test_measured_one_if_match_has_one_winner(api: Api) -> None:
    body = {"resourceType": "Patient", "id": "wanted"}
    assert (await send(api, "PUT", "Patient/wanted", body)).status_code == 201
    answers = await asyncio.gather(
        *(
            send(api, "PUT", "Patient/wanted", body | {"name": [{"text": str(n)}]}, if_match='W/"1"')
            for n in range(RIVALS)
        )
    )
    assert Counter(one.status_code for one in answers) == {200: 1, 412: RIVALS - 1}
    history = (await send(api, "GET", "Patient/wanted/_history")).json()
    assert history["total"] == 2


async def test_measured_if_match_holds_in_a_transaction(api: Api, store: Store) -> None:
    busy = await stored(store, "Slot", "slot-002") | {"status": "busy"}
    visit = bare(slot=[{"reference": "Slot/slot-002"}])
    stale = bundle(
        "transaction", entry("PUT", "Slot/slot-002", busy, ifMatch='W/"7"'), entry("POST", "Appointment", visit)
    )
    refused(await send(api, "POST", "", stale), 412, "conflict")
    assert await slot_status(store, "slot-002") == "free"
    assert matches(await search(api, "Appointment")) == set()


async def test_measured_if_none_exist_holds(api: Api) -> None:
    body = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "1"}]}
    answers = [await send(api, "POST", "Patient", body, if_none_exist="identifier=urn:mrn|1") for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    within = bundle("transaction", entry("POST", "Patient", body, ifNoneExist="identifier=urn:mrn|1"))
    found = (await send(api, "POST", "", within)).json()
    assert found["entry"][0]["response"]["status"].startswith("200")
    assert len(matches(await search(api, "Patient?identifier=urn:mrn|1"))) == 1
    for careless in ("", "unheard-of=1"):
        answer = await send(api, "POST", "Patient", body, if_none_exist=careless)
        assert answer.status_code == 400, "criteria that would match everybody"


async def test_measured_a_chain_is_followed_and_not_ignored(api: Api, store: Store) -> None:
    other = [{"actor": {"reference": "Patient/jane"}, "status": "accepted"}]
    await put(
        store, patient("jane", "UG000000002Y", "Jane"), appointment("johns"), appointment("janes", participant=other)
    )
    assert matches(await search(api, f"Appointment?patient.identifier={UHIDS}|{UHID}")) == {"johns"}
    assert matches(await search(api, "Appointment?patient.name=jane")) == {"janes"}
    assert matches(await search(api, "Appointment?patient.name=nobody")) == set()
    free = await search(api, f"Slot?schedule.actor=Practitioner/{SARAH}&status=free")
    assert matches(free) == {"slot-001", "slot-002", "slot-003"}
    assert matches(await search(api, "Slot?schedule.actor=Practitioner/nobody")) == set()
    assert matches(await search(api, "Slot?schedule.actor:Practitioner.name=arah")) == set()
    assert matches(await search(api, "Slot?schedule.actor:Practitioner.name=sarah")) == matches(free)
    assert matches(await search(api, "Slot?schedule.actor:Practitioner.name:contains=arah")) == matches(free)
    assert matches(await search(api, "Patient?_has:Appointment:patient:status=booked")) == {"john", "jane"}
    for wrong in ("Appointment?patient.unheard-of=1", "Appointment?status.name=1"):
        answer = await send(api, "GET", wrong)
        assert answer.status_code == 400 or notes(answer.json()), wrong


async def test_measured_lists_and_not(api: Api, store: Store) -> None:
    for status in ("booked", "cancelled", "proposed"):
        await put(store, appointment(status, status=status))
    await put(store, appointment("typed", status="proposed", serviceType=concept("urn:s", "gp")))
    for asked, expected in (
        ("status=booked,cancelled", {"booked", "cancelled"}),
        ("status=booked&status=cancelled", set()),
        ("status:not=booked", {"cancelled", "proposed", "typed"}),
        ("status:not=booked,cancelled", {"proposed", "typed"}),
        ("service-type:not=gp", {"booked", "cancelled", "proposed"}),
        ("service-type:missing=true", {"booked", "cancelled", "proposed"}),
        ("status=http://hl7.org/fhir/appointmentstatus|booked", {"booked"}),
    ):
        assert matches(await search(api, f"Appointment?{asked}")) == expected, asked


async def test_measured_dates_are_moments_and_not_texts(api: Api, store: Store) -> None:
    zoned = appointment("zoned", status="proposed") | {
        "start": "2024-01-21T01:00:00+03:00",
        "end": "2024-01-21T02:00:00+03:00",
    }
    await put(store, zoned, appointment("future", start="2027-03-01T10:00"))
    for asked, expected in (
        ("ge2027", {"future"}),
        ("lt2027", {"zoned"}),
        ("2027-03", {"future"}),
        ("2024-01-20", {"zoned"}),
        ("2024-01-21", set()),
        ("2024-01-20T22:00Z", {"zoned"}),
        ("2024-01-20T17:00:00-05:00", {"zoned"}),
        ("lt2024-01-20T22:00:00.001Z", {"zoned"}),
    ):
        assert matches(await search(api, "Appointment?date=" + asked)) == expected, asked
    for wrong in ("2024-13", "yesterday", "xx2024", "2024-01-20T25:00"):
        refused(await send(api, "GET", f"Appointment?date={wrong}"), 400, "value")


async def test_measured_a_transaction_is_all_or_nothing(api: Api, store: Store) -> None:
    await taken(api, store, "slot-002")
    people = [entry("POST", "Patient", {"resourceType": "Patient", "name": [{"family": "Half"}]}) for _ in range(3)]
    clash = entry("POST", "Appointment", bare(slot=[{"reference": "Slot/slot-002"}]))
    refused(await send(api, "POST", "", bundle("transaction", *people, clash)), 409, "conflict")
    assert matches(await search(api, "Patient?family=Half")) == set()


async def test_measured_an_end_before_the_start(api: Api) -> None:
    wrong = bare() | {"end": "2024-01-20T09:00:00Z"}
    answer = await send(api, "POST", "Appointment", wrong)
    assert answer.status_code in (400, 422)
    assert "Appointment.end" in str(answer.json()["issue"])
    backwards = slot("s", "2024-01-20T12:00", "2024-01-20T11:00")
    answer = await send(api, "PUT", "Slot/s", backwards)
    assert answer.status_code in (400, 422)
    assert "Slot.end" in str(answer.json()["issue"])
