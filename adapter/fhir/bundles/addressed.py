"""An entry whose fullUrl is an address of this server: it is known by it only where nobody else has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from adapter.errors import Malformed, Problem
from adapter.fhir.writes import Write
from store.extract import relative
from store.types import TYPES
from store.unit_of_work import UnitOfWork


def here(full_url: str, bases: tuple[str, ...]) -> str | None:
    """Return which resource here has this address (``Patient/123``); None if it is no address of ours.

    `bases`: these addresses.
    """
    name = relative(full_url, bases)
    return name if name.partition("/")[0] in TYPES else None


async def require_own(
    work: UnitOfWork,
    addresses: Mapping[int, str],
    writes: Sequence[Write],
    gone: Collection[str],
    places: Sequence[int],
) -> None:
    """Refuse a fullUrl that is the address of a resource which is here, or is written beside it, and is another one.

    References to that resource would be taken for references to the entry: a visit of one patient for another's.

    Args:
        work: what is stored.
        addresses: the resources whose addresses writes have as their fullUrl, by the positions of these writes.
        writes: all of the transaction, with their identities.
        gone: what the transaction deletes; references to it can only mean the entry.
        places: of the writes' entries in the Bundle.

    Raises:
        Malformed: there is such a fullUrl.
    """
    names = [f"{one.kind}/{one.ident}" for one in writes]
    others = {at: name for at, name in addresses.items() if name != names[at] and name not in gone}
    taken = {*names, *await work.read_many(others.values())} if others else ()
    for at, name in others.items():
        if name in taken:
            text = "The fullUrl is the address of another resource. Give the entry its own, or a urn:uuid."
            raise Malformed(
                Problem("id_mismatch", text, f"Bundle.entry[{places[at]}].fullUrl", issue="value", entry=at)
            )
