"""Answers that are remembered, of texts that come from outside.

`functools.lru_cache` bounds how many there are, and not how long they are: some thousand bodies, headers or names of
some MB each would stay in memory for good. What is asked for again and again is short.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

S = TypeVar("S", bound=Sized)
P = ParamSpec("P")
R = TypeVar("R")

LONGEST = 200
"""Letters (or bytes) of what is remembered: more than references, names, headers and most queries have."""


def remembered(most: int) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Remember the last `most` answers of a pure function whose first argument is a text, those to short texts alone.

    What else it is given has to be short by itself.
    """

    def around(function: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        kept = cast("Callable[Concatenate[S, P], R]", lru_cache(maxsize=most)(function))  # typeshed drops what it takes

        @wraps(function)
        def answer(text: S, /, *others: P.args, **named: P.kwargs) -> R:
            return kept(text, *others, **named) if len(text) <= LONGEST else function(text, *others, **named)

        return answer

    return around
