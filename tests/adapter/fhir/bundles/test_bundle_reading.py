"""A Bundle taken apart: what is accepted, what is refused, and that every refusal says where."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Malformed, Refused, TooLarge, Unprocessable
from adapter.fhir.bundles.reading import MAX_BUNDLE_ENTRIES, read
from adapter.fhir.bundles.urls import address
from adapter.fhir.call import MODIFIED_SINCE
from tests.adapter.fhir.bundles.sending import NO_PATCH, ROOT, bundle, entry, person, urn

Json = dict[str, Any]


def refusal(body: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        read(body, ROOT)
    return refused.value


def problems(body: Any) -> list[tuple[str, str | None]]:
    return [(one.code, one.param) for one in refusal(body).problems]


def fault(one: Json, kind: str = "transaction") -> tuple[str, str | None, int | None]:
    """Return what is wrong with the only entry, which does not refuse the Bundle."""
    parsed = read(bundle(kind, one), ROOT)
    assert parsed.entries == ()
    [problem] = parsed.faults[0].problems
    return problem.code, problem.param, problem.entry


def test_an_entry_is_an_interaction() -> None:
    headers = {"ifMatch": 'W/"3"', "ifNoneMatch": "*", "ifModifiedSince": "2024-01-20T10:00:00.5+03:00"}
    body = bundle("batch", entry("PUT", "Patient/a%2Db?x=1&x=%C3%A9", person(), urn(1), **headers))
    [one] = read(body, ROOT).entries
    assert (one.index, one.method, one.path, one.query) == (0, "PUT", ("Patient", "a-b"), (("x", "1"), ("x", "é")))
    assert (one.full_url, one.resource, one.reads) == (urn(1), person(), False)
    assert one.headers == {
        "if-match": 'W/"3"',
        "if-none-match": "*",
        MODIFIED_SINCE: "2024-01-20T07:00:00.500000+00:00",
    }


@pytest.mark.parametrize("moment", ["2024-06-30T23:59:60Z", "0001-01-01T00:00:00+14:00"])
def test_a_moment_that_no_calendar_has_is_no_condition(moment: str) -> None:
    [one] = read(bundle("batch", entry("GET", "Patient/1", ifModifiedSince=moment)), ROOT).entries
    assert one.headers == {}


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_an_empty_bundle_is_fine(kind: str) -> None:
    parsed = read(bundle(kind), ROOT)
    assert (parsed.kind, parsed.size, parsed.entries) == (kind, 0, ())


@pytest.mark.parametrize(
    ("method", "url", "reads"),
    [
        ("GET", "Patient", True),
        ("HEAD", "Patient/1", True),
        ("POST", "Patient/_search?name=x", True),
        ("POST", "Patient/$everything", True),
        ("POST", "Appointment/$book", False),
        ("GET", "$export", False),
        ("POST", "Patient", False),
        ("DELETE", "Patient/1", False),
    ],
)
def test_what_only_reads(method: str, url: str, reads: bool) -> None:
    resource = None if "_search" in url else person()
    [one] = read(bundle("batch", entry(method, url, resource)), ROOT).entries
    assert one.reads == reads


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("Patient", ("Patient",), ()),
        ("Patient?identifier=urn:x%7C1", ("Patient",), (("identifier", "urn:x|1"),)),
        ("Patient?name=", ("Patient",), (("name", ""),)),
        ("Patient/1/_history/2", ("Patient", "1", "_history", "2"), ()),
        ("Patient/1/*", ("Patient", "1", "*"), ()),
        ("?_type=Slot", (), (("_type", "Slot"),)),
        ("_history", ("_history",), ()),
        (f"{ROOT}/Patient/1", ("Patient", "1"), ()),
        (f"{ROOT}?_type=Slot", (), (("_type", "Slot"),)),
        (ROOT, (), ()),
        ("/Patient/1", ("Patient", "1"), ()),
        ("/Patient?name=x", ("Patient",), (("name", "x"),)),
        ("/", (), ()),
        (f"{ROOT.replace('http:', 'https:')}/Patient/1", ("Patient", "1"), ()),
        (f"{ROOT.replace('http:', 'https:')}?_type=Slot", (), (("_type", "Slot"),)),
    ],
)
def test_addresses(url: str, path: tuple[str, ...], query: Any) -> None:
    assert address(url, ROOT) == (path, query)


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.example/fhir/Patient/1",
        f"{ROOT}x/Patient/1",
        "urn:uuid:1",
        "//elsewhere.example/Patient/1",
        "Patient/1#part",
        "Patient//1",
        "Patient/",
        "Patient/a b",
        "Patient/%2e%2e%2fx",
        "Patient/é",
        f"Patient/{'x' * 65}",
        "Patient?name=%FF",
        "Patient?name=x#y",
    ],
)
def test_addresses_that_lead_nowhere(url: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        address(url, ROOT)
    if " " not in url:
        assert fault(entry("GET", url)) == ("bad_url", "Bundle.entry[0].request.url", 0)


def test_a_query_has_a_thousand_pairs_at_most() -> None:
    assert len(address("Patient?" + "&".join(["name=x"] * 1_000), ROOT)[1]) == 1_000
    with pytest.raises(ValueError, match="cannot be read"):
        address("Patient?" + "&".join(["name=x"] * 1_001), ROOT)


@pytest.mark.parametrize("body", [None, person(), {"resourceType": "Bundle"}, {"type": "batch"}])
def test_what_is_no_bundle(body: Any) -> None:
    assert refusal(body).status == 400


@pytest.mark.parametrize("kind", ["collection", "searchset", "history", "document", "message", "batch-response"])
def test_bundles_that_ask_for_nothing(kind: str) -> None:
    refused = refusal(bundle(kind))
    assert isinstance(refused, Unprocessable)
    assert [(one.issue, one.param) for one in refused.problems] == [("not-supported", "Bundle.type")]


@pytest.mark.parametrize("kind", ["transacton", 7])
def test_a_type_that_fhir_does_not_have_is_malformed_as_every_code_is(kind: Any) -> None:
    refused = refusal(bundle(kind))
    assert isinstance(refused, Malformed)
    assert [(one.code, one.issue, one.param) for one in refused.problems] == [
        ("unknown_code", "code-invalid", "Bundle.type")
    ]


def test_too_many_entries() -> None:
    entries = [entry("DELETE", f"Patient/{number}") for number in range(MAX_BUNDLE_ENTRIES + 1)]
    assert read(bundle("batch", *entries[1:]), ROOT).size == MAX_BUNDLE_ENTRIES
    refused = refusal(bundle("batch", *entries))
    assert isinstance(refused, TooLarge)
    assert [(one.issue, one.param) for one in refused.problems] == [("too-costly", "Bundle.entry")]
    assert str(MAX_BUNDLE_ENTRIES) in refused.problems[0].message


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"request": None, "fullUrl": urn(1)}, "bdl-3", "request"),
        ({"response": {"status": "200"}}, "bdl-4", "response"),
        ({"search": {"mode": "match"}}, "bdl-2", "search"),
        ({"fullUrl": f"{ROOT}/Patient/1/_history/2"}, "bdl-8", "fullUrl"),
        ({"fullUrl": 7}, "bad_value", "fullUrl"),
        ({"unheard": 1}, "unknown_element", "unheard"),
        ({"request": {"method": "FETCH", "url": "Patient"}}, "unknown_code", "request.method"),
        ({"request": {"method": "GET"}}, "missing_element", "request.url"),
        ({"request": {"url": "Patient"}}, "missing_element", "request.method"),
        ({"request": {"method": "GET", "url": "Patient", "ifMatch": 3}}, "bad_value", "request.ifMatch"),
        ({"request": {"method": "GET", "url": "Patient?x=a b"}}, "bad_value", "request.url"),
        ({"request": {"method": "GET", "url": "Patient", "ifModifiedSince": "now"}}, "bad_value", "request.ifModified"),
    ],
)
def test_a_bundle_that_fhir_does_not_allow(change: Json, code: str, place: str) -> None:
    sound = entry("GET", "Patient/0")
    wrong = {name: value for name, value in {**sound, **change}.items() if value is not None}
    found = problems(bundle("transaction", sound, wrong))
    assert len(found) == 1
    assert (found[0][0], str(found[0][1]).startswith(f"Bundle.entry[1].{place}")) == (code, True), found


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        *(("x", ["wrong_type"]), ([1], ["wrong_type"]), (0, ["wrong_type"]), (False, ["wrong_type"])),
        *(({}, ["empty_value", "wrong_type"]), (None, ["null_value", "wrong_type"])),
        *(([], ["empty_value"]), ([{}], ["empty_value"]), ([["x"]], ["nested_list"])),
    ],
)
def test_entries_that_are_none(entries: Any, codes: list[str]) -> None:
    found = problems({"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert [code for code, _ in found] == codes
    assert all(str(place).startswith("Bundle.entry") for _, place in found)


def test_what_fhirs_json_does_not_allow_hides_nothing_else_of_a_bundle() -> None:
    wrong = bundle("transaction", {**entry("GET", "Patient/1"), "link": []}, foo=1)
    assert problems(wrong) == [
        ("empty_value", "Bundle.entry[0].link"),
        ("unknown_element", "Bundle.foo"),
    ]


def test_a_total_belongs_to_answers() -> None:
    assert problems(bundle("batch", total=0)) == [("bdl-1", "Bundle.total")]


def test_each_name_once() -> None:
    for other in (urn(1), urn(1).upper()):
        same = [entry("POST", "Patient", person(), urn(1)), entry("POST", "Patient", person(), other)]
        assert problems(bundle("batch", *same)) == [("bdl-7", "Bundle.entry[1].fullUrl")]
    none: list[Any] = [{}, ["2"], 2]  # that is for validation to tell
    for version in none:
        same = [entry("POST", "Patient", person(meta={"versionId": one}), urn(1)) for one in (version, version)]
        assert problems(bundle("batch", *same)) == [("bdl-7", "Bundle.entry[1].fullUrl")]
    versions = [
        entry("GET", "Patient/1", person(meta={"versionId": version}), f"{ROOT}/Patient/1") for version in ("1", "2")
    ]
    assert read(bundle("batch", *versions), ROOT).size == 2


@pytest.mark.parametrize(
    ("one", "code", "place"),
    [
        (entry("POST", "Patient"), "missing_resource", "resource"),
        (entry("PUT", "Patient/1"), "missing_resource", "resource"),
        (entry("PATCH", "Patient/1"), "missing_resource", "resource"),
        (entry("POST", "Patient", ["x"]), "wrong_type", "resource"),
        (entry("POST", "Patient", "x"), "wrong_type", "resource"),
        (entry("POST", f"{ROOT}", bundle("batch")), "nested_bundle", "request.url"),
        (entry("PUT", "Patient/1", person(), ifNoneExist="name=x"), "bad_precondition", "request.ifNoneExist"),
    ],
)
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_an_entry_that_cannot_be_carried_out(one: Json, code: str, place: str, kind: str) -> None:
    assert fault(one, kind) == (code, f"Bundle.entry[0].{place}", 0)


@pytest.mark.parametrize(
    ("method", "url", "full"),
    [
        ("PUT", "Patient/bob", f"{ROOT}/Patient/alice"),
        ("PUT", "Patient/bob", "https://his.example/fhir/Patient/alice"),
        ("PUT", "Patient/bob", "Patient/alice"),
        ("PUT", "Patient/bob", f"{ROOT}/Practitioner/bob"),
        ("PUT", "Patient?identifier=1", f"{ROOT}/Patient/alice"),  # the resource says its id
        ("PUT", "Patient?identifier=1", f"{ROOT}/Practitioner/bob"),
        ("PATCH", "Patient/bob", f"{ROOT}/Patient/alice"),
        ("PATCH", "Patient?identifier=1", f"{ROOT}/Practitioner/bob"),
        ("POST", "Patient", f"{ROOT}/Practitioner/bob"),
    ],
)
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_full_url_is_no_address_of_another_resource(method: str, url: str, full: str, kind: str) -> None:
    """https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl: it does not disagree with the id."""
    one = entry(method, url, NO_PATCH if method == "PATCH" else person(id="bob"), full)
    assert fault(one, kind) == ("id_mismatch", "Bundle.entry[0].fullUrl", 0)


@pytest.mark.parametrize(
    ("method", "url", "full"),
    [
        ("PUT", "Patient/bob", "https://his.example/fhir/Patient/bob"),
        ("PUT", "Patient/bob", urn(1)),
        ("PUT", "Patient/bob", "https://his.example/messages/4711"),
        ("PUT", "Patient/bob", "https://his.example/Message/4711"),  # nothing that FHIR has
        ("PATCH", "Patient/bob", f"{ROOT}/Patient/bob"),
        ("PATCH", "Patient?identifier=1", f"{ROOT}/Patient/alice"),  # which one it is, its criteria tell
        ("POST", "Patient", f"{ROOT}/Patient/alice"),  # the id that a creation brings is none
        ("GET", "Patient/bob", f"{ROOT}/Patient/alice"),  # it names nothing
        ("DELETE", "Patient/bob", f"{ROOT}/Patient/alice"),
        ("POST", "Patient/$validate", f"{ROOT}/Patient/alice"),
        ("PUT", "/", f"{ROOT}/Patient/alice"),  # refused for what it asks
    ],
)
def test_any_other_full_url_is_taken(method: str, url: str, full: str) -> None:
    resource = {"PATCH": NO_PATCH, "GET": None}.get(method, person(id="bob"))
    [one] = read(bundle("transaction", entry(method, url, resource, full)), ROOT).entries
    assert one.full_url == full


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("url", ["Patient/_search", "_search", "Patient/1/Appointment/_search?status=booked"])
def test_the_parameters_of_a_search_are_not_taken_from_a_resource(kind: str, url: str) -> None:
    body = {"resourceType": "Parameters", "parameter": [{"name": "name", "valueString": "x"}]}
    assert fault(entry("POST", url, body), kind) == ("search_with_body", "Bundle.entry[0].resource", 0)
    [one] = read(bundle(kind, entry("POST", url)), ROOT).entries
    assert one.reads


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize(
    ("method", "url", "is_fault"),
    [
        *(("POST", "Patient", False), ("PUT", "Patient/1", False), ("POST", "Patient/$validate", False)),
        *(("PATCH", "Patient/1", True), ("DELETE", "Patient/1", True), ("GET", "Patient/1", True)),
        *(("POST", "Patient/$everything", False), ("PUT", "Patient/$everything", True)),
    ],
)
def test_json_that_fhir_does_not_allow_is_a_fault_of_its_entry_unless_the_whole_is_judged(
    kind: str, method: str, url: str, is_fault: bool
) -> None:
    odd = entry(method, url, person(name=[]))
    parsed = read(bundle(kind, entry("POST", "Patient", person()), odd), ROOT)
    assert [one.index for one in parsed.entries] == ([0] if is_fault else [0, 1])
    assert parsed.faults.keys() == ({1} if is_fault else set())
    for refused in parsed.faults.values():
        assert [(one.code, one.param) for one in refused.problems] == [("empty_value", "Patient.name")]
