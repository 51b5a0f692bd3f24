"""Transactions: all or nothing, in whatever order they are written down."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from adapter.fhir.writing import carry_out
from store.errors import Unreachable
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
from tests.adapter.mediloop.clinic import JAMES, SARAH, UHID, appointment, open_clinic, practitioner, slot, with_actors
from tests.conftest import Api, ApiMaker

Json = dict[str, Any]
UHIDS = "https://mediloop.co/fhir/sid/uhid"
NO_PATCH = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="}


def visit(*references: str, status: str = "proposed", **members: Any) -> Json:
    """Return an Appointment of these, without an id."""
    actors = [{"actor": {"reference": reference}, "status": "accepted"} for reference in references]
    found = appointment("x", status=status, participant=actors, **members)
    del found["id"]
    return found


def actors(resource: Json) -> list[str]:
    return [one["actor"]["reference"] for one in resource["participant"]]


def adding(path: str, value: Any) -> Json:
    """Return a Binary with a JSON Patch."""
    data = base64.b64encode(json.dumps([{"op": "add", "path": path, "value": value}]).encode()).decode()
    return NO_PATCH | {"data": data}


async def test_an_empty_transaction_is_done_at_once(api: Api) -> None:
    answer = await send(api, bundle("transaction"))
    assert answer.json() == {"resourceType": "Bundle", "type": "transaction-response"}


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


# Conditions.


async def test_a_conditional_create_is_referred_to_as_what_it_found_or_made(api: Api) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/known", identified("1", id="known"))))
    found = await done(
        api,
        bundle(
            "transaction",
            entry("POST", "Appointment", visit(urn(1), urn(2), f"{urn(1)}/_history/1")),
            entry("POST", "Patient", identified("1"), urn(1), ifNoneExist="identifier=urn:mrn|1"),
            entry("POST", "Patient", identified("2"), urn(2), ifNoneExist="identifier=urn:mrn|2"),
        ),
    )
    assert statuses(found) == ["201", "200", "201"]
    assert found[1]["response"]["location"] == "Patient/known/_history/1"
    made = await stored(api, f"Appointment/{ident(found[0])}")
    assert actors(made) == ["Patient/known", f"Patient/{ident(found[2])}", "Patient/known/_history/1"]


async def test_a_conditional_update_is_referred_to_as_what_it_found_or_made(api: Api) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/known", identified("1", id="known"))))
    found = await done(
        api,
        bundle(
            "transaction",
            entry("PUT", "Patient?identifier=urn:mrn|1", identified("1", active=True), urn(1)),
            entry("PUT", "Patient?identifier=urn:mrn|2", identified("2"), urn(2)),
            entry("PUT", "Patient?identifier=urn:mrn|3", identified("3", id="mine"), urn(3)),
            entry("POST", "Appointment", visit(urn(1), urn(2), urn(3), f"{urn(1)}/_history/1")),
        ),
    )
    assert statuses(found) == ["200", "201", "201", "201"]
    made = actors(await stored(api, f"Appointment/{ident(found[3])}"))
    assert made == ["Patient/known", f"Patient/{ident(found[1])}", "Patient/mine", "Patient/known/_history/2"]
    assert (await stored(api, "Patient/known"))["active"] is True


async def test_conditional_patch_and_delete(api: Api) -> None:
    people = (entry("PUT", f"Patient/{n}", identified(n, id=n)) for n in ("1", "2"))
    await done(api, bundle("transaction", *people))
    parts: list[Json] = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "managingOrganization"},
        {"name": "value", "valueReference": {"reference": urn(1)}},
    ]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    clinic = {"resourceType": "Organization", "name": "Clinic", "identifier": [{"value": "c"}]}
    found = await done(
        api,
        bundle(
            "transaction",
            entry("PATCH", "Patient?identifier=urn:mrn|1", patch),
            entry("DELETE", "Patient?identifier=urn:mrn|2"),
            entry("DELETE", "Patient?identifier=urn:mrn|3"),
            entry("POST", "Organization", clinic, urn(1)),
        ),
    )
    assert statuses(found) == ["200", "204", "204", "201"]
    assert (await stored(api, "Patient/1"))["managingOrganization"] == {"reference": f"Organization/{ident(found[3])}"}
    assert await count(api, "Patient") == 1
    again = entry("POST", "Organization", clinic, urn(1), ifNoneExist="identifier=c")
    parts[0]["valueCode"] = "replace"
    parts[1]["valueString"] = "Patient.managingOrganization"
    del parts[2]
    body = bundle("transaction", entry("PATCH", "Patient/1", patch), again)
    assert statuses(await done(api, body)) == ["200", "200"]
    assert (await stored(api, "Patient/1"))["managingOrganization"] == {"reference": f"Organization/{ident(found[3])}"}


async def test_a_json_patch_comes_in_a_binary(api: Api) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/a", person(id="a"))))
    data = base64.b64encode(json.dumps([{"op": "add", "path": "/active", "value": True}]).encode()).decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}
    assert statuses(await done(api, bundle("transaction", entry("PATCH", "Patient/a", binary)))) == ["200"]
    assert (await stored(api, "Patient/a"))["active"] is True
    answer = await send(api, bundle("transaction", entry("PATCH", "Patient/a", person())))
    assert issues(answer, 400)[0][1] == "Bundle.entry[0]"


async def test_references_by_criteria_need_exactly_one_match(api: Api) -> None:
    people = (entry("PUT", f"Patient/{n}", identified(n[0], id=n)) for n in ("1", "2a", "2b"))
    await done(api, bundle("transaction", *people))
    by = "Patient?identifier=urn:mrn|{}".format
    found = await done(
        api, bundle("transaction", *(entry("POST", "Appointment", visit(by("1"), by("1"))) for _ in range(2)))
    )
    for one in found:
        assert actors(await stored(api, f"Appointment/{ident(one)}")) == ["Patient/1", "Patient/1"]
    place = "Bundle.entry[1].resource.participant[1].actor.reference"
    for value, status, code in (
        (by("2"), 412, "multiple-matches"),
        (by("3"), 412, "not-found"),
        ("Patient?unheard=1", 400, "not-supported"),
        ("Patient?name=%FF", 400, "value"),
        ("Device?identifier=1", 400, "not-found"),
    ):
        wrong = visit("Patient/1", value)
        answer = await send(api, bundle("transaction", entry("GET", "Patient"), entry("POST", "Appointment", wrong)))
        assert (code, place) in issues(answer, status), value
        assert value not in answer.text
    assert await count(api, "Appointment") == 2


@pytest.mark.parametrize("value", ["urn:mrn|new", "NEW", "urn:mrn|old"])
async def test_a_reference_by_identifier_counts_what_the_transaction_writes(api: Api, value: str) -> None:
    """https://hl7.org/fhir/R4/http.html#trules: conditional references are resolved when all is written."""
    await done(api, bundle("transaction", entry("PUT", "Patient/old", identified("before", id="old"))))
    found = await done(
        api,
        bundle(
            "transaction",
            entry("POST", "Appointment", visit(f"Patient?identifier={value}")),
            entry("POST", "Patient", identified("new"), urn(1)),
            entry("PUT", "Patient/old", identified("old", id="old")),
        ),
    )
    whom = "Patient/old" if value.endswith("old") else f"Patient/{ident(found[1])}"
    assert actors(await stored(api, f"Appointment/{ident(found[0])}")) == [whom]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("urn:mrn|1", "multiple-matches"),
        ("urn:mrn|2", "multiple-matches"),
        ("urn:mrn|before", "not-found"),
        ("urn:mrn|gone", "not-found"),
        ("urn:other|2", "not-found"),
        ("urn:mrn|x,y", "not-found"),
    ],
)
async def test_a_reference_by_identifier_means_one_of_all(api: Api, value: str, code: str) -> None:
    people = {"a": "1", "b": "before", "c": "gone"}
    await done(
        api, bundle("transaction", *(entry("PUT", f"Patient/{n}", identified(v, id=n)) for n, v in people.items()))
    )
    answer = await send(
        api,
        bundle(
            "transaction",
            entry("POST", "Appointment", visit(f"Patient?identifier={value}")),
            entry("POST", "Patient", identified("1")),
            entry("POST", "Patient", identified("2"), urn(1)),
            entry("PUT", "Patient/b", identified("2", id="b")),
            entry("DELETE", "Patient/c"),
        ),
    )
    assert issues(answer, 412) == [(code, "Bundle.entry[0].resource.participant[0].actor.reference")]


async def test_a_reference_by_criteria_may_be_written_below_our_own_base(api: Api, monkeypatch: Any) -> None:
    settings = type(api.service.settings)
    monkeypatch.setattr(settings, "fhir_bases", property(lambda _: ("https://public.example/fhir/R4",)))
    await done(api, bundle("transaction", entry("PUT", "Patient/1", identified("1", id="1"))))
    by = "Patient?identifier=urn:mrn|{}".format
    found = await done(
        api,
        bundle(
            "transaction",
            entry("POST", "Appointment", visit(f"{ROOT}/{by(1)}", f"https://public.example/fhir/R4/{by(1)}")),
            entry("POST", "Appointment", visit(f"{ROOT}/{by(2)}")),
            entry("POST", "Patient", identified("2"), ifNoneExist="identifier=urn:mrn|2"),
        ),
    )
    assert actors(await stored(api, f"Appointment/{ident(found[0])}")) == ["Patient/1", "Patient/1"]
    assert actors(await stored(api, f"Appointment/{ident(found[1])}")) == [f"Patient/{ident(found[2])}"]
    place = "Bundle.entry[0].resource.participant[0].actor.reference"
    for value, status, code in ((by(3), 412, "not-found"), ("Device?name=x", 400, "not-found")):
        answer = await send(api, bundle("transaction", entry("POST", "Appointment", visit(f"{ROOT}/{value}"))))
        assert issues(answer, status) == [(code, place)]
    elsewhere = f"https://elsewhere.example/fhir/R4/{by(1)}"
    found = await done(api, bundle("transaction", entry("POST", "Appointment", visit(elsewhere))))
    assert actors(await stored(api, f"Appointment/{ident(found[0])}")) == [elsewhere]


@pytest.mark.parametrize("name", [urn(7), urn(7).upper(), "urn:oid:1.2.3", f"{urn(7)}/_history/1"])
async def test_a_name_that_no_entry_has_leads_nowhere(api: Api, store: Store, name: str) -> None:
    """Whoever is booked by it would be nobody, and their time free for others."""
    await open_clinic(store)
    booked = appointment(
        "x", participant=[{"actor": {"reference": name, "type": "Practitioner"}, "status": "accepted"}]
    )
    del booked["id"]
    second = visit("Patient/1", name, extension=[{"url": "urn:e", "valueUri": urn(7)}])
    body = bundle(
        "transaction",
        entry("POST", "Patient", person("Half"), urn(1)),
        entry("POST", "Appointment", booked),
        entry("PUT", "Appointment/y", second | {"id": "y"}),
    )
    assert issues(await send(api, body), 400) == [
        ("value", "Bundle.entry[1].resource.participant[0].actor.reference"),
        ("value", "Bundle.entry[2].resource.participant[1].actor.reference"),
    ]
    assert await count(api, "Patient?family=Half") == 0


async def test_a_name_in_capitals_is_the_same_name(api: Api) -> None:
    full = urn(0xC).replace("0c31", "0C31")
    found = await done(
        api,
        bundle(
            "transaction",
            entry("POST", "Patient", identified("1"), full, ifNoneExist="identifier=urn:mrn|1"),
            entry("POST", "Appointment", visit(full.lower(), full)),
        ),
    )
    whom = f"Patient/{ident(found[0])}"
    assert actors(await stored(api, f"Appointment/{ident(found[1])}")) == [whom, whom]


@pytest.mark.parametrize("by", ["Patient/old", "Patient?identifier=urn:mrn|1"])
async def test_what_is_deleted_matches_no_criteria_any_more(api: Api, by: str) -> None:
    asked = entry("POST", "Patient", identified("1"), urn(1), ifNoneExist="identifier=urn:mrn|1")
    await done(api, bundle("transaction", entry("PUT", "Patient/old", identified("1", id="old"))))
    found = await done(
        api, bundle("transaction", entry("POST", "Appointment", visit(urn(1))), asked, entry("DELETE", by))
    )
    assert statuses(found) == ["201", "201", "204"]
    whom = f"Patient/{ident(found[1])}"
    assert actors(await stored(api, f"Appointment/{ident(found[0])}")) == [whom]
    assert (await api.get(f"{BASE}/Patient/old")).status_code == 410
    assert await count(api, "Patient?identifier=urn:mrn|1") == 1
    await done(api, bundle("transaction", *(entry("DELETE", f"Appointment/{ident(found[0])}"), entry("DELETE", whom))))
    await done(api, bundle("transaction", entry("PUT", "Patient/old", identified("1", id="old"))))
    body = bundle(
        "transaction", entry("POST", "Appointment", visit("Patient?identifier=urn:mrn|1")), entry("DELETE", by)
    )
    place = "Bundle.entry[0].resource.participant[0].actor.reference"
    assert issues(await send(api, body), 412) == [("not-found", place)]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_reference_by_the_criteria_of_an_entry_is_to_what_that_makes_or_finds(api: Api, method: str) -> None:
    by = "identifier=urn:mrn|1&gender:missing=true"
    body = identified("1")
    maker = entry("POST", "Patient", body, ifNoneExist=by) if method == "POST" else entry("PUT", f"Patient?{by}", body)
    asked = visit("Patient?gender:missing=true&identifier=urn:mrn|1")
    whom = []
    for expected in ("201", "200"):
        found = await done(api, bundle("transaction", entry("POST", "Appointment", asked), maker))
        assert statuses(found) == ["201", expected]
        whom += actors(await stored(api, f"Appointment/{ident(found[0])}"))
        assert whom[-1] == f"Patient/{ident(found[1])}"
    assert whom[0] == whom[1]


async def test_criteria_that_match_several_fail_the_whole(api: Api) -> None:
    people = (entry("PUT", f"Patient/{n}", identified("1", id=n)) for n in ("a", "b"))
    await done(api, bundle("transaction", *people))
    for one in (
        entry("POST", "Patient", identified("1"), ifNoneExist="identifier=urn:mrn|1"),
        entry("PUT", "Patient?identifier=urn:mrn|1", identified("1")),
        entry("DELETE", "Patient?identifier=urn:mrn|1"),
    ):
        answer = await send(api, bundle("transaction", entry("POST", "Patient", person("Half")), one))
        assert issues(answer, 412) == [("multiple-matches", "Bundle.entry[1]")]
    assert await count(api, "Patient?family=Half") == 0


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_the_same_criteria_twice_would_make_two(api: Api, method: str) -> None:
    def one(number: int) -> Json:
        body = identified("1")
        if method == "POST":
            return entry("POST", "Patient", body, urn(number), ifNoneExist="identifier=urn:mrn|1")
        return entry("PUT", "Patient?identifier=urn:mrn|1", body, urn(number))

    answer = await send(api, bundle("transaction", one(1), one(2)))
    assert issues(answer, 400) == [("duplicate", "Bundle.entry[1]")]
    assert await count(api, "Patient") == 0


async def test_of_rivals_with_the_same_criteria_one_makes_it(api: Api) -> None:
    body = bundle(
        "transaction",
        entry("POST", "Patient", identified("1"), urn(1), ifNoneExist="identifier=urn:mrn|1"),
        entry("POST", "Appointment", visit(urn(1))),
    )
    answers = await asyncio.gather(*(done(api, body) for _ in range(16)))
    assert sorted(statuses(found)[0] for found in answers) == ["200"] * 15 + ["201"]
    assert await count(api, "Patient") == 1
    [whom] = {ident(found[0]) for found in answers}
    assert await count(api, f"Appointment?patient=Patient/{whom}") == 16


# Refusals.


async def test_everything_that_is_wrong_is_told_at_once(api: Api) -> None:
    answer = await send(
        api,
        bundle(
            "transaction",
            entry("POST", "Patient", person("Half")),
            entry("POST", "Appointment", visit("Patient/1", status="foo")),
            entry("PUT", "Patient/a", person(id="b")),
            entry("POST", "Patient", person(birthDate="yesterday", gender="m")),
            entry("GET", "/Patient"),
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
        (entry("DELETE", "Patient/1/_history/1"), 405, "not-supported"),
        (entry("PUT", "Patient/1/Appointment", person()), 405, "not-supported"),
        (entry("POST", "Patient/1", person()), 405, "not-supported"),
        (entry("DELETE", ROOT), 405, "not-supported"),
        (entry("PUT", "SearchParameter/Slot-end", person()), 405, "not-supported"),
        (entry("POST", "Patient/$unheard", {"resourceType": "Parameters"}), 404, "not-supported"),
        (entry("PUT", "Patient", person()), 400, "required"),
        (entry("POST", "Patient", person(), ifNoneExist="unheard=1"), 400, "not-supported"),
        (entry("POST", "Patient", visit("Patient/1")), 400, "structure"),
        (entry("POST", "Appointment", visit(urn(9), slot=[{"reference": "Patient/1"}])), 400, "value"),
        (entry("PUT", "Patient/old", person(id="old"), ifMatch='W/"9"'), 412, "conflict"),
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


async def test_a_part_of_a_resource_is_not_stored(api: Api) -> None:
    tag = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
    answer = await send(api, bundle("transaction", entry("POST", "Patient", person(meta={"tag": [tag]}))))
    assert issues(answer, 422) == [("business-rule", "Bundle.entry[0].resource.meta.tag[0]")]


async def test_a_transaction_that_only_reads_tells_what_is_not_there(api: Api) -> None:
    found = await done(api, bundle("transaction", entry("GET", "Patient/never"), entry("GET", "Patient")))
    assert statuses(found) == ["404", "200"]
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


async def test_too_slow_is_told_and_half_of_it_is_not_done(api: Api, store: Store, monkeypatch: Any) -> None:
    async def slow(*arguments: Any) -> Any:
        found = await carry_out(*arguments)
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
    await done(api, bundle("transaction", entry("PUT", "Appointment/known", noon() | {"id": "known"})))
    found = await send(
        api,
        bundle(
            "transaction",
            entry("GET", "Appointment/known"),
            entry("POST", "Appointment", noon()),
            entry("PUT", "Appointment/own", noon() | {"id": "own"}),
            entry("POST", "Appointment", noon(), ifNoneExist="identifier=none"),
            entry("DELETE", "Patient/none"),
        ),
    )
    places = [f"Bundle.entry[{place}].resource.start" for place in (1, 3, 2)]
    assert sorted(issues(found, 409)) == sorted(("conflict", place) for place in places)
    rivals = {1: (2, 3), 3: (1, 2), 2: (1, 3)}
    for issue in found.json()["issue"]:
        one, other = rivals[int(issue["expression"][0][len("Bundle.entry[")])]
        named = f"In the way in this Bundle: Bundle.entry[{one}], Bundle.entry[{other}]."
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
