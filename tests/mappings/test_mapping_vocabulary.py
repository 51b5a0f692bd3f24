from __future__ import annotations

import copy
from typing import Any

import pytest
from fhir.resources.R4B.conceptmap import ConceptMap as Model

from mappings import ConceptMap, Systems, Vocabulary, appointment
from mappings.vocabulary import IDS, Match
from store import r4

DEFAULT = Vocabulary.default()
HL7 = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"
MEDILOOP = "https://mediloop.co/fhir/CodeSystem/cancellation-reason"
STATUS = "http://hl7.org/fhir/appointmentstatus"
V2_0276 = "http://terminology.hl7.org/CodeSystem/v2-0276"
STU3_0276 = "http://hl7.org/fhir/v2/0276"

# As HL7 publishes them (CodeSystem appointment-cancellation-reason, 4.0.1).
HL7_REASONS = {
    "pat": "Patient",
    "pat-crs": "Patient: Canceled via automated reminder system",
    "pat-cpp": "Patient: Canceled via Patient Portal",
    "pat-dec": "Patient: Deceased",
    "pat-fb": "Patient: Feeling Better",
    "pat-lt": "Patient: Lack of Transportation",
    "pat-mt": "Patient: Member Terminated",
    "pat-mv": "Patient: Moved",
    "pat-preg": "Patient: Pregnant",
    "pat-swl": "Patient: Scheduled from Wait List",
    "pat-ucp": "Patient: Unhappy/Changed Provider",
    "prov": "Provider",
    "prov-pers": "Provider: Personal",
    "prov-dch": "Provider: Discharged",
    "prov-edu": "Provider: Edu/Meeting",
    "prov-hosp": "Provider: Hospitalized",
    "prov-labs": "Provider: Labs Out of Acceptable Range",
    "prov-mri": "Provider: MRI Screening Form Marked Do Not Proceed",
    "prov-onc": "Provider: Oncology Treatment Plan Changes",
    "maint": "Equipment Maintenance/Repair",
    "meds-inc": "Prep/Med Incomplete",
    "other": "Other",
    "oth-cms": "Other: CMS Therapy Cap Service Not Authorized",
    "oth-err": "Other: Error",
    "oth-fin": "Other: Financial",
    "oth-iv": "Other: Improper IV Access/Infiltrate IV",
    "oth-int": "Other: No Interpreter Available",
    "oth-mu": "Other: Prep/Med/Results Unavailable",
    "oth-room": "Other: Room/Resource Maintenance",
    "oth-oerr": "Other: Schedule Order Error",
    "oth-swie": "Other: Silent Walk In Error",
    "oth-weath": "Other: Weather",
}
TYPES = {
    "ROUTINE": "Routine appointment - default if not valued",
    "WALKIN": "A previously unscheduled walk-in visit",
    "CHECKUP": "A routine check-up, such as an annual physical",
    "FOLLOWUP": "A follow up visit from a previous appointment",
    "EMERGENCY": "Emergency appointment",
}
STATUSES = ("proposed", "pending", "booked", "arrived", "checked-in", "fulfilled", "cancelled", "noshow")


def smallest(**members: Any) -> dict[str, Any]:
    target = {"code": "x", "equivalence": "equal"}
    group = {"source": "urn:s", "target": "urn:t", "element": [{"code": "a", "target": [target]}]}
    return {"resourceType": "ConceptMap", "id": IDS[0], "status": "active", "group": [group]} | members


def with_group(**members: Any) -> dict[str, Any]:
    resource = smallest()
    resource["group"][0] |= members
    return resource


@pytest.mark.parametrize("table", DEFAULT.maps, ids=IDS)
class TestPackaged:
    def test_is_an_R4_ConceptMap(self, table: ConceptMap) -> None:
        Model.model_validate(copy.deepcopy(table.resource))

    def test_its_name_and_url_follow_its_id(self, table: ConceptMap) -> None:
        resource = table.resource
        assert resource["url"] == f"https://mediloop.co/fhir/ConceptMap/{resource['id']}"
        assert resource["name"].isalnum()

    def test_invariants(self, table: ConceptMap) -> None:
        for group in table.resource["group"]:
            codes = [element["code"] for element in group["element"]]
            assert len(codes) == len(set(codes))
            for target in (t for element in group["element"] for t in element.get("target", ())):
                assert ("code" in target) == (target["equivalence"] != "unmatched")
                assert "comment" in target or target["equivalence"] not in {"narrower", "inexact"}
            unmapped = group.get("unmapped", {})
            assert ("code" in unmapped) == (unmapped.get("mode") == "fixed")


class TestCancellation:
    def test_each_of_hl7s_codes_is_there_with_its_display(self) -> None:
        elements = DEFAULT.reason_to_mediloop.resource["group"][0]["element"]
        assert {element["code"]: element["display"] for element in elements} == HL7_REASONS
        assert {code: DEFAULT.reason_to_mediloop.display(code, HL7) for code in HL7_REASONS} == HL7_REASONS

    @pytest.mark.parametrize("code", HL7_REASONS)
    def test_from_hl7(self, code: str) -> None:
        match = DEFAULT.reason_to_mediloop.match(code, HL7)
        if code.startswith("pat") and code != "pat-dec":
            assert match == Match("patient-request", MEDILOOP, "narrower" if code == "pat" else "wider")
        else:
            assert match == Match(code, MEDILOOP, provided=True)

    def test_an_hl7_code_sent_by_a_mediloop_caller_stays_itself(self) -> None:
        elements = DEFAULT.reason_to_hl7.resource["group"][0]["element"]
        assert {element["code"] for element in elements} == HL7_REASONS.keys() | {"patient-request"}
        for code, display in HL7_REASONS.items():
            assert DEFAULT.reason_to_hl7.match(code, MEDILOOP) == Match(code, HL7, "equivalent", display)
            assert DEFAULT.reason_to_hl7.translate(code) == code

    def test_to_hl7(self) -> None:
        assert DEFAULT.reason_to_hl7.match("patient-request") == Match("pat", HL7, "wider", "Patient")
        assert DEFAULT.reason_to_hl7.match("x-new") == Match("other", HL7, None, "Other")


class TestType:
    @pytest.mark.parametrize("system", [V2_0276, STU3_0276])
    def test_each_of_table_0276_is_itself_and_any_other_passes(self, system: str) -> None:
        table = DEFAULT.appointment_type
        for code, display in TYPES.items():
            assert table.match(code, system) == Match(code, V2_0276, "equal", display)
            assert table.display(code, system) == display
        assert table.match("LOCAL", system) == Match("LOCAL", V2_0276, provided=True)


class TestStatus:
    def test_eight_are_themselves_both_ways(self) -> None:
        for code in STATUSES:
            for table in (DEFAULT.status_to_mediloop, DEFAULT.status_to_fhir):
                assert table.match(code, STATUS) == Match(code, STATUS, "equal")
                assert table.translate(code) == code

    def test_the_other_two(self) -> None:
        assert DEFAULT.status_to_mediloop.match("waitlist", STATUS) == Match("pending", STATUS, "inexact")
        assert DEFAULT.status_to_mediloop.translate("waitlist") == "pending"
        assert DEFAULT.status_to_mediloop.translate("entered-in-error") is None
        assert DEFAULT.status_to_mediloop.hides("entered-in-error")
        assert not DEFAULT.status_to_mediloop.hides("booked")
        assert not DEFAULT.status_to_mediloop.hides("unheard-of")
        assert not {code for code in ("waitlist", "entered-in-error") if DEFAULT.status_to_fhir.translate(code)}


class TestTranslation:
    def test_a_system_that_is_not_a_source_has_none(self) -> None:
        assert DEFAULT.appointment_type.matches("WALKIN", "urn:other") == ()
        assert DEFAULT.appointment_type.match("WALKIN", "urn:other") is None
        assert DEFAULT.appointment_type.translate("WALKIN", "http://hl7.org/fhir/v2/0276") == "WALKIN"

    def test_displays(self) -> None:
        assert DEFAULT.reason_to_mediloop.display("pat-dec", HL7) == "Patient: Deceased"
        assert DEFAULT.reason_to_mediloop.display("pat-dec", "urn:other") is None

    def test_every_target_is_a_match_the_first_preferred(self) -> None:
        targets = [{"code": code, "equivalence": "relatedto"} for code in ("x", "y")]
        table = ConceptMap(with_group(element=[{"code": "a", "target": targets}]))
        assert [match.code for match in table.matches("a")] == ["x", "y"]
        assert table.match("a") == Match("x", "urn:t", "relatedto")
        assert table.translate("a") == "x"

    def test_without_a_system_every_group_counts_and_the_first_tells_what_is_written(self) -> None:
        further = {"source": "urn:more", "target": "urn:u", "element": [], "unmapped": {"mode": "provided"}}
        table = ConceptMap(smallest(group=[*smallest()["group"], further]))
        assert table.match("b") == Match("b", "urn:u", provided=True)
        assert table.match("b", "urn:s") is None
        assert (table.target, table.sources) == ("urn:t", ("urn:s", "urn:more"))

    def test_each_of_R4s_equivalences_may_be_said_and_two_say_that_there_is_none(self) -> None:
        known = r4.value_set("http://hl7.org/fhir/ValueSet/concept-map-equivalence")
        assert known is not None
        for _, equivalence in known:
            target = {"code": "x", "equivalence": equivalence, "comment": "why"}
            table = ConceptMap(with_group(element=[{"code": "a", "target": [target]}]))
            assert table.hides("a") == (equivalence in {"unmatched", "disjoint"})
            assert table.translate("a") == (None if table.hides("a") else "x")


class TestOverrides:
    def test_without_any_all_is_as_packaged(self) -> None:
        assert Vocabulary.default() is DEFAULT
        assert [table.resource for table in Vocabulary.with_overrides([]).maps] == [
            table.resource for table in DEFAULT.maps
        ]

    def test_a_map_of_the_same_id_takes_the_place(self) -> None:
        given = smallest()
        vocabulary = Vocabulary.with_overrides([given])
        given["group"].clear()
        assert vocabulary.reason_to_hl7.resource == smallest()
        assert vocabulary.reason_to_hl7.translate("a") == "x"
        assert vocabulary.reason_to_hl7.translate("patient-request") is None
        assert vocabulary.status_to_fhir.translate("booked") == "booked"

    @pytest.mark.parametrize(
        ("resource", "message"),
        [
            ("no object", "must be a FHIR resource of type ConceptMap"),
            ({"resourceType": "ValueSet", "id": IDS[0]}, "must be a FHIR resource of type ConceptMap"),
            (smallest(id="other"), "'other' replaces nothing: its id must be one of mediloop-cancellation-to-hl7"),
            (smallest(id=["x"]), "replaces nothing"),
            (smallest(group=[]), "has no group"),
            (smallest(group={}), "group is not a list of objects"),
            (smallest(group=["x"]), "group is not a list of objects"),
            (with_group(source=None), "group 1 has no source"),
            (with_group(target=" "), "group 1 has no target"),
            (with_group(element="x"), "group 1: element is not a list of objects"),
            (with_group(element=[{}]), "an element has no code"),
            (with_group(element=[{"code": "a"}, {"code": "a"}]), "code 'a' is there twice"),
            (with_group(element=[{"code": "a", "target": [{"code": "x"}]}]), "equivalence None is not one of"),
            (with_group(element=[{"code": "a", "target": [{"equivalence": "same"}]}]), "'same' is not one of"),
            (with_group(element=[{"code": "a", "target": [{"equivalence": []}]}]), "is not one of"),
            (
                with_group(element=[{"code": "a", "target": [{"code": "x", "equivalence": "inexact"}]}]),
                "'inexact' needs a comment",
            ),
            (
                with_group(element=[{"code": "a", "target": [{"equivalence": "equal"}]}]),
                "code 'a', its target has no code",
            ),
            (with_group(unmapped="x"), "unmapped.mode must be 'fixed' or 'provided'"),
            (with_group(unmapped={"mode": "other-map"}), "unmapped.mode must be 'fixed' or 'provided'"),
            (with_group(unmapped={"mode": "fixed"}), r"\(FHIR rule cmd-2\), has no code"),
        ],
    )
    def test_an_unusable_map_is_refused(self, resource: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message) as refusal:
            Vocabulary.with_overrides([resource])
        assert str(refusal.value).endswith(".")

    def test_twice_the_same_id_is_refused(self) -> None:
        with pytest.raises(ValueError, match="given twice"):
            Vocabulary.with_overrides([smallest(), smallest()])

    def test_the_maps_work_under_any_systems(self) -> None:
        systems = Systems.under("https://hospital.example/fhir")
        resource = appointment.update(
            appointment.blank(), {"cancellation_reason_code": "patient-request"}, systems=systems
        )
        assert [c["system"] for c in resource["cancelationReason"]["coding"]] == [systems.cancellation_reason, HL7]

    def test_maps_without_counterparts(self) -> None:
        nothing = {"code": "pat", "display": "Patient", "target": [{"equivalence": "unmatched"}]}
        from_hl7 = with_group(source=HL7, element=[nothing]) | {"id": IDS[1]}
        vocabulary = Vocabulary.with_overrides([with_group(element=[]), from_hl7])
        resource = {"cancelationReason": {"coding": [{"system": HL7, "code": "pat"}]}}
        shown = appointment.view(resource, vocabulary=vocabulary)
        assert shown["cancellation_reason_code"] is None
        assert shown["cancellation_reason_text"] == "Patient"
        written = appointment.update(resource, {"cancellation_reason_code": "x"}, vocabulary=vocabulary)
        assert len(written["cancelationReason"]["coding"]) == 1
