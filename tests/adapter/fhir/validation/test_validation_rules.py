# ruff: noqa: E501  # a fault to a line
"""Each rule: a valid resource with one fault gives one issue, of the right type, at the right place, in clear words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from adapter.errors import Malformed, Problem, Unprocessable
from adapter.fhir.validation import check, require_valid
from store.codec import ExactDecimal

Json = dict[str, Any]
START, END = "2024-01-20T10:00:00+03:00", "2024-01-20T07:30:00Z"
EXTENSION = {"url": "http://example.org/a", "valueString": "x"}
ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
APPOINTMENT: Json = {
    "resourceType": "Appointment",
    "id": "apt-1",
    "status": "booked",
    "start": START,
    "end": END,
    "participant": [
        {"actor": {"reference": "Patient/p1", "display": "Amina Nakato"}, "status": "accepted"},
        {"actor": {"reference": "https://elsewhere.example/fhir/Practitioner/d1"}, "status": "accepted"},
    ],
}
SLOT: Json = {
    "resourceType": "Slot",
    "schedule": {"reference": "Schedule/s1"},
    "status": "free",
    "start": START,
    "end": END,
}
PATIENT: Json = {"resourceType": "Patient", "id": "p1"}
PRACTITIONER: Json = {"resourceType": "Practitioner", "id": "d1"}
ORGANIZATION: Json = {"resourceType": "Organization", "name": "Clinic"}
LOCATION: Json = {"resourceType": "Location", "position": {"longitude": 32, "latitude": ExactDecimal("0.31")}}
RESPONSE: Json = {
    "resourceType": "AppointmentResponse",
    "appointment": {"reference": "Appointment/apt-1"},
    "actor": {"reference": "Patient/p1"},
    "participantStatus": "accepted",
}
VALID = (APPOINTMENT, SLOT, PATIENT, ORGANIZATION, LOCATION, RESPONSE)
ABSENT_MEMBER = object()


def changed(resource: Json, path: str, value: Any) -> Json:
    """Return a copy with `value` at `path` (``participant.0.actor``), or without it."""
    made = copy.deepcopy(resource)
    node: Any = made
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        node = node[step]
    if value is ABSENT_MEMBER:
        del node[last]
    else:
        node[last] = value
    return made


def with_contained(*inner: Json, **members: Any) -> Json:
    return {**APPOINTMENT, "contained": list(inner), **members}


@pytest.mark.parametrize("resource", VALID, ids=lambda resource: resource["resourceType"])
def test_valid(resource: Json) -> None:
    before = copy.deepcopy(resource)
    assert check(resource) == check(resource, resource["resourceType"]) == []
    require_valid(resource)
    assert resource == before


CASES: list[tuple[Json, str, Any, str, str, str, str]] = [
    # resource, where, what, code, issue type, expression, a part of the message
    (APPOINTMENT, "cancellationReason", {"text": "x"}, "unknown_element", "structure", "Appointment.cancellationReason", "R4 spells it cancelationReason"),
    (APPOINTMENT, "subject", {"display": "x"}, "unknown_element", "structure", "Appointment.subject", "actor of a participant"),
    (APPOINTMENT, "Comment", "x", "unknown_element", "structure", "Appointment.Comment", "did you mean comment?"),
    (APPOINTMENT, "coment", "x", "unknown_element", "structure", "Appointment.coment", "did you mean comment?"),
    (APPOINTMENT, "fhir_comments", "x", "unknown_element", "structure", "Appointment.fhir_comments", "Leave it out"),
    (APPOINTMENT, "_participant", [ABSENT], "unknown_element", "structure", "Appointment.participant", "no element _participant"),
    (APPOINTMENT, "_id", ABSENT, "unknown_element", "structure", "Appointment.id", "no element _id"),
    (APPOINTMENT, "__proto__", {"x": 1}, "unknown_element", "structure", "Appointment.__proto__", "no element __proto__"),
    (APPOINTMENT, "_", 1, "unknown_element", "structure", "Appointment._", "no element _ in R4"),
    (APPOINTMENT, "Amina Nakato", "x", "unknown_element", "structure", "Appointment", "whose name is no element's"),
    (APPOINTMENT, "participant.0.actor.foo", 1, "unknown_element", "structure", "Appointment.participant[0].actor.foo", "Reference has no"),
    (APPOINTMENT, "status", ABSENT_MEMBER, "missing_element", "required", "Appointment.status", "needs status"),
    (APPOINTMENT, "participant", ABSENT_MEMBER, "missing_element", "required", "Appointment.participant", "needs participant"),
    (APPOINTMENT, "participant.1.status", ABSENT_MEMBER, "missing_element", "required", "Appointment.participant[1].status", "needs status"),
    (SLOT, "start", ABSENT_MEMBER, "missing_element", "required", "Slot.start", "needs start"),
    (LOCATION, "position.longitude", ABSENT_MEMBER, "missing_element", "required", "Location.position.longitude", "needs longitude"),
    (PATIENT, "communication", [{"preferred": True}], "missing_element", "required", "Patient.communication[0].language", "needs language"),
    (PATIENT, "extension", [{"valueString": "x"}], "missing_element", "required", "Patient.extension[0].url", "needs url"),
    (APPOINTMENT, "participant", [], "empty_value", "structure", "Appointment.participant", "must not be empty"),
    (APPOINTMENT, "participant", {"status": "accepted"}, "wrong_type", "structure", "Appointment.participant", "Put it in [ ]"),
    (APPOINTMENT, "participant.0.actor", [{"display": "x"}], "wrong_type", "structure", "Appointment.participant[0].actor", "so it is no list"),
    (APPOINTMENT, "participant.0.actor", "Patient/p1", "wrong_type", "structure", "Appointment.participant[0].actor", "is an object"),
    (APPOINTMENT, "comment", ["x"], "wrong_type", "structure", "Appointment.comment", "so it is no list"),
    (APPOINTMENT, "comment", {"text": "x"}, "wrong_type", "structure", "Appointment.comment", "is no object"),
    (APPOINTMENT, "_status", "x", "wrong_type", "structure", "Appointment.status", "is an object"),
    (PATIENT, "name", [{"given": "a"}], "wrong_type", "structure", "Patient.name[0].given", "Put it in [ ]"),
    (PATIENT, "name", [{"_given": ABSENT}], "wrong_type", "structure", "Patient.name[0].given", "Put it in [ ]"),
    (APPOINTMENT, "priority", "5", "bad_value", "value", "Appointment.priority", "without quotes"),
    (APPOINTMENT, "priority", True, "bad_value", "value", "Appointment.priority", "whole number"),
    (APPOINTMENT, "priority", ExactDecimal("5.0"), "bad_value", "value", "Appointment.priority", "whole number"),
    (APPOINTMENT, "minutesDuration", 0, "bad_value", "value", "Appointment.minutesDuration", "from 1"),
    (APPOINTMENT, "minutesDuration", 2147483648, "bad_value", "value", "Appointment.minutesDuration", "2147483647"),
    (APPOINTMENT, "created", "20.01.2024", "bad_value", "value", "Appointment.created", "such as 2024-01-20"),
    (APPOINTMENT, "id", "x" * 65, "bad_value", "value", "Appointment.id", "1 to 64"),
    (APPOINTMENT, "id", "a_b", "bad_value", "value", "Appointment.id", "1 to 64"),
    (APPOINTMENT, "comment", 5, "bad_value", "value", "Appointment.comment", "text in quotes"),
    (PATIENT, "photo", [{"contentType": "image/png "}], "bad_value", "value", "Patient.photo[0].contentType", "white space"),
    (APPOINTMENT, "language", "en_US", "unknown_code", "code-invalid", "Appointment.language", "such as en or en-UG"),
    (PATIENT, "contained", [{"resourceType": "Location", "id": "l", "language": "en-", "partOf": {"reference": "#"}}], "unknown_code", "code-invalid", "Patient.contained[0].language", "BCP 47"),
    (PATIENT, "photo", [{"language": "english language"}], "unknown_code", "code-invalid", "Patient.photo[0].language", "BCP 47"),
    (PATIENT, "communication", [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en_US"}]}}], "unknown_code", "code-invalid", "Patient.communication[0].language.coding[0].code", "BCP 47"),
    (PRACTITIONER, "communication", [{"coding": [{"system": "urn:ietf:bcp:47", "code": "12"}]}], "unknown_code", "code-invalid", "Practitioner.communication[0].coding[0].code", "BCP 47"),
    (APPOINTMENT, "identifier", [{"system": "my system"}], "bad_value", "value", "Appointment.identifier[0].system", "white space"),
    (SLOT, "start", "2024-01-20T10:00:00", "bad_value", "value", "Slot.start", "2024-01-20T10:00:00+03:00"),
    (SLOT, "start", "2024-02-30T10:00:00Z", "bad_value", "value", "Slot.start", "2024-01-20T10:00:00+03:00"),
    (SLOT, "start", 1705734000, "bad_value", "value", "Slot.start", "2024-01-20T10:00:00+03:00"),
    (SLOT, "overbooked", 1, "bad_value", "value", "Slot.overbooked", "true or false"),
    (SLOT, "overbooked", "true", "bad_value", "value", "Slot.overbooked", "true or false"),
    (LOCATION, "position.latitude", "0.31", "bad_value", "value", "Location.position.latitude", "a number"),
    (LOCATION, "position.latitude", True, "bad_value", "value", "Location.position.latitude", "a number"),
    (PATIENT, "birthDate", "1990-05-05T00:00:00Z", "bad_value", "value", "Patient.birthDate", "such as 2024-01-20"),
    (PATIENT, "photo", [{"contentType": "image/png", "data": "AAA"}], "bad_value", "value", "Patient.photo[0].data", "base64"),
    (PATIENT, "name", [{"id": "a b", "family": "x"}], "bad_value", "value", "Patient.name[0].id", "without white space"),
    (APPOINTMENT, "status", "no-show", "unknown_code", "code-invalid", "Appointment.status", "Did you mean noshow?"),
    (APPOINTMENT, "status", "canceled", "unknown_code", "code-invalid", "Appointment.status", "Did you mean cancelled?"),
    (APPOINTMENT, "status", "Booked", "unknown_code", "code-invalid", "Appointment.status", "one of arrived, booked"),
    (APPOINTMENT, "status", 5, "unknown_code", "code-invalid", "Appointment.status", "one of arrived, booked"),
    (APPOINTMENT, "participant.0.status", "booked", "unknown_code", "code-invalid", "Appointment.participant[0].status", "needs-action"),
    (APPOINTMENT, "participant.0.required", "yes", "unknown_code", "code-invalid", "Appointment.participant[0].required", "information-only"),
    (SLOT, "status", "taken", "unknown_code", "code-invalid", "Slot.status", "busy-tentative"),
    (RESPONSE, "participantStatus", "booked", "unknown_code", "code-invalid", "AppointmentResponse.participantStatus", "tentative"),
    (PATIENT, "gender", "f", "unknown_code", "code-invalid", "Patient.gender", "female"),
    (PATIENT, "link", [{"other": {"reference": "Patient/2"}, "type": "x"}], "unknown_code", "code-invalid", "Patient.link[0].type", "replaced-by"),
    (LOCATION, "mode", "x", "unknown_code", "code-invalid", "Location.mode", "instance"),
    (LOCATION, "hoursOfOperation", [{"daysOfWeek": ["mon", "monday"]}], "unknown_code", "code-invalid", "Location.hoursOfOperation[0].daysOfWeek[1]", "mon"),
    (PATIENT, "extension", [{"url": "http://x", "valueTiming": {"repeat": {"when": ["noon"]}}}], "unknown_code", "code-invalid", "Patient.extension[0].value.repeat.when[0]", "none of the codes"),
    (APPOINTMENT, "slot", [{"reference": "Patient/1"}], "wrong_reference_target", "value", "Appointment.slot[0].reference", "only to Slot"),
    (APPOINTMENT, "participant.0.actor.reference", "Observation/1", "wrong_reference_target", "value", "Appointment.participant[0].actor.reference", "Patient, Practitioner"),
    (APPOINTMENT, "participant.0.actor.reference", "https://x.example/fhir/Group/1/_history/2", "wrong_reference_target", "value", "Appointment.participant[0].actor.reference", "refers to a Group"),
    (APPOINTMENT, "participant.0.actor", {"type": "Group", "display": "x"}, "wrong_reference_target", "value", "Appointment.participant[0].actor.type", "refers to a Group"),
    (APPOINTMENT, "participant.0.actor.type", "Practitioner", "reference_type", "value", "Appointment.participant[0].actor.type", "leads to Patient"),
    (APPOINTMENT, "participant.0.actor.type", "patient", "reference_type", "value", "Appointment.participant[0].actor.type", "a resource type"),
    (APPOINTMENT, "participant.0.actor.reference", "p1", "bad_reference", "value", "Appointment.participant[0].actor.reference", "Type/id"),
    (APPOINTMENT, "participant.0.actor.reference", "Foo/p1", "bad_reference", "value", "Appointment.participant[0].actor.reference", "Type/id"),
    (APPOINTMENT, "participant.0.actor.reference", "Patient/p 1", "bad_reference", "value", "Appointment.participant[0].actor.reference", "Type/id"),
    (APPOINTMENT, "participant.0.actor.reference", "Patient?identifier=a|1", "bad_reference", "value", "Appointment.participant[0].actor.reference", "Type/id"),
    (APPOINTMENT, "participant.0.actor.reference", "Patient/p%2D1", "bad_reference", "value", "Appointment.participant[0].actor.reference", "percent-encoding"),
    (APPOINTMENT, "participant.0.actor.reference", "https://x.example/fhir/Patient/p%2D1", "bad_reference", "value", "Appointment.participant[0].actor.reference", "percent-encoding"),
    (APPOINTMENT, "participant.0.actor.reference", "https://x.example/a%20b/Patient%2Fp/_history/1", "bad_reference", "value", "Appointment.participant[0].actor.reference", "percent-encoding"),
    *(
        (APPOINTMENT, "participant.0.actor.reference", f"https://x.example/fhir/Patient/p1{more}", "bad_reference", "value", "Appointment.participant[0].actor.reference", "ends with the id")
        for more in ("/", "?_format=json", "#x", "/_history/1/", "/_history", "/_history/", "/?x", "/_history/1?_pretty=true#x")
    ),
    (APPOINTMENT, "participant.0.actor.reference", "#p", "ref-1", "invariant", "Appointment.participant[0].actor.reference", "no contained resource"),
    (APPOINTMENT, "participant.0.actor.reference", "#", "ref-1", "invariant", "Appointment.participant[0].actor.reference", "no contained resource"),
    (APPOINTMENT, "participant.1", {"status": "accepted"}, "app-1", "invariant", "Appointment.participant[1]", "actor"),
    (APPOINTMENT, "end", ABSENT_MEMBER, "app-3", "invariant", "Appointment", "proposed, cancelled or waitlist"),
    (APPOINTMENT, "cancelationReason", {"text": "x"}, "app-4", "invariant", "Appointment.cancelationReason", "cancelled or noshow"),
    (APPOINTMENT, "requestedPeriod", [{"start": "2024", "end": "2023"}], "per-1", "invariant", "Appointment.requestedPeriod[0]", "ends before"),
    (APPOINTMENT, "extension", [{"url": "http://x"}], "ext-1", "invariant", "Appointment.extension[0]", "one of the two"),
    (APPOINTMENT, "extension", [{**EXTENSION, "extension": [EXTENSION]}], "ext-1", "invariant", "Appointment.extension[0]", "not both"),
    (APPOINTMENT, "identifier", [{"id": "a"}], "ele-1", "invariant", "Appointment.identifier[0]", "no content"),
    (APPOINTMENT, "_comment", {"id": "a"}, "ele-1", "invariant", "Appointment.comment", "no content"),
    (PATIENT, "name", [{"given": ["a"], "_given": [{"id": "a"}, {"id": "b"}]}], "ele-1", "invariant", "Patient.name[0].given[1]", "no content"),
    (PATIENT, "contact", [{"gender": "male"}], "pat-1", "invariant", "Patient.contact[0]", "needs a name"),
    (PATIENT, "telecom", [{"value": "1"}], "cpt-2", "invariant", "Patient.telecom[0]", "phone or email"),
    (ORGANIZATION, "name", ABSENT_MEMBER, "org-1", "invariant", "Organization", "identifier"),
    (ORGANIZATION, "address", [{"use": "home"}], "org-2", "invariant", "Organization.address[0].use", "work"),
    (ORGANIZATION, "telecom", [{"system": "phone", "use": "home"}], "org-3", "invariant", "Organization.telecom[0].use", "work"),
    (RESPONSE, "actor", ABSENT_MEMBER, "apr-1", "invariant", "AppointmentResponse", "actor"),
    (PATIENT, "deceasedBoolean", 0, "bad_value", "value", "Patient.deceased", "true or false"),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "path", "value", "code", "issue", "expression", "words"), CASES)
def test_one_fault_one_issue(
    resource: Json, path: str, value: Any, code: str, issue: str, expression: str, words: str
) -> None:
    faulty = changed(resource, path, value)
    problems = [problem for problem in check(faulty) if not (path == "end" and problem.code == "app-2")]
    assert [(p.code, p.issue, p.param) for p in problems] == [(code, issue, expression)]
    assert words in problems[0].message
    assert "Amina" not in problems[0].message
    with pytest.raises(Malformed):
        require_valid(faulty)


@pytest.mark.parametrize(
    ("resource", "path", "value", "code"),
    [
        (APPOINTMENT, "end", "2024-01-20T09:59:59+03:00", "end_before_start"),
        (APPOINTMENT, "end", "2024-02-20T10:00:01+03:00", "too_long"),
        (RESPONSE | {"start": START, "end": END}, "end", "2024-01-20T09:59:59+03:00", "end_before_start"),
        (SLOT, "end", START, "end_before_start"),
        (SLOT, "end", "2024-01-20T09:59:59+03:00", "end_before_start"),
        (SLOT, "end", "2024-02-20T10:00:01+03:00", "too_long"),
        (SLOT, "end", "9999-12-31T23:59:59-12:00", "too_long"),
    ],
)
def test_times_against_scheduling_are_422(resource: Json, path: str, value: str, code: str) -> None:
    faulty = changed(resource, path, value)
    (problem,) = check(faulty)
    assert (problem.code, problem.issue, problem.param) == (code, "business-rule", f"{resource['resourceType']}.end")
    with pytest.raises(Unprocessable):
        require_valid(faulty)
    with pytest.raises(Malformed) as caught:  # with anything else wrong, the whole is malformed
        require_valid(changed(faulty, "comment", 5))
    assert len(caught.value.problems) == 2


def test_a_slot_that_utc_puts_beyond_the_calendar_is_refused_for_that() -> None:
    (problem,) = check(SLOT | {"start": "9999-12-31T23:00:00-05:00", "end": "9999-12-31T23:20:00-05:00"})
    assert (problem.code, "in the years 1 to 9999" in problem.message) == ("end_before_start", True)


@pytest.mark.parametrize(
    ("resource", "path", "value"),
    [
        (APPOINTMENT, "end", START),
        (APPOINTMENT, "end", "2024-02-20T10:00:00+03:00"),
        (APPOINTMENT, "status", "noshow"),
        (SLOT, "end", "2024-02-20T10:00:00+03:00"),
        (SLOT, "start", "2024-01-20T07:28:60Z"),
        (APPOINTMENT, "participant.0.actor.reference", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
        (APPOINTMENT, "participant.0.actor.reference", "https://elsewhere.example/patients/7"),
        (APPOINTMENT, "participant.0.actor.reference", "https://elsewhere.example/a%20b/Patient/7"),
        (APPOINTMENT, "participant.0.actor.reference", "https://elsewhere.example/patients%2F7"),
        (APPOINTMENT, "participant.0.actor.reference", "https://elsewhere.example/patients/7/?of=Patient/7#x"),
        (APPOINTMENT, "participant.0.actor.reference", "https://elsewhere.example/fhir/Patient/7/$summary"),
        (APPOINTMENT, "participant.0.actor.reference", "https://elsewhere.example/of?who=x%2FPatient%2F7"),
        (APPOINTMENT, "participant.0.actor.reference", "Patient/p1/_history/2"),
        (APPOINTMENT, "participant.0.actor", {"identifier": {"system": "urn:x", "value": "1"}}),
        (APPOINTMENT, "participant.0.actor", {"display": "somebody"}),
        (APPOINTMENT, "participant.0.actor.type", "Patient"),
        (APPOINTMENT, "participant.0.actor.type", "http://hl7.org/fhir/StructureDefinition/Patient"),
        (APPOINTMENT, "participant.0.actor.type", "http://example.org/Model"),
        (APPOINTMENT, "participant.0", {"status": "accepted", "type": [{"text": "a nurse"}]}),
        (APPOINTMENT, "supportingInformation", [{"reference": "Condition/1"}]),
        (APPOINTMENT, "specialty", [{"coding": [{"system": "urn:own", "code": "any"}]}]),
        (APPOINTMENT, "_comment", {"id": "a", **ABSENT}),
        (APPOINTMENT, "comment", " "),
        (PATIENT, "extension", [{"url": "http://x", "extension": [EXTENSION]}]),
        (PATIENT, "extension", [{"url": "http://x", "valueReference": {"reference": "Appointment/1"}}]),
        (PATIENT, "extension", [{"url": "http://x", "_valueDate": ABSENT}]),
        (PATIENT, "multipleBirthInteger", 2),
        (PATIENT, "communication", [{"language": {"text": "Luganda"}}]),
        (PATIENT, "communication", [{"language": {"coding": [{"system": "urn:own", "code": "en_US"}]}}]),
        (PRACTITIONER, "communication", [{"coding": [{"system": "urn:ietf:bcp:47", "display": "Luganda"}]}]),
        (PRACTITIONER, "communication", [{"coding": [{"system": "urn:ietf:bcp:47", "code": "lg-UG"}]}]),
        (PATIENT, "photo", [{"data": "AAAA QUI=\n", "contentType": "image/png"}]),
        (PATIENT, "meta", {"profile": ["http://example.org/StructureDefinition/x|1.0"], "security": [{"code": "R"}]}),
    ],
)  # fmt: skip
def test_what_is_allowed(resource: Json, path: str, value: Any) -> None:
    assert check(changed(resource, path, value)) == []


@pytest.mark.parametrize("status", ["proposed", "cancelled", "waitlist"])
def test_these_need_no_times(status: str) -> None:
    timeless = {**APPOINTMENT, "status": status}
    del timeless["start"], timeless["end"]
    assert check(timeless) == []


@pytest.mark.parametrize("status", ["cancelled", "noshow"])
def test_app_4_takes_a_reason_for_a_noshow_too(status: str) -> None:
    assert check({**APPOINTMENT, "status": status, "cancelationReason": {"text": "x"}}) == []


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        *((one, name) for one in (APPOINTMENT, SLOT) for name in ("status", "start", "end")),
        (RESPONSE, "participantStatus"),
    ],
)
def test_what_time_is_kept_by_has_a_value_and_not_only_the_reason_why_there_is_none(resource: Json, name: str) -> None:
    masked = {**resource, f"_{name}": ABSENT}
    del masked[name]
    (problem,) = check(masked)
    kind = resource["resourceType"]
    assert (problem.code, problem.issue, problem.param) == ("missing_value", "business-rule", f"{kind}.{name}")


def test_an_appointment_that_takes_no_time_may_tell_why_it_has_none() -> None:
    proposed = {**APPOINTMENT, "status": "proposed", "_start": ABSENT, "_end": ABSENT}
    del proposed["start"], proposed["end"]
    assert check(proposed) == []


def test_start_without_end_is_named_by_both_of_its_rules() -> None:
    assert [problem.code for problem in check(changed(APPOINTMENT, "end", ABSENT_MEMBER))] == ["app-2", "app-3"]


def test_two_types_of_a_choice() -> None:
    (problem,) = check({**PATIENT, "deceasedBoolean": True, "deceasedDateTime": "2020"})
    assert (problem.code, problem.param) == ("repeated_choice", "Patient.deceased")
    twice = {"url": "http://x", "valueString": "x", "valueInteger": 1}
    (problem,) = check({**PATIENT, "extension": [twice]})
    assert (problem.code, problem.param) == ("repeated_choice", "Patient.extension[0].value")


SAID = {"extension": [EXTENSION]}


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ({**PATIENT, "deceasedBoolean": True, "_deceasedDateTime": SAID}, "Patient.deceased"),
        ({**PATIENT, "_deceasedBoolean": SAID, "_deceasedDateTime": SAID}, "Patient.deceased"),
        ({**PATIENT, "multipleBirthInteger": 2, "_multipleBirthBoolean": SAID}, "Patient.multipleBirth"),
        (
            {**PATIENT, "extension": [{"url": "http://x", "valueString": "x", "_valueInteger": SAID}]},
            "Patient.extension[0].value",
        ),
    ],
)
def test_extensions_without_a_value_have_chosen_a_type_as_well(resource: Json, place: str) -> None:
    (problem,) = check(resource)
    assert (problem.code, problem.param) == ("repeated_choice", place)


def test_a_value_of_a_choice_may_have_extensions() -> None:
    assert check({**PATIENT, "deceasedBoolean": True, "_deceasedBoolean": SAID}) == []
    assert check({**PATIENT, "_deceasedDateTime": SAID}) == []


@pytest.mark.parametrize(("many", "expected"), [(1_000, []), (1_001, [("too_many_values", "Appointment.contained")])])
def test_a_resource_contains_a_thousand_others_at_most(many: int, expected: list[tuple[str, str]]) -> None:
    inner = [{"resourceType": "Patient", "id": f"p{number}"} for number in range(many)]
    coming = [{"actor": {"reference": f"#{one['id']}"}, "status": "accepted"} for one in inner]
    problems = check(with_contained(*inner, participant=coming))
    assert [(one.code, one.param) for one in problems] == expected


CONTAINED = {"resourceType": "Device", "id": "d"}
USE = {"reference": "#d"}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (with_contained(CONTAINED, supportingInformation=[USE]), []),
        (with_contained({**CONTAINED, "owner": {"reference": "#"}}), []),  # refers to the Appointment itself
        (with_contained({"resourceType": "Device", "owner": {"reference": "#"}}), []),
        (with_contained(CONTAINED, extension=[{"url": "http://x", "valueUri": "#d"}]), []),
        (with_contained(CONTAINED, comment="#d"), [("dom-3", "Appointment.contained[0]")]),
        (with_contained(CONTAINED, slot=[USE]), [("wrong_reference_target", "Appointment.slot[0].reference")]),
        (with_contained(CONTAINED, CONTAINED, supportingInformation=[USE]), [("duplicate_id", "Appointment.contained[1].id")]),
        (
            with_contained({**CONTAINED, "contained": [{"resourceType": "Patient"}]}, supportingInformation=[USE]),
            [("dom-2", "Appointment.contained[0].contained")],
        ),
        (
            with_contained({**CONTAINED, "meta": {"versionId": "1", "tag": [{"code": "t"}]}}, supportingInformation=[USE]),
            [("dom-4", "Appointment.contained[0].meta.versionId")],
        ),
        (
            with_contained({**CONTAINED, "meta": {"security": [{"code": "R"}]}}, supportingInformation=[USE]),
            [("dom-5", "Appointment.contained[0].meta.security")],
        ),
        (
            with_contained({**CONTAINED, "patient": {"reference": "#d"}}),
            [("wrong_reference_target", "Appointment.contained[0].patient.reference")],
        ),
        (
            with_contained({**CONTAINED, "status": "foo"}, supportingInformation=[USE]),
            [("unknown_code", "Appointment.contained[0].status")],
        ),
        (
            with_contained({"resourceType": "FooType", "id": "d"}, supportingInformation=[USE]),
            [("unknown_type", "Appointment.contained[0].resourceType")],
        ),
        (
            with_contained({"id": "d"}, supportingInformation=[USE]),
            [("unknown_type", "Appointment.contained[0].resourceType")],
        ),
        (with_contained({"resourceType": "EffectEvidenceSynthesis", "id": "d"}, supportingInformation=[USE]), "required"),
        ({**APPOINTMENT, "contained": 5}, [("wrong_type", "Appointment.contained")]),
        ({**APPOINTMENT, "contained": [5]}, [("wrong_type", "Appointment.contained[0]")]),
    ],
    ids=range(17),
)  # fmt: skip
def test_contained_resources(resource: Json, expected: Any) -> None:
    problems: list[Problem] = check(resource)
    if expected == "required":  # a type that only R4 has: no model knows it, the definitions do
        assert {problem.issue for problem in problems} == {"required"}
    else:
        assert [(problem.code, problem.param) for problem in problems] == expected


def test_a_contained_type_that_r4b_lacks_does_not_hinder_the_second_opinion() -> None:
    concept = {"resourceType": "CatalogEntry", "id": "d", "orderable": True, "referencedItem": {"reference": "#"}}
    assert check(with_contained(concept, supportingInformation=[USE])) == []
    synthesis = {
        "resourceType": "MedicinalProductContraindication",
        "id": "d",
        "subject": [{"reference": "Medication/1"}],
    }
    assert check(with_contained(synthesis, supportingInformation=[USE])) == []


@pytest.mark.parametrize(
    ("resource", "kind", "words"),
    [
        ({"status": "booked"}, "Appointment", 'Add "resourceType": "Appointment"'),
        ({"status": "booked"}, None, "is missing"),
        (PATIENT, "Appointment", "Send it to /Patient"),
        ({"resourceType": "Bundle", "type": "batch"}, "Patient", "Send it to the base"),  # there is no /Bundle
        ({"resourceType": "Foo"}, "Appointment", "none that R4 has"),
        ({"resourceType": "Foo"}, None, "none that R4 has"),
        ({"resourceType": ["Patient"]}, "Patient", "none that R4 has"),
        ({"resourceType": "Citation"}, None, "none that R4 has"),  # R4B's
    ],
)
def test_the_resource_type_itself(resource: Json, kind: str | None, words: str) -> None:
    (problem,) = check(resource, kind)
    assert (problem.code, problem.issue) == ("wrong_type", "structure")
    assert problem.param == f"{kind or 'Resource'}.resourceType"
    assert words in problem.message


def test_all_that_is_wrong_is_told_at_once() -> None:
    faulty = {
        **APPOINTMENT,
        "status": "foo",
        "start": "today",
        "bar": 1,
        "participant": [{"actor": {"reference": "x"}}],
    }
    assert [problem.param for problem in check(faulty)] == [
        "Appointment.status",
        "Appointment.start",
        "Appointment.participant[0].actor.reference",
        "Appointment.participant[0].status",
        "Appointment.bar",
    ]


def test_search_urls_as_references_only_where_they_are_still_resolved() -> None:
    conditional = changed(APPOINTMENT, "participant.0.actor.reference", "Patient?identifier=urn:x|1")
    assert check(conditional, conditional=True) == []
    require_valid(conditional, conditional=True)
    (problem,) = check(changed(conditional, "participant.0.actor.reference", "Group?a=b"), conditional=True)
    assert problem.code == "wrong_reference_target"


def test_resources_in_bundles_and_parameters_stand_by_themselves() -> None:
    local = with_contained({"resourceType": "Device", "id": "d"}, supportingInformation=[USE])
    lost = {"resourceType": "Patient", "managingOrganization": USE}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": local}, {"resource": lost}]}
    (problem,) = check(bundle)
    assert (problem.code, problem.param) == ("ref-1", "Bundle.entry[1].resource.managingOrganization.reference")
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "a", "part": [{"name": "b", "resource": local}]}],
    }
    assert check(parameters) == []


CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


@pytest.mark.parametrize(
    ("concept", "sound"),
    [
        ({"coding": [{"system": "urn:own", "code": "x"}, {"system": CLINICAL, "code": "active"}]}, True),
        ({"coding": [{"system": CLINICAL, "code": "foo"}]}, False),
        ({"coding": [{"system": "urn:own", "code": "active"}]}, False),
        ({"text": "active"}, False),
    ],
)
def test_a_required_binding_of_a_concept_needs_one_coding_of_the_value_set(concept: Json, sound: bool) -> None:
    condition = {
        "resourceType": "Condition",
        "id": "d",
        "subject": {"reference": "Patient/1"},
        "clinicalStatus": concept,
    }
    problems = check(with_contained(condition, supportingInformation=[USE]))
    expected = [] if sound else [("unknown_code", "code-invalid", "Appointment.contained[0].clinicalStatus")]
    assert [(p.code, p.issue, p.param) for p in problems] == expected


FEW = {"value": 2, "comparator": "<"}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"valueRange": {"low": FEW}}, "value.low"),
        ({"valueRange": {"high": {"value": 2, "_comparator": ABSENT}}}, "value.high"),
        ({"valueSampledData": {"origin": FEW, "period": 1, "dimensions": 1}}, "value.origin"),
        ({"valueDosage": {"doseAndRate": [{"doseQuantity": FEW}]}}, "value.doseAndRate[0].dose"),
        ({"valueDosage": {"doseAndRate": [{"rateQuantity": FEW}]}}, "value.doseAndRate[0].rate"),
        ({"valueDosage": {"maxDosePerAdministration": FEW}}, "value.maxDosePerAdministration"),
        ({"valueDosage": {"maxDosePerLifetime": FEW}}, "value.maxDosePerLifetime"),
    ],
)
def test_a_simple_quantity_has_no_comparator(value: Json, where: str) -> None:
    problems = check(PATIENT | {"extension": [{"url": "http://example.org/a", **value}]})
    assert [(one.code, one.issue, one.param) for one in problems] == [
        ("sqty-1", "invariant", f"Patient.extension[0].{where}.comparator")
    ]


@pytest.mark.parametrize("value", [{"valueQuantity": FEW}, {"valueRatio": {"numerator": FEW, "denominator": FEW}}])
def test_any_other_quantity_may_have_one(value: Json) -> None:
    assert check(PATIENT | {"extension": [{"url": "http://example.org/a", **value}]}) == []
