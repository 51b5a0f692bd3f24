"""One of the two databases by itself, for what only reads it: exports, and whoever follows the changes.

Apart from `adapter.service`, which has all that the doors share: rules of scheduling, keys and limits take time to
load, and a command's start is part of its time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapter import clock
from adapter.settings import Settings, SettingsError
from adapter.variables import PREFIX
from store.connection import Client, bounded, connect, require_fit
from store.documents import Rules
from store.store import Store
from store.zones import OtherZone


def store_of(settings: Settings, client: Client, mode: str) -> Store:
    """Return the store of a mode (``test``, ``live``) to read from: what is written through it would claim no time."""
    return Store(client, database_of(settings, mode), rules=rules_of(settings), now=clock.now)


def rules_of(settings: Settings) -> Rules:
    """Return the rules by which what is stored is filed, but for what time it claims.

    All of them: by these it is told whether another process files as this one does (`store.revision`).
    """
    return Rules(
        unique_systems=(settings.number_system,),
        zone=settings.zone,
        bases=settings.fhir_bases,
        patient_systems=settings.uhid_systems,
    )


def database_of(settings: Settings, mode: str) -> str:
    """Return the name of a mode's database."""
    return f"{settings.database}_{mode}"


async def prepare(store: Store, *, anew: bool = False) -> None:
    """Make the indexes of a store; `anew` as for `adapter.service.Service.prepare`.

    Raises:
        SettingsError: the time zone is not the one that what is stored is searched by.
    """
    try:
        await store.prepare(anew=anew)
    except OtherZone as error:
        raise SettingsError(
            f"Bad setting. {PREFIX}TIMEZONE: it is {error.wanted}, but the dates in {error.database} were made "
            f"searchable for {error.made}. Go back to that, or stop the service everywhere and run "
            "`mediloop-fhir reindex --new-timezone` with the new one."
        ) from error


@asynccontextmanager
async def opened(settings: Settings, uri: str, mode: str) -> AsyncIterator[Store]:
    """Give the store of a mode to read from: server checked, indexes made.

    Raises:
        Unfit, Unreachable: MongoDB is not fit, or not there.
        SettingsError: as `prepare`.
    """
    client = connect(uri)
    store = store_of(settings, client, mode)

    async def ready() -> None:
        await require_fit(client)
        await prepare(store)

    try:
        await bounded(ready, None)  # an index may take its time; a failover meanwhile is told in one line
        yield store
    finally:
        await client.close()


__all__ = ["database_of", "opened", "prepare", "rules_of", "store_of"]
