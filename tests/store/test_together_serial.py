"""For units of work that travel together there is an order in which, one by one, they would have done the same.

What a step does is said twice: to the store, and to a model of it that does one after the other.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from store.codec import Resource, decode
from store.documents import version_of
from store.errors import NotUnique
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.store.companions import at_once
from tests.store.support import NUMBERS, RULES, assert_agreement, emptied, patient

Step = Callable[[UnitOfWork], Awaitable[str]]


class Told(NamedTuple):
    """What a step is told to do: `what`, with which Patient, and with which other one, or number."""

    what: str
    ident: str
    other: str


@dataclass
class Model:
    """What is stored.

    Attributes:
        patients: version, number and note of each, by id.
        newest: the newest version that each id ever had.
        referring: who refers to whom.
        remembered: who was the first, by key.
    """

    patients: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    referring: dict[str, str] = field(default_factory=dict)
    remembered: dict[str, str] = field(default_factory=dict)

    def does(self, told: Told, name: str) -> str:
        """Do one step; return its answer."""
        if told.what == "once":
            if told.ident not in self.remembered:
                self.remembered[told.ident] = name
            return self.remembered[told.ident]
        there = self.patients.get(told.ident)
        if told.what == "create":
            return "there" if there else self._put(told.ident, told.other, "")
        if there is None:
            return "absent"
        return self._with(told, there, name)

    def _with(self, told: Told, there: tuple[int, str, str], name: str) -> str:
        _, number, note = there
        if told.what == "number":
            return self._put(told.ident, told.other, note)
        if told.what == "copy":
            source = self.patients.get(told.other)
            return self._put(told.ident, number, "none" if source is None else str(source[0]))
        if told.what == "refer":
            self.referring[name] = told.ident
            return "referred"
        if told.ident in self.referring.values():
            return "kept"
        del self.patients[told.ident]
        self.newest[told.ident] += 1
        return "deleted"

    def _put(self, ident: str, number: str, note: str) -> str:
        if number in {held for other, (_, held, _) in self.patients.items() if other != ident and held != "-"}:
            return "taken"
        version = self.newest.get(ident, 0) + 1
        self.newest[ident] = version
        self.patients[ident] = (version, number, note)
        return str(version)


def numbered(ident: str, number: str, note: str) -> Resource:
    more = {} if number == "-" else {"identifier": [{"system": NUMBERS, "value": number}]}
    return patient(ident, **more, **({"name": [{"text": note}]} if note else {}))


def content(resource: Resource) -> tuple[int, str, str]:
    [number] = [one["value"] for one in resource.get("identifier", ())] or ["-"]
    [note] = [one["text"] for one in resource.get("name", ())] or [""]
    return version_of(resource), number, note


def step_of(told: Told, name: str) -> Step:
    """What `Model.does` does, for the store: what is read is written, or guarded, or referred to."""

    async def once(work: UnitOfWork) -> str:
        found = await work.recall(told.ident)
        if found is not None:
            return found.body.decode()
        work.remember(told.ident, "", 200, name.encode())
        return name

    async def step(work: UnitOfWork) -> str:
        before = await work.read("Patient", told.ident)
        if told.what == "create":
            if before is not None:
                return "there"
            await work.last_version("Patient", told.ident)
            work.guard([f"Patient/{told.ident}"])  # whoever copies it has read that it is not there
            return str(version_of(work.create(numbered(told.ident, told.other, ""))))
        return "absent" if before is None else await changing(work, before)

    async def changing(work: UnitOfWork, before: Resource) -> str:
        _, number, note = content(before)
        if told.what == "refer":
            who = [{"actor": {"reference": f"Patient/{told.ident}"}, "status": "accepted"}]
            work.create({"resourceType": "Appointment", "id": name, "status": "proposed", "participant": who})
            return "referred"
        work.guard([f"Patient/{told.ident}"])
        if told.what == "number":
            return str(version_of(work.update(before, numbered(told.ident, told.other, note))))
        if told.what == "copy":
            work.guard([f"Patient/{told.other}"])
            source = await work.read("Patient", told.other)
            note = "none" if source is None else str(version_of(source))
            return str(version_of(work.update(before, numbered(told.ident, number, note))))
        if await work.find("Appointment", {"_index.actor": {"$in": [f"Patient/{told.ident}"]}}):
            return "kept"
        work.delete(before)
        return "deleted"

    return once if told.what == "once" else step


async def seen(store: Store) -> Model:
    """What is stored, as the model has it."""
    patients = {one["_id"]: content(decode(one["_json"])) for one in await store.documents("Patient", {})}
    referring = {
        one["_id"]: decode(one["_json"])["participant"][0]["actor"]["reference"].partition("/")[2]
        for one in await store.documents("Appointment", {})
    }
    newest: dict[str, int] = {}
    for entry in await store.values("history", {}, ("_id",)):
        kind, ident, version = entry["_id"].split("/")
        if kind == "Patient":
            newest[ident] = max(newest.get(ident, 0), int(version))
    remembered = {one["_id"]: one["body"].decode() for one in await store.values("idempotency", {}, ("body",))}
    return Model(patients, newest, referring, remembered)


def outcomes(first: list[Told], then: list[Told]) -> list[tuple[list[str], Model]]:
    """What the steps `then` may answer and leave, one by one in every order, on what `first` has left."""
    found = []
    for order in itertools.permutations(range(len(then))):
        model = Model()
        for at, told in enumerate(first):
            model.does(told, f"f{at}")
        answers = {at: model.does(then[at], f"t{at}") for at in order}
        found.append(([answers[at] for at in range(len(then))], model))
    return found


def answer(given: Any) -> str:
    if isinstance(given, NotUnique):
        return "taken"
    if isinstance(given, BaseException):
        raise given
    return str(given)


async def require_serial(store: Store, first: list[Told], then: list[Told]) -> None:
    await emptied(store)
    for at, told in enumerate(first):
        await at_rest(store, step_of(told, f"f{at}"))
    results = await at_once(store, *(step_of(told, f"t{at}") for at, told in enumerate(then)))
    got = ([answer(one) for one in results], await seen(store))
    assert got in outcomes(first, then)
    await assert_agreement(store.database, RULES)


async def at_rest(store: Store, step: Step) -> None:
    with contextlib.suppress(NotUnique):
        await store.transact(step)


_IDENT = st.sampled_from("ab")
_TOLD = st.one_of(
    st.builds(Told, st.sampled_from(["create", "number"]), _IDENT, st.sampled_from(["-", "1", "2"])),
    st.builds(Told, st.just("copy"), _IDENT, _IDENT).filter(lambda told: told.ident != told.other),
    st.builds(Told, st.sampled_from(["refer", "delete"]), _IDENT, st.just("")),
    st.builds(Told, st.just("once"), st.just("k"), st.just("")),
)
_BOTH = [Told("create", "a", "1"), Told("create", "b", "-")]
_FIRST = st.lists(st.builds(Told, st.just("create"), _IDENT, st.sampled_from(["-", "1"])), max_size=2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=_FIRST, then=st.lists(_TOLD, min_size=2, max_size=4))
@example(first=_BOTH, then=[Told("copy", "a", "b"), Told("copy", "b", "a")])
@example(first=_BOTH, then=[Told("number", "b", "1"), Told("number", "a", "-")])
@example(first=_BOTH, then=[Told("delete", "a", ""), Told("refer", "a", ""), Told("copy", "b", "a")])
async def test_there_is_an_order_in_which_one_by_one_they_do_the_same(
    store: Store, first: list[Told], then: list[Told]
) -> None:
    await require_serial(store, first, then)
