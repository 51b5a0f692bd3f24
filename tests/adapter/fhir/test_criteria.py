"""Criteria that stand in no URL: what is read of them, and what is refused."""

from __future__ import annotations

import pytest

from adapter.errors import Malformed
from adapter.fhir.criteria import read_criteria
from store.search.dates import repaired


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


@pytest.mark.parametrize(
    "text",
    [
        "identifier=urn:mrn|A+B",
        "telecom=+256700123456",
        "family=Van+Dam",
        "given=Anna&fam+ily=Okello",
        "birthdate=2000-01+01",
        "identifier=urn:mrn|T09:00:00+03:00",
        "_lastUpdated=ge2024-01-20T09:00:00+03:00&identifier=A+B",
    ],
)
def test_a_plus_that_may_be_a_blank_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match=r"Write %2B for a plus, %20 for a blank\.") as refused:
        read_criteria(text, "Patient")
    assert refused.value.problems[0].param == "If-None-Exist"


def test_a_plus_and_a_blank_that_are_escaped_are_what_they_are() -> None:
    assert read_criteria("identifier=A%2BB&name=Van%20Dam", "Patient") == (("identifier", "A+B"), ("name", "Van Dam"))


@pytest.mark.parametrize("plus", ["+", "%2B", "%20"])
@pytest.mark.parametrize("colon", [":", "%3A"])
@pytest.mark.parametrize("name", ["date", "_lastUpdated", "_has:Appointment:patient:date", "slot.start"])
def test_the_plus_of_an_offset_is_known_to_be_one(name: str, colon: str, plus: str) -> None:
    dates = "ge2024-01-20T09:00:00+03:00,lt2024-01-20T09:00+03:00"
    [(_, value)] = read_criteria(f"{name}={dates.replace(':', colon).replace('+', plus)}", "Patient")
    assert repaired(value) == dates
