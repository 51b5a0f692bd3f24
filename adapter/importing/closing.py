"""Goes through a stage once more at its end, for the Slots that were given up meanwhile.

One stood as busy for its appointment when its file was gone through; whether it is so without it, too, is told by the
file alone. One that no line of the stage is about has not changed at the source: it is again what it was before, where
an appointment of the stage leaves it busy (`freeing`).
"""

from __future__ import annotations

from collections.abc import Sequence

from adapter.importing.beside import Check
from adapter.importing.checking import Ready
from adapter.importing.deciding import Writer
from adapter.importing.item import SLOTS, VISITS, Item, portions
from adapter.importing.reading import items
from adapter.importing.sources import Source
from adapter.importing.waiting import Waiting
from store.extract import references


async def close(writer: Writer, check: Check, sources: Sequence[Source], freed: Waiting, size: int) -> None:
    """Write Slots once more that were given up.

    What is refused of it was refused before, and told; or it was never asked for.

    Args:
        writer: writes them.
        check: checks them.
        sources: the files of the stage; what was not given up is read, and no more.
        freed: knows what was given up.
        size: of a batch.
    """
    slots = (item for source in sources for item in items(source, SLOTS))
    for chunk in portions(slots, size, lambda item: item.size):
        named = [(item, _named(item)) for item in chunk]
        given_up = freed.freed(name for _, name in named if name)
        chunk = tuple(item for item, name in named if not name or name in given_up)
        if chunk:
            ready = (await check(chunk)).ready()
            await writer.write(ready)
            freed.tell(one.name for one in ready)
    if freed.restores():
        await _restore(writer, sources, freed, size)


async def _restore(writer: Writer, sources: Sequence[Source], freed: Waiting, size: int) -> None:
    visits = (item for source in sources for item in items(source, VISITS))
    for chunk in portions(visits, size, lambda item: item.size):
        naming: dict[str, list[str]] = {}
        for item in chunk:
            visit = item.resource()
            ident = visit.get("id")
            for slot in references(visit, "slot") if item.kind == "Appointment" and isinstance(ident, str) else ():
                naming.setdefault(slot, []).append(f"Appointment/{ident}")
        batch = [
            Ready(
                "Slot",
                one.was["id"],
                stated=True,
                tokens=[],
                resource=one.was,
                left_by=tuple(naming[name]),
                closed=one.closed,
                since=writer.since,
            )
            for name, one in freed.freed(naming).items()
            if one.was is not None
        ]
        if batch:
            await writer.write(batch)


def _named(item: Item) -> str:
    """Return the Slot that an item says it is; empty where it says none, and the store has to tell."""
    ident = item.resource().get("id")
    return f"Slot/{ident}" if ident else ""
