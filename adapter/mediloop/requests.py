"""Request bodies and query parameters, as the Appointments page lists them (decisions 2.4 to 2.7).

Strict: a wrong type, an unknown member or a parameter given twice is refused by name rather than guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from adapter import encoding
from adapter.errors import MOST_NAMED, Malformed, Problem, TooLarge, UnsupportedMediaType
from adapter.fhir.validation.structure import Repeated, as_object
from adapter.mediloop.fields import (
    UHID_PATTERN,
    AppointmentTypeCode,
    Code,
    Day,
    Id,
    LongText,
    Minutes,
    Moment,
    Priority,
    Text,
    Uhid,
    number,
    truth,
)
from store.codec import parse

STATUSES = ("proposed", "pending", "booked", "arrived", "checked-in", "fulfilled", "cancelled", "noshow")

Model = TypeVar("Model", bound=BaseModel)
Digits = BeforeValidator(number)

# A body of unknown members must not make an answer many times its size.
_MOST_PROBLEMS = MOST_NAMED
_LARGEST = 300_000
"""Bytes of a body: all texts at their longest, each letter escaped as two of UTF-16, are 262,000. It is read and judged
in the event loop, and what is wrong with some MB of members held up everybody."""
_NAMELESS = "A name that is empty"
_RECURSION = "recursion limit exceeded"
_CORRECT = "Correct it; it is read as UTF-8, without a byte order mark."
_TOO_DEEP = "The body is nested more than 200 levels deep. Send it flat: members here are texts and numbers."


class Unsound(Malformed):
    """400, with what of the body is sound: what it says may be wrong too, and is then told together (decision 2.9).

    Attributes:
        sound: members of the body that nothing is wrong with by themselves.
    """

    def __init__(self, problems: Sequence[Problem], sound: Mapping[str, Any]) -> None:
        super().__init__(problems)
        self.sound = sound


class Strict(BaseModel):
    """No member that is not listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BookRequest(Strict):
    """Book an appointment."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "patient_uhid": "UG123456789A",
                    "practitioner_id": "prov-abc-123",
                    "service_type_code": "consultation",
                    "start_time": "2024-01-20T10:00:00Z",
                    "duration_minutes": 30,
                    "facility_id": "fac-xyz-789",
                    "reason_text": "General checkup",
                }
            ]
        }
    )

    patient_uhid: Uhid = Field(description="UHID of the patient.")
    practitioner_id: Id = Field(description="ID of the healthcare provider.")
    service_type_code: Code = Field(description="Type of service.")
    start_time: Moment = Field(description="Start time (ISO 8601, with offset).")
    end_time: Moment | None = Field(None, description="End time; calculated from the duration if not given.")
    duration_minutes: Minutes | None = Field(
        None, description="Duration in minutes. Default: the named slot's length, else 30."
    )
    slot_id: Id | None = Field(None, description="Pre-selected slot ID.")
    facility_id: Id | None = Field(None, description="Facility ID.")
    specialty_code: Code | None = Field(None, description="Medical specialty.")
    appointment_type_code: AppointmentTypeCode | None = Field("ROUTINE", description="Appointment type.")
    reason_text: Text | None = Field(None, description="Reason for visit.")
    priority: Priority | None = Field(5, description="Priority (1-10, lower is higher priority).")
    patient_instruction: LongText | None = Field(None, description="Instructions for patient.")
    notes: LongText | None = Field(None, description="Internal notes.")

    @field_validator("appointment_type_code", "priority")
    @classmethod
    def _as_if_absent(cls, value: Any, info: ValidationInfo) -> Any:
        return cls.model_fields[str(info.field_name)].default if value is None else value


class CancelRequest(Strict):
    """Cancel an appointment."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cancellation_reason_code": "patient-request",
                    "cancellation_reason_text": "Patient unable to attend",
                }
            ]
        }
    )

    cancellation_reason_code: Code = Field(description="Reason code for cancellation.")
    cancellation_reason_text: Text | None = Field(None, description="Additional explanation.")


class RescheduleRequest(Strict):
    """Move an appointment to another time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"new_start_time": "2024-01-22T14:00:00Z", "reason": "Provider schedule conflict"}]
        }
    )

    new_start_time: Moment = Field(description="New start time.")
    new_end_time: Moment | None = Field(None, description="New end time; the length is kept if not given.")
    new_slot_id: Id | None = Field(None, description="New slot ID if using slots.")
    reason: Text | None = Field(None, description="Reason for rescheduling.")


class ActionRequest(Strict):
    """The body of check-in, arrived, fulfilled and noshow: none, or an empty object."""


class NoParameters(Strict):
    """The query of the endpoints that take none."""


class Page(Strict):
    """Which page of a list (https://docs.mediloop.co/docs/pagination)."""

    page: Annotated[int, Digits] = Field(1, ge=1, le=10_000_000, description="Page number.")
    page_size: Annotated[int, Digits] = Field(20, ge=1, le=100, description="Items on a page.")


def _after(first: str | None, last: str | None) -> str | None:
    if first and last and last < first:
        raise ValueError("is before date_from; give a later day")
    return last


class ListQuery(Page):
    """The filters of the lists."""

    status: str | None = Field(None, description="Filter by status; several separated by commas.")
    patient_uhid: Uhid | None = Field(None, description="Filter by patient UHID.")
    practitioner_id: Id | None = Field(None, description="Filter by practitioner.")
    facility_id: Id | None = Field(None, description="Filter by facility.")
    date_from: Day | None = Field(None, description="Filter from date (inclusive, in the clinic's time zone).")
    date_to: Day | None = Field(None, description="Filter to date (inclusive, in the clinic's time zone).")
    upcoming_only: Annotated[bool, BeforeValidator(truth)] = Field(
        False, description="Only appointments that start now or later and are not over."
    )

    @field_validator("date_to")
    @classmethod
    def _in_order(cls, day: str | None, info: ValidationInfo) -> str | None:
        return _after(info.data.get("date_from"), day)

    @field_validator("status")
    @classmethod
    def _known_statuses(cls, text: str | None) -> str | None:
        unknown = [part for part in (text or "").split(",") if text is not None and part not in STATUSES]
        if unknown:
            raise ValueError(f"give one or more of {', '.join(STATUSES)}, separated by commas")
        return text


class PatientQuery(ListQuery):
    """The filters of a patient's list."""

    patient_uhid: Uhid = Field(description="UHID of the patient.")


class PractitionerQuery(ListQuery):
    """The filters of a practitioner's list."""

    practitioner_id: Id = Field(description="ID of the healthcare provider.")


class AvailabilityQuery(Page):
    """What slots to search for."""

    date_from: Day = Field(description="Start date for search.")
    date_to: Day = Field(description="End date for search.")
    practitioner_id: Id | None = Field(None, description="Filter by practitioner.")
    facility_id: Id | None = Field(None, description="Filter by facility.")
    service_type: Code | None = Field(None, description="Filter by service type.")
    specialty: Code | None = Field(None, description="Filter by specialty.")
    duration_minutes: Annotated[Minutes | None, Digits] = Field(None, description="Minimum slot duration needed.")

    @field_validator("date_to")
    @classmethod
    def _in_order(cls, day: str, info: ValidationInfo) -> str | None:
        return _after(info.data.get("date_from"), day)


async def read_body(request: Request, model: type[Model], *, optional: bool = False) -> tuple[Model, bytes]:
    """Read a JSON body; return it checked, and as it came.

    Raises:
        Unsound: a wrong type, a member that is unknown or there twice: every problem by name.
        Malformed: empty, no JSON object, a parameter, not the gzip that it is declared as.
        UnsupportedMediaType: not declared as JSON, or encoded in another way than gzip.
        TooLarge: plain or unpacked, it is.
    """
    read_query(request, NoParameters)
    raw = await request.body()
    if "content-encoding" in request.headers:
        most = request.app.state.service.settings.max_body_bytes
        raw = await encoding.plain(raw, request.headers["content-encoding"], most)
    if len(raw) > _LARGEST:
        raise TooLarge(Problem("body_too_large", f"The body is larger than {_LARGEST} bytes. Send less."))
    if not raw.strip():
        if optional:
            return model.model_validate({}), b"{}"
        raise Malformed(Problem("invalid_request_error", "The request has no body. Send a JSON object."))
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        text = "Send the body as JSON with Content-Type: application/json."
        raise UnsupportedMediaType(Problem("unsupported_media_type", text, "Content-Type"))
    given, twice = _members(raw)
    try:
        checked = model.model_validate_json(raw, strict=True, context=_context(request))
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)
        places = [found["loc"] for found in told]
        wrong = {name for place in places for name in place[:1]}
        # Where the text as a whole is refused, no member of it was looked at, though our parser may read them.
        sound = {name: value for name, value in given.items() if name not in wrong} if all(places) else {}
        raise Unsound([*twice, *_problems(told)][:_MOST_PROBLEMS], sound) from error
    if twice:
        raise Unsound(twice, given)
    return checked, raw


def _members(raw: bytes) -> tuple[Mapping[str, Any], list[Problem]]:
    """Return the members of a body, and a problem for each that is there twice: no reader may choose between them."""
    try:
        body = parse(raw, as_object=as_object)
    except ValueError:
        return {}, []  # told by who checks it
    if not isinstance(body, dict):
        return {}, []
    names = body.names[:_MOST_PROBLEMS] if isinstance(body, Repeated) else ()
    return body, [_twice(name) for name in names]


def _twice(name: str) -> Problem:
    return Problem("invalid_request_error", f"{name or _NAMELESS} is given twice. Give it once.", name or None)


def _context(request: Request) -> dict[str, str]:
    """Return what the deployment says of values."""
    return {UHID_PATTERN: request.app.state.service.settings.uhid_pattern}


def read_query(request: Request, model: type[Model]) -> Model:
    """Read the query parameters.

    Raises:
        Malformed: a parameter that is unknown, given twice, or of a bad value: every problem by name.
    """
    given: dict[str, str] = {}
    twice: dict[str, Problem] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            twice[name] = _twice(name)
        given.setdefault(name, value)
    try:
        checked = model.model_validate(given, context=_context(request))
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)
        raise Malformed([*twice.values(), *_problems(told)]) from error
    if twice:
        raise Malformed(list(twice.values()))
    return checked


def _problems(told: Sequence[ErrorDetails]) -> list[Problem]:
    return [_problem(found) for found in told[:_MOST_PROBLEMS]]


def _problem(found: ErrorDetails) -> Problem:
    name = ".".join(str(part) for part in found["loc"]) or None
    kind, message = found["type"], found["msg"]
    if kind == "json_invalid":
        why = found.get("ctx", {}).get("error", "it cannot be read")
        text = _TOO_DEEP if why.startswith(_RECURSION) else f"The body is not valid JSON: {why}. {_CORRECT}"
    elif kind == "missing":
        text = f"{name} is required."
    elif kind == "extra_forbidden":
        text = f"{name or _NAMELESS} is not known here. Leave it out, or see /docs for the names."
    elif kind == "value_error":
        text = f"{name}: {message.removeprefix('Value error, ')}."
    elif name is None:
        text = "The body must be a JSON object."
    else:
        text = f"{name}: {message[0].lower()}{message[1:]}."
    return Problem("invalid_request_error", text, name)
