"""POSTs that their sender may repeat: those that write are one unit of work, and remembered with it.

Creates and transactions remember which versions they have left, not the answer: how it is shown is for each request to
say, and the history keeps every version. So the record stays small, however much a transaction writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from adapter.fhir.call import Call
from adapter.fhir.writes import Written
from adapter.scheduling.road import IDEMPOTENCY_HEADER, Once, Step, decide, travel
from store.codec import decode
from store.search.results import PASSED_BY
from store.unit_of_work import UnitOfWork

REPLAYED: Mapping[str, str] = {"X-Idempotency-Replayed": "true"}
"""The header of an answer that was given before."""

_FEW = 10
_NAME = IDEMPOTENCY_HEADER.lower()
_CONDITION = "if-none-exist"


def is_repeatable(call: Call) -> bool:
    """Tell whether the sender of a call wants to be able to repeat it."""
    return call.method == "POST" and _NAME in call.headers


def once(call: Call) -> Once | None:
    """Return what makes a POST repeatable, if its sender asked for that.

    Raises:
        Malformed: the key is empty or too long.
    """
    if not is_repeatable(call):
        return None
    content: list[object] = [[pair for pair in call.query if pair[0] not in PASSED_BY], call.body]
    if _CONDITION in call.headers:
        content.append(call.headers[_CONDITION])
    return Once.of(call.headers[_NAME], call.who.key.origin, f"{call.method} {'/'.join(call.path)}", content)


async def carried_out(call: Call, step: Step[list[Written]], writes: int = 1) -> tuple[list[Written], bool]:
    """Run a step that writes what `call` asks for, once; return what became of it, and whether it was done before.

    `writes`: how many there are. Few may share a transaction with those of other calls, many take turns
    (`Store.transact`).

    Raises:
        Malformed: the idempotency key is none. Unprocessable: it came before with another request.
        Whatever `step` refuses: nothing is stored then, the idempotency key included.
    """
    repeat = once(call)
    large = writes > _FEW or call.large
    if repeat is None:
        return await decide(call.who.store, step, together=not large, large=large), False
    done: list[Written] = []

    async def noted(work: UnitOfWork) -> list[Written]:
        done[:] = await step(work)
        return done

    answer = await travel(call.who.store, noted, _remembered, status=200, once=repeat, large=large)
    if not answer.replayed:
        return done, False
    return [*await asyncio.gather(*(_again(call, one) for one in orjson.loads(answer.body)))], True


def _remembered(done: Sequence[Written]) -> bytes:
    return orjson.dumps(
        [
            {
                "status": one.status,
                "type": one.kind,
                "id": one.ident,
                "version": None if one.resource is None else int(one.resource["meta"]["versionId"]),
                "changed": one.changed,
                "kept": one.kept,
            }
            for one in done
        ]
    )


async def _again(call: Call, one: Mapping[str, Any]) -> Written:
    resource = None
    if one["version"] is not None:
        found = await call.who.store.read_version(one["type"], one["id"], one["version"])
        if found is None or found.raw is None:
            raise AssertionError("what was remembered was written with it, and the history keeps it")
        resource = decode(found.raw)
    return Written(one["status"], one["type"], one["id"], resource, one["changed"], tuple(one.get("kept", ())))
