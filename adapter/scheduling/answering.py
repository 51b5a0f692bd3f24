"""Of which participants of its appointment an AppointmentResponse speaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapter.scheduling import claims, people
from adapter.scheduling.claimset import Draft
from adapter.scheduling.people import People
from store.codec import Resource
from store.extract import fold, is_elsewhere, reference, references, relative, walk
from store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, and of whom it speaks.

    Attributes:
        entry: which of the changes asked for it is.
        response: the AppointmentResponse.
        places: its participants in the appointment as it is going to be.
        held: its participants in the appointment as it is stored.
    """

    entry: int
    response: Resource
    places: Sequence[int]
    held: Sequence[int]

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

    return [Answer(entry, response, found(known, response), found(stands, response)) for entry, response in responses]


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

    A role means its practitioner, but who is named goes before who has the role. One that nobody is named for yet is
    answered by whoever says to be of that type (HL7's own example does so).
    """
    participants = list(enumerate(walk(appointment, "participant")))
    kinds = _kinds(response, "participantType")
    of_type = [place for place, participant in participants if kinds & _kinds(participant, "type")]
    if "actor" not in response:
        return of_type
    name = _name(response["actor"], bases)
    found = [place for place, one in participants if name and name == _name(one.get("actor", {}), bases)]
    if not found and name.startswith(claims.PRACTITIONERS):
        same = played.of([name])
        found = [place for place, one in participants if played.of([_name(one.get("actor", {}), bases)]) == same]
    if found:
        return found
    tokens = _tokens(response["actor"]) | _tokens(stored.get(name, {}))
    found = [place for place, participant in participants if tokens & _tokens(participant.get("actor", {}))]
    vacant = {place for place, participant in participants if "actor" not in participant}
    return found or [place for place in of_type if place in vacant][:1]


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
