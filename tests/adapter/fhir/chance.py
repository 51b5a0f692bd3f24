"""Random JSON from declarations: what is wanted is declared, `random.Random` chooses.

Hypothesis chooses the seeds (and leaves out what a failure does not need). Drawing the values themselves by Hypothesis
was tried: three searches of four were repetitions of another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

Gen = Callable[[Random], Any]


def mark(values: Sequence[Any]) -> Gen:
    """One of `values`."""
    return lambda chance: chance.choice(values)


def just(value: Any) -> Gen:
    """`value`."""
    return lambda _: value


def one_of(*gens: Gen) -> Gen:
    """What one of `gens` makes."""
    return lambda chance: chance.choice(gens)(chance)


def builds(make: Callable[..., Any], *gens: Gen) -> Gen:
    """`make` of what each of `gens` makes."""
    return lambda chance: make(*(gen(chance) for gen in gens))


def lists(gen: Gen, least: int, most: int) -> Gen:
    """A list of so many."""
    return lambda chance: [gen(chance) for _ in range(chance.randint(least, most))]


def members(required: Mapping[str, Gen], optional: Mapping[str, Gen]) -> Gen:
    """A JSON object: all of `required`, each second of `optional`."""

    def build(chance: Random) -> dict[str, Any]:
        found = {name: gen(chance) for name, gen in required.items()}
        return found | {name: gen(chance) for name, gen in optional.items() if chance.random() < 0.5}

    return build


def pairs(modifiers: Gen, values: Gen) -> Gen:
    """A modifier and a value."""
    return builds(lambda modifier, value: (modifier, value), modifiers, values)


def some(*gens: Gen, most: int = 2) -> Gen:
    """A list of one or more."""
    return lists(one_of(*gens), 1, most)


flags = mark((False, True))
