"""Two batches at once come to what they come to one after the other: of two that clash the first stands."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from pymongo.errors import OperationFailure

from adapter.importing.checking import ANYTHING, Ready
from adapter.importing.deciding import Writer
from adapter.importing.item import Referent
from adapter.importing.overlapping import Course, MetError
from adapter.importing.running import Options, run
from adapter.importing.sources import Source
from mappings.systems import DEFAULT_SYSTEMS
from store.snapshot import Snapshot
from store.staged import Staged
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.mediloop.clinic import JAMES, SARAH, Json, appointment, open_clinic, schedule, slot
from tests.conftest import Api
from tests.store.support import create

ROLE = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": f"Practitioner/{SARAH}"}}
BY_ROLE = "PractitionerRole/r"


def ready(ident: str, *claims: str, tokens: Sequence[str] = (), **members: Any) -> Ready:
    return Ready("Appointment", ident, True, [*tokens], {}, claims=claims, **members)


def visit(ident: str, start: str, *, practitioner: str = SARAH, **members: Any) -> Json:
    """Return a booked visit of half an hour that names no Slots."""
    made = appointment(ident, start=start) | members
    for one in made["participant"]:
        if one["actor"].get("reference", "").startswith("Practitioner/"):
            one["actor"] = {"reference": practitioner if "/" in practitioner else f"Practitioner/{practitioner}"}
    return made


async def brought(api: Api, store: Store, folder: Path, visits: Iterable[Json], batch: int) -> list[str]:
    """Import the visits, and return the ids of those that were refused, in the order of the error file."""
    file, errors = folder / "visits.ndjson", folder / "errors.ndjson"
    file.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in visits))
    options = Options("test", errors, folder / "state", batch)
    async for _ in run(api.service, [Source("visits", file)], options):
        pass
    lines = errors.read_bytes().splitlines() if errors.exists() else []
    return [orjson.loads(orjson.loads(one)["resource"])["id"] for one in lines]


async def stored(store: Store) -> list[str]:
    return sorted(await store.keys("Appointment", {}, limit=1_000))


class Held:
    """Lets nothing be written until so many units of work were decided; the first of them is written last of all.

    Fails where they never are: a batch that is decided only when the one before is written.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, decided: int, patience: float = 5) -> None:
        step, written = Writer._step, Store._written
        self.steps = 0
        enough = asyncio.Event()

        async def counted(writer: Writer, work: UnitOfWork, batch: Sequence[Ready]) -> list[str]:
            try:
                return await step(writer, work, batch)
            finally:
                self.steps += 1
                if self.steps >= decided:
                    asyncio.get_running_loop().call_soon(enough.set)

        async def late(store: Store, snapshot: Snapshot, staged: Sequence[Staged]) -> None:
            await asyncio.wait_for(enough.wait(), patience)
            await written(store, snapshot, staged)

        monkeypatch.setattr(Writer, "_step", counted)
        monkeypatch.setattr(Store, "_written", late)


async def test_a_batch_is_decided_while_the_one_before_is_written(
    api: Api, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_clinic(store)
    await create(store, visit("there", "2024-03-02T00:00"))  # two at once in what is empty as yet meet in MongoDB
    held = Held(monkeypatch, 2)
    visits = [visit(f"v{hour}", f"2024-03-01T{hour:02}:00") for hour in range(8)]
    assert await brought(api, store, tmp_path, visits, 4) == []
    assert await stored(store) == ["there", *(f"v{hour}" for hour in range(8))]
    assert held.steps == 2


async def test_what_shares_an_hour_with_the_batch_before_comes_after_it(
    api: Api, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_clinic(store)
    held = Held(monkeypatch, 2, patience=0.5)  # in vain: the second is not decided before the first is written
    first = [visit(f"a{hour}", f"2024-03-01T{hour:02}:00") for hour in range(4)]
    twice = visit("b0", "2024-03-01T03:15", end="2024-03-01T03:45:00Z")
    beside = visit("b1", "2024-03-01T03:30", end="2024-03-01T03:50:00Z")
    others = [visit(f"b{hour}", f"2024-03-01T{hour:02}:00") for hour in range(4, 8)]
    assert await brought(api, store, tmp_path, [*first, *others[:2], twice, beside, *others[2:]], 4) == ["b0"]
    assert await stored(store) == ["a0", "a1", "a2", "a3", "b1", "b4", "b5", "b6", "b7"]
    assert held.steps > 3


async def test_who_is_behind_a_role_is_met_when_all_is_decided(
    api: Api, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_clinic(store)
    await create(store, ROLE)
    Held(monkeypatch, 2)  # the second batch cannot know of the first
    first = [visit(f"a{hour}", f"2024-03-01T{hour:02}:00") for hour in range(3)]
    roles = [visit(f"b{hour}", f"2024-03-01T{hour:02}:00", practitioner=BY_ROLE) for hour in (2, 3, 4)]
    after = [visit(f"c{hour}", f"2024-03-01T{hour:02}:00") for hour in (5, 6, 7)]  # leaves it for one batch
    last = [visit(f"d{hour}", f"2024-03-01T{hour:02}:00") for hour in (8, 9, 10)]
    assert await brought(api, store, tmp_path, [*first, *roles, *after, *last], 3) == ["b2"]
    assert len(await stored(store)) == 11


async def test_what_is_refused_beside_another_batch_is_decided_again_after_it(
    api: Api, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_clinic(store)
    await create(store, visit("there", "2024-03-01T09:00"))
    Held(monkeypatch, 2)
    first = [visit(f"a{hour}", f"2024-03-01T{hour:02}:00") for hour in range(3)]
    second = [visit(f"b{hour}", f"2024-03-01T{hour:02}:00") for hour in (8, 9, 10)]
    assert await brought(api, store, tmp_path, [*first, *second], 3) == ["b9"]
    assert await stored(store) == ["a0", "a1", "a2", "b10", "b8", "there"]


async def test_who_waits_is_not_overtaken_by_the_batch_after(api: Api, store: Store, tmp_path: Path) -> None:
    await open_clinic(store)
    await create(store, ROLE)
    visits = []
    for day in range(1, 9):
        date = f"2024-03-{day:02}"
        visits += [visit(f"a{day}-{hour}", f"{date}T{hour:02}:00") for hour in range(5)]
        visits += [visit(f"a{day}-5", f"{date}T05:00", practitioner=BY_ROLE, end=f"{date}T05:10:00Z")]
        visits += [visit(f"b{day}-{hour}", f"{date}T{hour:02}:00") for hour in range(6, 11)]
        visits += [visit(f"first{day}", f"{date}T05:20", practitioner=BY_ROLE, end=f"{date}T05:40:00Z")]  # waits
        visits += [visit(f"second{day}", f"{date}T05:30", end=f"{date}T05:50:00Z")]
        visits += [visit(f"c{day}-{hour}", f"{date}T{hour:02}:00") for hour in range(11, 16)]
        visits += [visit(f"d{day}-{hour}", f"{date}T{hour:02}:00") for hour in range(16, 22)]
    assert await brought(api, store, tmp_path, visits, 6) == [f"second{day}" for day in range(1, 9)]


@pytest.mark.parametrize("veiled", ["first", "second"])
async def test_who_waits_is_not_overtaken_in_its_own_batch(api: Api, store: Store, tmp_path: Path, veiled: str) -> None:
    await open_clinic(store)
    await create(store, ROLE)
    who = {name: BY_ROLE if name == veiled else SARAH for name in ("first", "second")}
    visits = []
    for day in range(1, 9):
        date = f"2024-03-{day:02}"
        visits += [visit(f"a{day}-{hour}", f"{date}T{hour:02}:00") for hour in range(5)]
        visits += [visit(f"a{day}-5", f"{date}T05:00", practitioner=who["first"], end=f"{date}T05:10:00Z")]
        visits += [visit("first" + str(day), f"{date}T05:20", practitioner=who["first"], end=f"{date}T05:40:00Z")]
        visits += [visit("second" + str(day), f"{date}T05:30", practitioner=who["second"], end=f"{date}T05:50:00Z")]
        visits += [visit(f"b{day}-{hour}", f"{date}T{hour:02}:00") for hour in range(6, 10)]
    assert await brought(api, store, tmp_path, visits, 6) == [f"second{day}" for day in range(1, 9)]


@pytest.mark.parametrize("where", ["here", "in the next batch"])
async def test_who_waits_for_a_room_is_not_overtaken(api: Api, store: Store, tmp_path: Path, where: str) -> None:
    await open_clinic(store)
    await create(store, schedule("room", "Location/room"))
    visits: list[Json] = []
    for day in range(1, 9):
        date = f"2024-03-{day:02}"
        one = slot(f"one{day}", f"{date}T05:20", f"{date}T05:40", of="room")
        two = slot(f"two{day}", f"{date}T05:30", f"{date}T05:50", of="room")
        await create(store, one, two)
        plain = [visit(f"v{day}-{hour}", f"{date}T{hour:02}:00", practitioner="x") for hour in range(24)]
        visits += [*plain[:5], visit(f"a{day}", f"{date}T05:00", end=f"{date}T05:10:00Z"), *plain[6:10]]
        by_one, by_two = ([{"reference": f"Slot/{each['id']}"}] for each in (one, two))
        visits += [visit(f"first{day}", f"{date}T05:20", end=one["end"], slot=by_one)]  # waits for a
        second = visit(f"second{day}", f"{date}T05:30", practitioner=JAMES, end=two["end"], slot=by_two)
        at = 10 if where == "here" else 11
        visits += [*plain[10:at], second, *plain[at:16]]
    assert await brought(api, store, tmp_path, visits, 6) == [f"second{day}" for day in range(1, 9)]


async def test_a_room_is_had_once_whatever_the_batches(
    api: Api, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_clinic(store)
    await create(store, schedule("room", "Location/room"))
    visits: list[Json] = []
    for ident, hour, end in [("a0", 0, 30), ("a1", 1, 30), ("b1", 1, 45), ("b2", 2, 45), ("c2", 2, 30), ("c3", 3, 30)]:
        one = slot(ident, f"2024-03-01T{hour:02}:00", f"2024-03-01T{hour:02}:{end}", of="room")
        await create(store, one)
        taken = [{"reference": f"Slot/{ident}"}]
        visits += [visit(ident, one["start"][:16], practitioner=f"for-{ident}", end=one["end"], slot=taken)]
    Held(monkeypatch, 2)  # the second batch cannot know of the first
    assert await brought(api, store, tmp_path, visits, 2) == ["b1", "c2"]


async def test_what_an_identifier_means_is_met_when_all_is_decided(
    api: Api, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_clinic(store)
    identifier = [{"system": "urn:x", "value": "j"}]
    await create(store, visit("a", "2024-03-01T00:00", status="proposed", identifier=identifier))
    held, written = Held(monkeypatch, 2), Store._written
    failed: list[int] = []

    async def overtaken(store: Store, snapshot: Snapshot, staged: Sequence[Staged]) -> None:
        if not failed:  # the first batch meets somebody else, and is run again when the second has had its time
            failed.append(held.steps)
            await asyncio.sleep(0.3)
            raise OperationFailure("somebody was first", 112, {"errorLabels": ["TransientTransactionError"]})
        await written(store, snapshot, staged)

    monkeypatch.setattr(Store, "_written", overtaken)
    first = [visit("a", "2024-03-01T00:00"), *(visit(f"b{hour}", f"2024-03-01T{hour:02}:00") for hour in (1, 2, 3))]
    anew = visit("", "2024-03-01T10:00", identifier=identifier)
    del anew["id"]
    second = [anew, *(visit(f"c{hour}", f"2024-03-01T{hour:02}:00") for hour in (11, 12, 13))]
    assert await brought(api, store, tmp_path, [*first, *second], 4) == []
    there = {one["_id"]: orjson.loads(one["_json"])["start"] for one in await store.documents("Appointment", {})}
    assert len(there) == 8
    assert there["a"] == "2024-03-01T00:00:00Z"
    assert "2024-03-01T10:00:00Z" in there.values()


@pytest.mark.parametrize("batch", [2, 3, 7, 20])
@pytest.mark.parametrize("seed", range(3))
async def test_of_those_that_clash_the_first_stands_whatever_the_batches(
    api: Api, store: Store, tmp_path: Path, seed: int, batch: int
) -> None:
    await open_clinic(store)
    await create(store, ROLE)
    chance = random.Random(seed)
    visits, numbers = [], set[int]()
    lasting: dict[str, set[int]] = {SARAH: set(), JAMES: set()}
    expected = []
    for number in range(60):
        who, begin, long = chance.choice((SARAH, JAMES)), chance.randrange(160), chance.randint(1, 3)
        name = chance.randrange(300)
        quarters = set(range(begin, begin + long))
        start, end = (f"2024-03-{1 + q // 96:02}T{q // 4 % 24:02}:{q % 4 * 15:02}" for q in (begin, begin + long))
        identifier = [{"system": DEFAULT_SYSTEMS.appointment_number, "value": f"N-{name}"}]
        said = BY_ROLE if who == SARAH and chance.random() < 0.2 else who
        visits.append(visit(f"v{number}", start, practitioner=said, end=f"{end}:00Z", identifier=identifier))
        if quarters.isdisjoint(lasting[who]) and name not in numbers:
            lasting[who] |= quarters
            numbers.add(name)
            expected.append(f"v{number}")
    refused = await brought(api, store, tmp_path, visits, batch)
    assert await stored(store) == sorted(expected)
    assert sorted([*refused, *expected]) == sorted(one["id"] for one in visits)


async def test_what_has_no_batch_before_waits_for_nothing() -> None:
    course = Course([ready("a")])
    assert await course.split([(0, ready("a"))]) == ([], [(0, ready("a"))])
    await course.clear()


@pytest.mark.parametrize(
    ("item", "waits"),
    [
        (ready("n"), False),
        (ready("a"), True),
        (ready("n", "Practitioner/p|1"), True),
        (ready("n", "Practitioner/p|2"), False),
        (ready("n", tokens=["s|1"]), True),
        (ready("n", tokens=["s|2"]), False),
        (ready("n", tokens=["|1"]), False),
        (ready("n", referents={"Appointment/a": Referent(1)}), True),
        (ready("n", referents={"Appointment?identifier=s|1": Referent(0, ("s|1",))}), True),
        (ready("n", referents={"Patient/a": Referent(1, ("s|1",))}), False),
        (ready("b", "Slot/s"), True),  # told by its name to be one of this batch, that came before it
        (ready("n", "PractitionerRole/r|1"), False),
        (ready("n", "Practitioner/p|9"), True),  # where the batch before meets as well, when it is decided
    ],
)
async def test_what_shares_a_claim_a_name_or_an_identifier_waits(item: Ready, waits: bool) -> None:
    first = Course([ready("a", "Practitioner/p|1", tokens=["s|1", "|1"])])
    first.decide(["Practitioner/p|9"])
    rest = list(enumerate([ready("b"), ready("c"), ready("d"), ready("e")]))
    beside, apart = await Course([], first).split([*rest, (4, item)])
    assert (beside, apart) == ((rest, [(4, item)]) if waits else ([*rest, (4, item)], []))


async def test_what_shares_a_claim_with_one_that_waits_waits_too() -> None:
    x, y, z = (f"Practitioner/{one}|1" for one in "xyz")
    first = Course([ready("a", x)])
    first.decide([])
    items = list(enumerate([ready("1"), ready("2", x, y), ready("3", y, z), ready("4", z), *map(ready, "5678")]))
    beside, apart = await Course([], first).split(items)
    assert [number for number, _ in apart] == [1, 2, 3]
    assert [number for number, _ in beside] == [0, 4, 5, 6, 7]


VEILED = [("PractitionerRole/r|1",), ("identifier:s|1|1",), ("Slot/s",), ("Practitioner/q|1", "Slot/s", "Slot/t")]


@pytest.mark.parametrize("claims", VEILED)
async def test_who_may_meet_others_unseen_overtakes_nobody_and_is_overtaken_by_nobody(claims: tuple[str, ...]) -> None:
    veiled, plain = ready("v", *claims), ready("p", "Practitioner/q|7", "Slot/u")
    assert (veiled.is_veiled, plain.is_veiled) == (True, False)
    first = Course([ready("a", "x", *claims[:1])])
    first.decide([])
    others = [ready(one) for one in "12345"]
    course = Course([], first)
    beside, apart = await course.split(list(enumerate([*others, ready("w", "x"), veiled, plain])))
    assert [one.ident for _, one in beside] == [*"12345"]
    assert [one.ident for _, one in apart] == ["w", "v", "p"]
    course.decide([])
    after = asyncio.create_task(Course([], course).split([(0, ready("z"))]))
    await asyncio.sleep(0)
    assert not after.done()  # the batch after this one waits until all of it is decided
    first.end()
    await course.clear()
    course.decide([])
    assert (await after)[0] != []


@pytest.mark.parametrize("where", ["before", "here"])
async def test_what_claims_too_much_to_be_told_meets_everything(where: str) -> None:
    much = ready("m", ANYTHING)
    first = Course([much] if where == "before" else [ready("a")])
    first.decide([])
    items = list(enumerate([*map(ready, "1234"), much]))
    beside, apart = await Course([], first).split(items)
    if where == "before":
        assert (beside, apart) == ([], items)
    else:
        assert (beside, apart) == (items[:4], items[4:])


async def test_where_most_would_wait_all_do() -> None:
    first = Course([ready("a", "x")])
    first.decide([])
    items = list(enumerate([ready("1"), ready("2", "x"), ready("3", "x")]))
    assert await Course([], first).split(items) == ([], items)


async def test_the_later_one_meets_the_earlier_until_that_has_ended() -> None:
    first = Course([])
    first.decide(["g"])
    second = Course([], first)
    second.decide(["h"])
    with pytest.raises(MetError):
        second.decide(["g"])
    first.end()
    second.decide(["g"])
    await second.clear()
    second.decide(["g"])


async def test_what_meets_one_that_waits_waits_too_and_so_does_the_batch_after() -> None:
    with pytest.raises(MetError):
        Course([]).decide(["g", "room"], ["room"])
    first = Course([])
    first.decide(["g"], ["room"])
    with pytest.raises(MetError):
        Course([], first).decide(["room"])


async def test_the_more_often_batches_meet_the_less_is_tried() -> None:
    before = Course([])
    before.decide([])
    tried = []
    for number in range(12):
        course = Course([], before)
        beside, _ = await course.split([(0, ready("a"))])
        if beside:
            tried.append(number)
            course.rest(needed=True)
    assert tried == [0, 2, 5, 10]
    course = Course([], before)
    course.rest(needed=False)
    course.rest(needed=True)
    assert (await course.split([(0, ready("a"))]))[0] == []
    assert (await course.split([(0, ready("a"))]))[0] != []
