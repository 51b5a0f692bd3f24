"""Where the values of one resource go on its way into the index: to fields with one value, and to lists of several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from store.codec import Resource


@dataclass(frozen=True, slots=True)
class Run:
    """One resource on its way into the index.

    Attributes:
        resource: the whole of it.
        zone: where dates are that do not say it.
        bases: addresses of this server.
        patient_systems: identifier systems that patients alone have.
        index: the fields with one value, as found so far.
        lists: those with several: the keys of a dictionary, so that each value is there once.
    """

    resource: Resource
    zone: tzinfo
    bases: tuple[str, ...]
    patient_systems: tuple[str, ...]
    index: dict[str, Any]
    lists: dict[str, dict[str, None]]

    def add(self, name: str, value: str) -> None:
        """Put a value on a list."""
        found = self.lists.get(name)
        if found is None:
            self.lists[name] = {value: None}
        else:
            found[value] = None

    def rank(self, sort: Sort, value: Any) -> None:
        """Keep what a list sorts by."""
        least, greatest = sort
        known = self.index.get(least)
        if known is None:
            self.index[least] = self.index[greatest] = value
        elif value < known:
            self.index[least] = value
        elif value > self.index[greatest]:
            self.index[greatest] = value


Sort = tuple[str, str]
"""The fields with the least and the greatest value of a list: which comes first, if it rises and if it falls.

https://hl7.org/fhir/R4/search.html#sort
"""

Emit = Callable[[Any, Run], None]
