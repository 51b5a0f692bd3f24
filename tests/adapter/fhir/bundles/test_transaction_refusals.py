"""What fails a transaction: everything that is wrong is told at once, and nothing is done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapter.errors import Problem, Refused
from adapter.fhir.bundles import transactions
from adapter.fhir.writing import carry_out
from store.codec import encode
from store.errors import AlreadyExists, NotUnique, Unreachable
from store.store import Store
from tests.adapter.fhir.bundles.sending import (
    BASE,
    NO_PATCH,
    ROOT,
    Json,
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
from tests.conftest import Api, ApiMaker


async def test_everything_that_is_wrong_is_told_at_once(api: Api) -> None:
    answer = await send(
        api,
        bundle(
            "transaction",
            entry("POST", "Patient", person("Half")),
            entry("POST", "Appointment", visit("Patient/1", status="foo")),
            entry("PUT", "Patient/a", person(id="b")),
            entry("POST", "Patient", person(birthDate="yesterday", gender="m")),
            entry("GET", "Patient/"),
            entry("PUT", "Patient/c", person()),
        ),
    )
    assert issues(answer, 400) == [
        ("code-invalid", "Bundle.entry[1].resource.status"),
        ("value", "Bundle.entry[2].resource.id"),
        ("value", "Bundle.entry[3].resource.birthDate"),
        ("code-invalid", "Bundle.entry[3].resource.gender"),
        ("value", "Bundle.entry[4].request.url"),
        ("value", "Bundle.entry[5].resource.id"),
    ]
    assert await count(api, "Patient") == 0


async def test_json_that_fhir_does_not_allow_hides_nothing_else_that_is_wrong(api: Api) -> None:
    wrong = {"resourceType": "Schedule", "actor": [], "serviceType": ["1"], "foo": 1}
    answer = await send(
        api,
        bundle(
            "transaction",
            entry("POST", "Schedule", wrong),
            entry("POST", "Patient", person(gender="m", link=[{}]), urn(1)),
            entry("PATCH", "Patient/a", {**NO_PATCH, "meta": {}}),
            entry("POST", "Schedule", {"resourceType": "Schedule", "actor": [{"reference": urn(1)}], "foo": 2}),
        ),
    )
    assert [place for _, place in issues(answer, 400)] == [
        "Bundle.entry[0].resource.actor",
        "Bundle.entry[0].resource.serviceType[0]",
        "Bundle.entry[0].resource.foo",
        "Bundle.entry[1].resource.link[0]",
        "Bundle.entry[1].resource.gender",
        "Bundle.entry[1].resource.link[0].other",
        "Bundle.entry[1].resource.link[0].type",
        "Bundle.entry[2].resource.meta",
        "Bundle.entry[3].resource.foo",
    ]


async def test_a_name_that_is_there_twice_is_seen_though_names_are_replaced(api: Api) -> None:
    """What is put together anew for that knows one of the two."""
    both = entry("POST", "Patient", person(), urn(1)), entry("POST", "Appointment", visit(urn(1)))
    raw = encode(bundle("transaction", *both)).replace(b'"status":"proposed"', b'"status":"x","status":"proposed"')
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/fhir+json"}
    answer = await api.http.post(BASE, content=raw, headers=headers)
    assert issues(answer, 400) == [("structure", "Bundle.entry[1].resource.status")]


async def test_criteria_that_lead_to_what_another_entry_writes_are_refused(api: Api) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/a", identified("1", id="a"))))
    by = entry("PUT", "Patient?identifier=urn:mrn|1", identified("1", active=True))
    answer = await send(api, bundle("transaction", by, entry("PUT", "Patient/a", person(id="a"))))
    assert [code for code, _ in issues(answer, 400)] == ["duplicate"]
    assert (await stored(api, "Patient/a"))["meta"]["versionId"] == "1"


@pytest.mark.parametrize(
    ("deletion", "other"),
    [
        (entry("DELETE", "Patient/a"), entry("DELETE", "Patient?identifier=urn:mrn|1")),
        (entry("DELETE", "Patient/a"), entry("DELETE", "Patient/a")),
        (entry("DELETE", "Patient?identifier=urn:mrn|1"), entry("DELETE", "Patient?identifier=urn:mrn|2")),
        (entry("DELETE", "Patient/a"), entry("PUT", "Patient?identifier=urn:mrn|1", identified("1"))),
        (entry("DELETE", "Patient?identifier=urn:mrn|2"), entry("PUT", "Patient?identifier=urn:mrn|1", person())),
        (entry("DELETE", "Patient/a"), entry("PATCH", "Patient?identifier=urn:mrn|1", NO_PATCH)),
        (entry("DELETE", "Patient?identifier=urn:mrn|1"), entry("PUT", "Patient/a", identified("3", id="a"))),
    ],
)
@pytest.mark.parametrize("refers", [False, True])
async def test_what_is_deleted_is_not_written_by_criteria_as_well(
    api: Api, deletion: Json, other: Json, refers: bool
) -> None:
    """https://hl7.org/fhir/R4/http.html#trules: resource identities, resolved ones too, must not overlap."""
    both = [{"system": "urn:mrn", "value": value} for value in "12"]
    await done(api, bundle("transaction", entry("PUT", "Patient/a", person(id="a", identifier=both))))
    await done(api, bundle("transaction", entry("PUT", "Patient/b", identified("9", id="b"))))
    further = [entry("POST", "Appointment", visit("Patient?identifier=urn:mrn|9"))] if refers else []
    for entries in ([deletion, other], [other, deletion]):
        answer = await send(api, bundle("transaction", *entries, *further))
        assert [code for code, _ in issues(answer, 400)] == ["duplicate"]
    assert (await stored(api, "Patient/a"))["meta"]["versionId"] == "1"


async def test_of_several_matches_those_that_are_deleted_do_not_count(api: Api) -> None:
    people = [entry("PUT", f"Patient/{n}", identified("1", id=n)) for n in "ab"]
    await done(api, bundle("transaction", *people))
    update = entry("PUT", "Patient?identifier=urn:mrn|1", identified("1", active=True))
    found = await done(api, bundle("transaction", entry("DELETE", "Patient/a"), update))
    assert ident(found[1]) == "b"
    await done(api, bundle("transaction", *people))
    for entries in ([0, 1], [1, 0]):
        deletions = [entry("DELETE", "Patient/a"), entry("DELETE", "Patient?identifier=urn:mrn|1")]
        answer = await send(api, bundle("transaction", *(deletions[one] for one in entries)))
        assert [code for code, _ in issues(answer, 412)] == ["multiple-matches"], "in whatever order they stand"


async def test_what_is_wrong_with_reads_and_writes_is_told_together(api: Api) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/rev", person(id="rev"))))
    wrong = [
        entry("PUT", "Patient/rev", person(id="rev"), ifMatch='W/"9"'),
        entry("POST", "Patient", person(gender="m")),
        entry("GET", "Foo/1"),
        entry("DELETE", "Observation/1"),
        entry("GET", "Patient?birthdate=soon"),
        entry("DELETE", "Patient/rev"),
        entry("PUT", "Patient?identifier=1", person()),
        entry("PUT", "Patient?identifier=1", person()),
        entry("POST", "Appointment", visit("Device?identifier=1", status="foo")),
        entry("GET", "Patient/never"),
    ]
    answer = await send(api, bundle("transaction", *wrong))
    assert issues(answer, 400) == [
        ("code-invalid", "Bundle.entry[1].resource.gender"),
        ("not-supported", "Bundle.entry[2]"),
        ("not-supported", "Bundle.entry[3]"),
        ("value", "Bundle.entry[4]"),
        ("duplicate", "Bundle.entry[5]"),
        ("duplicate", "Bundle.entry[7]"),
        ("code-invalid", "Bundle.entry[8].resource.status"),
        ("not-found", "Bundle.entry[8].resource.participant[0].actor.reference"),
    ]
    assert issues(await send(api, bundle("transaction", wrong[0], wrong[9])), 412) == [
        ("conflict", "Bundle.entry[0].request.ifMatch")
    ]


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        (entry("POST", "Device", {"resourceType": "Device"}), 404, "not-supported"),
        (entry("GET", "Device"), 404, "not-supported"),
        (entry("GET", "Patient?gender:exact=1"), 400, "not-supported"),
        (entry("GET", "Patient?birthdate=soon"), 400, "value"),
        (entry("DELETE", "Patient/1/_history/1"), 400, "not-supported"),
        (entry("PUT", "Patient/1/Appointment", person()), 400, "not-supported"),
        (entry("POST", "Patient/1", person()), 400, "not-supported"),
        (entry("DELETE", ROOT), 400, "not-supported"),
        (entry("PUT", "SearchParameter/Slot-end", person()), 400, "not-supported"),
        (entry("POST", "Patient/$unheard", {"resourceType": "Parameters"}), 404, "not-supported"),
        (entry("PUT", "Patient", person()), 400, "required"),
        (entry("POST", "Patient", person(), ifNoneExist="unheard=1"), 400, "not-supported"),
        (entry("POST", "Patient", visit("Patient/1")), 400, "structure"),
        (entry("POST", "Appointment", visit(urn(9), slot=[{"reference": "Patient/1"}])), 400, "value"),
        (entry("PUT", "Patient/old", person(id="old"), ifMatch='W/"9"'), 412, "conflict"),
        (entry("PUT", "Patient/old", person(id="old"), ifNoneMatch="*"), 412, "conflict"),
        (entry("DELETE", "Patient?_id=never", ifMatch='W/"1"'), 412, "conflict"),
        (entry("POST", "Patient", person(), ifMatch='W/"1"'), 412, "conflict"),
        (entry("PATCH", "Patient/never", {"resourceType": "Parameters"}), 404, "not-found"),
        (entry("PUT", "Patient/twice", person(id="twice")), 400, "duplicate"),
    ],
)
async def test_one_wrong_entry_fails_the_whole(api: Api, wrong: Json, status: int, code: str) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/old", person(id="old"))))
    good = entry("PUT", "Patient/twice", person("Half", id="twice"))
    answer = await send(api, bundle("transaction", good, wrong))
    assert code in [found for found, place in issues(answer, status) if str(place).startswith("Bundle.entry[1]")]
    assert await count(api, "Patient?family=Half") == 0


async def test_a_method_that_an_entry_may_not_have_is_not_said_to_be_wrong_of_the_transaction(api: Api) -> None:
    wrong = [entry("DELETE", "Patient/1/_history/1"), entry("DELETE", "_history")]
    for entries in (wrong[:1], wrong):
        answer = await send(api, bundle("transaction", *entries))
        expected = [("not-supported", f"Bundle.entry[{place}]") for place in range(len(entries))]
        assert (issues(answer, 400), "allow" in answer.headers) == (expected, False)


async def test_a_part_of_a_resource_is_not_stored(api: Api) -> None:
    tag = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
    answer = await send(api, bundle("transaction", entry("POST", "Patient", person(meta={"tag": [tag]}))))
    assert issues(answer, 422) == [("business-rule", "Bundle.entry[0].resource.meta.tag[0]")]
    wrong = person(id="b", gender="m", meta={"tag": [tag]})
    assert issues(await send(api, bundle("transaction", entry("PUT", "Patient/a", wrong))), 400) == [
        ("code-invalid", "Bundle.entry[0].resource.gender"),
        ("value", "Bundle.entry[0].resource.id"),
        ("business-rule", "Bundle.entry[0].resource.meta.tag[0]"),
    ]


async def test_a_transaction_that_only_reads_tells_what_is_not_there(api: Api) -> None:
    for method in ("PUT", "DELETE"):
        await done(api, bundle("transaction", entry(method, "Patient/gone", person(id="gone"))))
    reads = [entry("GET", url) for url in ("Patient/never", "Patient/gone", "Patient")]
    found = await done(api, bundle("transaction", *reads))
    assert statuses(found) == ["404", "410", "200"]
    revived = await done(api, bundle("transaction", *reads, entry("PUT", "Patient/gone", person(id="gone"))))
    assert statuses(revived) == ["404", "200", "200", "201"]
    validate = entry("POST", "Patient/$validate", person(birthDate="x"))
    [told] = await done(api, bundle("transaction", validate))
    assert told["resource"]["issue"][0]["expression"] == ["Patient.birthDate"]


@pytest.mark.parametrize(
    ("one", "lacking"),
    [
        (entry("POST", "Slot", {"resourceType": "Slot"}), "slots:write"),
        (entry("GET", "Slot"), "slots:read"),
        (entry("POST", "Patient", person(), ifNoneExist="name=x"), "patients:read"),
        (entry("DELETE", "Patient?name=x"), "patients:read"),
        (entry("PATCH", "Patient/x", NO_PATCH), "patients:read"),
        (entry("POST", "Appointment", visit("Practitioner?name=x")), "practitioners:read"),
    ],
)
async def test_what_the_key_may_not_do_fails_the_whole(api: Api, make_api: ApiMaker, one: Json, lacking: str) -> None:
    limited: Api = await make_api(api.service, granted=["patients:write", "appointments:read,write"])
    answer = await send(limited, bundle("transaction", entry("POST", "Patient", person("Half")), one))
    assert [code for code, _ in issues(answer, 403)] == ["forbidden"]
    assert lacking in answer.text
    assert await count(api, "Patient?family=Half") == 0


async def test_unique_identifiers_meet_across_entries(api: Api) -> None:
    number = [{"system": "https://mediloop.co/fhir/sid/appointment-number", "value": "APT-2024-000001"}]
    one = entry("POST", "Appointment", visit("Patient/1", identifier=number))
    answer = await send(api, bundle("transaction", entry("POST", "Patient", person("Half")), one, one))
    assert issues(answer, 409) == [("duplicate", "Bundle.entry[2]")]
    assert await count(api, "Patient?family=Half") == 0


@pytest.mark.parametrize("way", ["PUT", "POST", "PATCH"])
async def test_an_identifier_that_is_taken_is_told_of_the_entry_that_brings_it(api: Api, way: str) -> None:
    number = {"system": "https://mediloop.co/fhir/sid/appointment-number", "value": "APT-2024-000001"}
    taken, free = visit("Patient/1", identifier=[number]), visit("Patient/1") | {"id": "two"}
    await done(api, bundle("transaction", entry("POST", "Appointment", taken), entry("PUT", "Appointment/two", free)))
    one = {
        "PUT": entry("PUT", "Appointment/two", taken | {"id": "two"}),
        "POST": entry("POST", "Appointment", taken, ifNoneExist="identifier=none"),
        "PATCH": entry("PATCH", "Appointment?_id=two", adding("/identifier", [number])),
    }[way]
    answer = await send(
        api,
        bundle(
            "transaction",
            entry("DELETE", "Patient/1"),
            entry("GET", "Patient"),
            one,
            entry("POST", "Patient", person("Half")),
        ),
    )
    assert issues(answer, 409) == [("duplicate", "Bundle.entry[2]")]
    assert await count(api, "Patient?family=Half") == 0


@pytest.mark.parametrize(
    "refused",
    [
        Refused(Problem("conflict", "Somebody was faster."), status=409),
        AlreadyExists("Somebody has made it."),
        NotUnique("Somebody has it.", "Patient/of-nobody-here"),
    ],
)
async def test_what_is_about_no_entry_is_told_of_none(
    api: Api, monkeypatch: pytest.MonkeyPatch, refused: Exception
) -> None:
    async def unnamed(*_: Any, **__: Any) -> Any:
        raise refused

    monkeypatch.setattr(transactions, "carry_out", unnamed)
    answer = await send(api, bundle("transaction", *(entry("POST", "Patient", person()) for _ in range(2))))
    assert [place for _, place in issues(answer, 409)] == [None]


async def test_too_slow_is_told_and_half_of_it_is_not_done(api: Api, store: Store, monkeypatch: Any) -> None:
    async def slow(*arguments: Any, **named: Any) -> Any:
        found = await carry_out(*arguments, **named)
        await asyncio.sleep(1)
        return found

    monkeypatch.setattr("adapter.fhir.bundles.transactions.carry_out", slow)
    monkeypatch.setattr(store, "_patience", 0.3)
    answer = await send(api, bundle("transaction", *(entry("POST", "Patient", person("Half")) for _ in range(3))))
    assert issues(answer, 503) == [("timeout", "Bundle")]
    assert answer.headers["retry-after"] == "1"
    assert await count(api, "Patient?family=Half") == 0


async def test_a_read_that_fails_after_the_writes_is_told_beside_them(api: Api, store: Store, monkeypatch: Any) -> None:
    calls = iter([False, True])
    read = store.read

    async def flaky(kind: str, name: str) -> bytes | None:
        if next(calls):
            raise Unreachable("gone")
        return await read(kind, name)

    monkeypatch.setattr(store, "read", flaky)
    body = bundle("transaction", entry("GET", "Patient/a"), entry("PUT", "Patient/a", person(id="a")))
    assert statuses(await done(api, body)) == ["503", "201"]


async def test_of_thousands_of_problems_a_thousand_are_told(api: Api) -> None:
    wrong = {"resourceType": "Patient"} | {f"no{number}": 1 for number in range(99)}
    answer = await send(api, bundle("transaction", *[entry("POST", "Patient", wrong)] * 30))
    assert answer.status_code == 400
    *named, last = answer.json()["issue"]
    assert len(named) == 1_000
    assert last["diagnostics"].startswith(f"There are {30 * 99 - 1_000} further problems.")
    assert "expression" not in last
