"""Resources of any type, generated from the definitions: shapes that R4 allows, invariants kept or not."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from adapter.fhir.validation.definitions import Member, Type, type_of
from adapter.fhir.validation.primitives import LANGUAGE
from store.codec import ExactDecimal

Json = dict[str, Any]

KINDS = (
    *("Appointment", "AppointmentResponse", "Slot", "Schedule", "Patient", "RelatedPerson", "Practitioner"),
    *("PractitionerRole", "Location", "Organization", "HealthcareService", "Group"),
)
_DATES = ("2024", "2023-12", "2024-02-29", "2024-01-20", "0001-01-01", "9999-12-31")
_MOMENTS = (
    "2024-01-20T10:00:00Z",
    "2024-01-20T10:30:00.500+03:00",
    "2016-12-31T23:59:60Z",
    "9999-12-31T23:59:59-12:00",
)
_LINKS = ("https://example.org/a", "urn:oid:1.2.3", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "#x")
_WORDS = ("Amina Nakato", "x", "line\none", "محمد")
VALUES: dict[str, tuple[Any, ...]] = {
    "boolean": (True, False),
    "integer": (0, -5, 2147483647),
    "unsignedInt": (0, 5),
    "positiveInt": (1, 30),
    "decimal": (ExactDecimal("1.10"), 0, -3, ExactDecimal("1e2")),
    "string": _WORDS,
    "markdown": _WORDS,
    "elementId": ("a", "e1"),
    "id": ("p1", "x" * 64),
    "code": ("C", "MO-RN", "home", "1", "a b"),
    "uri": (*_LINKS, "http://unitsofmeasure.org"),
    "url": _LINKS,
    "canonical": _LINKS,
    "oid": ("urn:oid:1.2.3",),
    "uuid": (_LINKS[2],),
    "base64Binary": ("AAAA", "QUI="),
    "instant": _MOMENTS,
    "dateTime": (*_DATES, *_MOMENTS),
    "date": _DATES,
    "time": ("09:30:00", "23:59:59.9"),
    "xhtml": ('<div xmlns="http://www.w3.org/1999/xhtml"><p>x</p></div>',),
}
_DEEPEST = 3
EXTENSION = {"url": "http://example.org/a", "valueString": "x"}


@cache
def _value(member: Member, depth: int) -> st.SearchStrategy[Any]:
    if member.primitive is LANGUAGE:
        return st.sampled_from(("en", "lg-UG", "zh-Hant"))
    if member.primitive is not None:
        return st.sampled_from(sorted(member.codes) if member.codes else VALUES[member.primitive.name])
    assert member.type is not None
    made = member.type()
    if made.name == "Reference":
        kinds = sorted(member.targets) or ["Patient", "Observation"]
        return st.sampled_from(kinds).map(lambda kind: {"reference": f"{kind}/1"})
    return nodes(made, depth=depth + 1)


def wanted(made: Type, name: str, depth: int) -> bool:
    """Tell whether to generate the member `name`: what is in every type only now and then, nesting to a limit."""
    member = made.members[name]
    whole = member.primitive is None and member.type is None
    plain = not (member.sibling or whole or name in ("resourceType", "extension", "modifierExtension", "id"))
    return plain and (depth < _DEEPEST or member.primitive is not None)


@st.composite
def nodes(draw: st.DrawFn, made: Type, names: frozenset[str] | None = None, *, depth: int = 0) -> Json:
    """An object of the type `made`, with any of its members (of `names`, where given) and all that it needs."""
    node: Json = {"resourceType": made.name} if made.resource else {}
    needed = {draw(st.sampled_from([n for n in any_of if not n.startswith("_")])) for _, any_of in made.required}
    free = sorted(names) if names is not None else sorted(n for n in made.members if wanted(made, n, depth))
    chosen = draw(st.sets(st.sampled_from(free), max_size=6 if names is None else None)) if free else set()
    taken: set[str] = set()
    for name in sorted(needed | chosen):
        member = made.members[name]
        if member.name in taken:
            continue  # one type of a choice
        taken.add(member.name)
        value = EXTENSION if name in ("extension", "modifierExtension") else draw(_value(member, depth))
        node[name] = [value] if member.many else value
    if not made.resource and not node:
        node["extension"] = [EXTENSION]
    if made.name == "Extension":
        node["url"] = "http://example.org/a"
    return node


@cache
def resources(kind: str) -> st.SearchStrategy[Json]:
    """A resource of the type `kind`, with everything that it must have."""
    return nodes(type_of(kind))
