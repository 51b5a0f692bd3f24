"""The reasons of cancellations, each decision by an example."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mappings.lens import OTHER, update, view
from tests.strategies import HL7_CANCELLATION, SYSTEMS, Json


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
        identified = {"cancelationReason": {"id": "r", "text": "why"}}
        assert update(identified, cancellation_reason_text=None) == {}  # an id alone is no content (ele-1)
        resource = self.cancelled((HL7_CANCELLATION, "pat-dec"), text="why")
        without = update(resource, cancellation_reason_text=None)
        assert view(without)["cancellation_reason_text"] is None
        assert view(without)["cancellation_reason_code"] == "pat-dec"
        coded = self.cancelled((SYSTEMS.cancellation_reason, "x"), text="why")
        assert update(coded, cancellation_reason_text=None) == self.cancelled((SYSTEMS.cancellation_reason, "x"))
