"""Generated resources for the property test of search: small alphabets, so that things match.

The odd values are those that servers get wrong: commas and pipes inside of values, case, accents, milliseconds, offsets
across midnight, versions in references, logical references, the same id under several types.
"""

from __future__ import annotations

from random import Random
from zoneinfo import ZoneInfo

from tests.adapter.fhir.chance import Gen, builds, flags, just, lists, mark, members, one_of, some
from tests.adapter.fhir.oracle import Json
from tests.adapter.fhir.r4_parameters import PARAMETERS

BASE = "http://clinic.example/fhir/R4"
ZONE = ZoneInfo("Africa/Kampala")
KINDS = tuple(PARAMETERS)

INSTANTS = (
    "2024-01-20T09:00:00Z",
    "2024-01-20T09:00:00.500Z",
    "2024-01-20T09:00:00.50012345678901Z",
    "2024-01-20T12:00:00+03:00",
    "2024-01-20T22:30:00Z",
    "2024-01-21T00:00:00+03:00",
    "2024-02-01T08:00:00-05:00",
)
BIRTHDAYS = ("1990", "1990-05", "1990-05-17", "2001-12-31")
IDS = ("a", "b", "c")
SYSTEM_URIS = ("urn:s", "urn:s", "urn:t", "urn:s|p", "urn:s\\")
VALUES = ("V1", "v1", "x,y", "p|q", "q", "|q", "urn:s|V1", "\\|q", "back\\slash")
CODES = ("gp", "GP", "derm", "urn:s|gp", "p|gp")
WORDS = ("Anna", "anna maria", "Ánna", "Okello", "O,kello", "Anna-María O'Kello", "Dr. Okello", "-")
PLACES = ((0.3136, 32.5811), (0.3476, 32.5825), (-1.2864, 36.8172))
TYPE_SYSTEM = "urn:type"
TYPE_CODES = ("MR", "MR", "MR|p")


# Resources.


def _of_type(code: str) -> Json:
    return {"type": {"text": "Anna's", "coding": [{"system": TYPE_SYSTEM, "code": code}]}}


_identifier = builds(
    lambda system, value, of, code: (
        ({"system": system} if system else {}) | {"value": value} | (_of_type(code) if of else {})
    ),
    mark((*SYSTEM_URIS, None)),
    mark(VALUES),
    mark((False, False, True)),
    mark(TYPE_CODES),
)
_coding = builds(
    lambda system, code, display: ({"system": system} if system else {}) | {"code": code} | display,
    mark((*SYSTEM_URIS, None)),
    mark(CODES),
    mark(({}, {"display": "Okello's disease"}, {"display": "General"})),
)
_concept = one_of(
    builds(lambda codings: {"coding": codings}, lists(_coding, 1, 2)),
    builds(lambda coding, text: {"coding": [coding], "text": text}, _coding, mark(("Anna", "general check"))),
    just({"text": "general check"}),
)
_period = one_of(
    builds(lambda a, b: {"start": a, "end": b}, mark(("2023-12-31", "2024-01-20")), mark(("2024-01-20", "2024-06"))),
    just({"start": "2024-01-20T09:00:00Z"}),
    just({"end": "2024-01-20"}),
)
_meta: Gen = one_of(
    just({}),
    just({"tag": [{"system": "urn:s", "code": "gp"}], "source": "urn:lab"}),
    just({"security": [{"code": "R"}], "profile": ["urn:profile:1", "urn:profile:2"]}),
)
_name = one_of(
    builds(lambda family, given: {"family": family, "given": [given]}, mark(WORDS), mark(WORDS)),
    builds(lambda text: {"text": text}, mark(WORDS)),
)
_address = builds(
    lambda city, line: {"use": "home", "city": city, "line": [line], "country": "UG"}, mark(WORDS), mark(WORDS)
)
_contact = builds(
    lambda system, value: {"system": system, "value": value}, mark(("email", "phone")), mark(("A@x.ug", "0772"))
)


def literal(*kinds: str) -> Gen:
    """A reference to one of `kinds`: relative, absolute, of a version, with an identifier."""

    def build(kind: str, ident: str, form: str, identifier: Json | None) -> Json:
        made = {"reference": form.format(f"{kind}/{ident}")}
        return made | ({"identifier": identifier} if identifier else {})

    forms = ("{}", "{}", "{}", BASE + "/{}", "{}/_history/2")
    return builds(build, mark(kinds), mark(IDS), mark(forms), one_of(just(None), just(None), _identifier))


def logical(*kinds: str) -> Gen:
    return builds(lambda kind, found: {"type": kind, "identifier": found}, mark(kinds), _identifier)


_elsewhere = just({"reference": "http://other.example/fhir/Device/a"})
_contained_patient = {"resourceType": "Patient", "id": "p1"}
_actor = one_of(
    literal("Patient"),
    literal("Practitioner"),
    literal("Location", "Practitioner", "PractitionerRole"),
    logical("Patient", "Practitioner"),
    just({"reference": "#p1"}),
    _elsewhere,
)
_service = {
    "identifier": some(_identifier),
    "serviceType": some(_concept),
    "specialty": some(_concept),
    "serviceCategory": some(_concept),
}
_person = {
    "identifier": some(_identifier),
    "name": some(_name),
    "address": some(_address),
    "telecom": some(_contact),
    "active": flags,
    "gender": mark(("male", "female")),
}
_participant = builds(
    lambda actor, status: {"actor": actor, "status": status},
    _actor,
    mark(("accepted", "declined", "needs-action")),
)
_endpoints = some(literal("Endpoint"))
_characteristic = builds(
    lambda code, value, exclude: {"code": code, "exclude": exclude} | value,
    _concept,
    one_of(
        builds(lambda found: {"valueCodeableConcept": found}, _concept),
        builds(lambda found: {"valueBoolean": found}, flags),
    ),
    flags,
)
_MEMBERS: dict[str, tuple[dict[str, Gen], dict[str, Gen]]] = {
    "Appointment": (
        {"status": mark(("booked", "cancelled", "proposed")), "participant": some(_participant, most=3)},
        _service
        | {
            "start": mark(INSTANTS),
            "appointmentType": _concept,
            "basedOn": some(literal("ServiceRequest")),
            "reasonCode": some(_concept),
            "reasonReference": some(literal("Condition", "Observation")),
            "slot": some(literal("Slot")),
            "supportingInformation": some(literal("Appointment"), _elsewhere),
            "requestedPeriod": some(_period),
        },
    ),
    "AppointmentResponse": (
        {
            "appointment": literal("Appointment"),
            "participantStatus": mark(("accepted", "declined")),
            "actor": _actor,
        },
        {"identifier": some(_identifier)},
    ),
    "Slot": (
        {
            "schedule": literal("Schedule"),
            "status": mark(("free", "busy", "busy-unavailable")),
            "start": mark(INSTANTS),
            "end": mark(INSTANTS),
        },
        _service,
    ),
    "Schedule": (
        {"actor": some(_actor)},
        _service | {"active": flags, "planningHorizon": _period},
    ),
    "Patient": (
        {},
        _person
        | {
            "birthDate": mark(BIRTHDAYS),
            "deceasedBoolean": flags,
            "deceasedDateTime": mark(("2024-01", *INSTANTS)),
            "generalPractitioner": some(literal("Practitioner", "Organization")),
            "managingOrganization": literal("Organization"),
            "link": some(
                builds(lambda other: {"other": other, "type": "seealso"}, literal("Patient", "RelatedPerson"))
            ),
            "communication": some(builds(lambda found: {"language": found}, _concept)),
        },
    ),
    "RelatedPerson": (
        {"patient": literal("Patient")},
        _person
        | {
            "birthDate": mark(BIRTHDAYS),
            "relationship": some(_concept),
            "communication": some(builds(lambda found: {"language": found, "preferred": True}, _concept)),
        },
    ),
    "Group": (
        {"type": mark(("person", "practitioner")), "actual": flags},
        {
            "identifier": some(_identifier),
            "code": _concept,
            "managingEntity": literal("Organization", "Practitioner"),
            "characteristic": some(_characteristic),
            "member": some(builds(lambda entity: {"entity": entity}, literal("Patient", "Practitioner", "Group"))),
        },
    ),
    "Practitioner": ({}, _person | {"communication": some(_concept)}),
    "PractitionerRole": (
        {},
        {
            "identifier": some(_identifier),
            "organization": literal("Organization"),
            "healthcareService": some(literal("HealthcareService")),
            "endpoint": _endpoints,
            "specialty": some(_concept),
            "telecom": some(_contact),
            "practitioner": literal("Practitioner"),
            "location": some(literal("Location")),
            "code": some(_concept),
            "active": flags,
            "period": _period,
        },
    ),
    "Location": (
        {},
        {
            "name": mark(WORDS),
            "alias": some(mark(WORDS)),
            "identifier": some(_identifier),
            "status": mark(("active", "inactive")),
            "partOf": literal("Location"),
            "managingOrganization": literal("Organization"),
            "endpoint": _endpoints,
            "position": builds(lambda place: {"latitude": place[0], "longitude": place[1]}, mark(PLACES)),
            "type": some(_concept),
            "operationalStatus": _coding,
            "address": _address,
        },
    ),
    "Organization": (
        {"name": mark(WORDS)},
        {
            "identifier": some(_identifier),
            "active": flags,
            "type": some(_concept),
            "alias": some(mark(WORDS)),
            "address": some(_address),
            "partOf": literal("Organization"),
            "contact": some(builds(lambda purpose: {"purpose": purpose}, _concept)),
            "endpoint": _endpoints,
        },
    ),
    "HealthcareService": (
        {},
        {
            "identifier": some(_identifier),
            "active": flags,
            "providedBy": literal("Organization"),
            "category": some(_concept),
            "type": some(_concept),
            "specialty": some(_concept),
            "location": some(literal("Location")),
            "name": mark(WORDS),
            "coverageArea": some(literal("Location")),
            "program": some(_concept),
            "characteristic": some(_concept),
            "endpoint": _endpoints,
        },
    ),
}


def resource(kind: str) -> Gen:
    required, optional = _MEMBERS[kind]

    def build(content: Json, meta: Json) -> Json:
        if "deceasedDateTime" in content:
            content.pop("deceasedBoolean", None)
        found: Json = {"resourceType": kind} | content
        if '"#p1"' in str(found).replace("'", '"'):
            found["contained"] = [_contained_patient]
        return found | ({"meta": meta} if meta else {})

    return builds(build, members(required, optional), _meta)


_BY_KIND = {kind: resource(kind) for kind in KINDS}


IDENTS = [(kind, ident) for kind in KINDS for ident in IDS]


def world(seed: int, left_out: set[int]) -> list[Json]:
    """Up to three resources of each type, without those of `IDENTS` that are `left_out` by their number."""
    found = []
    for number, (kind, ident) in enumerate(IDENTS):
        chance = Random(f"{seed} {number}")
        if chance.random() < 0.85 and number not in left_out:
            found.append({**_BY_KIND[kind](chance), "id": ident})
    return found
