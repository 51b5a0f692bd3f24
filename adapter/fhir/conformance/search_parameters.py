"""The search parameters that are not R4's own, as SearchParameter resources: to be read and listed, never written.

Every caller with a key may see them, they tell of nobody. https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from adapter import __version__
from adapter.errors import Malformed, NotFound, Problem
from adapter.fhir import negotiation, outcome, searching
from adapter.fhir.call import Call, Pairs, Reply
from adapter.fhir.refusing import not_allowed
from mappings.systems import BASE
from store.declarations import OWN
from store.parameters import Parameter
from store.types import TYPES

SEARCH_PARAMETER = "SearchParameter"
MEANINGS = {
    "end": "When the slot ends.",
    "-date-or-req-period": "When the appointment starts, or else the periods that were asked for.",
}
_COMPARATORS = ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")
_READ = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class _Searched:
    """A search parameter of SearchParameter: the element, its kind, and the definition in R4."""

    element: str
    kind: str
    definition: str


SEARCHED: Mapping[str, _Searched] = {
    "_id": _Searched("id", "token", "Resource-id"),
    "url": _Searched("url", "uri", "conformance-url"),
    "name": _Searched("name", "string", "conformance-name"),
    "status": _Searched("status", "token", "conformance-status"),
    "code": _Searched("code", "token", "SearchParameter-code"),
    "base": _Searched("base", "token", "SearchParameter-base"),
}


def is_own(parameter: Parameter) -> bool:
    """Tell whether a parameter is not one of R4's."""
    return parameter.definition.startswith(OWN)


def canonical(parameter: Parameter, canonical_base: str) -> str:
    """Return the canonical URL of a parameter; our own are published under the deployment's base."""
    if not is_own(parameter):
        return parameter.definition
    return f"{canonical_base}/{SEARCH_PARAMETER}/{_ident(parameter)}"


def _ident(parameter: Parameter) -> str:
    return parameter.definition.rpartition("/")[2]


@lru_cache(maxsize=4)
def search_parameters(canonical_base: str = BASE) -> Mapping[str, dict[str, Any]]:
    """Return the SearchParameter resources of our own, by id."""
    return {
        _ident(parameter): {
            "resourceType": SEARCH_PARAMETER,
            "id": _ident(parameter),
            "url": canonical(parameter, canonical_base),
            "version": __version__,
            "name": _ident(parameter).replace("-", "_"),
            "status": "active",
            "description": MEANINGS[parameter.name],
            "code": parameter.name,
            "base": [declared.name],
            "type": parameter.kind,
            "expression": parameter.expression,
            "multipleOr": True,
            "multipleAnd": True,
            "comparator": list(_COMPARATORS),
            "modifier": ["missing"],
        }
        for declared in TYPES.values()
        for parameter in declared.parameters.values()
        if is_own(parameter)
    }


def search_parameter(call: Call) -> Reply:
    """Answer for the type SearchParameter: read one, or search them.

    Raises:
        NotFound: there is none of that id. MethodNotAllowed: they cannot be changed. Malformed: a bad search.
    """
    rest = call.path[1:]
    if rest == ("_search",):
        if call.method != "POST":
            raise not_allowed("POST")
        return _found(call)
    if call.method not in _READ:
        raise not_allowed(*_READ)
    if not rest:
        return _found(call)
    one = search_parameters(_base(call)).get(rest[0]) if len(rest) == 1 else None
    if one is None:
        raise NotFound(Problem("unknown_resource", "There is no SearchParameter of our own with that id."))
    return Reply(200, orjson.dumps(one))


def _base(call: Call) -> str:
    return call.who.service.settings.canonical_base


def _found(call: Call) -> Reply:
    asked, ignored = _asked(call)
    found = [one for one in search_parameters(_base(call)).values() if all(_matches(one, *pair) for pair in asked)]
    address = f"{call.base}/{SEARCH_PARAMETER}"
    entries: list[dict[str, Any]] = [
        {"fullUrl": f"{address}/{one['id']}", "resource": one, "search": {"mode": "match"}} for one in found
    ]
    if ignored:
        told = outcome.resource([_unknown(name, "warning") for name in ignored], _base(call))
        entries.append({"resource": told, "search": {"mode": "outcome"}})
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": [{"relation": "self", "url": searching.url(address, asked)}],
    }
    return Reply(200, orjson.dumps(bundle | ({"entry": entries} if entries else {})))


def _asked(call: Call) -> tuple[Pairs, list[str]]:
    """Return the parameters that are used, and the names of the others.

    Raises:
        Malformed: a modifier, or an unknown parameter where the caller wants to be told.
    """
    given = [(name, value) for name, value in call.query if value and name not in ("_format", "_pretty")]
    ignored = [name for name, _ in given if name not in SEARCHED]
    strict = negotiation.preferences(call.headers.get("prefer")).strict
    wrong = [name for name in ignored if strict or ":" in name]
    if wrong:
        raise Malformed([_unknown(name, "error") for name in wrong])
    return tuple(pair for pair in given if pair[0] in SEARCHED), ignored


def _unknown(name: str, severity: str) -> Problem:
    text = f"{SEARCH_PARAMETER} is not searched by {name} here. It is by: {', '.join(SEARCHED)}."
    return Problem("invalid_search", text, name, issue="not-supported", severity=severity)


def _matches(one: Mapping[str, Any], name: str, value: str) -> bool:
    element = one[SEARCHED[name].element]
    own = element if isinstance(element, list) else [element]
    if name == "name":
        return any(own[0].casefold().startswith(text.casefold()) for text in value.split(","))
    # A token may come with its system, which is FHIR's own for each of these.
    return any(text.rpartition("|")[2] in own for text in value.split(","))
