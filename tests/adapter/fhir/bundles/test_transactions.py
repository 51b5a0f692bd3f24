"""Transactions: all or nothing, in whatever order they are written down."""

from __future__ import annotations

import itertools

import pytest
from fhir.resources.R4B.bundle import Bundle

from adapter.fhir.bundles import batches
from store.store import Store
from tests.adapter.fhir.bundles.sending import (
    BASE,
    ROOT,
    UHIDS,
    Json,
    actors,
    adding,
    bundle,
    count,
    done,
    entry,
    ident,
    identified,
    issues,
    person,
    send,
    statuses,
    stored,
    urn,
    visit,
)
from tests.adapter.mediloop.clinic import JAMES, SARAH, UHID, appointment, open_clinic, practitioner, slot, with_actors
from tests.conftest import Api


async def test_an_empty_transaction_is_done_at_once(api: Api) -> None:
    answer = await send(api, bundle("transaction"))
    assert answer.json() == {"resourceType": "Bundle", "type": "transaction-response"}
    assert "x-idempotency-replayed" not in answer.headers


async def test_the_answer_is_a_bundle_in_the_order_of_the_request(api: Api) -> None:
    await done(api, bundle("transaction", *(entry("PUT", f"Patient/{n}", person(id=n)) for n in ("a", "b"))))
    answer = await send(
        api,
        bundle(
            "transaction",
            entry("GET", "Patient?family=New"),
            entry("PUT", "Patient/a", person("New", id="a"), ifMatch='W/"1"'),
            entry("GET", "Patient/a"),
            entry("HEAD", "Patient/a"),
            entry("POST", "Patient", person("New")),
            entry("GET", "Patient/b"),
            entry("DELETE", "Patient/b"),
            entry("GET", "Patient/a", ifNoneMatch='W/"2"'),
        ),
    )
    Bundle.model_validate_json(answer.content)
    found = answer.json()["entry"]
    assert statuses(found) == ["200", "200", "200", "200", "201", "410", "204", "304"]
    assert found[0]["resource"]["total"] == 2, "reads see what was written"
    assert found[1] == {
        "response": {
            "status": "200 OK",
            "location": "Patient/a/_history/2",
            "etag": 'W/"2"',
            "lastModified": "2024-01-15T10:00:00.000Z",
        }
    }
    assert found[2]["resource"]["name"] == [{"family": "New"}]
    assert found[2]["response"] == {"status": "200 OK", "etag": 'W/"2"', "lastModified": "2024-01-15T10:00:00.000Z"}
    assert "resource" not in found[3]
    assert found[5]["response"]["outcome"]["issue"][0]["code"] == "deleted"
    assert found[5]["response"]["etag"] == 'W/"2"'
    assert found[6] == {"response": {"status": "204 No Content"}}
    assert found[7]["response"]["status"] == "304 Not Modified"


@pytest.mark.parametrize(
    ("wanted", "resource", "outcome"),
    [("minimal", False, False), ("representation", True, False), ("OperationOutcome", False, True)],
)
async def test_what_is_told_of_a_write_is_what_was_preferred(
    api: Api, wanted: str, resource: bool, outcome: bool
) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/a", person(id="a"))))
    body = bundle(
        "transaction",
        entry("POST", "Patient", person()),
        entry("PUT", "Patient/a", person(id="a")),
        entry("POST", "Patient", identified("1"), ifNoneExist="family=Auma&_id=a"),
    )
    found = await done(api, body, prefer=f"return={wanted}")
    assert statuses(found) == ["201", "200", "200"]
    for one in found:
        assert ("resource" in one, "outcome" in one["response"]) == (resource, outcome)
    if outcome:
        texts = [one["response"]["outcome"]["issue"][0]["diagnostics"] for one in found]
        assert texts == ["Created.", "Stored.", "It was there already."]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("alone", [False, True])
async def test_a_write_is_told_in_a_bundle_as_by_itself(
    api: Api, monkeypatch: pytest.MonkeyPatch, kind: str, alone: bool
) -> None:
    if alone:
        monkeypatch.setattr(batches, "_is_plain", lambda _: False)
    await done(api, bundle("batch", *(entry("PUT", f"Patient/{n}", person(id=n)) for n in "ab")))
    deleted = bundle(kind, entry("DELETE", "Patient/a"), entry("DELETE", "Patient/never"))
    found = await done(api, deleted, prefer="return=OperationOutcome")
    assert statuses(found) == ["200", "200"]
    texts = [one["response"]["outcome"]["issue"][0]["diagnostics"] for one in found]
    assert texts == ["Deleted.", "There is no such resource."]
    for query in ("Patient/b?_elements=gender", "Patient?_id=b&_elements=gender", "Patient?_id=b&_summary=text"):
        asked = bundle(kind, entry("PUT", query, person(id="b", gender="female")))
        [one] = await done(api, asked, prefer="return=representation")
        assert ("name" in one["resource"], one["resource"]["meta"]["tag"][0]["code"]) == (False, "SUBSETTED")


async def test_what_could_not_be_shown_is_not_done(api: Api) -> None:
    body = bundle("transaction", entry("PUT", "Patient/a?_summary=unheard", person(id="a")))
    assert issues(await send(api, body), 400) == [("value", "Bundle.entry[0]")]
    assert await count(api, "Patient") == 0


async def test_the_order_of_the_entries_has_no_say(api: Api) -> None:
    for number, order in enumerate(itertools.permutations(range(4))):
        await done(api, bundle("transaction", entry("PUT", "Patient/old", identified(f"o{number}", id="old"))))
        entries = [
            entry("DELETE", "Patient/old"),
            entry("POST", "Patient", identified(f"n{number}"), urn(1)),
            entry("PUT", f"Appointment/v{number}", visit(urn(1)) | {"id": f"v{number}"}),
            entry("GET", f"Appointment/v{number}"),
        ]
        found = await done(api, bundle("transaction", *(entries[place] for place in order)))
        in_order = [found[order.index(place)] for place in range(4)]
        assert statuses(in_order) == ["204", "201", "201", "200"]
        assert actors(in_order[3]["resource"]) == [f"Patient/{ident(in_order[1])}"]


async def test_references_in_a_circle_and_to_versions(api: Api) -> None:
    first = person(link=[{"other": {"reference": urn(2)}, "type": "seealso"}])
    second = person(link=[{"other": {"reference": f"{urn(1)}/_history/1"}, "type": "seealso"}])
    found = await done(
        api, bundle("transaction", entry("POST", "Patient", first, urn(1)), entry("POST", "Patient", second, urn(2)))
    )
    made = [await stored(api, f"Patient/{ident(answered)}") for answered in found]
    assert made[0]["link"][0]["other"]["reference"] == f"Patient/{made[1]['id']}"
    assert made[1]["link"][0]["other"]["reference"] == f"Patient/{made[0]['id']}/_history/1"


async def test_the_id_in_a_posted_resource_is_no_name_but_its_full_url_is(api: Api) -> None:
    found = await done(
        api,
        bundle(
            "transaction",
            entry("POST", "Patient", person(id="temp"), f"{ROOT}/Patient/temp"),
            entry("POST", "Appointment", visit("Patient/temp")),
            entry("POST", "Appointment", visit(f"{ROOT}/Patient/temp")),
            entry("POST", "Appointment", visit("Patient/elsewhere")),
        ),
    )
    made = f"Patient/{ident(found[0])}"
    assert made != "Patient/temp"
    for number, expected in ((1, made), (2, made), (3, "Patient/elsewhere")):
        assert actors(await stored(api, f"Appointment/{ident(found[number])}")) == [expected]


async def test_an_update_may_be_named_by_a_urn_and_keeps_its_address(api: Api) -> None:
    absolute = f"{ROOT}/Patient/b"
    found = await done(
        api,
        bundle(
            "transaction",
            entry("PUT", "Patient/a", person(id="a"), urn(1)),
            entry("PUT", "Patient/b", person(id="b"), absolute),
            entry("POST", "Appointment", visit(urn(1), absolute)),
        ),
    )
    assert actors(await stored(api, f"Appointment/{ident(found[2])}")) == ["Patient/a", absolute]


# Booking.


async def test_booking_in_the_portable_way_is_one_claim(api: Api, store: Store) -> None:
    await open_clinic(store)
    body = bundle(
        "transaction",
        entry(
            "PUT",
            "Slot/slot-002",
            slot("slot-002", "2024-01-20T10:00", "2024-01-20T10:30", "busy"),
            ifMatch='W/"1"',
        ),
        entry(
            "POST",
            "Appointment",
            visit(
                f"Patient?identifier={UHIDS}|{UHID}",
                f"Practitioner/{SARAH}",
                status="booked",
                slot=[{"reference": "Slot/slot-002"}],
            ),
        ),
    )
    found = await done(api, body)
    assert statuses(found) == ["200", "201"]
    made = await stored(api, f"Appointment/{ident(found[1])}")
    assert actors(made) == ["Patient/john", f"Practitioner/{SARAH}"]
    assert (await stored(api, "Slot/slot-002"))["meta"]["versionId"] == "2"
    answer = await send(api, body)
    assert issues(answer, 412) == [("conflict", "Bundle.entry[0].request.ifMatch")]
    del body["entry"][0]
    assert issues(await send(api, body), 409)[0][1].startswith("Bundle.entry[0].resource")  # type: ignore[union-attr]


async def test_a_rival_in_the_same_bundle_is_named_by_its_entry(api: Api, store: Store) -> None:
    """The ids that were to be given to them are nobody's."""
    await open_clinic(store)
    known = noon() | {"id": "known", "identifier": [{"system": "urn:visit", "value": "1"}]}
    asked = noon() | {"id": "asked", "status": "proposed"}
    stored = [entry("PUT", f"Appointment/{one['id']}", one) for one in (known, asked)]
    await done(api, bundle("transaction", *stored))
    found = await send(
        api,
        bundle(
            "transaction",
            entry("GET", "Appointment/known"),
            entry("POST", "Appointment", noon()),
            entry("PUT", "Appointment/own", noon() | {"id": "own"}),
            entry("POST", "Appointment", noon(), ifNoneExist="identifier=none"),
            entry("DELETE", "Patient/none"),
            entry("POST", "Appointment", noon(), ifNoneExist="identifier=urn:visit|1"),  # it finds what is known
            entry("PUT", "Appointment?identifier=none-either", noon()),
            entry("PATCH", "Appointment/asked", adding("/status", "booked")),
        ),
    )
    rivals = [1, 2, 3, 6, 7]
    assert sorted(issues(found, 409)) == [("conflict", f"Bundle.entry[{one}].resource.start") for one in rivals]
    for issue in found.json()["issue"]:
        own = int(issue["expression"][0][len("Bundle.entry[")])
        others = [f"Bundle.entry[{one}]" for one in rivals if one != own]
        named = f"In the way in this Bundle: {', '.join(others)}."
        assert issue["details"]["text"].endswith(f" {named}")
        assert issue["diagnostics"].endswith(f" {named} In the way: Appointment/known.")


async def test_a_slot_of_the_same_bundle_is_named_by_its_entry(api: Api, store: Store) -> None:
    await open_clinic(store)
    shut = slot("x", "2024-01-20T12:00", "2024-01-20T12:30", "busy-unavailable")
    booked = appointment("x", start="2024-01-20T12:00", slot=[{"reference": urn(1)}])
    del shut["id"], booked["id"]
    body = bundle("transaction", entry("POST", "Slot", shut, urn(1)), entry("POST", "Appointment", booked))
    found = await send(api, body)
    assert issues(found, 409) == [("conflict", "Bundle.entry[1].resource.slot[0]")]
    told = found.json()["issue"][0]["diagnostics"]
    assert told.endswith(" In the way in this Bundle: Bundle.entry[0].")


async def test_who_refers_to_what_is_deleted_in_the_same_bundle_is_named_by_its_entry(api: Api) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/p", person(id="p"))))
    links = [{"other": {"reference": "Patient/p"}, "type": "seealso"}]
    await done(api, bundle("transaction", entry("PUT", "Patient/known", person(id="known", link=links))))
    referring = [entry("POST", "Patient", person(link=links)), entry("PUT", "Patient/q", person(id="q", link=links))]
    found = await send(api, bundle("transaction", *referring, entry("DELETE", "Patient/p")))
    assert issues(found, 409) == [("conflict", "Bundle.entry[2]")]
    others = "Patient/known, Bundle.entry[0], Bundle.entry[1]"
    assert found.json()["issue"][0]["diagnostics"] == f"Others refer to it: {others}. Delete or change these first."


async def test_what_is_stored_and_what_a_problem_is_about_keep_their_names(api: Api, store: Store) -> None:
    await open_clinic(store)
    held = appointment("held", slot=[{"reference": "Slot/slot-002"}])
    await done(api, bundle("transaction", entry("PUT", "Appointment/held", held)))
    free = slot("slot-002", "2024-01-20T10:00", "2024-01-20T10:30")
    found = await send(api, bundle("transaction", entry("PUT", "Slot/slot-002", free)))
    assert issues(found, 409) == [("conflict", "Bundle.entry[0].resource.status")]
    assert found.json()["issue"][0]["diagnostics"].endswith("In the way: Slot/slot-002, Appointment/held.")


def noon() -> Json:
    """Return an Appointment with James, who has published no Slots, without an id."""
    found = appointment("x", start="2024-01-20T12:00", participant=with_actors("Patient/john", f"Practitioner/{JAMES}"))
    return {key: value for key, value in found.items() if key != "id"}


async def test_five_hundred_entries(api: Api, store: Store) -> None:
    await open_clinic(store)
    who = entry("POST", "Practitioner", {key: value for key, value in practitioner("x", "P").items() if key != "id"})
    plan = {"resourceType": "Schedule", "active": True, "actor": [{"reference": urn(1)}]}
    slots = [
        {key: value for key, value in one.items() if key != "id"} | {"schedule": {"reference": urn(2)}}
        for one in (slot("x", f"20{n:02}-01-01T10:00", f"20{n:02}-01-01T10:30") for n in range(30, 80))
    ]
    entries = [
        who | {"fullUrl": urn(1)},
        entry("POST", "Schedule", plan, urn(2)),
        *(entry("POST", "Slot", one) for one in slots),
        *(entry("POST", "Patient", person(f"P{number}")) for number in range(448)),
    ]
    assert len(entries) == 500
    found = await done(api, bundle("transaction", *entries))
    assert set(statuses(found)) == {"201"}
    assert await count(api, f"Slot?schedule.actor=Practitioner/{ident(found[0])}&status=free") == 50


async def test_get_metadata_and_history_in_a_bundle(api: Api) -> None:
    await api.put(f"{BASE}/Patient/a", person(id="a"))
    body = bundle("transaction", *(entry("GET", url) for url in ("metadata", "Patient/a/_history", "_history")))
    found = await done(api, body)
    assert [one["resource"]["resourceType"] for one in found] == ["CapabilityStatement", "Bundle", "Bundle"]
