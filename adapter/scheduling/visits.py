"""What stands in the way of an Appointment of a claim set, and which Slots it takes.

Pure functions on the `World`. Problems name the Appointment's elements by FHIRPath, and never a patient.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import replace

from adapter.errors import MOST_NAMED, Problem
from adapter.scheduling import booking, claims, mismatches, reasons, vacancy
from adapter.scheduling.claimset import Stake, Visit
from adapter.scheduling.inherent import SLOT, START
from adapter.scheduling.intervals import Interval
from adapter.scheduling.wish import Facts, Names, Wish
from adapter.scheduling.world import World
from store.codec import Resource
from store.extract import id_of

_NAMES = Names(slot=SLOT, start=START)


def _wish(world: World, visit: Visit, stake: Stake, when: Interval) -> Wish:
    people = world.people.of(stake.people)
    elsewhere: frozenset[str] = frozenset()
    if world.bases:  # else nobody is known to be another server's
        ours = world.people.of(claims.practitioners(visit.appointment, bases=world.bases))
        elsewhere = frozenset(people).difference(ours)
    return Wish(
        when=when,
        practitioners=people,
        elsewhere=elsewhere,
        facilities=stake.places,
        beside=stake.beside,
        own=visit.name,
        own_slots=frozenset() if visit.had is None else frozenset(visit.had.slots),
        overbooks=visit.books_over,
        names=_NAMES,
    )


def taken_slots(
    world: World, visit: Visit, stake: Stake, when: Interval, *, fills_named: Collection[str], fills_found: bool
) -> Iterator[Problem]:
    """Yield every taken slot that is in the way; slots that are to be found are taken in the world.

    Args:
        world: the final state.
        visit, stake, when: who takes what, and when.
        fills_named: the Slots that it names and may fill, where they are busy for nobody.
        fills_found: likewise, one that it does not name, where none that is free covers its time.
    """
    named = []
    for param, name in mismatches.links(world, visit):
        named.append(name)
        obstacle = _obstacle(world, visit, name, fills_slots=name in fills_named)
        if obstacle is not None:
            yield replace(obstacle, param=param)
    calendars = filter(None, (world.schedule_of(world.slots[name]) for name in named))
    seeking = visit.seeks(world.people, calendars, copied=world.copied)
    if seeking or visit.name in world.stored.along or not (named or visit.is_copy):
        wish = replace(_wish(world, visit, stake, when), practitioners=tuple(seeking))
        newly = world.newly(visit, stake, when)
        # Who sets Slots busy by hand and names one of them means the others of that visit, too; by one that is free,
        # what somebody has closed for a practitioner would be booked.
        fills = fills_found or any(name in fills_named and vacancy.is_to_be_filled(world, name) for name in named)
        yield from _found(world, visit, wish, named, newly, fills_slots=fills)


def conflicts(world: World) -> Iterator[tuple[Visit, Problem]]:
    """Yield what is in the way of each appointment of the set; to be asked when all of them have their Slots.

    Where hundreds are in each other's way, the first tell every one that is in theirs, and each of the others one.
    """
    crowd = world.crowd()
    told = 0
    for visit, stake, when in sorted(world.asked.new, key=lambda claim: claim[0].draft.entry or 0):
        if stake.beside or visit.books_over or crowd.leaves_alone(visit.name):
            continue
        wish, held = _wish(world, visit, stake, when), world.slots_of(visit)
        rivals = world.rivals(visit, stake, when, crowd.company(visit.name))
        # Who brings in what was decided elsewhere goes by all that is in the way.
        some = ([*rivals],) if told < MOST_NAMED or world.copied else ([one] for one in rivals)
        facts = (Facts(schedules=world.schedules, appointments=few, people=world.people) for few in some)
        problem = next((problem for few in facts for problem in booking.busy(wish, few, held)), None)
        if problem is not None:
            told += 1
            yield visit, problem


def _obstacle(world: World, visit: Visit, name: str, *, fills_slots: bool) -> Problem | None:
    slot = world.slots[name]
    details: dict[str, object] = {"slots": [slot["id"]]}
    found = vacancy.in_the_way(world, name, visit)
    if found:
        details["appointments"] = [id_of(rival) for rival in found]
        text = "Another appointment has that slot. Search for a free one."
        if not any(rival in world.holders.get(name, ()) for rival in found):
            text = "Another appointment has the room or device then, by a slot that overlaps it. Search for a free one."
    elif vacancy.is_to_be_had(world, name, visit):
        return None
    elif not vacancy.is_open(world, slot) and not world.copied:  # a copy was booked when it still was
        text = reasons.INACTIVE
    elif vacancy.is_closed_to(world, name, visit):
        details["schedules"] = [id_of(claims.schedule_of(slot))]
        text = reasons.AWAY
    elif slot["status"] == "busy-unavailable":
        text = "The slot is not to be booked. Search for a free one."
    elif fills_slots and vacancy.is_for_nobody(world, name):
        return None  # busy: set so by hand for this very appointment
    else:
        text = "The slot is busy. Search for a free one; who may write slots may also name one that is busy for nobody."
    return Problem("slot_unavailable", text, None, details)


def _found(
    world: World, visit: Visit, wish: Wish, named: Sequence[str], newly: Container[str], *, fills_slots: bool
) -> Iterator[Problem]:
    """Take free slots for each practitioner who has published some for that time, beside those named.

    Whose time it had already keeps the slots that it had for it, or goes on without one where none is to be had. Where
    it names none, it keeps all others that are at its time too, but for those of who has left: a room that it goes on
    using must not be had by the next one, even where the Slot is too short.
    """
    taken = list(named)
    for person in wish.practitioners:
        own = [] if person in wish.elsewhere else world.own(person, visit, wish.when)
        if own and person not in newly and all(_is_kept(world, visit, name, wish) for name in own):
            taken += own
            continue
        calendars, published = world.published.calendars(person), world.published.offers(person, wish.when)
        openings = world.stored.openings.get(visit.name, {}).get(person, ())
        slots, problem = _cover(world, visit, wish, person, calendars, published, openings, fills_slots=fills_slots)
        if person not in wish.elsewhere:
            taken += [f"Slot/{slot['id']}" for slot in slots]
        # A copy was booked before they were published, or closed.
        if problem is not None and not world.copied and (own or person in newly):
            yield problem
    for thing, offers in world.stored.along.get(visit.name, {}).items():
        calendars = {thing: world.schedules[thing]}
        slots, problem = _cover(world, visit, wish, thing, calendars, offers, fills_slots=fills_slots)
        taken += [f"Slot/{slot['id']}" for slot in slots]
        if problem is not None:
            yield problem
    others = [] if named else world.others(wish.practitioners, visit, wish.when)
    taken += [name for name in others if _is_kept(world, visit, name, wish)]
    if not named or len(taken) > len(named):  # else its links stay as they were sent
        world.take(visit, list(dict.fromkeys(taken)))


def _cover(
    world: World,
    visit: Visit,
    wish: Wish,
    whose: str,
    calendars: Mapping[str, Resource],
    offers: Sequence[str],
    openings: Sequence[str] = (),
    *,
    fills_slots: bool,
) -> tuple[list[Resource], Problem | None]:
    """Find Slots of a practitioner, or of a thing, among those that they offer; or say what is wrong."""
    # What is free goes before what is to be filled, and that before what nobody has published.
    for fills in (False, True) if fills_slots else (False,):
        offered = _offered(world, visit, offers, fills=fills)
        opened = _offered(world, visit, openings, fills=False) if fills == fills_slots else []
        facts = Facts(None, calendars, offered, people=world.people, tables=world.tables, openings=opened)
        slots, problem = booking.cover(whose, wish, facts)
        if problem is None:
            break
    return slots, problem


def _is_kept(world: World, visit: Visit, name: str, wish: Wish) -> bool:
    slot = world.slots[name]
    were = claims.locations(mismatches.held_in(world, visit, slot))
    return vacancy.is_kept(world, name, visit) and mismatches.is_at(
        wish.facilities, were, world.schedule_of(slot) or {}
    )


def _offered(world: World, visit: Visit, names: Sequence[str], *, fills: bool) -> list[Resource]:
    """Return published Slots as the visit is to see them: free where it may take them, closed elsewhere."""
    offered: list[Resource] = []
    for name in names:
        slot = world.slots[name]
        if slot["status"] != "entered-in-error":
            status = slot["status"] if visit.books_over else "free"
            taken = not vacancy.is_free_for(world, name, visit, fills=fills)
            offered.append({**slot, "status": "busy-unavailable" if taken else status})
    return offered
