"""What is against an Appointment of a claim set, and which Slots it takes.

Pure functions on the `World`. Problems name the Appointment's elements by FHIRPath, and never a patient.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import replace

from adapter.errors import MOST_NAMED, Problem
from adapter.scheduling import booking, claims, intervals, reasons, vacancy
from adapter.scheduling.claimset import Stake, Visit
from adapter.scheduling.inherent import SLOT, START
from adapter.scheduling.intervals import Interval
from adapter.scheduling.wish import Facts, Names, Wish
from adapter.scheduling.world import World
from store.codec import Resource
from store.extract import id_of, reference, references

_NAMES = Names(slot=SLOT, start=START)


# What contradicts it in the Slots that it names (422).


def contradictions(world: World, visit: Visit, stake: Stake, when: Interval) -> Iterator[Problem]:
    """Yield everything in which the Slots that it names disagree with it.

    A copy may hold Slots whose Schedule has got other actors since, whose practitioner has left it, or that were
    published over a part of its time: it is enough that one is at its time.
    """
    yield from unknown_slots(world, visit)
    named = list(_named(world, visit))
    if visit.is_copy:
        held = [span for _, slot in named if slot is not None and (span := intervals.of(slot)) is not None]
        if held and not any(span.overlaps(when) for span in held):
            text = "None of the slots named is at the appointment's time. Name those that it holds, or none."
            yield Problem("slot_mismatch", text, SLOT)
        return
    spans: list[Interval] = []
    for param, slot in named:
        if slot is not None:
            span = intervals.of(slot)
            spans += [] if span is None else [span]
            yield from _schedule_contradictions(world, visit, stake, slot, param)
    # Beside others it keeps a Slot of its own that it leaves in part (`surplus`), and may say so.
    stays = stake.beside and visit.had is not None and set(visit.had.slots).issuperset(claims.slots(visit.appointment))
    whole = all(slot is not None for _, slot in named)
    if named and whole and not stays and not intervals.covered(when, spans):
        told = " and ".join(f"{slot.start.isoformat()} to {slot.end.isoformat()}" for slot in spans)
        yield Problem(
            "slot_mismatch",
            f"The slots named ({told}) do not cover the appointment's time without a gap. Name others, or give a time "
            "within them, or name none: free ones are then looked for.",
            SLOT,
        )
    elif whole:
        for param, slot in named:
            span = None if slot is None else intervals.of(slot)
            if span is None or not span.overlaps(when):
                text = (
                    "The slot is outside of the appointment's time. Leave it out, or give a time that reaches into it."
                )
                yield Problem("slot_mismatch", text, param)


def unknown_slots(world: World, visit: Visit) -> Iterator[Problem]:
    """Yield the Slots that it names and that are not there; that can be told of one without a time as well."""
    for param, slot in _named(world, visit):
        if slot is None:
            yield Problem(
                "unknown_slot",
                "There is no such slot. Name one that is stored, as Slot/<id>, or none: free ones are then looked for.",
                param,
                issue="not-found",
            )


def _named(world: World, visit: Visit) -> Iterator[tuple[str, Resource | None]]:
    """Yield the elements that name Slots, each with the Slot, None for none that can be booked."""
    for param, name in _links(world, visit):
        slot = world.slots.get(name)
        there = slot is not None and slot["status"] != "entered-in-error"
        yield param, slot if there else None


def _links(world: World, visit: Visit) -> Iterator[tuple[str, str]]:
    """Yield the elements that name Slots, each with the Slot's name; what is given back is named no longer."""
    gone = world.given_back.get(visit.name, ())
    for index, link in enumerate(visit.appointment.get("slot", ())):
        name = reference(link.get("reference", ""))
        if name not in gone:
            yield f"{SLOT}[{index}]", name


def _schedule_contradictions(world: World, visit: Visit, stake: Stake, slot: Resource, param: str) -> Iterator[Problem]:
    schedule = world.schedule_of(slot)
    if schedule is None:
        text = "The slot belongs to no schedule that is stored. Name another one."
        yield Problem("unknown_schedule", text, param, issue="not-found")
        return
    before = _held_in(world, visit, slot)
    offered = world.people.of(references(schedule, "actor"))
    published = {name for name in offered if name.startswith(claims.PRACTITIONERS)}
    asked, were = (_everyone(world, one) for one in (visit.appointment, before))
    if _disagree(published, asked) and not (were & asked and _disagree(published, were)):
        yield reasons.not_theirs(param)
    if not _is_at(stake.places, claims.locations(before), schedule):
        text = "The slot is at another place: give the slot's own location or another slot."
        yield Problem("slot_mismatch", text, param)


def _everyone(world: World, appointment: Resource) -> set[str]:
    named = world.people.of(claims.practitioners(appointment, declined=True))
    return {name for name in named if name.startswith(claims.PRACTITIONERS)}


def _disagree(published: set[str], asked: set[str]) -> bool:
    return bool(published and asked) and published.isdisjoint(asked)


def _held_in(world: World, visit: Visit, slot: Resource) -> Resource:
    """Return the appointment as it was when it got the Slot, where the set puts that into no other Schedule; or {}.

    What it disagrees in with a Slot that it has, it does since the Schedule has changed hands, or moved house, or since
    the Slot was published over it. That is not held against what stays of it.
    """
    name = f"Slot/{slot['id']}"
    written = world.asked.written.get(name)
    before = slot if written is None else (written.before or {})
    is_kept = claims.schedule_of(before) == claims.schedule_of(slot)
    is_own = visit.had is not None and name in visit.had.slots
    return (visit.draft.before or {}) if is_own and is_kept else {}


def _is_at(places: Sequence[str], were: Sequence[str], schedule: Resource) -> bool:
    """Tell whether Slots of `schedule` are at one of its `places`, or were as little at those it had (`_held_in`)."""
    stays = not set(places).isdisjoint(were)
    return booking.is_at(places, schedule) or (stays and not booking.is_at(were, schedule))


# What stands in its way (409), and what it takes.


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
    for param, name in _links(world, visit):
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
        slots, problem = _cover(world, visit, wish, person, calendars, published, fills_slots=fills_slots)
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
    *,
    fills_slots: bool,
) -> tuple[list[Resource], Problem | None]:
    """Find Slots of a practitioner, or of a thing, among those that they offer; or say what is wrong."""
    for fills in (False, True) if fills_slots else (False,):  # what is free goes before what is to be filled
        offered = _offered(world, visit, offers, fills=fills)
        facts = Facts(None, calendars, offered, people=world.people, tables=world.tables)
        slots, problem = booking.cover(whose, wish, facts)
        if problem is None:
            break
    return slots, problem


def _is_kept(world: World, visit: Visit, name: str, wish: Wish) -> bool:
    slot = world.slots[name]
    were = claims.locations(_held_in(world, visit, slot))
    return vacancy.is_kept(world, name, visit) and _is_at(wish.facilities, were, world.schedule_of(slot) or {})


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
