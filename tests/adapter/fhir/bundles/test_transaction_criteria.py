"""Transactions whose writes and references go by criteria: conditional writes, and references by search."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from store.store import Store
from tests.adapter.fhir.bundles.sending import (
    BASE,
    NO_PATCH,
    ROOT,
    Json,
    actors,
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
from tests.adapter.mediloop.clinic import appointment, open_clinic
from tests.conftest import Api


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


@pytest.mark.parametrize(
    ("criteria", "meant"),
    [
        ("identifier=urn:mrn|new", "new"),
        ("identifier=NEW", "new"),
        ("identifier=urn:mrn|old", "old"),
        # By these only what is stored is looked for, also where it is replaced.
        ("identifier=urn:mrn|", "old"),
        ("_id=old", "old"),
    ],
)
async def test_a_reference_by_identifier_counts_what_the_transaction_writes(
    api: Api, criteria: str, meant: str
) -> None:
    """https://hl7.org/fhir/R4/http.html#trules: conditional references are resolved when all is written."""
    await done(api, bundle("transaction", entry("PUT", "Patient/old", identified("before", id="old"))))
    found = await done(
        api,
        bundle(
            "transaction",
            entry("POST", "Appointment", visit(f"Patient?{criteria}")),
            entry("POST", "Patient", identified("new"), urn(1)),
            entry("PUT", "Patient/old", identified("old", id="old")),
        ),
    )
    whom = "Patient/old" if meant == "old" else f"Patient/{ident(found[1])}"
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
            entry("POST", "Appointment", visit(f"{ROOT.replace('http:', 'https:')}/{by(2)}")),
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


def kin(patient: str = urn(1)) -> Json:
    return {"resourceType": "RelatedPerson", "patient": {"reference": patient}}


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("patient", urn(1)),
        ("patient:Patient", urn(1).upper()),
        ("patient", f"Patient/a,{urn(1)}"),
        ("patient.link", "urn:oid:1.2.3"),
        ("_has:Patient:link:organization", urn(1)),
    ],
)
async def test_criteria_by_the_name_of_an_entry_would_match_nobody(api: Api, member: str, name: str) -> None:
    asked, url = f"{member}={name}", "Bundle.entry[1].request.url"
    for one, where in (
        (entry("POST", "RelatedPerson", kin(), ifNoneExist=asked), "Bundle.entry[1].request.ifNoneExist"),
        (entry("PUT", f"RelatedPerson?{asked}", kin()), url),
        (entry("PATCH", f"RelatedPerson?{asked}", NO_PATCH), url),
        (entry("DELETE", f"RelatedPerson?{asked}"), url),
    ):
        answer = await send(api, bundle("transaction", entry("POST", "Patient", person(), urn(1)), one))
        assert issues(answer, 400) == [("value", where)]
        assert f"'{member}'" in answer.text
        assert "patient.identifier=system|value" in answer.text
    assert await count(api, "Patient") == 0


async def test_criteria_by_the_identifier_of_an_entry_are_met_the_second_time(api: Api) -> None:
    criteria = "patient.identifier=urn:ine|1"
    body = bundle(
        "transaction",
        entry("POST", "Patient", identified("1", "urn:ine"), urn(1), ifNoneExist="identifier=urn:ine|1"),
        entry("POST", "RelatedPerson", kin(), ifNoneExist=criteria),
        entry("DELETE", "RelatedPerson?identifier=urn:oid:1.2.3|4"),
    )
    assert [statuses(await done(api, body)) for _ in range(2)] == [["201", "201", "204"], ["200", "200", "204"]]


@pytest.mark.parametrize("below", ["", f"{ROOT}/"])
async def test_a_plus_that_may_be_a_blank_is_refused_where_it_stands(api: Api, below: str) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/known", identified("A+B", id="known"))))
    by = "identifier=urn:mrn|{}".format
    body = bundle(
        "transaction",
        entry("POST", "Patient", identified("A+B"), ifNoneExist=by("A+B")),
        entry("POST", "Appointment", visit("Patient/known", f"{below}Patient?{by('A+B')}")),
    )
    answer = await send(api, body)
    assert issues(answer, 400) == [
        ("value", "Bundle.entry[0].request.ifNoneExist"),
        ("value", "Bundle.entry[1].resource.participant[1].actor.reference"),
    ]
    assert answer.text.count('Write %2B for a plus, %20 for a blank."}') == 2
    found = await done(
        api,
        bundle(
            "transaction",
            entry("POST", "Patient", identified("A+B"), ifNoneExist=by("A%2BB")),
            entry("POST", "Appointment", visit(f"{below}Patient?{by('A%2BB')}")),
        ),
    )
    assert statuses(found) == ["200", "201"]
    assert actors(await stored(api, f"Appointment/{ident(found[1])}")) == ["Patient/known"]


@pytest.mark.parametrize("criteria", ["_id=known", "identifier=urn:mrn|1"])
async def test_only_a_reference_is_one_by_criteria(api: Api, criteria: str) -> None:
    """https://hl7.org/fhir/R4/http.html#trules: a conditional reference is a reference; a uri may hold any address."""
    search = f"Patient?{criteria}"
    link = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{search}">x</a></div>'
    await done(api, bundle("transaction", entry("PUT", "Patient/known", identified("1", id="known"))))
    members: Json = {"text": {"status": "additional", "div": link}, "extension": [{"url": "urn:e", "valueUri": search}]}
    asked = visit(search, **members)
    found = await done(api, bundle("transaction", entry("POST", "Appointment", asked)))
    made = await stored(api, f"Appointment/{ident(found[0])}")
    assert actors(made) == ["Patient/known"]
    assert {name: made[name] for name in members} == members


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


@pytest.mark.parametrize("url", ["Patient/a", "Patient?identifier=urn:mrn|1"])
async def test_what_is_deleted_is_known_by_no_name(api: Api, url: str) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/a", identified("1", id="a"))))
    deletion, booked = entry("DELETE", url, full=urn(1)), entry("POST", "Appointment", visit(urn(1)))
    answer = await send(api, bundle("transaction", deletion, booked))
    assert issues(answer, 400) == [("value", "Bundle.entry[1].resource.participant[0].actor.reference")]
    assert await count(api, "Patient") == 1


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


async def test_a_duplicate_is_deleted_and_what_stays_is_changed_by_the_criteria_of_both(api: Api) -> None:
    """For the criteria of a deletion, though, everything is still there."""
    by = "Patient?identifier=urn:mrn|1"
    await done(
        api, bundle("transaction", *(entry("PUT", f"Patient/{n}", identified("1", id=n)) for n in ("kept", "twin")))
    )
    whole = entry("DELETE", "Patient/twin")
    assert issues(await send(api, bundle("transaction", whole, entry("DELETE", by))), 412) == [
        ("multiple-matches", "Bundle.entry[1]")
    ]
    found = await done(api, bundle("transaction", entry("PUT", by, identified("1", gender="female")), whole))
    assert statuses(found) == ["200", "204"]
    assert found[0]["response"]["location"] == "Patient/kept/_history/2"
    assert (await api.get(f"{BASE}/Patient/twin")).status_code == 410


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


@pytest.mark.parametrize("criteria", ["identifier=urn:mrn|1", "family=Auma"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_the_same_criteria_twice_would_make_two(api: Api, method: str, criteria: str) -> None:
    def one(number: int) -> Json:
        if method == "POST":
            return entry("POST", "Patient", person(), urn(number), ifNoneExist=criteria)
        return entry("PUT", f"Patient?{criteria}", person(), urn(number))

    for before in ([], [entry("DELETE", f"Patient?{criteria}")]):
        answer = await send(api, bundle("transaction", *before, one(1), one(2)))
        assert issues(answer, 400) == [("duplicate", f"Bundle.entry[{len(before) + 1}]")]
        assert answer.json()["issue"][0]["diagnostics"].startswith(f"Entry {len(before)} has the same criteria.")
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
