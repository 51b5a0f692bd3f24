"""An item that waits, and how it stands in the table of those (`waiting`): earlier releases have noted less of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from adapter.errors import Problem, Refused
from adapter.importing.item import Item, Referent
from store.codec import encode

Key = tuple[int, int, int]
"""Where an item stands: pass, number of the source, line. Their order is the one in which items come."""


@dataclass(frozen=True, slots=True)
class Row:
    """One item that waits.

    Attributes:
        key: where it stands.
        name: the resource that it was seen to be the last time (``Slot/s``).
        item: what is to be imported.
        refused: why it was not, the last time.
        sign: an identifier, with the type, by which it may be seen to be another one the next time; empty where it came
            with its id.
    """

    key: Key
    name: str
    item: Item
    refused: Refused
    sign: str = ""


def values_of(row: Row) -> tuple[object, ...]:
    """Return the columns of a row, in their order."""
    item, problems = row.item, [asdict(problem) for problem in row.refused.problems]
    refused = orjson.dumps([row.refused.status, problems])
    raw = item.raw if item.value is None else encode(item.value)
    referents = {text: (one.entry, one.tokens) for text, one in item.referents.items()}
    about = [item.ident, item.if_none, referents, item.entry.decode(), item.sought, item.shared, item.roots]
    told = orjson.dumps(about) if any(about) else None
    return (*row.key, row.name, item.kind, int(item.deletes), raw, refused, row.sign, told)


def row_of(values: tuple[int, int, int, str, str, int, bytes, bytes, str, bytes | None]) -> Row:
    """Return the row that stands in columns as `values_of` has them."""
    rank, source, line, name, kind, deletes, raw, refused, sign, told = values
    status, problems = orjson.loads(refused)
    why = Refused([Problem(**problem) for problem in problems], status=status)
    item = Item(line, raw, kind, deletes=bool(deletes))
    if told is not None:
        item.ident, item.if_none, referents, *more = orjson.loads(told)
        more += ["", "", [], []][len(more) :]  # an earlier release has not noted them
        item.entry, item.sought, item.shared, item.roots = more[0].encode(), more[1], tuple(more[2]), tuple(more[3])
        item.referents = {text: Referent(entry, tuple(tokens)) for text, (entry, tokens) in referents.items()}
    return Row((rank, source, line), name, item, why, sign)
