"""Which stored resource an item is, and whether it says anything new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapter.errors import Conflict, Problem
from adapter.fhir import meeting
from adapter.importing.checking import Ready
from store.codec import Resource, encode
from store.extract import token
from store.unit_of_work import UnitOfWork


async def identities(work: UnitOfWork, batch: Sequence[Ready], uhids: Sequence[str]) -> list[str]:
    """Return the id of each: its own; that of the resource with its identifiers, where it came without one.

    Who looks for the same identifiers meanwhile, another import or a conditional write, is met where nobody has them.

    Args:
        work: the unit of work to read through.
        batch: the items.
        uhids: the systems of UHIDs.

    Raises:
        Conflict: ``identifier_taken``: a Patient with the UHID of another; ``multiple_matches``.
    """
    ours = tuple(token(system, "") for system in uhids)
    telling = [_telling(ready, ours) for ready in batch]
    carriers = await _carriers(work, batch, telling)
    sought = [(ready.kind, text) for ready, told in zip(batch, telling, strict=True) for text in told]
    work.guard(meeting.place(*one) for one in sought if one not in carriers)
    # What one gives up in the batch, another takes; what one brings, none after it may bring as well.
    keeps = {ready.name: ready.tokens for ready in batch if ready.stated}
    brought: dict[tuple[str, str], str] = {}
    own: list[str] = []
    for entry, (ready, told) in enumerate(zip(batch, telling, strict=True)):
        found: set[str] = set()
        for text in told:
            carried = carriers.get((ready.kind, text), ())
            if ready.stated and ready.ident in carried:
                continue  # it does not use it a second time: the front door let it
            found.update(one for one in carried if text in keeps.get(f"{ready.kind}/{one}", (text,)))
            if ready.stated and (ready.kind, text) in brought:
                found.add(brought[ready.kind, text])
        own.append(_own(entry, ready, found))
        if not ready.if_none or not found:  # else what is there stays as it is
            brought.update(((ready.kind, text), own[-1]) for text in ready.tokens if ready.kind == "Patient")
    return own


async def _carriers(
    work: UnitOfWork, batch: Sequence[Ready], telling: Sequence[Sequence[str]]
) -> dict[tuple[str, str], list[str]]:
    """Return the ids of what is stored that carries an identifier, by the type and the identifier."""
    tokens: dict[str, dict[str, None]] = {}
    for ready, told in zip(batch, telling, strict=True):
        if told:
            tokens.setdefault(ready.kind, {}).update(dict.fromkeys(told))
    carriers: dict[tuple[str, str], list[str]] = {}
    for kind, wanted in tokens.items():
        query = {"_index.identifier": {"$in": list(wanted)}}
        for document in await work.documents(kind, query, fields=("_index.identifier",)):
            for text in document["_index"]["identifier"]:
                carriers.setdefault((kind, text), []).append(document["_id"])
    return carriers


def _telling(ready: Ready, ours: tuple[str, ...]) -> list[str]:
    """Return the identifiers by which it is looked for: all with a system, or what can only be one Patient's.

    And what its entry says that it is to be looked for by.
    """
    if not ready.stated:
        told = [one for one in ready.tokens if not one.startswith("|")]
    else:
        told = [one for one in ready.tokens if one.startswith(ours)] if ready.kind == "Patient" else []
    return [*told, ready.sought] if ready.sought and ready.sought not in told else told


def _own(entry: int, ready: Ready, found: set[str]) -> str:
    if not ready.stated:
        if len(found) > 1:
            text = f"Several {ready.kind} resources carry its identifiers. Give it the id of the one it is."
            raise Conflict(Problem("multiple_matches", text, f"{ready.kind}.identifier", entry=entry))
        return found.pop() if found else ready.ident
    others = sorted(found - {ready.ident})
    if others:
        text = (
            f"Another {ready.kind} carries the same identifier: {ready.kind}/{others[0]}. "
            "Import it under that id, or without an id, to change that one."
        )
        carried = {"resources": [f"{ready.kind}/{one}" for one in others]}
        raise Conflict(Problem("identifier_taken", text, f"{ready.kind}.identifier", carried, entry=entry))
    return ready.ident


def same(one: Resource, other: Resource) -> bool:
    """Tell whether two versions say the same: all but what the server writes into ``meta``.

    A decimal says how exact it is as well (decision 1.3): 1.00 is another than 1, though they are equal.
    """
    if one is other:
        return True
    return (
        len(one) - ("meta" in one) == len(other) - ("meta" in other)
        and all(name == "meta" or (name in other and other[name] == value) for name, value in one.items())
        and _own_meta(one) == _own_meta(other)
        and _sent(one) == _sent(other)
    )


def _sent(resource: Resource) -> bytes:
    return encode({**resource, "meta": _own_meta(resource)}, sort=True)


def _own_meta(resource: Resource) -> dict[str, Any]:
    meta = resource.get("meta", {})
    return {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")}
