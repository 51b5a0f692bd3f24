"""Carries out ``mediloop-fhir export`` once its options are read: what goes into which folder, and where it goes on.

`adapter.export.copying` reads and writes; here it is told what, and the manifest is begun, or gone on with.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

from adapter.console.session import at_once, bar
from adapter.errors import Malformed, Problem
from adapter.export import formats
from adapter.export.before import Before
from adapter.export.copying import Copying, Wanted
from adapter.export.engine import take_cut
from adapter.export.filters import EVERY, Filters, asked_for, check, kinds, queries
from adapter.export.folder import Folder, Manifest, NotUsable
from adapter.reading import database_of
from adapter.settings import Settings
from store.connection import bounded
from store.dates import as_instant
from store.exporting_past import SECONDS
from store.store import Store

# What only some exports need is loaded where they do: the plain one is to begin at once.
if TYPE_CHECKING:
    from adapter.export.asked import Asked
    from adapter.export.columns import Rows
    from adapter.export.deidentify import Deidentifier


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, read."""

    place: str
    format: formats.Name
    named: tuple[str, ...]
    mode: Literal["test", "live"]
    filters: Filters
    since: Before | None
    most: int
    zipped: bool
    key: bytes | None


async def carry_out(settings: Settings, store: Store, asked: Options) -> Manifest:
    """Write what is asked for into its folder, and return the finished manifest.

    Raises:
        NotUsable: the folder holds something else, or an export that is finished.
        MissingLibrary, Malformed: as the format, the filters and the options say.
    """
    types = _tables(asked) if asked.format in formats.FLAT else EVERY
    chosen = kinds(asked.filters, asked.named, types)
    check(settings, asked.filters)
    bases = settings.fhir_bases or (f"http://{settings.host}:{settings.port}/fhir/R4",)
    deidentifier = None if asked.key is None else deidentifier_of(settings, asked.key)
    folder = Folder(asked.place)
    options = _options(settings, asked, chosen, deidentifier)
    if asked.since is not None:
        asked.since.require(options)
    with folder.alone():
        manifest = await asyncio.to_thread(folder.read)
        if manifest is None:
            await asyncio.to_thread(folder.require_unused)
            manifest = Manifest(await take_cut(store), _request(asked, chosen, deidentifier), options)
            await asyncio.to_thread(folder.save, manifest)
        elif manifest.options != options:
            raise NotUsable("Another export is in that folder: other options. Name another folder, or remove it.")
        elif manifest.complete:
            raise NotUsable("That folder holds a finished export. Name another one, or remove it.")
        else:
            with at_once():
                folder.require_whole(manifest, read=True)
        await asyncio.to_thread(folder.remove_unfinished, manifest)
        whom = await asked_for(settings, store, manifest.cut, asked.filters)
        wanted = Wanted(
            format=asked.format,
            kinds=chosen,
            base=bases[0],
            since=None if asked.since is None else asked.since.moment,
            queries={name: await queries(settings, store, manifest.cut, asked.filters, whom, name) for name in chosen},
            most=asked.most,
            zipped=asked.zipped,
        )
        rows = _rows(settings, whom, deidentifier) if asked.format in formats.FLAT else None
        copying = Copying(store, folder, manifest, wanted, rows, deidentifier)
        whole = asked.since is None and not asked.filters.given
        total = await _total(store, chosen) if whole else None
        with bar(asked.mode, total) as move:
            await copying.carry_out(lambda more: move(advance=more))
        return manifest


async def _total(store: Store, chosen: tuple[str, ...]) -> int:
    counts = (store.database[name].estimated_document_count for name in chosen)
    return sum([await bounded(count, SECONDS) for count in counts])


def _tables(asked: Options) -> tuple[str, ...]:
    """Return the types of which there are tables.

    Raises:
        MissingLibrary: what the format needs is not installed.
        Malformed: it is to be compressed once more.
    """
    from adapter.export import tables
    from adapter.export.columns import COLUMNS

    if asked.format == "parquet":
        tables.schema("Slot")  # says that pyarrow is not there before anything is begun
        if asked.zipped:
            raise Malformed(Problem("invalid_request_error", "Parquet is compressed already: leave out --gzip."))
    return tuple(COLUMNS)


def _rows(settings: Settings, whom: Asked, deidentifier: Deidentifier | None) -> Rows:
    from adapter.export.columns import Rows
    from adapter.terms import systems_of, vocabulary_of

    shown = whom if deidentifier is None else whom.under(deidentifier)
    return Rows(systems_of(settings), vocabulary_of(settings), settings.fhir_bases, shown)


def deidentifier_of(settings: Settings, key: bytes) -> Deidentifier:
    """Return what makes pseudonyms with a key.

    Raises:
        ValueError: it is too short.
    """
    from adapter.export.deidentify import Deidentifier
    from adapter.terms import systems_of

    # Not below an address that is guessed: $export has the same pseudonyms.
    return Deidentifier(key, systems_of(settings), settings.fhir_bases, settings.uhid_pattern)


def _options(
    settings: Settings, asked: Options, chosen: tuple[str, ...], deidentifier: Deidentifier | None
) -> dict[str, Any]:
    """Return what decides over the content; nothing in it tells who somebody is, if the files do not."""
    filters: Any = asked.filters.as_options()
    if asked.filters.date_from or asked.filters.date_to:
        filters["timezone"] = str(settings.zone)  # what a calendar day is
    if deidentifier is not None:
        filters = deidentifier.digest(json.dumps(filters, sort_keys=True)) if filters else {}
    options: dict[str, Any] = {
        "format": asked.format,
        "types": chosen,
        "database": database_of(settings, asked.mode),
        "since": None if asked.since is None else as_instant(asked.since.moment),
        "filters": filters,
        "fileResources": asked.most,
        "gzip": asked.zipped,
        "deidentified": None if deidentifier is None else deidentifier.fingerprint,
    }
    return orjson.loads(orjson.dumps(options))  # type: ignore[no-any-return]  # as it is read back


def _request(asked: Options, chosen: tuple[str, ...], deidentifier: Deidentifier | None) -> str:
    words = ["mediloop-fhir export", f"--mode {asked.mode}", f"--format {asked.format}", f"--type {','.join(chosen)}"]
    words += [] if asked.since is None else [f"--since {as_instant(asked.since.moment)}"]
    for name, value in asked.filters.as_options().items():
        shown = value if isinstance(value, str) else ",".join(value)
        words.append(f"--{name.replace('_', '-')} {shown if deidentifier is None else '(masked)'}")
    words += [] if deidentifier is None else ["--deidentify"]
    return " ".join(words)
