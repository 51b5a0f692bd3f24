"""``mediloop-fhir export``: resources into files, straight from MongoDB; `adapter.export.copying` does it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer

from adapter.console.options import TestOrLive, Types
from adapter.console.session import at_once, bar, fail, listed, out, plain_failures, read, types_in
from adapter.errors import Malformed, Problem
from adapter.export import before, formats
from adapter.export.before import Before
from adapter.export.copying import Copying, Wanted
from adapter.export.engine import take_cut
from adapter.export.filters import EVERY, Filters, asked_for, check, kinds, queries
from adapter.export.folder import Folder, Manifest, NotUsable
from adapter.reading import database_of
from adapter.settings import Settings, load
from adapter.variables import PREFIX
from store.connection import bounded
from store.dates import as_instant
from store.exporting_past import SECONDS
from store.store import Store

# What only some exports need is loaded where they do: the plain one is to begin at once.
if TYPE_CHECKING:
    from adapter.export.asked import Asked
    from adapter.export.columns import Rows
    from adapter.export.deidentify import Deidentifier

_MOST = 100_000
_DAY = ["%Y-%m-%d"]


@dataclass(frozen=True, slots=True)
class _Asked:
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


def export(
    place: Annotated[
        str | None,
        typer.Argument(metavar="FOLDER", help="Where to: a folder, or an address that fsspec opens (s3://...)."),
    ] = None,
    form: Annotated[
        Literal["ndjson", "bundle", "searchset", "csv", "parquet"],
        typer.Option("--format", help="ndjson, a Bundle (a collection, or a searchset), or tables."),
    ] = "ndjson",
    kind: Types = None,
    mode: TestOrLive = "test",
    since: Annotated[
        str | None,
        typer.Option(help="Only what changed then or later: an instant, or the manifest.json of the export before."),
    ] = None,
    date_from: Annotated[datetime | None, typer.Option(formats=_DAY, help="First day on which it starts.")] = None,
    date_to: Annotated[datetime | None, typer.Option(formats=_DAY, help="Last day, included.")] = None,
    status: Annotated[str | None, typer.Option(help="FHIR statuses, separated by commas.")] = None,
    practitioner: Annotated[str | None, typer.Option(help="A practitioner's id.")] = None,
    facility: Annotated[str | None, typer.Option(help="A facility's id.")] = None,
    patient_uhid: Annotated[str | None, typer.Option(help="A patient's UHID.")] = None,
    file_resources: Annotated[
        int | None,
        typer.Option(min=0, help=f"Resources in a file, 0 for no limit. Default: {_MOST}; Bundles: no limit."),
    ] = None,
    zipped: Annotated[bool, typer.Option("--gzip", help="Compress the files (Parquet is compressed already).")] = False,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Without what tells who somebody is (docs/deidentification.md).")
    ] = False,
    key_file: Annotated[
        Path | None, typer.Option(help=f"File with the key of the pseudonyms. Default: {PREFIX}DEIDENTIFY_KEY.")
    ] = None,
    show_views: Annotated[
        bool, typer.Option("--views", help="Print the tables' columns as SQL on FHIR ViewDefinitions, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest, for scripts.")] = False,
) -> None:
    """Write resources into files, as they are at this moment, with a manifest of checksums and counts.

    The service may run meanwhile. After an interruption the same command goes on where it was.

    [dim]Example:  mediloop-fhir export out --type Appointment,Slot --format parquet --mode live[/dim]
    """
    with plain_failures():
        settings = load()
        if show_views:
            from adapter.export.views import views
            from adapter.terms import systems_of, vocabulary_of

            made = views(systems_of(settings), vocabulary_of(settings), settings.fhir_bases)
            typer.echo(json.dumps(made, indent=2, ensure_ascii=False).encode())
            return
        if place is None or not place.rpartition("://")[2].strip():  # that would be the folder that one is in
            fail("name the folder to write to: mediloop-fhir export FOLDER")
        asked = _Asked(
            place=place,
            format=form,
            named=types_in(kind),
            mode=mode,
            filters=Filters(
                status=None if status is None else tuple(sorted(listed(status))),
                date_from=None if date_from is None else date_from.date(),
                date_to=None if date_to is None else date_to.date(),
                practitioner=practitioner,
                facility=facility,
                patient_uhid=patient_uhid,
            ),
            since=None if since is None else _since(since),
            most=file_resources if file_resources is not None else 0 if form in ("bundle", "searchset") else _MOST,
            zipped=zipped,
            key=_key(settings, key_file, deidentify),
        )
    try:
        manifest = read(settings, mode, lambda store: _export(settings, store, asked), goes_on=True)
    except (NotUsable, formats.MissingLibrary) as error:
        fail(str(error))
    if as_json:
        typer.echo(orjson.dumps(manifest.document()))
        return
    counted: dict[str, int] = {}
    for one in manifest.output:
        counted[one["type"]] = counted.get(one["type"], 0) + one["count"]
    for name, count in counted.items():
        out.print(f"{name}: {count}", markup=False, highlight=False)
    out.print(
        f"{len(manifest.output)} files as of {as_instant(manifest.cut.moment)} in {place}",
        markup=False,
        highlight=False,
    )


async def _export(settings: Settings, store: Store, asked: _Asked) -> Manifest:
    types = _tables(asked) if asked.format in formats.FLAT else EVERY
    chosen = kinds(asked.filters, asked.named, types)
    check(settings, asked.filters)
    bases = settings.fhir_bases or (f"http://{settings.host}:{settings.port}/fhir/R4",)
    deidentifier = None if asked.key is None else _deidentifier(settings, asked.key)
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


def _tables(asked: _Asked) -> tuple[str, ...]:
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


def _deidentifier(settings: Settings, key: bytes) -> Deidentifier:
    """Return what makes pseudonyms with a key.

    Raises:
        ValueError: it is too short.
    """
    from adapter.export.deidentify import Deidentifier
    from adapter.terms import systems_of

    # Not below an address that is guessed: $export has the same pseudonyms.
    return Deidentifier(key, systems_of(settings), settings.fhir_bases, settings.uhid_pattern)


def _options(
    settings: Settings, asked: _Asked, chosen: tuple[str, ...], deidentifier: Deidentifier | None
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


def _request(asked: _Asked, chosen: tuple[str, ...], deidentifier: Deidentifier | None) -> str:
    words = ["mediloop-fhir export", f"--mode {asked.mode}", f"--format {asked.format}", f"--type {','.join(chosen)}"]
    words += [] if asked.since is None else [f"--since {as_instant(asked.since.moment)}"]
    for name, value in asked.filters.as_options().items():
        shown = value if isinstance(value, str) else ",".join(value)
        words.append(f"--{name.replace('_', '-')} {shown if deidentifier is None else '(masked)'}")
    words += [] if deidentifier is None else ["--deidentify"]
    return " ".join(words)


def _since(text: str) -> Before:
    """Read an instant, or the manifest of the export before.

    Raises:
        Malformed: it is none of these, cannot be read, or is of an export that is not finished.
    """
    try:
        return before.read(text) if text.endswith(".json") else Before(before.at(text), text)
    except NotUsable as error:
        raise Malformed(Problem("invalid_request_error", str(error), "since")) from error
    except OSError as error:
        raise _unreadable("since", text, error) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = (
            "--since takes an instant (2024-01-20T10:00:00Z) or the manifest of an export: a path or address that ends "
            "in .json. Save the one of $export in such a file."
        )
        raise Malformed(Problem("invalid_request_error", wrong, "since")) from error


def _unreadable(name: str, place: object, error: OSError) -> Malformed:
    """Return the refusal of a file that an option names; errors of object stores may have a text alone, or none."""
    why = error.strerror or (str(error) if str(error) != str(place) else "") or "it cannot be read"
    text = f"--{name.replace('_', '-')} {place}: {why}. Name a file that is there."
    return Malformed(Problem("invalid_request_error", text, name))


def _key(settings: Settings, path: Path | None, deidentify: bool) -> bytes | None:
    """Return the key of the pseudonyms; None where none are wanted.

    Raises:
        Malformed: there is none, it is too short, or it is given though no pseudonyms are wanted.
    """
    if not deidentify:
        if path is None:
            return None
        # Whoever names a key means to hide something: nothing is written with identities then.
        text = "--key-file is the key of --deidentify, which is not given. Give both, or leave out --key-file."
        raise Malformed(Problem("invalid_request_error", text, "key_file"))
    setting = settings.deidentify_key
    key = b"" if setting is None else setting.get_secret_value().encode()
    if path is not None:
        try:
            key = path.read_bytes().strip()
        except OSError as error:
            raise _unreadable("key_file", path, error) from error
    try:
        _deidentifier(settings, key)
    except ValueError as error:
        text = f"--deidentify needs a key: set {PREFIX}DEIDENTIFY_KEY or name a --key-file ({error})."
        raise Malformed(Problem("invalid_request_error", text, "key_file")) from error
    return key
