"""Of which participants of its appointment an AppointmentResponse speaks.

One that says whose it is may take a role that nobody is named for yet (HL7's own example does so).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from adapter.scheduling import claims, people
from adapter.scheduling.claimset import Draft
from adapter.scheduling.people import People
from store.codec import Resource
from store.extract import fold, is_elsewhere, reference, references, relative, type_of, walk
from store.unit_of_work import UnitOfWork

_NAMING = ("reference", "type", "identifier", "display")
_PERSONAL = frozenset({"Patient", "RelatedPerson"})

_Role = tuple[str, int]
_Who = str | frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, and of whom it speaks.

    Attributes:
        entry: which of the changes asked for it is.
        response: the AppointmentResponse.
        places: its participants in the appointment as it is going to be, an open role that is taken by it among them.
        held: its participants in the appointment as it is stored.
        leaves_open: whether somebody declines a role by it that is open, and stays so.
    """

    entry: int
    response: Resource
    places: Sequence[int]
    held: Sequence[int]
    leaves_open: bool = False

    @property
    def status(self) -> str:
        """What it says."""
        says: str = self.response["participantStatus"]
        return says

    @property
    def appointment(self) -> str:
        """The appointment that it answers (``Appointment/a``)."""
        return answered(self.response)


def answered(response: Resource) -> str:
    """Return the appointment that a response answers (``Appointment/a``); empty where there is none."""
    return next((name for name in references(response, "appointment") if name.startswith("Appointment/")), "")


async def read(
    work: UnitOfWork,
    responses: Sequence[tuple[int, Resource]],
    known: Mapping[str, Resource],
    stands: Mapping[str, Resource],
    written: Mapping[str, Draft],
    bases: Sequence[str],
) -> list[Answer]:
    """Return whom responses are from.

    Args:
        work: the unit of work to read through.
        responses: each with the change that it is.
        known: their appointments as they are going to be, and what else is written, by relative reference.
        stands: the same as they are stored.
        written: everything that is written.
        bases: addresses of this server (`responses.carry_over`).
    """
    actors = {_name(response["actor"], bases) for _, response in responses if "actor" in response}
    stored = {**known, **await work.read_many(sorted(actors - written.keys()))}
    played = await _players(work, [response for _, response in responses], (known, stands), written, bases)

    def found(appointments: Mapping[str, Resource], response: Resource) -> list[int]:
        return _places(response, appointments.get(answered(response), {}), stored, played, bases)

    answers = [
        Answer(entry, response, found(known, response), found(stands, response)) for entry, response in responses
    ]
    newcomers = [one for one in answers if not one.places and not one.held]
    takers = _takers(newcomers, known, bases)
    return [one if one.places or one.held else _with_role(one, takers, known, stands, bases) for one in answers]


def taken(participant: Resource, response: Resource) -> Resource:
    """Return a participant as an answer leaves it: an open role is that of who answers from now on.

    They are written there as if the appointment had been: only who is named has their time held, and is found.
    """
    if "actor" in participant or "actor" not in response:
        return {**participant, "status": response["participantStatus"]}
    actor = {member: value for member, value in response["actor"].items() if member in _NAMING}
    return {**participant, "actor": actor, "status": response["participantStatus"]}


def _takers(newcomers: Iterable[Answer], known: Mapping[str, Resource], bases: Sequence[str]) -> Mapping[_Role, _Who]:
    """Return who takes which open role, in whatever order they answer: as many as can, each the first that is left.

    Whoever answers several times takes one role that all these are for, or else one for each.
    """
    wanted: dict[tuple[str, _Who], list[list[_Role]]] = {}
    for answer in newcomers:
        if answer.status != "declined":
            roles = [(answer.appointment, place) for place in _open(answer, known, bases)]
            wanted.setdefault((answer.appointment, _who(answer, bases)), []).append(roles)
    seekers: list[tuple[_Who, list[_Role]]] = []
    for (_, who), several in sorted(wanted.items(), key=lambda one: _spelt(one[0][1])):
        common = [role for role in several[0] if all(role in roles for roles in several)]
        seekers += [(who, roles) for roles in ([common] if common else sorted(several))]
    return {role: seekers[seeker][0] for role, seeker in _matched([roles for _, roles in seekers]).items()}


def _spelt(who: _Who) -> str:
    return who if isinstance(who, str) else str(sorted(who))


def _matched(wanted: Sequence[Sequence[_Role]]) -> Mapping[_Role, int]:
    """Return who of those that want roles takes which: by augmenting paths, so that none goes without who need not.

    https://en.wikipedia.org/wiki/Maximum_cardinality_matching
    """
    takers: dict[_Role, int] = {}
    for newcomer in range(len(wanted)):
        came: dict[_Role, int] = {}  # who would take the role, were whoever has it to take another one
        waiting = [newcomer]
        for seeker in waiting:
            for role in wanted[seeker]:
                if role not in came:
                    came[role] = seeker
                    waiting += [takers[role]] if role in takers else []
        free = next((role for role in came if role not in takers), None)
        had = {seeker: role for role, seeker in takers.items()}
        while free is not None:
            takers[free] = came[free]
            free = had.get(came[free])
    return takers


def _with_role(
    answer: Answer,
    takers: Mapping[_Role, _Who],
    known: Mapping[str, Resource],
    stands: Mapping[str, Resource],
    bases: Sequence[str],
) -> Answer:
    """Return the answer of somebody who does not take part yet, with the role that they take.

    It has to be open as the appointment is going to be; to decline, it is enough that it was.
    """
    who = _who(answer, bases)
    roles, were = (_open(answer, appointments, bases) for appointments in (known, stands))
    theirs = [place for place in roles if takers.get((answer.appointment, place)) == who]
    if answer.status == "declined":
        return replace(answer, places=theirs, leaves_open=bool(roles or were))
    return replace(answer, places=theirs, held=were if theirs else ())


def _open(answer: Answer, appointments: Mapping[str, Resource], bases: Sequence[str]) -> list[int]:
    """Return the roles that whoever answers may take: of a type that they say to have, and nobody is named for it.

    Who could not be told from others at their next answer takes none, and who attends is no patient and no relative.
    """
    if not _who(answer, bases):
        return []
    actor, kinds = answer.response["actor"], _kinds(answer.response, "participantType")
    kind = type_of(actor.get("reference", "")) or actor.get("type", "").rpartition("/")[2]
    return [
        place
        for place, one in enumerate(walk(appointments.get(answer.appointment, {}), "participant"))
        if "actor" not in one and kinds & _kinds(one, "type") and not (kind in _PERSONAL and claims.attends(one))
    ]


def _who(answer: Answer, bases: Sequence[str]) -> _Who:
    """Return by what an actor is known again: the reference, or the identifiers that stand alone; empty for nothing."""
    actor = answer.response.get("actor", {})
    return _name(actor, bases) if "reference" in actor else frozenset(_tokens(actor))


async def _players(
    work: UnitOfWork,
    responses: Iterable[Resource],
    appointments: Iterable[Mapping[str, Resource]],
    written: Mapping[str, Draft],
    bases: Sequence[str],
) -> People:
    """Return who is behind the roles, where somebody answers whom the appointment does not name so."""
    wanted: set[str] = set()
    for response in responses:
        name = _name(response.get("actor", {}), bases)
        invited = [one for of in appointments for one in _invited(of.get(answered(response), {}), bases)]
        if name.startswith(claims.PRACTITIONERS) and name not in invited:
            wanted.update((name, *invited))
    if not any(name.startswith("PractitionerRole/") for name in wanted):
        return People()
    roles = {name: draft.after for name, draft in written.items() if name.startswith("PractitionerRole/")}
    return await people.read(work, wanted, roles)


def _invited(appointment: Resource, bases: Sequence[str]) -> list[str]:
    names = [_name(participant.get("actor", {}), bases) for participant in walk(appointment, "participant")]
    return [name for name in names if name.startswith(claims.PRACTITIONERS)]


def _places(
    response: Resource,
    appointment: Resource,
    stored: Mapping[str, Resource],
    played: People,
    bases: Sequence[str],
) -> list[int]:
    """Return which participants a response is from: by reference, else by identifier; without an actor by type.

    A role means its practitioner, but who is named goes before who has the role.
    """
    participants = list(enumerate(walk(appointment, "participant")))
    kinds = _kinds(response, "participantType")
    if "actor" not in response:
        return [place for place, participant in participants if kinds & _kinds(participant, "type")]
    name = _name(response["actor"], bases)
    found = [place for place, one in participants if name and name == _name(one.get("actor", {}), bases)]
    if not found and name.startswith(claims.PRACTITIONERS):
        same = played.of([name])
        found = [place for place, one in participants if played.of([_name(one.get("actor", {}), bases)]) == same]
    if found:
        return found
    tokens = _tokens(response["actor"]) | _tokens(stored.get(name, {}))
    return [place for place, participant in participants if tokens & _tokens(participant.get("actor", {}))]


def _name(actor: Resource, bases: Sequence[str]) -> str:
    text: str = actor.get("reference", "")
    if is_elsewhere(text, bases):
        return relative(text, ())
    return "" if text.startswith("#") else reference(text)  # contained: in the other resource it is somebody else


def _tokens(resource: Resource) -> set[tuple[str, str]]:
    return {
        (identifier.get("system", ""), fold(identifier["value"]))
        for identifier in walk(resource, "identifier")
        if "value" in identifier
    }


def _kinds(resource: Resource, path: str) -> set[tuple[str, str]]:
    return {
        (coding.get("system", ""), coding["code"]) for coding in walk(resource, f"{path}.coding") if "code" in coding
    } | {("", text.casefold()) for text in walk(resource, f"{path}.text")}
