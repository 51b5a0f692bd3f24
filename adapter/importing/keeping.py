"""What is kept here though a file says otherwise, and what is not deleted though a file says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from adapter.errors import Conflict, Problem
from adapter.fhir import ties
from adapter.importing.checking import Ready
from adapter.scheduling import expiry, occupancy
from adapter.scheduling.claimset import Change, Stake
from store import narrative
from store.codec import Resource
from store.extract import is_elsewhere, reference_to
from store.unit_of_work import UnitOfWork


def keep_addresses(
    wanted: list[Resource | None], batch: Sequence[Ready], earlier: Sequence[Resource | None], bases: Sequence[str]
) -> None:
    """Let references stay stored by the address that they came by, unless that is known to be another server's.

    Of what lies there the Bundle brought a copy, which is meant from now on; at our own it brought nothing else.

    Args:
        wanted: what each is to be; None for what is to be deleted. It is changed.
        batch: the items.
        earlier: what is stored of them.
        bases: addresses of this server, without a slash at the end; where there are none, any may be ours.
    """
    for place, (ready, before, after) in enumerate(zip(batch, earlier, wanted, strict=True)):
        roots = [one for one in ready.roots if not is_elsewhere(one, bases)]
        if roots and before is not None and after is not None:
            wanted[place] = _addressed(after, before, roots)


def _addressed(after: Any, before: Any, roots: Sequence[str]) -> Any:
    if isinstance(after, dict) and isinstance(before, dict):
        made = {name: _addressed(value, before.get(name), roots) for name, value in after.items()}
        name, address = after.get("reference"), before.get("reference")
        return {**made, "reference": address} if any(address == f"{root}{name}" for root in roots) else made
    if isinstance(after, list) and isinstance(before, list):
        return [_addressed(*pair, roots) for pair in zip(after, chain(before, repeat(None)), strict=False)]
    return after


async def keep(
    work: UnitOfWork, wanted: list[Resource | None], names: Sequence[str], stored: Mapping[str, Resource]
) -> None:
    """Let stay as it is what has become of the same thing here: the same file is to be imported twice.

    The status of a Slot that appointments fill follows them, those of the batch among them: the file was made before. A
    hold whose end is over has lapsed here, and does not begin anew.

    Args:
        work: the unit of work to read through.
        wanted: what each is to be; None for what is to be deleted. It is changed.
        names: of each (``Slot/s``).
        stored: what is stored of them.
    """
    asked: dict[str, int] = {}
    for place, (name, after) in enumerate(zip(names, wanted, strict=True)):
        before = stored.get(name)
        if after is None or before is None:
            continue
        if after["resourceType"] == "Slot":
            # Free, or busy in another way; one that is closed was let go, by what comes after it.
            here, told = before["status"], after["status"]
            if here in occupancy.TAKEN and here != told in ("free", *occupancy.TAKEN):
                asked[name] = place
        elif after["resourceType"] == "Appointment" and _is_over(before, after, work):
            wanted[place] = before
    if not asked:
        return
    left = {name: _slots(after) for name, after in zip(names, wanted, strict=True) if name.startswith("Appointment/")}
    holders = await work.documents("Appointment", {"_index.claims": {"$in": list(asked)}}, fields=("_index.claims",))
    held = Counter(
        name
        for holder in holders
        for name in left.get(f"Appointment/{holder['_id']}", holder["_index"]["claims"])
        if name in asked
    )
    for name, count in held.items():
        after = wanted[asked[name]] or {}
        if count >= occupancy.capacity(after):  # where there is room left, the file tells whether it is open
            wanted[asked[name]] = narrative.fitting({**after, "status": stored[name]["status"]}, after)


def _slots(appointment: Resource | None) -> tuple[str, ...]:
    stake = Stake.of(appointment)
    return () if stake is None else stake.slots


def _is_over(before: Resource, after: Resource, work: UnitOfWork) -> bool:
    end = expiry.expires(after)
    return end is not None and end <= work.now and expiry.has_lapsed(before)


async def require_unreferenced(
    work: UnitOfWork, changes: Sequence[Change], places: Sequence[int], bases: Sequence[str]
) -> None:
    """Refuse to delete what others refer to, as they are after the whole batch, as the front door does.

    Raises:
        Conflict: ``still_referenced``.
    """
    gone = {
        place: reference_to(change.before)
        for place, change in zip(places, changes, strict=True)
        if change.after is None and change.before is not None
    }
    if not gone:
        return
    written = [change.after for change in changes if change.after is not None]
    touched = {*gone.values(), *map(reference_to, written)}
    ties_of: list[Mapping[str, Sequence[str]]] = []
    for base in bases or ("",):
        ties_of += [await ties.referrers_of(work, [*gone.values()], base, touched), ties.referred(written, base)]
    problems = []
    for place, name in gone.items():
        left = [one for found in ties_of for one in found.get(name, ())]
        if left:
            named = list(dict.fromkeys(left))
            text = f"Others refer to it: {', '.join(named)}. It stays as long as they do."
            problems.append(Problem("still_referenced", text, entry=place, details={"references": named}))
    if problems:
        raise Conflict(problems)
