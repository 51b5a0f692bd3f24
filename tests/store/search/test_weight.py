"""What a search may look for at once is bounded, however its parameters share it."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from bson.regex import Regex

from store.search import SearchRefused, matches, parse, run
from store.search.weight import MOST, as_far_as_bearable, weight
from store.store import Store
from tests.store.search.support import BASE, parsed, reading, refusal
from tests.store.support import create

MANY = ",".join(f"{number:x}" for number in range(1_000))
DAYS = ",".join(f"ge20{number % 90 + 10}-01-{number % 28 + 1:02}" for number in range(1_000))
PLACES = ",".join(f"0.{number:03}|32.5|2|km" for number in range(500))


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ("Patient", f"name={MANY}"),
        ("Patient", "&".join(f"name:contains={first}a,{first}b,{first}c" for first in range(200))),
        ("Patient", "&".join([f"identifier={MANY}"] * 60)),
        ("Slot", f"_profile:below={MANY}"),
        ("Slot", "&".join([f"start={DAYS}"] * 4)),
        ("Location", f"near={PLACES}"),
        ("Slot", "&".join([f"schedule.actor.identifier={MANY}"] * 30)),
        ("Slot", f"schedule.actor:Practitioner.name={MANY}"),
        ("Appointment", "&".join([f"_has:AppointmentResponse:appointment:identifier={MANY}"] * 60)),
        ("Patient", "&".join([f"identifier={'ä' * 2_000}"] * 5_000)),
    ],
)
def test_what_is_too_much_together_is_refused_once(kinds: str, text: str) -> None:
    [problem] = refusal(kinds, text)
    assert problem.code == "too-costly"


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ("Patient", f"_profile:above={','.join(['a/' * 1_000] * 100)}"),
        ("Appointment", f"supporting-info={MANY}"),
        ("AppointmentResponse", f"appointment.supporting-info={MANY}"),
        ("Patient", f"_has:Appointment:patient:supporting-info={MANY}"),
        ("Slot", f"_has:Appointment:slot:patient._profile:above={','.join(['a/' * 1_000] * 100)}"),
    ],
)
def test_values_that_stand_for_many_are_refused_before_all_of_these_are_made(kinds: str, text: str) -> None:
    tracemalloc.start()
    try:
        [problem] = refusal(kinds, text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert problem.code == "too-costly"
    assert most < 20_000_000


@pytest.mark.parametrize("form", ["x", "x" * 300, Regex("^x")])
def test_what_is_looked_for_in_part_is_always_refused(form: Any) -> None:
    """Who was given some of the forms as if they were all would miss what the others find."""
    bearable = MOST // weight(form)
    for more in (0, 1, 2):
        made = as_far_as_bearable([form] * (bearable + more))
        assert len(made) == bearable + more or weight({"a": {"$in": made}}) > MOST


def test_so_are_chains_before_all_of_them_are_followed() -> None:
    text = "&".join([f"{'member.' * 6}identifier=x"] * 50)
    [problem] = refusal("Group", text)
    assert problem.code == "too-costly"
    assert "look-ups" in problem.text


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ("Appointment", f"actor={MANY}&identifier={MANY}&_id={MANY}"),
        ("Appointment", f"actor.identifier={MANY}"),
        ("Slot", f"start={DAYS}"),
        ("Patient", f"name={','.join(MANY.split(',')[:190])}"),
        ("Appointment,Slot,Schedule,Patient", f"_id={MANY}"),
        ("Appointment", f"supporting-info={','.join(MANY.split(',')[:100])}"),
        ("Patient", f"_profile:above={','.join(f'http://example.org/a/b/c/{one}' for one in MANY.split(','))}"),
    ],
)
def test_what_somebody_may_want_is_not(kinds: str, text: str) -> None:
    assert not parsed(kinds, text).ignored


def test_values_before_one_that_cannot_be_used_count() -> None:
    wrong = [("near", f"{PLACES},z")]
    with pytest.raises(SearchRefused) as refused:
        parse(("Location",), wrong * 999, reading())
    assert {problem.code for problem in refused.value.problems} == {"value"}
    assert len(refused.value.problems) < 10


def test_each_problem_of_a_few_values_is_told() -> None:
    assert len(refusal("Slot", "&".join(["start=z,z"] * 300))) == 300


async def test_chains_that_make_a_query_of_more_than_mongodb_takes_are_refused(store: Store) -> None:
    await create(store, *({"resourceType": "Patient", "id": f"p{number}", "active": True} for number in range(300)))
    how = replace(reading(), base=BASE + "/" + "a" * 1_000)
    pairs = [("patient.active", "true")] * 60
    wanted = parse(("Appointment",), pairs, how)
    for answer in (run(store, wanted), matches(store, "Appointment", pairs, how)):
        with pytest.raises(SearchRefused) as refused:
            await answer
        [problem] = refused.value.problems
        assert problem.code == "too-costly"


def test_each_search_has_a_bound_of_its_own() -> None:
    for _ in range(3):
        assert parsed("Patient", "&".join([f"identifier={MANY}"] * 40)).filters


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, 0),
        ({"a": "x"}, 1),
        ({"a": {"$in": ["x", "y" * 256, 3]}}, 4),
        ({"a": {"$in": ["ä" * 128]}}, 2),
        ({"a": Regex("^x")}, 125),
        ({"a": {"$regex": Regex("x" * 256)}}, 126),
        ({"$or": [{"a": "x"}, {"b": {"$gte": 1, "$lt": 2}}]}, 43),
        ({"a": {"$geoWithin": {"$centerSphere": [[1.0, 2.0], 0.1]}}}, 125),
    ],
)
def test_the_weight_of_a_query(query: dict[str, Any], expected: int) -> None:
    assert weight(query) == expected
