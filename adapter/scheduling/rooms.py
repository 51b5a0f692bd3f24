"""A room is had by one visit at a time, as a practitioner is: so is a device.

A practitioner's time is claimed by the appointments; a room's is told by its Slots alone, as visits may name it without
taking it. So a Slot of a room is not to be had while another one that overlaps it is held, in whichever of the room's
Schedules. Several may be there at once by a Slot for several (`occupancy`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from adapter.scheduling import claiming, claims, intervals, occupancy
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import Finds
from store.codec import Resource
from store.extract import reference, walk
from store.indexing import naming

_PLACE, _DEVICE = "Location/", "Device/"


def of(schedule: Resource) -> str:
    """Return which room, or device, a Schedule is of, as the name at which rivals meet; empty where it is nobody's.

    A Schedule that names a practitioner or a service as well is theirs. A device's may say in which room that is.
    """
    return "+".join(_actors(schedule))


def _actors(schedule: Resource) -> list[str]:
    named = {reference(one.get("reference", "")) for one in walk(schedule, "actor")}
    devices = {name for name in named if name.startswith(_DEVICE)}
    known = all(name.startswith((_PLACE, _DEVICE)) for name in named)
    return sorted(devices or named) if known else []


def guards(slot: Resource, known: Mapping[str, Resource]) -> tuple[str, ...]:
    """Return where who takes a Slot of a room meets who takes another one then; nothing for what is no room's.

    `known` has its Schedule, by name.
    """
    room, when = of(known.get(claims.schedule_of(slot), {})), intervals.of(slot)
    return claims.names((room,), when) if room and when is not None else ()


async def schedules(find: Finds, some: Iterable[Resource]) -> dict[str, Resource]:
    """Return the Schedules of the rooms that `some` are of, by name (``Schedule/s``)."""
    found = {f"Schedule/{one['id']}": one for one in some if of(one)}
    if not found:
        return {}
    rooms = {of(one) for one in found.values()}
    actors = sorted({name for one in found.values() for name in _actors(one)})
    query = naming("actor", actors, {"_index.nobodys": True})
    near = {f"Schedule/{one['id']}": one for one in await find.find("Schedule", query)}
    return {name: one for name, one in near.items() if of(one) in rooms} | found


async def beside(
    find: Finds, slots: Iterable[Resource], known: Mapping[str, Resource]
) -> tuple[dict[str, Resource], dict[str, Resource]]:
    """Return the Slots that overlap one of `slots` in its room, these among them, and the Schedules of those rooms.

    Args:
        find: what to read through.
        slots: Slots of whatever Schedules.
        known: these Schedules, by name.
    """
    named = [(claims.schedule_of(slot), slot) for slot in slots]
    theirs = await schedules(find, [known[name] for name, _ in named if name in known])
    alike: dict[str, list[str]] = {}
    for name, schedule in theirs.items():
        alike.setdefault(of(schedule), []).append(name)
    wanted: dict[str, list[Interval]] = {}
    for name, slot in named:
        when = intervals.of(slot)
        if when is not None and name in theirs:
            for claim in claims.names(alike[of(theirs[name])], when):
                wanted.setdefault(claim, []).append(when)
    found = await claiming.found(find, "Slot", wanted)
    return {name: slot for name, slot in found.items() if _overlaps(slot, wanted)}, theirs


def _overlaps(slot: Resource, wanted: Mapping[str, Iterable[Interval]]) -> bool:
    """Tell whether a Slot overlaps one of the times that are wanted, by the names that it would claim."""
    span = intervals.of(slot)
    near = (when for name in claims.claims(slot).names for when in wanted.get(name, ()))
    return span is not None and any(span.overlaps(when) for when in near)


def hours(slots: Mapping[str, Resource], known: Mapping[str, Resource]) -> dict[str, tuple[str, ...]]:
    """Return where rivals for each of `slots` that is of a room meet (`guards`); `known` are their Schedules."""
    return {name: found for name, slot in slots.items() if (found := guards(slot, known))}


def by_hour(met: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return the Slots of rooms by where rivals for them meet, which is `met` by Slot (`hours`)."""
    found: dict[str, list[str]] = {}
    for name, some in met.items():
        for guard in some:
            found.setdefault(guard, []).append(name)
    return found


def is_had(slot: str, others: Iterable[str], holders: Mapping[str, Collection[str]]) -> bool:
    """Tell whether somebody has the room by one of the `others`, Slots that overlap one, without having this one too.

    `holders` are the appointments that hold them, and this one, by the Slot's name.
    """
    return any(one not in holders.get(slot, ()) for name in others if name != slot for one in holders.get(name, ()))


async def had(
    find: Finds, slots: Iterable[Resource], known: Mapping[str, Resource], without: Collection[str]
) -> dict[str, list[Interval]]:
    """Return when rooms are had by appointments that hold Slots, by room: by all but those in `without`.

    `known` are the Schedules of the rooms, by name; Slots of others are passed over.
    """
    spans = {
        f"Slot/{slot['id']}": (of(known[claims.schedule_of(slot)]), when)
        for slot in slots
        # Free, it may have holders if it is for several.
        if (slot["status"] in occupancy.TAKEN or occupancy.capacity(slot) > 1)
        and claims.schedule_of(slot) in known
        and (when := intervals.of(slot)) is not None
    }
    found: dict[str, list[Interval]] = {}
    for query in claiming.queries(list(spans)):
        for one in await find.find("Appointment", query):
            if f"Appointment/{one['id']}" not in without:
                for room, when in (spans[name] for name in claims.slots(one) if name in spans):
                    found.setdefault(room, []).append(when)
    return found
