"""Tokens, against a real MongoDB (https://hl7.org/fhir/R4/search.html#token)."""

from __future__ import annotations

from store.store import Store
from tests.store.search.support import (
    S,
    appointment,
    concept,
    found,
    identifier,
    put,
    refusal,
    resource,
)

STATUS = "http://hl7.org/fhir/appointmentstatus"


async def _appointments(store: Store) -> None:
    await put(
        store,
        appointment("booked", status="booked", serviceType=[concept("A")]),
        appointment("pending", status="pending", serviceType=[concept("b", "urn:t"), concept("c")]),
        appointment("none", status="cancelled", serviceType=[concept("a", None, "Éye  Check")]),
        appointment("without", status="noshow"),
    )


async def test_codes_with_and_without_their_system(store: Store) -> None:
    await _appointments(store)
    assert await found(store, "Appointment", "service-type=a") == {"booked", "none"}
    assert await found(store, "Appointment", f"service-type={S}|a") == {"booked"}
    assert await found(store, "Appointment", "service-type=|a") == {"none"}
    assert await found(store, "Appointment", f"service-type={S}|") == {"booked", "pending"}
    assert await found(store, "Appointment", "service-type=urn:t|,urn:nothing|") == {"pending"}
    assert await found(store, "Appointment", "service-type=x") == set()


async def test_a_system_is_found_without_a_code(store: Store) -> None:
    concepts = [{"coding": [{"system": "urn:bare"}]}]
    await put(
        store,
        appointment("a", serviceType=concepts, identifier=[{"system": "urn:bare"}]),
        appointment("b", serviceType=[concept("x", "urn:bare")], identifier=[identifier("1", "urn:bare")]),
    )
    for name in ("service-type", "identifier"):
        assert await found(store, "Appointment", f"{name}=urn:bare|") == {"a", "b"}
        assert await found(store, "Appointment", f"{name}=urn:bar|") == set()
        for narrowed in (f"{name}=urn:bare%7C1,x&{name}=urn:bare|", f"{name}=urn:bare|&{name}=urn:bare%7C1,x"):
            assert await found(store, "Appointment", narrowed) == {"b"}
        assert await found(store, "Appointment", f"{name}:not=urn:bare|") == set()
        assert await found(store, "Appointment", f"{name}=|urn:bare") == set()


async def test_case_does_not_count(store: Store) -> None:
    await _appointments(store)
    assert await found(store, "Appointment", f"service-type={S}|A") == {"booked"}
    assert await found(store, "Appointment", "status=BOOKED") == {"booked"}


async def test_blanks_around_commas_mean_nothing(store: Store) -> None:
    await _appointments(store)
    assert await found(store, "Appointment", "status=booked, pending ") == {"booked", "pending"}
    assert await found(store, "Appointment", "_id=booked, none") == {"booked", "none"}
    assert await found(store, "Appointment", f"service-type={S}|c, urn:t|") == {"pending"}
    assert await found(store, "Appointment", "status=booked,%20") == {"booked"}
    assert await found(store, "Appointment", "status=%20") == set()


async def test_commas_widen_and_repetition_narrows(store: Store) -> None:
    await _appointments(store)
    assert await found(store, "Appointment", "status=booked,pending") == {"booked", "pending"}
    assert await found(store, "Appointment", "status=booked,,") == {"booked"}
    assert await found(store, "Appointment", "status=booked&status=pending") == set()
    assert await found(store, "Appointment", "service-type=b&service-type=c") == {"pending"}
    assert await found(store, "Appointment", "service-type=b,x&service-type=c,y") == {"pending"}
    assert await found(store, "Appointment", "service-type=b&service-type=a,c&status=pending") == {"pending"}


async def test_the_implicit_system_of_a_code(store: Store) -> None:
    await _appointments(store)
    assert await found(store, "Appointment", f"status={STATUS}|booked") == {"booked"}
    assert await found(store, "Appointment", "status=urn:other|booked") == set()
    assert await found(store, "Appointment", "status=|booked") == set()
    assert await found(store, "Appointment", f"status={STATUS}|&service-type=b") == {"pending"}
    assert await found(store, "Appointment", "part-status=http://hl7.org/fhir/participationstatus|accepted") == set()


async def test_a_code_that_repeats_has_its_system_too(store: Store) -> None:
    await put(store, appointment("a", None, "Patient/1"))
    assert await found(store, "Appointment", "part-status=http://hl7.org/fhir/participationstatus|accepted") == {"a"}
    assert await found(store, "Appointment", "part-status=accepted") == {"a"}


async def test_not_means_none_of_them_and_includes_what_has_no_value(store: Store) -> None:
    await _appointments(store)
    assert await found(store, "Appointment", "status:not=booked,pending") == {"none", "without"}
    assert await found(store, "Appointment", "service-type:not=a") == {"pending", "without"}
    assert await found(store, "Appointment", f"service-type:not={S}|") == {"none", "without"}
    assert await found(store, "Appointment", "service-type:not=b&service-type:not=a") == {"without"}
    everything = {"booked", "pending", "none", "without"}
    assert await found(store, "Appointment", "status:not=urn:other|booked") == everything
    assert await found(store, "Appointment", "_id:not=none,booked") == {"pending", "without"}


async def test_missing(store: Store) -> None:
    await _appointments(store)
    assert await found(store, "Appointment", "service-type:missing=true") == {"without"}
    assert await found(store, "Appointment", "service-type:missing=false") == {"booked", "pending", "none"}
    assert await found(store, "Appointment", "_id:missing=true") == set()
    assert len(await found(store, "Appointment", "_id:missing=false")) == 4
    assert await found(store, "Appointment", "date:missing=true&status=booked") == {"booked"}


async def test_text_is_what_a_person_reads(store: Store) -> None:
    await _appointments(store)
    assert await found(store, "Appointment", "service-type:text=eye check") == {"none"}
    assert await found(store, "Appointment", "service-type:text=eye") == {"none"}
    assert await found(store, "Appointment", "service-type:text=check,nothing") == set()


async def test_identifiers_by_type(store: Store) -> None:
    kind = {"coding": [{"system": "urn:types", "code": "MR"}], "text": "Record number"}
    await put(
        store,
        resource("Patient", "1", identifier=[identifier("X-12", type=kind)]),
        resource("Patient", "2", identifier=[identifier("X-12")]),
    )
    assert await found(store, "Patient", "identifier=x-12") == {"1", "2"}
    assert await found(store, "Patient", "identifier:of-type=urn:types|mr|x-12") == {"1"}
    assert await found(store, "Patient", "identifier:text=record") == {"1"}
    for value in ("urn:types|MR", "urn:types||x", "x"):
        (problem,) = refusal("Patient", f"identifier:of-type={value}")
        assert problem.code == "value"
        assert "system|code|value" in problem.text


async def test_blanks_around_a_code_are_not_seen(store: Store) -> None:
    kind = {"coding": [{"system": "urn:types", "code": " MR"}]}
    await put(store, resource("Patient", "1", identifier=[identifier(" X-12\t", type=kind)]))
    for text in ("identifier=x-12", f"identifier={S}|X-12%20", "identifier:of-type=urn:types|MR|X-12"):
        assert await found(store, "Patient", text) == {"1"}, text


async def test_an_unknown_system_finds_nothing_and_is_no_error(store: Store) -> None:
    await put(store, resource("Patient", "1", identifier=[identifier("X")]))
    assert await found(store, "Patient", "identifier=urn:unknown|X") == set()


async def test_escaped_bars_and_commas(store: Store) -> None:
    await put(store, resource("Patient", "1", identifier=[identifier("a|b,c")]))
    assert await found(store, "Patient", rf"identifier={S}|a\|b\,c") == {"1"}
    assert await found(store, "Patient", r"identifier=a\|b\,c") == {"1"}


async def test_only_a_bar_between_system_and_code_separates(store: Store) -> None:
    """Found wrongly, a conditional update would replace, or a conditional delete remove, another one's resource."""
    await put(
        store,
        resource("Patient", "plain", identifier=[identifier("abc")]),
        resource("Patient", "other", identifier=[identifier(f"{S}|abc", "urn:other")]),
        resource("Patient", "without", identifier=[identifier(f"{S}|abc", None)]),
        resource("Patient", "system", identifier=[identifier("c", f"{S}|b")]),
        resource("Patient", "value", identifier=[identifier("b|c")]),
        resource("Patient", "sign", identifier=[identifier("b|c", f"{S}\\")]),
        resource("Patient", "signed", identifier=[identifier("\\|abc")]),
    )
    assert await found(store, "Patient", f"identifier={S}|abc") == {"plain"}
    assert await found(store, "Patient", f"identifier={S}|") == {"plain", "value", "signed"}
    assert await found(store, "Patient", rf"identifier={S}\|abc") == {"other", "without"}
    assert await found(store, "Patient", rf"identifier=|{S}\|abc") == {"without"}
    assert await found(store, "Patient", rf"identifier={S}|b\|c") == {"value"}
    assert await found(store, "Patient", rf"identifier={S}\|b|c") == {"system"}
    assert await found(store, "Patient", rf"identifier={S}\|b|") == {"system"}
    assert await found(store, "Patient", rf"identifier={S}\\|b\|c") == {"sign"}
    assert await found(store, "Patient", r"identifier=b\|c") == {"value", "sign"}
    assert await found(store, "Patient", rf"identifier={S}|\\\|abc") == {"signed"}
    assert await found(store, "Patient", rf"identifier:not={S}|,{S}\|b|") == {"other", "without", "sign"}


async def test_only_a_bar_between_its_parts_separates_an_identifier_by_type(store: Store) -> None:
    await put(
        store,
        *(
            resource("Patient", ident, identifier=[identifier(value, type=concept(code))])
            for ident, code, value in (("code", "MR|1", "x"), ("value", "MR", "1|x"))
        ),
    )
    assert await found(store, "Patient", rf"identifier:of-type={S}|MR\|1|x") == {"code"}
    assert await found(store, "Patient", rf"identifier:of-type={S}|MR|1\|x") == {"value"}


async def test_booleans(store: Store) -> None:
    await put(
        store,
        resource("Patient", "on", active=True, deceasedBoolean=False),
        resource("Patient", "off", active=False, deceasedDateTime="2020"),
        resource("Patient", "neither"),
    )
    special = "http://terminology.hl7.org/CodeSystem/special-values"
    assert await found(store, "Patient", "active=true") == {"on"}
    assert await found(store, "Patient", f"active={special}|false") == {"off"}
    assert await found(store, "Patient", "active=urn:other|false") == set()
    assert await found(store, "Patient", "active:not=true") == {"off", "neither"}
    assert await found(store, "Patient", "deceased=true") == {"off"}
    assert await found(store, "Patient", "deceased=false") == {"on", "neither"}
    (problem,) = refusal("Patient", "active=yes")
    assert "true or false" in problem.text


async def test_ids_keep_their_case(store: Store) -> None:
    await put(store, resource("Patient", "a"), resource("Patient", "A"))
    assert await found(store, "Patient", "_id=A") == {"A"}
    assert await found(store, "Patient", "_id=A,a&_id=a,b") == {"a"}
    assert await found(store, "Patient", "_id=A&_id=a") == set()


async def test_contact_points(store: Store) -> None:
    telecom = [{"system": "phone", "value": "0700"}, {"system": "email", "value": "A@b.ug"}]
    await put(store, resource("Patient", "1", telecom=telecom))
    assert await found(store, "Patient", "phone=0700&email=a@B.ug&telecom=0700") == {"1"}
    assert await found(store, "Patient", "email=0700") == set()
    assert await found(store, "Patient", "telecom=phone|0700") == {"1"}


async def test_tags_and_security_labels(store: Store) -> None:
    await put(store, resource("Patient", "1", meta={"tag": [{"system": S, "code": "t"}], "security": [{"code": "R"}]}))
    assert await found(store, "Patient", f"_tag={S}|t&_security=r") == {"1"}


def test_modifiers_that_are_not_supported_are_refused_always() -> None:
    for name in (
        "status:in",
        "status:not-in",
        "status:above",
        "status:below",
        "status:exact",
        "status:text",
        "status:x",
    ):
        (problem,) = refusal("Appointment", f"{name}=booked")
        assert (problem.code, problem.parameter) == ("not-supported", name)
        assert "not, missing" in problem.text


def test_values_that_cannot_be_used() -> None:
    assert "neither a system nor a code" in refusal("Appointment", "service-type=|")[0].text
    assert "true or false" in refusal("Appointment", "status:missing=maybe")[0].text
    assert "character" in refusal("Appointment", "status=a%00b")[0].text
    assert "longer" in refusal("Appointment", f"status={'x' * 3000}")[0].text
    assert "values" in refusal("Appointment", f"status={'x,' * 1500}")[0].text
