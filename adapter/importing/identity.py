"""Which stored resource an item is, and whether it says anything new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from adapter.errors import Conflict, Problem
from adapter.fhir import meeting
from adapter.importing.carriers import Carriers
from adapter.importing.checking import Ready
from adapter.importing.item import name_without_id
from mappings.systems import Systems
from store.codec import Resource, encode
from store.extract import token
from store.unit_of_work import UnitOfWork

_UNIQUE = {"Patient": "UHID", "Appointment": "appointment number"}
"""What `unique_systems` are of, by type."""


async def identities(work: UnitOfWork, batch: Sequence[Ready], systems: Systems) -> list[str]:
    """Return the id of each: its own; that of the resource with its identifiers, where it came without one.

    Who looks for the same identifiers meanwhile, another import or a conditional write, is met where nobody has them.

    Args:
        work: the unit of work to read through.
        batch: the items.
        systems: of the deployment: which identifiers tell who is who.

    Raises:
        Conflict: ``identifier_taken``: a Patient with the UHID of another; ``multiple_matches``.
    """
    ours = tuple(token(system, "") for system in systems.all_uhid)
    telling = [_telling(ready, ours) for ready in batch]
    carriers = await _carriers(work, batch, telling, systems)
    sought = [(ready.kind, text) for ready, told in zip(batch, telling, strict=True) for text in told]
    work.guard(meeting.place(*one) for one in sought if not carriers.of(*one))
    # What one gives up in the batch, another takes; what one brings, none after it may bring as well.
    for ready in batch:
        if ready.stated:
            carriers.become(ready.kind, ready.ident, ready.tokens)
    await _look_under(work, batch, telling, carriers)
    brought: dict[tuple[str, str], str] = {}
    own: list[str] = []
    for entry, (ready, told) in enumerate(zip(batch, telling, strict=True)):
        if ready.stated:
            found: set[str] = set()
            for text in told:
                carried = carriers.of(ready.kind, text)
                if ready.ident in carried:
                    continue  # it does not use it a second time: the front door let it
                found.update(carried)
                if (ready.kind, text) in brought:
                    found.add(brought[ready.kind, text])
            own.append(_stated(entry, ready, found))
        else:
            found = carriers.meant(ready.kind, told)
            own.append(_found(entry, ready, found, carriers) or _new(entry, ready, told, carriers))
        if not ready.if_none or not found:  # else what is there stays as it is
            brought.update(((ready.kind, text), own[-1]) for text in ready.tokens if ready.kind == "Patient")
    return own


async def _carriers(
    work: UnitOfWork, batch: Sequence[Ready], telling: Sequence[Sequence[str]], systems: Systems
) -> Carriers:
    tokens: dict[str, dict[str, None]] = {}
    for ready, told in zip(batch, telling, strict=True):
        if told:
            tokens.setdefault(ready.kind, {}).update(dict.fromkeys(told))
    carriers = Carriers(systems)
    for kind, wanted in tokens.items():
        query = {"_index.identifier": {"$in": list(wanted)}}
        carriers.add(kind, await work.documents(kind, query, fields=("_index.identifier",)))
    return carriers


async def _look_under(
    work: UnitOfWork, batch: Sequence[Ready], telling: Sequence[Sequence[str]], carriers: Carriers
) -> None:
    """Look who is stored under the ids that those would get who are nobody known, and who can be told from others."""
    idents: dict[str, dict[str, None]] = {}
    for ready, told in zip(batch, telling, strict=True):
        if not ready.stated and carriers.unique(ready.kind, told) and not carriers.meant(ready.kind, told):
            idents.setdefault(ready.kind, {}).update(dict.fromkeys(_free(ready, told, carriers)))
    for kind, wanted in idents.items():
        query = {"_id": {"$in": list(wanted)}}
        carriers.add(kind, await work.documents(kind, query, fields=("_index.identifier",)))


def _telling(ready: Ready, ours: tuple[str, ...]) -> list[str]:
    """Return the identifiers by which it is looked for: all with a system, or what can only be one Patient's.

    And what its entry says that it is to be looked for by.
    """
    if not ready.stated:
        return list(ready.told)
    told = [one for one in ready.tokens if one.startswith(ours)] if ready.kind == "Patient" else []
    return [*told, ready.sought] if ready.sought and ready.sought not in told else told


def _found(entry: int, ready: Ready, found: set[str], carriers: Carriers) -> str:
    """Return the id of the one that carries its identifiers; empty: nobody does."""
    asked = set(carriers.of(ready.kind, ready.sought))
    if asked and asked.isdisjoint(found):
        own = _UNIQUE[ready.kind]
        text = (
            f"Its criteria mean another {ready.kind} than its {own}. Give criteria by that, or the id of the one it is."
        )
        raise _taken(entry, ready, text, asked)
    if len(found) > 1:
        text = f"Several {ready.kind} resources carry its identifiers. Give it the id of the one it is."
        raise Conflict(Problem("multiple_matches", text, f"{ready.kind}.identifier", entry=entry))
    return next(iter(found), "")


def _new(entry: int, ready: Ready, told: Sequence[str], carriers: Carriers) -> str:
    """Return an id that nobody has who is certainly another: a ``urn:uuid`` may have been used before."""
    free = _free(ready, told, carriers)
    for ident in free:
        if not carriers.is_another(ready.kind, ident, told):
            return ident
    text = f"Another {ready.kind} has the id that is made of its {_UNIQUE[ready.kind]}. Give it an id of its own."
    raise _taken(entry, ready, text, free)


def _free(ready: Ready, told: Sequence[str], carriers: Carriers) -> list[str]:
    """Return the ids that it may get: the one that was made for it, or else of what only it has."""
    made = [name_without_id(ready.kind, text) for text in carriers.unique(ready.kind, told)[:1]]
    return list(dict.fromkeys((ready.ident, *made)))


def _stated(entry: int, ready: Ready, found: set[str]) -> str:
    others = found - {ready.ident}
    if others:
        text = (
            f"Another {ready.kind} carries the same identifier: {ready.kind}/{min(others)}. "
            "Import it under that id, or without an id, to change that one."
        )
        raise _taken(entry, ready, text, others)
    return ready.ident


def _taken(entry: int, ready: Ready, text: str, others: Iterable[str]) -> Conflict:
    carried = {"resources": [f"{ready.kind}/{one}" for one in sorted(others)]}
    return Conflict(Problem("identifier_taken", text, f"{ready.kind}.identifier", carried, entry=entry))


def same(one: Resource, other: Resource) -> bool:
    """Tell whether two versions say the same: all but what the server writes into ``meta``.

    A decimal says how exact it is as well: 1.00 is another than 1, though they are equal
    (https://hl7.org/fhir/R4/datatypes.html#decimal).
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
