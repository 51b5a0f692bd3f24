"""What OpenAPI says of the FHIR endpoints, made from the declarations.

OpenAPI cannot say all that FHIR's own CapabilityStatement does; this is for people who look at ``/docs`` and for tools
that read nothing else.
"""

from __future__ import annotations

from typing import Any

from adapter.fhir.negotiation import FHIR_JSON, FORM, JSON_PATCH
from adapter.fhir.operations import OPERATIONS
from adapter.scheduling.road import IDEMPOTENCY_HEADER, IDEMPOTENCY_LENGTH
from store.types import TYPES

_MEANINGS = {
    304: "The client has this version already.",
    400: "Malformed: an issue for each problem, with the FHIRPath of the element.",
    401: "No valid API key.",
    403: "The key lacks the permission that the issue names.",
    404: "There is no such resource, type or operation.",
    405: "Not a method of this path; Allow names those it takes.",
    406: "No answer in a format that the client takes.",
    409: "The slot is taken, the practitioner is busy, or others refer to the resource.",
    410: "It has been deleted.",
    412: "Another version than the client knows, or criteria that match several.",
    413: "The body is too large.",
    415: "The body is of a media type that is not taken.",
    422: "Well-formed, but against a rule.",
    429: "Too many requests; Retry-After says when to come back.",
    500: "A fault of ours.",
    503: "The database did not answer in time; repeat the request.",
}
_ALWAYS = (400, 401, 403, 404, 406, 429, 500, 503)
_READING = (304, 410)
_WRITING = (405, 409, 410, 412, 413, 415, 422)

_SUCCESS = {
    "GET": {200: "The resource, or a Bundle."},
    "POST": {200: "A Bundle, an OperationOutcome, or what was there already.", 201: "Created."},
    "PUT": {200: "Updated.", 201: "Created."},
    "PATCH": {200: "Changed."},
    "DELETE": {204: "Deleted, or not there."},
}

_SUMMARIES = {
    "GET /{type}/{id}": "Read",
    "PUT /{type}/{id}": "Update, or create with this id",
    "PATCH /{type}/{id}": "Patch (JSON Patch or FHIRPath Patch)",
    "DELETE /{type}/{id}": "Delete",
    "GET /{type}": "Search",
    "POST /{type}": "Create; conditional with If-None-Exist",
    "PUT /{type}": "Conditional update",
    "PATCH /{type}": "Conditional patch",
    "DELETE /{type}": "Conditional delete",
    "GET ": "Search several types, or all (_type)",
    "POST ": "Batch or transaction Bundle",
    "POST /_search": "Search several types, parameters in the body",
    "GET /_history": "History of everything",
    "GET /{operation}": "Operation on everything ($export)",
    "POST /{operation}": "Operation on everything ($export)",
    "POST /{type}/_search": "Search, parameters in the body",
    "GET /{type}/_history": "History of a type",
    "GET /{type}/{operation}": "Operation on a type ($everything, Appointment/$find, Slot/$prefetch)",
    "POST /{type}/{operation}": "Operation on a type ($validate, $everything, Appointment/$find, $hold, $book)",
    "GET /{type}/{id}/_history": "History of a resource",
    "GET /{type}/{id}/_history/{vid}": "Read one version",
    "GET /{type}/{id}/{operation}": "Operation on a resource ($everything, $validate of what is stored)",
    "POST /{type}/{id}/{operation}": "Operation on a resource ($validate, $everything, $cancel, $reschedule)",
    "GET /{type}/{id}/{compartment}": "Search within a compartment",
    "POST /{type}/{id}/{compartment}/_search": "Search within a compartment, parameters in the body",
}

_COMPARTMENTS = sorted({owner for one in TYPES.values() for owner in one.compartments})
_MEMBERS = sorted(one.name for one in TYPES.values() if one.compartments)


def schemas() -> dict[str, Any]:
    """Return the component schemas that the operations refer to."""
    kind = {"type": "string", "description": "FHIR type."}
    issue = {
        "type": "object",
        "required": ["severity", "code"],
        "properties": {
            "severity": {"type": "string", "enum": ["fatal", "error", "warning", "information"]},
            "code": {"type": "string", "description": "https://hl7.org/fhir/R4/valueset-issue-type.html"},
            "diagnostics": {"type": "string"},
            "expression": {"type": "array", "items": {"type": "string", "description": "FHIRPath of an element."}},
            "location": {
                "type": "array",
                "items": {"type": "string", "description": "Header or parameter: http.[name]."},
            },
        },
    }
    return {
        "FhirResource": {
            "type": "object",
            "description": "A FHIR R4 resource (https://hl7.org/fhir/R4/resourcelist.html).",
            "required": ["resourceType"],
            "properties": {"resourceType": kind},
        },
        "OperationOutcome": {
            "type": "object",
            "required": ["resourceType", "issue"],
            "properties": {
                "resourceType": {"type": "string", "enum": ["OperationOutcome"]},
                "issue": {"type": "array", "minItems": 1, "items": issue},
            },
        },
    }


def described_metadata() -> dict[str, Any]:
    """Return what FastAPI is to say of the CapabilityStatement, which needs no key."""
    statuses = {200: "The CapabilityStatement.", **{code: _MEANINGS[code] for code in (304, 400, 406, 429, 500, 503)}}
    return {
        "summary": "CapabilityStatement",
        "operation_id": "fhir-metadata",
        "responses": {code: _answer(code, text) for code, text in statuses.items()},
    }


def described(method: str, path: str) -> dict[str, Any]:
    """Return what FastAPI is to say of `method` on `path` (its OpenAPI form, ``/{type}/{id}``)."""
    success = dict(_SUCCESS[method])
    if method == "POST" and path != "/{type}":
        del success[201]  # nothing is created at that very path
    statuses = success | {code: _MEANINGS[code] for code in _ALWAYS}
    statuses |= {code: _MEANINGS[code] for code in (_READING if method == "GET" else _WRITING)}
    if "{operation}" in path:
        statuses |= {202: "Begun ($export); Content-Location tells how far it is.", 405: _MEANINGS[405]}
    extra: dict[str, Any] = {"security": [{"apiKey": []}], "parameters": [_parameter(n) for n in _names(path, method)]}
    body = _body(method, path)
    if body is not None:
        extra["requestBody"] = body
    words = [word.strip("{}$_") or "system" for word in path.split("/")[1:]] or ["system"]
    return {
        "summary": _SUMMARIES[f"{method} {path}"],
        "operation_id": f"fhir-{method.lower()}-{'-'.join(words)}",
        "responses": {code: _answer(code, text) for code, text in sorted(statuses.items())},
        "openapi_extra": extra,
    }


def _names(path: str, method: str) -> list[str]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    if "compartment" in names:
        names[0] = "owner"
    if method == "POST" and not path.endswith("_search"):
        names.append(IDEMPOTENCY_HEADER)
    return [*names, *(["_type"] if path == "" and method == "GET" else [])]


def _parameter(name: str) -> dict[str, Any]:
    allowed = {
        "type": list(TYPES),
        "owner": _COMPARTMENTS,
        "compartment": [*_MEMBERS, "*"],
        "operation": sorted({f"${one.name}" for one in OPERATIONS}),
    }
    schema: dict[str, Any] = {"type": "string"}
    if name == IDEMPOTENCY_HEADER:
        text = "Makes what is written by it safe to repeat for 24 hours; not of a batch, nor $export."
        schema |= {"minLength": 1, "maxLength": IDEMPOTENCY_LENGTH}
        return {"name": name, "in": "header", "description": text, "schema": schema}
    if name in allowed:
        schema["enum"] = allowed[name]
    elif name == "id":
        schema |= {"pattern": r"^[A-Za-z0-9\-.]{1,64}$"}
    elif name == "vid":
        schema |= {"pattern": "^[0-9]{1,10}$"}
    place = "query" if name == "_type" else "path"
    return {"name": "type" if name == "owner" else name, "in": place, "required": place == "path", "schema": schema}


def _body(method: str, path: str) -> dict[str, Any] | None:
    if method in ("GET", "DELETE"):
        return None
    resource = {"schema": {"$ref": "#/components/schemas/FhirResource"}}
    if path.endswith("_search"):
        return {"content": {FORM: {"schema": {"type": "object"}}}}
    content: dict[str, Any] = {FHIR_JSON: resource}
    if method == "PATCH":
        operation = {
            "type": "object",
            "required": ["op", "path"],
            "properties": {"op": {"type": "string"}, "path": {"type": "string"}},
        }
        content[JSON_PATCH] = {"schema": {"type": "array", "items": operation}}
    return {"required": "{operation}" not in path, "content": content}


def _answer(code: int, text: str) -> dict[str, Any]:
    if code in (204, 304):
        return {"description": text}
    name = "FhirResource" if code < 300 else "OperationOutcome"
    return {"description": text, "content": {FHIR_JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}}}}
