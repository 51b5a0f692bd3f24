"""Which Slots a practitioner has at a time, in whatever status: found by the hours of their Schedules.

Pure: it tells what is going to be there under a claim set. A Schedule may name a practitioner by one of their roles.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from adapter.scheduling import claims
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import People
from store.codec import Resource
from store.extract import references


class Published:
    """The Slots of Schedules, as they are going to be.

    Args:
        slots, schedules: by relative reference.
        people: who is behind the roles that Schedules name.
        hidden: Slots that nobody finds by time.
    """

    def __init__(
        self,
        slots: Mapping[str, Resource],
        schedules: Mapping[str, Resource],
        people: People,
        hidden: Container[str],
    ) -> None:
        self._schedules = schedules
        self._by_hour: dict[str, list[str]] = {}
        self._by_person: dict[str, list[str]] = {}
        for name, slot in slots.items():
            for claim in () if name in hidden else claims.claims(slot).names:
                self._by_hour.setdefault(claim, []).append(name)
        for name, schedule in schedules.items():
            for person in people.of(references(schedule, "actor")):
                self._by_person.setdefault(person, []).append(name)

    def calendars(self, person: str) -> dict[str, Resource]:
        """Return the Schedules of a practitioner."""
        return {name: self._schedules[name] for name in self._by_person.get(person, ())}

    def offers(self, person: str, when: Interval) -> list[str]:
        """Return the Slots, in whatever status, of a practitioner's Schedules in the hours of `when`."""
        found = [
            name
            for claim in claims.names(self._by_person.get(person, ()), when)
            for name in self._by_hour.get(claim, ())
        ]
        return list(dict.fromkeys(found))
