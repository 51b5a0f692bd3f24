"""Conditional writes of one transaction that look for the same, however they spell it: it must not come to be twice."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.fhir.bundles.identifiers import sought
from tests.adapter.fhir.bundles.sending import (
    bundle,
    count,
    done,
    entry,
    ident,
    identified,
    issues,
    send,
    statuses,
    stored,
    urn,
)
from tests.conftest import Api

Json = dict[str, Any]


def conditional(method: str, criteria: str, resource: Json, full: str | None = None) -> Json:
    """Return an entry that makes or updates `resource` by criteria."""
    if method == "POST":
        return entry("POST", "Patient", resource, full, ifNoneExist=criteria)
    return entry("PUT", f"Patient?{criteria}", resource, full)


def test_equal_criteria() -> None:
    one = sought((("identifier", "urn:s|a1"), ("family", "b,c")))
    for value, family in (
        ("urn:s|A1", "c,b"),
        ("urn:s|a1,", "b,,c"),
        ("urn:s|a1,urn:s|A1", "b,c"),
        (" urn:s|a1 ", "b,c,b"),
    ):
        assert sought((("family", family), ("identifier", value), ("_format", "json"))) == one
    different = (("a1", "b,c"), ("urn:S|a1", "b,c"), ("urn:s|a1,x", "b,c"), ("urn:s|a1", "b"), ("urn:s|a1", "B,c"))
    for value, family in different:
        assert sought((("identifier", value), ("family", family))) != one
    assert sought((("identifier", "|"),)) == sought((("identifier", "|"),)), "the search refuses it, not we"
    assert sought((("identifier", r"a\|b"),)) != sought((("identifier", "a|b"),))


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "other",
    [
        "identifier=urn:mrn|ZZ1",
        "identifier=urn:mrn|zz1,",
        "identifier=,urn:mrn|zz1,urn:mrn|Zz1",
        "identifier=urn:mrn|zz1&_format=json",
    ],
)
async def test_the_same_identifier_in_other_letters_would_make_two(api: Api, method: str, other: str) -> None:
    one = conditional(method, "identifier=urn:mrn|zz1", identified("zz1"), urn(1))
    two = conditional(method, other, identified("ZZ1"), urn(2))
    for entries in ([one, two], [two, one]):
        answer = await send(api, bundle("transaction", *entries))
        assert issues(answer, 400) == [("duplicate", "Bundle.entry[1]")]
    assert await count(api, "Patient") == 0


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("criteria", "other"),
    [
        ("identifier=zz1", entry("POST", "Patient", identified("ZZ1"), ifNoneExist="identifier=urn:mrn|ZZ1")),
        ("identifier=urn:mrn|zz1", entry("POST", "Patient", identified("ZZ1"))),
        ("identifier=urn:mrn|0,urn:mrn|zz1", entry("PUT", "Patient/x", identified("ZZ1", id="x"))),
        ("identifier=urn:mrn|zz1&active=true", entry("POST", "Patient", identified("ZZ1", active=True))),
        ("active=true&identifier=urn:mrn|zz1", entry("POST", "Patient", identified("ZZ1"))),
        ("identifier=urn:mrn|zz1&identifier=zz1", entry("PUT", "Patient?identifier=urn:mrn|other", identified("zz1"))),
    ],
)
async def test_what_another_entry_brings_is_not_made_once_more(
    api: Api, method: str, criteria: str, other: Json
) -> None:
    asked = conditional(method, criteria, identified("zz1"))
    for entries in ([asked, other], [other, asked]):
        answer = await send(api, bundle("transaction", entry("GET", "Patient"), *entries))
        [(code, where)] = issues(answer, 400)
        assert code == "duplicate"
        told = answer.json()["issue"][0]["diagnostics"]
        assert {str(where)[-2], told[len("Entry ")]} == {"1", "2"}, "the two that are the same"
    assert await count(api, "Patient") == 0


async def test_what_is_found_may_stand_beside_what_another_entry_brings(api: Api) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/a", identified("1", id="a"))))
    found = await done(
        api,
        bundle(
            "transaction",
            entry("POST", "Patient", identified("1"), ifNoneExist="identifier=urn:mrn|1"),
            entry("PUT", "Patient/a", identified("1", id="a", active=True)),
            entry("PUT", "Patient/b", identified("1", id="b")),
            entry("POST", "Patient", identified("2"), ifNoneExist="identifier=urn:mrn|2"),
            entry("POST", "Practitioner", identified("2") | {"resourceType": "Practitioner"}),
            entry("POST", "Patient", identified("2", "urn:other")),
        ),
    )
    assert statuses(found) == ["200", "200", "201", "201", "201", "201"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "criteria", ["active=true", "identifier=urn:mrn|&active=true", "identifier=urn:mrn|2&active=true"]
)
async def test_what_brings_another_identifier_is_made_beside_what_is_looked_for(
    api: Api, method: str, criteria: str
) -> None:
    asked = conditional(method, criteria, identified("2", active=True))
    other = entry("POST", "Patient", identified("1", active=True))
    assert statuses(await done(api, bundle("transaction", asked, other))) == ["201", "201"]


async def test_who_finds_what_there_is_takes_no_look_at_the_others_away(api: Api) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/a", identified("1", id="a"))))
    finds = [conditional(method, "identifier=urn:mrn|1", identified("1")) for method in ("POST", "PUT")]
    for one in finds:
        found = await done(api, bundle("transaction", one, entry("PUT", "Patient/b", identified("1", id="b"))))
        assert statuses(found) == ["200", "201"]
        assert ident(found[0]) == "a"
        await done(api, bundle("transaction", entry("DELETE", "Patient/b")))
        makes = conditional("POST", "identifier=urn:mrn|2", identified("2"))
        answer = await send(api, bundle("transaction", one, makes, entry("POST", "Patient", identified("2"))))
        assert issues(answer, 400) == [("duplicate", "Bundle.entry[1]")]


async def test_a_reference_that_spells_the_criteria_of_an_entry_in_another_way_means_that_entry(api: Api) -> None:
    """What it makes does not bring the identifier: only that entry knows who is meant."""
    maker = entry("POST", "Patient", identified("2"), urn(1), ifNoneExist="identifier=urn:mrn|zz1&active=true")
    asked = identified(
        "3", link=[{"other": {"reference": "Patient?active=true&identifier=urn:mrn|ZZ1"}, "type": "refer"}]
    )
    found = await done(api, bundle("transaction", entry("POST", "Patient", asked), maker))
    made = await stored(api, f"Patient/{ident(found[0])}")
    assert made["link"][0]["other"]["reference"] == f"Patient/{ident(found[1])}"


@pytest.mark.parametrize("value", ["urn:mrn|0,urn:mrn|NEW", "urn:mrn|new,", "new&identifier=urn:mrn|New"])
async def test_a_reference_by_identifiers_counts_what_the_transaction_brings(api: Api, value: str) -> None:
    asked = identified("1", link=[{"other": {"reference": f"Patient?identifier={value}"}, "type": "refer"}])
    found = await done(
        api, bundle("transaction", entry("POST", "Patient", asked), entry("POST", "Patient", identified("new")))
    )
    made = await stored(api, f"Patient/{ident(found[0])}")
    assert made["link"][0]["other"]["reference"] == f"Patient/{ident(found[1])}"


@pytest.mark.parametrize(
    "criteria", ["family=zz1", "_id=zz1", "identifier=zz1&family=zz1", "family=zz1&identifier=zz1"]
)
async def test_a_reference_by_anything_else_counts_only_what_is_stored(api: Api, criteria: str) -> None:
    known = identified("zz1", "urn:other", id="zz1", name=[{"family": "zz1"}])
    await done(api, bundle("transaction", entry("PUT", "Patient/zz1", known)))
    asked = identified("1", link=[{"other": {"reference": f"Patient?{criteria}"}, "type": "refer"}])
    found = await done(
        api, bundle("transaction", entry("POST", "Patient", asked), entry("POST", "Patient", identified("zz1")))
    )
    made = await stored(api, f"Patient/{ident(found[0])}")
    assert made["link"][0]["other"]["reference"] == "Patient/zz1"


async def test_a_reference_by_nothing_is_refused(api: Api) -> None:
    asked = identified("1", link=[{"other": {"reference": "Patient?_format=json"}, "type": "refer"}])
    answer = await send(api, bundle("transaction", entry("POST", "Patient", asked)))
    assert issues(answer, 400) == [("required", "Bundle.entry[0].resource.link[0].other.reference")]
