"""What a unit of work has decided and not yet written: writes, guards, and the answer to remember."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from store import sharing
from store.codec import Resource
from store.documents import Claims

IDEMPOTENCY = "idempotency"
"""The collection of what is `Remembered`."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The first final answer to a request that may be sent again.

    Attributes:
        key: whose request, and which.
        fingerprint: of the request's content: the same key with another content is a mistake.
        status: of the answer.
        body: of the answer, as it was sent.
        at: when it was given.
    """

    key: str
    fingerprint: str
    status: int
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Write:
    """The next version of a resource.

    Attributes:
        kind, ident: of the resource.
        version: its number.
        moment: when it is made.
        method: as the history names it.
        before: what is stored; None where it is new.
        after: its content from now on; None where it is deleted.
        raw: the same, as it is served.
        claims: what it claims from now on.
    """

    kind: str
    ident: str
    version: int
    moment: datetime
    method: str
    before: Resource | None
    after: Resource | None
    raw: bytes | None
    claims: Claims

    @property
    def name(self) -> str:
        """The resource, as it is referred to."""
        return f"{self.kind}/{self.ident}"

    @property
    def rank(self) -> int:
        """Deletions, changes, creations: what one resource gives up, a unique identifier, another may take."""
        return 2 if self.before is None else 0 if self.after is None else 1

    @property
    def read(self) -> dict[str, str]:
        """The version that it follows."""
        return {"_id": self.ident, "meta.versionId": str(self.version - 1)}


@dataclass(slots=True)
class Staged:
    """What is to be written, all of it or nothing.

    Attributes:
        writes: of resources, by type and id.
        guards: where rivals are met (`store.guards`).
        shared: what is referred to anew; `seized`: what nobody may refer to anew meanwhile (`store.sharing`).
        taken_up: the ids of proposals that there are no more.
        remembered: the answer to keep with it.
    """

    writes: dict[tuple[str, str], Write] = field(default_factory=dict)
    guards: dict[str, None] = field(default_factory=dict)
    shared: dict[str, None] = field(default_factory=dict)
    seized: dict[str, None] = field(default_factory=dict)
    taken_up: dict[str, None] = field(default_factory=dict)
    remembered: Remembered | None = None

    def add(self, write: Write) -> None:
        """Add a write of a resource that there is none of as yet."""
        key = (write.kind, write.ident)
        if key in self.writes:
            raise AssertionError(f"{write.name} was staged twice in one unit of work")
        self.writes[key] = write

    def met(self, turn: int) -> Iterator[str]:
        """Yield the guards that are written for it; `turn` tells which of those that many share."""
        yield from self.guards
        yield from (sharing.part(name, turn) for name in self.shared if name not in self.seized)
        yield from (part for name in self.seized for part in sharing.parts(name))
