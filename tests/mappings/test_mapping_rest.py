"""The small modules: slots, UHIDs, systems, and the generated documentation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from mappings import DEFAULT_SYSTEMS, Systems, document, slot, uhid
from mappings.references import Asked

PAGE = Path(__file__).parents[2] / "docs" / "mapping.md"
SLOT = {"id": "slot-001", "status": "free", "start": "2024-01-20T12:00:00+03:00", "end": "2024-01-20T09:30:00Z"}
SCHEDULE = {
    "actor": [
        {"reference": "PractitionerRole/1"},
        {"reference": "Practitioner/prov-abc-123", "display": "Dr. Sarah Nakamya"},
        {"reference": "Location/fac"},
    ]
}


class TestSlot:
    def test_view(self) -> None:
        known = {"Location/fac": {"resourceType": "Location", "name": "Mulago Hospital"}}
        assert slot.referred(SCHEDULE) == ("Practitioner/prov-abc-123", "Location/fac")
        assert slot.view(SLOT, SCHEDULE, known=known) == {
            "id": "slot-001",
            "practitioner_id": "prov-abc-123",
            "practitioner_name": "Dr. Sarah Nakamya",
            "facility_id": "fac",
            "facility_name": "Mulago Hospital",
            "start_time": "2024-01-20T09:00:00Z",
            "end_time": "2024-01-20T09:30:00Z",
            "status": "free",
        }

    def test_what_is_no_time_shows_as_null(self) -> None:
        assert slot.view(SLOT | {"start": "900-01-01T09:00:00Z"}, SCHEDULE)["start_time"] is None

    def test_of_several_whom_is_asked_for_is_shown(self) -> None:
        more = [{"reference": "Practitioner/p2"}, {"reference": "Location/l2"}]
        schedule = {"actor": [*SCHEDULE["actor"], *more]}

        def shown(**wanted: str) -> list[str | None]:
            found = slot.view(SLOT, schedule, asked=Asked(**wanted))  # type: ignore[arg-type]
            return [found["practitioner_id"], found["facility_id"]]

        assert shown(practitioner="Practitioner/p2") == ["p2", "fac"]
        assert shown(facility="Location/l2", practitioner="Practitioner/none") == ["prov-abc-123", "l2"]
        assert slot.referred(schedule, asked=Asked(facility="Location/l2"))[1] == "Location/l2"
        assert slot.view(SLOT, None, asked=Asked(facility="Location/l2"))["facility_id"] is None

    def test_who_is_not_asked_for_is_the_first_though_another_has_no_id(self) -> None:
        schedule = {"actor": [*SCHEDULE["actor"], {"type": "Practitioner", "display": "a locum"}]}
        assert slot.view(SLOT, schedule, asked=Asked(facility="Location/fac"))["practitioner_id"] == "prov-abc-123"

    def test_whom_is_asked_for_may_be_named_by_another_address_and_ours_goes_first(self) -> None:
        far = [{"reference": f"https://other.example/fhir/{one}"} for one in ("Practitioner/p2", "Location/l2")]
        ours = [{"reference": "Practitioner/p2", "display": "ours"}, {"reference": "Location/l2", "display": "ours"}]
        asked = Asked(practitioner="Practitioner/p2", facility="Location/l2")
        for actors, name in (([*SCHEDULE["actor"], *far], None), ([*SCHEDULE["actor"], *far, *ours], "ours")):
            found = slot.view(SLOT, {"actor": actors}, asked=asked)
            assert (found["practitioner_id"], found["facility_id"]) == ("p2", "l2")
            assert found["practitioner_name"] == found["facility_name"] == name
        unnamed = {"actor": [{"type": "Practitioner", "display": "a locum"}]}
        assert slot.view(SLOT, unnamed, asked=asked)["practitioner_name"] == "a locum"

    def test_the_present_name_goes_before_the_one_in_the_schedule(self) -> None:
        known = {"Practitioner/prov-abc-123": {"resourceType": "Practitioner", "name": [{"text": "Dr. Sarah Okello"}]}}
        assert slot.view(SLOT, SCHEDULE, known=known)["practitioner_name"] == "Dr. Sarah Okello"
        nameless = {"Practitioner/prov-abc-123": {"resourceType": "Practitioner"}}
        assert slot.view(SLOT, SCHEDULE, known=nameless)["practitioner_name"] == "Dr. Sarah Nakamya"

    def test_the_name_of_who_is_contained_in_the_schedule(self) -> None:
        inside = [
            {"resourceType": "Practitioner", "id": "p", "name": [{"text": "Dr. P"}]},
            {"resourceType": "Location", "id": "l", "name": "Ward"},
        ]
        found = slot.view(SLOT, {"contained": inside, "actor": [{"reference": "#p"}, {"reference": "#l"}]})
        assert (found["practitioner_name"], found["facility_name"]) == ("Dr. P", "Ward")

    def test_without_schedule_or_times(self) -> None:
        assert set(slot.view({"_start": {}}, None).values()) == {None}
        assert slot.referred(None) == ()


class TestUhid:
    def test_matches(self) -> None:
        assert uhid.matches(" ug123456789a\n", uhid.PATTERN)
        assert not uhid.matches("UG12345678A", uhid.PATTERN)
        assert uhid.matches("x1", "X[0-9]")
        assert not uhid.matches("x12", "X[0-9]")  # wholly, also where the pattern has no anchors

    @pytest.mark.parametrize("pattern", [r"^X[0-9]$", r"\AX[0-9]\Z", r"^X[^^$]$"])
    def test_within_a_text(self, pattern: str) -> None:
        assert uhid.anywhere(pattern).findall("X1") == ["X1"]
        assert uhid.anywhere(pattern).findall("FOR X1.") == ([] if "$]" in pattern else ["X1"])

    def test_identifier(self) -> None:
        identifier = uhid.uhid_identifier("ug123456789a", DEFAULT_SYSTEMS)
        assert identifier["system"] == "https://mediloop.co/fhir/sid/uhid"
        assert identifier["value"] == "UG123456789A"


class TestSystems:
    def test_defaults(self) -> None:
        base = "https://mediloop.co/fhir"
        assert asdict(DEFAULT_SYSTEMS) == {
            "uhid": f"{base}/sid/uhid",
            "uhid_aliases": (),
            "appointment_number": f"{base}/sid/appointment-number",
            "service_type": f"{base}/CodeSystem/service-type",
            "specialty": f"{base}/CodeSystem/specialty",
            "cancellation_reason": f"{base}/CodeSystem/cancellation-reason",
            "extensions": f"{base}/StructureDefinition",
        }

    def test_a_deployment(self) -> None:
        systems = Systems.under("https://h.example/fhir/", uhid="urn:uhid", uhid_aliases=["urn:old"])
        assert systems.all_uhid == ("urn:uhid", "urn:old")
        assert systems == Systems.under("https://h.example/fhir", uhid="urn:uhid", uhid_aliases=("urn:old",))
        assert systems.extensions == "https://h.example/fhir/StructureDefinition"


class TestDocument:
    def test_the_page_is_up_to_date(self) -> None:
        page = PAGE.read_text("utf-8")
        assert page.count("<!-- generated: ") == len(document.parts())
        assert document.rewritten(page, document.parts()) == page, "run: python -m mappings.document docs/mapping.md"

    def test_as_a_command(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        page = tmp_path / "page.md"
        page.write_text("a\n<!-- generated: fields -->\nold\n<!-- /generated -->\nb\n", "utf-8")
        document.main([str(page)])
        assert "old" not in page.read_text("utf-8")
        assert "patient_uhid" in page.read_text("utf-8")
        document.main([])
        assert "patient-request" in capsys.readouterr().out

    def test_an_unknown_part_is_refused(self) -> None:
        with pytest.raises(KeyError, match="nothing"):
            document.rewritten("<!-- generated: nothing -->\n<!-- /generated -->", document.parts())
