"""``mediloop-fhir import``: files of FHIR resources or MediLoop objects come in."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapter import memory, private
from adapter.console.options import AsJson, TestOrLive
from adapter.console.session import FAILED, at_once, bar, err, out, run
from adapter.service import Service

if TYPE_CHECKING:
    from adapter.importing.state import Tally

_BATCH = 1_000


def import_(
    sources: Annotated[list[str], typer.Argument(help="Files, folders, or the URL of a bulk manifest.")],
    mode: TestOrLive = "test",
    errors: Annotated[Path, typer.Option(help="Where refused lines go, with their reasons (NDJSON).")] = Path(
        "import-errors.ndjson"
    ),
    state: Annotated[
        Path | None, typer.Option(help="Where the progress is kept. Default: a file here, named after the sources.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="MEDILOOP_IMPORT_TOKEN", help="Bearer token for the manifest and the files on its host."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1_000, help="Resources in one transaction, at most.")] = _BATCH,
    as_json: AsJson = False,
) -> None:
    """Import FHIR resources (NDJSON, Bundles, gzip) or appointments as the MediLoop API lists them.

    Everything is checked as at the front door. What is refused goes to the error file, the rest comes in. The same
    file again changes nothing; an interrupted import goes on where it stopped when the same command is given.

    [dim]Example:  mediloop-fhir import --mode live exported/[/dim]
    """
    from adapter.importing import running  # loads all of validation: not for `version`
    from adapter.importing.errorfile import alone_at
    from adapter.importing.sources import find
    from adapter.importing.state import Tally, folder_of

    where = state or Path(f"import-{hashlib.sha256(json.dumps([mode, sources]).encode()).hexdigest()[:12]}.state")
    options = running.Options(mode, errors, where, batch)
    fetched = folder_of(where)

    lacking: list[str] = []
    written = {"--errors": errors, "--state": where}

    async def work(service: Service) -> Tally:
        for option, path in written.items():
            private.require_place(path, option)
        memory.settle(memory.BATCH)
        tally = Tally()
        with alone_at(written), bar(mode) as move:
            with at_once():
                found = find(
                    sources, fetched, token, (errors, where), resumed=where.exists(), tell=lacking.append, say=_say
                )
            async for tally in running.run(service, found, options):
                move(completed=tally.done, total=tally.total)
            shutil.rmtree(fetched, ignore_errors=True)
        tally.notes += lacking
        return tally

    tally = run(work, goes_on=True)
    if as_json:
        typer.echo(json.dumps(asdict(tally)))
    else:
        deleted = f"{tally.deleted} deleted, " if tally.deleted else ""
        said = (
            f"{tally.created} created, {tally.updated} updated, {deleted}{tally.unchanged} unchanged, "
            f"{tally.refused} refused."
        )
        out.print(said, markup=False, highlight=False)
        for name, times in tally.left_out.items():
            err.print(f"left out, not a member of MediLoop's appointment: {name} ({times} times)", markup=False)
    for note in tally.notes:
        _say(note)
    if tally.refused:
        _say(f"Refused lines and their reasons: {errors}")
    if tally.refused or lacking:
        raise typer.Exit(FAILED)


def _say(line: str) -> None:
    err.print(line, markup=False, highlight=False)
