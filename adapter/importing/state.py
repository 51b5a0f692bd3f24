"""How far an import has come, so that the same command goes on there: a file here, and a mark in the database.

The file alone would go on in the middle of whatever database the settings name today. An address tells little of
which one that is (it changes, and stays while a backup is put back), so the import leaves a mark where it writes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pymongo.asynchronous.collection import AsyncCollection

from adapter import private
from adapter.importing.fetching import SourceError
from adapter.importing.item import FIRST, PASSES
from adapter.importing.reading import items
from adapter.importing.sources import Source
from store.connection import MAJORITY, bounded
from store.store import Store

IMPORTS = "imports"
"""The collection of the marks: a document for each import that is not finished, removed with its state file."""

_SECONDS = 10.0
_AS_WRITTEN = ConfigDict(extra="forbid", strict=True)
_ANEW = "Remove it to begin anew: what is stored already stays as it is."


@with_config(_AS_WRITTEN)
@dataclass(slots=True)
class Tally:
    """How far an import has come.

    Attributes:
        total: items there are.
        created, updated, deleted, unchanged, refused: what became of those gone through.
        left_out: members of MediLoop objects that its documentation does not know, and how often they came.
        notes: what else is to be told, in sentences.
    """

    total: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    refused: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Items gone through; what waits is not done."""
        return self.created + self.updated + self.deleted + self.unchanged + self.refused


@with_config(_AS_WRITTEN)
@dataclass(slots=True)
class Place:
    """The state file: everything before this place is done.

    Attributes:
        marks: of the files, to see whether they are still the same.
        database: into which one; its name tells test from live.
        begun: the mark that this import has left there.
        survey: items in each file, by rank.
        stage: which of the stages is being gone through.
        since: when that began, by the clock that stamps what is written; empty: an earlier release has not noted it.
        rank, source, line: where to go on: after that line of that file in that pass.
        waits: whether the file of what waits has something in it that counts (`waiting`).
        settled: what waited and is done, and may not be dropped from there yet.
        errors: bytes of the error file that belong to what is done.
        tally: what has become of the items gone through.
    """

    marks: list[list[Any]]
    database: str
    begun: str
    survey: list[list[int]]
    stage: int = 0
    rank: int = FIRST
    source: int = 0
    line: int = 0
    errors: int = 0
    tally: Tally = field(default_factory=Tally)
    waits: bool = False
    settled: list[tuple[int, int, int]] = field(default_factory=list)
    since: str = ""

    def save(self, path: Path) -> None:
        """Write it in one step: a crash leaves the one before or this one."""
        private.replace(path, orjson.dumps(asdict(self)))


_PLACE = TypeAdapter(Place)
_MEMBERS = frozenset({"missing", "unexpected_keyword_argument"})  # what pydantic calls such errors


def folder_of(path: Path) -> Path:
    """Return where fetched files are kept, by the state file."""
    return path.with_name(f"{path.name}.files")


async def begin(store: Store, sources: Sequence[Source], path: Path) -> Place:
    """Return where to go on: what the state file says, or the beginning, for which it is made.

    Raises:
        SourceError: the state file is none, is of other files (or they have changed), or of another database.
        Unreachable: MongoDB did not answer in time.
    """
    marks = [source.mark for source in sources]
    found = await asyncio.to_thread(_read, path)
    if found is not None:
        if found.marks != marks:
            raise SourceError(f"{path} is the state of an import of other files, or they have changed since. {_ANEW}")
        await _require_begun(store, found, path)
        return found
    survey = await asyncio.to_thread(_surveyed, sources)
    place = Place(marks, store.database.name, secrets.token_hex(8), survey, since=store.now().isoformat())
    imports = _imports(store)
    # Before the file: one that names no mark would be refused.
    await bounded(lambda: imports.insert_one({"_id": place.begun, "at": store.now()}), _SECONDS)
    await asyncio.to_thread(place.save, path)
    return place


def require_unchanged(place: Place, sources: Sequence[Source], path: Path) -> None:
    """Make sure, at the end of a stage, that its files are still what they were: each pass reads them anew.

    What has come to one behind the passes that it was for was not read, nor what was cut away before.

    Raises:
        SourceError: one has changed. The state file stays, and refuses it from then on.
    """
    for mark, source in zip(place.marks, sources, strict=True):
        if source.stage == place.stage and source.mark != mark:
            fetched = "" if source.path.parent != folder_of(path) else f" and {folder_of(path)}"
            raise SourceError(
                f"{source.name} has changed while it was imported, and may not have come in whole. "
                f"Remove {path}{fetched} and import again: what is stored already stays as it is."
            )


def require_all(place: Place, path: Path) -> None:
    """Make sure, at the end, that each item that was there at the beginning was gone through.

    Raises:
        SourceError: it was not: a file has changed that looks the same.
    """
    tally = place.tally
    if tally.done != tally.total:
        raise SourceError(
            f"{tally.done} of {tally.total} items were gone through: a file has changed while it was imported. "
            f"Remove {path} and import again: what is stored already stays as it is."
        )


async def end(store: Store, place: Place, path: Path) -> None:
    """Forget the state of an import that is done.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    await asyncio.to_thread(path.unlink, missing_ok=True)
    imports = _imports(store)
    await bounded(lambda: imports.delete_one({"_id": place.begun}), _SECONDS)


def _read(path: Path) -> Place | None:
    if not path.exists():
        return None
    try:
        found = _PLACE.validate_json(path.read_bytes())
        if found.since:
            datetime.fromisoformat(found.since)
    except ValueError as error:
        if not _has_other_members(error):
            raise SourceError(f"{path}: not the state of an import. Remove it to begin anew.") from error
    else:
        if all(len(counts) == len(PASSES) for counts in found.survey):
            return found
    raise SourceError(f"{path} is the state of an import of another release, which this one cannot go on with. {_ANEW}")


def _has_other_members(error: ValueError) -> bool:
    """Tell whether a state is wrong by nothing but members that it lacks or has beside; each has the survey."""
    wrong = error.errors() if isinstance(error, ValidationError) else []
    where = [one["loc"] for one in wrong if one["type"] in _MEMBERS]
    named = [loc for loc in where if loc != ("survey",) and all(isinstance(part, str) for part in loc)]
    return bool(wrong) and len(named) == len(wrong)


async def _require_begun(store: Store, place: Place, path: Path) -> None:
    name = store.database.name
    if place.database != name:
        raise SourceError(
            f"{path} is the state of an import into the database {place.database}; this one is {name}. "
            f"Set --mode and ADAPTER_DATABASE as they were to go on. {_ANEW}"
        )
    imports = _imports(store)
    if await bounded(lambda: imports.find_one({"_id": place.begun}), _SECONDS) is None:
        raise SourceError(
            f"{path} is the state of an import into another database {name} than the one that is set now, or that "
            f"was replaced by a backup since. Set ADAPTER_MONGODB_URI (or ADAPTER_DATA_DIR) as it was to go on. {_ANEW}"
        )


def _surveyed(sources: Sequence[Source]) -> list[list[int]]:
    survey = []
    for source in sources:
        counts = [0] * len(PASSES)  # those of the passes below 0 stand at the end
        for item in items(source):
            counts[item.rank] += 1
        survey.append(counts)
    return survey


def _imports(store: Store) -> AsyncCollection[dict[str, Any]]:
    return store.database.get_collection(IMPORTS, write_concern=MAJORITY)
