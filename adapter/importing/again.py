"""Tries again what was refused for what stood in its way, when all the rest is done: until nothing moves any more.

An increment says how things are now, not in which order they became so. What takes a time may stand before what lets
it go, and where two change places neither can go first. So what waits is tried batch by batch, which is decided as a
whole; and when that moves nothing, each item together with those that stand in its way and wait as well.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from adapter.importing import blocking
from adapter.importing.beside import Check
from adapter.importing.books import Books, Outcome, outcomes_of
from adapter.importing.deciding import Writer
from adapter.importing.item import Item
from adapter.importing.waiting import Waiting
from adapter.importing.waiting_row import Key, Row
from adapter.scheduling import holds

_MOST = 200  # that are tried together; that many change places in a ring seldom, and each try has its price


async def settle(writer: Writer, check: Check, books: Books, size: int) -> AsyncGenerator[None]:
    """Go through what waits, again and again while something moves.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    waiting = books.waiting
    moved = True
    while moved and waiting.count:
        moved = False
        await holds.tidy(writer.store)  # nothing is refused for a hold that is over
        for rows in waiting.batches(size):
            moved |= books.note(await _tried(writer, check, rows))
            yield
        if not moved:
            async for step in _together(writer, check, books, size):
                moved |= step
                yield


async def _together(writer: Writer, check: Check, books: Books, size: int) -> AsyncGenerator[bool]:
    waiting = books.waiting
    waiting.begin_round()
    for rows in waiting.batches(size):
        for row in rows:
            group = _group(waiting, row)
            if len(group) > 1 and waiting.try_once(group):
                outcomes = await _all_or_none(writer, check, group)
                if outcomes is not None:
                    yield books.note(outcomes)


def _group(waiting: Waiting, row: Row) -> list[Row]:
    """Return an item with those that stand in its way, in theirs, and so on, as far as they wait; none if too many."""
    found = {
        one.key: one for one in waiting.named([row.name]) if one.key == row.key
    }  # it may have come in with another
    new = list(found.values())
    while new and len(found) <= _MOST:
        wanted = {name for one in new for name in (*blocking.named(one.refused), *blocking.references(one.item.raw))}
        new = [one for one in waiting.named(wanted) if one.key not in found]
        found |= {one.key: one for one in new}
    newest = {found[key].name: found[key] for key in sorted(found)}  # an older version is not needed
    return [] if len(found) > _MOST else [*newest.values()]


async def _all_or_none(writer: Writer, check: Check, group: Sequence[Row]) -> list[Outcome] | None:
    checked = await check([row.item for row in group])
    fit = checked.ready()
    words = await writer.together(fit) if len(fit) == len(group) else None
    return None if words is None else outcomes_of(_seen(group), checked, words)


async def _tried(writer: Writer, check: Check, rows: Sequence[Row]) -> list[Outcome]:
    checked = await check([row.item for row in rows])
    written = await writer.write(checked.ready())
    return outcomes_of(_seen(rows), checked, written)


def _seen(rows: Sequence[Row]) -> list[tuple[Key, Item, str]]:
    return [(row.key, row.item, row.name) for row in rows]
