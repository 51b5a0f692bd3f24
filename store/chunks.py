"""Long lists in parts: what one command of MongoDB, or one turn of the event loop, takes at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `items` in order, `size` at a time; the last ones may be fewer."""
    return (items[start : start + size] for start in range(0, len(items), size))
