"""What is checked beside the process comes to the same as what is checked in it, also when the child is lost."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import os
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess

import orjson
import pytest

from adapter.errors import Refused
from adapter.importing import beside
from adapter.importing.checking import Checked, Ready, check_all
from adapter.importing.item import Item, Referent
from adapter.importing.means import Means, Tables
from adapter.settings import Settings
from adapter.terms import systems_of, vocabulary_of
from store.codec import decode, encode

VISIT = {
    "patient_uhid": "UG123456789A",
    "practitioner_id": "p",
    "status": "booked",
    "start_time": "2024-01-20T10:00:00Z",
    "duration_minutes": 30,
    "colour": "blue",
}
SCHEDULE = {"resourceType": "Schedule", "id": "s", "actor": [{"reference": "Practitioner/p"}]}
ITEMS = [
    Item(
        1, b'{"resourceType":"Patient","id":"a","extension":[{"url":"http://x.org/n","valueDecimal":1.10}]}', "Patient"
    ),
    Item(2, b'{"resourceType":"Patient","id":"b","gender":"none"}', "Patient"),
    Item(3, b'{"resourceType":"Patient",', "Patient"),
    Item(4, orjson.dumps(VISIT), "MediLoop"),
    Item(5, b"", "Patient", {"resourceType": "Patient", "id": "c"}),
    Item(6, b'{"request":{"method":"DELETE","url":"Slot/d"}}', "Slot", deletes=True),
    Item(7, b'{"request":{"method":"DELETE","url":"Thing/d"}}', "Thing", deletes=True),
    Item(8, b"", "Patient", {"resourceType": "Patient"}, ident="x", if_none=True),
    Item(9, b"", "Schedule", SCHEDULE, referents={"Practitioner/p": Referent(1, ("urn:np|77",))}),
    Item(10, b"", "Schedule", SCHEDULE, roots=("http://x.org/fhir/",)),
]


@pytest.fixture
def tables() -> Tables:
    settings = Settings(_env_file=None)
    return Tables(settings, systems_of(settings), vocabulary_of(settings))


def told(checked: Checked) -> list[object]:
    return [one if isinstance(one, Ready) else (one.problems, one.status) for one in checked.found]


async def test_a_child_checks_as_this_process_does(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    async with beside.checks(tables, beside.WORTH - 1) as check:
        here = await check(ITEMS)
        assert not multiprocessing.active_children()
    assert [isinstance(one, Refused) for one in here.found] == [False, True, True, *[False] * 3, True, *[False] * 3]
    assert here.left_out == {"colour": 1}
    async with beside.checks(tables, beside.WORTH) as check:
        (child,) = multiprocessing.active_children()
        made = []

        async def noted(means: Means, items: Sequence[Item]) -> Checked:
            made.append(items)
            return await check_all(means, items)

        monkeypatch.setattr(beside, "check_all", noted)
        there = await check(ITEMS)
        assert (made, told(there)) == ([ITEMS], told(here)), "the checks were not made here until the child had started"
        async with asyncio.timeout(30):
            while made:
                made.clear()
                there = await check(ITEMS)
        assert told(there) == told(here)
        assert there.left_out == here.left_out
        first = there.found[0]
        assert isinstance(first, Ready)
        assert str(first.resource["extension"][0]["valueDecimal"]) == "1.10"
        child.kill()
        child.join()
        assert told(await check(ITEMS)) == told(here), "the checks were not made here once the child was gone"
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("asked", [False, True])
def test_a_child_that_nobody_waits_for_any_more_ends_without_a_word(
    tables: Tables, capfd: pytest.CaptureFixture[str], asked: bool
) -> None:
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=beside._serve, args=(theirs, tables.settings))
    child.start()
    theirs.close()
    if asked:
        ours.recv()
        ours.send(ITEMS * 50)
    ours.close()
    child.join(30)
    assert (child.exitcode, capfd.readouterr().err) == (0, "")


NUMBERS = ("1.10", "-1e5", "1E2", "-0", "0", "7", "-7", "123456789012345678", "1234567890123456789", "0.0")


@pytest.mark.parametrize("after", ["}", ',"b":1}'])
@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_pass_between_the_processes_as_they_were_read(number: str, after: str) -> None:
    value = decode(f'{{"t":"10:00:00.5, 1.5","a":{number}{after}'.encode())
    for resource in (value, {"list": [1, value["a"]]}):
        ready = Ready("Patient", "p", True, ["s|1"], resource)
        taken = beside._taken(beside._given(ready))
        assert taken == ready
        assert isinstance(taken, Ready)
        assert encode(taken.resource) == encode(resource)


async def test_one_core_is_not_shared(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    async with beside.checks(tables, beside.WORTH) as check:
        assert len((await check(ITEMS)).found) == len(ITEMS)
        assert not multiprocessing.active_children()


async def test_where_no_process_can_be_started_this_one_checks(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(SpawnProcess, "start", start)
    ends = multiprocessing.Pipe()
    monkeypatch.setattr(multiprocessing, "Pipe", lambda: ends)
    async with beside.checks(tables, beside.WORTH) as check:
        assert len((await check(ITEMS)).found) == len(ITEMS)
    assert [one.closed for one in ends] == [True, True]


@pytest.mark.parametrize("cores", [1, None])
async def test_where_the_system_tells_no_cores_of_ours_all_of_the_machine_count(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, cores: int | None
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    async with beside.checks(tables, beside.WORTH) as check:
        assert len((await check(ITEMS)).found) == len(ITEMS)
        assert not multiprocessing.active_children()
