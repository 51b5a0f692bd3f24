"""Goes through the Slots of a stage once more at its end, as far as they were given up meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from adapter.importing.beside import Check
from adapter.importing.deciding import Writer
from adapter.importing.item import Item, portions
from adapter.importing.waiting import Waiting


async def close(writer: Writer, check: Check, slots: Iterable[Item], freed: Waiting | None, size: int) -> None:
    """Write Slots once more that were given up after their file had been gone through: they may be closed there.

    It stood as busy for its appointment then; whether it is so without it, too, is told by the file alone. What is
    refused of it was refused before, and told.

    Args:
        writer: writes them.
        check: checks them.
        slots: all of the stage; those that were not given up are read, and no more.
        freed: knows which were given up; None: nobody knows for certain, as the import was interrupted.
        size: of a batch.
    """
    for chunk in portions(slots, size, lambda item: item.size):
        if freed is not None:
            named = [(item, _named(item)) for item in chunk]
            given_up = freed.freed({name for _, name in named if name})
            chunk = tuple(item for item, name in named if not name or name in given_up)
        if chunk:
            checked = await check(chunk)
            await writer.write(checked.ready())
    writer.freed.clear()


def _named(item: Item) -> str:
    """Return the Slot that an item says it is; empty where it says none, and the store has to tell."""
    try:
        value = orjson.loads(item.raw) if item.value is None else item.value
    except orjson.JSONDecodeError:
        return ""
    return f"Slot/{value['id']}" if value.get("id") else ""
