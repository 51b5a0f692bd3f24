"""References and chains, against a real MongoDB (https://hl7.org/fhir/R4/search.html#reference, #chaining, #has)."""

from __future__ import annotations

import pytest

from store.search import SearchRefused, lookups, parse, run, weight
from store.store import Store
from tests.store.search.support import (
    BASE,
    S,
    appointment,
    concept,
    found,
    identifier,
    included,
    page,
    parsed,
    put,
    reading,
    refusal,
    resource,
    schedule,
    slot,
)
from tests.store.support import change

UHID = "urn:uhid"


async def _appointments(store: Store) -> None:
    await put(
        store,
        appointment("plain", None, "Patient/1", "Practitioner/1"),
        appointment("ours", None, f"{BASE}/Patient/1", "Practitioner/2"),
        appointment("versioned", None, "Patient/1/_history/3"),
        appointment("theirs", None, "http://elsewhere/fhir/Patient/1"),
        appointment("urn", None, "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
        appointment("known", None, {"type": "Patient", "identifier": identifier("UG1", UHID)}),
        appointment("other", None, {"type": "Practitioner", "identifier": identifier("UG1", UHID)}),
        appointment("none"),
    )


async def test_every_form_of_a_reference(store: Store) -> None:
    await _appointments(store)
    ours = {"plain", "ours", "versioned"}
    for value in ("1", "Patient/1", f"{BASE}/Patient/1", "Patient/1/_history/7", f"{BASE}/Patient/1/_history/7"):
        assert await found(store, "Appointment", f"patient={value}") == ours
    assert await found(store, "Appointment", "patient=http://elsewhere/fhir/Patient/1") == {"theirs"}
    assert await found(store, "Appointment", "actor=urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0") == {"urn"}
    assert await found(store, "Appointment", "actor=1") == ours
    assert await found(store, "Appointment", "patient=1&practitioner=2") == {"ours"}
    assert await found(store, "Appointment", "practitioner=1,2") == {"plain", "ours"}
    assert await found(store, "Appointment", "actor=Patient/1&actor=Practitioner/1") == {"plain"}


SECURE = BASE.replace("http://", "https://")
"""The same server, by who ends TLS in front of it."""


async def test_our_own_address_is_one_by_http_and_https(store: Store) -> None:
    await put(
        store,
        resource("Patient", "1", name=[{"family": "Okot"}]),
        resource("Practitioner", "1"),
        appointment("plain", None, f"{BASE}/Patient/1"),
        appointment("secure", None, f"{SECURE}/Patient/1", f"{SECURE}/Practitioner/1"),
        appointment("other", None, "ftp://adapter.test/fhir/R4/Patient/1"),
    )
    both = {"plain", "secure"}
    for value in ("1", "Patient/1", f"{BASE}/Patient/1", f"{SECURE}/Patient/1", f"{SECURE}/Patient/1/_history/2"):
        assert await found(store, "Appointment", f"patient={value}") == both, value
    assert await found(store, "Appointment", "patient.name=okot") == both
    assert await found(store, "Patient", "_has:Appointment:patient:_id=secure") == {"1"}
    search = parsed("Appointment", "", compartment=("Patient", "1"))
    assert {one.ident for one in (await run(store, search)).entries} == both
    assert await included(store, "Appointment", "_id=secure&_include=*") == {"Patient/1", "Practitioner/1"}
    assert await included(store, "Practitioner", "_revinclude=Appointment:actor") == {"Appointment/secure"}


async def test_a_type_keeps_others_out(store: Store) -> None:
    await _appointments(store)
    assert await found(store, "Appointment", "actor:Practitioner=1") == {"plain"}
    assert await found(store, "Appointment", "actor:Patient=Patient/1") == {"plain", "ours", "versioned"}
    assert await found(store, "Appointment", "actor:Practitioner=Patient/1") == set()
    assert await found(store, "Appointment", "patient=Practitioner/1") == set()
    assert await found(store, "Appointment", "practitioner=http://elsewhere/fhir/Patient/1") == set()
    for name in ("actor:Organization", "actor:Foo", "patient:Practitioner", "patient:exact"):
        assert refusal("Appointment", f"{name}=1")[0].code == "not-supported"


async def test_a_reference_to_anything(store: Store) -> None:
    await put(store, appointment("a", supportingInformation=[{"reference": "DocumentReference/1"}]))
    for value in ("1", "DocumentReference/1", f"{BASE}/DocumentReference/1"):
        assert await found(store, "Appointment", f"supporting-info={value}") == {"a"}
    assert await found(store, "Appointment", "supporting-info:DocumentReference=1") == {"a"}
    assert await found(store, "Appointment", "supporting-info:Observation=1") == set()
    later = ("Transport/2", "http://elsewhere/Transport/2")  # a type that R4 does not have
    for reference in later:
        await change(store, "Appointment", "a", supportingInformation=[{"reference": reference}])
        assert await found(store, "Appointment", f"supporting-info={reference}") == {"a"}
        assert await found(store, "Appointment", f"supporting-info:Patient={reference}") == set()
    await change(store, "Appointment", "a", supportingInformation=[{"reference": "Patient/1"}])
    await put(store, resource("Patient", "1"))
    assert await included(store, "Appointment", "_include=Appointment:supporting-info") == {"Patient/1"}


async def test_of_a_compartment_is_what_refers_to_its_owner_and_what_only_has_its_id_is_not(store: Store) -> None:
    await put(store, resource("Patient", "1"), appointment("1"), appointment("a", None, "Patient/1"))
    for kind, ident in (("Appointment", "a"), ("Patient", "1")):
        of_patient = await run(store, parsed(kind, "", compartment=("Patient", "1")))
        assert [one.ident for one in of_patient.entries] == [ident]
    assert "resource type" in refusal("Appointment", "supporting-info:Foo=1")[0].text


async def test_an_identifier_in_the_reference_is_not_one_of_the_target(store: Store) -> None:
    await _appointments(store)
    await put(store, resource("Patient", "1", identifier=[identifier("UG1", UHID)]))
    assert await found(store, "Appointment", f"patient:identifier={UHID}|ug1") == {"known"}
    assert await found(store, "Appointment", "actor:identifier=UG1") == {"known", "other"}
    assert await found(store, "Appointment", f"actor:identifier={UHID}|,x") == {"known", "other"}
    assert await found(store, "Appointment", f"patient.identifier={UHID}|UG1") == {"plain", "ours", "versioned"}


async def test_an_identifier_of_what_is_contained_is_one_of_the_reference(store: Store) -> None:
    inside = {"resourceType": "Patient", "id": "p", "identifier": [{"system": UHID, "value": "UG7"}, {"value": "x"}]}
    odd = {"resourceType": "Device", "id": "d", "identifier": {"value": "UG8"}}
    actors = [{"actor": {"reference": name}} for name in ("#p", "#d", "#nothing")]
    await put(store, {**appointment("a"), "participant": actors, "contained": ["odd", inside, odd]})
    for text in (f"patient:identifier={UHID}|ug7", "patient:identifier=x", "actor:identifier=ug8"):
        assert await found(store, "Appointment", text) == {"a"}, text
    assert await found(store, "Appointment", "patient:identifier=UG8") == set()


async def test_missing_references(store: Store) -> None:
    await _appointments(store)
    assert await found(store, "Appointment", "actor:missing=true") == {"none"}
    assert await found(store, "Appointment", "patient:missing=true") == {"urn", "other", "none"}
    assert await found(store, "Appointment", "practitioner:missing=false") == {"plain", "ours", "other"}
    assert await found(store, "Appointment", "slot:missing=true&actor:missing=true") == {"none"}


async def test_what_is_there_without_a_value_to_search_is_not_missing(store: Store) -> None:
    inside = [{"resourceType": "Patient", "id": "p"}]
    await put(
        store,
        appointment("said", None, {"display": "Mary"}, serviceType=[{"text": "check"}]),
        appointment("typed", None, {"type": "Patient", "display": "Mary"}),
        appointment("inside", None, {"reference": "#p"}, contained=inside),
        appointment("theirs", None, "https://elsewhere/Patient/1"),
        appointment("not", None, "#d", contained=[{"resourceType": "Practitioner", "id": "d"}]),
        resource("Patient", "1", telecom=[{"system": "phone", "value": "1"}], name=[{"use": "usual"}]),
        resource("Group", "words", characteristic=[{"valueCodeableConcept": {"text": "pregnant"}}]),
        resource("Group", "no", characteristic=[{"valueBoolean": False}]),
        resource("Group", "else", characteristic=[{"valueRange": {"low": {"value": 1}}}]),
    )
    assert await found(store, "Appointment", "patient:missing=true") == {"said", "not"}
    assert await found(store, "Appointment", "patient:missing=false") == {"typed", "inside", "theirs"}
    assert await found(store, "Appointment", "actor:missing=true") == set()
    assert await found(store, "Appointment", "service-type:missing=false") == {"said"}
    assert await found(store, "Patient", "phone:missing=false&email:missing=true&name:missing=false") == {"1"}
    assert await found(store, "Group", "value:missing=false") == {"words", "no"}
    assert await found(store, "Group", "value:missing=true") == {"else"}


def test_what_is_no_reference_is_refused() -> None:
    for value in ("a b", "#p1", "Patient/", "patient/1/2", "é"):
        (problem,) = refusal("Appointment", f"patient={value.replace('#', '%23')}")
        assert problem.code == "value"
        assert "Patient/123" in problem.text


async def _clinic(store: Store) -> None:
    await put(
        store,
        resource("Practitioner", "1", name=[{"family": "Okello"}], identifier=[identifier("D1")]),
        resource("Practitioner", "2", name=[{"family": "Nakato"}]),
        resource("HealthcareService", "h", name="Okello clinic", type=[concept("eye")]),
        resource("Organization", "o", name="Mulago"),
        resource("Patient", "p", name=[{"family": "Okot"}], managingOrganization={"reference": "Organization/o"}),
        schedule("s1", "Practitioner/1"),
        schedule("s2", f"{BASE}/Practitioner/2"),
        schedule("sh", "HealthcareService/h"),
        slot("a", "s1"),
        slot("b", "s2"),
        slot("c", "sh"),
        appointment("x", "2026-01-10T09:00:00Z", "Patient/p", "Practitioner/1", status="booked"),
        appointment("y", "2026-02-10T09:00:00Z", f"{BASE}/Patient/p", "Practitioner/2", status="cancelled"),
    )


@pytest.mark.parametrize(
    ("kind", "query", "expected"),
    [
        ("Slot", "schedule.actor=Practitioner/1", "a"),
        ("Slot", "schedule.actor:Practitioner=1", "a"),
        ("Slot", "schedule:Schedule.actor:Practitioner.identifier=urn:s|D1", "a"),
        ("Slot", "schedule.actor.name=okello", "a c"),
        ("Slot", "schedule.actor:HealthcareService.service-type=eye", "c"),
        ("Slot", "schedule.actor:Practitioner.name=okello,nakato&status=free", "a b"),
        ("Slot", "Schedule.actor:HealthcareService=h", "c"),
        ("Slot", "schedule.actor.name=nobody", ""),
        ("Slot", "schedule._id=s1,s2&schedule.actor=Practitioner/2", "b"),
        ("Slot", "schedule.actor.name:exact=Nakato", "b"),
        ("Slot", "schedule.actor._has:Appointment:practitioner:status=booked", "a"),
        ("Schedule", "actor:HealthcareService.service-type=eye", "sh"),
        ("Schedule", "actor.organization.name=mulago", ""),
        ("Appointment", "patient.organization.name=mulago&status:not=cancelled", "x"),
        ("Appointment", "actor.organization.name=mulago", "x y"),
        ("Appointment", "patient.name=okot&practitioner.name=nakato", "y"),
        ("Patient", "_has:Appointment:patient:date=ge2026-01-10", "p"),
        ("Patient", "_has:Appointment:patient:date=lt2026-01-10", ""),
        ("Patient", "_has:Appointment:patient:practitioner.name=okello", "p"),
        ("Patient", "_has:Appointment:patient:practitioner.name=nobody", ""),
        ("Practitioner", "_has:Appointment:practitioner:status:not=cancelled", "1"),
        ("Practitioner", "_has:Schedule:actor:_has:Slot:schedule:_id=b", "2"),
        ("Practitioner", "_has:Schedule:actor:_has:Slot:schedule:status=free&name=ok", "1"),
        ("Organization", "_has:Patient:organization:_has:Appointment:patient:status=booked", "o"),
        ("Practitioner", "_id=1,2&_has:Schedule:actor:_id=s2", "2"),
    ],
)
async def test_chains(store: Store, kind: str, query: str, expected: str) -> None:
    await _clinic(store)
    assert await found(store, kind, query) == set(expected.split())


async def test_a_chain_finds_names_by_each_word_and_without_punctuation(store: Store) -> None:
    await put(
        store,
        resource("Practitioner", "1", name=[{"text": "Dr. Anne-Marie O'Neil"}]),
        resource("Patient", "p", name=[{"family": "Okot-Lum"}], generalPractitioner=[{"reference": "Practitioner/1"}]),
        appointment("x", None, "Patient/p", "Practitioner/1"),
    )
    for text in ("annemarie", "anne marie", "o'neil", "oneil", "dr anne"):
        assert await found(store, "Patient", f"general-practitioner.name={text}") == {"p"}, text
        assert await found(store, "Appointment", f"actor:Practitioner.name={text}&patient.family=lum") == {"x"}, text
    assert await found(store, "Practitioner", "_has:Patient:general-practitioner:family=okot lum") == {"1"}


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("Appointment", "patient.foo", "no search parameter 'foo'"),
        ("Appointment", "foo.name", "no search parameter 'foo'"),
        ("Appointment", "status.name", "not a reference"),
        ("Appointment", "patient.name:in", "':in'"),
        ("Appointment", "actor:Organization.name", "':Organization'"),
        ("Appointment", "actor:Device.type", "':Device'"),
        ("Appointment", "patient:identifier.x", "':identifier'"),
        ("Appointment", "based-on.status", "no type that this server has"),
        ("Appointment", "reason-reference:Condition.code", "no type that this server has"),
        ("Appointment", "patient.", "no search parameter ''"),
        ("Appointment", "actor.foo", "leads nowhere"),
        ("Patient", "_has", "_has:Appointment:patient:date"),
        ("Patient", "_has:Appointment", "_has:Appointment:patient:date"),
        ("Patient", "_has:Appointment:patient:", "_has:Appointment:patient:date"),
        ("Patient", "_has:Foo:patient:date", "no Foo"),
        ("Patient", "_has:Appointment:slot:date", "'slot'"),
        ("Patient", "_has:Appointment:status:date", "'status'"),
        ("Patient", "_has:Appointment:foo:date", "'foo'"),
        ("Patient", "_has:Appointment:patient:foo", "'foo'"),
        ("Patient", "_has:Appointment:patient:_sort", "'_sort'"),
        ("Slot", "schedule.actor.actor", "leads nowhere"),
    ],
)
def test_a_chain_is_never_left_out(kind: str, name: str, hint: str) -> None:
    for strict in (False, True):
        (problem,) = refusal(kind, f"{name}=1", reading(strict=strict))
        assert problem.parameter == name
        assert hint in problem.text


def test_a_chain_needs_the_right_to_read_where_it_leads() -> None:
    hidden = reading(readable=lambda kind: kind != "Patient")
    for name in ("patient.name", "actor.name", "slot.schedule.actor:Patient.name"):
        (problem,) = refusal("Appointment", f"{name}=x", hidden)
        assert problem.code == "forbidden"
        assert "Patient" in problem.text
    (problem,) = refusal("Organization", "_has:Patient:organization:name=x", hidden)
    assert problem.code == "forbidden"
    assert parsed("Appointment", "actor:Practitioner.name=x&patient=1", hidden).used
    with pytest.raises(SearchRefused) as refused:
        parsed("Appointment", "patient.name=x", hidden)
    assert refused.value.status == 403
    with pytest.raises(SearchRefused) as refused:
        parsed("Appointment", "patient.name=x&date=x", hidden)
    assert refused.value.status == 400


async def test_a_chain_that_leads_too_far_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await _clinic(store)
    monkeypatch.setattr(lookups, "MOST_IDS", 1)
    assert await found(store, "Slot", "schedule.actor:Practitioner.name=okello") == {"a"}
    with pytest.raises(SearchRefused, match="more than 1 resources") as refused:
        await page(store, "Slot", "schedule.actor:Practitioner=1,2")
    assert refused.value.problems[0].code == "too-costly"
    with pytest.raises(SearchRefused, match="more than 1 resources"):
        await page(store, "Practitioner", "_has:Schedule:actor:_id=s1,s2")


async def test_the_limit_is_for_all_types_that_a_chain_leads_to(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "MOST_IDS", 2)
    people = (("Patient", "1"), ("Patient", "2"), ("Practitioner", "1"))
    named = (resource(kind, ident, name=[{"family": "Ann"}]) for kind, ident in people)
    await put(store, *named, appointment("a", None, "Patient/1"))
    assert await found(store, "Appointment", "actor:Patient.name=ann") == {"a"}
    with pytest.raises(SearchRefused, match="more than 2 resources"):
        await page(store, "Appointment", "actor.name=ann")


async def test_what_else_a_reference_leads_to_leaves_no_part_of_the_answer_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "MOST_IDS", 1)
    rooms = [f"Location/{number}" for number in range(4)]
    await put(store, schedule("few", "Practitioner/1", *rooms[:2]), schedule("many", "Practitioner/1", *rooms))
    await put(store, resource("Practitioner", "1"))
    assert await found(store, "Practitioner", "_has:Schedule:actor:_id=few") == {"1"}
    with pytest.raises(SearchRefused, match="more than 1 resources"):
        await page(store, "Practitioner", "_has:Schedule:actor:_id=many")


def test_chains_have_bounds() -> None:
    assert "steps" in refusal("Patient", f"{'link:Patient.' * 7}name=x")[0].text
    assert refusal("Patient", f"{'link:Patient.' * 100}name=x")[0].code == "too-long"
    many = "&".join(["link:Patient.name=x"] * (weight.MOST_LOOKUPS + 1))
    assert refusal("Patient", many)[0].code == "too-costly"


async def test_compartments(store: Store) -> None:
    await _clinic(store)
    await put(store, resource("Patient", "q", link=[{"other": {"reference": "Patient/p"}, "type": "seealso"}]))

    async def within(kind: str, owner: str, ident: str, query: str = "") -> set[str]:
        search = parsed(kind, query, compartment=(owner, ident))
        return {one.ident for one in (await run(store, search)).entries}

    assert await within("Appointment", "Patient", "p") == {"x", "y"}
    assert await within("Appointment", "Patient", "p", "status=booked") == {"x"}
    assert await within("Appointment", "Practitioner", "2") == {"y"}
    assert await within("Schedule,Appointment", "Practitioner", "2") == {"s2", "y"}
    assert await within("Patient", "Patient", "p") == {"p", "q"}
    assert await within("Practitioner", "Practitioner", "2") == {"2"}
    assert await within("Practitioner,Appointment", "Practitioner", "2") == {"2", "y"}
    assert await within("Practitioner", "Practitioner", "2", "name=okello") == set()
    with pytest.raises(SearchRefused, match="not in the compartment"):
        parse(("Slot",), (), reading(), ("Patient", "p"))


async def test_a_reference_by_identifier_and_system(store: Store) -> None:
    await put(store, resource("Patient", "1", generalPractitioner=[{"identifier": identifier("X", S)}]))
    assert await found(store, "Patient", "general-practitioner:identifier=|x") == set()
    assert await found(store, "Patient", "general-practitioner:identifier=x") == {"1"}
    assert await found(store, "Patient", "general-practitioner:missing=false") == {"1"}
