"""What OpenAPI says of the MediLoop endpoints, made from the models that check the requests.

The handlers read requests themselves (for the documented errors), so the description is attached here:
request bodies and parameters from the same pydantic models, answers from the field table of `mappings`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from adapter.mediloop.headers import OVERBOOK_HEADER, OVERBOOK_LENGTH
from adapter.scheduling.road import IDEMPOTENCY_HEADER, IDEMPOTENCY_LENGTH
from mappings.fields import FIELDS

_EXAMPLE: dict[str, Any] = {
    "id": "apt-123-456-789",
    "appointment_number": "APT-2024-001234",
    "patient_uhid": "UG123456789A",
    "patient_name": "John Doe",
    "practitioner_id": "prov-abc-123",
    "practitioner_name": "Dr. Sarah Nakamya",
    "facility_id": "fac-xyz-789",
    "facility_name": "Mulago Hospital",
    "status": "booked",
    "service_type_code": "consultation",
    "specialty_code": "general-practice",
    "appointment_type_code": "ROUTINE",
    "start_time": "2024-01-20T10:00:00Z",
    "end_time": "2024-01-20T10:30:00Z",
    "duration_minutes": 30,
    "reason_text": "General checkup",
    "priority": 5,
    "patient_instruction": "Please bring previous test results",
    "notes": None,
    "created_at": "2024-01-15T10:00:00Z",
}
_SLOT_EXAMPLE: dict[str, Any] = {
    "id": "slot-001",
    "practitioner_id": "prov-abc-123",
    "practitioner_name": "Dr. Sarah Nakamya",
    "facility_id": "fac-xyz-789",
    "facility_name": "Mulago Hospital",
    "start_time": "2024-01-20T09:00:00Z",
    "end_time": "2024-01-20T09:30:00Z",
    "status": "free",
}
# What hospitals write through FHIR may lack all else that the page promises.
_ALWAYS = frozenset({"id", "status", "priority"})
_ALWAYS_OF_SLOTS = frozenset({"id", "start_time", "end_time", "status"})
_TYPES: dict[str, dict[str, Any]] = {
    "datetime": {"type": "string", "format": "date-time"},
    "integer": {"type": "integer"},
}
_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_ERROR_MEMBERS = {
    "code": {"type": "string", "description": "Stable word for machines."},
    "message": {"type": "string", "description": "For people: what is wrong and what to do."},
    "type": {
        "type": "string",
        "enum": [
            "api_error",
            "authentication_error",
            "invalid_request_error",
            "rate_limit_error",
            "validation_error",
        ],
    },
    "param": {"type": "string", "description": "The member, parameter or header it is about."},
    "doc_url": {"type": "string", "format": "uri"},
    "retry_after": {"type": "integer", "description": "Seconds to wait (rate_limit_error)."},
    "slots": _TEXTS | {"description": "Ids of the slots that are in the way, or do not cover the time."},
    "appointments": _TEXTS | {"description": "Ids of the appointments in the way, to keys with appointments:read."},
    "schedules": _TEXTS | {"description": "Ids of the schedules by which nobody, or no room, is to be had then."},
    "status": {"type": "string", "description": "The appointment's present status (invalid_status_transition)."},
    "allowed": _TEXTS | {"description": "What that status allows (invalid_status_transition)."},
    "permission": {"type": "string", "description": "The permission that the key lacks (permission_denied)."},
}
_HEADERS = {
    "X-Request-Id": ("string", "Names the request in the log: the caller's name for it, else a new one."),
    "X-RateLimit-Limit": ("integer", "Requests a minute."),
    "X-RateLimit-Remaining": ("integer", "Requests left in this minute."),
    "X-RateLimit-Reset": ("integer", "Unix time at which the minute ends."),
    "X-Idempotency-Replayed": ("string", '"true" where an equal request was answered so before.'),
    "Retry-After": ("integer", "Seconds to wait."),
}
_EVERYWHERE = ("X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_FURTHER = {429: ("Retry-After",), 503: ("Retry-After",)}

_MEANINGS = {
    400: "Missing or malformed input; every problem is named in error.errors.",
    401: "No valid API key.",
    403: "The key lacks the permission that the message names.",
    404: "There is no such appointment.",
    409: "slot_unavailable, time_conflict or invalid_status_transition.",
    413: "The body is too large, or what is stored of the items of a page.",
    415: "The body is not declared as JSON.",
    422: "Well-formed, but against a rule: unknown practitioner or facility, contradicting times, a reused key.",
    429: "Too many requests; Retry-After says when to come back.",
    500: "A fault of ours.",
    503: "The database did not answer in time; repeat the request.",
}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"type": [schema["type"], "null"]}


def _appointment_schema() -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for field in FIELDS:
        schema = _TYPES.get(field.type, {"type": "string"})
        told = f"In FHIR: {field.element}. {field.note}".rstrip()
        properties[field.name] = (schema if field.name in _ALWAYS else _nullable(schema)) | {"description": told}
    return {
        "type": "object",
        "description": "An appointment. The members of what has happened to it (cancelled_at, ...) appear once it has.",
        "required": list(_EXAMPLE),
        "properties": properties,
        "example": _EXAMPLE,
    }


def schemas() -> dict[str, Any]:
    """Return the component schemas that the operations refer to."""
    slot = {name: _TYPES["datetime"] if name.endswith("_time") else {"type": "string"} for name in _SLOT_EXAMPLE}
    slot |= {name: _nullable(schema) for name, schema in slot.items() if name not in _ALWAYS_OF_SLOTS}
    number = {"type": "integer"}
    envelope = {
        "count": number | {"description": "Items on this page."},
        "total": number | {"description": "All matches."},
        "page": number,
        "page_size": number,
        "next": _nullable(number) | {"description": "Next page number."},
        "previous": _nullable(number) | {"description": "Previous page number."},
    }

    def listed(item: str) -> dict[str, Any]:
        results = {"type": "array", "items": {"$ref": f"#/components/schemas/{item}"}}
        return {
            "type": "object",
            "required": [*envelope, "results"],
            "properties": {**envelope, "results": results},
        }

    one = {"type": "object", "required": ["code", "message", "type"], "properties": _ERROR_MEMBERS}
    every = {"type": "array", "items": one, "description": "Every problem found."}
    error = one | {"properties": {**_ERROR_MEMBERS, "errors": every}}
    return {
        "Appointment": _appointment_schema(),
        "Slot": {"type": "object", "required": list(slot), "properties": slot, "example": _SLOT_EXAMPLE},
        "AppointmentList": listed("Appointment"),
        "SlotList": listed("Slot"),
        "Error": {"type": "object", "required": ["error"], "properties": {"error": error}},
    }


def headers() -> dict[str, Any]:
    """Return the component headers that the answers refer to."""
    return {name: {"schema": {"type": kind}, "description": told} for name, (kind, told) in _HEADERS.items()}


def operation(
    answer: str,
    *,
    status: int = 200,
    body: type[BaseModel] | None = None,
    body_required: bool = True,
    query: type[BaseModel] | None = None,
    overbook: bool = False,
    errors: tuple[int, ...] = (),
) -> dict[str, Any]:
    """Return the OpenAPI members of one operation, for a route's ``openapi_extra``."""
    repeated = () if body is None else ("X-Idempotency-Replayed",)
    responses: dict[str, Any] = {
        str(status): {
            "description": "Done." if status == 200 else "Booked.",
            "headers": _headed(*_EVERYWHERE, *repeated),
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}},
        }
    }
    for code in sorted({400, 401, 403, 429, 500, 503, *errors}):
        schema = {"$ref": "#/components/schemas/Error"}
        responses[str(code)] = {
            "description": _MEANINGS[code],
            "headers": _headed(*_EVERYWHERE, *_FURTHER.get(code, ())),
            "content": {"application/json": {"schema": schema}},
        }
    extra: dict[str, Any] = {"responses": responses, "security": [{"apiKey": []}]}
    parameters: list[dict[str, Any]] = [
        {
            "name": "X-Request-Id",
            "in": "header",
            "required": False,
            "description": "A name for the request, of 1 to 128 printable ASCII characters without blanks: it stands "
            "in the log and comes back with the answer.",
            "schema": {"type": "string"},
        }
    ]
    if query is not None:
        parameters += _query_parameters(query)
    if body is not None:
        extra["requestBody"] = {
            "required": body_required,
            "content": {"application/json": {"schema": _plain_schema(body)}},
        }
        parameters.append(
            {
                "name": IDEMPOTENCY_HEADER,
                "in": "header",
                "description": "Makes the request safe to repeat for 24 hours.",
                "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_LENGTH},
            }
        )
    if overbook:
        parameters.append(
            {
                "name": OVERBOOK_HEADER,
                "in": "header",
                "description": "Why this may be booked over busy slots and other appointments. Needs the permission "
                "overbook:write.",
                "schema": {"type": "string", "minLength": 1, "maxLength": OVERBOOK_LENGTH, "pattern": "\\S"},
            }
        )
    return extra | {"parameters": parameters}


def _headed(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _plain_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = _plain_schema(model)
    required = schema.get("required", [])
    parameters = []
    for name, member in schema["properties"].items():
        described = dict(member)
        described.pop("title", None)
        variants = [variant for variant in described.pop("anyOf", []) if variant != {"type": "null"}]
        if variants:
            described = described | variants[0]
            described.pop("default", None)
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": described.pop("description", ""),
                "schema": described,
            }
        )
    return parameters
