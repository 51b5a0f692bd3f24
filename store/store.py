"""One database of FHIR resources: reads that serve stored bytes, and the way into a unit of work."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure, PyMongoError

from store import zones
from store.committed import Committed
from store.connection import MAJORITY, Client, bounded
from store.counters import Numbers
from store.documents import Rules
from store.errors import AlreadyExists, NotUnique, Unreachable
from store.foreseen import NotAhead
from store.gathering import Gathering
from store.guards import GUARDS
from store.history import History, HistoryPage, Version, as_stored
from store.ordering import BATCH, Order
from store.proposals import Proposals
from store.reading import Moment, Reading
from store.snapshot import Snapshot
from store.staged import IDEMPOTENCY, Staged
from store.together import Together
from store.transactions import Transactions
from store.types import TYPES
from store.unit_of_work import UnitOfWork
from store.writing import require_free, write

PROBE = "readiness"

T = TypeVar("T")

# A guard has done its work when the transactions that ran beside it have ended, a minute at most.
_GUARD_SECONDS = 3_600
# Large ones at a time. Each takes all of a processor: the more there are, the longer each lies open, and the more often
# it is overtaken and run again (measured with 16 clients: a fifth more is done, and the slowest takes half the time).
_LARGE = 2
REMEMBERED_FOR = timedelta(hours=24)


class Store(Reading):
    """The resources of one environment (test or live).

    Args:
        client: from `store.connection.connect`.
        name: of the database.
        rules: what a resource claims, and which identifiers are unique.
        now: the clock.
        timeout: seconds after which any one call gives up with `Unreachable`.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        rules: Rules | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timeout: float = 10.0,
    ) -> None:
        super().__init__(client[name], timeout=timeout)
        self._client = client
        self.rules = rules or Rules()
        self._now = now
        self._patience = timeout
        self._numbers = Numbers(self.database, timeout=timeout)
        self._transactions = Transactions(client, timeout)
        self._order = Order(self.database, self._transactions.run, now, timeout)
        self._gathering = Gathering(self.database, timeout)
        self._history = History(self.database, self._order, timeout)
        self.proposals = Proposals(self.database, timeout)
        self._large = asyncio.Semaphore(_LARGE)
        self._begun = itertools.count(secrets.randbelow(1_000))  # processes do not all begin with the same turn
        self.committed = Committed()
        self._together = Together(
            self._alone, partial(self._snapshot, joins=True), self._written, self.rules, self._now
        )

    async def prepare(self, *, anew: bool = False) -> None:
        """Make every declared index (a no-op where they exist), and make sure of the zone that dates are searched by.

        Args:
            anew: all that is stored is about to be made searchable anew (`store.reindex`), whatever its zone is.

        Raises:
            OtherZone: it is not that of the rules.
        """
        if not anew:
            await zones.require(self.database, self.rules.zone)
        # Side by side: each command's start is most of it, and a command line waits for them.
        await asyncio.gather(*(self.database[one.name].create_indexes(one.index_models()) for one in TYPES.values()))
        await self.database[GUARDS].create_indexes([IndexModel([("at", ASCENDING)], expireAfterSeconds=_GUARD_SECONDS)])
        await self.database[IDEMPOTENCY].create_indexes(
            [IndexModel([("at", ASCENDING)], expireAfterSeconds=int(REMEMBERED_FOR.total_seconds()))]
        )
        await self._order.prepare()
        await self.proposals.prepare()

    def now(self) -> datetime:
        """Return the present moment, by the clock that stamps what is written."""
        return self._now()

    # Reading: stored bytes, as they are. What is asked for by its id goes with what others ask for.

    async def read(self, kind: str, ident: str) -> bytes | None:
        """Return the JSON of a resource, or None.

        Raises:
            Unreachable: MongoDB did not answer in time.
        """
        return (await self._gathering.read(kind, (ident,))).get(ident)

    async def _of_kind(self, kind: str, idents: list[str]) -> tuple[str, dict[str, bytes]]:
        found = await self._gathering.read(kind, idents)
        return kind, {ident: found[ident] for ident in idents if ident in found}

    @asynccontextmanager
    async def moment(self, patience: float | None = None) -> AsyncIterator[Moment]:
        """Give what is committed now to read from, whatever is written meanwhile.

        Args:
            patience: seconds after which a query gives up; None: those of the store.
        """
        async with self._client.start_session(snapshot=True) as session:
            seconds = self._patience if patience is None else patience
            yield Moment(self.database, session, seconds, self.committed.counts.copy())

    async def read_version(self, kind: str, ident: str, version: int) -> Version | None:
        """Return one version of a resource (without JSON if it is its deletion), or None."""
        return await self._history.version(kind, ident, version)

    async def gone(self, kind: str, ident: str) -> int | None:
        """Return the version with which a resource was deleted; None if it never existed, or exists."""
        return await self._history.gone(kind, ident)

    async def history(
        self,
        kind: str | None = None,
        ident: str | None = None,
        *,
        since: datetime | None = None,
        limit: int,
        before: int | None = None,
        kinds: Sequence[str] | None = None,
    ) -> HistoryPage:
        """Return versions of a resource, a type or all, newest first; see `History.page`."""
        return await self._history.page(kind, ident, since=since, limit=limit, before=before, kinds=kinds)

    async def adopt_history(self) -> int:
        """Take the versions that older releases have written into the order of the history; return how many."""
        return await self._order.adopt()

    async def sequence(self, limit: int = BATCH) -> int:
        """Put at most `limit` new versions in the order of the history ahead of its readers; return how many."""
        return await self._order.sequence(limit)

    async def sequence_all(self) -> None:
        """Put every version that is committed now in the order of the history."""
        await self._order.sequence_all()

    async def cut(self) -> tuple[int, datetime]:
        """Return a place in the order of the history, and its moment; see `Order.cut`."""
        return await self._order.cut()

    async def first_since(self, moment: datetime, otherwise: int) -> int:
        """Return the place from which on every version counts as made at `moment` or later; `otherwise` for none."""
        return await self._history.first_since(as_stored(moment), otherwise)

    async def ping(self) -> None:
        """Make sure that MongoDB can be reached and takes writes.

        Raises:
            Unreachable: it cannot, or does not.
        """
        probe = self.database.get_collection(PROBE, write_concern=MAJORITY)
        now = {"$set": {"at": self._now()}}
        try:
            await self._bounded(lambda: probe.update_one({"_id": "ready"}, now, upsert=True))
        except OperationFailure as error:
            # Told to anybody: what MongoDB says names the database, and can hold the session.
            kind = (error.details or {}).get("codeName", f"error {error.code}")
            raise Unreachable(f"MongoDB takes no writes: refused ({kind})") from error

    # Writing.

    async def next_number(self, name: str) -> int:
        """Return the next number of the counter `name`, from 1; gaps are possible."""
        return await self._numbers.next(name)

    async def pass_numbers(self, name: str, last: int) -> None:
        """Have the counter `name` hand out no number up to `last` from now on."""
        await self._numbers.pass_over(name, last)

    async def transact(
        self, callback: Callable[[UnitOfWork], Awaitable[T]], *, together: bool = False, large: bool = False
    ) -> T:
        """Run `callback` in a transaction and write what it staged; run it again where a rival came first.

        Args:
            callback: may run several times: it must do nothing but read through, and stage in, the unit of work.
            together: whether it may share its transaction with others of the moment (`store.together`). For what reads
                and writes little: all of them take as long as the longest.
            large: whether it reads or writes so much that others of its kind are to wait for it.

        Raises:
            AlreadyExists, NotUnique: a staged resource clashes with a stored one.
            Oversized: a staged resource, or all of them, are more than MongoDB takes.
            Unreachable: no answer within the bound.
            Whatever `callback` raises: nothing is written then, and what it read is there to stay.
        """
        if large:
            return await bounded(lambda: self._in_its_turn(callback), self._patience)
        if not together:
            return await self._alone(callback)
        result: T = await bounded(lambda: self._together.run(callback), self._patience)
        return result

    async def _in_its_turn(self, callback: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async with self._large:
            return await self._alone(callback)

    async def _alone(self, callback: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        clashed = False

        async def attempt(snapshot: Snapshot) -> T:
            work = UnitOfWork(snapshot, self.rules, self._now())
            try:
                result = await callback(work)
                if clashed:
                    await require_free(work, work.staged, self.rules)
            except (PyMongoError, Unreachable):
                raise
            except Exception:
                # What it read is perhaps on this member alone as yet: nothing is written, but the commit waits for a
                # majority to hold it (tests/linearizability/test_refusals.py). If that fails, nobody was refused.
                await snapshot.commit()
                raise
            await self._written(snapshot, [work.staged])
            return result

        try:
            return await self._snapshot(attempt)
        except (AlreadyExists, NotUnique):
            # Found while writing: MongoDB has ended that transaction itself, there is nothing to commit. Run again, to
            # see what is in the way before anything is written, and be refused for it like for all that is read.
            clashed = True
            return await self._snapshot(attempt)

    async def _snapshot(self, attempt: Callable[[Snapshot], Awaitable[T]], *, joins: bool = False) -> T:
        last: Snapshot | None = None
        ahead = True

        async def seen(session: AsyncClientSession) -> T:
            nonlocal last
            last = Snapshot(self.database, session, joins=joins, ahead=ahead)
            return await attempt(last)

        def ended() -> None:
            self.committed.note(() if last is None else last.written)

        try:
            return await self._transactions.run(seen, ended)
        except NotAhead:
            ahead = False
            return await self._transactions.run(seen, ended)

    async def _written(self, snapshot: Snapshot, staged: Sequence[Staged]) -> None:
        turn, now = next(self._begun), self._now()
        await write(self.database, snapshot.session, self.rules, staged, turn=turn, now=now)
        snapshot.written = staged
