"""The one road of every write, whichever door it came by (see the README of the house: one unit of work).

The door parses and gives a `step`; the step reads, decides and stages; the store writes guards, documents,
history and the idempotency record in one transaction; the door's `shape` makes the answer from the document
as stored. The answer is remembered in that same transaction, so a crash between the two is impossible.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from adapter.errors import Problem, Unprocessable
from store.codec import Resource
from store.store import REMEMBERED_FOR, Store
from store.unit_of_work import UnitOfWork

Step = Callable[[UnitOfWork], Awaitable[Resource]]
Shape = Callable[[Resource], bytes]


@dataclass(frozen=True, slots=True)
class Once:
    """A request that its sender may repeat (decision 2.13).

    Attributes:
        key: the idempotency key, made unique to the API key that sent it.
        fingerprint: of the request: method, path and body.
    """

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the door sends: status and body, and whether they are those of an earlier, equal request."""

    status: int
    body: bytes
    replayed: bool = False


async def travel(store: Store, step: Step, shape: Shape, *, status: int, once: Once | None = None) -> Answer:
    """Run `step` in a unit of work and return the answer.

    Of equal requests at once one is carried out; the others meet it at the record and give its answer.

    Raises:
        Unprocessable: ``idempotency_key_reuse``: the key came before with another request.
        Whatever `step` refuses: nothing is stored then, the idempotency key included.
    """

    async def attempt(work: UnitOfWork) -> Answer:
        if once is not None:
            earlier = await _earlier(work, once)
            if earlier is not None:
                return earlier
        body = shape(await step(work))
        if once is not None:
            work.remember(once.key, once.fingerprint, status, body)
        return Answer(status, body)

    return await store.transact(attempt)


async def _earlier(work: UnitOfWork, once: Once) -> Answer | None:
    found = await work.recall(once.key)
    if found is None or work.now - found.at >= REMEMBERED_FOR:
        return None
    if found.fingerprint != once.fingerprint:
        raise Unprocessable(
            Problem(
                "idempotency_key_reuse",
                "This idempotency key was used before for another request. Use a new key for a new request.",
                "X-Idempotency-Key",
            )
        )
    return Answer(found.status, found.body, replayed=True)
