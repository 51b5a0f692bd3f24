"""References (https://hl7.org/fhir/R4/references.html): what they lead to must be of a type that the element allows.

Only what can be seen is judged: the type in a relative or RESTful absolute URL, that of a contained resource, and
``Reference.type``. ``urn:`` references and those by identifier alone lead anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from adapter.fhir.validation.definitions import Member, resource_types
from adapter.fhir.validation.findings import Findings, Place
from store.codec import Resource
from store.extract import type_of
from store.r4 import STRUCTURES

_LITERAL = re.compile(
    r"(?P<base>https?://[^\s?#]+/)?(?P<type>[A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_CONDITIONAL = re.compile(r"(?P<type>[A-Z][A-Za-z]+)\?\S+")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_QUERY = re.compile(r"[?#]")


def check_reference(
    node: Resource,
    member: Member,
    inside: Mapping[str, Any],
    findings: Findings,
    place: Place,
    *,
    conditional: bool,
    contained: bool,
) -> None:
    """Add what is wrong with `node`, a Reference.

    Args:
        node: the Reference.
        member: where it stands, with the types it may lead to.
        inside: the types of the contained resources by their ids.
        findings: where problems go.
        place: where it is.
        conditional: search URLs (``Patient?identifier=...``) are still to be resolved, as in a transaction.
        contained: it stands in a contained resource, from where ``#`` leads to the one around it.
    """
    reference, stated = node.get("reference"), _stated(node, findings, place)
    kind: str | None = None
    if isinstance(reference, str) and reference:
        where: Place = (place, "reference", None)
        if reference.startswith("#"):
            kind = _local(reference[1:], inside, findings, where, contained=contained)
        else:
            kind = _remote(reference, findings, where, conditional=conditional)
    if kind is not None and stated is not None and kind != stated:
        text = f"The reference leads to {kind}, its type says {stated}. Leave the type out, or correct one of them."
        findings.add("reference_type", "value", text, (place, "type", None))
    found = kind or stated
    if found is not None and member.targets and found not in member.targets:
        text = f"It refers to a {found}, but only to {_listed(member)} is allowed here."
        about = "reference" if kind is not None else "type"
        findings.add("wrong_reference_target", "value", text, (place, about, None))


def _local(ident: str, inside: Mapping[str, Any], findings: Findings, place: Place, *, contained: bool) -> str | None:
    if ident in inside:
        kind = inside[ident]
        return kind if isinstance(kind, str) and kind in resource_types() else None
    if ident or not contained:
        text = "There is no contained resource with that id (ref-1). Contain it, or refer to it as Type/id."
        findings.add("ref-1", "invariant", text, place)
    return None


def _remote(reference: str, findings: Findings, place: Place, *, conditional: bool) -> str | None:
    """Return the type that a literal reference leads to, if it can be seen."""
    found = _LITERAL.fullmatch(reference)
    if found is None and conditional:
        found = _CONDITIONAL.fullmatch(reference)
    if found is not None and _names_a_type(found):
        return found["type"]
    if "%" in reference and "?" not in reference and type_of(unquote(reference)) in resource_types():
        # Everything here compares references as they are written: it would be another name of the same resource.
        text = "Type and id are written without percent-encoding: Practitioner/prov-1, not Practitioner/prov%2D1."
        findings.add("bad_reference", "value", text, place)
    elif _names_a_type(_LITERAL.fullmatch(_without_more(reference))):
        # Likewise: it leads to the very same resource.
        text = "A reference ends with the id, or the version: leave out the slash, the query or the fragment after it."
        findings.add("bad_reference", "value", text, place)
    elif _ABSOLUTE.fullmatch(reference) is None:
        text = "A reference is Type/id of a type that R4 has (Practitioner/123), an absolute URL, urn:uuid:... or #id."
        findings.add("bad_reference", "value", text, place)
    return None


def _without_more(reference: str) -> str:
    """Return an address without what may stand after an id, or a version, and leads to no other resource."""
    path = _QUERY.split(reference, maxsplit=1)[0]
    return path.rstrip("/").removesuffix("/_history").rstrip("/")


def _names_a_type(found: re.Match[str] | None) -> bool:
    return found is not None and found["type"] in resource_types()


def _stated(node: Resource, findings: Findings, place: Place) -> str | None:
    """Return the resource type that ``Reference.type`` names; None for another model, or none."""
    stated = node.get("type")
    if not isinstance(stated, str):
        return None
    name = stated.removeprefix(STRUCTURES)
    if name in resource_types():
        return name
    if ":" not in stated:
        text = "The type of a reference is a resource type that R4 has (such as Patient), or an absolute URL."
        findings.add("reference_type", "value", text, (place, "type", None))
    return None


def _listed(member: Member) -> str:
    names = sorted(member.targets)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
