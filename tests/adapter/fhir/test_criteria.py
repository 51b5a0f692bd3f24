"""Criteria that stand in no URL: what is read of them, and what is refused."""

from __future__ import annotations

import pytest

from adapter.errors import Malformed
from adapter.fhir.criteria import read_criteria


def test_a_query() -> None:
    expected = (("identifier", "https://x/sid|1"), ("status", "booked"))
    query = "identifier=https://x/sid%7C1&status=booked"
    for text in (query, f"?{query}", f"Appointment?{query}", f" https://h/fhir/R4/Appointment?{query}"):
        assert read_criteria(text, "Appointment") == expected


def test_a_question_mark_in_a_value_is_a_part_of_it() -> None:
    assert read_criteria("identifier=http://x?y|1", "Patient") == (("identifier", "http://x?y|1"),)


def test_letters_of_all_tongues() -> None:
    for text in ("family=Müller", "family=M%C3%BCller"):
        assert read_criteria(text, "Patient") == (("family", "Müller"),)


@pytest.mark.parametrize("text", ["", "  ", "?", "identifier", "Patient?", "family=M%FCller", "&".join(["a=b"] * 101)])
def test_no_query(text: str) -> None:
    with pytest.raises(Malformed, match="identifier=system") as refused:
        read_criteria(text, "Patient")
    assert refused.value.problems[0].param == "If-None-Exist"
