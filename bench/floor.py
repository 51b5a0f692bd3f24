"""The floor: a bare FastAPI handler that does only the same MongoDB operations and returns ready bytes.

No key, no checks, no mapping: what is left is what the framework, the driver and MongoDB cost, so the ratio to
it is what the service itself costs. ``python -m bench --verify`` holds every command to the service's own:
collection, filter, hint, projection, number and size of what is written, concerns.

Run as ``python -m bench.floor URI DATABASE full|least|constant``; prints its port.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from adapter.mediloop.lists import BY_ACTOR
from adapter.scheduling.status import GRAPH
from bench import data, fhir_floor
from bench.floor_openings import Openings
from bench.floor_parts import Document, Wanted, ahead, days, joined, past
from mappings.systems import DEFAULT_SYSTEMS
from store.connection import MAJORITY, connect
from store.counters import Numbers
from store.extract import token
from store.indexing import naming
from store.sharing import part
from store.types import key_pattern

_SHOWN = [status for status in GRAPH if status != "entered-in-error"]
_DATE_ORDER = [("_index.date", 1), ("_id", 1)]
_BYTES = {"_json": 1}
_BY_ACTOR = key_pattern(BY_ACTOR)
_PEOPLE = re.compile(rb'"reference":"(Patient|Practitioner|Location)/([^"]+)"')
_SCHEDULE = re.compile(rb'"Schedule/([^"]+)"')
_SNAPSHOT = ReadConcern("snapshot")


def create_app(uri: str, database: str, *, least: bool = False) -> FastAPI:
    """Return the floor for a database; with `least` it books with no more than a transaction must hold."""
    floor = Floor(uri, database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await floor.prepare()
        yield
        await floor.client.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    fhir_floor.add(app, floor.client, database)
    app.post("/api/v1/appointments/")(floor.least if least else floor.book)
    app.get("/api/v1/appointments/")(floor.listed)
    app.get("/api/v1/appointments/availability/")(floor.available)
    app.get("/api/v1/appointments/{ident}/")(floor.detail)
    return app


def constant_app() -> FastAPI:
    """Return the measure of machine and framework: every request gets the same small answer."""
    app = FastAPI(openapi_url=None)
    body = orjson.dumps({"resourceType": "Appointment", "id": "constant", "status": "booked"})

    async def constant() -> Response:
        return Response(body, media_type="application/fhir+json")

    app.add_api_route("/{rest:path}", constant, methods=["GET", "POST"])
    return app


class Floor:
    """The handlers and the documents they copy the size of."""

    def __init__(self, uri: str, database: str) -> None:
        self.client = connect(uri)
        self._database: AsyncDatabase[Document] = self.client[database]
        self._appointments = self._database["Appointment"]
        self._slots = self._database["Slot"]
        self._schedules = self._database["Schedule"]
        self._openings = Openings(self._database)
        self._counters = Numbers(self._database)
        self._numbers, self._turns = itertools.count(1), itertools.count()
        self._slot: Document = {}
        self._appointment: Document = {}

    async def prepare(self) -> None:
        """Take one stored document of each kind as the pattern of those that bookings write."""
        slot = await self._slots.find_one()
        appointment = await self._appointments.find_one({"_index.status": "booked"})
        assert slot is not None
        assert appointment is not None
        # The references that a booking adds: the bytes grow with them.
        appointment["slot"] = [{"reference": f"Slot/{slot['_id']}"}]
        del appointment["_json"]
        bare = {name: value for name, value in appointment.items() if not name.startswith("_")}
        appointment["_json"] = orjson.dumps(bare)
        slot["meta"]["versionId"] = "2"
        self._slot, self._appointment = slot, appointment

    async def detail(self, ident: str) -> Response:
        """One find."""
        found = await self._appointments.find_one({"_id": ident}, {"_json": 1})
        if found is None:
            return Response(status_code=404)
        await self._people([found])
        return Response(found["_json"], media_type="application/json")

    async def _people(self, documents: Sequence[Document]) -> None:
        """Those that the documents refer to: answers show their present names."""
        wanted: dict[str, dict[str, None]] = {}
        for document in documents:
            for kind, ident in _PEOPLE.findall(document["_json"]):
                wanted.setdefault(kind.decode(), {})[ident.decode()] = None

        await asyncio.gather(*(self._read(kind, list(idents)) for kind, idents in wanted.items()))

    async def _read(self, kind: str, idents: list[str]) -> list[Document]:
        if len(idents) == 1:
            found = await self._database[kind].find_one({"_id": idents[0]}, {"_json": 1})
            return [] if found is None else [found]
        return await self._database[kind].find({"_id": {"$in": idents}}, {"_json": 1}, batch_size=1_000).to_list()

    async def _roles(self, practitioner: str) -> None:
        """By which of their roles documents may name a practitioner: none here."""
        query = naming("practitioner", [f"Practitioner/{practitioner}"])
        await self._database["PractitionerRole"].find(query, {"_id": 1}, limit=1_000, batch_size=1_001).to_list()

    async def listed(self, request: Request) -> Response:
        """A page and its total."""
        given = request.query_params
        query = {
            "_index.status": {"$in": _SHOWN},
            "_index.date": days(given["date_from"], given["date_to"]),
            "_index.actor": f"Practitioner/{given['practitioner_id']}",
        }
        await self._roles(given["practitioner_id"])
        page = self._appointments.find(query, _BYTES, sort=_DATE_ORDER, limit=20, hint=_BY_ACTOR)
        found, _ = await asyncio.gather(page.to_list(), self._appointments.count_documents(query, hint=dict(_BY_ACTOR)))
        await self._people(found)
        return joined(found)

    async def available(self, request: Request) -> Response:
        """The schedules, a page of their slots and its total, and the schedules of the page: all of one moment."""
        given = request.query_params
        practitioner, span = given.get("practitioner_id"), days(given["date_from"], given["date_to"])
        async with self.client.start_session(snapshot=True) as session:
            found = await self._openings.page(practitioner, span, session)
            names = [
                name.decode() for name in dict.fromkeys(_SCHEDULE.findall(b"".join(one["_json"] for one in found)))
            ]
            of_page = self._schedules.find({"_id": {"$in": names}}, {"_json": 1}, batch_size=1_000, session=session)
            schedules = await of_page.to_list()
        await self._people(schedules)
        return joined(found)

    async def book(self, request: Request) -> Response:
        """The same look-ups, and a transaction of the same reads and writes."""
        wanted = Wanted.of(await request.body())
        database = self._database
        number = await self._counters.next(f"appointment-number-{datetime.now(UTC).year}")
        appointment = self._new(wanted, number)
        claims, now = appointment["_index"]["claims"], datetime.now(UTC)

        async def attempt(session: AsyncClientSession) -> None:
            named = (("Practitioner", wanted.practitioner), ("Location", wanted.facility))
            uhid = {"_index.identifier": {"$in": [token(DEFAULT_SYSTEMS.uhid, wanted.uhid)]}}
            who = [*((kind, {"_id": {"$in": [ident]}}) for kind, ident in named), ("Patient", uhid)]
            *_, patient = await ahead(database, session, who)
            about = [
                ("Slot", {"_id": {"$in": [wanted.slot]}}),
                ("PractitionerRole", naming("practitioner", [f"Practitioner/{wanted.practitioner}"])),
                ("Appointment", {"_index.claims": {"$in": claims}}),
            ]
            await ahead(database, session, about)
            schedule = data.schedule_id(wanted.practitioner)
            await self._schedules.find({"_id": {"$in": [schedule]}}, {"_json": 1}, session=session).to_list()
            bump = {"$inc": {"n": 1}, "$set": {"at": now}}
            turn = next(self._turns)
            shares = [part(f"{kind}/{ident}", turn) for kind, ident in (*named, ("Patient", patient["_id"]))]
            bumps = [UpdateOne({"_id": name}, bump, upsert=True) for name in (*claims, *shares)]
            await database["guards"].bulk_write(bumps, session=session)
            taken = ReplaceOne({"_id": wanted.slot, "meta.versionId": "1"}, self._taken(wanted))
            await self._slots.bulk_write([taken], session=session)
            await self._appointments.bulk_write([InsertOne(appointment)], session=session)
            await database["history"].insert_many(
                [
                    past("Slot", wanted.slot, 2, "PUT", now, self._slot["_json"]),
                    past("Appointment", appointment["_id"], 1, "POST", now, appointment["_json"]),
                ],
                session=session,
            )

        async with self.client.start_session() as session:
            await session.with_transaction(attempt, read_concern=_SNAPSHOT, write_concern=MAJORITY)
        return Response(appointment["_json"], 201, media_type="application/json")

    async def least(self, request: Request) -> Response:
        """A transaction of two writes, slot and appointment: less than any booking that is safe can do."""
        wanted = Wanted.of(await request.body())
        appointment = self._new(wanted, next(self._numbers))

        async def attempt(session: AsyncClientSession) -> None:
            busy = {"$set": {"status": "busy", "_index.status": "busy"}}
            await self._slots.update_one({"_id": wanted.slot}, busy, session=session)
            await self._appointments.insert_one(appointment, session=session)

        async with self.client.start_session() as session:
            await session.with_transaction(attempt, read_concern=_SNAPSHOT, write_concern=MAJORITY)
        return Response(appointment["_json"], 201, media_type="application/json")

    def _new(self, wanted: Wanted, number: int) -> Document:
        ident = str(uuid.uuid4())
        index = {
            **self._appointment["_index"],
            "date": wanted.start,
            "end": wanted.start + timedelta(minutes=data.MINUTES),
            "slot": [f"Slot/{wanted.slot}"],
            "claims": [f"Practitioner/{wanted.practitioner}|{wanted.hour}", f"Slot/{wanted.slot}"],
            "unique": [f"{DEFAULT_SYSTEMS.appointment_number}|APT-2027-F{number:06d}"],
        }
        return {**self._appointment, "_id": ident, "id": ident, "_index": index}

    def _taken(self, wanted: Wanted) -> Document:
        schedule = f"Schedule/{data.schedule_id(wanted.practitioner)}"
        index = {
            **self._slot["_index"],
            "status": "busy",
            "start": wanted.start,
            "end": wanted.start + timedelta(minutes=data.MINUTES),
            "schedule": schedule,
            "claims": [f"{schedule}|{wanted.hour}"],
        }
        return {**self._slot, "_id": wanted.slot, "id": wanted.slot, "status": "busy", "_index": index}


def main() -> None:
    """Serve on a free port, under the same server with the same options as the service."""
    uri, database, kind = sys.argv[1:]
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    app = constant_app() if kind == "constant" else create_app(uri, database, least=kind == "least")
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
    )
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
