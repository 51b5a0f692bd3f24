"""The stored form of a resource: readable document, search values and served bytes, made together in one place.

A document is the FHIR resource at the top level, `_id`, `_index` (what searches and sorts use) and `_json`, the
exact bytes that are served. Nothing else composes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from bson.binary import Binary

from store.codec import Resource
from store.dates import as_instant
from store.extract import as_written, identifiers
from store.indexing import named_field
from store.types import ResourceType


@dataclass(frozen=True, slots=True)
class Claims:
    """What a resource takes for itself for a span of time.

    Attributes:
        names: the guards it falls under (``Practitioner/p|2024-01-20T10``): two transactions that write
            resources which share one never both commit unaware of each other.
        span: what is claimed and how, compared to see whether a write changes it.
        whose: whose time it is, by the names that are claimed (``Practitioner/p``).
    """

    names: tuple[str, ...] = ()
    span: tuple[object, ...] = ()
    whose: tuple[str, ...] = ()


NO_CLAIMS = Claims()
_ENTRY, _TIMES = 200, 3  # bytes that go with each text; it stands in the document, in an index and in the log
_BESIDE_STAMP = frozenset({"_versionId", "_lastUpdated"})
KEPT_META = ("security", "tag")
"""What outlives an update that has none of its own."""
ClaimsOf = Callable[[Resource], Claims]


def no_claims(_: Resource) -> Claims:
    """Claim nothing: for stores without a scheduling rule."""
    return NO_CLAIMS


@dataclass(frozen=True, slots=True)
class Rules:
    """What a store needs to be told about the resources it keeps.

    Attributes:
        claims: which guards a resource falls under.
        unique_systems: identifier systems of which no two resources of a type may carry the same value.
        zone: the time zone of dates that name none.
        bases: the service's own FHIR addresses, without a slash at the end: references below them are ours.
        patient_systems: identifier systems that patients alone have: who is named by nothing else is one.
    """

    claims: ClaimsOf = no_claims
    unique_systems: Sequence[str] = ()
    zone: tzinfo = UTC
    bases: tuple[str, ...] = ()
    patient_systems: tuple[str, ...] = ()


def stamped(resource: Resource, version: int, moment: datetime) -> Resource:
    """Return `resource` with the server's ``meta.versionId`` and ``meta.lastUpdated``; other meta is kept.

    What a client has said beside these two (``_lastUpdated``: an id, extensions) was about the values that it sent.
    """
    own = {name: value for name, value in resource.get("meta", {}).items() if name not in _BESIDE_STAMP}
    meta = {**own, "versionId": str(version), "lastUpdated": as_instant(moment)}
    head = {"resourceType": resource["resourceType"], "id": resource["id"], "meta": meta}
    return head | {name: value for name, value in resource.items() if name not in head}


def labelled(after: Resource, before: Resource) -> Resource:
    """Return `after` with the security labels and tags of `before`, each where it has none of its own.

    Who keeps to labels must go on seeing them after an update by a system that knows of none.
    """
    own = after.get("meta", {})
    kept = {name: value for name, value in before["meta"].items() if name in KEPT_META and name not in own}
    return {**after, "meta": {**own, **kept}} if kept else after


def version_of(resource: Resource) -> int:
    """Return the version number of a stored resource."""
    return int(resource["meta"]["versionId"])


def compose(
    declared: ResourceType,
    resource: Resource,
    raw: bytes,
    moment: datetime,
    rules: Rules,
    claims: Claims | None = None,
) -> dict[str, Any]:
    """Return the MongoDB document of a stamped resource and its bytes; `claims` where they are worked out already."""
    index = declared.extract(resource, rules)
    index["_lastUpdated"] = moment
    claims = rules.claims(resource) if claims is None else claims
    if claims.names:
        index["claims"] = list(claims.names)
    if claims.whose and "actor" in declared.named:
        _name_actors(index, claims.whose)
    unique = unique_identifiers(resource, rules)
    if unique:
        index["unique"] = unique
    return {**resource, "_id": resource["id"], "_index": index, "_json": Binary(raw)}


def weight(document: Mapping[str, Any]) -> int:
    """Return about how many bytes of MongoDB's cache the texts take that a document is found by."""
    fields = (found if isinstance(found, list) else (found,) for found in document["_index"].values())
    return sum(_ENTRY + _TIMES * len(one.encode()) for field in fields for one in field if isinstance(one, str))


def _name_actors(index: dict[str, Any], whose: Sequence[str]) -> None:
    """File whose time it takes and is no actor by that name: who is contained, or known by an identifier alone."""
    present = [*index.get("actor", ()), *index.get(named_field("actor"), ())]
    further = [name for name in whose if name not in present]
    if further:
        index[named_field("actor")] = [*index.get(named_field("actor"), ()), *further]


def unique_identifiers(resource: Resource, rules: Rules) -> list[str]:
    """Return the identifiers that no other resource of the type may carry, as they are indexed (``system|value``)."""
    return [
        as_written(system, value)
        for system, value in identifiers(resource, "identifier")
        if system in rules.unique_systems
    ]


def past(
    kind: str, ident: str, version: int, moment: datetime, method: str, raw: bytes | None, *, new: bool = False
) -> dict[str, Any]:
    """Return the history entry of one version: its bytes, or none for a deletion.

    It is `pending` until `store.history` gives it its place in the order of all versions. `new`: there was no such
    resource. If it has versions all the same, the last one is its deletion: that is noted, since the page of a history
    that shows the one need not show the other.
    """
    entry: dict[str, Any] = {
        "_id": history_id(kind, ident, version),
        "type": kind,
        "id": ident,
        "version": version,
        "lastUpdated": moment,
        "method": method,
        "pending": True,
    }
    if raw is not None:
        entry["_json"] = Binary(raw)
    if new and version > 1:
        entry["revives"] = True
    return entry


def history_id(kind: str, ident: str, version: int) -> str:
    """Return the key of one version; keys of one resource sort by version."""
    return f"{kind}/{ident}/{version:010d}"


def resource_in(key: str) -> str:
    """Return which resource the key of a version is about (``Patient/123``)."""
    return key.rpartition("/")[0]


def version_in(key: str) -> int:
    """Return which version a key is that of."""
    return int(key.rpartition("/")[2])
