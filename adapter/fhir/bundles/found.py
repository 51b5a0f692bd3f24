"""Versions of what a transaction has found (``ifNoneExist``): the one that it leaves shows when all is settled.

A booking writes the Slot that it takes, and a deletion the one that it gives up, though no entry brings these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from adapter.fhir.references import rewriting
from adapter.scheduling.settling import Change
from store.extract import reference_to


@dataclass(frozen=True, slots=True)
class Found:
    """What was found and is referred to by a version of it.

    Attributes:
        stored: the versions that are stored, by name (``Slot/1``).
        version: what stands in references for the version that is left.
    """

    stored: Mapping[str, int]
    version: str

    def settled(self, changes: Sequence[Change]) -> list[Change]:
        """Return `changes`, which are all that there will be, with the versions that they leave put in."""
        if not self.stored:
            return [*changes]
        written = {reference_to(change.before) for change in changes if change.before is not None}
        walk = rewriting(
            {
                f"{name}/_history/{self.version}": f"{name}/_history/{version + (name in written)}"
                for name, version in self.stored.items()
            }
        )
        return [
            replace(
                change,
                after=None if change.after is None else walk.resource(change.after),
                sent=None if change.sent is None else walk.resource(change.sent),
            )
            for change in changes
        ]
