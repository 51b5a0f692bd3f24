"""Who is stored with which identifiers, and which of them is meant by those of an item without an id.

A UHID is one person's, and an appointment number one appointment's. Any other identifier may be shared: by a family
that is insured together, by the visits of one order. So who carries another UHID is somebody else, whatever else they
share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mappings.systems import Systems
from store.extract import token


def unique_systems(systems: Systems, kind: str) -> tuple[str, ...]:
    """Return the systems whose identifiers tell resources of a type apart, each of which one resource alone has."""
    return {"Patient": systems.all_uhid, "Appointment": (systems.appointment_number,)}.get(kind, ())


class Carriers:
    """What is stored of those who were looked for.

    Args:
        systems: of the deployment.
    """

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._idents: dict[tuple[str, str], dict[str, None]] = {}
        self._tokens: dict[tuple[str, str], Sequence[str]] = {}

    def add(self, kind: str, documents: Iterable[Mapping[str, Any]]) -> None:
        """Note who was found, with what is indexed of their identifiers."""
        for document in documents:
            tokens = document.get("_index", {}).get("identifier", ())
            self._tokens.setdefault((kind, document["_id"]), tokens)
            for text in tokens:
                self._idents.setdefault((kind, text), {})[document["_id"]] = None

    def become(self, kind: str, ident: str, tokens: Sequence[str]) -> None:
        """Note which identifiers one has from now on: what it gives up, another takes."""
        self._tokens[kind, ident] = tokens

    def of(self, kind: str, text: str) -> list[str]:
        """Return the ids of those who carry an identifier."""
        return [one for one in self._idents.get((kind, text), ()) if text in self._tokens[kind, one]]

    def unique(self, kind: str, tokens: Iterable[str]) -> list[str]:
        """Return those of some identifiers that one resource alone has."""
        ours = tuple(token(system, "") for system in unique_systems(self._systems, kind))
        return [text for text in tokens if text.startswith(ours)] if ours else []

    def meant(self, kind: str, tokens: Sequence[str]) -> set[str]:
        """Return the ids of those who are meant: who has the unique one of some identifiers, or else any of them."""
        certain = {one for text in self.unique(kind, tokens) for one in self.of(kind, text)}
        return certain or {
            one for text in tokens for one in self.of(kind, text) if not self.is_another(kind, one, tokens)
        }

    def is_another(self, kind: str, ident: str, tokens: Iterable[str]) -> bool:
        """Tell whether what is stored under an id is certainly not what has these identifiers."""
        theirs, stored = (self._values(kind, some) for some in (tokens, self._tokens.get((kind, ident), ())))
        return bool(theirs and stored) and theirs.isdisjoint(stored)

    def _values(self, kind: str, tokens: Iterable[str]) -> set[str]:
        """Return the values of the unique ones: a UHID is the same under whichever of its systems."""
        systems = [token(system, "") for system in unique_systems(self._systems, kind)]
        return {text.removeprefix(one) for text in tokens for one in systems if text.startswith(one)}
