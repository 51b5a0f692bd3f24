"""The lens laws, on any valid appointment."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mappings import appointment, slot
from mappings.instants import minutes_between, parse, to_utc
from mappings.references import identity, kind_of
from tests import strategies as ours
from tests.scale import examples
from tests.strategies import SYSTEMS, Json

quick = settings(deadline=None, max_examples=examples(120), suppress_health_check=list(HealthCheck))

PARTICIPANT = {"participant", "contained"}
TOUCHED = {
    "id": {"id"},
    "appointment_number": {"identifier"},
    "patient_uhid": PARTICIPANT,
    "patient_name": PARTICIPANT,
    "practitioner_id": PARTICIPANT,
    "practitioner_name": PARTICIPANT,
    "facility_id": PARTICIPANT,
    "facility_name": PARTICIPANT,
    "status": {"status", "_status"},
    "service_type_code": {"serviceType"},
    "specialty_code": {"specialty"},
    "appointment_type_code": {"appointmentType"},
    "start_time": {"start", "_start"},
    "end_time": {"end", "_end"},
    "duration_minutes": {"minutesDuration", "_minutesDuration"},
    "reason_text": {"reasonCode"},
    "priority": {"priority", "_priority"},
    "patient_instruction": {"patientInstruction", "_patientInstruction"},
    "notes": {"comment", "_comment"},
    "created_at": {"created", "_created"},
    "cancellation_reason_code": {"cancelationReason"},
    "cancellation_reason_text": {"cancelationReason"},
}


def without_empties(value: Any) -> bool:
    if isinstance(value, dict | list):
        members = value.values() if isinstance(value, dict) else value
        return len(value) > 0 and all(map(without_empties, members))
    return value is not None


def kinds(resource: Json) -> list[str | None]:
    return [kind_of(p["actor"], resource, SYSTEMS) if "actor" in p else None for p in resource["participant"]]


class TestGenerated:
    @given(st.one_of(ours.appointments(), ours.slots(), ours.schedules()))
    @quick
    def test_resources_have_the_shape_of_R4(self, resource: Json) -> None:
        get_fhir_model_class(resource["resourceType"]).model_validate(copy.deepcopy(resource))
        assert without_empties(resource)


class TestWhatIsShownChangesNothing:
    @given(ours.appointments())
    @quick
    def test_written_back(self, resource: Json) -> None:
        shown = appointment.view(resource, systems=SYSTEMS)
        assert appointment.update(resource, shown, systems=SYSTEMS) == resource

    @given(st.data(), ours.appointments())
    @quick
    def test_written_back_with_known_resources(self, data: st.DataObject, resource: Json) -> None:
        known = data.draw(ours.known_for(resource))
        shown = appointment.view(resource, systems=SYSTEMS, known=known)
        assert appointment.update(resource, shown, systems=SYSTEMS, known=known) == resource

    @given(ours.appointments())
    @quick
    def test_every_member_is_there_in_order(self, resource: Json) -> None:
        shown = appointment.view(resource, systems=SYSTEMS)
        assert list(shown) == [field.name for field in appointment.FIELDS]


def as_told(members: Json, resource: Json) -> Json:
    """Return what `members` are to show once they are written: a duration that the time has room for."""
    start, end, minutes = resource.get("start"), resource.get("end"), members.get("duration_minutes")
    if start is None or end is None or minutes is None or parse(end) <= parse(start):
        return members
    return members | {"duration_minutes": min(minutes, max(1, minutes_between(start, end)))}


class TestWhatIsWrittenIsShown:
    @given(ours.appointments(), ours.changes())
    @quick
    def test_on_the_members_written(self, resource: Json, members: Json) -> None:
        written = appointment.update(resource, members, systems=SYSTEMS)
        shown = appointment.view(written, systems=SYSTEMS)
        assert {name: shown[name] for name in members} == as_told(members, written)
        if shown["duration_minutes"] != appointment.view(resource, systems=SYSTEMS)["duration_minutes"]:
            assert members.keys() & {"start_time", "end_time", "duration_minutes"}

    @given(st.data(), ours.appointments(), ours.changes(null_names=False))
    @quick
    def test_with_known_resources(self, data: st.DataObject, resource: Json, members: Json) -> None:
        known = data.draw(ours.known_for(resource))
        written = appointment.update(resource, members, systems=SYSTEMS, known=known)
        shown = appointment.view(written, systems=SYSTEMS, known=known)
        assert {name: shown[name] for name in members} == as_told(members, written)

    @given(ours.mediloop_appointments())
    @quick
    def test_for_a_new_appointment(self, members: Json) -> None:
        resource = appointment.update(appointment.blank(), members)
        get_fhir_model_class("Appointment").model_validate(copy.deepcopy(resource))
        shown = appointment.view(resource)
        assert {name: shown[name] for name in members} == members
        assert {"priority", "minutesDuration", "appointmentType"} <= resource.keys()


class TestThereAndBackAgain:
    @given(ours.appointments())
    @quick
    def test_an_appointment_that_is_made_of_what_is_shown_shows_the_same(self, resource: Json) -> None:
        shown = appointment.view(resource, systems=SYSTEMS)
        made = appointment.update(appointment.blank(), shown, systems=SYSTEMS)
        if shown["appointment_type_code"] is None:  # types of other systems alone, for which there is no word
            shown["appointment_type_code"] = "ROUTINE"
        assert appointment.view(made, systems=SYSTEMS) == shown
        assert appointment.update(made, shown, systems=SYSTEMS) == made


class TestWhatIsNotWrittenStays:
    @given(ours.appointments(), ours.changes())
    @quick
    def test_the_input_is_not_changed(self, resource: Json, members: Json) -> None:
        before = json.dumps(resource)
        result = appointment.update(resource, members, systems=SYSTEMS)
        result.setdefault("extension", []).append("anything")
        result["participant"] = None
        assert json.dumps(resource) == before

    @given(ours.appointments(), ours.changes())
    @quick
    def test_the_result_is_valid_in_shape_and_has_nothing_empty(self, resource: Json, members: Json) -> None:
        members["patient_uhid"] = "UG123456789A"  # so that somebody takes part
        result = appointment.update(resource, members, systems=SYSTEMS)
        assert without_empties(result)
        get_fhir_model_class("Appointment").model_validate(copy.deepcopy(result))

    @given(ours.appointments(), ours.changes())
    @quick
    def test_other_elements(self, resource: Json, members: Json) -> None:
        result = appointment.update(resource, members, systems=SYSTEMS)
        touched = {"extension"}.union(*(TOUCHED.get(name, set()) for name in members))
        for name in (resource.keys() | result.keys()) - touched:
            assert result.get(name) == resource.get(name), name

    @given(ours.appointments(), ours.changes())
    @quick
    def test_foreign_extensions_on_every_level(self, resource: Json, members: Json) -> None:
        def foreign(element: Json) -> list[Json]:
            return [e for e in element.get("extension", ()) if e["url"].startswith("http://example.org/")]

        result = appointment.update(resource, members, systems=SYSTEMS)
        assert foreign(result) == foreign(resource)
        for name in ("serviceType", "specialty", "reasonCode"):
            before = [foreign(concept) for concept in resource.get(name, ()) if foreign(concept)]
            after = [foreign(concept) for concept in result.get(name, ()) if foreign(concept)]
            assert before == after
        for name in ("appointmentType", "cancelationReason"):
            assert foreign(result.get(name, {})) == foreign(resource.get(name, {}))

    @given(ours.appointments(), ours.changes())
    @quick
    def test_further_items_of_lists(self, resource: Json, members: Json) -> None:
        members = {name: value for name, value in members.items() if value is not None}
        result = appointment.update(resource, members, systems=SYSTEMS)
        for name in ("serviceType", "specialty", "reasonCode"):
            assert result.get(name, [])[1:] == resource.get(name, [])[1:]
        number = SYSTEMS.appointment_number
        assert [i for i in result.get("identifier", ()) if i["system"] != number] == [
            i for i in resource.get("identifier", ()) if i["system"] != number
        ]

    @given(ours.appointments(), ours.changes())
    @quick
    def test_further_participants(self, resource: Json, members: Json) -> None:
        members = {name: value for name, value in members.items() if value is not None}
        result = appointment.update(resource, members, systems=SYSTEMS)
        before = kinds(resource)

        def later(place: int) -> tuple[bool, bool]:
            # Who has declined is shown where there is no other, and so is a practitioner whom nobody can ask for.
            one = resource["participant"][place]
            unknown = before[place] == "Practitioner" and identity(one.get("actor", {})) is None
            return one["status"] == "declined", unknown

        order = sorted(range(len(before)), key=later)
        shown = {kind: place for place in reversed(order) if (kind := before[place]) is not None}
        assert len(result["participant"]) >= len(before)
        for place, kind in enumerate(before):
            old, new = resource["participant"][place], result["participant"][place]
            if kind not in {"Patient", "Practitioner", "Location"} or shown[kind] != place:
                assert new == old
            else:
                assert {**new, "actor": None, "status": None} == {**old, "actor": None, "status": None}
                # Whoever takes the place of who declined has not been asked.
                assert new["status"] == old["status"] or (old["status"], new["status"]) == ("declined", "needs-action")
                assert new["actor"].get("extension") == old["actor"].get("extension")

    @given(ours.appointments(), ours.changes())
    @quick
    def test_no_contained_resource_is_orphaned(self, resource: Json, members: Json) -> None:
        result = appointment.update(resource, members, systems=SYSTEMS)
        text = json.dumps(result.get("participant", []))
        for inside in result.get("contained", ()):
            assert f'"#{inside["id"]}"' in text


class TestSlot:
    @given(st.data(), ours.slots(), ours.schedules())
    @quick
    def test_a_view_changes_nothing(self, data: st.DataObject, resource: Json, schedule: Json) -> None:
        before = copy.deepcopy((resource, schedule))
        shown = slot.view(resource, schedule, known=data.draw(ours.known_for(schedule)))
        assert (resource, schedule) == before
        assert (shown["id"], shown["status"]) == (resource.get("id"), resource.get("status"))
        assert {name: to_utc(resource[name]) for name in ("start", "end") if name in resource} == {
            name: shown[f"{name}_time"] for name in ("start", "end") if name in resource
        }


@pytest.mark.parametrize("members", [{"status": "booked", "slot_id": "x"}, {"patient": "y"}])
def test_a_member_that_is_none_is_refused(members: Json) -> None:
    with pytest.raises(ValueError, match=r"has no member (slot_id|patient)"):
        appointment.update(appointment.blank(), members)
