"""One appointment that says all that R4 has: what of it a member of MediLoop changes, and that the rest stays."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import appointment
from mappings.fields import CANCELLED_AT
from store import r4
from tests.strategies import HL7_CANCELLATION, SYSTEMS, V2_0276, Json

NOTE = {"url": "http://example.org/a", "valueString": "x"}
MARKED: Json = {"id": "m", "extension": [NOTE]}
GONE = "gone"


def concept(*codings: tuple[str, str]) -> Json:
    coding = [
        {**MARKED, "system": system, "version": "1", "code": code, "display": "d", "userSelected": True}
        for system, code in codings
    ]
    return {**MARKED, "coding": coding, "text": "t", "_text": MARKED}


def reference(to: str) -> Json:
    number = {**MARKED, "use": "usual", "type": {"text": "n"}, "system": "urn:example:staff", "value": "7"}
    identifier = {**number, "period": {"end": "2030"}, "assigner": {"display": "a"}}
    names = {"reference": to, "type": to.partition("/")[0], "identifier": identifier}
    return {**MARKED, **names, "display": "A", "_display": MARKED}


def participant(to: str, **more: Any) -> Json:
    said = {"modifierExtension": [NOTE], "type": [concept(("urn:x", "ATND"))], "actor": reference(to)}
    return {**MARKED, **said, "required": "optional", "status": "tentative", "period": {"start": "2024"}} | more


def ours(url: str, kind: str, value: str) -> Json:
    url = url if ":" in url else f"{SYSTEMS.extensions}/appointment-{url}"
    return {"id": "e", "url": url, kind: value, f"_{kind}": MARKED}


LATER = "2030-01-01T00:00:00Z"
MOMENT = "2024-01-20T13:00:00.100+03:00"
WHOLE: Json = {
    "resourceType": "Appointment",
    "id": "a1",
    "meta": {"versionId": "2", "tag": [{"system": "urn:example", "code": "t"}]},
    "implicitRules": "http://example.org/rules",
    "language": "en-UG",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "O"}],
    "extension": [
        NOTE,
        ours(CANCELLED_AT, "valueDateTime", "2024-01-01"),
        ours("rescheduled-at", "valueDateTime", "2024-01-02"),
        ours("checked-in-at", "valueDateTime", "2024-01-03"),
        ours("arrived-at", "valueDateTime", "2024-01-04T03:00:00+03:00"),
        ours("fulfilled-at", "valueDateTime", "2024-01-05"),
        ours("noshow-at", "valueDateTime", "2024-01-06"),
        ours("reschedule-reason", "valueString", "r"),
    ],
    "modifierExtension": [NOTE],
    "identifier": [
        {"system": "urn:example:visit", "value": "V-9"},
        {**MARKED, "use": "usual", "system": SYSTEMS.appointment_number, "value": "APT-1", "period": {"end": "2030"}},
    ],
    "status": "cancelled",
    "cancelationReason": concept((SYSTEMS.cancellation_reason, "x"), (HL7_CANCELLATION, "other"), ("urn:x", "y")),
    "serviceCategory": [concept(("urn:x", "y"))],
    "serviceType": [concept(("urn:x", "y"), (SYSTEMS.service_type, "a")), concept((SYSTEMS.service_type, "2"))],
    "specialty": [concept(("urn:x", "y"), (SYSTEMS.specialty, "a")), concept((SYSTEMS.specialty, "2"))],
    "appointmentType": concept(("urn:x", "y"), (V2_0276, "CHECKUP")),
    "reasonCode": [concept(("urn:x", "y")), concept(("urn:x", "z")) | {"text": "further"}],
    "reasonReference": [{"reference": "Condition/1"}],
    "priority": 3,
    "description": "d",
    "supportingInformation": [{"reference": "#o"}],
    "start": MOMENT,
    "end": "2024-01-20T14:00:00.100+03:00",
    "minutesDuration": 30,
    "slot": [{"reference": "Slot/1"}],
    "created": "2024-01",
    "comment": "c",
    "patientInstruction": "p",
    "basedOn": [{"reference": "ServiceRequest/1"}],
    "participant": [
        participant("Device/1"),
        participant("Patient/1", actor=reference("Patient/1") | {"identifier": {"system": SYSTEMS.uhid, "value": "U"}}),
        participant("Practitioner/1"),
        participant("Location/1"),
        participant("Patient/2"),
        participant("Practitioner/2"),
    ],
    "requestedPeriod": [{"start": "2024"}],
}
PRIMITIVES = ("status", "priority", "start", "end", "minutesDuration", "created", "comment", "patientInstruction")
WHOLE |= {f"_{name}": MARKED for name in (*PRIMITIVES, "description", "language", "implicitRules")}


SHOWN: Json = {
    "id": "a1",
    "appointment_number": "APT-1",
    "patient_uhid": "U",
    "patient_name": "A",
    "practitioner_id": "1",
    "practitioner_name": "A",
    "facility_id": "1",
    "facility_name": "A",
    "status": "cancelled",
    "service_type_code": "a",
    "specialty_code": "a",
    "appointment_type_code": "CHECKUP",
    "start_time": "2024-01-20T10:00:00.100Z",
    "end_time": "2024-01-20T11:00:00.100Z",
    "duration_minutes": 30,
    "reason_text": "t",
    "priority": 3,
    "patient_instruction": "p",
    "notes": "c",
    "created_at": "2024-01-01T00:00:00Z",
    "cancellation_reason_code": "x",
    "cancellation_reason_text": "t",
    "cancelled_at": "2024-01-01T00:00:00Z",
    "rescheduled_at": "2024-01-02T00:00:00Z",
    "reschedule_reason": "r",
    "checked_in_at": "2024-01-03T00:00:00Z",
    "arrived_at": "2024-01-04T00:00:00Z",
    "fulfilled_at": "2024-01-05T00:00:00Z",
    "noshow_at": "2024-01-06T00:00:00Z",
}


def differences(before: Any, after: Any, place: str = "") -> Json:
    """Return what stands elsewhere `after`, by where it stands."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = {name: f"{place}/{name}" if place else name for name in before | after}
        parts = [differences(before.get(name, GONE), after.get(name, GONE), where) for name, where in names.items()]
        return {where: value for part in parts for where, value in part.items()}
    if isinstance(before, list) and isinstance(after, list):
        if len(before) == len(after):
            parts = [differences(*both, f"{place}/{n}") for n, both in enumerate(zip(before, after, strict=True))]
            return {where: value for part in parts for where, value in part.items()}
        if [item for item in before if item in after] == after:
            return {f"{place}/{n}": GONE for n, item in enumerate(before) if item not in after}
    return {} if before == after else {place: after}


def gone(*places: str) -> Json:
    return dict.fromkeys(places, GONE)


def recoded(place: str, *codings: tuple[str, str]) -> Json:
    """A concept that means something else: what it is a part of, and its extensions, it keeps."""
    coding = [{"system": system, "code": code} for system, code in codings]
    return {f"{place}/coding": coding, **gone(f"{place}/text", f"{place}/_text")}


def unnamed(place: str) -> Json:
    return gone(f"{place}/display", f"{place}/_display")


OF_THE_UHID = {
    "use": "official",
    "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NI"}], "text": "UHID"},
    "value": "UG987654321B",
}
OTHER_PATIENT = {f"participant/1/actor/identifier/{name}": value for name, value in OF_THE_UHID.items()}
CHANGED: dict[str, tuple[Any, Json]] = {
    "id": ("a2", {"id": "a2"}),
    "appointment_number": ("APT-2", {"identifier/1/value": "APT-2"}),
    "patient_uhid": (
        "UG987654321B",
        {**OTHER_PATIENT, **gone("participant/1/actor/reference"), **unnamed("participant/1/actor")},
    ),
    "patient_name": ("B", {"participant/1/actor/display": "B"}),
    "practitioner_id": (
        "p9",
        {
            "participant/2/actor/reference": "Practitioner/p9",
            **gone("participant/2/actor/identifier"),
            **unnamed("participant/2/actor"),
        },
    ),
    "practitioner_name": ("B", {"participant/2/actor/display": "B"}),
    "facility_id": (
        "l9",
        {
            "participant/3/actor/reference": "Location/l9",
            **gone("participant/3/actor/identifier"),
            **unnamed("participant/3/actor"),
        },
    ),
    "facility_name": ("B", {"participant/3/actor/display": "B"}),
    "status": ("noshow", {"status": "noshow"}),
    "service_type_code": ("b", recoded("serviceType/0", (SYSTEMS.service_type, "b"))),
    "specialty_code": ("b", recoded("specialty/0", (SYSTEMS.specialty, "b"))),
    "appointment_type_code": ("WALKIN", recoded("appointmentType", (V2_0276, "WALKIN"))),
    "start_time": (LATER, {"start": LATER}),
    "end_time": (LATER, {"end": LATER}),
    "duration_minutes": (7, {"minutesDuration": 7}),
    "reason_text": ("b", {"reasonCode/0/text": "b"}),
    "priority": (7, {"priority": 7}),
    "patient_instruction": ("b", {"patientInstruction": "b"}),
    "notes": ("b", {"comment": "b"}),
    "created_at": (LATER, {"created": LATER}),
    "cancellation_reason_code": (
        "b",
        recoded("cancelationReason", (SYSTEMS.cancellation_reason, "b"), (HL7_CANCELLATION, "other")),
    ),
    "cancellation_reason_text": ("b", {"cancelationReason/text": "b"}),
    "cancelled_at": (LATER, {"extension/1/valueDateTime": LATER}),
    "rescheduled_at": (LATER, {"extension/2/valueDateTime": LATER}),
    "checked_in_at": (LATER, {"extension/3/valueDateTime": LATER}),
    "arrived_at": (LATER, {"extension/4/valueDateTime": LATER}),
    "fulfilled_at": (LATER, {"extension/5/valueDateTime": LATER}),
    "noshow_at": (LATER, {"extension/6/valueDateTime": LATER}),
    "reschedule_reason": ("b", {"extension/7/valueString": "b"}),
}
REMOVED: dict[str, Json] = {
    "id": gone("id"),
    "appointment_number": gone("identifier/1"),
    "patient_uhid": gone("participant/1/actor/reference", "participant/1/actor/identifier")
    | unnamed("participant/1/actor"),
    "patient_name": unnamed("participant/1/actor"),
    "practitioner_id": gone("participant/2", "participant/5"),
    "practitioner_name": unnamed("participant/2/actor"),
    "facility_id": gone("participant/3"),
    "facility_name": unnamed("participant/3/actor"),
    "status": gone("status", "_status"),
    "start_time": gone("start", "_start"),
    "end_time": gone("end", "_end"),
    "duration_minutes": gone("minutesDuration", "_minutesDuration"),
    "priority": gone("priority", "_priority"),
    "patient_instruction": gone("patientInstruction", "_patientInstruction"),
    "notes": gone("comment", "_comment"),
    "created_at": gone("created", "_created"),
    "cancellation_reason_text": gone("cancelationReason/text", "cancelationReason/_text"),
    **{
        name: gone(f"{place}/coding", f"{place}/text", f"{place}/_text")
        for name, place in (
            ("service_type_code", "serviceType/0"),
            ("specialty_code", "specialty/0"),
            ("appointment_type_code", "appointmentType"),
            ("reason_text", "reasonCode/0"),
            ("cancellation_reason_code", "cancelationReason"),
        )
    },
    **{
        name: gone(f"extension/{n}")
        for n, name in enumerate(
            ("cancelled_at", "rescheduled_at", "checked_in_at", "arrived_at", "fulfilled_at", "noshow_at"), 1
        )
    },
    "reschedule_reason": gone("extension/7"),
}
NAMES = [field.name for field in appointment.FIELDS]


def test_the_appointment_says_all_that_R4_has() -> None:
    elements = {one["path"].partition(".")[2] for one in r4.elements("Appointment")}
    assert {name for name in WHOLE if name != "resourceType"} >= {name for name in elements if name and "." not in name}


def test_every_member_is_shown_and_written_back_changes_nothing() -> None:
    assert appointment.view(WHOLE, systems=SYSTEMS) == SHOWN
    assert appointment.update(WHOLE, SHOWN, systems=SYSTEMS) == WHOLE


@pytest.mark.parametrize("name", NAMES)
def test_a_member_changes_what_it_expresses_and_nothing_else(name: str) -> None:
    value, expected = CHANGED[name]
    assert differences(WHOLE, appointment.update(WHOLE, {name: value}, systems=SYSTEMS)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_member_that_goes_takes_what_it_expresses_and_nothing_else(name: str) -> None:
    assert differences(WHOLE, appointment.update(WHOLE, {name: None}, systems=SYSTEMS)) == REMOVED[name]
