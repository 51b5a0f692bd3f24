"""How many may hold a Slot, and who may stand beside whom: capacity and overbooking, for every door.

A Slot holds one appointment; one that states a *capacity* holds so many (group visits), and stays free until it is
full. Appointments that share such a Slot are not in each other's way for its practitioner, as far as the Slot reaches.

An *overbooked* Appointment says why (an extension) and was decided with the permission ``overbook:write``: it passes
over busy Slots and over other appointments, and over nothing else. From then on it holds like any other: a Slot stays
busy until the last has left.

Pure functions; both ways to decide (`booking` for MediLoop, `visits` and `slot_changes` for FHIR) ask here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from adapter.errors import Forbidden, Problem
from adapter.scheduling import intervals
from adapter.scheduling.intervals import Interval
from adapter.scheduling.status import HOLDING
from store import slotids
from store.codec import Resource
from store.extract import walk

CAPACITY = slotids.CAPACITY

OVERBOOKED = "overbooked"
"""The name of the extension, below the deployment's StructureDefinitions; its valueString is the reason."""

OVERBOOKED_BY = "overbooked-by"
"""Likewise; its valueString is the id of the key that booked over. Written by the service, whatever was sent."""

PERMISSION = "overbook:write"

TAKEN = ("busy", "busy-tentative")
"""The statuses of a Slot that appointments hold; ``busy-unavailable`` is nobody's."""


# How many.


capacity = slotids.capacity
stating_capacity = slotids.stating_capacity


def status_after(slot: Resource, before: int, holders: Collection[Resource]) -> str:
    """Return what a Slot becomes when the appointments that hold it have changed.

    Args:
        slot: as it is stored.
        before: how many held it.
        holders: those that hold it now.

    Full, it is busy (busy before tentative). It becomes free again when it was full and is no longer, or when the last
    has left. One that was closed by hand with places left stays closed, and so does what nobody may book.
    """
    present: str = slot["status"]
    if present not in ("free", *TAKEN):
        return present
    room = capacity(slot)
    if len(holders) >= room:
        return min(HOLDING[holder["status"]] for holder in holders)
    return "free" if not holders or before >= room else present


def left(slot: Resource, holders: int) -> Resource:
    """Return a free Slot for several with the capacity that so many holders leave; busy where that is none."""
    room = capacity(slot) - holders
    if room < 1:
        return {**slot, "status": "busy"}
    others = [one for one in walk(slot, "extension") if one.get("url") != CAPACITY]
    return {**slot, "extension": [*others, {"url": CAPACITY, "valueInteger": room}]}


def exceeds(holders: Iterable[Resource], room: int) -> bool:
    """Tell whether more hold a Slot than it has room for, those apart that were booked over it."""
    return sum(reason(holder) is None for holder in holders) > room


# Who beside whom.


def share(overlap: Interval, shared: Iterable[Resource]) -> bool:
    """Tell whether two appointments may both have `overlap`: Slots for several, held by both, leave no gap in it.

    Args:
        overlap: the time that both take.
        shared: the Slots, of one practitioner of both, that both hold.
    """
    spans = [intervals.of(slot) for slot in shared if capacity(slot) > 1]
    return intervals.covered(overlap, [span for span in spans if span is not None])


# Overbooking.


def reason(appointment: Resource) -> str | None:
    """Return why an appointment was booked over others; None for one that was not."""
    return _string(appointment, OVERBOOKED)


def by(appointment: Resource) -> str | None:
    """Return the id of the key that booked it over others."""
    return _string(appointment, OVERBOOKED_BY)


def _string(appointment: Resource, name: str) -> str | None:
    found = [one.get("valueString") for one in walk(appointment, "extension") if _is(one, name)]
    return next((text for text in found if isinstance(text, str)), None)


def _is(extension: Resource, name: str) -> bool:
    return str(extension.get("url", "")).endswith(f"/StructureDefinition/{name}")


def overbooking(appointment: Resource, why: str | None, extensions: str) -> Resource:
    """Return the appointment as one to be booked over others because of `why`; for None as an ordinary one.

    `extensions` is the base of the deployment's StructureDefinitions (`Systems.extensions`).
    """
    present = list(walk(appointment, "extension"))
    rest: list[Any] = [one for one in present if not _is(one, OVERBOOKED) and not _is(one, OVERBOOKED_BY)]
    if why is not None:
        rest.append({"url": f"{extensions}/{OVERBOOKED}", "valueString": why})
    return appointment if rest == present else _extended(appointment, rest)


def signed(appointment: Resource, key: str | None) -> Resource:
    """Return the appointment with the key that booked it over others (None: none), in the place of what it says."""
    if by(appointment) == key:
        return appointment
    rest = [one for one in walk(appointment, "extension") if not _is(one, OVERBOOKED_BY)]
    if key is not None:
        base = next(str(one["url"]) for one in rest if _is(one, OVERBOOKED)).removesuffix(OVERBOOKED)
        rest.append({"url": f"{base}{OVERBOOKED_BY}", "valueString": key})
    return _extended(appointment, rest)


def _extended(appointment: Resource, extensions: Sequence[Any]) -> Resource:
    bare = {name: value for name, value in appointment.items() if name != "extension"}
    return {**bare, "extension": list(extensions)} if extensions else bare


def forbidden(param: str, entry: int | None = None) -> Forbidden:
    """Return the refusal of one who may not book over others."""
    return Forbidden(
        Problem(
            "permission_denied",
            f"This API key lacks the permission {PERMISSION}: only with it may an appointment be booked over others. "
            "Use a key that has it, or leave the reason for overbooking out.",
            param,
            {"permission": PERMISSION},
            entry=entry,
        )
    )
