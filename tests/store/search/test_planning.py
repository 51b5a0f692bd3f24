"""In which order matches come, and by which index: told by what is asked about and never by the values."""

from __future__ import annotations

import re
from typing import Any

import pytest

from store.search.model import NOTHING, Order
from store.search.planning import planned

Keys = tuple[str, ...]

BY_ACTOR, BY_DATE, BY_STATUS = ("actor", "date", "_id", "status"), ("date", "_id", "status"), ("status", "date", "_id")
BY_TIME, BY_IDENTIFIER = ("_lastUpdated", "_id"), ("identifier", "_id")
OF_SCHEDULE, FREE = ("schedule", "start", "_id"), ("status", "start", "_id", "schedule", "minutes", "end")
FREE_OF_SCHEDULE = ("schedule", "status", "start", "_id", "minutes", "end")


def path(name: str) -> str:
    return name if name == "_id" else f"_index.{name}"


def order(text: str) -> Order:
    """What ``_sort=-date,_id`` is here."""
    names = text.split(",") if text else []
    return tuple((path(name.removeprefix("-")), -1 if name[0] == "-" else 1) for name in names)


def query(text: str) -> dict[str, Any]:
    """Equal to something, ``actor``; in a range, ``<date`` or ``>date``; or neither, ``?x``."""
    conditions = {"<": {"$gte": "a", "$lt": "b"}, ">": {"$gt": "a", "$lte": "b"}, "?": {"$ne": "a"}}
    return {path(name.lstrip("<>?")): conditions.get(name[0], {"$in": ["a", "b"]}) for name in text.split()}


# Of each: the type, what is asked about, in which order, the order that comes, the index that is named, and the one
# that is named where few match.
PLANS: list[tuple[str, str, str, str, Keys | None, Keys | None]] = [
    # The order of an index that answers the whole query.
    ("Appointment", "actor", "", "date,_id", BY_ACTOR, None),
    ("Appointment", "actor <date", "", "date,_id", BY_ACTOR, None),
    ("Appointment", "actor >date", "", "date,_id", BY_ACTOR, None),
    ("Appointment", "actor status", "", "date,_id", BY_ACTOR, None),
    ("Appointment", "status <date", "", "date,_id", BY_STATUS, None),
    ("Appointment", "<date", "", "date,_id", BY_DATE, None),
    ("Appointment", "<_lastUpdated", "", "_lastUpdated,_id", BY_TIME, None),
    ("Appointment", "identifier", "", "_id", BY_IDENTIFIER, None),
    ("Appointment", "actor date", "", "_id", BY_ACTOR, None),
    ("Slot", "schedule status <start", "", "start,_id", FREE_OF_SCHEDULE, None),
    ("Slot", "schedule <start", "", "start,_id", OF_SCHEDULE, None),
    ("Slot", "status <start <end", "", "start,_id", FREE, None),
    # Of one that answers a part: MongoDB chooses.
    ("Appointment", "actor reason-code", "", "date,_id", None, None),
    ("Appointment", "actor ?status", "", "date,_id", None, None),
    ("Appointment", "reason-code", "", "_id", None, None),
    ("Appointment", "slot", "", "_id", None, None),
    ("Appointment", "?actor", "", "_id", None, None),
    ("Appointment", "", "", "_id", None, None),
    # None that is longer than a date and the id.
    ("Appointment", "<status", "", "_id", None, BY_STATUS),
    ("Appointment", "<actor", "", "_id", None, BY_ACTOR),
    # What is asked for, down to the id.
    ("Appointment", "actor", "-date", "-date,-_id", BY_ACTOR, None),
    ("Appointment", "actor", "date,_id", "date,_id", BY_ACTOR, None),
    ("Appointment", "", "status", "status,date,_id", None, None),
    ("Appointment", "", "-status,-date", "-status,-date,-_id", None, None),
    ("Appointment", "", "status,-date", "status,-date,-_id", None, None),
    ("Appointment", "", "priority", "priority,_id", None, None),
    ("Patient", "identifier", "family:sort", "family:sort,given:sort,_id", None, None),
    # What no index gives together with the conditions: few are sorted by what one holds.
    ("Appointment", "actor", "_id", "_id", None, BY_ACTOR),
    ("Appointment", "actor status", "-_id", "-_id", None, BY_ACTOR),
    ("Appointment", "actor", "-date,_id", "-date,_id", None, BY_ACTOR),
    ("Appointment", "actor", "status", "status,date,_id", None, BY_ACTOR),
    ("Appointment", "<date", "status", "status,date,_id", None, BY_DATE),
    ("Appointment", "<_lastUpdated", "_lastUpdated,-_id", "_lastUpdated,-_id", None, BY_TIME),
    ("Appointment", "actor", "priority", "priority,_id", None, None),
    ("Appointment", "actor <status", "status", "status,date,_id", None, None),
    ("Appointment", "actor <end", "_id", "_id", None, None),
    ("Appointment", "actor ?status", "_id", "_id", None, None),
    ("Slot", "schedule status <minutes", "_id", "_id", None, FREE_OF_SCHEDULE),
    # What is found by its id, nothing finds faster.
    ("Appointment", "_id", "", "_id", None, None),
    ("Appointment", "_id actor", "date", "date,_id", None, None),
]


@pytest.mark.parametrize(("kind", "asked", "wanted", "comes", "hint", "few"), PLANS)
def test_matches_come_by_the_index_that_finds_them(
    kind: str, asked: str, wanted: str, comes: str, hint: Keys | None, few: Keys | None
) -> None:
    assert planned(kind, query(asked), order(wanted)) == (order(comes), hint, few)


@pytest.mark.parametrize(
    ("condition", "equal"),
    [
        ("a", True),
        ({"$eq": "a"}, True),
        ({"$in": ["a", "b"]}, True),
        ({"$in": [re.compile("a"), "b"]}, False),
        ({"$in": ["a"], "$exists": True}, False),
        ({"$exists": True}, False),
    ],
)
def test_only_what_is_equal_to_something_keeps_the_order_of_the_index(condition: Any, equal: bool) -> None:
    plan = planned("Appointment", {"_index.actor": condition}, ())
    assert plan == ((order("date,_id"), BY_ACTOR, None) if equal else (order("_id"), None, None))


@pytest.mark.parametrize(("wanted", "comes"), [("", "_id"), ("-date", "-date,-_id")])
def test_nothing_is_found_by_no_index(wanted: str, comes: str) -> None:
    assert planned("Appointment", NOTHING, order(wanted)) == (order(comes), None, None)


def test_one_of_several_conditions_is_told_by_no_index() -> None:
    either = query("actor") | {"$or": [query("status"), query("date")]}
    assert planned("Appointment", either, order("_id")) == (order("_id"), None, None)
