"""What an export is to hold, as it is kept with its job and carried out by a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import bson

from store import revision
from store.documents import Rules
from store.exporting import Query, Selection
from store.search.matching import starting
from store.search.references import own_forms
from store.types import TYPES

OWNER = "Patient"
MEMBERS = (OWNER, *(one.name for one in TYPES.values() if OWNER in one.compartments and one.name != OWNER))
"""The types that can be in a patient's compartment, the patient first; a Slot is in none."""


class Outdated(Exception):
    """An export cannot go on as it was begun; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted.

    Attributes:
        kinds: the types, in order.
        since: only what changed then or later; deletions are told then.
        filters: by type, queries of which a resource must match one; a type without any is wanted whole.
        patients: ids; only what is in the compartment of one of them. None: no compartment is asked for.
        joined: of these, who was not in the Group at `since`: what is theirs is wanted whole.
        everybody: only what is in the compartment of any patient.
        base: of the server: references may be written below it, by http and by https.
        elements: of each resource; none: all.
        notes: what was passed over, as an OperationOutcome's issues.
        deidentified: without what tells who somebody is.
        key: the fingerprint of the key of its pseudonyms.
        rules: the digest of those by which the filters were read (`store.revision`). None: a release that kept none has
            read them.
    """

    kinds: tuple[str, ...]
    since: datetime | None = None
    filters: Mapping[str, Sequence[Query]] | None = None
    patients: tuple[str, ...] | None = None
    joined: tuple[str, ...] = ()
    everybody: bool = False
    base: str = ""
    elements: tuple[str, ...] = ()
    notes: tuple[Mapping[str, Any], ...] = ()
    deidentified: bool = False
    key: str | None = None
    rules: str | None = None

    @property
    def steps(self) -> tuple[tuple[str, bool], ...]:
        """What is read, one after the other: each type, then each once more (True) for those who joined."""
        once = tuple((kind, False) for kind in self.kinds)
        return once + tuple((kind, True) for kind in self.kinds) if self.joined else once

    @property
    def largest(self) -> int:
        """About the bytes of the largest document that MongoDB is given: this plan, or one of its queries."""
        others = [kind for kind in self.kinds if kind != OWNER]
        compartment: Query = {}
        if self.patients is not None and others:  # every type names them alike: one is measured, as it takes its time
            compartment = self._of(max(others, key=lambda kind: len(_paths(kind))), self.patients)
        own = max((len(bson.encode({"$or": list(found)})) for found in (self.filters or {}).values()), default=0)
        return max(len(bson.encode(self.document())), len(bson.encode(compartment)) + own)

    def require_present(self, rules: Rules) -> None:
        """Make sure that the filters look for what is filed by `rules`, or is once a reindex has made it anew.

        Raises:
            Outdated: they were read by others: they could pass over what is meant, and nobody would know.
        """
        if self.filters and self.rules != revision.revision(rules):
            raise Outdated(
                "Another release, or one with other settings, has begun this export, and read its _typeFilter for what "
                "is stored as it was filed then. Ask for it again."
            )

    def selection(self, kind: str, joined: bool = False) -> Selection:
        """Return which resources of a type a step is to read; no two steps read the same one."""
        if not self.joined:
            return Selection(kind, self.since, self.queries(kind))
        new = set(self.joined)
        others = self._of(kind, [one for one in self.patients or () if one not in new])
        if not joined:
            return Selection(kind, self.since, self._filtered(kind, others))
        # What others share with them has been told before, or comes with what changed.
        return Selection(kind, None, self._filtered(kind, {"$and": [self._of(kind, self.joined), {"$nor": [others]}]}))

    def queries(self, kind: str) -> tuple[Query, ...]:
        """Return the queries of which a resource must match one; none: all are wanted."""
        if self.patients is not None:
            return self._filtered(kind, self._of(kind, self.patients))
        if not self.everybody or kind == OWNER:
            return self._filtered(kind, None)
        return self._filtered(kind, of_anybody(kind, self.base))

    def _filtered(self, kind: str, compartment: Query | None) -> tuple[Query, ...]:
        own = tuple((self.filters or {}).get(kind, ()))
        if compartment is None or not own:
            return own if compartment is None else (compartment,)
        return ({"$and": [compartment, {"$or": list(own)}]},)  # the compartment once: it may name thousands

    def _of(self, kind: str, patients: Sequence[str]) -> Query:
        """Return the query for what is in the compartment of one of them."""
        if kind == OWNER:
            return {"_id": {"$in": list(patients)}}
        names = [one for ident in patients for one in own_forms(OWNER, ident, self.base)]
        return {"$or": [{path: {"$in": names}} for path in _paths(kind)]}

    def document(self) -> dict[str, Any]:
        """Return it as MongoDB keeps it."""
        return {
            "kinds": list(self.kinds),
            "since": self.since,
            "filters": {kind: list(queries) for kind, queries in (self.filters or {}).items()},
            "patients": None if self.patients is None else list(self.patients),
            "joined": list(self.joined),
            "everybody": self.everybody,
            "base": self.base,
            "elements": list(self.elements),
            "notes": list(self.notes),
            "deidentified": self.deidentified,
            "key": self.key,
            "rules": self.rules,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Plan:
        """Read what `document` returned."""
        patients = document["patients"]
        return cls(
            kinds=tuple(document["kinds"]),
            since=document["since"],
            filters=document["filters"],
            patients=None if patients is None else tuple(patients),
            joined=tuple(document.get("joined", ())),  # jobs of earlier versions had none, no key and no rules
            everybody=document["everybody"],
            base=document["base"],
            elements=tuple(document["elements"]),
            notes=tuple(document["notes"]),
            deidentified=document["deidentified"],
            key=document.get("key"),
            rules=document.get("rules"),
        )


def of_anybody(kind: str, base: str) -> Query:
    """Return the query for what is in the compartment of any patient."""
    forms = [starting(one) for one in own_forms(OWNER, "", base)]
    return {"$or": [{path: {"$regex": one}} for path in _paths(kind) for one in forms]}


def _paths(kind: str) -> list[str]:
    declared = TYPES[kind]
    return [f"_index.{declared.parameters[name].field}" for name in declared.compartments[OWNER]]
