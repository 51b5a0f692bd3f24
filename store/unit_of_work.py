"""What is handed to a callback that reads through it, decides, and stages writes.

When the callback returns, everything is written in one transaction, all or nothing (`store.writing`).

MongoDB transactions are snapshots: two that each read 'free' and write different documents would both commit
(write skew). So the resources written name their `Claims`, and the unit of work writes to one guard document
for each claim that changes: rivals meet there, and the later one is run again on what the first one left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from store import narrative, sharing
from store.codec import Resource, decode, encode
from store.documents import NO_CLAIMS, Rules, stamped, version_of
from store.errors import Oversized
from store.extract import instant
from store.history import last_versions
from store.proposals import PROPOSALS, Proposal
from store.reading import Moment
from store.snapshot import Snapshot
from store.source import Documents, Find, by_kind
from store.staged import IDEMPOTENCY, Remembered, Staged, Write

T = TypeVar("T")

_MOST_READ = 32_000_000
"""Bytes of resources that are read by their ids: as values they take ten times as much memory."""
SEVERAL = 20
"""Ids of one type that are asked for with those of others, or ahead; of more, no more than that is read."""


class _Seen(Moment):
    """The moment of a transaction, whose commands go with the others of its session.

    Args:
        snapshot: what the transaction sees.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot.database, snapshot.session, None)
        self._snapshot = snapshot

    async def _bounded(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._snapshot.in_turn(call)


class UnitOfWork(Documents):
    """What is read in a transaction and going to be written in it. Made by `Store.transact`, never by hand."""

    def __init__(self, snapshot: Snapshot, rules: Rules, moment: datetime) -> None:
        super().__init__(snapshot.database, session=snapshot.session)
        self._snapshot = snapshot
        self._rules = rules
        self.now = moment
        self.zone = rules.zone
        self.staged = Staged()
        self._deleted: dict[str, datetime] = {}
        self._last: dict[str, int] = {}
        self._read: dict[str, bytes | None] = {}
        self._size = 0

    # Reading: always the transaction's own snapshot, one call at a time. Nothing is written before the callback has
    # returned, so what was read by its id once is the same when it is asked for again.

    async def read(self, kind: str, ident: str) -> Resource | None:
        """Return a resource, or None."""
        name = f"{kind}/{ident}"
        if name not in self._read:
            found = await self.documents(kind, {"_id": ident}, limit=1)
            self._read[name] = found[0]["_json"] if found else None
        raw = self._read[name]
        return None if raw is None else decode(raw)

    async def read_many(self, references: Iterable[str]) -> dict[str, Resource]:
        """Return the resources that exist among relative `references`, by reference.

        Raises:
            Oversized: together they are more than should be in memory.
        """
        wanted = list(references)
        for kind, idents in by_kind(name for name in wanted if name not in self._read).items():
            most = _MOST_READ if len(idents) > SEVERAL else 0
            found = await self.documents(kind, {"_id": {"$in": idents}}, most=most)
            self._size += sum(len(one["_json"]) for one in found)
            if self._size > _MOST_READ:
                raise Oversized("That is about more than is read at once.")
            # Noted when it is answered: who asks meanwhile is not told that there is none.
            self._read |= dict.fromkeys(f"{kind}/{ident}" for ident in idents)
            self._read |= {f"{kind}/{one['_id']}": one["_json"] for one in found}
        return {name: decode(raw) for name in dict.fromkeys(wanted) if (raw := self._read.get(name)) is not None}

    async def foresee(self, queries: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Have one command read what `queries`, each with its type, ask for; whoever asks then is answered without one.

        For what is likely to be asked for. It is of use for queries that look for values in fields that have an index,
        each by itself (``{"_id": {"$in": [...]}}``, or an ``$or`` of such); others are left to whoever asks.
        """
        await self._snapshot.foresee(Find(kind, query, ("_json",)) for kind, query in queries)

    async def find(self, kind: str, query: Mapping[str, Any]) -> list[Resource]:
        """Return the resources that match a MongoDB `query`; the query must have an index."""
        return [decode(found["_json"]) for found in await self.documents(kind, query)]

    async def last_version(self, kind: str, ident: str) -> int:
        """Return the newest version that was ever stored of a resource, its deletion included; 0 if there is none."""
        name = f"{kind}/{ident}"
        return (await self.last_versions([name]))[name]

    async def last_versions(self, references: Sequence[str]) -> dict[str, int]:
        """Return the newest version of each of relative `references`, its deletion included; 0 if there is none."""
        found = await last_versions(self, references)
        self._deleted.update({name: moment for name, (_, moment) in found.items()})
        self._last.update({name: version for name, (version, _) in found.items()})
        return {name: found[name][0] if name in found else 0 for name in references}

    async def recall(self, key: str) -> Remembered | None:
        """Return the answer remembered under `key`, or None."""
        found = await self.values(IDEMPOTENCY, {"_id": key}, ("fingerprint", "status", "body", "at"), limit=1)
        if not found:
            return None
        [one] = found
        return Remembered(key, one["fingerprint"], one["status"], bytes(one["body"]), one["at"])

    async def take_up(self, idents: Iterable[str]) -> dict[str, Proposal]:
        """Return the proposals that there are, by id; with what is written here they go, and nobody else takes them up.

        One that has expired is among them.
        """
        found = await self.values(PROPOSALS, {"_id": {"$in": [*idents]}}, ("expires", "_json"))
        self.staged.taken_up.update((one["_id"], None) for one in found)
        return {one["_id"]: Proposal(bytes(one["_json"]), one["expires"]) for one in found}

    def moment(self) -> Moment:
        """Give the transaction's own snapshot to read from, as `Store.moment` gives one of its own."""
        return _Seen(self._snapshot)

    async def _find(self, find: Find) -> list[dict[str, Any]]:
        return await self._snapshot.found(find)

    async def _bounded(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._snapshot.in_turn(call)

    # Staging: nothing is sent before the callback has returned. Each resource once.

    def create(
        self, resource: Resource, *, version: int = 1, method: str = "POST", sent: Resource | None = None
    ) -> Resource:
        """Stage a new resource (with its id) and return it as it will be stored.

        Args:
            resource: its content.
            version: one more than `last_version`, where it may have been stored and deleted before; at least that,
                where this unit of work has asked for it.
            method: as the history shall name it: POST or PUT.
            sent: as `update` has it.
        """
        name = f"{resource['resourceType']}/{resource['id']}"
        moment = max(self.now, self._deleted.get(name, self.now))
        if sent is not None:
            resource = narrative.fitting(resource, sent, completed=True)
        return self._stage(None, resource, max(version, self._last.get(name, 0) + 1), moment, method)

    def update(
        self, before: Resource, after: Resource, *, method: str = "PUT", sent: Resource | None = None
    ) -> Resource:
        """Stage the next version of `before`, which this unit of work has read, and return it as it will be stored.

        Args:
            before: what is stored.
            after: its content from now on.
            method: as the history shall name it: PUT or PATCH.
            sent: what somebody has sent for it, with a narrative of its own; None where `before` is changed here.
        """
        after = narrative.fitting(after, before if sent is None else sent, completed=sent is not None)
        return self._stage(before, after, version_of(before) + 1, self._later_than(before), method)

    def delete(self, before: Resource, method: str = "DELETE") -> int:
        """Stage the deletion of `before`, which this unit of work has read, and return the version that it makes.

        Who claims it by name meets the deletion: a Slot is not booked and deleted at once. So does who refers to it
        anew.
        """
        kind, ident, version = before["resourceType"], before["id"], version_of(before) + 1
        self.staged.add(Write(kind, ident, version, self._later_than(before), method, before, None, None, NO_CLAIMS))
        name = f"{kind}/{ident}"
        self.guard((name, *self._rules.claims(before).names))
        self.seize([name])
        return version

    def guard(self, names: Iterable[str]) -> None:
        """Meet rivals at `names` though no resource written here claims them."""
        self.staged.guards.update(dict.fromkeys(names))

    def share(self, names: Iterable[str]) -> None:
        """Meet who seizes one of `names` (``Practitioner/p``), and nobody else who shares it."""
        self.staged.shared.update(dict.fromkeys(names))

    def seize(self, names: Iterable[str]) -> None:
        """Meet whoever shares one of `names`, as all do who refer to it anew."""
        self.staged.seized.update(dict.fromkeys(names))

    def remember(self, key: str, fingerprint: str, status: int, body: bytes) -> None:
        """Keep the answer with what it answers, in the same transaction."""
        self.staged.remembered = Remembered(key, fingerprint, status, body, self.now)

    def _later_than(self, before: Resource) -> datetime:
        # Not before the version that it follows, whatever the clocks of two processes say: the order of history.
        return max(self.now, instant(before["meta"].get("lastUpdated")) or self.now)

    def _stage(self, before: Resource | None, after: Resource, version: int, moment: datetime, method: str) -> Resource:
        after = stamped(after, version, moment)
        old = NO_CLAIMS if before is None else self._rules.claims(before)
        new = self._rules.claims(after)
        kind, ident = after["resourceType"], after["id"]
        self.staged.add(Write(kind, ident, version, moment, method, before, after, encode(after), new))
        if old != new:
            self.guard((*old.names, *new.names))
        self.share(sharing.tied(before, after))
        return after
