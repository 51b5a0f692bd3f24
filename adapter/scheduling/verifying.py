"""Walks through a store and holds every appointment and Slot to the rules of `checking`.

Appointments come in the order of their starts, from an index, so that those of one practitioner that overlap are near
each other however many there are. Each batch is read in a snapshot of its own; what would span two of them, a pair that
overlaps, is read again together before it is told. So a booking in flight raises no alarm.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

from adapter.scheduling import checking, checking_claims
from adapter.scheduling.checking import Sweep
from adapter.scheduling.checking_claims import Roles
from adapter.scheduling.indexes import BY_DATE
from store.checking import BATCH, SECONDS, Finding, Step
from store.chunks import chunks
from store.codec import Resource
from store.connection import bounded
from store.extract import reference, walk
from store.indexing import naming
from store.reading import Moment
from store.store import Store
from store.types import key_pattern

_PAIRS = 500  # looked at again at a time
_ROOMS = 100  # Schedules whose Slots are read together
_LAPSED = 60  # seconds after which somebody should have tidied up


async def appointments(store: Store, batch: int = BATCH) -> AsyncIterator[Step]:
    """Look for appointments of one practitioner that overlap."""
    roles = await _roles(store)
    sweep = Sweep()
    first: dict[str, Any] = {"_index.date": {"$type": "date"}}
    place = first
    while True:
        async with store.moment(SECONDS) as view:
            find = view.database["Appointment"].find(
                {**place, "_index.status": {"$in": sorted(checking_claims.HOLDING)}},
                {"_json": 1, "_index.date": 1},
                sort=key_pattern(BY_DATE)[:2],
                limit=batch,
                batch_size=batch + 1,
                allow_disk_use=True,
                session=view.session,
            )
            found = await bounded(find.to_list, SECONDS)
        if not found:
            return
        pairs: dict[tuple[str, str], None] = {}
        for one in found:
            visit = checking_claims.visit_of(_resource(one), roles)
            if visit is not None:
                pairs.update({(a.name, b.name): None for a, b in sweep.add(visit)})
        yield Step("overlaps", len(found), await _confirmed(store, list(pairs)))
        last = found[-1]
        moment: datetime = last["_index"]["date"]
        place = {
            "_index.date": {"$gte": moment},
            "$or": [{"_index.date": {"$gt": moment}}, {"_id": {"$gt": last["_id"]}}],
        }


def _resource(found: Mapping[str, Any]) -> Resource:
    """Return the resource of a document; what cannot be read is found, and told, elsewhere."""
    try:
        resource = orjson.loads(found["_json"])
    except (KeyError, ValueError):
        resource = None
    return resource if isinstance(resource, dict) else {"id": found["_id"]}


async def _roles(store: Store) -> Roles:
    roles: dict[str, str] = {}
    async for found in _all(store, "PractitionerRole"):
        roles |= checking_claims.behind(map(_resource, found))
    return roles


async def _all(store: Store, kind: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield all documents of a type, some at a time."""
    after = ""
    while found := await store.documents(kind, {"_id": {"$gt": after}}, sort=[("_id", 1)], limit=BATCH):
        yield found
        after = found[-1]["_id"]


async def _confirmed(store: Store, pairs: list[tuple[str, str]]) -> list[Finding]:
    """Look at suspicious pairs again, both of each at one moment."""
    findings: list[Finding] = []
    for some in chunks(pairs, _PAIRS):
        async with store.moment(SECONDS) as view:
            found = await _read(view, "Appointment", {name for pair in some for name in pair})
            named = {name for one in found.values() for name in _actors(one)}
            roles = checking_claims.behind((await _read(view, "PractitionerRole", named)).values())
            slots = await _read(
                view, "Slot", {name for one in found.values() for name in checking_claims.slots_of(one)}
            )
            schedules = await _read(view, "Schedule", {checking_claims.schedule_of(slot) for slot in slots.values()})
            actors = {name for one in schedules.values() for name in _actors(one)}
            of_schedules = await _read(view, "PractitionerRole", actors)
        roles |= checking_claims.behind(of_schedules.values())
        calendars = {name: checking_claims.offered_by(one, roles) for name, one in schedules.items()}
        visits = {name: checking_claims.visit_of(one, roles) for name, one in found.items()}
        for pair in some:
            one, other = (visits.get(name) for name in pair)
            wrong = None if one is None or other is None else checking.overlap(one, other, slots, calendars)
            findings += [] if wrong is None else [wrong]
    return findings


def _actors(resource: Resource) -> list[str]:
    links = [*walk(resource, "participant.actor"), *walk(resource, "actor")]
    return [reference(str(link.get("reference", ""))) for link in links]


async def _read(view: Moment, kind: str, names: Iterable[str]) -> dict[str, Resource]:
    idents = [name.removeprefix(f"{kind}/") for name in names if name.startswith(f"{kind}/")]
    found = await view.documents(kind, {"_id": {"$in": idents}}) if idents else []
    return {f"{kind}/{one['_id']}": _resource(one) for one in found}


async def slots(store: Store, batch: int = BATCH) -> AsyncIterator[Step]:
    """Hold each Slot to the appointments that name it, and to its Schedule."""
    after = ""
    while True:
        async with store.moment(SECONDS) as view:
            found = await view.documents("Slot", {"_id": {"$gt": after}}, sort=[("_id", 1)], limit=batch)
            if not found:
                return
            names = [f"Slot/{one['_id']}" for one in found]
            holders: dict[str, list[Resource]] = {name: [] for name in names}
            for one in await view.documents("Appointment", naming("slot", names)):
                resource = _resource(one)
                for name in set(checking_claims.slots_of(resource)) & holders.keys():
                    holders[name].append(resource)
            resources = [_resource(one) for one in found]
            schedules = await _present(view, "Schedule", {checking_claims.schedule_of(one) for one in resources})
        findings = [
            flaw
            for one, name in zip(resources, names, strict=True)
            for flaw in (*checking.slot_findings(one, holders[name]), *checking.missing_schedule(one, schedules))
        ]
        yield Step("slots", len(found), findings)
        after = found[-1]["_id"]


async def rooms(store: Store, batch: int = BATCH) -> AsyncIterator[Step]:
    """Look for appointments that have one room, or device, at once, by Slots that overlap."""
    known = await _rooms(store)
    schedules = sorted(known, key=lambda name: (known[name], name))  # those of one room beside each other
    while schedules:
        some, schedules = _with_the_last_room(schedules, known)
        async for step in _of_rooms(store, some, known, batch):
            yield step


async def _rooms(store: Store) -> dict[str, str]:
    """Return which rooms Schedules are of (``Schedule/s``)."""
    found: dict[str, str] = {}
    async for schedules in _all(store, "Schedule"):
        of = {f"Schedule/{one['_id']}": checking_claims.room_of(_resource(one)) for one in schedules}
        found |= {name: room for name, room in of.items() if room}
    return found


def _with_the_last_room(schedules: list[str], known: Mapping[str, str]) -> tuple[list[str], list[str]]:
    end = min(_ROOMS, len(schedules))
    while end < len(schedules) and known[schedules[end]] == known[schedules[end - 1]]:
        end += 1
    return schedules[:end], schedules[end:]


async def _of_rooms(store: Store, some: list[str], known: Mapping[str, str], batch: int) -> AsyncIterator[Step]:
    sweep = Sweep()
    last: tuple[datetime, str] | None = None
    while True:
        later: dict[str, Any] = {"_index.start": {"$type": "date"}}
        if last is not None:
            later = {
                "_index.start": {"$gte": last[0]},
                "$or": [{"_index.start": {"$gt": last[0]}}, {"_id": {"$gt": last[1]}}],
            }
        async with store.moment(SECONDS) as view:
            found = await _by_start(view, naming("schedule", some, later)["$or"], batch)
            slots = {f"Slot/{one['_id']}": _resource(one) for one in found}
            holders = await view.documents("Appointment", naming("slot", slots)) if slots else []
        if not found:
            return
        holding: dict[str, list[Resource]] = {}
        for one in map(_resource, holders):
            for name in set(checking_claims.slots_of(one)) & slots.keys():
                holding.setdefault(name, []).append(one)
        pairs: dict[tuple[str, str, str], None] = {}
        for name, slot in slots.items():
            room = known.get(checking_claims.schedule_of(slot), "")
            for visit in (checking_claims.stay(room, slot, one) for one in holding.get(name, ())):
                if visit is not None:
                    pairs.update({(room, a.name, b.name): None for a, b in sweep.add(visit)})
        yield Step("rooms", 0, await _had_twice(store, list(pairs)))
        last = found[-1]["_index"]["start"], found[-1]["_id"]


async def _by_start(view: Moment, queries: Iterable[dict[str, Any]], batch: int) -> list[dict[str, Any]]:
    """Return the first Slots that one of `queries` asks for: each gives them in order from an index, all would not."""
    found: list[dict[str, Any]] = []
    for query in queries:
        find = view.database["Slot"].find(
            query,
            {"_json": 1, "_index.start": 1},
            sort=[("_index.start", 1), ("_id", 1)],
            limit=batch,
            batch_size=batch + 1,
            allow_disk_use=True,
            session=view.session,
        )
        found += await bounded(find.to_list, SECONDS)
    return sorted(found, key=lambda one: (one["_index"]["start"], one["_id"]))[:batch]


async def _had_twice(store: Store, pairs: list[tuple[str, str, str]]) -> list[Finding]:
    """Look at suspicious pairs again, both of each at one moment."""
    findings: list[Finding] = []
    for some in chunks(pairs, _PAIRS):
        async with store.moment(SECONDS) as view:
            found = await _read(view, "Appointment", {name for _, *pair in some for name in pair})
            slots = await _read(
                view, "Slot", {name for one in found.values() for name in checking_claims.slots_of(one)}
            )
            schedules = await _read(view, "Schedule", {checking_claims.schedule_of(slot) for slot in slots.values()})
        of = {name: checking_claims.room_of(one) for name, one in schedules.items()}
        for room, one, other in some:
            both = found.get(one), found.get(other)
            wrong = None if both[0] is None or both[1] is None else checking.doubled(room, both[0], both[1], slots, of)
            findings += [] if wrong is None else [wrong]
    return findings


async def links(store: Store, batch: int = BATCH) -> AsyncIterator[Step]:
    """Look for Slots that appointments hold and that are not there, and for holds that have lapsed."""
    after = ""
    while True:
        async with store.moment(SECONDS) as view:
            found = await view.documents(
                "Appointment",
                {"_id": {"$gt": after}, "_index.status": {"$in": sorted(checking_claims.HOLDING)}},
                fields=("_index.hold",),
                sort=[("_id", 1)],
                limit=batch,
            )
            if not found:
                return
            resources = [_resource(one) for one in found]
            wanted = {name for one in resources for name in checking_claims.slots_of(one)}
            present = await _present(view, "Slot", wanted)
        findings = [flaw for one in resources for flaw in checking.missing_slots(one, present)]
        findings += [
            Finding(
                "lapsed-hold", f"Appointment/{one['_id']}", "The hold has lapsed; who reads or books ends it.", True
            )
            for one in found
            if "hold" in one.get("_index", {}) and (store.now() - one["_index"]["hold"]).total_seconds() > _LAPSED
        ]
        yield Step("links", 0, findings)
        after = found[-1]["_id"]


async def _present(view: Moment, kind: str, names: Iterable[str]) -> set[str]:
    idents = [name.removeprefix(f"{kind}/") for name in names if name.startswith(f"{kind}/")]
    found = await view.keys(kind, {"_id": {"$in": idents}}, limit=len(idents)) if idents else []
    return {f"{kind}/{ident}" for ident in found}
