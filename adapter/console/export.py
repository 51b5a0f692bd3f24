"""``mediloop-fhir export``: its options. `adapter.console.exporting` carries it out, straight from MongoDB."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer

from adapter.console.exporting import Options, carry_out, deidentifier_of
from adapter.console.options import TestOrLive, Types
from adapter.console.session import fail, listed, out, plain_failures, read, types_in
from adapter.errors import Malformed, Problem
from adapter.export import before, formats
from adapter.export.before import Before
from adapter.export.filters import Filters
from adapter.export.folder import NotUsable
from adapter.settings import Settings, load
from adapter.variables import PREFIX
from store.dates import as_instant

_MOST = 100_000
_DAY = ["%Y-%m-%d"]


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
        asked = Options(
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
        manifest = read(settings, mode, lambda store: carry_out(settings, store, asked), goes_on=True)
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
        deidentifier_of(settings, key)
    except ValueError as error:
        text = f"--deidentify needs a key: set {PREFIX}DEIDENTIFY_KEY or name a --key-file ({error})."
        raise Malformed(Problem("invalid_request_error", text, "key_file")) from error
    return key
