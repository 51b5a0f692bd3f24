"""The checker by itself: it refuses histories that are wrong, each in one way, and takes those that are right."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.linearizability import replay
from tests.linearizability.checker import State, apply, check, judge
from tests.linearizability.history import BOOKED, CANCELLED, HELD, Kind, Op, Outcome, Shown, load, save
from tests.scale import examples


def op(kind: Kind, name: str, start: float, end: float | None, outcome: Outcome = "ok", **more: Any) -> Op:
    return Op(name, "c", kind, start, end, outcome, **more)


def book(name: str, start: float, end: float | None, low: int, outcome: Outcome = "ok", length: int = 1) -> Op:
    return op("book", name, start, end, outcome, low=low, high=low + length)


def listed(name: str, start: float, end: float, *shown: Shown) -> Op:
    return op("list", name, start, end, shown=shown)


def at(tag: str, low: int, state: str = BOOKED, length: int = 1, over: bool | None = False) -> Shown:
    return Shown(tag, state, low, low + length, over)


def roomy(*ops: Op, room: int = 2) -> list[Op]:
    """Return calls on a calendar that has room for several."""
    return [replace(one, room=room) for one in ops]


def over(one: Op) -> Op:
    return replace(one, over=True)


def free(name: str, start: float, end: float, *units: int) -> Op:
    return op("free", name, start, end, low=0, high=4, free=units)


A = book("a", 0, 1, 0)
HELD_A = op("hold", "a", 0, 1, low=0, high=1, until=10.0)

RIGHT: dict[str, list[Op]] = {
    "nothing": [],
    "one booking": [A, listed("r", 2, 3, at("a", 0)), free("f", 2, 3, 1, 2, 3)],
    "a read beside a booking may see it": [book("a", 0, 5, 0), listed("r", 1, 2, at("a", 0))],
    "or may not": [book("a", 0, 5, 0), listed("r", 1, 2)],
    "and two reads in their order": [book("a", 0, 9, 0), listed("r", 1, 2), listed("s", 3, 4, at("a", 0))],
    "of two at once one is refused": [book("a", 0, 5, 0), book("b", 1, 4, 0, "refused")],
    "next to each other": [A, book("b", 2, 3, 1), listed("r", 4, 5, at("a", 0), at("b", 1))],
    "cancelled, and booked by another": [
        A,
        op("cancel", "x", 2, 3, tag="a"),
        book("b", 4, 5, 0),
        op("get", "g", 6, 7, tag="a", shown=(at("a", 0, CANCELLED),)),
        listed("r", 6, 7, at("b", 0)),
    ],
    "cancelled twice": [A, op("cancel", "x", 2, 3, tag="a"), op("cancel", "y", 4, 5, "refused", tag="a")],
    "moved": [
        A,
        op("move", "m", 2, 3, tag="a", low=2, high=3),
        book("b", 4, 5, 0),
        listed("r", 6, 7, at("a", 2), at("b", 0)),
    ],
    "moved over itself": [
        book("a", 0, 1, 0, length=2),
        op("move", "m", 2, 3, tag="a", low=1, high=3),
        listed("r", 4, 5, at("a", 1, length=2)),
    ],
    "a move that is in the way of nobody is refused by the one in its way": [
        A,
        book("b", 2, 3, 2),
        op("move", "m", 4, 5, "refused", tag="a", low=2, high=3),
    ],
    "an unknown booking was done": [book("a", 0, None, 0, "unknown"), listed("r", 2, 3, at("a", 0))],
    "an unknown booking was not done": [book("a", 0, None, 0, "unknown"), book("b", 2, 3, 0)],
    "an unknown booking is done late": [
        book("a", 0, 15, 0, "unknown"),
        listed("r", 20, 21),
        listed("s", 22, 23, at("a", 0)),
    ],
    "an unknown cancellation was done": [A, op("cancel", "x", 2, None, "unknown", tag="a"), book("b", 4, 5, 0)],
    "an unknown cancellation was not": [
        A,
        op("cancel", "x", 2, None, "unknown", tag="a"),
        book("b", 4, 5, 0, "refused"),
    ],
    "an unknown read says nothing": [A, op("list", "r", 2, None, "unknown")],
    "a hold is respected, and then lapses": [
        HELD_A,
        book("b", 5, 6, 0, "refused"),
        listed("r", 5, 6, at("a", 0, HELD)),
        book("c", 11, 12, 0),
        op("confirm", "k", 13, 14, "refused", tag="a"),
        op("get", "g", 13, 14, tag="a", shown=(at("a", 0, CANCELLED),)),
    ],
    "a hold is booked, and does not lapse": [
        HELD_A,
        op("confirm", "k", 8, 9, tag="a"),
        book("b", 20, 21, 0, "refused"),
        listed("r", 20, 21, at("a", 0)),
    ],
    "a hold ends while it is read": [HELD_A, listed("r", 9.9, 10.1, at("a", 0, HELD)), book("b", 10.05, 10.2, 0)],
    "a hold that was over when it was stored is seen until its answer": [
        op("hold", "a", 0, 15, low=0, high=1, until=10.0),
        listed("r", 11, 12, at("a", 0, HELD)),
        book("b", 16, 17, 0),
    ],
    "an unknown hold was done, and lapses": [
        op("hold", "a", 0, 15, "unknown", low=0, high=1, until=4.0),
        book("b", 2, 3, 0, "refused"),
        book("c", 40, 41, 0),
    ],
    "what is not stored is not found": [op("get", "g", 0, 1, tag="a")],
    "room for two, and free until the second": roomy(
        A,
        free("f", 2, 3, 0, 1, 2, 3),
        book("b", 4, 5, 0),
        free("g", 6, 7, 1, 2, 3),
        book("c", 6, 7, 0, "refused"),
        listed("r", 8, 9, at("a", 0), at("b", 0)),
    ),
    "of three at once for two one is refused": roomy(
        book("a", 0, 5, 0), book("b", 1, 4, 0), book("c", 1, 4, 0, "refused")
    ),
    "room again when one of two leaves": roomy(
        A, book("b", 2, 3, 0), op("cancel", "x", 4, 5, tag="a"), book("c", 6, 7, 0), free("f", 8, 9, 1, 2, 3)
    ),
    "a hold takes one place of two, and gives it back": roomy(
        HELD_A, book("b", 2, 3, 0), book("c", 5, 6, 0, "refused"), book("d", 11, 12, 0)
    ),
    "moved beside another": roomy(
        A, book("b", 2, 3, 2), op("move", "m", 4, 5, tag="b", low=0, high=1), free("f", 6, 7, 1, 2, 3)
    ),
    "booked over another": [
        A,
        over(book("b", 2, 3, 0)),
        listed("r", 4, 5, at("a", 0), at("b", 0, over=True)),
        listed("s", 4, 5, at("a", 0, over=None), at("b", 0, over=None)),
    ],
    "what was booked over holds on when the other leaves": [
        A,
        over(book("b", 2, 3, 0)),
        op("cancel", "x", 4, 5, tag="a"),
        book("c", 6, 7, 0, "refused"),
        free("f", 6, 7, 1, 2, 3),
    ],
    "moved over another": [
        A,
        over(book("b", 2, 3, 2)),
        over(op("move", "m", 4, 5, tag="b", low=0, high=1)),
        op("get", "g", 6, 7, tag="b", shown=(at("b", 0, over=True),)),
    ],
    "moved as an ordinary one, it is one": [
        over(A),
        op("move", "m", 2, 3, tag="a", low=2, high=3),
        listed("r", 4, 5, at("a", 2)),
    ],
    "moved within time that another was booked over, it was there first": [
        book("a", 0, 1, 0, length=2),
        over(book("b", 2, 3, 0, length=2)),
        op("move", "m", 4, 5, tag="a", low=1, high=3),
        listed("r", 6, 7, at("a", 1, length=2), at("b", 0, length=2, over=True)),
    ],
    "over a full slot for two": roomy(A, book("b", 2, 3, 0), over(book("c", 4, 5, 0)), free("f", 6, 7, 1, 2, 3)),
    "moved within a full slot for two, it keeps its place": roomy(
        book("a", 0, 1, 0, length=2),
        book("b", 2, 3, 0, length=2),
        over(book("c", 4, 5, 0, length=2)),
        op("move", "m", 6, 7, tag="a", low=0, high=1),
        listed("r", 8, 9, at("a", 0), at("b", 0, length=2), at("c", 0, length=2, over=True)),
    ),
    "a computed opening that was offered is held by its reference, and offered again": [
        free("f", 0, 1, 0, 1, 2, 3),
        op("hold", "h", 2, 3, tag="offer", low=0, high=1, until=10.0),
        free("g", 4, 5, 1, 2, 3),
        op("confirm", "k", 6, 7, tag="offer"),
        listed("r", 8, 9, at("offer", 0)),
        op("cancel", "x", 11, 12, tag="offer"),
        free("i", 13, 14, 0, 1, 2, 3),
    ],
}

WRONG: dict[str, list[Op]] = {
    "double booking, answered": [A, book("b", 2, 3, 0)],
    "double booking, at once": [book("a", 0, 5, 0), book("b", 1, 4, 0)],
    "double booking, overlapping": [book("a", 0, 1, 0, length=3), book("b", 2, 3, 2, length=3)],
    "double booking, shown": [
        book("a", 0, None, 0, "unknown"),
        book("b", 0, None, 0, "unknown"),
        listed("r", 2, 3, at("a", 0), at("b", 0)),
    ],
    "lost booking": [A, listed("r", 2, 3)],
    "lost booking, its slot free": [A, free("f", 2, 3, 0, 1, 2, 3)],
    "lost booking, taken by another": [A, op("cancel", "x", 2, None, "unknown", tag="z"), book("b", 4, 5, 0)],
    "lost booking, not found": [A, op("get", "g", 2, 3, tag="a")],
    "lost booking, late": [A, listed("r", 2, 3, at("a", 0)), listed("s", 4, 5)],
    "lost cancellation": [A, op("cancel", "x", 2, 3, tag="a"), listed("r", 4, 5, at("a", 0))],
    "lost move": [A, op("move", "m", 2, 3, tag="a", low=2, high=3), listed("r", 4, 5, at("a", 0))],
    "half a move": [A, op("move", "m", 2, 3, tag="a", low=2, high=3), free("f", 4, 5, 1, 3)],
    "phantom booking": [listed("r", 0, 1, at("a", 0))],
    "phantom of a refused one": [A, book("b", 2, 3, 0, "refused"), listed("r", 4, 5, at("b", 0))],
    "phantom before it was asked": [listed("r", 0, 1, at("a", 0)), book("a", 2, None, 0, "unknown")],
    "phantom slot, busy for nobody": [free("f", 0, 1, 1, 2, 3)],
    "refused without need": [book("a", 0, 1, 0, "refused")],
    "refused without need, next to another": [A, book("b", 2, 3, 1, "refused")],
    "stale read": [A, op("cancel", "x", 2, 3, tag="a"), op("get", "g", 4, 5, tag="a", shown=(at("a", 0),))],
    "stale read, seen and unseen": [book("a", 0, 9, 0), listed("r", 1, 2, at("a", 0)), listed("s", 3, 4)],
    "stale refusal": [A, op("cancel", "x", 2, 3, tag="a"), book("b", 4, 5, 0, "refused")],
    "unknown, done and undone": [
        book("a", 0, None, 0, "unknown"),
        listed("r", 2, 3, at("a", 0)),
        listed("s", 4, 5),
    ],
    "hold broken by a booking": [HELD_A, book("b", 5, 6, 0)],
    "hold broken by a hold": [HELD_A, op("hold", "b", 5, 6, low=0, high=1, until=15.0)],
    "hold broken by a move": [HELD_A, book("b", 2, 3, 2), op("move", "m", 5, 6, tag="b", low=0, high=1)],
    "hold gone early": [HELD_A, free("f", 5, 6, 0, 1, 2, 3)],
    "hold refused to its holder": [HELD_A, op("confirm", "k", 5, 6, "refused", tag="a")],
    "hold never ends": [HELD_A, book("b", 20, 21, 0, "refused")],
    "hold still shown": [HELD_A, listed("r", 20, 21, at("a", 0, HELD))],
    "hold booked after its end": [HELD_A, op("confirm", "k", 20, 21, tag="a")],
    "what is given up while it is read is missing, and what is taken then": [
        A,
        op("move", "m", 2, 6, tag="a", low=1, high=2),
        book("b", 3, 5, 2),
        free("f", 2.5, 5.5, 3),
    ],
    "what moves while it is read is missing in both its places": [
        A,
        op("move", "m", 4, 6, tag="a", low=1, high=2),
        free("f", 4.5, 5.5, 2, 3),
    ],
    "cancelled slot never free": [A, op("cancel", "x", 2, 3, tag="a"), free("f", 4, 5, 1, 2, 3)],
    "cancelled twice, both answered": [A, op("cancel", "x", 2, 3, tag="a"), op("cancel", "y", 4, 5, tag="a")],
    "moved within time that it was booked over others for, as an ordinary one": [
        A,
        over(book("b", 2, 3, 0, length=2)),
        op("move", "m", 4, 5, tag="b", low=0, high=1),
    ],
    "moved onto another": [A, book("b", 2, 3, 2), op("move", "m", 4, 5, tag="b", low=0, high=1)],
    "at another time than it was booked for": [A, listed("r", 2, 3, at("a", 1))],
    "three in a slot for two": roomy(A, book("b", 2, 3, 0), book("c", 4, 5, 0)),
    "three in a slot for two, at once": roomy(book("a", 0, 5, 0), book("b", 1, 4, 0), book("c", 1, 4, 0)),
    "three in a slot for two, shown": roomy(
        *(book(name, 0, None, 0, "unknown") for name in "abc"), listed("r", 2, 3, at("a", 0), at("b", 0), at("c", 0))
    ),
    "two in a slot for one that others have room in": [*roomy(A, room=1), book("b", 2, 3, 0)],
    "refused with a place left": roomy(A, book("b", 2, 3, 0, "refused")),
    "full, and shown as free": roomy(A, book("b", 2, 3, 0), free("f", 4, 5, 0, 1, 2, 3)),
    "a place left, and shown as full": roomy(A, free("f", 2, 3, 1, 2, 3)),
    "a place that was left is never given again": roomy(
        A, book("b", 2, 3, 0), op("cancel", "x", 4, 5, tag="a"), book("c", 6, 7, 0, "refused")
    ),
    "one of a group is lost": roomy(A, book("b", 2, 3, 0), listed("r", 4, 5, at("a", 0))),
    "a third holds a place for two": roomy(A, book("b", 2, 3, 0), op("hold", "c", 4, 5, low=0, high=1, until=15.0)),
    "moved into a full slot for two": roomy(
        A, book("b", 2, 3, 0), book("c", 2, 3, 2), op("move", "m", 4, 5, tag="c", low=0, high=1)
    ),
    "moved out of its place, into a full slot for two": roomy(
        A,
        book("b", 2, 3, 0),
        book("c", 2, 3, 1),
        book("d", 2, 3, 1),
        op("move", "m", 6, 7, tag="a", low=0, high=2),
    ),
    "an ordinary one over another": [over(A), book("b", 2, 3, 0)],
    "an overbooking that is refused": [A, replace(over(book("b", 2, 3, 0)), outcome="refused")],
    "an overbooking that pushes the other out": [A, over(book("b", 2, 3, 0)), listed("r", 4, 5, at("b", 0, over=True))],
    "an overbooking that is lost": [A, over(book("b", 2, 3, 0)), listed("r", 4, 5, at("a", 0, over=None))],
    "an overbooking that is not recorded": [
        A,
        over(book("b", 2, 3, 0)),
        op("get", "g", 4, 5, tag="b", shown=(at("b", 0),)),
    ],
    "an overbooking recorded of one that was none": [A, op("get", "g", 2, 3, tag="a", shown=(at("a", 0, over=True),))],
    "free again while the overbooked one is left": [
        A,
        over(book("b", 2, 3, 0)),
        op("cancel", "x", 4, 5, tag="a"),
        free("f", 6, 7, 0, 1, 2, 3),
    ],
    "booked by another while the overbooked one is left": [
        A,
        over(book("b", 2, 3, 0)),
        op("cancel", "x", 4, 5, tag="a"),
        book("c", 6, 7, 0),
    ],
    "moved over another without saying so": [
        A,
        over(book("b", 2, 3, 2)),
        op("move", "m", 4, 5, tag="b", low=0, high=1),
    ],
    "a computed opening that was taken is offered": [
        op("hold", "h", 2, 3, tag="offer", low=0, high=1, until=20.0),
        free("f", 4, 5, 0, 1, 2, 3),
    ],
    "a computed opening that is gone for good": [
        op("hold", "h", 0, 1, tag="offer", low=0, high=1, until=5.0),
        op("get", "g", 7, 8, tag="offer", shown=(at("offer", 0, CANCELLED),)),
        free("f", 9, 10, 1, 2, 3),
    ],
    "a computed opening that two have booked": [
        op("book", "b", 0, 5, tag="one offer", low=0, high=1),
        op("book", "c", 0, 5, tag="other offer", low=0, high=1),
    ],
    "an offer that is nobody's takes time": [free("f", 0, 1, 0, 1, 2, 3), listed("r", 2, 3, at("offer", 0))],
}


@pytest.mark.parametrize("ops", RIGHT.values(), ids=RIGHT.keys())
def test_a_history_that_is_right_is_taken(ops: list[Op]) -> None:
    assert judge("c", ops).reason == ""


@pytest.mark.parametrize("ops", WRONG.values(), ids=WRONG.keys())
def test_a_history_that_is_wrong_is_refused(ops: list[Op]) -> None:
    assert judge("c", ops).reason


def test_calendars_are_judged_by_themselves() -> None:
    other = replace(book("b", 0, 1, 0), calendar="d")
    assert [verdict.sound for verdict in check([A, other])] == [True, True]
    assert [verdict.sound for verdict in check([A, other, listed("r", 2, 3)])] == [False, True]


def test_a_kept_history_is_judged_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, ops in (RIGHT | WRONG).items():
        save(tmp_path / "h.jsonl", ops, seed=1)
        assert load(tmp_path / "h.jsonl") == ({"seed": 1}, ops)
        assert replay.main(str(tmp_path / "h.jsonl")) == (name in WRONG)
    assert "nothing goes on from" in capsys.readouterr().out


# Histories by the dozen: made by a perfect server, then spread in time; and damaged.

_KINDS: tuple[Kind, ...] = ("book", "book", "book", "cancel", "move", "get", "list", "free")


def perfect(chance: random.Random, length: int) -> list[Op]:
    """Return what a server that does one thing at a time would have answered; spread so that calls overlap."""
    state: State = frozenset()
    room = chance.choice((1, 1, 2, 3))
    found: list[Op] = []
    for number in range(length):
        kind = chance.choice(_KINDS)
        tags = [one.tag for one in state]
        if kind in ("cancel", "move", "get") and not tags:
            kind = "book"
        low = chance.randrange(4)
        asked = op(kind, f"o{number}", number, number + 0.5, low=low, high=low + 1, room=room)
        if kind in ("book", "move") and chance.random() < 0.1:
            asked = over(asked)
        if kind in ("cancel", "move", "get"):
            asked = replace(asked, tag=chance.choice(tags))
        asked = _answered(state, asked)
        after = apply(state, asked)
        assert after is not None
        state = after
        early, late = chance.uniform(0, 2.5), chance.uniform(0, 2.5)
        asked = replace(asked, start=number - early, end=number + late)
        if asked.kind not in ("get", "list", "free") and chance.random() < 0.15:
            asked = replace(asked, outcome="unknown")
        found.append(asked)
    return found


def _answered(state: State, asked: Op) -> Op:
    standing = tuple(one for one in state if one.state != CANCELLED)
    held = [unit for one in standing for unit in range(one.low, one.high)]
    if asked.kind == "list":
        return replace(asked, shown=standing)
    if asked.kind == "get":
        return replace(asked, shown=tuple(one for one in state if one.tag == asked.tag))
    if asked.kind == "free":
        left = tuple(unit for unit in range(4) if held.count(unit) < asked.room)
        return replace(asked, low=0, high=4, free=left)
    return asked if apply(state, asked) is not None else replace(asked, outcome="refused")


@settings(max_examples=examples(120), deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_what_a_perfect_server_answers_is_taken(chance: random.Random, length: int) -> None:
    ops = perfect(chance, length)
    chance.shuffle(ops)
    verdict = judge("c", ops)
    assert verdict.sound, verdict.reason


def damaged(chance: random.Random, ops: list[Op]) -> list[Op]:
    """Change one answer."""
    place = chance.randrange(len(ops))
    one = ops[place]
    if one.kind == "list":
        rest = one.shown[1:] if one.shown else (at("phantom", 0),)
        one = replace(one, shown=rest)
    elif one.kind == "free":
        one = replace(one, free=one.free[1:] if one.free else (0,))
    elif one.kind == "get":
        one = replace(one, shown=tuple(replace(seen, low=seen.low + 1, high=seen.high + 1) for seen in one.shown))
    elif one.outcome == "unknown":
        return ops
    else:
        one = replace(one, outcome="ok" if one.outcome == "refused" else "refused")
    return [*ops[:place], one, *ops[place + 1 :]]


def test_of_histories_with_one_wrong_answer_most_are_refused() -> None:
    """Not all are wrong: what is done beside others may have been answered either way."""
    tried = refused = 0
    for seed in range(80):
        chance = random.Random(seed)
        ops = perfect(chance, 30)
        worse = damaged(chance, ops)
        if worse != ops:
            tried += 1
            refused += not judge("c", worse).sound
    assert refused > 0.7 * tried, f"{refused} of {tried}"
