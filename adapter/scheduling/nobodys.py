"""Which Schedules are nobody's: who books with a practitioner, as MediLoop does, can have none of their openings."""

from __future__ import annotations

from adapter.scheduling import claims
from store.codec import decode
from store.extract import references
from store.indexing import naming
from store.reading import Moment


async def schedules(source: Moment) -> frozenset[str]:
    """Return the Schedules (``Schedule/s``) that no practitioner is behind: of things alone, or of roles nobody has."""
    vacant = await source.keys("PractitionerRole", {"_index.practitioner": None}, limit=0)
    things = await source.keys("Schedule", {"_index.nobodys": True}, limit=0)
    found = {f"Schedule/{ident}" for ident in things}
    if vacant:
        roles = {f"PractitionerRole/{ident}" for ident in vacant}
        for schedule in map(decode, await source.find("Schedule", naming("actor", sorted(roles)))):
            people = [one for one in references(schedule, "actor") if one.startswith(claims.PRACTITIONERS)]
            if roles.issuperset(people):
                found.add(f"Schedule/{schedule['id']}")
    return frozenset(found)
