"""Single decisions of the mapping, each by an example."""

from __future__ import annotations

import pytest

from mappings import Systems, Vocabulary, appointment
from mappings.fields import CANCELLED_AT
from tests.mappings.lens import ABSENT, DOCUMENTED, OTHER, update, view
from tests.strategies import SYSTEMS, V2_0276, Json


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
