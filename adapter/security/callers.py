"""Who calls, and whether they may: the dependency that every protected route names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request

from adapter.errors import Unauthenticated
from adapter.security.keys import Key
from adapter.security.permissions import Resource, Verb, require
from adapter.service import Service
from store.store import Store


@dataclass(frozen=True, slots=True)
class Caller:
    """A request's key, the service, and the store that this key sees (test or live, never both)."""

    key: Key
    service: Service
    store: Store


def caller(request: Request) -> Caller:
    """Return who calls.

    Raises:
        Unauthenticated: no valid key came with the request.
    """
    key: Key | None = request.state.key
    if key is None:
        refused: Unauthenticated = request.state.refused
        raise refused
    service: Service = request.app.state.service
    return Caller(key, service, service.stores[key.mode])


def allowed(resource: Resource, verb: Verb) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that lets a caller with that permission through.

    Raises (the dependency):
        Unauthenticated: no valid key. Forbidden: the key lacks the permission, which is named.
    """

    async def dependency(request: Request) -> Caller:
        who = caller(request)
        require(who.key, resource, verb)
        return who

    return dependency
