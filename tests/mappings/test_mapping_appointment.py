"""Single decisions of the mapping, each by an example."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from mappings import Systems, Vocabulary, appointment
from mappings.fields import CANCELLED_AT
from mappings.references import Asked
from tests.strategies import HL7_CANCELLATION, SYSTEMS, V2_0276, Json

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


def test_the_documented_example_makes_a_whole_FHIR_appointment() -> None:
    resource = appointment.update(appointment.blank(), DOCUMENTED)
    shown = appointment.view(resource)
    assert {name: value for name, value in shown.items() if value is not None} == DOCUMENTED
    assert (resource["priority"], resource["minutesDuration"]) == (5, 30)
    assert resource["appointmentType"] == {"coding": [{"system": V2_0276, "code": "ROUTINE"}]}
    for participant in resource["participant"]:
        assert {**participant, "actor": None} == {"actor": None, "required": "required", "status": "accepted"}
    assert resource["participant"][1]["actor"]["reference"] == "Practitioner/prov-abc-123"


def test_blank_is_new_each_time_and_leaves_no_empty_list() -> None:
    assert appointment.blank() is not appointment.blank()
    assert update(appointment.blank(), status="pending") == {"resourceType": "Appointment", "status": "pending"}


def test_of_what_is_not_said_a_new_appointment_has_nothing_but_the_first_status() -> None:
    nothing = dict.fromkeys(field.name for field in appointment.FIELDS)
    del nothing["status"]
    assert update(appointment.blank(), **nothing) == {"resourceType": "Appointment", "status": "proposed"}


def test_a_view_stays_what_it_was_when_another_is_taken() -> None:
    first = view({"comment": "one"})
    view({"patientInstruction": "another"})
    assert (first["notes"], first["patient_instruction"]) == ("one", None)


def test_a_stored_text_that_is_no_time_shows_as_null_and_the_rest_as_it_is() -> None:
    broken = "1-01-01T00:00:00Z"  # as releases wrote the first year
    resource = {
        "resourceType": "Appointment",
        "id": "a",
        "status": "cancelled",
        "start": broken,
        "end": broken,
        "minutesDuration": 20,
        "created": broken,
        "extension": [{"url": CANCELLED_AT, "valueDateTime": broken}],
    }
    found = view(resource)
    assert {name: found[name] for name in ("start_time", "end_time", "created_at", "cancelled_at")} == dict.fromkeys(
        ("start_time", "end_time", "created_at", "cancelled_at")
    )
    assert (found["id"], found["status"], found["duration_minutes"]) == ("a", "cancelled", 20)


class TestOfSeveralWhoIsAskedFor:
    GROUP: ClassVar[Json] = {
        "resourceType": "Appointment",
        "status": "booked",
        "contained": [
            {"resourceType": "Patient", "id": "in", "identifier": [{"system": SYSTEMS.uhid, "value": "UG000000003C"}]}
        ],
        "participant": [
            {"actor": {"reference": "Patient/1", "display": "One"}},
            {"type": [{"text": "somebody"}]},
            {"actor": {"reference": "Practitioner/1"}},
            {"actor": {"reference": "Practitioner/2", "display": "Dr. Two"}},
            {"actor": {"reference": "Location/1"}},
            {"actor": {"reference": "Location/2"}},
            {"actor": {"type": "Patient", "identifier": {"system": SYSTEMS.uhid, "value": "ug000000002b "}}},
            {"actor": {"reference": "#in"}},
            {"actor": {"reference": "Practitioner/2", "display": "again"}},
        ],
    }

    def seen(self, **wanted: Any) -> list[Any]:
        members = ("patient_uhid", "patient_name", "practitioner_id", "practitioner_name", "facility_id")
        shown = view(self.GROUP, asked=Asked(**wanted))
        return [shown[name] for name in members]

    def test_nobody(self) -> None:
        assert self.seen() == [None, "One", "1", None, "1"]

    def test_of_whom_nobody_asks_the_first_is_shown_though_another_has_no_id_or_uhid(self) -> None:
        first = {"type": "Patient", "identifier": {"system": SYSTEMS.uhid, "value": "A"}}
        actors = [first, *({"reference": f"{kind}/1"} for kind in ("Practitioner", "Location"))]
        actors += [{"type": kind, "display": "?"} for kind in ("Patient", "Practitioner", "Location")]
        visit = {"resourceType": "Appointment", "participant": [{"actor": actor} for actor in actors]}
        for asked in (Asked(practitioner="Practitioner/1"), Asked(facility="Location/1"), Asked(uhid="A")):
            seen = view(visit, asked=asked)
            assert (seen["patient_uhid"], seen["practitioner_id"], seen["facility_id"]) == ("A", "1", "1")

    def test_a_further_uhid_beside_a_reference_means_who_is_referred_to(self) -> None:
        visit = with_actor(reference="Patient/1", display="One")
        other = {"reference": "Patient/9", "display": "Nine", "identifier": {"system": SYSTEMS.uhid, "value": "B"}}
        visit["participant"].append({"actor": other})
        asked = Asked(uhid="A", further=frozenset({"B"}))
        assert view(visit, asked=asked)["patient_name"] == "One"
        del other["reference"]
        other["type"] = "Patient"
        assert view(visit, asked=asked)["patient_name"] == "Nine"

    def test_who_has_declined_only_where_there_is_no_other(self) -> None:
        def of(*answers: str) -> Any:
            people = [{"actor": {"reference": f"Practitioner/{n}"}, "status": one} for n, one in enumerate(answers)]
            return view({"resourceType": "Appointment", "status": "booked", "participant": people})["practitioner_id"]

        assert of("declined", "accepted", "tentative") == "1"
        assert of("declined", "declined") == "0"
        declined = [one | {"status": "declined"} if "actor" in one else one for one in self.GROUP["participant"][:4]]
        group = {**self.GROUP, "participant": [*declined, *self.GROUP["participant"][6:]]}
        assert view(group)["practitioner_name"] == "again"
        assert view(group, asked=Asked(practitioner="Practitioner/1"))["practitioner_id"] == "1"
        moved = update(group, practitioner_id="3")
        assert moved["participant"][:4] == declined
        assert view(moved)["practitioner_id"] == "3"

    def test_a_practitioner_with_an_id_before_one_without(self) -> None:
        unknown = {"type": "Practitioner", "display": "a locum"}
        everybody = [unknown, {"reference": "Practitioner/1"}, {"reference": "Practitioner/2"}]
        people = [{"actor": actor, "status": "accepted"} for actor in everybody]
        visit = {"resourceType": "Appointment", "status": "booked", "participant": people}
        assert view(visit)["practitioner_id"] == "1"
        moved = update(visit, practitioner_id="3")
        assert [one["actor"].get("reference") for one in moved["participant"]] == [
            None,
            "Practitioner/3",
            "Practitioner/2",
        ]
        assert view(moved)["practitioner_id"] == "3"
        alone = view({**visit, "participant": [people[0], people[1] | {"status": "declined"}]})
        assert (alone["practitioner_id"], alone["practitioner_name"]) == (None, "a locum")

    def test_where_none_has_an_id_and_of_patients_always_the_first(self) -> None:
        first = {"type": "Patient", "identifier": {"system": SYSTEMS.uhid, "value": "UG000000001A"}}
        locums = [{"type": "Practitioner", "display": name} for name in ("a locum", "another")]
        visit = with_actor(**first)
        visit["participant"] += [{"actor": actor} for actor in ({"reference": "Patient/2"}, *locums)]
        seen = view(visit)
        assert (seen["patient_uhid"], seen["practitioner_name"]) == ("UG000000001A", "a locum")

    def test_who_takes_the_place_of_who_declined_has_not(self) -> None:
        def named(kind: str) -> Json:
            return {"actor": {"reference": f"{kind}/1"}, "status": "declined"}

        everybody = [named(kind) for kind in ("Patient", "Practitioner", "Location")]
        declined = {"resourceType": "Appointment", "status": "booked", "participant": everybody}
        same = update(declined, practitioner_id="1", facility_id="1", practitioner_name="Dr. One")
        assert [one["status"] for one in same["participant"]] == ["declined"] * 3
        others = update(declined, practitioner_id="2", patient_uhid="UG000000009Z")
        assert [one["status"] for one in others["participant"]] == ["needs-action", "needs-action", "declined"]

    def test_practitioner_and_facility(self) -> None:
        assert self.seen(practitioner="Practitioner/2") == [None, "One", "2", "Dr. Two", "1"]
        assert self.seen(practitioner="Practitioner/3", facility="Location/2") == [None, "One", "1", None, "2"]

    def test_a_patient_by_the_uhid_that_is_stated_contained_or_known_from_elsewhere(self) -> None:
        assert self.seen(uhid="UG000000002B")[:2] == ["UG000000002B", None]
        assert self.seen(uhid="UG000000003C")[:2] == ["UG000000003C", None]
        assert self.seen(uhid="UG000000001A", patients=frozenset({"Patient/1"}))[:2] == ["UG000000001A", "One"]
        assert self.seen(uhid="UG000000009Z") == [None, "One", "1", None, "1"]
        assert view({"resourceType": "Appointment"}, asked=Asked("UG000000009Z"))["patient_uhid"] is None

    def test_a_uhid_that_is_none_of_the_patients_referred_to(self) -> None:
        theirs = [{"system": SYSTEMS.uhid, "value": value} for value in ("UG000000001A", "UG000000005E")]
        known = {"Patient/1": {"resourceType": "Patient", "identifier": theirs, "name": [{"text": "One"}]}}

        def shown(stated: str, asked: str | None = None) -> tuple[Any, Any]:
            identifier = {"system": SYSTEMS.uhid, "value": stated}
            resource = with_actor(reference="Patient/1", identifier=identifier, display="Once")
            names = {"Patient/1": "One"}
            found = view(resource, known=known, names=names, asked=None if asked is None else Asked(asked))
            return found["patient_uhid"], found["patient_name"]

        assert shown("UG000000001A") == ("UG000000001A", "One")
        assert shown("UG000000005E") == ("UG000000005E", "One")
        assert shown("UG000000002B") == ("UG000000001A", "One")
        assert shown("UG000000005E", "UG000000005E") == ("UG000000005E", "One")
        assert shown("UG000000002B", "UG000000002B") == ("UG000000002B", "Once")
        theirs.clear()  # who has none may be the one with that UHID
        assert shown("UG000000002B", "UG000000002B") == ("UG000000002B", "One")

    def test_who_is_referred_to(self) -> None:
        found = appointment.referred(self.GROUP, systems=SYSTEMS, asked=Asked(practitioner="Practitioner/2"))
        assert found == {
            "patient_name": "Patient/1",
            "practitioner_name": "Practitioner/2",
            "facility_name": "Location/1",
        }

    def test_of_whom_the_uhid_is_all_that_is_said(self) -> None:
        def said(resource: Json, **wanted: Any) -> str | None:
            return appointment.unlinked_uhid(resource, systems=SYSTEMS, asked=Asked(**wanted) if wanted else None)

        assert said(self.GROUP) is None
        assert said(self.GROUP, uhid="UG000000002B") == "UG000000002B"
        assert said(self.GROUP, uhid="UG000000001A", patients=frozenset({"Patient/1"})) is None
        assert said(self.GROUP, uhid="UG000000009Z", further=frozenset({"UG000000002B"})) == "UG000000002B"
        assert said(self.GROUP | {"participant": self.GROUP["participant"][1:7]}) == "UG000000002B"
        assert said(self.GROUP | {"participant": self.GROUP["participant"][:6]}) is None
        stated = {"type": "Patient", "identifier": {"system": SYSTEMS.uhid, "value": "A"}}
        assert said(with_actor(**stated)) == "A"
        referred = with_actor(**stated, reference="Patient/1")
        referred["participant"].append({"actor": {"type": "Practitioner", "display": "a locum"}})
        assert said(referred) is None
        assert said(with_actor(type="Practitioner", identifier={"system": SYSTEMS.uhid, "value": "A"})) is None
        assert said(with_actor(type="Patient", identifier={"system": "urn:x", "value": "A"})) is None
        assert said({"resourceType": "Appointment"}) is None


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "seen", "shown"),
        [("waitlist", "pending", True), ("entered-in-error", "entered-in-error", False), ("noshow", "noshow", True)],
    )
    def test_shown(self, status: str, seen: str, shown: bool) -> None:
        resource = {"status": status}
        assert view(resource)["status"] == seen
        assert appointment.shown(resource) is shown

    def test_absent_with_a_reason(self) -> None:
        resource = {"_status": {"extension": [ABSENT]}}
        assert view(resource)["status"] is None
        assert appointment.shown(resource)
        assert update(resource, status="booked") == {"status": "booked"}
        assert update({"status": "booked"}, status=None) == {}

    def test_one_that_mediloop_has_no_word_for_is_written_as_it_is_shown(self) -> None:
        assert update({"status": "booked"}, status="entered-in-error") == {"status": "entered-in-error"}

    def test_a_replaced_table_tells_what_is_written(self) -> None:
        element = {"code": "pending", "target": [{"code": "waitlist", "equivalence": "relatedto"}]}
        group = {"source": "urn:s", "target": "urn:t", "element": [element]}
        table = {"resourceType": "ConceptMap", "id": "mediloop-status-to-appointment", "group": [group]}
        vocabulary = Vocabulary.with_overrides([table])
        written = appointment.update({"status": "booked"}, {"status": "pending"}, vocabulary=vocabulary)
        assert written == {"status": "waitlist"}

    def test_waiting_ends_only_by_a_change(self) -> None:
        assert update({"status": "waitlist"}, status="pending") == {"status": "waitlist"}
        assert update({"status": "waitlist"}, status="booked") == {"status": "booked"}


class TestPrimitives:
    def test_a_change_keeps_extensions_but_not_the_reason_for_absence(self) -> None:
        resource = {"comment": "old", "_comment": {"extension": [OTHER, ABSENT]}, "_start": {"id": "s"}}
        assert update(resource, notes="new") == resource | {"comment": "new", "_comment": {"extension": [OTHER]}}
        assert update(resource, start_time="2024-01-20T10:00:00+03:00")["_start"] == {"id": "s"}

    def test_none_and_the_empty_text_remove(self) -> None:
        resource = {"comment": "old", "_comment": {"extension": [OTHER]}}
        assert update(resource, notes=None) == update(resource, notes="") == {}

    def test_the_same_moment_under_another_offset_is_no_change(self) -> None:
        resource = {"start": "2024-01-20T13:00:00.100+03:00"}
        assert update(resource, start_time="2024-01-20T11:00:00.100+01:00") == resource
        assert update(resource, start_time="2024-01-20T11:00:00+01:00")["start"] == "2024-01-20T11:00:00+01:00"

    def test_a_bad_time_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'tomorrow' is not a point in time"):
            update({}, start_time="tomorrow")

    @pytest.mark.parametrize(("stored", "shown"), [(None, 5), (0, 5), (1, 1), (10, 10), (11, 10), (99, 10)])
    def test_priority(self, stored: int | None, shown: int) -> None:
        resource = {} if stored is None else {"priority": stored}
        assert view(resource)["priority"] == shown
        assert update(resource, priority=shown) == resource
        assert update(resource, priority=7)["priority"] == 7

    def test_duration(self) -> None:
        times = {"start": "2024-01-20T10:00:00Z", "end": "2024-01-20T13:45:00+03:00"}
        assert view(times)["duration_minutes"] == 45
        assert view(times | {"minutesDuration": 20})["duration_minutes"] == 20
        for part in ({}, {"start": times["start"]}, {"end": times["end"]}):
            assert view(part)["duration_minutes"] is None
            assert view(part | {"minutesDuration": 20})["duration_minutes"] == 20
        moved = update(times, end_time="2024-01-20T11:30:00Z", duration_minutes=45)
        assert moved["minutesDuration"] == 45  # 90 by the clock, so it has to be stated
        longer = update(times, end_time="2024-01-20T11:30:00Z", duration_minutes=90)
        assert "minutesDuration" not in longer  # by the clock it is told already

    @pytest.mark.parametrize(
        ("start", "end", "shown"),
        [
            ("2024-01-20T11:00:00Z", "2024-01-20T11:10:00Z", 10),
            ("2024-01-20T11:00:00Z", "2024-01-20T11:10:59Z", 10),
            ("2024-01-20T11:00:00Z", "2024-01-20T11:00:30Z", 1),
            ("2024-01-20T11:00:00Z", "2024-01-20T11:20:00Z", 20),
            ("2024-01-20T11:00:00Z", "2024-01-20T12:20:00Z", 20),
            ("2024-01-20T11:00:00Z", "2024-01-20T11:00:00Z", 20),  # no time at all, which tells nothing
            ("9999-12-31T23:00:00-05:00", "9999-12-31T23:15:00-05:00", 15),
            ("9999-12-31T23:00:00-05:00", "9999-12-31T23:00:30-05:00", 1),
        ],
    )
    def test_a_stated_duration_is_shown_unless_the_time_is_shorter(self, start: str, end: str, shown: int) -> None:
        resource = {"start": start, "end": end, "minutesDuration": 20}
        assert view(resource)["duration_minutes"] == shown
        assert update(resource, duration_minutes=shown) == resource

    @pytest.mark.parametrize(
        ("end", "shown"),
        [
            ("2024-01-20T11:00:00.5Z", 1),
            ("2024-01-20T11:00:59Z", 1),
            ("2024-01-20T14:00:59+03:00", 1),
            ("2024-01-20T11:01:59Z", 1),
            ("2024-01-20T11:02:00Z", 2),
            ("2024-01-20T11:00:00Z", None),  # a proposal may be so: it tells no length
        ],
    )
    def test_a_time_that_no_duration_is_stated_for_has_its_whole_minutes_at_least_one(
        self, end: str, shown: int | None
    ) -> None:
        resource = {"start": "2024-01-20T11:00:00Z", "end": end}
        assert view(resource)["duration_minutes"] == shown
        assert update(resource, duration_minutes=shown) == resource

    def test_a_duration_that_the_time_outgrew_is_stated_anew_with_another_time(self) -> None:
        stale = {"start": "2024-01-20T11:00:00Z", "end": "2024-01-20T11:10:00Z", "minutesDuration": 20}
        later = {"start_time": "2024-01-20T12:00:00Z", "end_time": "2024-01-20T12:10:00Z"}
        assert update(stale, **later, duration_minutes=10)["minutesDuration"] == 10
        assert update(stale, **later)["minutesDuration"] == 20
        for one in ({"start_time": "2024-01-20T10:55:00Z"}, {"end_time": "2024-01-20T11:15:00Z"}):
            assert update(stale, **one, duration_minutes=15)["minutesDuration"] == 15
        assert update(stale | {"end": "2024-01-20T11:20:00Z"}, **later, duration_minutes=10)["minutesDuration"] == 10


class TestNumber:
    def test_the_first_in_the_system_counts(self) -> None:
        foreign = {"system": "urn:visit", "value": "9"}
        valueless = {"system": SYSTEMS.appointment_number, "use": "old"}
        resource = {"identifier": [foreign, valueless, {"system": SYSTEMS.appointment_number, "value": "APT-1"}]}
        assert view(resource)["appointment_number"] == "APT-1"
        assert update(resource, appointment_number="APT-2")["identifier"][1] == valueless | {"value": "APT-2"}
        assert update(resource, appointment_number=None)["identifier"] == [foreign, valueless]
        new = {"system": SYSTEMS.appointment_number, "value": "A"}
        assert update({"identifier": [foreign]}, appointment_number="A")["identifier"] == [foreign, new]


class TestCodes:
    def test_our_coding_then_any_then_the_text(self) -> None:
        ours, foreign = {"system": SYSTEMS.service_type, "code": "a"}, {"system": "urn:x", "code": "b"}
        assert view({"serviceType": [{"coding": [foreign, ours]}]})["service_type_code"] == "a"
        codeless = [{"system": SYSTEMS.service_type, "display": "?"}, {"display": "?"}]
        more = {"system": "urn:y", "code": "c"}
        assert view({"serviceType": [{"coding": [*codeless, foreign, more]}]})["service_type_code"] == "b"
        assert view({"serviceType": [{"text": "c"}]})["service_type_code"] == "c"

    def test_a_code_may_have_words(self) -> None:
        coding = [{"system": SYSTEMS.specialty, "code": "two or more words"}]
        assert update({}, specialty_code="two or more words")["specialty"] == [{"coding": coding}]

    @pytest.mark.parametrize("text", ["  padded text ", "two  blanks", "two\nlines"])
    def test_a_text_that_is_no_code_is_written_as_a_text(self, text: str) -> None:
        assert update({}, specialty_code=text)["specialty"] == [{"text": text}]
        further = {"coding": [{"code": "b"}]}
        before = {"serviceType": [{"coding": [{"code": "a"}], "extension": [OTHER]}, further]}
        written = update(before, service_type_code=text)
        assert written["serviceType"] == [{"text": text, "extension": [OTHER]}, further]
        assert view(written)["service_type_code"] == text

    def test_a_change_drops_translations_and_text(self) -> None:
        concept = {"coding": [{"system": "urn:x", "code": "b"}], "text": "t", "_text": {"id": "i"}}
        resource = {"specialty": [concept | {"extension": [OTHER]}, {"text": "second"}]}
        assert update(resource, specialty_code="s")["specialty"] == [
            {"extension": [OTHER], "coding": [{"system": SYSTEMS.specialty, "code": "s"}]},
            {"text": "second"},
        ]
        assert update(resource, specialty_code=None)["specialty"] == [{"extension": [OTHER]}, {"text": "second"}]
        assert update({"specialty": [{"text": "a"}, {"text": "b"}]}, specialty_code=None) == {}
        assert update({"specialty": [{"id": "i", "text": "a"}]}, specialty_code=None) == {}  # an id alone says nothing

    @pytest.mark.parametrize(
        ("concept", "shown"),
        [
            ({"coding": [{"system": "http://hl7.org/fhir/v2/0276", "code": "WALKIN"}]}, "WALKIN"),
            (
                {
                    "coding": [
                        {"system": "http://hl7.org/fhir/v2/0276", "code": "WALKIN"},
                        {"system": V2_0276, "display": "no code"},
                        {"system": V2_0276, "code": "CHECKUP"},
                    ]
                },
                "CHECKUP",
            ),
            ({"coding": [{"system": "urn:x", "code": "ROUTINE"}]}, None),
            ({"text": "walk-in"}, None),
            (None, "ROUTINE"),
        ],
    )
    def test_appointment_type(self, concept: Json | None, shown: str | None) -> None:
        resource = {} if concept is None else {"appointmentType": concept}
        assert view(resource)["appointment_type_code"] == shown
        written = update(resource, appointment_type_code="EMERGENCY")
        assert written["appointmentType"] == {"coding": [{"system": V2_0276, "code": "EMERGENCY"}]}

    def test_appointment_type_removed(self) -> None:
        coded = {"coding": [{"system": V2_0276, "code": "WALKIN"}]}
        assert update({"appointmentType": coded}, appointment_type_code=None) == {}
        kept = update({"appointmentType": coded | {"extension": [OTHER]}}, appointment_type_code=None)
        assert kept == {"appointmentType": {"extension": [OTHER]}}

    def test_reason(self) -> None:
        coding = [{"code": "1"}, {"code": "2", "display": "Cough"}]
        resource = {"reasonCode": [{"coding": coding}]}
        assert view(resource)["reason_text"] == "Cough"
        assert update(resource, reason_text="Fever")["reasonCode"] == [{"coding": coding, "text": "Fever"}]
        assert update(resource, reason_text=None) == {}
        assert update({}, reason_text="Fever") == {"reasonCode": [{"text": "Fever"}]}


class TestExtensions:
    def test_our_own_and_the_standard_one(self) -> None:
        systems = Systems.under("https://hospital.example/fhir")
        members = {"cancelled_at": "2024-01-18T14:00:00Z", "reschedule_reason": "late", "arrived_at": None}
        resource = appointment.update({"status": "cancelled"}, members, systems=systems)
        assert [extension["url"] for extension in resource["extension"]] == [
            CANCELLED_AT,
            "https://hospital.example/fhir/StructureDefinition/appointment-reschedule-reason",
        ]
        shown = appointment.view(resource, systems=systems)
        assert {name: shown[name] for name in members} == members

    def test_the_first_counts_keeps_its_id_and_all_go(self) -> None:
        first = {"url": CANCELLED_AT, "id": "i", "valueDateTime": "2024-01"}
        resource = {"extension": [OTHER, first, {"url": CANCELLED_AT, "valueDateTime": "2025"}]}
        assert view(resource)["cancelled_at"] == "2024-01-01T00:00:00Z"
        changed = update(resource, cancelled_at="2024-02-01T00:00:00Z")
        assert changed["extension"][1] == first | {"valueDateTime": "2024-02-01T00:00:00Z"}
        assert changed["extension"][2] == resource["extension"][2]
        assert update(resource, cancelled_at=None) == {"extension": [OTHER]}

    def test_what_extends_the_moment_stays_when_it_changes_and_another_value_goes(self) -> None:
        url = f"{SYSTEMS.extensions}/appointment-rescheduled-at"
        there = {"url": url, "valueDateTime": "2024", "_valueDateTime": {"id": "v", "extension": [OTHER, ABSENT]}}
        written = {
            **there,
            "valueDateTime": "2024-02-01T00:00:00Z",
            "_valueDateTime": {"id": "v", "extension": [OTHER]},
        }
        assert update({"extension": [there]}, rescheduled_at="2024-02-01T00:00:00Z") == {"extension": [written]}
        for other in ({"valueString": "soon", "_valueString": {"id": "s"}}, {"extension": [OTHER]}):
            changed = update({"extension": [{"id": "x", "url": url} | other]}, rescheduled_at="2024-02-01T00:00:00Z")
            assert changed == {"extension": [{"id": "x", "url": url, "valueDateTime": "2024-02-01T00:00:00Z"}]}


class TestCancellation:
    def cancelled(self, *codings: tuple[str, str], **members: Any) -> Json:
        coding = [{"system": system, "code": code} for system, code in codings]
        return {"status": "cancelled", "cancelationReason": {"coding": coding, **members}}

    @pytest.mark.parametrize(
        ("codings", "text", "shown"),
        [
            ([(HL7_CANCELLATION, "pat-mv"), (SYSTEMS.cancellation_reason, "x-new")], None, ("x-new", None)),
            (
                [("urn:x", "q"), (HL7_CANCELLATION, "pat-mv"), (HL7_CANCELLATION, "prov")],
                None,
                ("patient-request", None),
            ),
            ([(HL7_CANCELLATION, "pat-dec")], None, ("pat-dec", "Patient: Deceased")),
            ([(HL7_CANCELLATION, "pat-dec")], "so sad", ("pat-dec", "so sad")),
            ([(HL7_CANCELLATION, "oth-weath")], None, ("oth-weath", "Other: Weather")),
            ([("urn:x", ""), ("urn:x", "q"), ("urn:y", "r")], "t", ("q", "t")),
            ([(SYSTEMS.cancellation_reason, ""), (HL7_CANCELLATION, ""), ("urn:x", "q")], "t", ("q", "t")),
        ],
    )
    def test_shown(self, codings: list[tuple[str, str]], text: str | None, shown: tuple[str, str | None]) -> None:
        resource = self.cancelled(*codings, **({"text": text} if text else {}))
        seen = view(resource)
        assert (seen["cancellation_reason_code"], seen["cancellation_reason_text"]) == shown

    def test_a_code_that_hl7_has_got_since_brings_its_own_display(self) -> None:
        new = {"system": HL7_CANCELLATION, "code": "oth-flood", "display": "Other: Flood"}
        seen = view({"cancelationReason": {"coding": [new]}})
        assert (seen["cancellation_reason_code"], seen["cancellation_reason_text"]) == ("oth-flood", "Other: Flood")

    @pytest.mark.parametrize(
        ("code", "hl7"), [("patient-request", "pat"), ("pat-dec", "pat-dec"), ("prov", "prov"), ("x-new", "other")]
    )
    def test_written(self, code: str, hl7: str) -> None:
        written = update({"status": "cancelled"}, cancellation_reason_code=code, cancellation_reason_text="why")
        assert written == self.cancelled((SYSTEMS.cancellation_reason, code), (HL7_CANCELLATION, hl7), text="why")

    def test_removed(self) -> None:
        resource = self.cancelled((HL7_CANCELLATION, "pat"), text="why", extension=[OTHER])
        assert update(resource, cancellation_reason_code=None)["cancelationReason"] == {"extension": [OTHER]}
        bare = self.cancelled((HL7_CANCELLATION, "pat"))
        assert update(bare, cancellation_reason_code=None) == {"status": "cancelled"}

    def test_text_removed(self) -> None:
        assert update({"cancelationReason": {"text": "why"}}, cancellation_reason_text=None) == {}
        resource = self.cancelled((HL7_CANCELLATION, "pat-dec"), text="why")
        without = update(resource, cancellation_reason_text=None)
        assert view(without)["cancellation_reason_text"] is None
        assert view(without)["cancellation_reason_code"] == "pat-dec"
        coded = self.cancelled((SYSTEMS.cancellation_reason, "x"), text="why")
        assert update(coded, cancellation_reason_text=None) == self.cancelled((SYSTEMS.cancellation_reason, "x"))


class TestParties:
    def test_another_patient_replaces_what_named_the_former(self) -> None:
        resource = with_actor(reference="Patient/1", display="A", extension=[OTHER], _display={"id": "d"})
        actor = update(resource, patient_uhid=" ug987654321b ")["participant"][0]["actor"]
        assert actor.pop("identifier")["value"] == "UG987654321B"
        assert actor == {"type": "Patient", "extension": [OTHER]}

    def test_the_same_uhid_in_another_spelling_is_no_change(self) -> None:
        resource = with_actor(identifier={"system": SYSTEMS.uhid_aliases[0], "value": "ug123456789a "})
        assert view(resource)["patient_uhid"] == "UG123456789A"
        assert update(resource, patient_uhid="UG123456789A") == resource

    def test_without_uhid_a_patient_remains(self) -> None:
        resource = with_actor(identifier={"system": SYSTEMS.uhid, "value": "UG123456789A"})
        assert update(resource, patient_uhid=None)["participant"] == [{"actor": {"type": "Patient"}}]
        valueless = with_actor(identifier={"system": SYSTEMS.uhid})
        assert view(valueless)["patient_uhid"] is None

    def test_a_new_patient_who_is_known_is_referred_to(self) -> None:
        identifier = [{"system": SYSTEMS.uhid_aliases[0], "value": "ug123456789a"}]
        known = {
            "Practitioner/1": {"resourceType": "Practitioner", "identifier": identifier},
            "Patient/1": {"resourceType": "Patient", "identifier": [{"system": SYSTEMS.uhid, "value": "other"}]},
            "Patient/7": {"resourceType": "Patient", "identifier": identifier, "name": [{"text": "John"}]},
        }
        changes = {"patient_uhid": " ug123456789a"}
        resource = appointment.update(appointment.blank(), changes, systems=SYSTEMS, known=known)
        assert resource["participant"][0]["actor"]["reference"] == "Patient/7"
        assert view(resource, known=known)["patient_name"] == "John"

    def test_a_new_patient_whose_uhid_two_carry_is_neither_of_them(self) -> None:
        identifier = [{"system": SYSTEMS.uhid, "value": "UG123456789A"}]
        known = {f"Patient/{n}": {"resourceType": "Patient", "identifier": identifier} for n in (1, 2)}
        changes = {"patient_uhid": "UG123456789A"}
        resource = appointment.update(appointment.blank(), changes, systems=SYSTEMS, known=known)
        assert "reference" not in resource["participant"][0]["actor"]
        assert view(resource)["patient_uhid"] == "UG123456789A"

    def test_known_resources_fill_in(self) -> None:
        resource = with_actor(reference="Patient/1/_history/4")
        assert appointment.referred(resource) == {"patient_name": "Patient/1"}
        patient = {
            "resourceType": "Patient",
            "name": [
                {"use": "old", "text": "Once"},
                {"use": "official", "family": "Nakato", "given": [None, "Amina"], "prefix": ["Ms"]},
            ],
            "identifier": [{"system": SYSTEMS.uhid_aliases[0], "value": "B"}, {"system": SYSTEMS.uhid, "value": "a"}],
        }
        seen = view(resource, known={"Patient/1": patient})
        assert (seen["patient_uhid"], seen["patient_name"]) == ("A", "Ms Amina Nakato")
        nameless = {"resourceType": "Patient", "name": [{"use": "usual"}]}
        assert view(resource, known={"Patient/1": nameless})["patient_name"] is None

    def test_present_names_go_before_those_stated_where_there_are_any(self) -> None:
        resource = with_actor(reference="Patient/1", display="Once")
        resource["participant"].append({"actor": {"reference": "Location/1", "display": "Ward"}})
        seen = view(resource, names={"Patient/1": "Now"})
        assert (seen["patient_name"], seen["facility_name"]) == ("Now", "Ward")

    @pytest.mark.parametrize(
        "actor", [{"display": "?"}, {"display": "?", "identifier": {"system": "urn:example:mrn", "value": "7"}}]
    )
    def test_of_whom_nothing_says_what_they_are_nobody_takes_for_the_patient(self, actor: Json) -> None:
        seen = view(with_actor(**actor))
        assert [seen[name] for name in ("patient_name", "practitioner_name", "facility_name")] == [None] * 3

    def test_who_is_referred_to_on_this_server(self) -> None:
        assert appointment.referred(appointment.update(appointment.blank(), DOCUMENTED)) == {
            "practitioner_name": "Practitioner/prov-abc-123",
            "facility_name": "Location/fac-xyz-789",
        }
        assert appointment.referred(with_actor(reference="https://else.example/fhir/Location/1")) == {}
        assert appointment.referred(with_actor(reference="Patient/1", display="A")) == {"patient_name": "Patient/1"}

    @pytest.mark.parametrize(
        ("reference", "identity"),
        [
            ("Location/a", "a"),
            ("https://x.example/r4/Location/a", "a"),
            ("Location/a/_history/2", "a"),
            ("https://x.example/Location/a/_history/2", "a"),
            ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", None),
        ],
    )
    def test_styles_of_reference(self, reference: str, identity: str | None) -> None:
        kind = "http://hl7.org/fhir/StructureDefinition/Location"
        seen = view(with_actor(reference=reference, type=kind, display="Ward"))
        assert (seen["facility_id"], seen["facility_name"]) == (identity, "Ward")

    def test_contained(self) -> None:
        inside = {"resourceType": "Location", "id": "l", "name": "Ward", "managingOrganization": {"reference": "#o"}}
        resource = with_actor(reference="#l") | {"contained": [inside, {"resourceType": "Organization", "id": "o"}]}
        assert view(resource)["facility_name"] == "Ward"
        moved = update(resource, facility_id="2")
        assert "contained" not in moved  # neither is referred to any more
        assert moved["participant"][0]["actor"] == {"reference": "Location/2"}
        resource["participant"].append({"actor": {"reference": "#l"}})
        assert update(resource, facility_id="2")["contained"] == resource["contained"]
        assert view(with_actor(reference="#gone"))["facility_name"] is None

    def test_a_contained_name_is_left_but_the_uhid_is_kept(self) -> None:
        inside = {
            "resourceType": "Patient",
            "id": "p",
            "name": [{"text": "A"}],
            "identifier": [{"system": SYSTEMS.uhid, "value": "UG123456789A"}],
        }
        seen = view(update(with_actor(reference="#p") | {"contained": [inside]}, patient_name=None))
        assert (seen["patient_uhid"], seen["patient_name"]) == ("UG123456789A", None)
        anonymous = {"resourceType": "Patient", "id": "p", "name": [{"text": "A"}]}
        without = update(with_actor(reference="#p") | {"contained": [anonymous]}, patient_name=None)
        assert without["participant"][0]["actor"] == {"type": "Patient"}

    def test_a_contained_practitioner_whose_name_is_left_does_not_get_the_uhid_of_the_patient(self) -> None:
        inside = {"resourceType": "Practitioner", "id": "p", "name": [{"text": "Dr. P"}]}
        patient = {"type": "Patient", "identifier": {"system": SYSTEMS.uhid, "value": "UG123456789A"}}
        resource = with_actor(reference="#p") | {"contained": [inside]}
        resource["participant"].append({"actor": patient})
        without = update(resource, practitioner_name=None)
        assert [one["actor"] for one in without["participant"]] == [{"type": "Practitioner"}, patient]

    def test_who_is_referred_to_stays_when_the_name_goes(self) -> None:
        named = with_actor(reference="Practitioner/p", display="Dr. P")
        assert update(named, practitioner_name=None) == with_actor(reference="Practitioner/p")

    def test_no_facility(self) -> None:
        resource = with_actor(reference="Location/1")
        resource["participant"] += [{"actor": {"reference": "Practitioner/1"}}, {"actor": {"reference": "Location/2"}}]
        assert update(resource, facility_id=None)["participant"] == [resource["participant"][1]]

    def test_a_place_that_no_id_was_shown_of_stays_and_one_that_is_only_named_takes_the_place_of_one_that_went(
        self,
    ) -> None:
        tent = {"actor": {"type": "Location", "display": "Tent"}, "required": "required", "status": "accepted"}
        resource = with_actor(reference="Location/1")
        assert update(resource, facility_id=None, facility_name="Tent")["participant"] == [tent]
        resource["participant"].append(tent)
        assert update(resource, facility_id=None)["participant"] == [tent]

    def test_a_name_alone_makes_a_participant(self) -> None:
        actor = update(appointment.blank(), practitioner_name="Dr. Okello")["participant"][0]["actor"]
        assert actor == {"type": "Practitioner", "display": "Dr. Okello"}
