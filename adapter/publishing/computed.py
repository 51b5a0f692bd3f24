"""The openings of Schedules with weekly hours, for the public: what no Slot is stored for until it is booked.

They are worked out from the same moment (a snapshot read) as the rest of a publication, a few Schedules at a time, so
memory holds the openings of these few.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from adapter.scheduling import busy_times, calendars
from adapter.scheduling.intervals import Interval
from store.chunks import chunks
from store.codec import Resource
from store.reading import Moment

_AT_A_TIME = 10


async def slots(moment: Moment, schedules: Sequence[str], window: Interval, zone: tzinfo) -> AsyncIterator[Resource]:
    """Yield the Slots that are open in `window`, as they are stored or would be.

    Args:
        moment: what to read through.
        schedules: the ids of Schedules with weekly hours.
        window: of time.
        zone: of hours whose Schedule names no time zone.
    """
    reader = calendars.Reader(moment)
    for some in chunks(schedules, _AT_A_TIME):
        few = await reader.find("Schedule", {"_id": {"$in": list(some)}})
        few.sort(key=lambda one: str(one["id"]))
        for calendar in await busy_times.with_busy(reader, await calendars.read(reader, few, zone), window):
            await asyncio.sleep(0)  # other requests go on
            for _, slot, _ in calendar.open(window):
                yield slot


def window(now: datetime, days: int) -> Interval:
    """Return the time for which openings are published: from `now` to the end of the day (UTC) that is `days` later.

    Its end moves once a day, so that a publication stays the same as long as nothing happens.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Interval(now, today + timedelta(days=days + 1)) if days else Interval(now, now)
