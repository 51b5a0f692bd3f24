"""Keeps the books of an import: what has become of each item, what waits, and how far all is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapter.errors import Conflict, Refused
from adapter.importing.checking import Checked
from adapter.importing.deciding import CREATED, DELETED, UNCHANGED, UPDATED, Result
from adapter.importing.errorfile import ErrorFile
from adapter.importing.item import FIRST, PASSES, Item
from adapter.importing.reopening import turned_away
from adapter.importing.sources import Source
from adapter.importing.state import Place
from adapter.importing.waiting import Waiting
from adapter.importing.waiting_row import Key, Row


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of an item.

    Attributes:
        key: where it stands.
        item: itself.
        name: the resource that it was seen to be (``Slot/s``); empty where it was refused by itself, whatever is there.
        result: one of the words of `deciding`, or why it was refused.
        signs: its identifiers (`Ready.signs`).
        stated: whether it came with its id.
    """

    key: Key
    item: Item
    name: str
    result: Result
    signs: tuple[str, ...] = ()
    stated: bool = True


def outcomes_of(seen: Iterable[tuple[Key, Item, str]], checked: Checked, written: Sequence[Result]) -> list[Outcome]:
    """Return what has become of the items of a batch.

    Args:
        seen: where each stands, itself, and the resource that it was seen to be before; empty where it is new.
        checked: what it was seen to be this time.
        written: what has become of those that were fit to be written.
    """
    results = iter(written)
    return [
        Outcome(key, item, name, found)
        if isinstance(found, Refused)
        else Outcome(key, item, found.name, next(results), found.signs, found.stated)
        for (key, item, name), found in zip(seen, checked.found, strict=True)
    ]


class Books:
    """The books of one import.

    Args:
        sources: its files.
        path: of the state file.
        place: how far it is, and what has become of what is done.
        refusals: the file of what is refused for good.
        waiting: what is refused as yet.
    """

    def __init__(
        self, sources: Sequence[Source], path: Path, place: Place, refusals: ErrorFile, waiting: Waiting
    ) -> None:
        self._sources = sources
        self._path = path
        self.place = place
        self.tally = place.tally
        self._refusals = refusals
        self.waiting = waiting
        waiting.drop(place.settled)
        waiting.drop_before(next((n for n, one in enumerate(sources) if one.stage >= place.stage), 0))

    def note(self, outcomes: Sequence[Outcome], where: Key | None = None) -> bool:
        """Note what has become of a batch; tell whether something has moved.

        What is refused for what stands in its way waits; and so does, from then on, whatever else is refused for what
        is stored: it may need what waits.

        Args:
            outcomes: of the batch; of items that waited as well.
            where: where its last item stands, in the first go.
        """
        waits = self.waiting.count > 0 or any(
            isinstance(one.result, Refused) and one.name and one.result.status == Conflict.status for one in outcomes
        )
        rows: list[Row] = []
        done: list[Outcome] = []
        for one in outcomes:
            if not isinstance(one.result, Refused):
                self._count(one.result)
                done.append(one)
            elif waits and one.name:
                sign = "" if one.stated or not one.signs else one.signs[0]
                rows.append(Row(one.key, one.name, one.item, one.result, sign))
            else:
                self._refuse(one.key, one.item, one.result)
        self.waiting.add(rows)
        self.waiting.turn_away(
            [said for one in outcomes if isinstance(one.result, Refused) for said in turned_away(one.name, one.item)]
        )
        settled = [*(one.key for one in done), *self._overtaken(done)]
        if where is not None:
            self.place.rank, self.place.source, self.place.line = where
        self._save(settled)
        return bool(done)

    def _overtaken(self, done: Sequence[Outcome]) -> list[Key]:
        """Refuse earlier lines about what a later one has settled: an older version never comes after a newer one."""
        last = {one.name: one.key for one in done}
        made = {sign: one.key for one in done for sign in one.signs}  # what waits may have been nothing stored as yet
        settled = []
        for row in self.waiting.named(last, made):
            if row.key < max(last.get(row.name, row.key), made.get(row.sign, row.key)):
                self._refuse(row.key, row.item, row.refused)
                settled.append(row.key)
        return settled

    def _count(self, word: str) -> None:
        if word == CREATED:
            self.tally.created += 1
        elif word == UPDATED:
            self.tally.updated += 1
        elif word == DELETED:
            self.tally.deleted += 1
        elif word == UNCHANGED:
            self.tally.unchanged += 1

    def _refuse(self, key: Key, item: Item, why: Refused) -> None:
        self.tally.refused += 1
        self._refusals.add(self._sources[key[1]], item, why)

    def leave_out(self, names: Iterable[tuple[str, int]]) -> None:
        """Count members that are not known."""
        for name, times in names:
            self.tally.left_out[name] = self.tally.left_out.get(name, 0) + times

    def end_pass(self) -> None:
        """Note that all of the stage was gone through once."""
        self.place.rank = len(PASSES)
        self._save(())

    def end_stage(self, size: int, now: datetime) -> None:
        """Refuse what waits, for good, and go on to the next stage, which begins now."""
        for rows in self.waiting.batches(size):
            for row in rows:
                self._refuse(row.key, row.item, row.refused)
        self.waiting.forget_taken()  # moved by a later increment, a visit is the same one
        self.waiting.forget_turned_away()
        self.waiting.forget_freed()  # while it is this stage still: in the next one others are given up
        self.place.stage += 1
        self.place.since = now.isoformat()
        self.place.rank, self.place.source, self.place.line = FIRST, 0, 0
        self._save((), waits=False)  # nothing that counts: what is still there may go, in whatever moment this ends
        self.waiting.drop_before(len(self._sources))

    def _save(self, settled: Sequence[Key], *, waits: bool = True) -> None:
        place = self.place
        # Before they are dropped: a crash between the two has them dropped then, and counted once.
        place.settled = [*settled] if self.waiting.count else []
        place.waits = waits and self.waiting.kept
        place.errors = self._refusals.flush()
        place.save(self._path)
        self.waiting.drop(settled)
