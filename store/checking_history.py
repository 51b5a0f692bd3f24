"""Is the history whole? Each resource's versions without a gap and fit to be served, the order of all without a gap.

Read as `store.checking` reads: batch by batch, each at one moment; what looks wrong is looked at again by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import orjson

from store.checking import BATCH, SECONDS, Finding, Step
from store.connection import bounded
from store.counters import COUNTERS
from store.documents import history_id, resource_in, version_in
from store.extract import instant, reference_to
from store.history import HISTORY
from store.ordering import COUNTER
from store.reading import Moment
from store.store import Store

_LATEST = 9_999_999_999
_NUMBERS = 10 * BATCH  # of the order, read at once: they are short


async def history(store: Store, batch: int = BATCH) -> AsyncIterator[Step]:
    """Look for gaps in the versions of each resource, and for those that are stored otherwise than they ended."""
    after, kept = "", list[dict[str, Any]]()
    while True:
        async with store.moment(SECONDS) as view:
            query = {"_id": {"$gt": after}}
            find = view.database[HISTORY].find(
                query,
                {"method": 1, "lastUpdated": 1, "_json": 1},
                sort=[("_id", 1)],
                limit=batch,
                batch_size=batch + 1,
                session=view.session,
            )
            found = await bounded(find.to_list, SECONDS)
            flaws = [flaw for one in found for flaw in _unusable(one)]
            keys = [*kept, *({"_id": one["_id"], "method": one["method"]} for one in found)]
            whole = [(name, list(group)) for name, group in groupby(keys, lambda one: resource_in(one["_id"]))]
            kept = []
            if found and whole:  # the last one may have more in the next batch
                kept = whole.pop()[1]
            suspects = await _wrongly_ended(view, whole)
        findings = flaws + [flaw for name in suspects for flaw in await _history_of(store, name)]
        if found or whole:
            yield Step(HISTORY, len(found), findings)
        if not found:
            return
        after = found[-1]["_id"]


def _unusable(found: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with a version that is to be served some day: its bytes are it, and nothing else."""
    if found["method"] == "DELETE":
        return []
    name, number = resource_in(found["_id"]), version_in(found["_id"])
    try:
        resource = orjson.loads(found["_json"])
        said = reference_to(resource), int(resource["meta"]["versionId"])
        moment = instant(resource["meta"]["lastUpdated"])
    except (LookupError, TypeError, ValueError) as error:
        return [Finding("history", name, f"Version {number} in its history cannot be used: {error!r}.")]
    if said != (name, number) or moment != found.get("lastUpdated"):
        text = f"Version {number} in its history is that of another resource, version or moment."
        return [Finding("history", name, text)]
    return []


async def _wrongly_ended(view: Moment, whole: Sequence[tuple[str, list[dict[str, Any]]]]) -> list[str]:
    """Return the resources about which something looks wrong: to be looked at again, each at one moment."""
    stored = await _stored_versions(view, [name for name, _ in whole])
    suspects: list[str] = []
    for name, entries in whole:
        numbers = [version_in(one["_id"]) for one in entries]
        last = None if entries[-1]["method"] == "DELETE" else numbers[-1]
        if numbers != list(range(1, len(numbers) + 1)) or stored.get(name) != last:
            suspects.append(name)
    return suspects


async def _stored_versions(view: Moment, names: Sequence[str]) -> dict[str, int | None]:
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, ident = name.partition("/")
        kinds.setdefault(kind, []).append(ident)
    stored: dict[str, int | None] = {}
    for kind, idents in kinds.items():
        find = view.database[kind].find({"_id": {"$in": idents}}, {"meta.versionId": 1}, session=view.session)
        for one in await bounded(find.to_list, SECONDS):
            version = str(one.get("meta", {}).get("versionId", ""))
            stored[f"{kind}/{one['_id']}"] = int(version) if version.isdecimal() else 0
    return stored


async def _history_of(store: Store, name: str) -> list[Finding]:
    async with store.moment(SECONDS) as view:
        kind, _, ident = name.partition("/")
        query = {"_id": {"$gte": history_id(kind, ident, 0), "$lte": history_id(kind, ident, _LATEST)}}
        find = view.database[HISTORY].find(query, {"method": 1}, sort=[("_id", 1)], session=view.session)
        entries = await bounded(find.to_list, SECONDS)
        stored = (await _stored_versions(view, [name])).get(name)
    numbers = [version_in(one["_id"]) for one in entries]
    return _version_findings(name, numbers, entries[-1]["method"] == "DELETE", stored)


def _version_findings(name: str, versions: Sequence[int], deleted: bool, stored: int | None) -> list[Finding]:
    findings: list[Finding] = []
    missing = sorted(set(range(1, versions[-1] + 1)) - set(versions))
    if missing:
        text = f"Its history lacks version {', '.join(map(str, missing[:5]))}."
        findings.append(Finding("history-gap", name, text))
    if deleted and stored is not None:
        text = f"Its history ends with its deletion, but version {stored} is stored."
        findings.append(Finding("history", name, text))
    elif not deleted and stored is None:
        text = f"Its history ends with version {versions[-1]}, but it is not stored."
        findings.append(Finding("history", name, text))
    elif stored is not None and stored != versions[-1]:
        text = f"Version {stored} is stored, but its history ends with {versions[-1]}."
        findings.append(Finding("history", name, text))
    return findings


async def order(store: Store) -> AsyncIterator[Step]:
    """Look for gaps in the order of the history: its numbers run from 1 to what the counter says."""
    counter = await bounded(lambda: store.database[COUNTERS].find_one({"_id": COUNTER}), SECONDS)
    expected, reached = 0 if counter is None else int(counter.get("value", 0)), 0
    place: dict[str, Any] = {"at": {"$exists": True}}
    while True:
        async with store.moment(SECONDS) as view:
            query = {"seq": {"$gte": 1}, **place}
            find = view.database[HISTORY].find(
                query,
                {"_id": 0, "at": 1, "seq": 1},
                sort=[("at", 1), ("seq", 1)],
                limit=_NUMBERS,
                batch_size=_NUMBERS + 1,
                allow_disk_use=True,
                session=view.session,
            )
            found = await bounded(find.to_list, SECONDS)
        findings: list[Finding] = []
        for one in found:
            if one["seq"] != reached + 1:
                findings.append(_out_of_order(one["seq"], reached))
            reached = max(reached, one["seq"])
        if not found:
            findings = [_out_of_order(expected + 1, reached)] if reached < expected else []
        if findings or found:
            yield Step("order", 0, findings)
        if not found:
            return
        last = found[-1]
        place = {"at": {"$gte": last["at"]}, "$or": [{"at": {"$gt": last["at"]}}, {"seq": {"$gt": last["seq"]}}]}


def _out_of_order(seq: int, reached: int) -> Finding:
    if seq > reached:
        text = f"The order of the history lacks the numbers {reached + 1} to {seq - 1}."
    else:
        text = f"Number {seq} of the history's order comes after {reached}."
    return Finding("order-gap", f"{HISTORY}/{seq}", text)
