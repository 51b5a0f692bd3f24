"""The changes that are decided together, and what each Appointment among them takes and gives up.

A transaction that sets a Slot busy and sends the Appointment that fills it makes one claim, not two. So changes are not
decided one by one: all of them are laid over what is stored, and the result is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapter.scheduling import claims, intervals, occupancy
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import People
from adapter.scheduling.status import HOLDING
from store.codec import Resource
from store.extract import reference_to, references

_WRITTEN = ("Slot/", "Schedule/", "PractitionerRole/", "HealthcareService/")


@dataclass(frozen=True, slots=True)
class Change:
    """One resource before and after; None for what is not there. Never both None; `after` carries its id.

    `sent`: what somebody has sent for it, with a narrative of its own (`UnitOfWork.update`); None for a change of ours.
    """

    before: Resource | None
    after: Resource | None
    sent: Resource | None = None


@dataclass(slots=True)
class Draft:
    """A change that is being settled.

    Attributes:
        entry: the index of the change asked for which it is, or from which it follows.
        before: what is stored.
        after: what shall be; the decision may complete it.
        param: the element of the change asked for that problems are about, where this one only follows from it.
        sent: as of the change.
    """

    entry: int
    before: Resource | None
    after: Resource | None
    param: str | None = None
    sent: Resource | None = None

    @property
    def name(self) -> str:
        """The resource (``Slot/s``)."""
        return reference_to(self.after or self.before or {})


@dataclass(frozen=True, slots=True)
class Stake:
    """What an appointment takes while its status holds time.

    Attributes:
        when: its time; None where it has none, or none that makes sense.
        people: whose time it takes, by the names it uses (`claims.practitioners`).
        slots: the Slots it links to.
        places: its Locations.
        beside: whether it is of a type that may stand beside others.
        overbooked: whether it passes over busy Slots and other appointments when it is decided.
    """

    when: Interval | None
    people: tuple[str, ...]
    slots: tuple[str, ...]
    places: tuple[str, ...]
    beside: bool
    overbooked: bool

    @classmethod
    def of(cls, appointment: Resource | None) -> Stake | None:
        """Return what `appointment` takes; None for none, and for one that holds nothing."""
        if appointment is None or appointment["status"] not in HOLDING:
            return None
        return cls(
            when=intervals.of(appointment),
            people=claims.practitioners(appointment),
            slots=claims.slots(appointment),
            places=claims.locations(appointment),
            beside=claims.stands_beside(appointment),
            overbooked=occupancy.reason(appointment) is not None,
        )

    def asks_more_than(self, other: Stake | None) -> bool:
        """Tell whether it has to be decided: it is another claim than `other`, and has to be consistent anew.

        Only what it takes newly is judged like a first booking (`World.newly`); what `other` took already is not.
        """
        return (
            self.takes_more_than(other)
            or other is None
            or self.when != other.when
            or set(self.slots) != set(other.slots)
            or set(self.places) != set(other.places)
        )

    def takes_more_than(self, other: Stake | None) -> bool:
        """Tell whether it takes what `other` does not: more of somebody's time, somebody else's time, another Slot."""
        return (
            other is None
            or self.outlasts(other)
            or not set(self.slots) <= set(other.slots)
            or not set(self.people) <= set(other.people)
            or self.lets_go_of(other)
        )

    def outlasts(self, other: Stake) -> bool:
        """Tell whether its time goes beyond that of `other`."""
        if self.when is None or other.when is None:
            return self.when != other.when
        return bool(self.when.without(other.when))

    def lets_go_of(self, other: Stake) -> bool:
        """Tell whether `other` was where this one may not be: beside others, or booked over them."""
        return (other.beside and not self.beside) or (other.overbooked and not self.overbooked)


class Visit:
    """An Appointment that changes.

    Attributes:
        name: of the Appointment (``Appointment/a``).
        draft: the change.
        had: what it takes as it is stored.
        takes: what it is going to take.
        is_new: whether that is a claim to be decided.
        sheds: whether a person or place takes part no longer: their Slots may have to be given back (`surplus`).
        books_over: whether it takes more by passing over others, or gives another reason for having done so: both need
            the permission.
        gives_up: the Slots that it held and holds no longer. A no-show leaves them busy and keeps the
            links, until it is entered in error or deleted.
        stirs: the Slots for which the change may make a difference.
        is_copy: whether it was decided elsewhere, and says itself which Slots it holds.
    """

    def __init__(self, draft: Draft, *, copied: bool = False) -> None:
        self.is_copy = copied and draft.sent is not None  # a MediLoop object knows no more than one of them
        before = draft.before or {}
        if not self.is_copy:
            _keep_links(draft, copied=copied)
        after = draft.after or {}
        self.name = draft.name
        self.draft = draft
        self.had = Stake.of(draft.before)
        self.takes = Stake.of(draft.after)
        self.is_new = self.takes is not None and self.takes.asks_more_than(self.had)
        why = occupancy.reason(after)
        self.books_over = (
            self.takes is not None
            and why is not None
            and (self.takes.takes_more_than(self.had) or why != occupancy.reason(before))
        )
        had, kept = left_busy(before), left_busy(after)
        takes = () if self.takes is None else self.takes.slots
        moved = before.get("status"), after.get("status")
        self.gives_up = tuple(name for name in had if name not in kept)
        actors = (set(references(one, "participant.actor")) for one in (before, after))
        self.sheds = bool(takes and had) and not next(actors) <= next(actors)
        stirs = self.is_new or self.sheds or self.gives_up or moved[0] != moved[1]
        self.stirs = tuple(dict.fromkeys((*had, *takes))) if stirs else ()

    def sign(self, key: str | None) -> None:
        """Record the key that books over others: the one that does so now, or the one that did before."""
        before, after = self.draft.before or {}, self.draft.after or {}
        if self.books_over:
            self.draft.after = occupancy.signed(after, key or occupancy.by(after))
            return
        signed = occupancy.by(before) is not None or not self.is_copy  # a copy may bring who did
        if signed and occupancy.reason(after) == occupancy.reason(before) is not None:
            self.draft.after = occupancy.signed(after, occupancy.by(before))

    def seeks(self, known: People, named: Iterable[Resource], *, copied: bool) -> list[str]:
        """Return the practitioners for whom Slots are to be found: those to whom none of the Slots it names belongs.

        Args:
            known: who is behind the roles.
            named: the Schedules of the Slots that it names.
            copied: whether it was decided elsewhere. Then it keeps the Slots that it names and gets no others; only a
                MediLoop object, which cannot name its Slots, gets some if none are stored.
        """
        has_its_own = self.is_copy or (copied and self.appointment.get("slot"))
        if self.takes is None or self.takes.beside or has_its_own:
            return []
        return known.unserved(known.of(self.takes.people), named)

    @property
    def appointment(self) -> Resource:
        """The Appointment as it is going to be; what takes something is there."""
        return self.draft.after or {}


def left_busy(appointment: Resource) -> tuple[str, ...]:
    """Return the Slots that are busy for an appointment: those that it holds, or held until it was a no-show."""
    return claims.slots(appointment) if appointment.get("status") in (*HOLDING, "noshow") else ()


def _keep_links(draft: Draft, *, copied: bool) -> None:
    """Let a no-show that names no Slots keep the links to those that it leaves busy: by these they are given back.

    A MediLoop object that is `copied` comes with the links that are stored. Those of a proposal are dropped: it has
    only noted these Slots, and held none.
    """
    before, after = draft.before or {}, draft.after
    if after is None or after["status"] != "noshow":
        return
    held = left_busy(before)
    if held and not after.get("slot"):
        draft.after = {**after, "slot": before["slot"]}
    elif copied and not held:
        draft.after = {member: value for member, value in after.items() if member != "slot"}


class ClaimSet:
    """Drafts that are decided together.

    Attributes:
        drafts: all of them.
        visits: the Appointments, by relative reference.
        new: those of them that are to be decided, with what they take and when; one without a time is not among them.
        written: what else concerns time: Slots, Schedules, PractitionerRoles and HealthcareServices, by relative
            reference.
    """

    def __init__(self, drafts: Iterable[Draft], *, copied: bool = False) -> None:
        self.drafts: Sequence[Draft] = list(drafts)
        self.visits: dict[str, Visit] = {}
        self.written: dict[str, Draft] = {}
        for draft in self.drafts:
            name = draft.name
            if name.startswith("Appointment/"):
                self.visits[name] = Visit(draft, copied=copied)
            elif name.startswith(_WRITTEN):
                self.written[name] = draft
        self.new: list[tuple[Visit, Stake, Interval]] = [
            (visit, visit.takes, visit.takes.when)
            for visit in self.visits.values()
            if visit.is_new and visit.takes is not None and visit.takes.when is not None
        ]

    def written_of(self, kind: str) -> dict[str, Draft]:
        """Return what is written of a type."""
        return {name: draft for name, draft in self.written.items() if name.startswith(f"{kind}/")}

    def after(self, kind: str) -> dict[str, Resource | None]:
        """Return what is written of a type as it is going to be; None for what goes."""
        return {name: draft.after for name, draft in self.written_of(kind).items()}

    def overlaid(self, kind: str, stored: Mapping[str, Resource]) -> dict[str, Resource]:
        """Return the resources of a type as they are going to be: `stored`, under what is written."""
        written = self.written_of(kind)
        kept = {name: resource for name, resource in stored.items() if name not in written}
        return kept | {name: draft.after for name, draft in written.items() if draft.after is not None}
