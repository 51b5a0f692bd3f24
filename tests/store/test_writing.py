"""What clashes is found by a look as well as by the write: whoever is refused is refused for what is there to stay."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from store.documents import compose
from store.errors import AlreadyExists, Clash, NotUnique
from store.store import Store
from store.unit_of_work import UnitOfWork
from store.writing import require_free
from tests.store.support import NUMBERS, RULES, create, numbered, patient, present

Stage = Callable[[UnitOfWork], Awaitable[object]]


class _Looked(Exception):
    """Nothing was found, and nothing is to be written."""


def _number(value: str) -> list[dict[str, str]]:
    return [{"system": NUMBERS, "value": value}]


def _creating(*resources: dict[str, Any]) -> Stage:
    async def stage(work: UnitOfWork) -> None:
        for resource in resources:
            work.create(resource)

    return stage


def _numbering(**numbers: str) -> Stage:
    async def stage(work: UnitOfWork) -> None:
        for ident, number in numbers.items():
            before = await present(work, "Patient", ident)
            work.update(before, {**before, "gender": "other", "identifier": _number(number)})

    return stage


async def _following(work: UnitOfWork) -> None:
    await work.last_version("Patient", "b")
    work.create(patient("b"))


async def _deleting(work: UnitOfWork) -> None:
    work.delete(await present(work, "Patient", "a"))


async def _succeeding(work: UnitOfWork) -> None:
    await _deleting(work)
    work.create(numbered("n", "1"))


CASES: dict[str, tuple[Stage, type[Clash] | None, str | None]] = {
    "nothing": (_creating(), None, None),
    "what is new": (_creating(numbered("n", "3")), None, None),
    "an id that is there": (_creating(patient("n"), patient("b")), AlreadyExists, "Patient/b"),
    "an id that is there, by its next version": (_following, AlreadyExists, "Patient/b"),
    "an id of another type": (_creating({"resourceType": "Location", "id": "a"}), None, None),
    "an id that once was": (_creating(patient("n"), patient("gone")), AlreadyExists, "Patient/gone"),
    "a number that is there": (_creating(patient("m"), numbered("n", "2")), NotUnique, "Patient/n"),
    "a number of another type": (_creating({**numbered("n", "1"), "resourceType": "Location"}), None, None),
    "the second of two types": (
        _creating({"resourceType": "Location", "id": "a"}, numbered("n", "1")),
        NotUnique,
        "Patient/n",
    ),
    "a number of its own": (_numbering(a="1"), None, None),
    "a number changed": (_numbering(a="3"), None, None),
    "another's number": (_numbering(b="1"), NotUnique, "Patient/b"),
    "numbers swapped": (_numbering(a="2", b="1"), None, None),
    "a deletion": (_deleting, None, None),
    "the number of what goes": (_succeeding, None, None),
}


@pytest.mark.parametrize(("stage", "refusal", "name"), CASES.values(), ids=CASES)
async def test_a_look_finds_what_a_write_would_be_refused_for(
    store: Store, stage: Stage, refusal: type[Clash] | None, name: str | None
) -> None:
    await create(store, numbered("a", "1"), numbered("b", "2"), patient("gone"))
    await store.transact(_removal)

    async def look(work: UnitOfWork) -> None:
        await stage(work)
        await require_free(work, work.staged, RULES)
        raise _Looked

    with pytest.raises(refusal or _Looked) as looked:
        await store.transact(look)
    if refusal is None:
        await store.transact(stage)
        return
    with pytest.raises(refusal) as told:
        await store.transact(stage)
    assert isinstance(looked.value, Clash)
    assert isinstance(told.value, Clash)
    assert (looked.value.name, told.value.name) == (name, name)


async def _removal(work: UnitOfWork) -> None:
    work.delete(await present(work, "Patient", "gone"))


async def test_who_clashes_with_one_that_is_written_beside_it_is_named(store: Store) -> None:
    await create(store, numbered("a", "1"), numbered("b", "2"), numbered("c", "3"), numbered("d", "4"))

    async def step(work: UnitOfWork) -> None:
        work.delete(await present(work, "Patient", "d"))
        await _numbering(a="1", b="3", c="2")(work)
        work.create(numbered("n", "1"))

    with pytest.raises(NotUnique) as caught:
        await store.transact(step)
    assert caught.value.name == "Patient/n"


async def test_a_large_resource_is_composed_beside_the_event_loop(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is found by took seconds to work out, in which nobody else was answered."""
    here: dict[str, bool] = {}

    def watched(declared: Any, resource: dict[str, Any], *rest: Any) -> dict[str, Any]:
        here[resource["id"]] = threading.current_thread() is threading.main_thread()
        return compose(declared, resource, *rest)

    monkeypatch.setattr("store.writing.compose", watched)
    await create(store, patient("small"), patient("large", name=[{"family": "ab " * 40_000}]))
    assert here == {"small": True, "large": False}
    assert await store.keys("Patient", {"_index.name": {"$regex": "^ab ab "}}, limit=0) == ["large"]
