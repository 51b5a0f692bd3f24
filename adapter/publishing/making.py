"""Makes the published files, at most once in five minutes for all processes together, whoever asks how often.

They are made from what is stored, at one moment (a snapshot read), as streams: memory holds a piece of a file, the
names of the places and Schedules, and the openings of a few of these (`computed`).
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import orjson
from pymongo.errors import PyMongoError

from adapter.logs import logger
from adapter.publishing import computed, scrubbing
from adapter.publishing.codes import Codes
from adapter.scheduling import engaged, holds, hours, leave, occupancy
from adapter.scheduling.intervals import Interval
from adapter.service import Service
from adapter.settings import Settings
from store import slotids
from store.chunks import chunks
from store.codec import Resource, decode, encode
from store.connection import bounded, within
from store.dates import shifted
from store.errors import Unreachable
from store.extract import id_of, instant
from store.publications import AHEAD, Publication, Publications
from store.reading import Moment

MAX_AGE = 300
"""Seconds for which an answer may be kept, and for which one is good enough here (SMART Scheduling Links)."""

TYPES = ("Location", "Schedule", "Slot")
_PATIENCE, _PAUSE = 10.0, 0.1  # within what a call may take (docs/reliability.md)
_QUERY = 60.0  # seconds for one of those that tell what is open
_BATCH = 500
_AT_A_TIME = timedelta(days=7)  # of the visits that may keep practitioners from their other Slots


class Publisher:
    """Knows the current publication of one service; one for each process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.stores["live" if service.settings.bulk_publish == "live" else "test"]
        self._publications = Publications(self._store.database)
        self._maker = secrets.token_hex(8)
        self._renewing: asyncio.Task[None] | None = None
        self._present: Publication | None = None

    async def current(self) -> Publication:
        """Return the newest publication; have it made where the last one is too old.

        An old one is good enough while the next is being made, or cannot be.

        Raises:
            TimeoutError: the first one is being made, and that takes long.
            Unreachable: MongoDB did not answer in time.
        """
        if self._present is not None and self._is_fresh(self._present):
            return self._present
        if self._renewing is None or self._renewing.done():  # a hundred who ask at once wait for one
            self._renewing = asyncio.create_task(self._renew())
            self._renewing.add_done_callback(_heard)
        renewing = self._renewing
        await asyncio.wait({renewing}, timeout=_PATIENCE)
        if self._present is not None:
            return self._present
        if renewing.done():
            renewing.result()
        raise TimeoutError

    def _oldest(self) -> datetime:
        return self._service.now() - timedelta(seconds=MAX_AGE)

    def _is_fresh(self, publication: Publication) -> bool:
        return self._oldest() <= publication.checked <= self._service.now() + AHEAD

    async def _renew(self) -> None:
        with within(math.inf):  # it is for all who ask in the next minutes, and may take longer than a request
            self._present = await self._publications.current()
            while self._present is None or not self._is_fresh(self._present):
                mine = await self._made()
                self._present = await self._publications.current()
                if mine or self._present is not None:
                    break  # an old one is good enough while another process makes the next
                await asyncio.sleep(_PAUSE)

    async def _made(self) -> bool:
        """Make the next one, unless another process is at it; tell whether it was made."""
        try:
            mine = await self._publications.claim(self._service.now(), self._oldest(), self._maker)
            if mine:
                await bounded(self._make, None)
        except BaseException:  # of the claim, too: it may stand though its answer was lost
            with suppress(Unreachable, PyMongoError):  # if this fails as well, it stands for others until it ends
                await self._publications.release(self._maker)
            raise
        return mine

    async def close(self) -> None:
        """Leave what is being made to others."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})

    async def named(self, name: str) -> Publication | None:
        """Return a publication that is still kept."""
        if self._present is not None and self._present.name == name:
            return self._present
        return await self._publications.named(name)

    def read(self, name: str, kind: str) -> AsyncIterator[bytes]:
        """Yield a file."""
        return self._publications.read(name, kind)

    async def _make(self) -> None:
        now = self._service.now()
        draft = await self._publications.draft(secrets.token_hex(8), now)
        async with holds.settled(self._store, _QUERY) as moment:
            codes = Codes(self._service.systems, self._service.settings.uhid_pattern)
            lines = _Lines(self._service.settings, codes, moment, now)
            # Which places are told of, and of which Schedules the Slots, the Schedules tell.
            await draft.write("Schedule", lines.schedules())
            await draft.write("Slot", lines.slots())
            await draft.write("Location", lines.locations())
        await self._publications.publish(draft, now)


def _heard(renewing: asyncio.Task[None]) -> None:
    """Take note of how it ended, though nobody may be waiting any more."""
    if renewing.cancelled():
        return
    error = renewing.exception()
    if error is not None and not isinstance(error, Unreachable):
        logger.error("publishing_failed", exc_info=error)


class _Lines:
    """The lines of the files, as of one moment; what one file tells, the next one knows."""

    def __init__(
        self,
        settings: Settings,
        codes: Codes,
        moment: Moment,
        now: datetime,
    ) -> None:
        self._settings = settings
        self._codes = codes
        self._moment = moment
        self._now = now
        self._places: set[str] = set()  # that published Schedules name
        self._schedules: set[str] = set()
        self._weekly: list[str] = []  # those of them that have weekly hours, by id
        self._judged = Interval(now, now)  # the starts of the Slots that are looked into
        self._closed: frozenset[str] = frozenset()  # which of these nobody can have

    async def schedules(self) -> AsyncIterator[bytes]:
        async for few in self._parts("Schedule", {}, [("_id", 1)]):
            for line in await self._schedules_of(few):
                yield line

    async def _schedules_of(self, few: Sequence[Resource]) -> list[bytes]:
        """Return the lines of some Schedules; note them, and the places that they name."""
        there = {f"Location/{one['id']}" async for one in self._places_of(scrubbing.places(few))}
        lines = []
        for stored in few:
            made = scrubbing.schedule(stored, there, self._codes)
            if made is not None:
                self._schedules.add(f"Schedule/{made['id']}")
                self._places.add(made["actor"][0]["reference"])
                if hours.is_computed(stored):
                    self._weekly.append(made["id"])
                lines.append(_line(made))
        return lines

    async def locations(self) -> AsyncIterator[bytes]:
        """Yield the places that a published Schedule names: nobody books at another, and it may be a patient's home."""
        async for made in self._places_of(self._places):
            yield _line(made)

    async def _places_of(self, names: Iterable[str]) -> AsyncIterator[Resource]:
        """Yield what is public of Locations, by reference; in the order of their ids."""
        idents = sorted(id_of(name) for name in names)
        for some in chunks(idents, _BATCH):
            async for raw in self._stored("Location", {"_id": {"$in": some}}, [("_id", 1)]):
                made = scrubbing.location(decode(raw), self._codes)
                if made is not None:
                    yield made

    async def slots(self) -> AsyncIterator[bytes]:
        async for slot in self._open_or_stored():
            made = scrubbing.slot(slot, self._codes, self._settings.booking_link, self._settings.booking_phone)
            if made is not None and made["schedule"]["reference"] in self._schedules:
                yield _line(made)

    async def _open_or_stored(self) -> AsyncIterator[Resource]:
        # What has begun cannot be booked, and would be told of for ever.
        query = {"_index.start": {"$gt": self._now}}
        async for few in self._parts("Slot", query, [("_index.start", 1), ("_id", 1)]):
            for stored in await self._with_places_left(few):
                # One that was booked and given back is open if the hours still say so: it comes with them, and no
                # further ahead than they do.
                if stored["status"] != "free":
                    yield stored
                elif not slotids.is_computed(stored):
                    yield {**stored, "status": "busy"} if await self._is_closed(stored) else stored
        window = computed.window(self._now, self._settings.publish_days)
        async for slot in computed.slots(self._moment, self._weekly, window, self._settings.zone):
            yield slot

    async def _with_places_left(self, few: Sequence[Resource]) -> list[Resource]:
        """Return Slots as they are for who comes next: a free one for several with the places that nobody holds."""
        several = {f"Slot/{one['id']}" for one in few if one["status"] == "free" and occupancy.capacity(one) > 1}
        held = await engaged.holders(self._moment, several)
        return [
            occupancy.left(one, len(held.get(name, ()))) if (name := f"Slot/{one['id']}") in several else one
            for one in few
        ]

    async def _is_closed(self, slot: Resource) -> bool:
        """Tell whether the practitioner, or room, of a free Slot is engaged, or away; Slots come in order of starts."""
        start = instant(slot["start"])
        if start is not None and start >= self._judged.end:
            self._judged = Interval(start, shifted(start, _AT_A_TIME))
            reach = await engaged.near(self._moment, self._judged, None)
            taken = await engaged.slots(self._moment, self._judged, reach, None)
            taken += await engaged.in_rooms(self._moment, self._judged, reach, None)
            away = await leave.slots(self._moment, self._judged, None, self._settings.zone)
            self._closed = frozenset((*taken, *away))
        return slot["id"] in self._closed

    async def _parts(
        self, kind: str, query: dict[str, Any], order: list[tuple[str, int]]
    ) -> AsyncIterator[list[Resource]]:
        """Yield what is stored, some at a time."""
        few: list[Resource] = []
        async for raw in self._stored(kind, query, order):
            few.append(orjson.loads(raw))
            if len(few) == _BATCH:
                yield few
                few = []
        yield few

    async def _stored(self, kind: str, query: dict[str, Any], order: list[tuple[str, int]]) -> AsyncIterator[bytes]:
        found = self._moment.database[kind].find(
            query, {"_json": 1, "_id": 0}, sort=order, batch_size=_BATCH, session=self._moment.session
        )
        number = 0
        async for one in found:
            number += 1
            if number % 100 == 0:
                await asyncio.sleep(0)  # other requests go on
            yield one["_json"]


def _line(resource: Resource) -> bytes:
    return encode(resource) + b"\n"
