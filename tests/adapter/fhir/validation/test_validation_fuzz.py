"""What is valid passes and is not touched; whatever is done to it, nothing but a refusal comes of it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.errors import Problem, Refused
from adapter.fhir.validation import check, outcome_of, require_valid, strict_json
from adapter.fhir.validation.definitions import type_of
from adapter.fhir.validation.findings import Findings
from adapter.fhir.validation.models import check_model
from adapter.fhir.validation.structure import check_structure
from adapter.fhir.validation.walk import Walk
from store.codec import ExactDecimal, encode
from tests.adapter.fhir.validation.generated import KINDS, Json, resources
from tests.scale import examples
from tests.strategies import appointments, schedules, slots

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.json"))
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_official_example_passes_as_it_is(path: Path) -> None:
    raw = path.read_bytes()
    resource = strict_json.read(raw)
    before = copy.deepcopy(resource)
    require_valid(resource, resource["resourceType"])
    assert resource == before
    assert encode(resource) == encode(json.loads(raw, parse_float=ExactDecimal))


@settings(max_examples=examples(300), deadline=None, suppress_health_check=QUIET)
@given(appointments() | slots() | schedules())
def test_valid_resources_pass(resource: Json) -> None:
    raw = encode(resource)
    problems = check(strict_json.read(raw), resource["resourceType"])
    # What is drawn there at random may end before it starts, and give one of start and end by an extension alone.
    assert {problem.code for problem in problems} <= {"end_before_start", "too_long", "app-2"}
    assert encode(strict_json.read(raw)) == raw


@pytest.mark.parametrize("kind", KINDS)
def test_walk_and_model_agree_on_generated_shapes(kind: str) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
    @given(resources(kind))
    def agree(resource: Json) -> None:
        walked = Findings()
        Walk(walked).resource(resource, kind)
        # Only rules between elements may be broken by chance, never the shape.
        assert {p.issue for p in walked.problems} <= {"invariant"}, walked.problems
        assert modelled(resource) == []

    agree()


def modelled(resource: Json) -> list[Problem]:
    """Return what the model alone says."""
    findings = Findings()
    check_model(resource, resource["resourceType"], findings)
    return findings.problems


ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 5, 10**17, ExactDecimal("1.5"), ExactDecimal("1e400"), ExactDecimal("123456789" * 3)),
    *(
        "",
        " ",
        "x",
        "5",
        "true",
        "#",
        "#p",
        "\x00",
        "2024-02-30",
        "2024-13",
        "0000-01-01T00:00:00Z",
        "Foo/1",
        "Patient/",
    ),
    *(
        "9999-12-31T23:59:60-12:00",
        "0001-01-01T00:00:00+14:00",
        "javascript:alert(1)",
        "<div>",
        "é" * 70,
        "😀",
    ),
    *(
        [],
        {},
        [None],
        [[]],
        [{}],
        {"": ""},
        {"id": "x"},
        {"resourceType": "FooType"},
        {"resourceType": []},
        ["a", None],
    ),
    *(
        [{"resourceType": "Patient"}],
        {"reference": "#p"},
        {"reference": 5},
        {"coding": 5},
        {"extension": [{"url": "x"}]},
    ),
)
NAMES = (
    "status",
    "_status",
    "contained",
    "extension",
    "text",
    "meta",
    "id",
    "resourceType",
    "value",
    "x y",
    "",
    "_",
    "div",
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Return every object and list in `node` with each of its keys."""
    found: list[tuple[Any, Any]] = []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        found += [(node, key), *places(value)]
    return found


def mutate(resource: Json, chance: random.Random) -> Json:
    """Damage a copy of `resource` in one to three places."""
    damaged = copy.deepcopy(resource)
    for _ in range(chance.randint(1, 3)):
        container, key = chance.choice(places(damaged) or [(damaged, "resourceType")])
        do = chance.randrange(5)
        if do == 0:
            del container[key]
        elif do == 1 and isinstance(container, dict):
            container[chance.choice(NAMES)] = copy.deepcopy(chance.choice(ODD))
        elif do == 2:
            container[key] = [container[key]]
        elif do == 3 and isinstance(container, dict):
            container[f"_{key}"] = container.pop(key)
        else:
            container[key] = copy.deepcopy(chance.choice(ODD))
    return damaged


def judged(resource: Json) -> None:
    """Check it at every entrance: only a refusal may come of it, and every issue must be sound."""
    for kind in {None, "Appointment"}:
        for problem in check(resource, kind):
            assert problem.message.endswith((".", ")", "?")), problem
            assert "pydantic" not in problem.message
            assert problem.issue in {"structure", "required", "value", "code-invalid", "invariant", "business-rule"}
            assert problem.param is not None
    assert outcome_of(resource, "Appointment")
    sound = Findings()
    if resource.get("resourceType") in list(KINDS) and check_structure(resource, sound, "x") and not sound.problems:
        Walk(sound).resource(resource, "x")
        assert sound.problems or not modelled(resource), "the second opinion found what the walk did not"
    assert status(require_valid, resource) in (None, 400, 422)
    assert status(strict_json.read, encode(resource)) in (None, 400)


def status(call: Callable[..., object], *arguments: object) -> int | None:
    """Return the status of the refusal that comes of a call; None for none. Nothing else may come of it."""
    try:
        call(*arguments)
    except Refused as refused:
        return refused.status
    return None


SEEDS = [strict_json.read(path.read_bytes()) for path in EXAMPLES]


@pytest.mark.parametrize("seed", range(10))
def test_damaged_examples_are_never_more_than_refused(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(50):
        judged(mutate(chance.choice(SEEDS), chance))


@settings(max_examples=examples(240), deadline=None, suppress_health_check=QUIET)
@given(appointments(), st.randoms(use_true_random=False))
def test_damaged_appointments_are_never_more_than_refused(resource: Json, chance: random.Random) -> None:
    judged(mutate(resource, chance))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=examples(240), deadline=None, suppress_health_check=QUIET)
@given(st.dictionaries(st.sampled_from(sorted(type_of("Appointment").members)), JSON_VALUES, max_size=6))
def test_any_json_is_never_more_than_refused(members: Json) -> None:
    raw = json.dumps({"resourceType": "Appointment", **members}).encode()
    assert status(lambda: require_valid(strict_json.read(raw))) in (None, 400, 422)


@settings(max_examples=examples(240), deadline=None)
@given(st.binary(max_size=30) | st.text('{}[]",:01e.-nulltrue \\u', max_size=30).map(str.encode))
def test_any_bytes_are_never_more_than_refused(raw: bytes) -> None:
    for read in (strict_json.read, strict_json.read_patch):
        assert status(read, raw) in (None, 400)
