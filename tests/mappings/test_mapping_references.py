"""Whom a reference means, and what they are called."""

from __future__ import annotations

import sys

import pytest

from mappings.references import own_name, target


@pytest.mark.parametrize("past", ["old", "maiden"])
def test_a_name_of_earlier_days_is_shown_only_where_there_is_no_other(past: str) -> None:
    once = {"use": past, "text": "Once"}
    for use in ({}, {"use": "nickname"}, {"use": "usual"}, {"use": "official"}):
        assert own_name({"name": [once, {"text": "Now", **use}]}) == "Now"
    assert own_name({"name": [once]}) == "Once"


def test_the_official_name_goes_first_unless_it_says_nothing() -> None:
    assert own_name({"name": [{"text": "Plain"}, {"use": "official", "text": "Official"}]}) == "Official"
    assert own_name({"name": [{"use": "official", "period": {}}, {"text": "Plain"}]}) == "Plain"


def test_what_a_long_reference_names_is_told_and_not_remembered() -> None:
    text = "https://elsewhere.example/" + "a/" * 1_000 + "Patient/p1"
    held = sys.getrefcount(text)
    assert target(text) == ("Patient", "p1")
    assert sys.getrefcount(text) == held
