"""Whatever a patch says, it is applied or refused: nothing else happens, and the original stays as it was."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from fhirpathpy import evaluate
from fhirpathpy.models import models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.errors import Refused
from adapter.fhir.patching import Patch, apply
from adapter.fhir.patching.fhirpath import FUNCTIONS, read_path
from adapter.fhir.patching.locating import locate
from adapter.fhir.patching.values import Budget
from store.codec import ExactDecimal, Resource, decode, encode
from tests.scale import examples

RESOURCE: Resource = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"versionId": "1", "lastUpdated": "2024-01-15T10:00:00.000Z", "tag": [{"code": "a"}, {"code": "b"}]},
    "contained": [
        {"resourceType": "Organization", "id": "o", "name": "Clinic"},
        {"resourceType": "Nothing", "id": "n"},
    ],
    "extension": [{"url": "urn:d", "valueDecimal": ExactDecimal("1.10")}, {"url": "urn:s", "valueString": "x"}],
    "active": True,
    "name": [
        {"use": "official", "family": "Chen", "given": ["Ada", "Sarah"], "_given": [None, {"id": "g"}]},
        {"use": "usual", "text": "Sarah"},
    ],
    "birthDate": "1990-01-01",
    "_birthDate": {"extension": [{"url": "urn:t", "valueTime": "10:00:00"}]},
    "deceasedBoolean": False,
    "multipleBirthInteger": 2,
    "contact": [{"name": {"family": "Chen"}, "gender": "male"}],
}

_WORDS = (
    "name given family use meta tag extension url value valueDecimal contact gender birthDate _birthDate _given active "
    "deceased contained id resourceType versionId x "
)
NAMES = st.sampled_from(_WORDS.split(" "))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.text(max_size=4)
    | st.builds(lambda number: ExactDecimal(f"{number}0"), st.decimals(-9, 9, places=2)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TOKENS = NAMES | st.sampled_from(["0", "1", "2", "-", "01", "~0", "~1", "~", "é"])
POINTERS = st.lists(TOKENS, max_size=5).map(lambda tokens: "".join(f"/{token}" for token in tokens)) | st.text(
    max_size=5
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": POINTERS},
    optional={"value": VALUES, "from": POINTERS},
)

_FILTERS = """use = 'official'
exists()
$this = 'Ada'
family ~ 'CHEN' and given.exists()
url = 'urn:d' or true
value = 1.1
empty().not()
code != 'a'
given
1
@2024
given.contains('d')
("""
CONDITIONS = st.sampled_from(_FILTERS.splitlines())
STEPS = (
    NAMES.filter(bool)
    | st.sampled_from(sorted(FUNCTIONS)).map(lambda name: f"{name}()")
    | CONDITIONS.map(lambda condition: f"where({condition})")
    | st.sampled_from(["first()", "last()", "extension('urn:d')", "ofType(string)", "skip(1)", "take(1)", "`use`"])
)
INDEXES = st.sampled_from(["", "", "", "[0]", "[1]", "[9]"])
PATHS = st.lists(st.builds(str.__add__, STEPS, INDEXES), max_size=4).map(lambda steps: ".".join(["Patient", *steps]))
CONTENTS = st.one_of(
    st.builds(
        lambda kind, value: {f"value{kind}": value},
        st.sampled_from(["String", "Code", "Boolean", "Integer", "HumanName", "Extension", "Meta", "Date", "X", ""]),
        VALUES,
    ),
    st.lists(st.builds(lambda name, value: {"name": name, "valueString": value}, NAMES, VALUES), max_size=3).map(
        lambda parts: {"part": parts}
    ),
    st.builds(lambda value: {"resource": value}, VALUES),
)
ELEMENT_OPERATIONS = st.builds(
    lambda kind, path, rest: {
        "name": "operation",
        "part": [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}, *rest],
    },
    st.sampled_from(["add", "insert", "delete", "replace", "move"]),
    PATHS,
    st.builds(
        lambda name, content, numbers: [
            {"name": "name", "valueString": name},
            {"name": "value"} | content,
            *(
                {"name": part, "valueInteger": n}
                for part, n in zip(("index", "source", "destination"), numbers, strict=True)
            ),
        ],
        NAMES,
        CONTENTS,
        st.tuples(*[st.integers(0, 3)] * 3),
    ),
)
ANYTHING = VALUES | st.lists(VALUES, max_size=3)


def tried(document: Any) -> None:
    before = encode(RESOURCE)
    with contextlib.suppress(Refused):
        after = apply(Patch.read(document), RESOURCE)
        assert (after["resourceType"], after["id"]) == ("Patient", "p")
        if isinstance(after.get("meta"), dict):
            assert {"versionId": "1", "lastUpdated": "2024-01-15T10:00:00.000Z"}.items() <= after["meta"].items()
        _require_full(after)
        assert encode(decode(encode(after))) == encode(after)
    assert encode(RESOURCE) == before


def _require_full(value: Any) -> None:
    assert value not in ({}, [])
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _require_full(inner)


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, max_size=6))
def test_any_json_patch(document: Any) -> None:
    tried(document)


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ELEMENT_OPERATIONS, max_size=4))
def test_any_fhirpath_patch(operations: Any) -> None:
    tried({"resourceType": "Parameters", "parameter": operations})


@given(ANYTHING)
def test_any_document(document: Any) -> None:
    tried(document)
    tried({"resourceType": "Parameters", "parameter": document})
    tried([document])


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="Patient.name[0]('x=)$%!~ `@u\\§", max_size=30))
def test_any_path(text: str) -> None:
    with contextlib.suppress(Refused):
        read_path(text)


@pytest.mark.parametrize(
    "path",
    [
        "Patient.name.given",
        "Patient.name.where(use = 'official').given.last()",
        "Patient.name.where(use = 'official' and given.exists()).family",
        "Patient.name.where(use != 'official').text",
        "Patient.name.where(family ~ 'chen').given.skip(1)",
        "Patient.name.where(family.empty()).text",
        "Patient.name.given.where($this.startsWith('S'))",
        "Patient.meta.tag.tail().code",
        "Patient.extension('urn:s').value",
        "Patient.extension.value.ofType(string)",
        "Patient.contact.name.family.first()",
        "Patient.birthDate",
        "Patient.active",
        "Patient.deceased",
        "Patient.name.where(use = 'usual' or use = 'official').use.take(1)",
    ],
)
def test_paths_lead_to_what_fhirpath_finds(path: str) -> None:
    plain = decode(encode(RESOURCE))
    del plain["name"][0]["_given"]  # which fhirpathpy takes for a further value
    found = [node.value for node in locate(read_path(path), plain, Budget(plain))]
    assert found == evaluate(plain, path, {}, models["r4"])
