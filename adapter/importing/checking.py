"""Checks items like the front door, as far as that needs no look into the store."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapter.errors import Malformed, Problem, Refused
from adapter.fhir import validation
from adapter.importing import mediloop
from adapter.importing.carriers import unique_systems
from adapter.importing.documents import deleted
from adapter.importing.item import Item, Referent, name_without_id
from adapter.importing.means import Means
from adapter.importing.reading import read
from adapter.scheduling import claims
from store.codec import Resource, encode, parse
from store.extract import escaped, identifiers, token
from store.types import TYPES

ANYTHING = "*"
"""What an item may claim that claims too much to be told (`Ready.claims`)."""

_MANY = 100  # names of hours
_PLAIN = ("Practitioner/", "Schedule/", "Slot/")
_BREATH = 25  # items checked between two looks at what MongoDB has answered


@dataclass(slots=True)
class Ready:
    """An item that has passed the checks which need no store.

    Attributes:
        kind: the type that it is stored as.
        ident: its id; the one that it gets if it is not found by its identifiers.
        stated: whether it came with that id.
        tokens: its identifiers that may tell which it is, as they are indexed; first those that it alone has.
        resource: what is to be stored; of a MediLoop object as it would be anew.
        members: of a MediLoop object.
        deletes: the resource is to be deleted; there is none here then.
        if_none: what is there of it already stays as it is.
        sought: the identifier that it is looked for by, whether it carries it or not (`Item.sought`).
        referents: what its references are to lead to (`Item.referents`).
        roots: where that lies which it refers to by its address (`Item.roots`).
        claims: the names under which it claims time and Slots (`adapter.scheduling.claims`), as far as it tells itself.
        left_by: of a Slot that is to be again what it was before the stage: the appointments of the stage that name it.
        closed: of such a Slot: whether it was closed by hand (`freeing.Freed`).
        since: of such a Slot: when the stage began.
        found: the id of the resource that it was seen to be, by its identifiers; empty until somebody has looked.
    """

    kind: str
    ident: str
    stated: bool
    tokens: list[str]
    resource: Resource
    members: dict[str, Any] | None = None
    deletes: bool = False
    if_none: bool = False
    sought: str = ""
    referents: dict[str, Referent] = field(default_factory=dict)
    roots: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    left_by: tuple[str, ...] = ()
    closed: bool = False
    since: datetime | None = None
    found: str = ""

    @property
    def name(self) -> str:
        """The resource (``Patient/p``), as far as that is known."""
        return f"{self.kind}/{self.found or self.ident}"

    @property
    def signs(self) -> tuple[str, ...]:
        """The identifiers by which one without an id is seen to be the same resource, each with the type."""
        return tuple(f"{self.kind} {one}" for one in self.told)

    @property
    def told(self) -> tuple[str, ...]:
        """The identifiers by which one without an id is looked for, as they are indexed."""
        found = [one for one in self.tokens if not one.startswith("|") and one != self.sought]
        return (*filter(None, [self.sought]), *found)

    @property
    def is_told_by_signs(self) -> bool:
        """Whether `signs` tell which resource it is, or whether it may be the one that its id says."""
        return not self.stated or bool(self.sought)

    @property
    def told_by(self) -> tuple[str, ...]:
        """Which resource it may be: its name, and its `signs`."""
        return (self.name, *self.signs)

    @property
    def is_veiled(self) -> bool:
        """Whether it may meet others at what only deciding tells: who it is that it names, or the room of a Slot."""
        slots = sum(one.startswith("Slot/") for one in self.claims)
        return not all(one.startswith(_PLAIN) for one in self.claims) or slots > 1 or 0 < slots == len(self.claims)

    @property
    def meets_at(self) -> tuple[str, ...]:
        """What another item may share with it, so that it makes a difference which of them comes first."""
        led = [one for text, to in self.referents.items() for one in (text, *(f"{_kind(text)} {t}" for t in to.tokens))]
        return (*self.told_by, *self.claims, *led)


@dataclass(slots=True)
class Checked:
    """What a batch of items has come to.

    Attributes:
        found: of each item, in order.
        left_out: members of MediLoop objects that its documentation does not know, and how often they came.
    """

    found: list[Ready | Refused] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def ready(self) -> list[Ready]:
        """Return those that have passed."""
        return [one for one in self.found if isinstance(one, Ready)]

    def add(self, means: Means, item: Item) -> None:
        """Check one more."""
        try:
            self.found.append(check(means, item))
            if item.kind == "MediLoop":
                self.left_out.update(mediloop.unknown(parse(item.raw)))
        except Refused as refused:
            self.found.append(refused)


async def check_all(means: Means, items: Sequence[Item]) -> Checked:
    """Check a batch, and let others have their turn meanwhile."""
    checked = Checked()
    for number, item in enumerate(items):
        if number % _BREATH == 0:
            await asyncio.sleep(0)
        checked.add(means, item)
    return checked


def check(means: Means, item: Item) -> Ready:
    """Read and check one item.

    Raises:
        Refused: everything that is wrong with it.
    """
    if item.deletes:
        return _deleting(item)
    value = read(item)
    members = None
    if item.kind == "MediLoop":
        members = mediloop.members(means, value)
        value = mediloop.applied(means, None, members)
        value.setdefault("id", None)
    kind = value["resourceType"]
    given = value.get("id")
    ours = unique_systems(means.systems, kind)  # the first ones: by them it is known, and kept while it waits
    named = sorted(identifiers(value, "identifier"), key=lambda one: one[0] not in ours)
    if given is None:
        # Not by its token: earlier releases escaped nothing in values, and the same file is to give the same id.
        of = next((f"{escaped(system)}|{number.casefold()}" for system, number in named), None)
        made = item.ident or name_without_id(kind, of or encode({**value, "id": ""}).decode())
        value = {**value, "id": made}
    validation.require_valid(value, kind, conditional=any("?" in text for text in item.referents))
    tokens, stated = [text for one in named if (text := token(*one)) not in item.shared], given is not None
    return Ready(
        kind,
        value["id"],
        stated,
        tokens,
        value,
        members,
        if_none=item.if_none and not stated,
        sought=item.sought,
        referents=item.referents,
        roots=item.roots,
        claims=claims.claims(value).names if claims.how_many(value) <= _MANY else (ANYTHING,),
    )


def _kind(text: str) -> str:
    """Return the type of what a text refers to (``Patient/p``, ``Patient?identifier=s|1``)."""
    return text.partition("?")[0].partition("/")[0]


def _deleting(item: Item) -> Ready:
    target = deleted(parse(item.raw))
    if target is None:
        raise AssertionError("what is read as a deletion names what it deletes")
    kind, ident = target
    if kind not in TYPES:
        raise Malformed(Problem("unknown_type", f"There are no {kind} resources here.", "Bundle.entry.request.url"))
    return Ready(kind, ident, True, [], {}, deletes=True)
