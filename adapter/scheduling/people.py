"""Who is behind a PractitionerRole: one person has one calendar, whichever way an appointment names them.

An appointment claims the name that it uses (`claims` sees nothing but the appointment). So whoever decides about a
practitioner asks under every name that practitioner has, and meets rivals under the practitioner's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapter.scheduling import claims
from store.codec import Resource
from store.extract import references
from store.indexing import naming

_ROLE = "PractitionerRole/"


class Finds(Protocol):
    """What people are looked for in: a unit of work, or the store as it is now."""

    async def find(self, kind: str, query: Mapping[str, Any]) -> list[Resource]:
        """Return the resources that match a MongoDB query."""
        ...


@dataclass(frozen=True, slots=True)
class People:
    """The people that a decision is about.

    Attributes:
        behind: the practitioner of each role (``PractitionerRole/r`` to ``Practitioner/p``), where there is one.
    """

    behind: Mapping[str, str] = field(default_factory=dict)

    def of(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return whom `names` mean, each once: practitioners for their roles, everything else as it is."""
        return tuple(dict.fromkeys(self.behind.get(name, name) for name in names))

    def names(self, people: Iterable[str]) -> tuple[str, ...]:
        """Return every name under which `people` are known, their own first."""
        wanted = dict.fromkeys(people)
        return (*wanted, *(role for role, practitioner in self.behind.items() if practitioner in wanted))

    def unserved(self, practitioners: Iterable[str], schedules: Iterable[Resource]) -> list[str]:
        """Return those of `practitioners` of whom none of `schedules` is."""
        served = {person for one in schedules for person in self.of(references(one, "actor"))}
        return [name for name in practitioners if name not in served]

    def serving(self, practitioners: Iterable[str], schedules: Mapping[str, Resource]) -> list[str]:
        """Return those of `schedules` that are of one of `practitioners`."""
        wanted = set(self.of(practitioners))
        return [name for name, one in schedules.items() if not wanted.isdisjoint(self.of(references(one, "actor")))]


def moving_along(appointment: Resource, schedules: Mapping[str, Resource]) -> tuple[str, ...]:
    """Return those of the Schedules of which an appointment has Slots that move with it: of a room or device, say.

    No time that is asked for says that a visit gives up its room. Practitioners who take part are looked for anew: who
    has declined or left is not coming (as for `surplus`), and of whom nothing is published no Slot is needed. Only a
    visit that names no practitioner has nothing else to go by than the Schedule.
    """
    if not any(name.startswith(claims.PRACTITIONERS) for name in claims.practitioners(appointment, declined=True)):
        return tuple(schedules)
    return tuple(
        name
        for name, one in schedules.items()
        if not any(actor.startswith(claims.PRACTITIONERS) for actor in references(one, "actor"))
    )


async def read(work: Finds, names: Iterable[str], written: Mapping[str, Resource | None] | None = None) -> People:
    """Read who is behind the roles among `names`, and which other roles the practitioners have.

    Args:
        work: what to read through.
        names: as `claims.practitioners` gives them.
        written: PractitionerRoles as they are going to be, by reference; None for those that go.
    """
    wanted = set(names)
    given = {} if written is None else written
    behind = {name: role for name, role in given.items() if role is not None}
    roles = sorted(name.removeprefix(_ROLE) for name in wanted if name.startswith(_ROLE) and name not in given)
    if roles:
        behind |= _named(await work.find("PractitionerRole", {"_id": {"$in": roles}}))
    practitioners = {name for name in wanted if name.startswith("Practitioner/")}
    practitioners.update(name for role in behind.values() for name in _practitioner(role))
    if practitioners:
        found = _named(await work.find("PractitionerRole", naming("practitioner", sorted(practitioners))))
        behind |= {name: role for name, role in found.items() if name not in given}
    return People({name: one for name, role in behind.items() for one in _practitioner(role)})


def _named(roles: Iterable[Resource]) -> dict[str, Resource]:
    return {f"{_ROLE}{role['id']}": role for role in roles}


def _practitioner(role: Resource) -> list[str]:
    return [name for name in references(role, "practitioner") if name.startswith("Practitioner/")]
