"""Lets units of work of one moment share a transaction: it reads for all, writes all, and is committed once.

Most of what a small unit of work costs are its commands, ten and more, and the commit, which waits for the disk. So
those that come while others are under way wait for the next transaction and share it. One that comes alone, after
another that did, starts at once.

They are decided on one snapshot, each as if it were alone, just as transactions that run side by side are. What keeps
those apart keeps these apart: of two that write to the same guard, resource, unique identifier or record, the later one
is not written, and runs again in the next transaction, on what the first has left. One that is refused is told so after
the commit; one that fails does not affect the others. If the transaction as a whole fails, each runs by itself.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.errors import PyMongoError

from store.documents import Rules, unique_identifiers
from store.errors import Oversized
from store.snapshot import Snapshot
from store.staged import Staged
from store.unit_of_work import UnitOfWork

Callback = Callable[[UnitOfWork], Awaitable[Any]]

MOST = 32
"""Units of work in one transaction: this bounds what one that takes long, or fails, costs the others."""

_UNDER_WAY = 2  # transactions at a time; further units of work wait. One is decided while the other is being committed
_PATIENCE = 0.05  # seconds for which they wait at most
_GATHERING = 0.003  # seconds in which as many are waited for as shared the last one
_TRIES = 3  # of a transaction that rivals overtake, before each runs by itself

_AGAIN = object()


@dataclass(eq=False, slots=True)
class Member:
    """A unit of work that may travel with others.

    Attributes:
        callback: reads, decides and stages.
        context: of who asks: its log lines carry the request.
        answer: what the callback gave when that is committed, or what was raised.
    """

    callback: Callback
    context: Context
    answer: asyncio.Future[Any]


class Places:
    """What units of work that share a transaction write to: no two of them may write to the same.

    Args:
        rules: which identifiers are unique.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._held: set[tuple[str, str]] = set()
        self._shared: set[tuple[str, str]] = set()

    def take(self, staged: Staged) -> bool:
        """Take the places of a further unit of work, unless one is taken already; tell whether they were taken."""
        held = set(self._of(staged))
        shared = {("referred", name) for name in staged.shared}
        if not (held.isdisjoint(self._held) and held.isdisjoint(self._shared) and shared.isdisjoint(self._held)):
            return False
        self._held |= held
        self._shared |= shared
        return True

    def _of(self, staged: Staged) -> Iterator[tuple[str, str]]:
        yield from (("guard", name) for name in staged.guards)
        yield from (("referred", name) for name in staged.seized)
        for write in staged.writes.values():
            yield "resource", write.name
            for end in (write.before, write.after):
                yield from ((write.kind, one) for one in unique_identifiers(end or {}, self._rules))
        yield from (("proposal", ident) for ident in staged.taken_up)
        if staged.remembered is not None:
            yield "record", staged.remembered.key


class Together:
    """Brings units of work together.

    Args:
        alone: runs one in a transaction of its own.
        transaction: runs what it is given in a transaction, and again where a rival came first.
        written: writes what was staged on a snapshot.
        rules: what a resource claims, and which identifiers are unique.
        now: the clock.
    """

    def __init__(
        self,
        alone: Callable[[Callback], Awaitable[Any]],
        transaction: Callable[[Callable[[Snapshot], Awaitable[list[Any]]]], Awaitable[list[Any]]],
        written: Callable[[Snapshot, Sequence[Staged]], Awaitable[None]],
        rules: Rules,
        now: Callable[[], datetime],
    ) -> None:
        self._alone = alone
        self._transaction = transaction
        self._written = written
        self._rules = rules
        self._now = now
        self._waiting: deque[Member] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._last = 1  # how many left together the last time

    async def run(self, callback: Callback) -> Any:
        """Return what `callback` gives when what it stages is committed.

        Raises:
            Whatever it raises, or its transaction.
        """
        member = Member(callback, copy_context(), asyncio.get_running_loop().create_future())
        self._waiting.append(member)
        self._bound_the_wait(member)
        self._consider()
        return await member.answer  # cancelled with its caller: what nobody waits for any more is not run

    def _consider(self) -> None:
        """Send on their way those that wait, if it is time."""
        if len(self._under_way) >= _UNDER_WAY or not self._waiting:
            return
        if len(self._waiting) >= self._last:
            self._start()
        else:  # callers that were answered together ask again at about the same time; a single one does not wait
            asyncio.get_running_loop().call_later(_GATHERING, self._start_late, self._waiting[0])

    def _bound_the_wait(self, member: Member) -> None:
        asyncio.get_running_loop().call_later(_PATIENCE, self._start_late, member)

    def _start_late(self, member: Member) -> None:
        if member in self._waiting:
            self._start()

    def _start(self) -> None:
        """Send on their way those that wait."""
        members: list[Member] = []
        while self._waiting and len(members) < MOST:
            member = self._waiting.popleft()
            if not member.answer.done():
                members.append(member)
        if members:
            self._last = len(members)
            # In a context of its own: the deadline of one of the requests is not that of the others.
            task = asyncio.get_running_loop().create_task(self._travel(members), context=Context())
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # each has its own answer
        self._consider()

    async def _travel(self, members: Sequence[Member]) -> None:
        if len(members) == 1:
            await self._by_itself(members[0])
            return
        try:
            left = await self._carried(members)
        except Apart:
            await asyncio.gather(*map(self._by_itself, members), return_exceptions=True)  # each has its own answer
        except BaseException as error:
            for member in members:
                _raise(member, error)
            raise
        else:
            self._waiting.extendleft(reversed(left))
            for member in left:
                self._bound_the_wait(member)

    async def _carried(self, members: Sequence[Member]) -> list[Member]:
        """Run several in one transaction, answer those that are done, and return those that are to be run again.

        Raises:
            Apart: nothing is written.
            Unreachable: no answer within the bound; whether it is written is not known.
        """
        tries = itertools.count(1)

        async def attempt(snapshot: Snapshot) -> list[Any]:
            if next(tries) > _TRIES:
                raise Apart
            try:
                return await self._attempted(snapshot, members)
            except PyMongoError as error:
                if error.has_error_label("TransientTransactionError"):
                    raise
                raise Apart from error
            except Exception as error:
                raise Apart from error

        try:
            outcomes = await self._transaction(attempt)
        except Oversized as error:
            raise Apart from error
        again: list[Member] = []
        for member, outcome in zip(members, outcomes, strict=True):
            if outcome is _AGAIN:
                again.append(member)
            elif isinstance(outcome, BaseException):
                _raise(member, outcome)
            elif not member.answer.done():
                member.answer.set_result(outcome)
        return again

    async def _attempted(self, snapshot: Snapshot, members: Sequence[Member]) -> list[Any]:
        """Return what each has given or raised; `_AGAIN` for who met another one."""
        units = [UnitOfWork(snapshot, self._rules, self._now()) for _ in members]
        tasks = [
            asyncio.get_running_loop().create_task(_awaited(member.callback(unit)), context=member.context)
            for member, unit in zip(members, units, strict=True)
        ]
        try:
            outcomes: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await snapshot.end()
        for outcome in outcomes:
            if isinstance(outcome, PyMongoError):
                raise outcome
        places = Places(self._rules)
        staged: list[Staged] = []
        for place, unit in enumerate(units):
            # A caller that has left was told that the outcome is not known: better it is not written.
            if isinstance(outcomes[place], BaseException) or members[place].answer.done():
                continue
            if places.take(unit.staged):
                staged.append(unit.staged)
            else:
                outcomes[place] = _AGAIN
        # If all are refused nothing is written; once that is committed, what they were refused for is there to stay.
        await self._written(snapshot, staged)
        return outcomes

    async def _by_itself(self, member: Member) -> None:
        if member.answer.done():
            return
        task = asyncio.get_running_loop().create_task(_awaited(self._alone(member.callback)), context=member.context)
        member.answer.add_done_callback(lambda _: task.cancel())  # its caller has left: better it is not done
        try:
            answer = await task
        except BaseException as error:
            _raise(member, error)
            if not isinstance(error, Exception):
                raise
        else:
            if not member.answer.done():
                member.answer.set_result(answer)


class Apart(Exception):
    """Nothing of what was to travel together is written: each is to be run by itself."""


def _raise(member: Member, error: BaseException) -> None:
    if not member.answer.done():
        if isinstance(error, Exception):
            member.answer.set_exception(error)
        else:
            member.answer.cancel()


async def _awaited(one: Awaitable[Any]) -> Any:
    return await one
