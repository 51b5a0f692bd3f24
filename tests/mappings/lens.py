"""The mapping with the systems of the tests, and what several of its tests write."""

from __future__ import annotations

from typing import Any

from mappings import appointment
from tests.strategies import SYSTEMS, Json

ABSENT = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
OTHER = {"url": "http://example.org/a", "valueString": "x"}

DOCUMENTED = {
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
    "created_at": "2024-01-15T10:00:00Z",
}


def view(resource: Json, **options: Any) -> Json:
    return appointment.view(resource, systems=SYSTEMS, **options)


def update(resource: Json, **changes: Any) -> Json:
    return appointment.update(resource, changes, systems=SYSTEMS)


def with_actor(**actor: Any) -> Json:
    return {"resourceType": "Appointment", "status": "booked", "participant": [{"actor": actor}]}
