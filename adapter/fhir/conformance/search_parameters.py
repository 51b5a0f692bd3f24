"""The search parameters that are not R4's own, as SearchParameter resources: to be read and listed, never written.

Every caller with a key may see them, they tell of nobody. https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from adapter import __version__
from adapter.fhir.call import Call, Reply
from adapter.fhir.conformance.serving import Searched, serve
from mappings.systems import BASE
from store.declarations import OWN
from store.parameters import Parameter
from store.search.dates import PREFIXES
from store.types import TYPES

SEARCH_PARAMETER = "SearchParameter"
MEANINGS = {
    "end": "When the slot ends.",
    "-date-or-req-period": "When the appointment starts, or else the periods that were asked for.",
}


SEARCHED: Mapping[str, Searched] = {
    "_id": Searched("id", "token", "Resource-id"),
    "url": Searched("url", "uri", "conformance-url"),
    "name": Searched("name", "string", "conformance-name"),
    "status": Searched("status", "token", "conformance-status", "http://hl7.org/fhir/publication-status"),
    "code": Searched("code", "token", "SearchParameter-code"),
    "base": Searched("base", "token", "SearchParameter-base", "http://hl7.org/fhir/resource-types"),
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
            "comparator": list(PREFIXES),
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
    return serve(call, SEARCH_PARAMETER, search_parameters(call.who.service.settings.canonical_base), SEARCHED)
