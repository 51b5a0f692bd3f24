"""Whom a reference means, and what they are called."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from mappings.references import names_of, own_name, own_uhid, target, uhid_of, uhids
from mappings.systems import Systems

SYSTEMS = Systems.under(uhid_aliases=("urn:example:uhid",))
OURS, ALIAS = SYSTEMS.all_uhid


@pytest.mark.parametrize("past", ["old", "maiden"])
def test_a_name_of_earlier_days_is_shown_only_where_there_is_no_other(past: str) -> None:
    once = {"use": past, "text": "Once"}
    for use in ({}, {"use": "nickname"}, {"use": "usual"}, {"use": "official"}):
        assert own_name({"name": [once, {"text": "Now", **use}]}) == "Now"
    assert own_name({"name": [once]}) == "Once"


def test_the_official_name_goes_first_unless_it_says_nothing() -> None:
    assert own_name({"name": [{"text": "Plain"}, {"use": "official", "text": "Official"}]}) == "Official"
    assert own_name({"name": [{"use": "official", "period": {}}, {"text": "Plain"}]}) == "Plain"
    names = [{"use": use, "text": use} for use in ("maiden", "nickname", "usual", "official")]
    assert [own_name({"name": names[:count]}) for count in (1, 2, 3, 4)] == ["maiden", "nickname", "usual", "official"]


def _patient(*identifiers: tuple[str, str | None, str]) -> dict[str, Any]:
    found = [{"system": system, "value": value} | ({"use": use} if use else {}) for value, use, system in identifiers]
    return {"resourceType": "Patient", "identifier": found}


def test_of_known_people_and_places_those_with_a_name_are_called_something() -> None:
    people: dict[str, dict[str, Any]] = {
        "Location/1": {"name": "Ward"},
        "Patient/1": {"name": [{"text": "A"}]},
        "Patient/2": {},
    }
    assert names_of(people) == {"Location/1": "Ward", "Patient/1": "A"}


@pytest.mark.parametrize("reference", ["Patient/", "patient/1", "Patient/1/", "Patient", "#p1", "urn:uuid:1", ""])
def test_what_names_no_type_and_id_names_nobody(reference: str) -> None:
    assert target(reference) is None


def test_an_identifier_without_a_value_is_no_uhid() -> None:
    assert uhids({"identifier": [{"system": OURS}, {"system": OURS, "value": "a"}]}, SYSTEMS) == ["A"]


@pytest.mark.parametrize("use", ["official", "usual", "secondary", "temp", None])
@pytest.mark.parametrize("system", [OURS, ALIAS])
def test_a_uhid_of_earlier_days_is_shown_only_where_there_is_no_other(use: str | None, system: str) -> None:
    patient = _patient(("A", "old", OURS), ("B", use, system))
    assert uhids(patient, SYSTEMS) == ["B", "A"]
    assert own_uhid(patient, SYSTEMS) == "B"
    assert own_uhid(_patient(("A", "old", OURS)), SYSTEMS) == "A"


@pytest.mark.parametrize(
    ("stated", "carried", "shown"),
    [
        ("A", [("B", "official", OURS), ("A", "old", OURS)], "B"),
        ("A", [("B", None, ALIAS), ("A", "old", OURS)], "B"),
        ("B", [("A", None, OURS), ("B", None, OURS), ("C", "old", OURS)], "B"),
        ("B", [("A", "old", OURS), ("B", "old", OURS)], "B"),
        ("B", [("A", "old", OURS)], "A"),
        ("B", [], "B"),
        ("A", [("B", None, OURS), ("A", "old", OURS), ("A", None, ALIAS)], "A"),
    ],
)
def test_a_stated_uhid_is_shown_unless_it_is_of_earlier_days(
    stated: str, carried: list[tuple[str, str | None, str]], shown: str
) -> None:
    actor = {"reference": "Patient/p", "identifier": {"system": OURS, "value": stated}}
    assert uhid_of(actor, {}, {"Patient/p": _patient(*carried)}, SYSTEMS) == shown


def test_what_a_long_reference_names_is_told_and_not_remembered() -> None:
    text = "https://elsewhere.example/" + "a/" * 1_000 + "Patient/p1"
    held = sys.getrefcount(text)
    assert target(text) == ("Patient", "p1")
    assert sys.getrefcount(text) == held
