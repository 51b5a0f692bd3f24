"""The documents at which rivals meet, one for each claim: whoever changes what is claimed under a name writes to its.

Of two transactions that write to the same one, MongoDB lets one commit (see `store.unit_of_work`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from store.chunks import chunks

GUARDS = "guards"

_FEW = 50  # that are written one by one
_SLICE = 20_000  # named in one query: month-long visits name so many hours that one would be too large


async def bump(
    database: AsyncDatabase[dict[str, Any]], session: AsyncClientSession | None, names: Iterable[str], now: datetime
) -> None:
    """Write to the guards of all `names`, in the transaction of `session`."""
    change = {"$inc": {"n": 1}, "$set": {"at": now}}
    wanted = sorted(names)  # so that rivals who share several meet at the same one first
    guards = database[GUARDS]
    if len(wanted) <= _FEW:
        if wanted:
            bumps = [UpdateOne({"_id": name}, change, upsert=True) for name in wanted]
            await guards.bulk_write(bumps, ordered=True, session=session)
        return
    # Of many most are new (an import), and to insert many at once is a third of the work that it is to look for
    # each and put it there. A rival that put one there meanwhile is met by the insert as well.
    for some in chunks(wanted, _SLICE):
        found = guards.find({"_id": {"$in": some}}, {"_id": 1}, session=session, batch_size=len(some) + 1)
        there = {one["_id"] for one in await found.to_list()}
        new = [{"_id": name, "n": 1, "at": now} for name in some if name not in there]
        if there:
            await guards.update_many({"_id": {"$in": sorted(there)}}, change, session=session)
        if new:
            await guards.insert_many(new, session=session)


__all__ = ["GUARDS", "bump"]
