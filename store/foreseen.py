"""Answers that one transaction reads before they are asked for, all of them by one command.

What a decision reads depends on what it has read before, so it asks step by step, and each step is a command: a third
of a millisecond where MongoDB runs on the same machine, several where it does not. Most of it can be told from the
request. What turns out not to be needed was read in vain; what was not foreseen is asked for as always.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import PyMongoError

from store.joining import Kind, Values, values_of
from store.source import Find

_LONGEST = 1_000_000  # characters that one command looks for: of one with more than 16 MB MongoDB ends the connection
_OF = "of"  # the field that tells which of the queries a document answers


@dataclass(slots=True)
class _Known:
    """What was looked for by queries of one kind, and every document that matches, by id."""

    values: dict[str, set[str]]
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def covers(self, values: Values) -> bool:
        return all(self.values[path].issuperset(wanted) for path, wanted in values.items())


class NotAhead(PyMongoError):
    """MongoDB does not read by one command what is foreseen: its transaction is over, and is to be run without that."""


class Foreseen:
    """The queries that are expected in one transaction, and the answers to those that were sent.

    Nothing is written in a transaction before all of it is read, so an answer stays as it is.
    """

    def __init__(self) -> None:
        self._wanted: dict[Kind, list[Values]] = {}
        self._length = 0
        self._sent: list[tuple[Kind, list[Values]]] = []
        self._known: dict[Kind, _Known] = {}

    def expect(self, find: Find) -> None:
        """Have `find` answered by the next command, unless it is a query that cannot share one."""
        values = values_of(find)
        if values is None:
            return
        which = _without_hint(find, values)
        known = self._known.get(which)
        if known is not None and known.covers(values):
            return
        length = sum(len(one) for wanted in values.values() for one in wanted)
        if self._length + length <= _LONGEST:
            self._length += length
            self._wanted.setdefault(which, []).append(values)

    def pipeline(self) -> list[dict[str, Any]]:
        """Return what asks for all that is expected, as a pipeline on the database; nothing where one query would do.

        One document for each match, with the number of its query: a list of them could be more than a document holds.
        """
        self._sent, self._wanted, self._length = [*self._wanted.items()], {}, 0
        if len(self._sent) < 2:
            return []
        lookups = [
            {
                "$lookup": {
                    "from": which.kind,
                    "pipeline": [
                        {"$match": which.merged(asked)},
                        {"$project": {**dict.fromkeys(which.read, 1), _OF: {"$literal": number}}},
                    ],
                    "as": str(number),
                }
            }
            for number, (which, asked) in enumerate(self._sent)
        ]
        return [
            {"$documents": [{}]},
            *lookups,
            {"$project": {"found": {"$concatArrays": [f"${number}" for number in range(len(lookups))]}}},
            {"$unwind": "$found"},
            {"$replaceRoot": {"newRoot": "$found"}},
        ]

    def note(self, documents: Sequence[dict[str, Any]]) -> None:
        """Keep the answer to the last `pipeline`."""
        for which, asked in self._sent:
            known = self._known.setdefault(which, _Known({path: set() for path in which.sought}))
            for values in asked:
                for path, wanted in values.items():
                    known.values[path].update(wanted)
        for document in documents:
            which, _ = self._sent[document.pop(_OF)]
            self._known[which].documents[document["_id"]] = document

    def answer(self, find: Find, values: Values | None) -> list[dict[str, Any]] | None:
        """Return what `find`, which looks for `values`, would give; None where that was not foreseen."""
        if values is None or not self._known:
            return None
        which = _without_hint(find, values)
        known = self._known.get(which)
        if known is None or not known.covers(values):
            return None
        return which.own([*known.documents.values()], values)


def _without_hint(find: Find, values: Values) -> Kind:
    # A pipeline within another takes no hint. It needs none: each of these queries has an index of its own.
    return Kind.of(find, values)._replace(hint=None)
