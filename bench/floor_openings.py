"""The floor of availability: the look-ups by which the service finds what is open; see `bench.floor`."""

from __future__ import annotations

from datetime import timedelta

import orjson
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from adapter.scheduling.indexes import BY_DATE, SLOTS_BY_SCHEDULE, SLOTS_BY_STATUS
from adapter.scheduling.status import HOLDING
from bench.floor_parts import Document
from store.finishing import LONG
from store.indexing import naming
from store.types import key_pattern

_START_ORDER = [("_index.start", 1), ("_id", 1)]
_BYTES = {"_json": 1}
_BY_DATE, _BY_SCHEDULE, _BY_STATUS = map(key_pattern, (BY_DATE, SLOTS_BY_SCHEDULE, SLOTS_BY_STATUS))
_TAKES = {"_index.date": 1, "_index.end": 1, "_index.claims": 1}


class Openings:
    """What is open in a database: for one practitioner, or for all of them."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._database = database
        self._appointments = database["Appointment"]
        self._slots = database["Slot"]
        self._schedules = database["Schedule"]

    async def page(self, practitioner: str | None, span: Document, session: AsyncClientSession) -> list[Document]:
        """A page of the free slots that begin in a span of time; they are counted, too."""
        query: Document = {"_index.status": "free", "_index.start": span}
        roles = self._database["PractitionerRole"]
        # Schedules with weekly hours, and what of them was booked and given back: none of either here.
        computed: Document = {"_index.computed": True, "_index.active": {"$ne": "false"}}
        if practitioner:
            own = naming("practitioner", [f"Practitioner/{practitioner}"])
            await roles.find(own, {"_id": 1}, limit=1_000, batch_size=1_001, session=session).to_list()
            asked = self._database["Practitioner"].find({"_id": practitioner}, {"_json": 1}, limit=1, session=session)
            await asked.batch_size(2).to_list()
            named: Document = {"$and": [naming("actor", [f"Practitioner/{practitioner}"])]}
            computed |= named
        else:
            things = {"_index.nobodys": True}
            await self._schedules.find(things, {"_id": 1}, batch_size=1_000, session=session).to_list()
        await self._schedules.find(computed, _BYTES, session=session).to_list()
        given_back = {"_index.computed": span}
        await self._slots.find(given_back, {"_id": 1}, batch_size=1_000, session=session).to_list()
        if practitioner:
            active: Document = {"_index.active": {"$ne": "false"}}
            schedules = await self._schedules.find(active | named, _BYTES, session=session).to_list()
            query["_index.schedule"] = {"$in": [f"Schedule/{orjson.loads(one['_json'])['id']}" for one in schedules]}
            await roles.find(own, {"_json": 1}, batch_size=1_000, session=session).to_list()
            spelt = {"_index.schedule:named": query["_index.schedule"], "_index.start": span}
            await self._slots.find(spelt, {"_index.schedule": 1}, batch_size=10_000, session=session).to_list()
        else:
            inactive = {"_index.active": "false"}
            closed = await self._schedules.find(inactive, {"_id": 1}, batch_size=1_000, session=session).to_list()
            query["_index.schedule"] = {"$nin": [f"Schedule/{one['_id']}" for one in closed]}
        await self._long(span, session)
        await self._engaged(practitioner, span, session)
        hint = _BY_SCHEDULE if practitioner else _BY_STATUS
        page = self._slots.find(query, _BYTES, sort=_START_ORDER, limit=20, hint=hint, session=session)
        found = await page.to_list()
        await self._slots.count_documents(query, hint=dict(hint), session=session)
        return found

    async def _long(self, span: Document, session: AsyncClientSession) -> None:
        """Free slots that last until more than a day after the month: there are none."""
        query = {"_index.long": {"$gt": span["$lt"] + timedelta(days=1)}, "_index.start": span, "_index.status": "free"}
        fields = {"_index.long": 1, "_index.schedule": 1}
        await self._slots.find(query, fields, batch_size=10_000, session=session).to_list()

    async def _engaged(self, practitioner: str | None, span: Document, session: AsyncClientSession) -> None:
        """Appointments that keep practitioners from their free slots: none in the month that is searched."""
        query: Document = {"_index.status": {"$in": list(HOLDING)}}
        day = timedelta(days=1)
        if practitioner:
            name = f"Practitioner/{practitioner}"
            dates = {"$gte": span["$gte"], "$lt": span["$lt"] + day}
            hour = f"{name}|{span['$gte'].isoformat()[:13]}"
            query["$or"] = [
                *naming("actor", [name], {"_index.date": dates})["$or"],
                {"_index.claims": {"$in": [hour]}},
            ]
            await self._appointments.find(query, _TAKES, batch_size=1_000, session=session).to_list()
        else:
            before = span["$gte"] - LONG
            long = query | {"_index.long": {"$gt": span["$gte"]}, "_index.date": {"$lt": before}}
            query["_index.date"] = {"$gte": before, "$lt": span["$lt"] + day}
            query["_index.end"] = {"$gt": span["$gte"]}
            usual = self._appointments.find(query, _TAKES, batch_size=1_000, hint=_BY_DATE, session=session)
            await usual.to_list()
            await self._appointments.find(long, _TAKES, batch_size=1_000, session=session).to_list()
