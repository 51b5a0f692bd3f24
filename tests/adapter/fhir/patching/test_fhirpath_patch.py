"""FHIRPath Patch: its rules, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapter.fhir.patching import Patch, apply
from adapter.fhir.patching.values import Budget
from store.codec import ExactDecimal, Resource, decode, encode
from tests.adapter.fhir.patching.fhirpath import (
    DIV,
    LISTED,
    THIRD,
    change,
    malformed,
    numbered,
    operation,
    parameters,
    patient,
    refusal,
)

APPOINTMENT: Resource = {
    "resourceType": "Appointment",
    "id": "a1",
    "meta": {"versionId": "3", "lastUpdated": "2024-01-15T10:00:00.000Z"},
    "contained": [{"resourceType": "Patient", "id": "in", "active": True}],
    "extension": [{"url": "urn:dose", "valueDecimal": ExactDecimal("1.10")}, {"url": "urn:note", "valueString": "x"}],
    "status": "booked",
    "priority": 5,
    "participant": [
        {"actor": {"reference": "Patient/1"}, "required": "required", "status": "needs-action"},
        {"actor": {"reference": "Practitioner/d", "display": "Dr Sarah Chen"}, "status": "accepted"},
        {"type": [{"text": "room"}], "status": "tentative"},
    ],
}
ACCEPTED = {"valueCode": "accepted"}
WHOLE = operation("delete", "Appointment.status")["part"]


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "Appointment.participant[0].status",
            "participant[0].status",
            "where(status = 'booked').participant[0].status",
            "where(priority ~ 5).participant[0].status",
            "Appointment.participant.where(status = 'needs-action' or status = 'none').status",
            "Appointment.participant.where(actor.ofType(Reference).reference = 'Patient/1').status",
            "Appointment.participant.where(required != 'optional').status",
            "Appointment.participant.where('optional' != required).status",
            "Appointment.participant.where(type !~ required and status = 'needs-action').status",
            "Resource.participant[0].status",
            "Appointment.participant.first().status",
            "Appointment . participant [ 0 ] . status",
            "Appointment.participant.where(actor.reference = 'Patient/1').status",
            "Appointment.participant.where('Patient/1' = actor.reference).status",
            "Appointment.participant.where(actor.reference='Patient/1' and status='needs-action').status",
            "Appointment.participant.where(actor.where(reference = 'Patient/1').exists()).status",
            "Appointment.participant.where(actor.exists(reference = 'Patient/1')).status",
            "Appointment.participant.where(required.exists()).status",
            "Appointment.participant.where(required.empty().not()).status",
            "Appointment.participant.where(status != 'accepted' and type.empty()).status",
            "Appointment.participant.where(actor.reference.startsWith('Patient/')).status",
            "Appointment.participant.where(actor.reference.endsWith('/1')).status",
            "Appointment.participant.where(actor.reference.contains('ient/')).status",
            "Appointment.participant.where(status ~ 'NEEDS-Action').status",
            "Appointment.participant.where((status = 'x' or status = 'needs-action')).status",
            "Appointment.participant.where(actor = actor and required = 'required').status",
            "Appointment.participant.status.where($this = 'needs-action')",
            "Appointment.participant.take(1).single().status",
            "Appointment.`participant`[0].`status`",
            "Appointment.participant.status[0]",
        ],
    )
    def test_a_participants_status(self, path: str) -> None:
        after = change(APPOINTMENT, operation("replace", path, value=ACCEPTED))
        assert [one["status"] for one in after["participant"]] == ["accepted", "accepted", "tentative"]

    @pytest.mark.parametrize(
        "path",
        [
            "Appointment.participant.last().status",
            "Appointment.participant.tail().last().status",
            "Appointment.participant.skip(2).status",
            "Appointment.participant.where(type.text = 'room').status",
            "Appointment.participant.where(actor.exists().not()).status",
            "Appointment.participant.where(status !~ 'accepted' and required.empty()).status",
            "Appointment.participant.where(type.text = 'r\\u006Fom').status",
        ],
    )
    def test_another_participants_status(self, path: str) -> None:
        after = change(APPOINTMENT, operation("replace", path, value=ACCEPTED))
        assert [one["status"] for one in after["participant"]] == ["needs-action", "accepted", "accepted"]

    @pytest.mark.parametrize(
        "path",
        [
            "Appointment.extension('urn:dose').value",
            "Appointment.extension.where(url = 'urn:dose').value",
            "Appointment.extension.value.ofType(decimal)",
            "Appointment.extension.value.ofType(FHIR.decimal)",
            "Appointment.extension.value.as(decimal)",
            "Appointment.extension.value.where($this = 1.1)",
            "Appointment.extension[0].valueDecimal",
        ],
    )
    def test_an_extensions_value(self, path: str) -> None:
        after = change(APPOINTMENT, operation("replace", path, value={"valueDecimal": ExactDecimal("2.50")}))
        assert b'{"url":"urn:dose","valueDecimal":2.50}' in encode(after)

    def test_types_of_elements_and_resources(self) -> None:
        assert "priority" not in change(APPOINTMENT, operation("delete", "Appointment.priority.ofType(unsignedInt)"))
        assert change(APPOINTMENT, operation("delete", "Appointment.contained.ofType(Patient).active")).get("contained")
        assert change(APPOINTMENT, operation("delete", "Appointment.contained.ofType(Slot)")) == APPOINTMENT

    def test_into_a_contained_resource(self) -> None:
        after = change(
            APPOINTMENT, operation("replace", "Appointment.contained[0].active", value={"valueBoolean": False})
        )
        assert after["contained"] == [{"resourceType": "Patient", "id": "in", "active": False}]

    def test_into_what_is_not_known_or_not_there(self) -> None:
        strange = APPOINTMENT | {"contained": [{"resourceType": "Nothing", "id": "in"}]}
        assert "R4 does not have" in str(refusal(strange, operation("delete", "Appointment.contained.name")))
        assert change(patient(birthDate="1990"), operation("delete", "Patient.birthDate.extension")) == patient(
            birthDate="1990"
        )

    def test_several_elements_are_too_many(self) -> None:
        for kind in ("replace", "delete"):
            value = {"value": ACCEPTED} if kind == "replace" else {}
            refused = refusal(APPOINTMENT, operation(kind, "Appointment.participant.status", **value))
            assert "There are 3 elements" in str(refused)

    @pytest.mark.parametrize(
        ("path", "place"),
        [("Appointment.participant", "Appointment.participant"), ("participant", "Appointment")],
    )
    def test_a_refusal_names_an_element_also_where_the_path_does_not_begin_with_the_type(
        self, path: str, place: str
    ) -> None:
        """What begins with a small letter is the name of a parameter of the request, elsewhere."""
        assert refusal(APPOINTMENT, operation("delete", path)).problems[0].param == place

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("Appointment.subject", "Appointment has no element subject"),
            ("Appointment.participant[0].actor.referenc", "Reference has no element referenc"),
            ("Patient.name", "starts with Patient"),
            ("Appointment.status.foo", "Element has no element foo"),
            ("Appointment._status", "Appointment has no element _status"),
            ("Appointment.participant.exists()", "to a value"),
            ("Appointment.participant.exists().status", "has no status"),
            ("Appointment.participant.single().status", "several"),
            ("Appointment.participant.where($this.status).where(type = 1 or extension)", None),
            ("Appointment.participant[3]", None),
            ("Appointment.status[1]", None),
            ("Appointment.participant.where(status = 'TENTATIVE')", None),
            ("Appointment.participant.where(period.not())", None),
            ("Appointment.participant.where(actor.reference.startsWith('1'))", None),
            ("Appointment.participant.where(actor.reference.endsWith('Patient'))", None),
            ("Appointment.where(priority.startsWith('5')).status", None),
            ("Appointment.participant.exists().ofType(boolean)", None),
            ("Appointment.where(participant.status)", "several values"),
            ("Appointment.extension(url)", "takes a text"),
            ("Appointment.participant.take('1')", "a number"),
            ("Appointment.ofType('x')", "name of a type"),
        ],
    )
    def test_what_leads_nowhere(self, path: str, text: str | None) -> None:
        if text is None:
            assert change(APPOINTMENT, operation("delete", path)) == APPOINTMENT
        else:
            assert text in str(refusal(APPOINTMENT, operation("delete", path)))

    @pytest.mark.parametrize(
        ("path", "named"),
        [
            ("Appointment.participant.where(actor.resolve() is Patient).status", "resolve()"),
            ("Appointment.participant.select(status)", "select()"),
            ("Appointment.descendants()", "descendants()"),
            ("Appointment.priority + 1", "+"),
            ("Appointment.status | Appointment.start", "|"),
            ("(Appointment.status)", "("),
            ("%resource.status", "%resource"),
            ("$this.status", "$this"),
            ("Appointment.participant.where($index = 0)", "$index"),
            ("Appointment.participant.where(actor is Reference)", "is"),
            ("Appointment.participant[1.5]", "1.5"),
            ("Appointment.participant['a']", "'a'"),
            ("'text'", "'text'"),
            ("Appointment.'text'", "'text'"),
            ("Appointment.participant.first(1)", "1"),
        ],
    )
    def test_what_is_not_supported_is_named(self, path: str, named: str) -> None:
        refused = malformed(parameters(operation("delete", path)))
        assert refused.problems[0].issue == "not-supported"
        assert refused.problems[0].param == "Parameters.parameter[0]"
        assert named in refused.problems[0].message

    @pytest.mark.parametrize(
        "path",
        [
            "Appointment.",
            "Appointment.participant[",
            "Appointment.participant.where(",
            "Appointment.participant.where(status = 'x",
            "Appointment.§",
            "Appointment.participant.where(status = )",
        ],
    )
    def test_what_cannot_be_read(self, path: str) -> None:
        assert malformed(parameters(operation("delete", path))).problems[0].code == "invalid_patch"

    def test_limits_of_a_path(self) -> None:
        assert "1000 characters" in str(malformed(parameters(operation("delete", "a" * 1_001))))
        nested = "Appointment.where" + "(" * 20 + "true" + ")" * 20
        assert "16 expressions" in str(malformed(parameters(operation("delete", nested))))
        many = patient(identifier=[{"value": str(number)} for number in range(1_000)])
        path = "Patient.identifier.where(value = 'x')"
        refused = refusal(many, *[operation("delete", path)] * 1_000)
        assert refused.problems[0].code == "patch_too_costly"
        assert "[n]" in refused.problems[0].message

    def test_a_member_of_the_largest_group_is_found_by_what_it_is(self) -> None:
        members = [{"entity": {"reference": f"Patient/p{number}"}} for number in range(50_000)]
        group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": members}
        path = "Group.member.where(entity.reference = 'Patient/p7' and inactive.empty())"
        after = change(group, operation("delete", path))
        assert after["member"] == members[:7] + members[8:]
        by_place = operation("replace", "Group.member[7].entity.reference", value={"valueString": "Patient/x"})
        assert change(group, *[by_place] * 1_000)["member"][7] == {"entity": {"reference": "Patient/x"}}
        refused = refusal(group, *[operation("move", "Group.member", source=0, destination=5)] * 60)
        assert refused.problems[0].code == "patch_too_costly"

    @pytest.mark.parametrize(
        ("one", "after"),
        [
            (operation("add", "Patient.name[0]", name="given", value={"valueString": "x"}), "abcx"),
            (operation("insert", "Patient.name[0].given", index=1, value={"valueString": "x"}), "axbc"),
            (operation("move", "Patient.name[0].given", source=2, destination=0), "cab"),
            (operation("replace", "Patient.name[0].given[1]", value={"valueString": "x"}), "axc"),
            (operation("delete", "Patient.name[0].given[1]"), "ac"),
        ],
    )
    @pytest.mark.parametrize("siblings", [[], [None, None, {"id": "of c"}]])
    def test_no_operation_goes_through_the_rest_of_its_list(
        self, one: Resource, after: str, siblings: list[Any]
    ) -> None:
        """A Group has 50,000 members, and a patch 1,000 operations."""
        given, beside = Untouched("abc"), Untouched(siblings)
        name = {"given": given} | ({"_given": beside} if siblings else {})
        [step] = Patch.read(parameters(one)).operations
        step.carry_out(patient(name=[name]), Budget({}))
        assert name["given"] is given
        assert "".join(given[place] for place in range(len(given))) == after
        if siblings:
            assert beside.index({"id": "of c"}) == after.index("c")
            assert len(beside) == len(given)


class Untouched(list[Any]):
    """A list whose items nobody may look at one after the other."""

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("somebody goes through the list")


class TestAdd:
    def test_a_participant_in_parts(self) -> None:
        value = {
            "part": [
                {"name": "type", "valueCodeableConcept": {"text": "guest"}},
                {"name": "type", "valueCodeableConcept": {"text": "second role"}},
                {"name": "actor", "valueReference": {"reference": "Practitioner/e"}},
                {"name": "status", "valueCode": "accepted", "_valueCode": {"id": "s"}},
                {"name": "period", "part": [{"name": "start", "valueDateTime": "2024"}]},
            ]
        }
        after = change(APPOINTMENT, operation("add", "Appointment", name="participant", value=value))
        assert after["participant"][3] == {
            "type": [{"text": "guest"}, {"text": "second role"}],
            "actor": {"reference": "Practitioner/e"},
            "status": "accepted",
            "_status": {"id": "s"},
            "period": {"start": "2024"},
        }

    def test_parts_must_be_those_of_the_element(self) -> None:
        for part, text in (
            ({"name": "colour", "valueString": "red"}, "has no element colour"),
            ({"name": "status", "valueInteger": 1}, "status does not take integer"),
        ):
            value = {"part": [{"name": "status", "valueCode": "x"}, part]}
            assert text in str(refusal(APPOINTMENT, operation("add", "Appointment", name="participant", value=value)))
        for element, first in (
            ("participant", {"name": "status", "valueCode": "x"}),
            ("participant", {"name": "status", "_valueCode": {"id": "x"}}),
            ("extension", {"name": "value", "valueString": "x"}),
        ):
            twice = {"part": [first, {"name": first["name"], "valueCode": "y"}]}
            add = operation("add", "Appointment", name=element, value=twice)
            assert "given twice" in str(refusal(APPOINTMENT, add))

    def test_a_choice_gets_the_name_of_its_type(self) -> None:
        for value, expected in (
            ({"valueBoolean": True}, {"deceasedBoolean": True}),
            ({"valueDateTime": "2020"}, {"deceasedDateTime": "2020"}),
        ):
            assert change(patient(), operation("add", "Patient", name="deceased", value=value)) == patient(**expected)
        assert change(
            patient(), operation("add", "Patient", name="deceasedBoolean", value={"valueBoolean": True})
        ) == patient(deceasedBoolean=True)
        added = operation("add", "Patient", name="deceased", value={"valueString": "yes"})
        assert "deceased does not take string" in str(refusal(patient(), added))

    @pytest.mark.parametrize(
        ("parts", "expected"),
        [
            ([{"name": "end", "valueDateTime": "2024"}], {"valuePeriod": {"end": "2024"}}),
            ([{"name": "coding", "valueCoding": {"code": "c"}}], {"valueCodeableConcept": {"coding": [{"code": "c"}]}}),
            ([{"name": "text", "valueString": "Plot 7"}], None),  # an Address has one, a CodeableConcept, a HumanName
            (
                [{"name": "text", "valueString": "x"}, {"name": "coding", "valueCoding": {"code": "c"}}],
                {"valueCodeableConcept": {"text": "x", "coding": [{"code": "c"}]}},
            ),
        ],
        ids=["of a Period alone", "of a CodeableConcept alone", "of several types", "of one in all"],
    )
    def test_a_choice_in_parts_is_of_the_only_type_that_has_them(self, parts: Any, expected: Any) -> None:
        value = {"part": [{"name": "url", "valueUri": "urn:x"}, {"name": "value", "part": parts}]}
        add = operation("add", "Patient", name="extension", value=value)
        if expected is None:
            assert "do not tell of which type value is" in str(refusal(patient(), add))
        else:
            assert change(patient(), add) == patient(extension=[{"url": "urn:x", **expected}])

    def test_an_extension_of_a_resource_and_of_a_primitive(self) -> None:
        value = {"valueExtension": {"url": "urn:x", "valueCode": "y"}}
        extension = {"extension": [{"url": "urn:x", "valueCode": "y"}]}
        assert change(patient(), operation("add", "Patient", name="extension", value=value)) == patient(**extension)
        add = operation("add", "Patient.birthDate", name="extension", value=value)
        assert change(patient(birthDate="1990"), add) == patient(birthDate="1990", _birthDate=extension)
        add = operation("add", "Patient.name[0].given[1]", name="extension", value=value)
        after = change(patient(name=[{"given": ["a", "b"]}]), add, add)
        assert after["name"] == [{"given": ["a", "b"], "_given": [None, {"extension": extension["extension"] * 2}]}]

    def test_a_contained_resource(self) -> None:
        value = {"resource": {"resourceType": "Location", "id": "l"}}
        after = change(APPOINTMENT, operation("add", "Appointment", name="contained", value=value))
        assert after["contained"][1] == {"resourceType": "Location", "id": "l"}
        assert "contained does not take Identifier" in str(
            refusal(APPOINTMENT, operation("add", "Appointment", name="contained", value=THIRD))
        )

    def test_what_is_there_and_does_not_repeat_is_not_added_again(self) -> None:
        add = operation("add", "Appointment", name="status", value={"valueCode": "cancelled"})
        assert "Use replace" in str(refusal(APPOINTMENT, add))
        add = operation("add", "Patient", name="deceased", value={"valueBoolean": True})
        assert "there already" in str(refusal(patient(deceasedDateTime="2020"), add))
        assert "there already" in str(refusal(patient(_deceasedDateTime={"id": "x"}), add))

    def test_the_type_of_the_value(self) -> None:
        for name, value in (
            ("identifier", {"valueCoding": {"code": "x"}}),
            ("maritalStatus", {"valueString": "x"}),
            ("active", {"valueString": "true"}),
            ("birthDate", {"valueBoolean": True}),
            ("birthDate", {"valueNonsense": 1}),
            ("birthDate", {"valueCodeableConcept": {"text": "x"}}),
            ("maritalStatus", {"valueCodeableConcept": "x"}),
        ):
            assert "does not take" in str(refusal(patient(), operation("add", "Patient", name=name, value=value)))
        # What is written alike may be sent as a string; whether it is a date is for validation.
        assert change(patient(), operation("add", "Patient", name="birthDate", value="1990")) == patient(
            birthDate="1990"
        )

    def test_a_name_that_there_is_not(self) -> None:
        add = operation("add", "Patient", name="colour", value="red")
        assert "Patient has no element colour" in str(refusal(patient(), add))


class TestLists:
    def test_places_outside(self) -> None:
        assert "2 items" in str(refusal(numbered(1, 2), operation("insert", LISTED, index=3, value=THIRD)))
        assert "no element" in str(refusal(numbered(1, 2), operation("replace", f"{LISTED}[2]", value=THIRD)))
        assert "at 0 to 1" in str(refusal(numbered(1, 2), operation("move", LISTED, source=2, destination=0)))
        assert "at 0 to 1" in str(refusal(numbered(1, 2), operation("move", LISTED, source=0, destination=2)))

    @pytest.mark.parametrize(
        ("resource", "path", "text"),
        [
            (patient(), LISTED, "no list at the path"),
            (patient(gender="male"), "Patient.gender", "does not repeat"),
            (numbered(1, 2), f"{LISTED}[0]", "whole list"),
            (numbered(1, 2), f"{LISTED}.where(value = 'value 1')", "whole list"),
            (patient(name=[{"given": ["a"]}, {"given": ["b"]}]), "Patient.name.given", "whole list"),
            # Two of two lists are as many as the first one has.
            (patient(name=[{"given": ["a", "b"]}, {"given": ["a"]}]), "name.given.where($this = 'a')", "whole list"),
        ],
    )
    def test_what_is_no_list(self, resource: Resource, path: str, text: str) -> None:
        assert text in str(refusal(resource, operation("insert", path, index=0, value=THIRD)))
        assert text in str(refusal(resource, operation("move", path, source=0, destination=0)))

    def test_of_several_lists_a_place_is_among_all_that_they_hold(self) -> None:
        before = patient(name=[{"given": ["a", "b"]}, {"given": ["c", "d"]}])
        after = change(before, operation("replace", "Patient.name.given[2]", value="x"))
        assert after == patient(name=[{"given": ["a", "b"]}, {"given": ["x", "d"]}])

    def test_extensions_move_with_what_they_extend(self) -> None:
        before = patient(name=[{"given": ["a", "b", "c"], "_given": [None, {"id": "b"}]}])
        path = "Patient.name[0].given"
        moved = change(before, operation("move", path, source=1, destination=0))
        assert moved["name"] == [{"given": ["b", "a", "c"], "_given": [{"id": "b"}, None, None]}]
        beyond = change(before, operation("move", path, source=2, destination=0))  # of the siblings there are two
        assert beyond["name"] == [{"given": ["c", "a", "b"], "_given": [None, None, {"id": "b"}]}]
        inserted = change(before, operation("insert", path, index=0, value="x"))
        assert inserted["name"] == [{"given": ["x", "a", "b", "c"], "_given": [None, None, {"id": "b"}, None]}]
        assert change(before, operation("delete", f"{path}[1]"))["name"] == [{"given": ["a", "c"]}]
        assert change(before, operation("replace", f"{path}[1]", value="x"))["name"] == [{"given": ["a", "x", "c"]}]
        replaced = operation("replace", f"{path}[0]", value={"_valueString": {"id": "z"}})
        assert change(before, replaced)["name"] == [
            {"given": [None, "b", "c"], "_given": [{"id": "z"}, {"id": "b"}, None]}
        ]


class TestReplaceAndDelete:
    def test_delete_is_content_with_nothing(self) -> None:
        for path in ("Appointment.comment", "Appointment.participant[7]", "Appointment.participant[0].period.start"):
            assert change(APPOINTMENT, operation("delete", path)) == APPOINTMENT

    def test_replace_is_not(self) -> None:
        refused = refusal(APPOINTMENT, operation("replace", "Appointment.comment", value="x"))
        assert "no element at the path" in str(refused)

    def test_a_choice_may_change_its_type(self) -> None:
        replace = operation("replace", "Patient.deceased", value={"valueDateTime": "2020"})
        assert change(patient(deceasedBoolean=True, _deceasedBoolean={"id": "x"}), replace) == patient(
            deceasedDateTime="2020"
        )
        assert change(patient(deceasedDateTime="2019"), replace) == patient(deceasedDateTime="2020")

    def test_extensions_go_with_the_value(self) -> None:
        before = patient(birthDate="1990", _birthDate={"id": "x"})
        assert change(before, operation("delete", "Patient.birthDate")) == patient()
        replace = operation("replace", "Patient.birthDate", value={"valueDate": "1991"})
        assert change(before, replace) == patient(birthDate="1991")
        replace = operation("replace", "Patient.birthDate", value={"valueDate": "1991", "_valueDate": {"id": "y"}})
        assert change(before, replace) == patient(birthDate="1991", _birthDate={"id": "y"})
        assert change(patient(_birthDate={"id": "x"}), operation("delete", "Patient.birthDate.id")) == patient()

    def test_the_type_of_the_value(self) -> None:
        replace = operation("replace", "Appointment.participant[0]", value=THIRD)
        assert "participant does not take Identifier" in str(refusal(APPOINTMENT, replace))
        value = {"valueBackboneElement": {"status": "declined"}}
        after = change(APPOINTMENT, operation("replace", "Appointment.participant[0]", value=value))
        assert after["participant"][0] == {"status": "declined"}

    def test_the_resource_itself_is_not_for_patches(self) -> None:
        assert "Use DELETE" in str(refusal(APPOINTMENT, operation("delete", "Appointment")))
        whole = {"resource": {"resourceType": "Appointment"}}
        assert "Use PUT" in str(refusal(APPOINTMENT, operation("replace", "Appointment", value=whole)))

    @pytest.mark.parametrize("path", ["id", "meta.versionId", "meta.lastUpdated", "resourceType"])
    def test_identity_and_version_cannot_be_changed(self, path: str) -> None:
        for change_it in (
            operation("delete", f"Appointment.{path}"),
            operation("replace", f"Appointment.{path}", value="9"),
        ):
            problem = refusal(APPOINTMENT, change_it).problems[0]
            assert (problem.code, problem.param) == ("immutable_element", f"Appointment.{path}")

    def test_nothing_is_said_beside_the_version(self) -> None:
        value = {"part": [{"name": "url", "valueUri": "urn:e"}, {"name": "valueCode", "valueCode": "x"}]}
        change_it = operation("add", "Appointment.meta.lastUpdated", name="extension", value=value)
        assert refusal(APPOINTMENT, change_it).problems[0].code == "immutable_element"

    def test_a_whole_new_meta_keeps_the_version(self) -> None:
        replace = operation("replace", "Appointment.meta", value={"valueMeta": {"source": "urn:x"}})
        assert change(APPOINTMENT, replace)["meta"] == APPOINTMENT["meta"] | {"source": "urn:x"}

    def test_the_narrative_stays(self) -> None:
        text = {"status": "additional", "div": DIV.format("by hand")}
        after = change(APPOINTMENT | {"text": text}, operation("delete", "Appointment.priority"))
        assert after["text"] == text


class TestMalformed:
    @pytest.mark.parametrize(
        "parameter",
        [
            None,
            {"name": "operations", "part": []},
            {"name": "operation"},
            {"name": "operation", "part": {}},
            {"name": "operation", "part": [1]},
            operation("remove", "Appointment.status"),
            operation("delete", ""),
            operation("delete", "Appointment.status", colour="red"),
            operation("replace", "Appointment.status"),
            operation("add", "Appointment", name="comment"),
            operation("add", "Appointment", value="x"),
            operation("add", "Appointment", name={}, value="x"),
            operation("insert", "Appointment.slot", value="x"),
            operation("insert", "Appointment.slot", index=-1, value="x"),
            operation("insert", "Appointment.slot", index="0", value="x"),
            operation("move", "Appointment.slot", source=0),
            operation("replace", "Appointment.status", value={}),
            operation("replace", "Appointment.status", value={"valueCode": "x", "valueString": "y"}),
            operation("replace", "Appointment.status", value={"valueCode": "x", "_valueString": {}}),
            operation("replace", "Appointment.participant[0]", value={"part": [{"valueCode": "x"}]}),
            operation("replace", "Appointment.participant[0]", value={"part": 1}),
            {"name": "operation", "part": [{"name": "type", "valueCode": "delete"}] * 2},
            operation("delete", "Appointment.status") | {"name": "operations"},
            {"name": "operation", "part": [*WHOLE, {"name": "path", "valueString": "Appointment.comment"}]},
            operation("add", "Appointment", name=1, value="x"),
            operation("add", "Appointment", name={"valueString": "comment", "valueCode": "description"}, value="x"),
            operation("move", "Appointment.slot", source=0, destination={"valueInteger": 1, "valuePositiveInt": 2}),
        ],
    )
    def test_it_is_refused(self, parameter: Any) -> None:
        good = operation("delete", "Appointment.comment")
        refused = malformed(parameters(good, parameter))
        assert str(refused.problems[0].param).startswith("Parameters.parameter[1]")

    def test_each_that_is_wrong_is_told_at_once(self) -> None:
        whole = operation("insert", "Appointment.slot[", index=-1, value={})
        whole["part"] += [1, {"name": "colour", "valueString": "red"}]
        bare = {"name": "operation", "part": [{"name": "type", "valueCode": "add"}]}
        sent = parameters(
            {"name": "operations"}, whole, operation("delete", "Appointment.comment"), bare, {"name": "operation"}
        )
        refused = malformed(sent | {"colour": "red"})
        places = ["Parameters.colour", "[0]", "[1].part[4]", "[1].part[5]", *["[1]"] * 3, *["[3]"] * 3, "[4]"]
        assert [str(one.param).removeprefix("Parameters.parameter") for one in refused.problems] == places

    def test_a_value_that_is_nested_too_deeply(self) -> None:
        deep: Any = "x"
        for _ in range(120):
            deep = {"a": deep}
        assert "100 levels" in str(malformed(parameters(operation("replace", "a", value={"valueMeta": deep}))))

    def test_too_many_operations(self) -> None:
        many = [operation("delete", "Appointment.comment")] * 1_001
        assert malformed(parameters(*many)).problems[0].code == "patch_too_long"


class TestTogether:
    def test_a_booking_is_cancelled_with_its_reason_and_digits_stay(self) -> None:
        raw = encode(APPOINTMENT)
        after = apply(
            Patch.read(
                parameters(
                    operation("replace", "Appointment.status", value={"valueCode": "cancelled"}),
                    operation(
                        "add",
                        "Appointment",
                        name="cancelationReason",
                        value={"valueCodeableConcept": {"text": "patient request"}},
                    ),
                )
            ),
            decode(raw),
        )
        assert encode(after) == raw.replace(b'"booked"', b'"cancelled"')[:-1] + (
            b',"cancelationReason":{"text":"patient request"}}'
        )
