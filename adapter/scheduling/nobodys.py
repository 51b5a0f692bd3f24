"""Which Schedules are nobody's: who books with a practitioner, as MediLoop does, can have none of their openings.

Whose practitioners are not stored, only a look at all Schedules tells. So that is looked for every two seconds, as keys
are, and anew where this process has written what it depends on, and not for each search.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from adapter.scheduling import claims
from store.codec import decode
from store.extract import reference, references
from store.indexing import named_field, naming
from store.reading import Moment
from store.store import Store

_PRACTITIONER, _ROLE = claims.PRACTITIONERS
_WITH_CALENDARS = {"$elemMatch": {"$gte": _PRACTITIONER, "$lt": f"{_ROLE}~"}}


_GOOD = 2.0  # seconds for which a look is good
_TOLD_BY = ("Schedule", "PractitionerRole", "Practitioner")


@dataclass(slots=True)
class _Look:
    """What was found the last time.

    Attributes:
        schedules: of strangers.
        writes: how often this process had written what they depend on when the moment that was looked at began.
        until: when, by the event loop's clock, somebody is to look again.
    """

    schedules: frozenset[str]
    writes: tuple[int, ...]
    until: float


_looks: WeakKeyDictionary[Store, _Look] = WeakKeyDictionary()


async def schedules(source: Moment, strangers_of: Store | None = None) -> frozenset[str]:
    """Return the Schedules (``Schedule/s``) that no practitioner is behind: of things alone, or of roles nobody has.

    Args:
        source: where to look.
        strangers_of: the store of `source`, where a practitioner who is not stored is nobody, too: no booking may name
            such a one.
    """
    things = await source.keys("Schedule", {"_index.nobodys": True}, limit=0)
    others = await (_of_vacant_roles(source) if strangers_of is None else _seen(strangers_of, source))
    return frozenset((*(f"Schedule/{ident}" for ident in things), *others))


async def _seen(store: Store, source: Moment) -> frozenset[str]:
    look, now = _looks.get(store), asyncio.get_running_loop().time()
    writes = tuple(source.writes[kind] for kind in _TOLD_BY)
    if look is not None and look.writes == writes:
        if now < look.until:
            return look.schedules
        look.until = now + _GOOD  # one looks again, and the others go by the last time meanwhile
    found = frozenset(await _of_strangers(source))
    _looks[store] = _Look(found, writes, asyncio.get_running_loop().time() + _GOOD)
    return found


async def _of_vacant_roles(source: Moment) -> list[str]:
    vacant = await source.keys("PractitionerRole", {"_index.practitioner": None}, limit=0)
    if not vacant:
        return []
    roles = {f"{_ROLE}{ident}" for ident in vacant}
    found = map(decode, await source.find("Schedule", naming("actor", sorted(roles))))
    return [f"Schedule/{one['id']}" for one in found if roles.issuperset(_people(references(one, "actor")))]


async def _of_strangers(source: Moment) -> list[str]:
    """Return the Schedules of practitioners and roles with none among them who is stored, or had by who is."""
    either = [{f"_index.{field}": _WITH_CALENDARS} for field in ("actor", named_field("actor"))]
    found = await source.values("Schedule", {"$or": either}, ("_index.actor",))
    people = {f"Schedule/{one['_id']}": _people(map(reference, one["_index"]["actor"])) for one in found}
    named = {name for names in people.values() for name in names}
    roles = [name.removeprefix(_ROLE) for name in named if name.startswith(_ROLE)]
    having = await source.values("PractitionerRole", {"_id": {"$in": roles}}, ("_index.practitioner",)) if roles else []
    behind = {f"{_ROLE}{one['_id']}": reference(one["_index"].get("practitioner", "")) for one in having}
    wanted = named.union(behind.values())
    idents = [name.removeprefix(_PRACTITIONER) for name in wanted if name.startswith(_PRACTITIONER)]
    there = await source.keys("Practitioner", {"_id": {"$in": idents}}, limit=0)
    stored = {f"{_PRACTITIONER}{ident}" for ident in there}
    return [name for name, names in people.items() if not any(behind.get(one, one) in stored for one in names)]


def _people(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(claims.PRACTITIONERS)]
