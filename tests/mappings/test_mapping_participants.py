"""Who takes part, each decision by an example: whom several may mean, and what is written of whom."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from mappings import appointment
from mappings.references import Asked
from tests.mappings.lens import DOCUMENTED, OTHER, update, view, with_actor
from tests.strategies import SYSTEMS, Json


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

    def test_of_two_patients_who_share_the_uhid_that_is_asked_for_who_has_not_declined(self) -> None:
        def of(*answers: str) -> Any:
            people = [{"actor": {"reference": f"Patient/{n}", "display": str(n)}} for n in range(len(answers))]
            told = [one | {"status": answer} for one, answer in zip(people, answers, strict=True)]
            visit = {"resourceType": "Appointment", "status": "booked", "participant": told}
            asked = Asked(uhid="A", patients=frozenset(one["actor"]["reference"] for one in people[:2]))
            return view(visit, asked=asked)["patient_name"]

        assert of("declined", "accepted") == "1"
        assert of("accepted", "declined") == "0"
        assert of("declined", "declined", "accepted") == "0"

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
