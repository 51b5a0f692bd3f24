"""The floor of the FHIR cases: bare handlers that do the same MongoDB operations; see `bench.floor`.

A request is read for no more than its keys; what is written copies the size of what the service stores.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.read_concern import ReadConcern

from adapter.scheduling.claims import claims
from adapter.scheduling.indexes import SLOTS_BY_SCHEDULE
from bench.floor_parts import ahead
from store.connection import MAJORITY, Client
from store.documents import Rules, compose, past, stamped
from store.extract import spellings
from store.guards import _FEW
from store.indexing import naming
from store.sharing import part
from store.types import TYPES, key_pattern

Document = dict[str, Any]

_BASE = "/fhir/R4"
_JSON = "application/fhir+json; charset=utf-8"
_RULES = Rules(claims=claims)
_SNAPSHOT = ReadConcern("snapshot")
_BY_ACTOR = key_pattern(("actor", "date", "_id", "status"))
_BY_SCHEDULE = key_pattern(SLOTS_BY_SCHEDULE)
_PAGE = 51


def add(app: FastAPI, client: Client, name: str) -> None:
    """Add the handlers to `app`, on the database `name`."""
    floor = _Floor(client, name)
    app.get(f"{_BASE}/Appointment")(floor.appointments)
    app.get(f"{_BASE}/Slot")(floor.slots)
    app.get(f"{_BASE}/Appointment/{{ident}}")(floor.read)
    app.post(f"{_BASE}/Appointment")(floor.create)
    app.post(_BASE)(floor.transaction)


class _Floor:
    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._database = client[name]
        self._turns = itertools.count()

    async def read(self, ident: str) -> Response:
        """One find."""
        found = await self._database["Appointment"].find_one({"_id": ident}, {"_json": 1})
        return Response(None if found is None else found["_json"], 404 if found is None else 200, media_type=_JSON)

    async def appointments(self, request: Request) -> Response:
        """A page by patient and dates."""
        patient = request.query_params["patient"]
        query = {
            "_index.actor": {"$in": _forms(request, patient)},
            "_index.date": _span(request, "date"),
        }
        return await self._page("Appointment", query, "date", _BY_ACTOR)

    async def slots(self, request: Request) -> Response:
        """A page of free Slots of a Schedule."""
        schedule = request.query_params["schedule"]
        query = {
            "_index.status": "free",
            "_index.schedule": {"$in": _forms(request, schedule)},
            "_index.start": _span(request, "start"),
        }
        return await self._page("Slot", query, "start", _BY_SCHEDULE)

    async def _page(self, kind: str, query: Document, sorted_by: str, hint: list[tuple[str, int]]) -> Response:
        path = f"_index.{sorted_by}"
        page = self._database[kind].find(
            query, {"_json": 1, path: 1}, sort=[(path, 1), ("_id", 1)], limit=_PAGE, batch_size=_PAGE + 1, hint=hint
        )
        body = b"[" + b",".join([one["_json"] for one in await page.to_list()]) + b"]"
        return Response(body, media_type=_JSON)

    async def create(self, request: Request) -> Response:
        """The same look-ups and writes as for an appointment that names no slot."""
        made = _made([orjson.loads(await request.body())])
        await self._transact(made, [])
        return Response(made[0]["_json"], 201, media_type=_JSON)

    async def transaction(self, request: Request) -> Response:
        """The same look-ups and writes for all entries at once."""
        entries = orjson.loads(await request.body())["entry"]
        made = _made([entry["resource"] for entry in entries if entry["request"]["method"] == "POST"])
        slots = [entry["resource"] for entry in entries if entry["request"]["method"] == "PUT"]
        await self._transact(made, slots)
        return Response(b"[" + b",".join([one["_json"] for one in made]) + b"]", media_type=_JSON)

    async def _transact(self, made: Sequence[Document], slots: Sequence[Document]) -> None:
        claimed = sorted({name for one in made for name in one["_index"]["claims"]})
        hours = [name for name in claimed if name.startswith("Practitioner/")]
        people = sorted({name.partition("|")[0] for name in hours})
        named = {name for one in made for name in one["_index"]["actor"]}
        schedules = [name.replace("Practitioner/", "Schedule/schedule-") for name in hours]

        async def attempt(session: AsyncClientSession) -> None:
            async def find(kind: str, query: Document) -> None:
                await self._database[kind].find(query, {"_json": 1}, batch_size=1_000, session=session).to_list()

            theirs: Document = naming("actor", people)
            if slots:
                await find("Slot", {"_id": {"$in": [slot["id"] for slot in slots]}})
                theirs = {"_id": {"$in": [slot["schedule"]["reference"].partition("/")[2] for slot in slots]}}
            queries = [("PractitionerRole", naming("practitioner", people)), ("Schedule", theirs)]
            await ahead(self._database, session, [*queries, ("Appointment", {"_index.claims": {"$in": claimed}})])
            if not slots:
                await find("Slot", {"_index.claims": {"$in": schedules}})
            turn = next(self._turns)
            await self._write(session, made, slots, sorted([*claimed, *(part(name, turn) for name in named)]))

        async with self._client.start_session() as session:
            await session.with_transaction(attempt, read_concern=_SNAPSHOT, write_concern=MAJORITY)

    async def _write(
        self, session: AsyncClientSession, made: Sequence[Document], slots: Sequence[Document], guards: Sequence[str]
    ) -> None:
        now = datetime.now(UTC)
        database = self._database
        await self._guard(session, guards, now)
        history = [past("Appointment", one["_id"], 1, now, "POST", one["_json"]) for one in made]
        if slots:
            changed = [_document(slot, 2, now) for slot in slots]
            await database["Slot"].bulk_write(
                [ReplaceOne({"_id": one["_id"], "meta.versionId": "1"}, one) for one in changed], session=session
            )
            history += [past("Slot", one["_id"], 2, now, "PUT", one["_json"]) for one in changed]
        await database["Appointment"].bulk_write([InsertOne(one) for one in made], session=session)
        await database["history"].insert_many(history, session=session)

    async def _guard(self, session: AsyncClientSession, names: Sequence[str], now: datetime) -> None:
        guards, bump = self._database["guards"], {"$inc": {"n": 1}, "$set": {"at": now}}
        if len(names) <= _FEW:
            bumps = [UpdateOne({"_id": name}, bump, upsert=True) for name in names]
            await guards.bulk_write(bumps, session=session)
            return
        named = {"_id": {"$in": names}}
        there = {one["_id"] for one in await guards.find(named, {"_id": 1}, session=session).to_list()}
        if there:
            await guards.update_many({"_id": {"$in": sorted(there)}}, bump, session=session)
        new = [{"_id": name, "n": 1, "at": now} for name in names if name not in there]
        if new:
            await guards.insert_many(new, session=session)


def _made(resources: Sequence[Document]) -> list[Document]:
    now = datetime.now(UTC)
    return [_document({**resource, "id": str(uuid.uuid4())}, 1, now) for resource in resources]


def _document(resource: Document, version: int, now: datetime) -> Document:
    whole = stamped(resource, version, now)
    return compose(TYPES[whole["resourceType"]], whole, orjson.dumps(whole), now, _RULES)


def _forms(request: Request, name: str) -> list[str]:
    """Return how documents may refer to a resource of this server: relative, or by its address, by http and https."""
    address = f"{str(request.base_url).rstrip('/')}{_BASE}"
    return [name, *(f"{one}/{name}" for one in spellings(address))]


def _span(request: Request, name: str) -> Document:
    bounds: Document = {}
    for value in request.query_params.getlist(name):
        text = value[2:]
        moment = (
            datetime.fromisoformat(text) if "T" in text else datetime.combine(datetime.fromisoformat(text), time(), UTC)
        )
        bounds["$gte" if value.startswith("ge") else "$lt"] = moment
    return bounds
