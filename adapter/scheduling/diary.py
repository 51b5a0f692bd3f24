"""Whose time is taken, and by which appointments: found by the hours of each practitioner.

Pure: of what is going to be there under a claim set. Who is passed over is for who asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from adapter.scheduling import claims
from adapter.scheduling.intervals import Interval
from store.codec import Resource


class Entry(NamedTuple):
    """An appointment that takes time of practitioners.

    Attributes:
        name: of the appointment (``Appointment/a``).
        appointment: as it is going to be.
        when: its time.
        people: whose (`People.of`).
    """

    name: str
    appointment: Resource
    when: Interval
    people: tuple[str, ...]


class Diary:
    """The appointments that take time, each once."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._by_hour: dict[str, list[Entry]] = {}

    def __iter__(self) -> Iterator[Entry]:
        """Yield all of them."""
        return iter(self._entries)

    def add(self, entry: Entry) -> None:
        """Enter an appointment."""
        self._entries.append(entry)
        for claim in claims.names(entry.people, entry.when):
            self._by_hour.setdefault(claim, []).append(entry)

    def at(self, times: Mapping[str, Collection[Interval]]) -> Iterator[Entry]:
        """Yield those that take time of one of these practitioners at one of these times, each once."""
        seen: set[str] = set()
        for person, spans in times.items():
            for span in spans:
                for claim in claims.names((person,), span):
                    for one in self._by_hour.get(claim, ()):
                        if one.name not in seen and one.when.overlaps(span):
                            seen.add(one.name)
                            yield one
