"""Batches: every entry for itself, many at once, and the answer is 200 whatever becomes of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from adapter.errors import Problem, Refused
from adapter.fhir.bundles import alone, batches, responses
from adapter.fhir.writing import carry_out
from store import connection
from store.codec import encode
from store.errors import AlreadyExists, NotUnique, Oversized, Unreachable
from store.store import Store
from tests.adapter.fhir.bundles.sending import (
    BASE,
    ROOT,
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
)
from tests.adapter.mediloop.clinic import appointment, open_clinic
from tests.conftest import Api, ApiMaker, Clock

Json = dict[str, Any]


@pytest.fixture
def transactions(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one with each transaction that is begun."""
    begun: list[None] = []
    transact = store.transact

    async def counted(step: Callable[..., Any], **how: Any) -> Any:
        begun.append(None)
        return await transact(step, **how)

    monkeypatch.setattr(store, "transact", counted)
    return begun


async def test_an_empty_batch(api: Api) -> None:
    assert (await send(api, bundle("batch"))).json() == {"resourceType": "Bundle", "type": "batch-response"}


async def test_others_have_their_turns_between_entries_that_wait_for_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, entries = 0, Counter[int]()
    answered = alone.answered

    async def others() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def noted(*arguments: Any) -> bytes:
        entries[turn] += 1
        return await answered(*arguments)

    monkeypatch.setattr(batches, "answered", noted)
    beside = asyncio.create_task(others())
    refused = statuses(await done(api, bundle("batch", *[entry("GET", "Patient?active:of=1")] * 200)))
    beside.cancel()
    assert refused == ["400"] * 200
    assert max(entries.values()) <= 16


async def test_plain_writes_are_one_transaction(api: Api, transactions: list[None]) -> None:
    people = [entry("PUT", f"Patient/{n}", person(id=str(n))) for n in range(20)]
    assert statuses(await done(api, bundle("batch", *people))) == ["201"] * 20
    assert len(transactions) == 1
    mixed = [
        entry("PUT", "Patient/0", person("New", id="0"), ifMatch='W/"1"'),
        entry("POST", "Patient", person("New")),
        entry("DELETE", "Patient/1"),
        entry("GET", "Patient?family=New"),
    ]
    found = await done(api, bundle("batch", *mixed))
    assert statuses(found) == ["200", "201", "204", "200"]
    assert len(transactions) == 2
    assert found[3]["resource"]["total"] == 2, "reads come last"
    assert "resource" not in found[0]


async def test_what_is_refused_fails_alone(api: Api, store: Store) -> None:
    await open_clinic(store)
    booked = {name: value for name, value in appointment("x").items() if name != "id"}
    answer = await send(
        api,
        bundle(
            "batch",
            entry("POST", "Patient", person("Good")),
            entry("POST", "Patient", person(birthDate="soon")),
            entry("POST", "Appointment", booked),
            entry("POST", "Appointment", booked),
            entry("PUT", "Patient/john", person(id="john"), ifMatch='W/"9"'),
            entry("PUT", "Patient/a", person("Good", id="a")),
            entry("DELETE", "Practitioner/prov-abc-123"),
            entry("POST", "Device", {"resourceType": "Device"}),
            entry("PUT", "Patient/a", person("Twice", id="a")),
            entry("GET", "Patient/"),
            entry("POST", "Patient/1", person()),
            entry("POST", "Patient", person("Good")),
        ),
    )
    assert answer.status_code == 200
    Bundle.model_validate_json(answer.content)
    found = answer.json()["entry"]
    codes = statuses(found)
    assert [codes[place] for place in (0, 1, 4, 6, 7, 9, 10, 11)] == [
        *("201", "400", "412", "409", "404", "400", "405", "201")
    ]
    assert sorted([codes[2], codes[3]]) == ["201", "409"]
    assert (codes[5], codes[8]) == ("201", "200"), "what names one resource keeps its order"
    assert found[1]["response"]["outcome"]["issue"][0]["expression"] == ["Patient.birthDate"]
    assert found[4]["response"]["outcome"]["issue"][0]["code"] == "conflict"
    assert (await count(api, "Patient?family=Good"), await count(api, "Patient?family=Twice")) == (2, 1)


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ('{"resourceType":"Patient","name":[]}', "Patient.name"),
        ('{"resourceType":"Patient","name":[{}]}', "Patient.name[0]"),
        ('{"resourceType":"Patient","active":null}', "Patient.active"),
        ('{"resourceType":"Patient","language":""}', "Patient.language"),
        ('{"resourceType":"Patient","gender":"male","gender":"female"}', "Patient.gender"),
        ("null", "Bundle.entry[1].resource"),
        ("[]", "Bundle.entry[1].resource"),
        ("7", "Bundle.entry[1].resource"),
    ],
)
async def test_json_that_fhir_does_not_allow_fails_its_own_entry(api: Api, written: str, place: str) -> None:
    others = [entry("POST", "Patient", person()), entry("POST", "Patient", "odd"), entry("GET", "Patient")]
    for kind, status in (("batch", 200), ("transaction", 400)):
        raw = encode(bundle(kind, *others)).replace(b'"odd"', written.encode())
        answer = await api.http.post(
            BASE, content=raw, headers={"Authorization": f"Bearer {api.key}", "Content-Type": "application/fhir+json"}
        )
        assert answer.status_code == status, answer.text
        if kind == "batch":
            found = answer.json()["entry"]
            assert statuses(found) == ["201", "400", "200"]
            [issue] = found[1]["response"]["outcome"]["issue"]
            assert issue["expression"] == [place]
            assert found[2]["resource"]["total"] == 1
        else:
            assert answer.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1].resource")
    assert await count(api, "Patient") == 1


async def test_json_that_fhir_does_not_allow_hides_nothing_else_of_its_entry(api: Api) -> None:
    sent = [entry("POST", "Patient", one) for one in (person(), {}, person(gender="m", photo=[]))]
    found = await done(api, bundle("batch", *sent))
    assert statuses(found) == ["201", "400", "400"]
    told = [[one["expression"][0] for one in each["response"]["outcome"]["issue"]] for each in found[1:]]
    assert told == [["Patient.resourceType", "Patient"], ["Patient.photo", "Patient.gender"]]


async def test_what_is_asked_to_be_validated_may_be_wrong_in_every_way(api: Api) -> None:
    (found,) = await done(api, bundle("batch", entry("POST", "Patient/$validate", person(name=[]))))
    assert found["response"]["status"] == "200 OK"
    assert found["resource"]["issue"][0]["expression"] == ["Patient.name"]


async def test_json_that_fhir_does_not_allow_around_the_entries_fails_the_batch(api: Api) -> None:
    around: list[Json] = [{"id": ""}, {"link": []}]
    for wrong in around:
        assert issues(await send(api, bundle("batch", entry("POST", "Patient", person()), **wrong)), 400)
    odd = {**entry("POST", "Patient", person()), "fullUrl": ""}
    assert issues(await send(api, bundle("batch", odd)), 400) == [("structure", "Bundle.entry[0].fullUrl")]
    assert await count(api, "Patient") == 0


async def test_one_that_is_refused_does_not_make_the_others_slow(api: Api, transactions: list[None]) -> None:
    entries = [entry("POST", "Patient", person()) for _ in range(40)]
    entries[17] = entry("PUT", "Patient/a", person(id="a"), ifMatch='W/"1"')
    assert statuses(await done(api, bundle("batch", *entries))) == ["201"] * 17 + ["412"] + ["201"] * 22
    assert len(transactions) == 4  # all, two halves, and the one alone


async def test_many_are_done_in_several_transactions(
    api: Api, transactions: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_TOGETHER", 4)
    assert set(statuses(await done(api, bundle("batch", *(entry("POST", "Patient", person()) for _ in range(9))))))
    assert len(transactions) == 3
    assert await count(api, "Patient") == 9


async def test_where_everything_stands_in_the_way_each_is_tried_alone(api: Api) -> None:
    stale = [entry("PUT", f"Patient/{n}", person(id=str(n)), ifMatch='W/"1"') for n in range(5)]
    assert statuses(await done(api, bundle("batch", *stale))) == ["412"] * 5


async def test_conditions_and_patches_are_carried_out_one_by_one(api: Api) -> None:
    await done(api, bundle("batch", entry("PUT", "Patient/a", identified("1", id="a"))))
    operation = [{"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"}]
    operation += [{"name": "name", "valueString": "active"}, {"name": "value", "valueBoolean": True}]  # type: ignore[dict-item]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}
    found = await done(
        api,
        bundle(
            "batch",
            entry("POST", "Patient", identified("1"), ifNoneExist="identifier=urn:mrn|1"),
            entry("POST", "Patient", identified("2"), ifNoneExist="identifier=urn:mrn|2"),
            entry("PATCH", "Patient/a", patch),
            entry("DELETE", "Patient?identifier=urn:mrn|3"),
        ),
    )
    assert statuses(found) == ["200", "201", "200", "204"]
    assert ident(found[0]) == "a"
    assert found[1]["response"]["location"].endswith("/_history/1")
    assert not found[1]["response"]["location"].startswith("http")
    assert found[1]["response"]["lastModified"] == "2024-01-15T10:00:00.000Z"
    assert "resource" not in found[1]
    assert (await stored(api, "Patient/a"))["active"] is True


async def test_the_same_criteria_in_several_entries_make_one(api: Api) -> None:
    created = entry("POST", "Patient", identified("1"), ifNoneExist="identifier=urn:mrn|1")
    updated = entry("PUT", "Patient?identifier=urn:mrn|2", identified("2"))
    found = await done(api, bundle("batch", *[created, updated] * 3))
    assert sorted(statuses(found)) == ["200"] * 4 + ["201"] * 2
    assert await count(api, "Patient") == 2


@pytest.mark.parametrize(
    ("wanted", "resource", "outcome"),
    [("minimal", False, False), ("representation", True, False), ("OperationOutcome", False, True)],
)
async def test_what_is_told_of_a_write_is_what_was_preferred(
    api: Api, wanted: str, resource: bool, outcome: bool
) -> None:
    body = bundle(
        "batch",
        entry("POST", "Patient", person()),
        entry("POST", "Patient", person()),
        entry("POST", "Patient", identified("2"), ifNoneExist="identifier=urn:mrn|2"),
        entry("GET", "Patient?unheard=1"),
    )
    *writes, read = await done(api, body, prefer=f"return={wanted}")
    for one in writes:
        assert ("resource" in one, "outcome" in one["response"]) == (resource, outcome)
    assert read["resource"]["type"] == "searchset"
    *_, strict = await done(api, body, prefer="handling=strict")
    assert strict["response"]["status"] == "400 Bad Request"


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("prefer", ["return=minimal", "return=representation", "return=OperationOutcome"])
async def test_an_update_is_told_alike_however_it_was_carried_out(
    api: Api, monkeypatch: pytest.MonkeyPatch, together: bool, prefer: str
) -> None:
    await done(api, bundle("batch", *(entry("PUT", f"Patient/{n}", identified(n, id=n)) for n in "ab")))
    if not together:
        monkeypatch.setattr(batches, "_is_plain", lambda _: False)
    patch = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="}
    found = await done(
        api,
        bundle(
            "batch",
            entry("PUT", "Patient/a", identified("a", id="a", active=True)),
            entry("PUT", "Patient?identifier=urn:mrn|b", identified("b", active=True)),
            entry("POST", "Patient", identified("c")),
        ),
        prefer=prefer,
    )
    found += await done(api, bundle("batch", entry("PATCH", "Patient/a", patch)), prefer=prefer)
    told = [one["response"] for one in found]
    assert [one["status"] for one in told] == ["200 OK", "200 OK", "201 Created", "200 OK"]
    places = [one["location"] for one in told]
    assert [places[0], places[1], places[3]] == [f"Patient/{n}/_history/{v}" for n, v in (("a", 2), ("b", 2), ("a", 3))]
    assert [one["etag"] for one in told] == ['W/"2"', 'W/"2"', 'W/"1"', 'W/"3"']
    assert all(one["lastModified"] for one in told)


async def test_names_of_other_entries_mean_nothing_in_a_batch(api: Api) -> None:
    other = person(link=[{"other": {"reference": urn(1)}, "type": "seealso"}])
    found = await done(
        api, bundle("batch", entry("POST", "Patient", person(), urn(1)), entry("POST", "Patient", other, urn(2)))
    )
    assert statuses(found) == ["201", "400"]
    [issue] = found[1]["response"]["outcome"]["issue"]
    assert (issue["code"], issue["expression"]) == ("value", ["Patient.link[0].other.reference"])
    for text in ("Patient?family=Auma", f"{ROOT}/Patient?family=Auma"):
        by = person(link=[{"other": {"reference": text}, "type": "seealso"}])
        assert statuses(await done(api, bundle("batch", entry("POST", "Patient", by)))) == ["400"]
    assert await count(api, "Patient") == 1


async def test_each_needs_its_own_permission(api: Api, make_api: ApiMaker) -> None:
    limited: Api = await make_api(api.service, granted=["patients:read,write"])
    found = await done(
        limited,
        bundle(
            "batch",
            entry("POST", "Patient", person()),
            entry("POST", "Location", {"resourceType": "Location"}),
            entry("GET", "Slot"),
            entry("GET", "Patient"),
        ),
    )
    assert statuses(found) == ["201", "403", "403", "200"]
    assert "locations:write" in str(found[1]["response"]["outcome"])


async def test_what_http_has_no_route_for_is_refused_here_too(api: Api) -> None:
    asked = {
        "GET SearchParameter/_search": "405",
        "POST SearchParameter/_search?code=end": "200",
        "DELETE SearchParameter/Slot-end": "405",
        "PUT Patient/$everything": "405",
        "DELETE Patient/_search": "405",
        "PUT _history": "405",
        "POST metadata": "405",
        "PATCH Patient/1/_history/1": "405",
        "GET Patient/$unheard": "404",
        "GET Patient/_unheard": "400",
        "GET unheard": "404",
    }
    calls = [one.partition(" ") for one in asked]
    entries = [entry(method, url, None if "_search?" in url else person()) for method, _, url in calls]
    found = statuses(await done(api, bundle("batch", *entries)))
    assert dict(zip(asked, found, strict=True)) == asked


async def test_an_entry_that_names_nothing_to_write_leaves_the_others(api: Api) -> None:
    nowhere = [entry(method, "/", person()) for method in ("PUT", "PATCH")]
    gone = [entry("DELETE", "/"), entry("DELETE", "AppointmentResponse/never")]
    found = await done(api, bundle("batch", *nowhere, *gone, entry("POST", "Patient", person())))
    assert statuses(found) == ["405", "405", "405", "204", "201"]


async def test_heads_and_deletions_and_what_was_not_modified(api: Api) -> None:
    await done(api, bundle("batch", *(entry("PUT", f"Patient/{n}", person(id=n)) for n in "ab")))
    await done(api, bundle("batch", entry("DELETE", "Patient/b")))
    found = await done(
        api,
        bundle(
            "batch",
            entry("HEAD", "Patient/a"),
            entry("GET", "Patient/a", ifModifiedSince="2024-01-15T10:00:00Z"),
            entry("GET", "Patient/b"),
        ),
    )
    assert statuses(found) == ["200", "304", "410"]
    assert "resource" not in found[0]
    told = {"etag": 'W/"1"', "lastModified": "2024-01-15T10:00:00.000Z"}  # as HTTP's 304 has both
    assert [found[place]["response"] for place in (0, 1)] == [
        told | {"status": s} for s in ("200 OK", "304 Not Modified")
    ]
    assert found[2]["response"]["etag"] == 'W/"2"'


async def test_what_was_not_modified_is_told_to_the_millisecond(api: Api, clock: Clock) -> None:
    for name in ("One", "Two"):
        clock.advance(seconds=0.077)
        await done(api, bundle("batch", entry("PUT", "Patient/a", person(name, id="a"))))
    moments = ("10:00:00.077Z", "10:00:00.153Z", "10:00:00.154Z", "10:00:01Z")
    asked = [entry("GET", "Patient/a", ifModifiedSince=f"2024-01-15T{moment}") for moment in moments]
    assert statuses(await done(api, bundle("batch", *asked))) == ["200", "200", "304", "304"]


async def test_a_clash_of_identifiers_is_found_alone(api: Api) -> None:
    number = [{"system": "https://mediloop.co/fhir/sid/appointment-number", "value": "APT-2024-000001"}]
    body = {
        name: value for name, value in appointment("x", status="proposed", identifier=number).items() if name != "id"
    }
    found = await done(api, bundle("batch", *(entry("POST", "Appointment", body) for _ in range(2))))
    assert sorted(statuses(found)) == ["201", "409"]


async def test_what_may_have_been_done_is_not_done_again(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = store.transact

    async def lost(step: Any, **how: Any) -> Any:
        await transact(step, **how)
        raise Unreachable("no answer")

    monkeypatch.setattr(store, "transact", lost)
    body = bundle("batch", *(entry("POST", "Patient", person()) for _ in range(3)), entry("GET", "Patient"))
    found = await done(api, body)
    assert statuses(found) == ["503", "503", "503", "200"]
    assert found[3]["resource"]["total"] == 3


async def test_a_fault_in_what_is_done_together_leaves_what_was_done_before(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def faulty(*given: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 2:
            raise RuntimeError("Auma")
        return await carry_out(*given)

    monkeypatch.setattr(batches, "carry_out", faulty)
    monkeypatch.setattr(batches, "_TOGETHER", 2)
    found = await done(api, bundle("batch", *(entry("POST", "Patient", person()) for _ in range(5))))
    assert statuses(found) == ["201", "201", "500", "500", "201"]
    [issue] = found[2]["response"]["outcome"]["issue"]
    assert issue["details"]["coding"][0]["code"] == "api_error"
    assert "Whether this entry was done is not known" in issue["diagnostics"]
    assert "Auma" not in str(found[2:4])


@pytest.mark.parametrize(
    ("error", "status"),
    [(Unreachable("no answer"), "503"), (Oversized("too much"), "413"), (RuntimeError("Auma"), "500")],
)
async def test_a_fault_in_one_entry_leaves_the_others(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    replied = responses.replied

    def faulty(call: Any, one: Any, reply: Any) -> bytes:
        if one.index == 1:
            raise error
        return replied(call, one, reply)

    monkeypatch.setattr(responses, "replied", faulty)
    found = await done(api, bundle("batch", *(entry("GET", "Patient") for _ in range(3))))
    assert statuses(found) == ["200", status, "200"]
    assert "Auma" not in str(found)


@pytest.mark.parametrize(
    "refused",
    [
        Refused(Problem("conflict", "Somebody was faster."), status=409),
        AlreadyExists("Patient/a"),
        NotUnique("Patient/a"),
        Oversized("more than one transaction takes"),
    ],
)
async def test_what_names_no_entry_sends_each_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch, refused: Exception
) -> None:
    async def unnamed(*_: Any) -> Any:
        raise refused

    monkeypatch.setattr(batches, "carry_out", unnamed)
    assert (
        statuses(await done(api, bundle("batch", *(entry("POST", "Patient", person()) for _ in range(3)))))
        == ["201"] * 3
    )


async def test_a_batch_may_take_long_while_mongodb_answers(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = store.transact

    async def slow(step: Callable[..., Any], **how: Any) -> Any:
        result = await transact(step, **how)
        deadline = connection._deadline.get()
        assert deadline is not None
        deadline._end = 0.0  # that is how long it took
        return result

    monkeypatch.setattr(store, "transact", slow)
    monkeypatch.setattr(batches, "_TOGETHER", 2)
    plain = [entry("PUT", f"Patient/{n}", person(id=n)) for n in "abcd"]
    after_each_other = [entry("PUT", "Patient/a", person(id="a", active=active)) for active in (True, False)]
    found = await done(api, bundle("batch", *plain, *after_each_other, entry("GET", "Patient/a")))
    assert statuses(found) == ["201"] * 4 + ["200"] * 3


@pytest.fixture
def small_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MAX_ANSWER_BYTES", 5_000)


LONG: Json = {"text": {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{"x" * 2_000}</div>'}}


async def test_reads_beyond_the_largest_answer_are_refused_in_their_entries(
    api: Api, small_answers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await done(api, bundle("batch", entry("PUT", "Patient/long", person(id="long", **LONG))))
    read: list[str] = []
    real = Store.read

    async def noted(store: Store, kind: str, name: str) -> bytes | None:
        read.append(name)
        return await real(store, kind, name)

    monkeypatch.setattr(Store, "read", noted)
    heads = [entry("HEAD", "Patient/long") for _ in range(3)]
    entries = await done(api, bundle("batch", *heads, *(entry("GET", "Patient/long") for _ in range(40))))
    assert statuses(entries) == ["200"] * 5 + ["413"] * 38
    assert len(read) < 43, "what can no longer be shown is not read"
    [issue] = entries[-1]["response"]["outcome"]["issue"]
    assert (issue["code"], issue["details"]["coding"][0]["code"]) == ("too-costly", "answer_too_large")


@pytest.mark.parametrize("at_once", [1, 16])
async def test_what_was_done_is_told_without_what_does_not_fit(
    api: Api, small_answers: None, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(batches, "_AT_ONCE", at_once)
    writes = [entry("PUT", f"Patient/{n}", person(id=str(n), **LONG)) for n in range(5)]
    patch = {
        "resourceType": "Parameters",
        "parameter": [{"name": "operation", "part": [
            {"name": "type", "valueCode": "replace"},
            {"name": "path", "valueString": "Patient.name[0].family"},
            {"name": "value", "valueString": "New"},
        ]}],
    }  # fmt: skip
    for kind in ("batch", "transaction"):
        entries = await done(api, bundle(kind, *writes, entry("GET", "Patient/0")), prefer="return=representation")
        assert statuses(entries)[:5] == ["201" if kind == "batch" else "200"] * 5
        assert statuses(entries)[5:] == ["413"]
        assert ["resource" in one for one in entries] == [True, True, False, False, False, False]
        assert all("location" in one["response"] for one in entries[:5])
    alone = [entry("PATCH", f"Patient/{n}", patch) for n in range(5)]
    entries = await done(api, bundle("batch", *alone), prefer="return=representation")
    assert statuses(entries) == ["200"] * 5
    assert sum("resource" in one for one in entries) == 2
    assert (await stored(api, "Patient/4"))["name"] == [{"family": "New"}]


async def test_a_transaction_whose_reads_are_too_large_is_not_begun(api: Api, small_answers: None) -> None:
    await done(api, bundle("batch", entry("PUT", "Patient/long", person(id="long", **LONG))))
    reads = [entry("GET", "Patient/long") for _ in range(9)]
    answer = await send(api, bundle("transaction", *reads, entry("PUT", "Patient/new", person(id="new"))))
    assert answer.status_code == 413
    [issue] = answer.json()["issue"]
    assert (issue["code"], issue["expression"]) == ("too-costly", ["Bundle.entry[2]"])
    assert await count(api, "Patient?_id=new") == 0


async def test_heads_take_nothing_of_the_largest_answer_in_a_transaction_either(api: Api, small_answers: None) -> None:
    await done(api, bundle("batch", entry("PUT", "Patient/long", person(id="long", **LONG))))
    heads = [entry("HEAD", "Patient/long") for _ in range(9)]
    assert statuses(await done(api, bundle("transaction", *heads, entry("GET", "Patient/long")))) == ["200"] * 10
