"""What an AppointmentResponse says becomes its participant's status in the Appointment, in the same transaction.

Who answers for a role that nobody is named for yet has it from then on, unless they decline.

https://hl7.org/fhir/R4/appointmentresponse.html. A time that it proposes moves nothing: that is for whoever keeps the
appointment to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from adapter.errors import Problem
from adapter.scheduling import answering, claims
from adapter.scheduling.answering import Answer, answered
from adapter.scheduling.claimset import Draft
from adapter.scheduling.status import FINAL
from store.codec import Resource
from store.extract import walk
from store.unit_of_work import UnitOfWork

_KIND = "AppointmentResponse"
_SAYS = ("appointment", "start", "end", "actor", "participantType", "participantStatus")


async def carry_over(
    work: UnitOfWork, drafts: Sequence[Draft], bases: Sequence[str]
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
    responses = [(draft.entry, draft.after) for draft in drafts if draft.after is not None and _speaks(draft)]
    if not responses:
        return list(drafts), []
    written = {draft.name: draft for draft in drafts}
    known = await work.read_many(sorted({answered(response) for _, response in responses} - written.keys()))
    known |= {name: draft.after for name, draft in written.items() if draft.after is not None}
    stands = known | {name: draft.before for name, draft in written.items() if draft.before is not None}
    answers = await answering.read(work, responses, known, stands, written, bases)
    further: dict[str, Draft] = {}
    problems: list[Problem] = []
    said = _said(answers)
    for answer in answers:
        name = answer.appointment
        stored = stands[name] if name in known else None
        problem = _fault(answer, stored)
        if problem is None and _contradicts(answer, said, stands[name], known[name]):
            problem = _contradiction()
        if problem is not None:
            problems.append(replace(problem, entry=answer.entry))
        elif (after := _answered(known[name], answer)) != known[name]:
            new = Draft(answer.entry, known[name], None, f"{_KIND}.participantStatus")
            target = written.get(name) or further.setdefault(name, new)
            target.after = known[name] = after
    return [*drafts, *further.values()], problems


async def kept(work: UnitOfWork, drafts: Sequence[Draft]) -> list[Problem]:
    """Return what is wrong (422) with responses that are copied: their appointment is not there.

    They were carried over where they were given. The appointment says itself what has become of it since, and may be
    over, or have lost the participant.
    """
    responses = [(draft, draft.after) for draft in drafts if draft.after is not None and _speaks(draft)]
    written = {draft.name for draft in drafts if draft.after is not None}
    known = await work.read_many(sorted({answered(response) for _, response in responses} - written))
    return [
        replace(_absent(), entry=draft.entry)
        for draft, response in responses
        if answered(response) not in known and answered(response) not in written
    ]


def asked_anew(appointment: Resource) -> Resource:
    """Return an appointment that is moved, its practitioners asked once more where all of them have declined.

    Nobody declined the new time. Were they left out, it would show a practitioner whose time it does not take.
    """
    if claims.is_attended(appointment):
        return appointment
    participants = [
        {**one, "status": "needs-action"}
        if claims.practitioners({**appointment, "participant": [one]}, declined=True)
        else one
        for one in walk(appointment, "participant")
    ]
    return {**appointment, "participant": participants}


def guards(drafts: Iterable[Draft]) -> Iterator[str]:
    """Yield the appointments that responses refer to: who answers is judged on what the answer before has left."""
    return (answered(draft.after) for draft in drafts if draft.after is not None and _speaks(draft))


def _speaks(draft: Draft) -> bool:
    """Tell whether a draft is of a response that says something new.

    A corrected comment answers nothing again, and neither does what is sent once more as it is: whoever repeats a
    request, or copies all that it has each night, must not undo what others have said since.
    """
    before, after = draft.before or {}, draft.after or {}
    return after.get("resourceType") == _KIND and any(before.get(word) != after.get(word) for word in _SAYS)


def _fault(answer: Answer, appointment: Resource | None) -> Problem | None:
    if appointment is None:
        return _absent()
    if appointment["status"] in FINAL:
        text = f"The appointment is {appointment['status']}: there is nothing left to answer."
        return Problem("appointment_final", text, f"{_KIND}.appointment", {"status": appointment["status"]})
    is_named = "actor" in answer.response
    param = f"{_KIND}.actor" if is_named else f"{_KIND}.participantType"
    places = answer.places or answer.held
    if not places and not answer.leaves_open:
        text = (
            "The appointment has no such participant, nor an open role that is for this one. Name one by the reference "
            "or identifier that it has there."
        )
        return Problem("unknown_participant", text, param, issue="not-found")
    if len(places) > 1 and not is_named:
        text = "Several participants of the appointment are of that type. Name the one who answers as actor."
        return Problem("ambiguous_participant", text, param)
    return None


def _absent() -> Problem:
    text = "There is no such appointment. Name one that is stored, as Appointment/<id>."
    return Problem("unknown_appointment", text, f"{_KIND}.appointment", issue="not-found")


def _said(answers: Iterable[Answer]) -> Mapping[tuple[str, int], set[str]]:
    """Return what is said in all `answers` for each participant: of which appointment, and at which place there."""
    said: dict[tuple[str, int], set[str]] = {}
    for answer in answers:
        for place in answer.places:
            said.setdefault((answer.appointment, place), set()).add(answer.status)
    return said


def _contradicts(answer: Answer, said: Mapping[tuple[str, int], set[str]], before: Resource, after: Resource) -> bool:
    """Tell whether another response, or the appointment that is written with it, says otherwise of its participant.

    Which counts must not hang on the order in which they stand. A status that is written as it was says nothing.
    """
    if any(len(said[answer.appointment, place]) > 1 for place in answer.places):
        return True
    had = {before["participant"][place]["status"] for place in answer.held}
    agreed = {*had, answer.status}
    return bool(had) and any(after["participant"][place]["status"] not in agreed for place in answer.places)


def _contradiction() -> Problem:
    text = "What is sent with it, another response or the appointment, says otherwise of that participant. Send one."
    return Problem("contradicting_answers", text, f"{_KIND}.participantStatus")


def _answered(appointment: Resource, answer: Answer) -> Resource:
    participants = list(appointment["participant"])
    for place in answer.places:
        participants[place] = answering.taken(participants[place], answer.response)
    return {**appointment, "participant": participants}
