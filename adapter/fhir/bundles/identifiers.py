"""Criteria of a transaction, compared with each other, and with what it writes itself.

https://hl7.org/fhir/R4/http.html#trules: conditional references are resolved when everything is written. What is stored
is searched; what is about to be is compared here, by the identifiers that it brings. Other criteria would take a search
in what no index holds yet: for them only what is stored counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from adapter.fhir.call import Pairs
from adapter.fhir.writing import Write
from store.extract import fold, identifiers, token
from store.search.matching import BadValue
from store.search.text import split
from store.search.tokens import stored_token, system_and_code


def sought(criteria: Pairs | None) -> Pairs:
    """Return criteria in an order of their own, to be compared."""
    return tuple(sorted(criteria or ()))


class Brought:
    """The identifiers that writes bring, each write with its id."""

    def __init__(self, writes: Iterable[Write]) -> None:
        self._replaced: dict[str, set[str]] = {}
        self._by_token: dict[tuple[str, str], set[str]] = {}
        for write in writes:
            if write.resource is None or write.ident is None:
                continue
            if write.method == "PUT":
                self._replaced.setdefault(write.kind, set()).add(f"{write.kind}/{write.ident}")
            for system, value in identifiers(write.resource, "identifier"):
                for one in (fold(value), token(system, value)):
                    self._by_token.setdefault((write.kind, one), set()).add(write.ident)

    def meant(self, kind: str, criteria: Pairs) -> tuple[Set[str], Set[str]]:
        """Return the ids of what is meant, and the names of what is replaced: what is stored of that has no say.

        Neither where the criteria are not one identifier.
        """
        found = _token(criteria)
        if found is None:
            return frozenset(), frozenset()
        return self._by_token.get((kind, found), frozenset()), self._replaced.get(kind, frozenset())


def _token(criteria: Pairs) -> str | None:
    """Return the identifier looked for as it is indexed (``urn:s|1``, or ``1`` of any system); None if it is none."""
    if len(criteria) != 1:
        return None
    name, value = criteria[0]
    if name != "identifier" or len(split(value, ",")) != 1:
        return None
    try:
        found = stored_token(*system_and_code(value))
    except BadValue:  # the search says so
        return None
    return found if isinstance(found, str) else None
