"""Request bodies and query parameters, as the Appointments page lists them.

Strict: a wrong type or an unknown member is refused by name rather than guessed at (`parsing`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from adapter.mediloop.fields import (
    STATUSES,
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

Digits = BeforeValidator(number)


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

    @property
    def skip(self) -> int:
        """How many are on the pages before."""
        return (self.page - 1) * self.page_size


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
