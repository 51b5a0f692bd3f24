"""JSON that FHIR does not allow is refused, each problem with its place."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Malformed, Problem
from adapter.fhir.operations import exporting_patients
from adapter.fhir.validation import check, findings, strict_json, structure, walk
from store.codec import ExactDecimal, encode


def refusal(raw: bytes | str) -> list[Problem]:
    with pytest.raises(Malformed) as caught:
        strict_json.read(raw.encode() if isinstance(raw, str) else raw)
    assert caught.value.status == 400
    return list(caught.value.problems)


def found(raw: bytes | str) -> list[tuple[str, str | None]]:
    return [(problem.code, problem.param) for problem in refusal(raw)]


def test_what_is_sent_is_what_is_read() -> None:
    raw = '{"resourceType":"Location","position":{"longitude":1.10,"latitude":-0,"altitude":12e1},"name":"É\\n😀"}'
    read = strict_json.read(raw.encode())
    assert encode(read).decode() == raw
    assert isinstance(read["position"]["longitude"], ExactDecimal)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", "line 1, column 1"),
        (b'{"a": 1,}', "line 1, column"),
        (b'{"a":\n  nope}', "line 2, column 3"),
        (b"[]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": "\\ud800"}', "JSON cannot carry"),
        (b'{"a": NaN}', "JSON cannot carry"),
        (b'{"a": 1e99999999999999999999}', "JSON cannot carry"),
        (b'{"a": "\n"}', "line 1"),
        (b'{"a":' * 90_000 + b"1" + b"}" * 90_000, "nested too deeply"),
        (b"[" * 90_000, "nested too deeply"),
    ],
    ids=range(13),
)
def test_no_json_object(raw: bytes, text: str) -> None:
    (problem,) = refusal(raw)
    assert (problem.code, problem.issue, problem.param) == ("invalid_json", "structure", None)
    assert text in problem.message


def test_duplicate_keys_are_named_where_they_are() -> None:
    raw = (
        '{"resourceType":"Appointment","status":"","participant":[{"id":"a"},{"status":"a","status":"b"}],"status":"x"}'
    )
    assert found(raw) == [
        ("duplicate_key", "Appointment.status"),
        ("duplicate_key", "Appointment.participant[1].status"),
    ]
    assert found('{"a":1,"a":1,"a":2}') == [("duplicate_key", "Resource.a")]


def test_what_is_read_as_it_was_sent_is_looked_into_later() -> None:
    read = strict_json.read_as_sent(b'{"a":1,"a":[],"b":null}')
    assert read == {"a": [], "b": None}
    with pytest.raises(Malformed) as caught:
        strict_json.require_structure(read)
    assert [one.param for one in caught.value.problems] == ["Resource.a", "Resource.a", "Resource.b"]
    assert strict_json.faults(read) == [*caught.value.problems]


def test_around_what_it_wraps_a_resource_is_as_it_was_sent() -> None:
    entries = '[{},{"resource":[null],"resource":{"a":{}}}]'
    sent = f'{{"resourceType":"Bundle","type":"batch","type":"batch","entry":{entries}}}'
    read = strict_json.read_as_sent(sent.encode())
    found = strict_json.faults(structure.around(read, "entry"))
    assert [one.param for one in found] == ["Bundle.type", "Bundle.entry[0]", "Bundle.entry[1].resource"]
    assert read["entry"][1]["resource"] == {"a": {}}


def test_a_key_that_is_no_name_is_not_repeated_to_anybody() -> None:
    (problem,) = refusal('{"resourceType":"Patient","Amina Nakato":1,"Amina Nakato":2}')
    assert problem.param == "Patient"
    assert "Amina" not in problem.message


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"resourceType":"Patient","active":null}', ("null_value", "Patient.active")),
        ('{"resourceType":"Patient","name":[]}', ("empty_value", "Patient.name")),
        ('{"resourceType":"Patient","name":[{}]}', ("empty_value", "Patient.name[0]")),
        ('{"resourceType":"Patient","name":[{"family":""}]}', ("empty_value", "Patient.name[0].family")),
        ('{"resourceType":"Patient","name":[{"given":["a",""]}]}', ("empty_value", "Patient.name[0].given[1]")),
        ('{"resourceType":"Patient","meta":{}}', ("empty_value", "Patient.meta")),
        ("{}", ("empty_value", "Resource")),
        ('{"resourceType":"Patient","name":[{"given":["a",null]}]}', ("null_value", "Patient.name[0].given[1]")),
        ('{"resourceType":"Patient","name":[null]}', ("null_value", "Patient.name[0]")),
        ('{"resourceType":"Patient","name":[[{"text":"a"}]]}', ("nested_list", "Patient.name[0]")),
        ('{"resourceType":"Patient","name":[{"text":"a\\u0000"}]}', ("bad_text", "Patient.name[0].text")),
        ('{"resourceType":"Patient","name":[{"given":["a\\u001b"]}]}', ("bad_text", "Patient.name[0].given[0]")),
        (
            '{"resourceType":"Location","position":{"latitude":1e6145}}',
            ("number_out_of_range", "Location.position.latitude"),
        ),
        ('{"resourceType":"X","a":[1e-7000]}', ("number_out_of_range", "X.a[0]")),
        ('{"resourceType":"X","a":[1e309]}', ("number_out_of_range", "X.a[0]")),
        ('{"resourceType":"X","a":[-1.8e308]}', ("number_out_of_range", "X.a[0]")),
        (f'{{"resourceType":"X","a":{"9" * 400}}}', ("number_out_of_range", "X.a")),
        # Beyond the exponents that Python's decimals are reckoned with, though not beyond those that they hold.
        ('{"resourceType":"X","a":[1e1000000]}', ("number_out_of_range", "X.a[0]")),
        ('{"resourceType":"X","a":-1e999999999}', ("number_out_of_range", "X.a")),
        ('{"resourceType":"X","a":1e-999999999}', ("number_out_of_range", "X.a")),
        pytest.param(
            f'{{"resourceType":"X","a":{"9" * 1_000_001}}}', ("number_out_of_range", "X.a"), id="a million digits"
        ),
        ('{"resourceType":5,"a":null}', ("null_value", "Resource.a")),
    ],
)
def test_what_fhir_json_does_not_allow(raw: str, expected: tuple[str, str]) -> None:
    assert found(raw) == [expected]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"resourceType":"Patient","deceasedBoolean":null}', ("null_value", "Patient.deceased")),
        (
            '{"resourceType":"Patient","multipleBirthInteger":1,"multipleBirthInteger":2}',
            ("duplicate_key", "Patient.multipleBirth"),
        ),
        ('{"resourceType":"Patient","_deceasedBoolean":{}}', ("empty_value", "Patient.deceased")),
        (
            '{"resourceType":"Patient","name":[{"extension":[{"url":"http://x","valueString":""}]}]}',
            ("empty_value", "Patient.name[0].extension[0].value"),
        ),
        (
            '{"resourceType":"Patient","contained":[{"resourceType":"Group","characteristic":[{"valueRange":{"low":{}}}]}]}',
            ("empty_value", "Patient.contained[0].characteristic[0].value.low"),
        ),
        (
            '{"resourceType":"Parameters","parameter":[{"name":"a","valueString":""}]}',
            ("empty_value", "Parameters.parameter[0].value"),
        ),
        ('{"resourceType":"Patient","active":{"valueString":""}}', ("empty_value", "Patient.active.valueString")),
    ],
)
def test_a_choice_is_named_as_fhirpath_does_without_its_type(raw: str, expected: tuple[str, str]) -> None:
    assert found(raw) == [expected]


def test_a_choice_in_an_entry_of_a_bundle_is_named_without_its_type_too() -> None:
    entry = {"resource": {"resourceType": "Patient", "deceasedBoolean": None}}
    found = findings.Findings()
    structure.check_structure(entry, found, "Bundle.entry[3]")
    assert [one.param for one in found.all()] == ["Bundle.entry[3].resource.deceased"]


@pytest.mark.parametrize(
    "members",
    [
        '"given":["a",null],"_given":[null,{"extension":[{"url":"http://x","valueCode":"unknown"}]}]',
        '"given":[null],"_given":[{"extension":[{"url":"http://x","valueCode":"unknown"}]}]',
        '"given":["a","b"],"_given":[{"id":"x"}]',
        '"_given":[{"extension":[{"url":"http://x","valueCode":"unknown"}]}]',
        '"text":"tab\\tline\\nreturn\\r\\u007f"',
    ],
)
def test_null_keeps_a_list_and_its_siblings_aligned(members: str) -> None:
    resource = strict_json.read(f'{{"resourceType":"Patient","name":[{{{members}}}]}}'.encode())
    assert check(resource, "Patient") == []


@pytest.mark.parametrize(
    "members",
    [
        '"given":["a",null],"_given":[null,null]',
        '"given":["a",null],"_given":[{"id":"x"}]',
        '"given":["a"],"_given":[{"id":"a"},null]',
        '"given":"a","_given":[null]',
    ],
)
def test_null_that_aligns_nothing(members: str) -> None:
    problems = refusal(f'{{"resourceType":"Patient","name":[{{{members}}}]}}')
    assert {problem.code for problem in problems} == {"null_value"}


def nested(levels: int) -> str:
    return '{"a":' * (levels - 1) + '{"b":1}' + "}" * (levels - 1)


def test_64_levels_are_enough() -> None:
    strict_json.read(nested(64).encode())
    ((code, place),) = found(nested(65))
    assert code == "too_deep"
    assert place is not None
    assert place.count(".a") == 64
    ((code, _),) = found('{"a":' * 64 + "[1]" + "}" * 64)
    assert code == "too_deep"


def test_a_body_that_is_all_wrong_is_not_answered_with_a_book() -> None:
    problems = refusal('{"a":[' + ",".join("null" for _ in range(500)) + "]}")
    assert len(problems) == 101
    assert problems[-1].code == "further_problems"
    assert "400" in problems[-1].message


def test_check_finds_them_too_as_a_patch_may_have_made_them() -> None:
    resource: dict[str, Any] = {"resourceType": "Patient", "name": [], "gender": None, "meta": {"tag": [{}]}}
    assert [(p.code, p.param) for p in check(resource)] == [
        ("empty_value", "Patient.name"),
        ("null_value", "Patient.gender"),
        ("empty_value", "Patient.meta.tag[0]"),
    ]
    for _ in range(70):
        resource = {"resourceType": "Patient", "contained": [resource]}
    assert [p.code for p in check(resource)] == ["too_deep"]


def test_a_patch_is_a_list() -> None:
    raw = b'[{"op":"add","path":"/a","value":null},{"op":"add","path":"/b","value":{"x":[1.10]}}]'
    assert encode({"patch": strict_json.read_patch(raw)}) == b'{"patch":' + raw + b"}"
    for bad, code in (
        (b"{}", "invalid_json"),
        (b"", "invalid_json"),
        (b'[{"op":"add","op":"remove"}]', "duplicate_key"),
        (b'[{"op":"add","value":[{"x":{"a":1,"a":2}}]}]', "duplicate_key"),
    ):
        with pytest.raises(Malformed) as caught:
            strict_json.read_patch(bad)
        assert [problem.code for problem in caught.value.problems] == [code]
        assert all(problem.param is None for problem in caught.value.problems)


@pytest.mark.parametrize(
    "raw", [b'[{"value":' + nested(70).encode() + b"}]", b'[{"value":' + b"[" * 70 + b"]" * 70 + b"}]"]
)
def test_a_patch_is_not_nested_endlessly_either(raw: bytes) -> None:
    with pytest.raises(Malformed, match="too_deep"):
        strict_json.read_patch(raw)


def named(kind: str, members: int) -> dict[str, Any]:
    """A resource with 1 + 2 + 2 * `members` values."""
    return {"resourceType": kind, "id": "x", "member" if kind == "Group" else "name": [{"a": 1}] * members}


@pytest.mark.parametrize(("kind", "most"), [("Patient", structure.MOST_VALUES), ("Group", structure.MOST_IN_LISTS)])
def test_only_so_many_values_are_looked_into(kind: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(encode(named(kind, most // 2 - 1))) == [("too_many_values", kind)]
    assert [one.code for one in check(named(kind, most // 2 - 1))] == ["too_many_values"]
    few = named(kind, most // 2 - 2)
    assert strict_json.read(encode(few)) == few
    several = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": few}] * 2}
    assert strict_json.read(encode(several)) == several


@pytest.mark.parametrize("asked", [exporting_patients._MOST, exporting_patients._MOST + 1])
def test_so_many_patients_as_an_export_takes_can_be_named(asked: int) -> None:
    """What is one too many is told by the export."""
    named = [{"name": "patient", "valueReference": {"reference": f"Patient/{one}"}} for one in range(asked)]
    sent = {"resourceType": "Parameters", "parameter": named}
    assert strict_json.read(encode(sent)) == sent


def test_what_is_wrapped_is_counted_by_itself() -> None:
    group = named("Group", structure.MOST_VALUES)
    sent = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": group}]}
    assert strict_json.read(encode(sent)) == sent
    assert [one.code for one in check(named("Patient", structure.MOST_VALUES))] == ["too_many_values"]


def test_problems_beyond_those_that_are_named_are_only_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    real = findings.expression

    def noted(place: findings.Place) -> str:
        told.append(place)
        return real(place)

    monkeypatch.setattr(findings, "expression", noted)
    problems = check({"resourceType": "Patient", "name": [{"use": "zz"}] * 5_000})
    assert len(problems) == findings.MOST + 1 == len(told) + 1
    assert problems[-1].message.startswith("There are up to 4900 further problems.")


@pytest.mark.parametrize(
    ("resource", "hinted"),
    [
        ({"resourceType": "Patient"} | {f"birthDat{number}": 1 for number in range(1_000)}, "hint"),
        ({"resourceType": "Patient", "name": [{"use": "offical"}] * 1_000}, "code_hint"),
    ],
)
def test_what_may_have_been_meant_is_looked_for_only_where_it_is_told(
    monkeypatch: pytest.MonkeyPatch, resource: dict[str, Any], hinted: str
) -> None:
    asked: list[object] = []

    def counted(_: object, given: object) -> str:
        asked.append(given)
        return ""

    monkeypatch.setattr(walk, hinted, counted)
    problems = check(resource)
    assert problems[-1].message.startswith("There are up to 900 further problems.")
    assert len(asked) == findings.MOST
