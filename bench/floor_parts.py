"""What the handlers of the floor share: a request read, queries read ahead, a version, a span of days, a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import orjson
from fastapi import Response
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from store.foreseen import Foreseen
from store.source import BATCH, Find

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a booking needs of its request."""

    slot: str
    practitioner: str
    facility: str
    uhid: str
    start: datetime
    hour: str

    @classmethod
    def of(cls, raw: bytes) -> Wanted:
        """Read the body of a booking."""
        body = orjson.loads(raw)
        start: str = body["start_time"]
        moment = datetime.fromisoformat(start)
        return cls(
            body["slot_id"], body["practitioner_id"], body["facility_id"], body["patient_uhid"], moment, start[:13]
        )


async def ahead(
    database: AsyncDatabase[Document], session: AsyncClientSession, queries: Iterable[tuple[str, Document]]
) -> list[Document]:
    """Read by one command what `queries` ask for; ``of`` tells of each document which of them it answers."""
    foreseen = Foreseen()
    for kind, query in queries:
        foreseen.expect(Find(kind, query, ("_json",)))
    cursor = await database.aggregate(foreseen.pipeline(), session=session, batchSize=BATCH)
    return await cursor.to_list()


def past(kind: str, ident: str, version: int, method: str, now: datetime, raw: bytes) -> Document:
    """Return a version as the history keeps it, not yet in order."""
    key = f"{kind}/{ident}/{version:010d}"
    return {
        "_id": key,
        "type": kind,
        "id": ident,
        "version": version,
        "lastUpdated": now,
        "method": method,
        "pending": True,
        "_json": raw,
    }


def days(first: str, last: str) -> Document:
    """Return the condition of the days from `first` to `last`."""
    after = date.fromisoformat(last) + timedelta(days=1)
    return {
        "$gte": datetime.combine(date.fromisoformat(first), time(), UTC),
        "$lt": datetime.combine(after, time(), UTC),
    }


def joined(found: list[Document]) -> Response:
    """Return the stored bytes as a list."""
    body = b"[" + b",".join([one["_json"] for one in found]) + b"]"
    return Response(body, media_type="application/json")
