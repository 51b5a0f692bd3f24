"""What an AppointmentResponse says becomes its participant's status in the Appointment, in the same transaction.

https://hl7.org/fhir/R4/appointmentresponse.html. A time that it proposes moves nothing: that is for whoever keeps the
appointment to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from adapter.errors import Problem
from adapter.scheduling import claims, people
from adapter.scheduling.claimset import Draft
from adapter.scheduling.people import People
from adapter.scheduling.status import FINAL
from store.codec import Resource
from store.extract import fold, is_elsewhere, reference, references, relative, walk
from store.unit_of_work import UnitOfWork

_KIND = "AppointmentResponse"
_SAYS = ("appointment", "start", "end", "actor", "participantType", "participantStatus")


async def carry_over(
    work: UnitOfWork, drafts: Sequence[Draft], bases: Sequence[str] = ()
) -> tuple[list[Draft], list[Problem]]:
    """Let the responses among `drafts` change their appointments.

    Whether an answer may be given is judged by the appointment as it is stored: one that is written with it may end it,
    or part with who answers (https://hl7.org/fhir/R4/http.html#trules, creations come before updates).

    Args:
        work: the unit of work to read through.
        drafts: what is written.
        bases: addresses of this server: who is named by another one is not the one of that id here
            (https://hl7.org/fhir/R4/references.html#literal).

    Returns:
        The drafts, followed by those of appointments that change for a response alone; and what is wrong (422): an
        appointment that is not there or is over, a participant that it does not have, answers that contradict each
        other, or what is written of the appointment with them.
    """
    responses = [(draft, draft.after) for draft in drafts if draft.after is not None and _speaks(draft)]
    if not responses:
        return list(drafts), []
    written = {draft.name: draft for draft in drafts}
    known = await work.read_many(sorted({_appointment(response) for _, response in responses} - written.keys()))
    known |= {name: draft.after for name, draft in written.items() if draft.after is not None}
    stands = known | {name: draft.before for name, draft in written.items() if draft.before is not None}
    actors = {_name(response["actor"], bases) for _, response in responses if "actor" in response}
    stored = known | await work.read_many(sorted(actors - written.keys()))
    played = await _players(work, responses, (known, stands), written, bases)
    further: dict[str, Draft] = {}
    problems: list[Problem] = []

    def found(appointments: Mapping[str, Resource], response: Resource) -> list[int]:
        return _places(response, appointments.get(_appointment(response), {}), stored, played, bases)

    placed = [(draft, response, found(known, response), found(stands, response)) for draft, response in responses]
    said = _said((response, places) for _, response, places, _ in placed)
    for draft, response, places, held in placed:
        name = _appointment(response)
        answered = stands[name] if name in known else None
        problem = _fault(response, answered, places or held)
        if problem is None and _contradicts(response, said, stands[name], held, known[name], places):
            problem = _contradiction()
        if problem is not None:
            problems.append(replace(problem, entry=draft.entry))
        elif any(known[name]["participant"][place]["status"] != response["participantStatus"] for place in places):
            new = Draft(draft.entry, known[name], None, f"{_KIND}.participantStatus")
            target = written.get(name) or further.setdefault(name, new)
            target.after = known[name] = _answered(known[name], places, response["participantStatus"])
    return [*drafts, *further.values()], problems


async def kept(work: UnitOfWork, drafts: Sequence[Draft]) -> list[Problem]:
    """Return what is wrong (422) with responses that are copied: their appointment is not there.

    They were carried over where they were given. The appointment says itself what has become of it since, and may be
    over, or have lost the participant.
    """
    responses = [(draft, draft.after) for draft in drafts if draft.after is not None and _speaks(draft)]
    written = {draft.name for draft in drafts if draft.after is not None}
    known = await work.read_many(sorted({_appointment(response) for _, response in responses} - written))
    return [
        replace(_absent(), entry=draft.entry)
        for draft, response in responses
        if _appointment(response) not in known and _appointment(response) not in written
    ]


def asked_anew(appointment: Resource) -> Resource:
    """Return an appointment that is moved, its practitioners asked once more where all of them have declined.

    Nobody declined the new time. Were they left out, it would show a practitioner whose time it does not take.
    """
    if claims.practitioners(appointment):
        return appointment
    participants = [
        {**one, "status": "needs-action"}
        if claims.practitioners({**appointment, "participant": [one]}, declined=True)
        else one
        for one in walk(appointment, "participant")
    ]
    return {**appointment, "participant": participants}


def guards(drafts: Iterable[Draft]) -> Iterator[str]:
    """Yield the appointments that responses refer to: none is deleted meanwhile."""
    return (_appointment(draft.after) for draft in drafts if draft.after is not None and _speaks(draft))


def _speaks(draft: Draft) -> bool:
    """Tell whether a draft is of a response that says something new.

    A corrected comment answers nothing again, and neither does what is sent once more as it is: whoever repeats a
    request, or copies all that it has each night, must not undo what others have said since.
    """
    before, after = draft.before or {}, draft.after or {}
    return after.get("resourceType") == _KIND and any(before.get(word) != after.get(word) for word in _SAYS)


def _appointment(response: Resource) -> str:
    return next((name for name in references(response, "appointment") if name.startswith("Appointment/")), "")


def _fault(response: Resource, appointment: Resource | None, places: Sequence[int]) -> Problem | None:
    if appointment is None:
        return _absent()
    if appointment["status"] in FINAL:
        text = f"The appointment is {appointment['status']}: there is nothing left to answer."
        return Problem("appointment_final", text, f"{_KIND}.appointment", {"status": appointment["status"]})
    param = f"{_KIND}.actor" if "actor" in response else f"{_KIND}.participantType"
    if not places:
        text = "The appointment has no such participant. Name one by the reference or identifier that it has there."
        return Problem("unknown_participant", text, param, issue="not-found")
    if len(places) > 1 and "actor" not in response:
        text = "Several participants of the appointment are of that type. Name the one who answers as actor."
        return Problem("ambiguous_participant", text, param)
    return None


def _absent() -> Problem:
    text = "There is no such appointment. Name one that is stored, as Appointment/<id>."
    return Problem("unknown_appointment", text, f"{_KIND}.appointment", issue="not-found")


def _said(answers: Iterable[tuple[Resource, Sequence[int]]]) -> Mapping[tuple[str, int], set[str]]:
    """Return what is said in all `answers` for each participant: of which appointment, and at which place there."""
    said: dict[tuple[str, int], set[str]] = {}
    for response, places in answers:
        for place in places:
            said.setdefault((_appointment(response), place), set()).add(response["participantStatus"])
    return said


def _contradicts(
    response: Resource,
    said: Mapping[tuple[str, int], set[str]],
    before: Resource,
    held: Sequence[int],
    after: Resource,
    places: Sequence[int],
) -> bool:
    """Tell whether another response, or the appointment that is written with it, says otherwise of its participant.

    Which counts must not hang on the order in which they stand. A status that is written as it was says nothing.
    """
    if any(len(said[_appointment(response), place]) > 1 for place in places):
        return True
    had = {before["participant"][place]["status"] for place in held}
    agreed = {*had, response["participantStatus"]}
    return bool(had) and any(after["participant"][place]["status"] not in agreed for place in places)


def _contradiction() -> Problem:
    text = "What is sent with it, another response or the appointment, says otherwise of that participant. Send one."
    return Problem("contradicting_answers", text, f"{_KIND}.participantStatus")


def _answered(appointment: Resource, places: Sequence[int], status: str) -> Resource:
    participants = list(appointment["participant"])
    for place in places:
        participants[place] = {**participants[place], "status": status}
    return {**appointment, "participant": participants}


async def _players(
    work: UnitOfWork,
    responses: Iterable[tuple[Draft, Resource]],
    appointments: Iterable[Mapping[str, Resource]],
    written: Mapping[str, Draft],
    bases: Sequence[str],
) -> People:
    """Return who is behind the roles, where somebody answers whom the appointment does not name so."""
    wanted: set[str] = set()
    for _, response in responses:
        name = _name(response.get("actor", {}), bases)
        invited = [one for of in appointments for one in _invited(of.get(_appointment(response), {}), bases)]
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
