"""Two batches at once: one is decided while MongoDB writes the one before.

What keeps bookings apart keeps batches apart as well: their guards (`store.unit_of_work`). Nothing that is told here
has to be right for that; it sees to it that two batches do not meet, as the later one would be run again, and that of
two that clash the first stands, as ever. An item that shares with the batch before what both may claim
(`Ready.meets_at`) waits until that is committed, and so does one that shares it with an item which waits. What two
batches meet at that only deciding tells (who is behind a role, in which room a Slot is, which resource an identifier
means) has the later one decided again. So who may meet others at what it does not tell (`Ready.is_veiled`) overtakes
nobody who waits, and is overtaken by nobody. In which rooms those who wait will be is looked up, as nearly every visit
has a Slot, and hardly one of them is a room's alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from adapter.importing.checking import ANYTHING, Ready

Numbered = tuple[int, Ready]

_FIRST_REST, _LONGEST_REST = 1, 32  # batches


class MetError(Exception):
    """A batch meets the one before, which is not committed yet."""


class Course:
    """How far a batch is, as the one after it has to know.

    Args:
        batch: its items.
        before: of the batch before it.
    """

    def __init__(self, batch: Iterable[Ready], before: Course | None = None) -> None:
        self._claimed = {name for ready in batch for name in ready.meets_at}
        self._before = before
        self._rest: Rest = before._rest if before is not None else Rest()
        self._opens = True
        self._decided = asyncio.Event()
        self._ended = asyncio.Event()

    async def split(self, batch: Sequence[Numbered]) -> tuple[list[Numbered], list[Numbered]]:
        """Return what can be decided while the batch before is written, and what has to wait for that.

        Returns when that one is being written, or has ended.
        """
        before = self._before
        if before is None:
            return [], [*batch]
        await before._decided.wait()
        if before._ended.is_set() or self._rest.is_needed():
            return [], [*batch]
        taken, own = set(before._claimed), set[str]()
        beside: list[Numbered] = []
        apart: list[Numbered] = []
        for numbered in batch:
            ready = numbered[1]
            meets_at = ready.meets_at
            # Of the same resource twice the second comes in another transaction than the first.
            waits = not (taken.isdisjoint(meets_at) and own.isdisjoint(ready.told_by))
            if waits or ANYTHING in taken or ANYTHING in meets_at or (apart and ready.is_veiled):
                apart.append(numbered)
                taken.update(meets_at)
                if ready.is_veiled:
                    taken.add(ANYTHING)
                    self._opens = False  # the batch after this one would overtake it
            else:
                beside.append(numbered)
                own.update(ready.told_by)
        return (beside, apart) if len(beside) > len(apart) else ([], [*batch])

    def decide(self, met: Iterable[str], awaited: Iterable[str] = ()) -> None:
        """Note that what can be decided is, and what it meets others at: guards and resources; now it is written.

        `awaited`: where those that wait are going to meet others, beside what they tell themselves.

        Raises:
            MetError: the batch before, which is not committed yet, meets it there as well; or one that waits would be
                overtaken.
        """
        met, awaited = set(met), set(awaited)
        before = self._before
        if before is not None and not before._ended.is_set() and not before._claimed.isdisjoint(met):
            raise MetError
        if not awaited.isdisjoint(met):
            raise MetError
        self._claimed |= met | awaited
        if self._opens:
            self._decided.set()

    def rest(self, *, needed: bool) -> None:
        """Note whether deciding beside the batch before was in vain: the more often, the longer nothing is tried."""
        self._rest.note(needed=needed)

    async def clear(self) -> None:
        """Wait for the end of the batch before; all that is left is decided from then on."""
        if self._before is not None:
            await self._before._ended.wait()
            self._before = None
        self._opens = True

    def end(self) -> None:
        """Note that the batch is written, or will not be."""
        self._decided.set()
        self._ended.set()


class Rest:
    """How long to leave it, where batches meet again and again by what only deciding them tells."""

    def __init__(self) -> None:
        self._next = _FIRST_REST
        self._left = 0

    def is_needed(self) -> bool:
        """Tell whether this batch is to wait for the one before, and count it."""
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def note(self, *, needed: bool) -> None:
        """Leave it for twice as many batches as the last time; or begin anew, where it was no trouble."""
        if needed:
            self._left = self._next
            self._next = min(2 * self._next, _LONGEST_REST)
        else:
            self._next = _FIRST_REST
