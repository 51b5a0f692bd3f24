"""Criteria of a transaction, compared with each other, and with what it writes itself.

https://hl7.org/fhir/R4/http.html#trules: conditional references are resolved when everything is written, and no two
entries may write the same. What is stored is searched; what is about to be is compared here, by the identifiers that it
brings, as a search does: in whatever letters. Other criteria would take a search in what no index holds yet: for them
only what is stored counts, and entries with equal ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from adapter.fhir.call import Pairs
from adapter.fhir.writes import Write
from store.extract import fold, identifiers, token
from store.search.matching import BadValue
from store.search.results import PASSED_BY
from store.search.text import split
from store.search.tokens import stored_token, system_and_code

Sought = frozenset[tuple[str, frozenset[str]]]


def sought(criteria: Pairs | None) -> Sought:
    """Return criteria as they are compared: in whatever order, their identifiers however they are spelled."""
    return frozenset(
        (name, frozenset((_token(one) if name == "identifier" else None) or one for one in alternatives))
        for name, alternatives in _taken_apart(criteria or ())
    )


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

        Neither where the criteria are not identifiers alone.
        """
        if not all(_tokens(*one) for one in _taken_apart(criteria)):
            return frozenset(), frozenset()
        return self.carrying(kind, criteria), self._replaced.get(kind, frozenset())

    def carrying(self, kind: str, criteria: Pairs) -> Set[str]:
        """Return the ids of what carries all identifiers of `criteria`, whatever else these ask; of none, nothing."""
        asked = [tokens for one in _taken_apart(criteria) if (tokens := _tokens(*one))]
        found = [{ident for one in tokens for ident in self._by_token.get((kind, one), ())} for tokens in asked]
        return set.intersection(*found) if found else frozenset()


def _taken_apart(criteria: Pairs) -> list[tuple[str, list[str]]]:
    """Return the criteria with the alternatives of each that say something."""
    return [(name, [one for one in split(value, ",") if one]) for name, value in criteria if name not in PASSED_BY]


def _tokens(name: str, alternatives: list[str]) -> list[str]:
    """Return the identifiers that one of the criteria allows; nothing where it is about anything else, or more."""
    tokens = [_token(one) for one in alternatives if name == "identifier"]
    return [] if None in tokens else [one for one in tokens if one]


def _token(value: str) -> str | None:
    """Return the identifier looked for as it is indexed (``urn:s|1``, or ``1`` of any system); None if it is none."""
    try:
        found = stored_token(*system_and_code(value.strip()))
    except BadValue:  # the search says so
        return None
    return found if isinstance(found, str) else None
