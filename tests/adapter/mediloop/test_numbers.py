"""Appointment numbers are unique, whoever else has given some out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from adapter.clock import text
from adapter.mediloop import numbers
from mappings.systems import DEFAULT_SYSTEMS
from store.store import Store
from tests.adapter.mediloop.clinic import JAMES, PATH, appointment, booking, open_clinic, put, refused, slot_status
from tests.conftest import Api, Clock, ServiceMaker
from tests.store.support import explain


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)


def _used(*values: str) -> list[dict[str, Any]]:
    return [{"system": DEFAULT_SYSTEMS.appointment_number, "value": value} for value in values]


async def _bring_in(store: Store, used: Iterable[int], *others: str) -> None:
    """Store appointments from elsewhere that have these numbers of this year, and others of any shape."""
    values = [f"APT-2024-{number:06d}" for number in used] + list(others)
    for first in range(0, len(values), 100):
        identifiers = _used(*values[first : first + 100])
        await put(store, appointment(f"theirs-{first}", "cancelled", None, identifier=identifiers))


@pytest.fixture
def days(clock: Clock) -> Iterator[dict[str, Any]]:
    """Bookings of James, of whom no slot is published: one an hour."""

    def hours() -> Iterator[dict[str, Any]]:
        while True:
            clock.advance(hours=1)
            yield booking(practitioner_id=JAMES, start_time=text(clock.moment))

    return hours()


async def _numbers(api: Api, days: Iterator[dict[str, Any]], count: int) -> list[str]:
    answers = await asyncio.gather(*(api.post(PATH, next(days)) for _ in range(count)))
    assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
    return sorted(answer.json()["appointment_number"] for answer in answers)


async def test_one_that_a_fhir_client_has_used_is_passed_over(api: Api, store: Store, days: Any) -> None:
    await _bring_in(store, [1])
    assert await _numbers(api, days, 1) == ["APT-2024-000002"]


async def test_those_that_were_brought_in_are_passed_over_at_once(api: Api, store: Store, days: Any) -> None:
    assert await _numbers(api, days, 1) == ["APT-2024-000001"]
    await _bring_in(store, range(2, 47))
    assert await _numbers(api, days, 1) == ["APT-2024-000047"]
    assert await _numbers(api, days, 2) == ["APT-2024-000048", "APT-2024-000049"]


async def test_many_are_passed_over_with_few_look_ups(
    api: Api, store: Store, days: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "_SPAN", 10)
    await _bring_in(store, range(1, 2_001))
    asked = 0
    values = store.values

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        return await values(*arguments, **options)

    monkeypatch.setattr(type(store), "values", lambda _, *given, **options: counted(*given, **options))
    [number] = await _numbers(api, days, 1)
    assert "APT-2024-002001" <= number <= "APT-2024-002020"
    assert asked <= 30


async def test_gaps_between_them_are_no_reason_to_stop(api: Api, store: Store, days: Any) -> None:
    await _bring_in(store, range(1, 200, 2))
    assert await _numbers(api, days, 1) == ["APT-2024-000200"]


async def test_a_lone_high_one_wastes_no_others(api: Api, store: Store, days: Any) -> None:
    await _bring_in(store, [1, 2, 999_999])
    assert await _numbers(api, days, 1) == ["APT-2024-000003"]


async def test_after_the_last_of_six_digits_numbers_have_seven(api: Api, store: Store, days: Any) -> None:
    await _bring_in(store, [999_998, 999_999])
    await store.pass_numbers("appointment-number-2024", 999_997)
    assert await _numbers(api, days, 1) == ["APT-2024-1000000"]


async def test_other_shapes_are_no_numbers(api: Api, store: Store, days: Any) -> None:
    others = (
        "APT-2024-I000001",
        "APT-2024-0000009",
        "APT-2024-12",
        "APT-2024-",
        "APT-2024-9",
        "APT-2023-000003",
        "x|y",
    )
    await _bring_in(store, [1], *others)
    assert await _numbers(api, days, 1) == ["APT-2024-000002"]
    assert await _numbers(api, days, 12) == [f"APT-2024-{number:06d}" for number in range(3, 15)]


async def test_many_bookings_at_once_in_two_processes(
    api: Api, store: Store, days: Any, make_service: ServiceMaker, make_api: Any
) -> None:
    other: Api = await make_api(make_service())
    await _bring_in(store, range(1, 61))
    both = await asyncio.gather(_numbers(api, days, 12), _numbers(other, days, 12))
    given = [number for part in both for number in part]
    assert len(set(given)) == 24
    assert min(given) == "APT-2024-000061"


async def test_where_others_are_always_faster_it_is_told_and_nothing_is_booked(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _bring_in(store, [1])

    async def always(*_: Any) -> numbers.Number:
        return numbers.Number(2024, 1)

    monkeypatch.setattr(numbers, "following", always)
    answer = await api.post(PATH, booking())
    error = refused(answer, 503, ("service_unavailable", None))
    assert "Repeat" in error["message"]
    assert answer.headers["Retry-After"] == "1"
    assert await slot_status(store, "slot-002") == "free"


async def test_the_look_up_reads_the_used_ones_of_its_span_in_the_unique_index(api: Api, store: Store) -> None:
    await _bring_in(store, [*range(1, 40), *range(900, 950)], *(f"APT-2024-I{number:05d}" for number in range(50)))
    query = numbers.used(DEFAULT_SYSTEMS.appointment_number, 2024, range(2, 502))
    did = await explain(store, "Appointment", query, hint=numbers.BY_NUMBER, fields=("_index.unique",))
    stages = str(did["queryPlanner"]["winningPlan"])
    assert "'_index.unique': 1" in stages
    assert "COLLSCAN" not in stages
    assert did["executionStats"]["totalKeysExamined"] <= 2 * 500 + 1
    assert did["executionStats"]["totalDocsExamined"] <= 39


async def test_a_number_that_is_free_costs_no_look_up(
    api: Api, store: Store, days: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a look-up")

    monkeypatch.setattr(type(store), "values", never)
    monkeypatch.setattr(type(store), "pass_numbers", never)
    assert await _numbers(api, days, 1) == ["APT-2024-000001"]
