"""What every export is made of: resources at one moment, in parts.

The reading is the store's (`store.exporting`); here is its face for the two that export, ``$export`` and the command,
and how both tell what has been deleted.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from store.chunks import chunks
from store.exporting import Cut, Selection, cut_before, deletions, resource, resources, take_cut

__all__ = ["DELETED", "Cut", "Selection", "cut_before", "deleting", "deletions", "resource", "resources", "take_cut"]

DELETED = "deleted.00001.ndjson"
"""The file that tells what has been deleted."""

_BUNDLED = 1_000  # deletions in one line of a file of them


def deleting(names: Sequence[str]) -> list[bytes]:
    """Return the transactions that delete what has been deleted here, as the lines of a file."""
    return [_transaction(some) for some in chunks(names, _BUNDLED)]


def _transaction(names: Sequence[str]) -> bytes:
    entries = [{"request": {"method": "DELETE", "url": name}} for name in names]
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
