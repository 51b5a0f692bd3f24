"""The one road of every write, whichever door it came by (docs/architecture.md, One road for every write).

The door parses and gives a `step`; the step reads, decides and stages; the store writes guards, documents,
history and the idempotency record in one transaction; the door's `shape` makes the answer from the document
as stored. The answer is remembered in that same transaction, so a crash between the two is impossible.

No step is refused for a hold that has ended: those lapse first, in units of work of their own, and it is run again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import orjson

from adapter.errors import Conflict, Malformed, Problem, Refused, Unprocessable
from adapter.scheduling import holds
from store.store import REMEMBERED_FOR, Store
from store.unit_of_work import UnitOfWork

T = TypeVar("T")
Step = Callable[[UnitOfWork], Awaitable[T]]
Shape = Callable[[T], bytes]

IDEMPOTENCY_HEADER = "X-Idempotency-Key"
IDEMPOTENCY_LENGTH = 255

_FEW = 100  # of the holds that are over: that one of them has gone is reason enough to decide again


@dataclass(frozen=True, slots=True)
class Once:
    """A request that its sender may repeat.

    Attributes:
        key: the idempotency key, made unique to the API key that sent it and what that is rolled to.
        fingerprint: of the request: method, path and body.
    """

    key: str
    fingerprint: str

    @classmethod
    def of(cls, given: str | None, owner: str, request: str, content: object) -> Once | None:
        """Return what makes a request repeatable, if its sender asked for that.

        Args:
            given: the idempotency key that came with it.
            owner: the first id of the API key that sent it (`Key.origin`).
            request: method and path.
            content: the body, read.

        Raises:
            Malformed: the key is empty or too long.
        """
        if given is None:
            return None
        if not 1 <= len(given) <= IDEMPOTENCY_LENGTH:
            text = f"{IDEMPOTENCY_HEADER} must have 1 to {IDEMPOTENCY_LENGTH} characters."
            raise Malformed(Problem("invalid_request_error", text, IDEMPOTENCY_HEADER))
        key = hashlib.sha256(f"{owner}\n{given}".encode()).hexdigest()
        body = orjson.dumps(content, default=str, option=orjson.OPT_SORT_KEYS)
        return cls(key, hashlib.sha256(f"{request}\n".encode() + body).hexdigest())


@dataclass(frozen=True, slots=True)
class Answer:
    """What the door sends: status and body, and whether they are those of an earlier, equal request."""

    status: int
    body: bytes
    replayed: bool = False


async def decide(store: Store, step: Step[T], *, together: bool = False, large: bool = False) -> T:
    """Run `step` in a unit of work; no hold that is over is ever in its way.

    What is booked costs no look for such holds while this process knows that none is due; what would be refused is
    looked into first, in the snapshot that it was decided on, so that a refusal is never due to one. It does not matter
    who lets such a hold lapse.

    Args:
        store: where.
        step: reads, decides and stages.
        together, large: how it may run beside others (`Store.transact`).

    Raises:
        Whatever `step` refuses: nothing is stored then.
    """
    over: list[str] = []

    async def attempt(work: UnitOfWork) -> T:
        over.clear()
        try:
            return await step(work)
        except Refused as refused:
            if refused.status == Conflict.status:  # a door may have told it in its own words
                over.extend(await work.keys("Appointment", holds.due_query(work.now), limit=_FEW))
            raise

    await holds.settle_due(store)
    while True:
        try:
            return await store.transact(attempt, together=together, large=large)
        except Refused:
            if not (over and await _has_lapsed(store, over)):
                raise


async def _has_lapsed(store: Store, over: Sequence[str]) -> bool:
    """Let the holds lapse that are due; tell whether one did, or one of those that were `over` has done so already."""
    if await holds.tidy(store):
        return True
    # One that is there still is no hold by what it says itself (`mediloop-fhir check` tells): it stands.
    there = await store.keys("Appointment", {"_id": {"$in": over}} | holds.due_query(store.now()), limit=len(over))
    return len(there) < len(over)


async def travel(
    store: Store, step: Step[T], shape: Shape[T], *, status: int, once: Once | None = None, large: bool = False
) -> Answer:
    """Run `step` in a unit of work and return the answer; `large` as for `decide`, what is not travels together.

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

    return await decide(store, attempt, together=not large, large=large)


async def _earlier(work: UnitOfWork, once: Once) -> Answer | None:
    found = await work.recall(once.key)
    if found is None or work.now - found.at >= REMEMBERED_FOR:
        return None
    if found.fingerprint != once.fingerprint:
        raise Unprocessable(
            Problem(
                "idempotency_key_reuse",
                "This idempotency key was used before for another request. Use a new key for a new request.",
                IDEMPOTENCY_HEADER,
            )
        )
    return Answer(found.status, found.body, replayed=True)
