"""What other FHIR servers get wrong, each as a test by name.

``test_NN_…`` is point NN of the checklist of commonly wrong things in scheduling servers; points 15 and 16 and most of
13 are about SMART, audit and subscriptions, which this server does not have: of them is shown that it does not claim
them, and what of them holds for any server. The others come from measuring four servers: what at least one of them did.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.export.worker import work
from store.export_jobs import ExportJobs
from store.store import Store
from tests.adapter.fhir.asking import (
    BASE,
    CANCELLED_BY_PATIENT,
    UHIDS,
    Json,
    bare,
    bundle,
    clinic,
    entry,
    included,
    matches,
    refused,
    search,
    send,
    taken,
)
from tests.adapter.fhir.door import link, notes
from tests.adapter.mediloop.clinic import PATH, SARAH, appointment, patient, put, slot_status, stored
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker

__all__ = ["clinic"]


async def test_01_statuses_and_elements_are_spelled_as_in_r4(api: Api) -> None:
    for wrong in ("no-show", "canceled", "Booked"):
        refused(await send(api, "POST", "Appointment", bare(status=wrong)), 400, "code-invalid", "Appointment.status")
    r5 = bare(status="cancelled", cancellationReason=CANCELLED_BY_PATIENT)
    refused(await send(api, "POST", "Appointment", r5), 400, "structure", "Appointment.cancellationReason")
    for right in ("noshow", "cancelled"):
        answer = await send(api, "POST", "Appointment", bare(status=right))
        assert (answer.status_code, answer.json()["status"]) == (201, right)


async def test_02_a_reason_is_allowed_on_noshow_and_times_may_lack_on_a_waitlist(api: Api) -> None:
    noshow = bare(status="noshow", cancelationReason=CANCELLED_BY_PATIENT)
    assert (await send(api, "POST", "Appointment", noshow)).status_code == 201
    for status in ("waitlist", "proposed", "cancelled"):
        assert (await send(api, "POST", "Appointment", bare(status=status, start=None))).status_code == 201, status
    without = bare(status="booked", start=None)
    refused(await send(api, "POST", "Appointment", without), 400, "invariant")
    booked = bare(cancelationReason=CANCELLED_BY_PATIENT)
    refused(await send(api, "POST", "Appointment", booked), 400, "invariant")


async def test_03_patient_colon_identifier_is_another_question_than_patient_dot_identifier(
    api: Api, store: Store
) -> None:
    logical = {"type": "Patient", "identifier": {"system": UHIDS, "value": "UG000000001X"}}
    literal = {"reference": "Patient/jane"}
    await put(
        store,
        patient("jane", "UG000000002Y", "Jane"),
        appointment("by-identifier", participant=[{"actor": logical, "status": "accepted"}]),
        appointment("by-reference", participant=[{"actor": literal, "status": "accepted"}]),
    )
    for name, uhid, expected in (
        ("patient:identifier", "UG000000001X", {"by-identifier"}),
        ("patient:identifier", "UG000000002Y", set()),
        ("patient.identifier", "UG000000001X", set()),
        ("patient.identifier", "UG000000002Y", {"by-reference"}),
    ):
        assert matches(await search(api, f"Appointment?{name}={UHIDS}|{uhid}")) == expected, (name, uhid)


async def test_03_both_questions_in_one_bundle_find_what_mediloop_finds(api: Api, store: Store) -> None:
    uhid = "UG300000009A"
    stating = {"type": "Patient", "identifier": {"system": UHIDS, "value": uhid}}
    await put(store, appointment("before", participant=[{"actor": stating, "status": "accepted"}]))
    literal = {"reference": "Patient/late1"}
    await put(
        store,
        patient("late1", uhid, "Late"),
        appointment("after", participant=[{"actor": literal, "status": "accepted"}], start="2024-01-20T12:00"),
        appointment("both", participant=[{"actor": stating | literal, "status": "accepted"}], start="2024-01-20T13:00"),
    )
    urls = [f"Appointment?{name}={UHIDS}|{uhid}&_sort=date" for name in ("patient.identifier", "patient:identifier")]
    asked = [{"request": {"method": "GET", "url": url}} for url in urls]
    answer = await send(api, "POST", "", {"resourceType": "Bundle", "type": "batch", "entry": asked})
    found = [matches(one["resource"]) for one in answer.json()["entry"]]
    assert found == [{"after", "both"}, {"before", "both"}]
    assert matches(await search(api, "Patient/late1/Appointment")) == {"after", "both"}
    mine = await api.get(f"/api/v1/appointments/by-patient/?patient_uhid={uhid}")
    assert {(one["id"], one["patient_name"]) for one in mine.json()["results"]} == {
        (ident, "Late") for ident in ("before", "after", "both")
    }


async def test_04_a_plus_that_was_not_escaped_is_still_a_plus(api: Api, store: Store) -> None:
    await put(store, appointment("a1"), appointment("a2", start="2024-01-20T12:30"))
    for value in ("ge2024-01-20T15:00:00+03:00", "ge2024-01-20T15:00:00%2B03:00", "ge2024-01-20T15:00+03:00"):
        assert matches(await search(api, f"Appointment?date={value}")) == {"a2"}, value
    for wanted in ("application/fhir+json", "application/fhir%2Bjson", "json", "application/json"):
        answer = await send(api, "GET", f"Appointment/a1?_format={wanted}", accept="text/html")
        assert answer.status_code == 200, wanted
        assert answer.json()["id"] == "a1"


async def test_05_a_plain_date_is_the_whole_day(api: Api, store: Store) -> None:
    for ident, start in (("before", "2024-01-19T23:59"), ("first", "2024-01-20T00:00"), ("last", "2024-01-20T23:59")):
        await put(store, appointment(ident, start=start, status="proposed"))
    await put(store, appointment("after", start="2024-01-21T00:00", status="proposed"))
    for prefix, expected in (
        ("", {"first", "last"}),
        ("le", {"before", "first", "last"}),
        ("ge", {"first", "last", "after"}),
        ("gt", {"after"}),
        ("lt", {"before"}),
        ("sa", {"after"}),
        ("eb", {"before"}),
        ("ne", {"before", "after"}),
    ):
        assert matches(await search(api, f"Appointment?date={prefix}2024-01-20")) == expected, prefix


async def test_05_the_day_is_the_clinics_own(make_service: Any, make_api: Any, store: Store) -> None:
    api = await make_api(make_service(timezone="Africa/Kampala"))
    for ident, start in (("day-before", "2024-01-19T20:59"), ("midnight", "2024-01-19T21:00")):
        await put(store, appointment(ident, start=start, status="proposed"))
    assert matches(await search(api, "Appointment?date=2024-01-20")) == {"midnight"}


async def test_06_an_unsupported_modifier_is_refused_in_every_mode(api: Api) -> None:
    for path in (
        "Appointment?status:above=booked",
        "Appointment?date:contains=2024",
        "Patient?name:in=x",
        "Slot?start:x=1",
    ):
        for prefer in ("handling=lenient", "handling=strict"):
            refused(await send(api, "GET", path, prefer=prefer), 400, "not-supported")


async def test_06_an_unknown_parameter_is_ignored_with_a_warning_and_refused_if_strict(api: Api, store: Store) -> None:
    await put(store, appointment("a1"))
    found = await search(api, "Appointment?unheard-of=1&status=booked")
    assert matches(found) == {"a1"}
    assert [one["severity"] for one in notes(found)] == ["warning"]
    own = link(found, "self")
    assert own is not None
    assert "status=booked" in own
    assert "unheard-of" not in own
    answer = await send(api, "GET", "Appointment?unheard-of=1&status=booked", prefer="handling=strict")
    refused(answer, 400, "not-supported")


async def test_07_validate_answers_200_for_an_invalid_resource(api: Api) -> None:
    answer = await send(api, "POST", "Appointment/$validate", bare(status="foo"))
    assert answer.status_code == 200
    assert {"error"} <= {one["severity"] for one in answer.json()["issue"]}
    assert ["Appointment.status"] in [one.get("expression") for one in answer.json()["issue"]]
    answer = await send(api, "POST", "Appointment/$validate", bare())
    assert answer.status_code == 200
    assert {one["severity"] for one in answer.json()["issue"]} <= {"information", "warning"}


async def test_08_delete_is_204_again_and_again(api: Api, store: Store) -> None:
    await put(store, appointment("a1", status="proposed"))
    for ident in ("a1", "a1", "never-there"):
        answer = await send(api, "DELETE", f"Appointment/{ident}")
        assert (answer.status_code, answer.content) == (204, b"")


async def test_08_what_is_deleted_is_gone_and_not_unknown(api: Api, store: Store) -> None:
    await put(store, appointment("a1", status="proposed"))
    await send(api, "DELETE", "Appointment/a1")
    refused(await send(api, "GET", "Appointment/a1"), 410, "deleted")
    refused(await send(api, "GET", "Appointment/never-there"), 404, "not-found")
    assert (await send(api, "GET", "Appointment/a1/_history/1")).status_code == 200
    refused(await send(api, "GET", "Appointment/a1/_history/2"), 410, "deleted")
    assert matches(await search(api, "Appointment?_id=a1")) == set()
    history = (await send(api, "GET", "Appointment/a1/_history")).json()
    assert history["entry"][0]["request"]["method"] == "DELETE"
    assert "resource" not in history["entry"][0]
    answer = await send(api, "PUT", "Appointment/a1", appointment("a1", status="proposed"))
    assert (answer.status_code, answer.headers["etag"]) == (201, 'W/"3"')


async def test_08_a_post_gives_an_id_of_its_own(api: Api) -> None:
    mine = appointment("mine") | {"meta": {"versionId": "77", "lastUpdated": "2001-01-01T00:00:00Z"}}
    answer = await send(api, "POST", "Appointment", mine)
    made = answer.json()
    assert answer.status_code == 201
    assert made["id"] != "mine"
    assert (made["meta"]["versionId"], made["meta"]["lastUpdated"][:4]) == ("1", "2024")


async def test_08_a_put_needs_the_id_in_the_body(api: Api) -> None:
    refused(await send(api, "PUT", "Appointment/a1", bare()), 400, "value", "Appointment.id")
    refused(await send(api, "PUT", "Appointment/a1", appointment("a2")), 400, "value", "Appointment.id")


async def test_09_a_failed_transaction_is_an_outcome_and_leaves_nothing(api: Api, store: Store) -> None:
    good = {"resourceType": "Patient", "name": [{"family": "Kept?"}]}
    answer = await send(
        api,
        "POST",
        "",
        bundle("transaction", entry("POST", "Patient", good), entry("POST", "Appointment", bare(status="foo"))),
    )
    issue = refused(answer, 400, "code-invalid")
    assert any(text.startswith("Bundle.entry[1]") for text in issue["expression"])
    assert matches(await search(api, "Patient?family=Kept")) == set()


async def test_09_a_batch_is_200_and_answers_in_the_order_of_the_request(api: Api) -> None:
    answer = await send(
        api,
        "POST",
        "",
        bundle(
            "batch",
            entry("GET", "Patient/john"),
            entry("POST", "Appointment", bare(status="foo")),
            entry("DELETE", "Appointment/never-there"),
            entry("POST", "Patient", {"resourceType": "Patient"}),
            entry("GET", "Appointment?status=cancelled"),
        ),
    )
    assert answer.status_code == 200
    found = answer.json()
    assert found["type"] == "batch-response"
    assert [one["response"]["status"][:3] for one in found["entry"]] == ["200", "400", "204", "201", "200"]
    assert found["entry"][1]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert found["entry"][0]["resource"]["id"] == "john"


async def test_09_a_transaction_answers_in_the_order_of_the_request_whatever_is_done_first(api: Api) -> None:
    await send(api, "PUT", "Patient/old", {"resourceType": "Patient", "id": "old"})
    found = await send(
        api,
        "POST",
        "",
        bundle(
            "transaction",
            entry("GET", "Patient?family=Fresh"),
            entry("PUT", "Patient/put", {"resourceType": "Patient", "id": "put", "name": [{"family": "Fresh"}]}),
            entry("POST", "Patient", {"resourceType": "Patient", "name": [{"family": "Fresh"}]}),
            entry("DELETE", "Patient/old"),
        ),
    )
    assert found.status_code == 200, found.text
    assert [one["response"]["status"][:3] for one in found.json()["entry"]] == ["200", "201", "201", "204"]
    assert found.json()["entry"][0]["resource"]["total"] == 2, "reads come last, and see the writes"


async def test_09_references_are_rewritten_canonicals_are_not(api: Api) -> None:
    urn = "urn:uuid:6b0c1f9a-9d57-4c5e-8f4a-0b8f6f0d7a01"
    person = {
        "resourceType": "Patient",
        "meta": {"profile": [urn]},
        "extension": [
            {"url": "http://example.org/canonical", "valueCanonical": urn},
            {"url": "http://example.org/uri", "valueUri": urn},
        ],
        "link": [{"other": {"reference": urn}, "type": "seealso"}],
    }
    visit = bare(participant=[{"actor": {"reference": urn}, "status": "accepted"}])
    answer = await send(
        api,
        "POST",
        "",
        bundle("transaction", entry("POST", "Appointment", visit), entry("POST", "Patient", person, urn)),
    )
    assert answer.status_code == 200, answer.text
    location = [one["response"]["location"] for one in answer.json()["entry"]]
    ident = location[1].split("/_history")[0].split("/")[-1]
    made = (await send(api, "GET", f"Patient/{ident}")).json()
    booked = (await send(api, "GET", location[0].split("/fhir/R4/")[-1])).json()
    assert booked["participant"][0]["actor"]["reference"] == f"Patient/{ident}"
    assert made["link"][0]["other"]["reference"] == f"Patient/{ident}"
    assert made["meta"]["profile"] == [urn]
    assert made["extension"][0]["valueCanonical"] == urn
    assert made["extension"][1]["valueUri"] == f"Patient/{ident}"


async def test_10_etags_are_weak_and_compared_as_such_and_locations_name_the_version(api: Api) -> None:
    made = await send(api, "POST", "Patient", {"resourceType": "Patient"})
    assert made.headers["etag"] == 'W/"1"'
    ident = made.json()["id"]
    assert made.headers["location"] == f"http://adapter.test{BASE}/Patient/{ident}/_history/1"
    body = {"resourceType": "Patient", "id": ident}
    for version, form in enumerate(('W/"{}"', '"{}"', "{}"), start=1):
        changed = body | {"active": bool(version % 2)}
        answer = await send(api, "PUT", f"Patient/{ident}", changed, if_match=form.format(version))
        assert (answer.status_code, answer.headers["etag"]) == (200, f'W/"{version + 1}"'), form
        stale = await send(api, "PUT", f"Patient/{ident}", changed, if_match=form.format(version))
        refused(stale, 412, "conflict")


async def test_11_total_counts_matches_and_not_what_is_included(api: Api, store: Store) -> None:
    await put(store, *(appointment(f"a{n}", start=f"2024-01-2{n}T10:00") for n in range(5)))
    found = await search(api, "Appointment?_count=2&_include=Appointment:patient&_total=accurate")
    assert (found["total"], len(matches(found)), included(found)) == (5, 2, {"Patient/john"})


async def test_11_count_zero_is_a_count(api: Api, store: Store) -> None:
    await put(store, appointment("a1"))
    for asked in ("_count=0", "_summary=count"):
        found = await search(api, f"Appointment?{asked}")
        assert (found["total"], "entry" in found) == (1, False)


async def test_11_next_keeps_the_filters_and_pages_neither_repeat_nor_skip(api: Api, store: Store) -> None:
    everybody = [appointment(f"a{n:02}", start="2024-01-20T10:00", status="proposed") for n in range(25)]
    await put(store, *everybody, appointment("other", status="cancelled"))
    url: str | None = "Appointment?status=proposed&_sort=date&_count=4"
    found: list[str] = []
    pages = 0
    while url is not None:
        page = await search(api, url)
        found += [one["resource"]["id"] for one in page["entry"]]
        url = link(page, "next")
        pages += 1
        if pages == 2:  # what is written meanwhile moves nothing
            await put(store, appointment("a00x", start="2024-01-20T10:00", status="proposed"))
    assert len(found) == len(set(found))
    assert set(found) - {"a00x"} == {one["id"] for one in everybody}
    assert pages == 7


def empties(node: Any) -> Iterator[Any]:
    """Yield what FHIR JSON may not hold."""
    if node in (None, "", [], {}):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from empties(child)


async def test_12_nothing_empty_goes_out(api: Api, store: Store) -> None:
    await put(store, appointment("a1"))
    for path in (
        "Appointment?status=fulfilled",
        "Appointment",
        "Appointment?unheard-of=1",
        "Appointment/_history",
        "metadata",
        "Appointment/none",
        "Patient/john/$everything",
        "Slot?_summary=count",
    ):
        answer = await send(api, "GET", path)
        assert list(empties(answer.json())) == [], path


@pytest.mark.parametrize("empty", ["null", "[]", "{}", '""', "[null]", "[{}]"])
async def test_12_nothing_empty_comes_in(api: Api, empty: str) -> None:
    raw = '{"resourceType":"Patient","name":' + empty + "}"
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/fhir+json"}
    answer = await api.http.post(f"{BASE}/Patient", content=raw, headers=headers)
    assert answer.status_code == 400, answer.text
    assert "Patient.name" in str([one.get("expression") for one in answer.json()["issue"]])


async def test_13_each_entry_of_a_history_has_its_request_and_its_response(api: Api, clock: Clock) -> None:
    clock.advance(seconds=1)
    for method, body in (("PUT", {"resourceType": "Patient", "id": "p"}), ("DELETE", None)):
        await send(api, method, "Patient/p", body)
    for path in ("Patient/p/_history", "Patient/_history?_count=2", "_history?_count=2"):
        deleted, made = (await send(api, "GET", path)).json()["entry"]
        assert [one["request"]["method"] for one in (deleted, made)] == ["DELETE", "PUT"], path
        assert [one["response"]["etag"] for one in (deleted, made)] == ['W/"2"', 'W/"1"']
        assert [one["response"]["status"][:3] for one in (deleted, made)] == ["204", "201"]
        assert all(one["response"]["lastModified"] for one in (deleted, made))


async def test_14_a_bulk_export_says_what_the_guide_says(
    make_service: ServiceMaker, make_api: ApiMaker, tmp_path: Path
) -> None:
    service = make_service(data_dir=tmp_path)
    await service.prepare()
    api = await make_api(service)
    for name in ("ndjson", "application/ndjson", "application/fhir%2Bndjson"):
        begun = await send(api, "GET", f"$export?_type=Slot&_outputFormat={name}", prefer="respond-async")
        assert begun.status_code == 202, name
        job = begun.headers["content-location"]
        assert job.startswith("http://adapter.test/fhir/R4/")
        waiting = await send(api, "GET", job)
        assert (waiting.status_code, "x-progress" in waiting.headers) == (202, True)
        taken_up = await ExportJobs(service.stores["test"].database).take("tester")
        assert taken_up is not None
        await work(service.settings, service.stores["test"], "test", taken_up.ident, "tester", service.now)
        manifest = (await send(api, "GET", job)).json()
        assert (manifest["error"], manifest["deleted"]) == ([], []), "also where there are none"
        assert [(one["type"], one["count"]) for one in manifest["output"]] == [("Slot", 3)]
        assert manifest["output"][0]["url"].startswith("http://adapter.test/")
        file = await send(api, "GET", manifest["output"][0]["url"])
        assert file.headers["content-type"].startswith("application/fhir+ndjson")
        assert (await send(api, "DELETE", job)).status_code == 202
        refused(await send(api, "GET", job), 404, "not-found")
    refused(await send(api, "GET", "$export?_outputFormat=csv"), 400, "not-supported")


async def test_15_smart_is_not_claimed_and_a_patch_has_no_permission_of_its_own(
    api: Api, make_api: ApiMaker, store: Store
) -> None:
    said = (await send(api, "GET", "metadata")).json()["rest"][0]["security"]
    assert "service" not in said, "the only kinds of service that FHIR names are others than API keys"
    for place in (f"http://adapter.test{BASE}/.well-known/smart-configuration", "http://adapter.test/token"):
        assert (await send(api, "GET", place)).status_code == 404
    await put(store, appointment("a1", status="proposed"))
    change = [{"op": "add", "path": "/comment", "value": "x"}]
    for granted, reads, patches in (("read", 200, 403), ("write", 403, 403), ("read,write", 200, 200)):
        names = [f"appointments:{one}" for one in granted.split(",")]
        caller = await make_api(api.service, granted=names)
        for path in ("Appointment/a1", "Appointment/a1/_history", "Appointment"):
            assert (await send(caller, "GET", path)).status_code == reads, (granted, path)
        patched = await send(caller, "PATCH", "Appointment/a1", change, content_type="application/json-patch+json")
        assert patched.status_code == patches, granted


async def test_16_audit_events_are_not_claimed_and_not_taken(api: Api) -> None:
    said = (await send(api, "GET", "metadata")).json()["rest"][0]["resource"]
    assert not {one["type"] for one in said} & {"AuditEvent", "Provenance"}
    for kind in ("AuditEvent", "Provenance"):
        refused(await send(api, "GET", kind), 404, "not-supported")
        refused(await send(api, "POST", kind, {"resourceType": kind}), 404, "not-supported")


async def test_17_an_old_code_system_url_is_read_and_left_as_it_is(api: Api) -> None:
    old = {"coding": [{"system": "http://hl7.org/fhir/v2/0276", "code": "FOLLOWUP"}]}
    made = (await send(api, "POST", "Appointment", bare(appointmentType=old))).json()
    assert made["appointmentType"] == old
    shown = (await api.get(f"{PATH}{made['id']}/")).json()
    assert shown["appointment_type_code"] == "FOLLOWUP"
    assert shown["reason_text"] is None


async def test_18_priorities_survive_the_other_view(api: Api) -> None:
    for given, shown in ((None, 5), (0, 5), (9, 9), (10, 10), (99, 10)):
        body = bare(priority=given) if given is not None else bare()
        made = (await send(api, "POST", "Appointment", body | {"status": "proposed"})).json()
        assert (await api.get(f"{PATH}{made['id']}/")).json()["priority"] == shown
        cancelled = await api.post(f"{PATH}{made['id']}/cancel/", {"cancellation_reason_code": "patient-request"})
        assert cancelled.status_code == 200
        after = (await send(api, "GET", f"Appointment/{made['id']}")).json()
        assert after.get("priority") == given


async def test_19_a_summary_keeps_the_participants_and_is_marked(api: Api, store: Store) -> None:
    await put(store, appointment("a1", comment="not in a summary"))
    for path in ("Appointment/a1?_summary=true", "Appointment/a1?_elements=status", "Appointment?_summary=true"):
        answer = (await send(api, "GET", path)).json()
        found = answer["entry"][0]["resource"] if answer["resourceType"] == "Bundle" else answer
        assert "comment" not in found
        assert [one["status"] for one in found["participant"]] == ["accepted"] * 3
        assert [one["code"] for one in found["meta"]["tag"]] == ["SUBSETTED"]


async def test_19_a_subset_is_not_put_back(api: Api, store: Store) -> None:
    await put(store, appointment("a1", comment="would be lost"))
    part = (await send(api, "GET", "Appointment/a1?_summary=true")).json()
    answer = await send(api, "PUT", "Appointment/a1", part)
    assert 400 <= answer.status_code < 500
    assert (await stored(store, "Appointment", "a1"))["comment"] == "would be lost"


async def test_20_cancelling_frees_the_slot(api: Api, store: Store) -> None:
    made = await taken(api, store, "slot-002")
    assert await slot_status(store, "slot-002") == "busy"
    answer = await send(api, "PUT", f"Appointment/{made['id']}", made | {"status": "cancelled"})
    assert answer.status_code == 200, answer.text
    assert await slot_status(store, "slot-002") == "free"


async def test_20_a_slot_that_was_rebooked_is_not_freed_by_its_former_appointment(api: Api, store: Store) -> None:
    first = await taken(api, store, "slot-002")
    await send(api, "PUT", f"Appointment/{first['id']}", first | {"status": "cancelled"})
    await taken(api, store, "slot-002")
    current = (await send(api, "GET", f"Appointment/{first['id']}")).json()
    answer = await send(api, "PUT", f"Appointment/{first['id']}", current | {"status": "entered-in-error"})
    assert answer.status_code == 200, answer.text
    assert await slot_status(store, "slot-002") == "busy"
    assert (await send(api, "DELETE", f"Appointment/{first['id']}")).status_code == 204
    assert await slot_status(store, "slot-002") == "busy"


async def test_20_what_is_held_is_not_offered_until_the_hold_is_over(api: Api, store: Store, clock: Clock) -> None:
    found = await search(api, f"Appointment/$find?start=2024-01-20&end=2024-01-21&practitioner={SARAH}")
    [ident] = [one["resource"]["id"] for one in found["entry"] if "Slot/slot-002" in str(one["resource"]["slot"])]
    held = await send(api, "POST", f"Appointment/{ident}/$hold")
    assert held.status_code == 200, held.text
    days = "date_from=2024-01-20&date_to=2024-01-20"
    for seconds, expected in ((0, set()), (299, set()), (1, {"slot-002"})):
        clock.advance(seconds=seconds)
        assert matches(await search(api, "Slot?status=free&_id=slot-002")) == expected
        offered = (await api.get(f"{PATH}availability/?{days}")).json()["results"]
        assert {one["id"] for one in offered} & {"slot-002"} == expected
    assert await slot_status(store, "slot-002") == "free"


async def test_21_times_that_are_found_have_a_total_and_the_period_asked_for(api: Api) -> None:
    for day, total in ((20, 3), (27, 0)):
        path = f"Appointment/$find?start=2024-01-{day}&end=2024-01-{day + 1}&practitioner={SARAH}"
        found = await search(api, path)
        assert found["total"] == total == len(matches(found))
        proposed = [one["resource"] for one in found["entry"] if one["search"]["mode"] == "match"]
        asked = {"start": f"2024-01-{day}", "end": f"2024-01-{day + 1}"}
        assert [one["requestedPeriod"] for one in proposed] == [[asked]] * total
        assert len(found["entry"]) == max(total, 1), "never an empty list: an outcome says that there is nothing"


async def test_21_a_search_that_finds_nothing_has_a_total_and_no_entries(api: Api) -> None:
    for path in ("Appointment?identifier=http://nobody.example|x", "Appointment?patient=nobody", "Slot?_id=none"):
        found = await search(api, f"{path}&_total=accurate")
        assert found["total"] == 0
        assert "entry" not in found


@pytest.mark.parametrize(
    ("change", "code", "expression"),
    [
        ({"status": "foo"}, "code-invalid", "Appointment.status"),
        ({"participant": [{"actor": {"reference": "Patient/john"}, "status": "foo"}]}, "code-invalid", None),
        ({"participant": [{"actor": {"reference": "Observation/1"}, "status": "accepted"}]}, None, None),
        ({"slot": [{"reference": "Patient/john"}]}, None, "Appointment.slot[0]"),
        ({"participant": [{"status": "accepted"}]}, "invariant", "Appointment.participant[0]"),
        ({"end": "2024-01-20T09:00:00Z"}, None, None),
        ({"end": None}, "invariant", None),
        ({"participant": []}, None, "Appointment.participant"),
        ({"priority": "5"}, None, "Appointment.priority"),
        ({"minutesDuration": 0}, None, "Appointment.minutesDuration"),
        ({"start": 1705744800}, None, "Appointment.start"),
        ({"contained": [{"resourceType": "Foo", "id": "x"}]}, None, None),
        ({"text": {"status": "generated", "div": "<div><script>x()</script></div>"}}, None, None),
        ({"foo": 1}, "structure", "Appointment.foo"),
    ],
)
async def test_22_what_a_model_class_lets_through_is_refused(
    api: Api, change: Json, code: str | None, expression: str | None
) -> None:
    answer = await send(api, "POST", "Appointment", bare() | change if change != {"end": None} else bare(end=None))
    found = answer.json()
    assert answer.status_code in (400, 422), answer.text
    assert found["resourceType"] == "OperationOutcome"
    assert code is None or code in [one["code"] for one in found["issue"]], found
    said = [text for one in found["issue"] for text in one.get("expression", ())]
    assert said, "every problem names its element"
    assert expression is None or any(text.startswith(expression) for text in said), found


async def test_22_an_id_has_64_characters_at_most(api: Api) -> None:
    for length, statuses in ((64, (201,)), (65, (400, 404))):
        ident = "x" * length
        answer = await send(api, "PUT", f"Patient/{ident}", {"resourceType": "Patient", "id": ident})
        assert answer.status_code in statuses
    contained = bare(contained=[{"resourceType": "Patient", "id": "x" * 65}])
    contained["participant"].append({"actor": {"reference": f"#{'x' * 65}"}, "status": "accepted"})
    assert (await send(api, "POST", "Appointment", contained)).status_code == 400


async def test_22_duplicate_keys_are_refused(api: Api) -> None:
    raw = '{"resourceType":"Patient","active":true,"active":false}'
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/fhir+json"}
    answer = await api.http.post(f"{BASE}/Patient", content=raw, headers=headers)
    assert answer.status_code == 400
    assert "active" in answer.text
