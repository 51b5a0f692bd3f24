"""What one running service has at hand: settings, the two stores, keys, limits, systems and code tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pymongo.monitoring import ConnectionPoolListener

from adapter import clock, reading
from adapter.scheduling import holds
from adapter.scheduling.claims import claims
from adapter.security.keyring import Keyring
from adapter.security.keys import KeyStore, Mode
from adapter.security.ratelimit import RateLimiter
from adapter.settings import Settings
from adapter.terms import systems_of, vocabulary_of
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary
from store import revision
from store.connection import Client, bounded, connect, require_fit
from store.export_jobs import ExportJobs
from store.store import Store

MODES: tuple[Mode, ...] = ("test", "live")


@dataclass(frozen=True, slots=True)
class Service:
    """The parts that every door shares.

    Attributes:
        settings: as read at the start.
        client: of MongoDB.
        stores: by mode, ``test`` and ``live``: two databases, never mixed.
        keys: by mode.
        keyring: tells whose a request is.
        limiter: tells whether there are too many.
        systems: the canonical URLs of this deployment.
        vocabulary: its code tables.
        now: the clock.
        started: when it was put together.
    """

    settings: Settings
    client: Client
    stores: dict[Mode, Store]
    keys: dict[Mode, KeyStore]
    keyring: Keyring
    limiter: RateLimiter
    systems: Systems
    vocabulary: Vocabulary
    now: clock.Now
    started: datetime

    async def prepare(self, *, anew: bool = False) -> None:
        """Check the server, make indexes, register the bootstrap key.

        Args:
            anew: what is stored is about to be made searchable anew: it may have been for another time zone.

        Raises:
            Unfit, Unreachable: MongoDB is not fit, or not there.
            SettingsError: the time zone is not the one that what is stored is searched by.
        """
        # An index may take its time; a failover meanwhile is told in one line.
        await bounded(lambda: self._prepare(anew), None)

    async def _prepare(self, anew: bool) -> None:
        await require_fit(self.client)
        for mode in MODES:
            store = self.stores[mode]
            await reading.prepare(store, anew=anew)
            if not anew:
                await revision.prepare(store.database, store.rules)
            await self.keys[mode].ensure_indexes()
            await ExportJobs(self.stores[mode].database).prepare()
        await self.limiter.ensure_indexes()
        key = self.settings.bootstrap_key
        if key is not None:
            secret = key.get_secret_value()
            await self.keys["live" if secret.startswith("sk_live_") else "test"].ensure(secret, "bootstrap")

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


def build(
    settings: Settings, uri: str, now: clock.Now = clock.now, *, watches: Sequence[ConnectionPoolListener] = ()
) -> Service:
    """Put a service together on the MongoDB at `uri`; nothing is sent yet.

    Args:
        settings: what it is put together by.
        uri: where MongoDB is.
        now: the clock.
        watches: what is told of the connections: who serves counts them (`adapter.metrics`).

    Raises:
        SettingsError: a replacement ConceptMap cannot be used.
    """
    return assemble(settings, connect(uri, listeners=watches), now)


def assemble(settings: Settings, client: Client, now: clock.Now = clock.now) -> Service:
    """Put a service together that uses `client`.

    Raises:
        SettingsError: as `build`.
    """
    systems = systems_of(settings)
    rules = replace(reading.rules_of(settings), claims=claims)
    stores = {mode: Store(client, reading.database_of(settings, mode), rules=rules, now=now) for mode in MODES}
    for store in stores.values():
        holds.watch(store, settings.hold_seconds)
    keys = {mode: KeyStore(stores[mode].database, mode, now) for mode in MODES}
    return Service(
        settings=settings,
        client=client,
        stores=stores,
        keys=keys,
        keyring=Keyring(keys["test"], keys["live"], now),
        limiter=RateLimiter(stores["test"].database, settings.rate_limit_test, settings.rate_limit_live, now),
        systems=systems,
        vocabulary=vocabulary_of(settings),
        now=now,
        started=now(),
    )


__all__ = ["MODES", "Service", "assemble", "build"]
