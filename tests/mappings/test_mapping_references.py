"""Whom a reference means, and what they are called."""

from __future__ import annotations

import pytest

from mappings.references import own_name


@pytest.mark.parametrize("past", ["old", "maiden"])
def test_a_name_of_earlier_days_is_shown_only_where_there_is_no_other(past: str) -> None:
    once = {"use": past, "text": "Once"}
    for use in ({}, {"use": "nickname"}, {"use": "usual"}, {"use": "official"}):
        assert own_name({"name": [once, {"text": "Now", **use}]}) == "Now"
    assert own_name({"name": [once]}) == "Once"
