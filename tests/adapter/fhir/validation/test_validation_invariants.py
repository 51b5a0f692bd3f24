"""Every invariant in Python says the same as the official FHIRPath, evaluated by fhirpathpy."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from fhirpathpy import compile as fhirpath
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.fhir.validation import check
from adapter.fhir.validation.definitions import Type, type_of
from adapter.fhir.validation.invariants import INVARIANTS
from store import r4
from tests.adapter.fhir.validation.generated import EXTENSION, KINDS, Json, nodes
from tests.scale import examples

APP_4 = "no-show", "noshow"
"""What the published expression of app-4 says, and what it means."""

# fhirpathpy has no hasValue() of its own.
OPTIONS = {
    "userInvocationTable": {
        "hasValue": {"fn": lambda found: [len(found) == 1 and not isinstance(found[0], dict)], "arity": {0: []}}
    },
    "traceFn": lambda *_: None,
}


@cache
def official() -> dict[tuple[str, str], str]:
    """Return the expressions of all invariants that can apply, by key and path."""
    found: dict[tuple[str, str], str] = {}
    seen: set[str] = set()
    waiting = [*KINDS, "Extension"]
    while waiting:
        kind = waiting.pop()
        if kind in seen or kind == "Resource":
            continue
        seen.add(kind)
        for element in r4.elements(kind):
            waiting += [each["code"] for each in element.get("type", ()) if "/" not in each["code"]]
            for each in element.get("con", ()):
                found[each["key"], element["path"]] = each["expr"]
    return found


ELSEWHERE = frozenset({"ele-1", "ref-1", "dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "txt-1", "txt-2"})
"""Keys of those that one object alone cannot tell: `structure`, `walk`, `containment` and `narrative` see to them."""


def test_every_invariant_has_its_place() -> None:
    keys = {key for key, _ in official()}
    assert keys == INVARIANTS.keys() | ELSEWHERE


@cache
def compiled(expression: str) -> Callable[[Any, Json], list[Any]]:
    made: Callable[[Any, Json], list[Any]] = fhirpath(expression, models["r4"], OPTIONS)
    return made


def holds(expression: str, node: Json, path: str | None = None) -> bool:
    """Tell whether an expression is anything but false for `node`, a resource or what stands at `path`."""
    create: Callable[[Json, str], Any] = ResourceNode.create_node
    return compiled(expression)(node if path is None else create(node, path), {}) != [False]


def typed(path: str) -> Type:
    """Return the type of the objects at `path`."""
    owner, _, last = path.rpartition(".")
    if not owner:
        return type_of(path)
    member = typed(owner).members[last.replace("[x]", "Quantity")]  # the only choices that have an invariant
    assert member.type is not None
    return member.type()


CASES = sorted((key, path) for key, path in official() if (key in INVARIANTS and key != "ext-1") or path == "Extension")
NOT_IN_FHIRPATHPY = {"rng-2"}  # it cannot compare quantities


@pytest.mark.parametrize(("key", "path"), [(k, p) for k, p in CASES if k in INVARIANTS.keys() - NOT_IN_FHIRPATHPY])
def test_invariant_says_what_the_official_expression_says(key: str, path: str) -> None:
    expression = official()[key, path].replace(*APP_4)
    made = typed(path)
    words = set(re.findall(r"\w+", expression))
    names = frozenset(n for n, m in made.members.items() if (m.name in words and not m.sibling) or n == "extension")
    assert len(names) > 1 or key in ("org-2", "org-3", "tim-4", "tim-5")
    # A value that is compared must be one: fhirpathpy takes its extensions for it.
    compared = {n for n in words if re.search(rf"\b{n} *(<|>|=|in\b|\.starts)|[<=] {n}\b|{n}\.(hasV|toS)", expression)}
    bare = sorted(f"_{n}" for n in names if n not in compared and f"_{n}" in made.members)
    siblings = st.sets(st.sampled_from(bare)) if bare else st.just(set[str]())

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(nodes(made, names), siblings)
    def same(node: Json, extended: set[str]) -> None:
        for name in extended:
            value = {"extension": [EXTENSION]}
            node.pop(name[1:], None)
            node[name] = [value] if made.members[name].many else value
        if key == "per-1" and not same_precision(node):
            return
        expected = holds(expression, node, None if made.resource else path)
        assert INVARIANTS[key].holds(node) is expected

    same()


def same_precision(period: Json) -> bool:
    """Tell whether fhirpathpy can compare start and end: it takes most of what differs in precision for text."""
    texts = [text for text in (period.get("start"), period.get("end")) if text]
    return len({"T" in text or len(text) for text in texts}) < 2 and not any("." in text for text in texts)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2024-01-20", "2024-01-20", True),
        ("2024-01", "2024", True),
        ("2024-02", "2024-01-31", False),
        ("2024-01-20T10:00:00Z", "2024-01-20", True),
        ("2024-01-20T10:00:00Z", "2024-01-18", False),
        ("2024-01-20", "2024-01-18T10:00:00Z", False),
        ("2024", "2023-06-01T10:00:00Z", False),
        ("2024-01-20T10:00:00+03:00", "2024-01-20T07:00:00Z", True),
        ("2024-01-20T10:00:01+03:00", "2024-01-20T07:00:00Z", False),
        ("0001", "0001-01-01T00:00:00+14:00", True),
        ("9999-12-31T23:59:59-12:00", "9999-12", True),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59+14:00", False),
        ("nonsense", "2024", True),
        (5, None, True),
    ],
)
def test_per_1_refuses_only_what_certainly_ends_first(start: Any, end: Any, expected: bool) -> None:
    assert INVARIANTS["per-1"].holds({"start": start, "end": end}) is expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ({"value": 1}, {"value": 2}, True),
        ({"value": 2}, {"value": 1}, False),
        ({"value": 2, "unit": "h"}, {"value": 1, "unit": "d"}, True),
        ({"value": "2"}, {"value": 1}, True),
        ({"value": 2}, {"unit": "d"}, True),
        ({"value": 2}, 5, True),
        (None, {"value": 1}, True),
    ],
)
def test_rng_2_compares_what_has_the_same_unit(low: Any, high: Any, expected: bool) -> None:
    assert INVARIANTS["rng-2"].holds({"low": low, "high": high}) is expected


LOCAL = st.sampled_from(["#p1", "#p2", "#", "#nobody", "Patient/1", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"])
INNER = st.fixed_dictionaries(
    {"resourceType": st.just("Patient")},
    optional={
        "id": st.sampled_from(["p1", "p2"]),
        "meta": st.fixed_dictionaries(
            {},
            optional={
                "versionId": st.just("1"),
                "lastUpdated": st.just("2024-01-20T10:00:00Z"),
                "security": st.just([{"code": "R"}]),
                "tag": st.just([{"code": "t"}]),
                "profile": st.just(["#p1"]),
            },
        ).filter(bool),
        "managingOrganization": LOCAL.map(lambda link: {"reference": link, "type": "Organization"}),
        "contained": st.just([{"resourceType": "Device", "id": "d"}]),
        "implicitRules": st.sampled_from(["#p2", "https://example.org/#p2"]),
    },
)


@settings(max_examples=examples(240), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(INNER, min_size=1, max_size=2), st.lists(LOCAL, max_size=2), st.booleans())
def test_contained_rules_say_what_the_official_expressions_say(inner: list[Json], links: list[str], url: bool) -> None:
    resource: Json = {
        "resourceType": "Appointment",
        "status": "proposed",
        "contained": inner,
        "participant": [{"status": "accepted", "actor": {"reference": "Patient/1"}}],
        "supportingInformation": [{"reference": link} for link in links],
    }
    if not links:
        del resource["supportingInformation"]
    if url:
        resource["extension"] = [{"url": "http://example.org/a", "valueUri": "#p1"}]
    found = {problem.code for problem in check(resource)}
    for key in ("dom-2", "dom-4", "dom-5"):
        expression = official()[key, "Appointment"]
        assert (key not in found) is holds(expression, resource), key
    used = [*links, *(i["managingOrganization"]["reference"] for i in inner if "managingOrganization" in i)]
    used += [i["implicitRules"] for i in inner if "implicitRules" in i]
    used += [link for i in inner for link in i.get("meta", {}).get("profile", ())]
    used += ["#p1"] if url else []
    # dom-3 in words, as fhirpathpy's as(uri) and `descendants()` do not reach primitives of contained resources
    lonely = [
        one
        for one in inner
        if f"#{one.get('id')}" not in used and one.get("managingOrganization", {}).get("reference") != "#"
    ]
    assert ("dom-3" in found) is bool(lonely)
    within = [i["managingOrganization"]["reference"] for i in inner if "managingOrganization" in i]
    broken = [link for link in (*links, *within) if link.startswith("#") and not ref_1(link, resource)]
    assert ("ref-1" in found) is bool([link for link in broken if link != "#" or link in links])


def ref_1(link: str, root: Json) -> bool:
    """Evaluate ref-1; a reference to ``#`` gives an empty result, which does not count as true here."""
    expression = official()["ref-1", "Reference"].replace(".trace('url')", "").replace(".trace('ids')", "")
    return bool(compiled(expression)({"reference": link}, {"rootResource": root}) == [True])


@settings(max_examples=examples(180), deadline=None, suppress_health_check=list(HealthCheck))
@given(nodes(type_of("Identifier")), st.booleans())
def test_ele_1_says_what_the_official_expression_says(node: Json, alone: bool) -> None:
    if alone:
        node = {"id": "a"}
    found = {
        p.code for p in check({"resourceType": "Patient", "identifier": [node]}) if p.param == "Patient.identifier[0]"
    }
    assert ("ele-1" not in found) is holds("children().count() > id.count()", node, "Identifier")
