"""``mediloop-fhir reindex``: make everything that searches use anew, while the service runs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from adapter.console.options import AsJson, TestLiveOrBoth
from adapter.console.session import FAILED, bar, err, fail, out, run
from adapter.security.keys import Mode
from adapter.service import MODES, Service
from store import reindex as rebuilding
from store import zones

_NAMED = 20  # of the resources that could not be made anew, so many are named


def reindex(
    mode: TestLiveOrBoth = "both",
    new_timezone: Annotated[
        bool,
        typer.Option(
            help="Make dates searchable for ADAPTER_TIMEZONE, which was another one, or had other rules; stop the "
            "service first."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the indexes and the search values of every stored resource anew, from the JSON that is served.

    The service may run meanwhile. Ctrl-C is safe: the next run goes on where this one stopped.

    [dim]Example:  mediloop-fhir reindex --mode live[/dim]
    """
    wanted = MODES if mode == "both" else (mode,)
    found = run(lambda service: _rebuild(service, wanted, new_timezone=new_timezone), anew=True, goes_on=True)
    if as_json:
        typer.echo(json.dumps({name: {"resources": _made(one), "failed": one.failed} for name, one in found.items()}))
    for name, progress in found.items():
        if not as_json:
            out.print(f"{name}: {_made(progress)} resources made anew.", highlight=False)
        for line in progress.failed[:_NAMED]:
            err.print(f"not made anew: {line}", markup=False, highlight=False)
    if any(progress.failed for progress in found.values()):
        raise typer.Exit(FAILED)


async def _rebuild(service: Service, modes: tuple[Mode, ...], *, new_timezone: bool) -> dict[Mode, rebuilding.Progress]:
    wanted = str(service.settings.zone)
    unfit: list[str] = []
    for mode in modes:
        made = await zones.other(service.stores[mode].database, service.settings.zone)
        if made is not None and not new_timezone:
            fail(
                f"ADAPTER_TIMEZONE is {wanted} here, and the {mode} data is searched by {made}. Go back to that, or, "
                "to change it, stop the service everywhere and add --new-timezone."
            )
        if made is not None:  # of all, before anything is changed: both databases are to have one zone
            unfit += [f"{mode}: {one}" for one in await rebuilding.unfit(service.stores[mode])]
    if unfit:
        for line in unfit[:_NAMED]:
            err.print(f"cannot be made anew: {line}", markup=False, highlight=False)
        fail(
            f"Nothing was changed: {len(unfit)} resources cannot be made searchable for {wanted}. Mend or delete them "
            "under the former zone, and run this again."
        )
    done: dict[Mode, rebuilding.Progress] = {}
    for mode in modes:
        with bar(mode) as move:
            async for progress in rebuilding.reindex(service.stores[mode]):
                done[mode] = progress
                move(completed=progress.done, total=progress.total)
    return done


def _made(progress: rebuilding.Progress) -> int:
    return progress.done - len(progress.failed)
