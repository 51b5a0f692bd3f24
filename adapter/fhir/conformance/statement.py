"""The CapabilityStatement, made from the declarations (https://hl7.org/fhir/R4/capabilitystatement.html)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import orjson

from adapter import __version__, clock
from adapter.fhir import negotiation
from adapter.fhir.call import Reply
from adapter.fhir.conformance import operation_definitions
from adapter.fhir.conformance.operation_definitions import OPERATION_DEFINITION
from adapter.fhir.conformance.search_parameters import MEANINGS, SEARCH_PARAMETER, SEARCHED, canonical, is_own
from adapter.fhir.operations import Operation, operations_on
from adapter.service import Service
from mappings.systems import BASE
from store import search as engine
from store.parameters import Parameter
from store.remembering import remembered
from store.types import TYPES, ResourceType, includes, rev_includes

FHIR_VERSION = "4.0.1"

INTERACTIONS = (
    *("read", "vread", "update", "patch", "delete"),
    *("history-instance", "history-type", "create", "search-type"),
)
SYSTEM_INTERACTIONS = ("transaction", "batch", "search-system", "history-system")

_HL7 = "http://hl7.org/fhir"
# It is no operation like the others: it needs no key (`adapter.publishing`).
_PUBLISHED = {"bulk-publish": f"{_HL7}/uv/bulkdata/OperationDefinition/bulk-publish"}
_ABOUT = "Appointments and slots of MediLoop as FHIR R4"
_REST = (
    "Every write keeps the earlier versions; search finds it as soon as it is answered. Nobody is booked twice: an "
    "Appointment that takes time is refused with 409 where its Slot is taken or its practitioner is busy. A search "
    "of the whole system is of the types in _type, or of all. _has and chains are supported, _include with :iterate."
)
_SECURITY = (
    "Authorization: Bearer sk_test_... or sk_live_...; a key sees test or live data, and needs the permission of the "
    "resource type. This statement needs none."
)


def metadata(base: str, service: Service, known: str | None = None) -> Reply:
    """Answer ``GET /metadata``; `known` is If-None-Match."""
    settings = service.settings
    publishes = settings.bulk_publish != "off"
    body, tag = _statement(base, settings.canonical_base, service.started, bool(settings.cors_origins), publishes)
    headers = {"ETag": f'W/"{tag}"'}
    if known is not None and negotiation.names(known, tag):
        return Reply(304, b"", headers)
    return Reply(200, body, headers)


@remembered(16)  # the base is what the request says it is
def _statement(base: str, canonical_base: str, moment: datetime, cors: bool, publishes: bool) -> tuple[bytes, str]:
    statement = capability_statement(base, moment, canonical_base, cors=cors, publishes=publishes)
    # Of what it says, not of when: all processes of one release give the same tag.
    said = orjson.dumps({name: value for name, value in statement.items() if name != "date"})
    return orjson.dumps(statement), hashlib.sha256(said).hexdigest()[:16]


def capability_statement(
    base: str, moment: datetime, canonical_base: str = BASE, *, cors: bool = False, publishes: bool = False
) -> dict[str, Any]:
    """Return the CapabilityStatement of the server at `base`.

    Args:
        base: its root (``https://fhir.example.org/fhir/R4``).
        moment: since when it is true.
        canonical_base: of the canonical URLs of this deployment.
        cors: whether browsers let pages of other origins call it.
        publishes: whether there is a ``$bulk-publish``.
    """
    system = {one.name: one.definition for one in operations_on("")} | (_PUBLISHED if publishes else {})
    return {
        "resourceType": "CapabilityStatement",
        "version": __version__,
        "name": "MediLoopFhirAdapter",
        "title": "MediLoop FHIR adapter",
        "status": "active",
        "date": clock.text(moment),
        "description": _ABOUT,
        "kind": "instance",
        "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
        "software": {"name": "MediLoop FHIR adapter", "version": __version__},
        "implementation": {"description": _ABOUT, "url": base},
        "fhirVersion": FHIR_VERSION,
        "format": ["json", negotiation.FHIR_JSON],
        "patchFormat": [negotiation.JSON_PATCH, negotiation.FHIR_JSON],
        "rest": [
            {
                "mode": "server",
                "documentation": _REST,
                "security": {"cors": cors, "description": _SECURITY},
                "resource": [*(_resource(one, canonical_base) for one in TYPES.values()), *_definitions()],
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                "searchParam": [_search_param(one, canonical_base) for one in _common()],
                "operation": [{"name": name, "definition": definition} for name, definition in system.items()],
                "compartment": [f"{_HL7}/CompartmentDefinition/{owner[0].lower()}{owner[1:]}" for owner in owners()],
            }
        ],
    }


def owners() -> list[str]:
    """Return the types that have a compartment."""
    return sorted({owner for declared in TYPES.values() for owner in declared.compartments})


def _common() -> list[Parameter]:
    """Return the search parameters that all types have."""
    first, *others = TYPES.values()
    return [
        one
        for name, one in first.parameters.items()
        if all(name in other.parameters and other.parameters[name].definition == one.definition for other in others)
    ]


def _resource(declared: ResourceType, canonical_base: str) -> dict[str, Any]:
    references = includes(declared.name)
    said = {
        "type": declared.name,
        "profile": f"{_HL7}/StructureDefinition/{declared.name}",
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical"],
        "searchInclude": ["*", *references] if references else [],
        "searchRevInclude": list(rev_includes(declared.name)),
        "searchParam": [_search_param(parameter, canonical_base) for parameter in declared.parameters.values()],
        "operation": [_operation(one, canonical_base) for one in operations_on(declared.name)],
    }
    return {name: value for name, value in said.items() if value != []}


def _operation(one: Operation, canonical_base: str) -> dict[str, str]:
    said = {"name": one.name, "definition": one.canonical(canonical_base)}
    served = operation_definitions.operation_definitions(canonical_base).get(one.definition.rpartition("/")[2])
    if served is not None and not one.own:
        said["documentation"] = f"What else is taken stands in {served['url']}"
    return said


def _search_param(parameter: Parameter, canonical_base: str) -> dict[str, Any]:
    meaning = f"{MEANINGS[parameter.name]} " if is_own(parameter) else ""
    named = engine.modifiers(parameter) + (("[type]",) if parameter.kind == "reference" else ())
    modifiers = ", ".join(f":{modifier}" for modifier in named)
    return {
        "name": parameter.name,
        "definition": canonical(parameter, canonical_base),
        "type": parameter.kind,
        "documentation": f"{meaning}Modifiers: {modifiers}.",
    }


def _definitions() -> list[dict[str, Any]]:
    return [
        {
            "type": kind,
            "profile": f"{_HL7}/StructureDefinition/{kind}",
            "documentation": about,
            "interaction": [{"code": "read"}, {"code": "search-type"}],
            "versioning": "no-version",
            "searchParam": [
                {"name": name, "definition": f"{_HL7}/SearchParameter/{one.definition}", "type": one.kind}
                for name, one in searched.items()
            ],
        }
        for kind, about, searched in (
            (SEARCH_PARAMETER, "The search parameters of our own, read-only.", SEARCHED),
            (OPERATION_DEFINITION, "The operations of scheduling, read-only.", operation_definitions.SEARCHED),
        )
    ]
