"""AppointmentResponses become the status of a participant."""

from __future__ import annotations

from itertools import count, permutations
from typing import Any

import pytest

from adapter.scheduling import responses
from adapter.scheduling.claimset import Draft
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import (
    ABROAD,
    HERE,
    UHID,
    at,
    links,
    publish_day,
    refused,
    role,
    settle_all,
    statuses,
    visit,
)
from tests.store.support import create, patient, stored

_NUMBERS = count(1)
NURSE = [{"coding": [{"system": "urn:kinds", "code": "NURSE"}, {"display": "?"}]}]
ATTENDER = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}]}]


def response(ident: str = "r", says: str = "accepted", *, to: str = "x", **more: Any) -> Resource:
    """An answer of practitioner p unless another actor is given."""
    more = more or {"actor": {"reference": "Practitioner/p"}}
    return {
        "resourceType": "AppointmentResponse",
        "id": ident,
        "appointment": {"reference": f"Appointment/{to}"},
        "participantStatus": says,
        **more,
    }


def proposal(status: str = "proposed", **more: Any) -> Resource:
    """An Appointment that its participants have not answered yet."""
    made = visit("x", status=status, **more)
    for participant in made["participant"]:
        participant["status"] = "needs-action"
    return made


def opened(status: str = "proposed", kind: list[Resource] = ATTENDER, **more: Any) -> Resource:
    """An Appointment with a role that nobody is named for."""
    made = proposal(status, who=(), **more)
    made["participant"].append({"type": kind, "status": "needs-action"})
    return made


def by(actor: str | Resource, says: str = "accepted", *, kind: list[Resource] = ATTENDER, to: str = "x") -> Resource:
    """An answer of who says to have a role."""
    named = {"reference": actor} if isinstance(actor, str) else actor
    ident = f"{next(_NUMBERS)}"
    return response(ident, says, to=to, actor=named, participantType=kind)


async def takers(store: Store) -> list[str]:
    """Who has the roles, after the patient."""
    return [one["actor"]["reference"] for one in (await stored(store, "Appointment", "x"))["participant"][1:]]


async def parts(store: Store) -> list[str]:
    """The participants' statuses."""
    return [one["status"] for one in (await stored(store, "Appointment", "x"))["participant"]]


@pytest.mark.parametrize("says", ["accepted", "declined", "tentative"])
async def test_an_answer_sets_its_participants_status(store: Store, says: str) -> None:
    await settle_all(store, proposal())
    [_, appointment] = await settle_all(store, response(says=says))
    assert appointment["id"] == "x"
    assert await parts(store) == ["needs-action", says]
    assert (await stored(store, "AppointmentResponse", "r"))["participantStatus"] == says


async def test_an_answer_that_changes_nothing_writes_nothing(store: Store) -> None:
    await settle_all(store, proposal())
    assert len(await settle_all(store, response(says="needs-action"))) == 1
    assert (await stored(store, "Appointment", "x"))["meta"]["versionId"] == "1"


@pytest.mark.parametrize(
    "actor",
    [
        {"reference": "Patient/1"},
        {"reference": "https://x.example/fhir/Patient/1"},
        {"identifier": {"value": UHID}},
        {"identifier": {"value": UHID.lower(), "system": ""}, "reference": "#p"},
        {"identifier": {"value": f"{UHID} "}},
        {"reference": "Patient/known"},
    ],
)
async def test_who_answers_is_known_by_reference_or_identifier(store: Store, actor: Resource) -> None:
    await create(store, patient("known", identifier=[{"value": UHID}]))
    await settle_all(store, proposal())
    await settle_all(store, response(actor=actor))
    assert await parts(store) == ["accepted", "needs-action"]


@pytest.mark.parametrize(
    ("named", "answers"),
    [
        ("Patient/1", f"{ABROAD}/Patient/1"),
        (f"{ABROAD}/Patient/1", "Patient/1"),
        ("Patient/2", f"{ABROAD}/Patient/known"),  # whose identifier Patient/known has here
    ],
)
async def test_who_is_known_to_be_another_servers_answers_for_nobody_here(
    store: Store, named: str, answers: str
) -> None:
    await create(store, patient("known", identifier=[{"value": UHID}]))
    made = proposal()
    made["participant"][0]["actor"]["reference"] = named
    await settle_all(store, made)
    answer = response(says="declined", actor={"reference": answers})
    found = await refused(store, answer, bases=HERE)
    assert found == [("unknown_participant", "AppointmentResponse.actor", 0)]


async def test_who_is_of_another_server_answers_for_itself(store: Store) -> None:
    made = proposal(who=(f"{ABROAD}/Practitioner/p/_history/1", "Practitioner/p"))
    await settle_all(store, made)
    await settle_all(store, response(actor={"reference": f"{ABROAD}/Practitioner/p"}), bases=HERE)
    assert await parts(store) == ["needs-action", "accepted", "needs-action"]


@pytest.mark.parametrize("answers", ["Practitioner/p", f"{HERE[0]}/Practitioner/p"])
async def test_our_own_address_is_the_same_as_none(store: Store, answers: str) -> None:
    await settle_all(store, proposal(who=(f"{HERE[0]}/Practitioner/p",)))
    await settle_all(store, response(actor={"reference": answers}), bases=HERE)
    assert await parts(store) == ["needs-action", "accepted"]


async def test_a_patient_who_comes_with_the_answer_is_known_by_its_identifier(store: Store) -> None:
    await settle_all(store, proposal())
    await settle_all(store, patient("2", identifier=[{"value": UHID}]), response(actor={"reference": "Patient/2"}))
    assert await parts(store) == ["accepted", "needs-action"]


@pytest.mark.parametrize("kind", [NURSE, [{"text": "Ward nurse"}]])
async def test_without_an_actor_the_type_tells_who_answers(store: Store, kind: list[Resource]) -> None:
    made = proposal()
    made["participant"].append({"type": [NURSE[0] | {"text": "ward nurse"}], "status": "needs-action"})
    await settle_all(store, made)
    await settle_all(store, response(participantType=kind))
    assert await parts(store) == ["needs-action", "needs-action", "accepted"]
    made["participant"].append(made["participant"][-1])
    await settle_all(store, made)
    found = await refused(store, response("s", participantType=kind))
    assert found == [("ambiguous_participant", "AppointmentResponse.participantType", 0)]


async def test_who_is_named_twice_answers_twice(store: Store) -> None:
    await settle_all(store, proposal(who=("Practitioner/p", "Practitioner/p")))
    await settle_all(store, response())
    assert await parts(store) == ["needs-action", "accepted", "accepted"]


@pytest.mark.parametrize("actor", [{"reference": "Practitioner/q"}, {"reference": "#p"}, {"display": "Dr. P"}])
async def test_an_answer_of_somebody_else_is_refused(store: Store, actor: Resource) -> None:
    made = proposal()
    made["participant"].append({"actor": {"reference": "#p"}, "status": "needs-action"})
    await settle_all(store, made)
    found = await refused(store, response(actor=actor))
    assert found == [("unknown_participant", "AppointmentResponse.actor", 0)]


async def test_an_answer_of_a_type_that_does_not_take_part_is_refused(store: Store) -> None:
    await settle_all(store, proposal())
    found = await refused(store, response(participantType=NURSE))
    assert found == [("unknown_participant", "AppointmentResponse.participantType", 0)]


@pytest.mark.parametrize("to", [{"reference": "Appointment/none"}, {"display": "?"}, {"reference": "Slot/x"}])
async def test_an_answer_to_no_appointment_is_refused(store: Store, to: Resource) -> None:
    found = await refused(store, {**response(), "appointment": to})
    assert found == [("unknown_appointment", "AppointmentResponse.appointment", 0)]


@pytest.mark.parametrize("status", ["fulfilled", "cancelled", "noshow", "entered-in-error"])
async def test_an_answer_to_what_is_over_is_refused(store: Store, status: str) -> None:
    await settle_all(store, proposal(status))
    assert await refused(store, response()) == [("appointment_final", "AppointmentResponse.appointment", 0)]


async def test_an_answer_moves_nothing(store: Store) -> None:
    await settle_all(store, proposal())
    await settle_all(store, response(actor={"reference": "Patient/1"}, start=at("15:00"), end=at("15:30")))
    assert (await stored(store, "Appointment", "x"))["start"] == at("10:00")


async def test_an_answer_that_is_deleted_was_given_all_the_same(store: Store) -> None:
    await settle_all(store, proposal())
    await settle_all(store, response())
    assert len(await settle_all(store, "AppointmentResponse/r")) == 1
    assert await parts(store) == ["needs-action", "accepted"]


@pytest.mark.parametrize(
    ("changed", "meets"),
    [
        ({"appointment": {"reference": "Appointment/y"}}, ["Appointment/y"]),
        ({"start": at("09:00")}, ["Appointment/x"]),
        ({"end": at("09:00")}, ["Appointment/x"]),
        ({"actor": {"reference": "Practitioner/q"}}, ["Appointment/x"]),
        ({"participantType": NURSE}, ["Appointment/x"]),
        ({"participantStatus": "declined"}, ["Appointment/x"]),
        ({}, []),
        ({"comment": "on leave"}, []),
        ({"identifier": [{"value": "7"}]}, []),
    ],
)
def test_who_says_something_new_meets_others_who_answer_that_appointment(changed: Resource, meets: list[str]) -> None:
    before = response()
    drafts = [Draft(0, before, {**before, **changed}), Draft(1, None, visit("x")), Draft(2, response("gone"), None)]
    assert list(responses.guards(drafts)) == meets


def test_who_has_declined_is_asked_anew_though_a_contained_role_names_them() -> None:
    playing = {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": "Practitioner/p"}}
    left = {"resourceType": "Appointment", "id": "x", "contained": [playing], "start": at("10:00")}
    patient_ = {"actor": {"reference": "Patient/1"}, "status": "declined"}
    by_role = {"actor": {"reference": "#role"}, "status": "declined"}
    asked = responses.asked_anew({**left, "participant": [patient_, by_role]})
    assert asked == {**left, "participant": [patient_, {**by_role, "status": "needs-action"}]}


async def test_an_answer_may_be_changed_but_a_comment_answers_nothing_again(store: Store) -> None:
    await settle_all(store, proposal())
    await settle_all(store, response())
    await settle_all(store, response(says="declined"))
    assert await parts(store) == ["needs-action", "declined"]
    await settle_all(store, proposal())
    commented = response(says="declined", actor={"reference": "Practitioner/p"}, comment="on leave")
    await settle_all(store, commented)
    await settle_all(store, commented)
    assert await parts(store) == ["needs-action", "needs-action"]


@pytest.mark.parametrize("when", ["start", "end"])
async def test_the_same_answer_for_another_time_is_a_new_one(store: Store, when: str) -> None:
    by: dict[str, Any] = {"actor": {"reference": "Practitioner/p"}}
    await settle_all(store, proposal())
    await settle_all(store, response(**by, start=at("10:00"), end=at("10:30")))
    await settle_all(store, proposal(start="09:00", end="12:00"))
    later = {"start": at("10:00"), "end": at("10:30")} | {when: at("10:20")}
    await settle_all(store, response(**by, **later))
    assert await parts(store) == ["needs-action", "accepted"]


async def test_several_answers_and_the_appointment_itself_are_one_set(store: Store) -> None:
    by_patient = response("s", "tentative", actor={"reference": "Patient/1"})
    after = await settle_all(store, response(), proposal(), by_patient)
    assert [one["resourceType"] for one in after] == ["AppointmentResponse", "Appointment", "AppointmentResponse"]
    assert await parts(store) == ["tentative", "accepted"]
    assert await refused(store, "Appointment/x", response("t")) == [
        ("unknown_appointment", "AppointmentResponse.appointment", 1)
    ]


@pytest.mark.parametrize("gone", ["status", "participant"])
async def test_an_answer_and_the_end_of_what_it_answers_are_one_set(store: Store, gone: str) -> None:
    await settle_all(store, proposal())
    after = proposal("cancelled") if gone == "status" else proposal(who=("Practitioner/q",))
    await settle_all(store, response(says="declined"), after)
    assert await parts(store) == ["needs-action", "declined" if gone == "status" else "needs-action"]


@pytest.mark.parametrize("status", ["declined", "needs-action"])
async def test_an_answer_and_another_status_that_is_written_contradict_each_other(store: Store, status: str) -> None:
    was = proposal()
    was["participant"][1]["status"] = "tentative"
    await settle_all(store, was)
    written = proposal(comment="?")
    written["participant"][1]["status"] = status
    for order in ([response(), written], [written, response()]):
        found = await refused(store, *order)
        assert found == [("contradicting_answers", "AppointmentResponse.participantStatus", order.index(response()))]
    await settle_all(store, response(says=status), written)
    assert await parts(store) == ["needs-action", status]


@pytest.mark.parametrize("who", [("Practitioner/p",), ("Practitioner/p", "Practitioner/p"), ("Practitioner/q",)])
async def test_an_answer_goes_with_a_write_that_leaves_the_status_alone(store: Store, who: tuple[str, ...]) -> None:
    await settle_all(store, proposal(who=who))
    await settle_all(store, proposal(comment="?", who=("Practitioner/p",)), response())
    assert await parts(store) == ["needs-action", "accepted"]


async def test_several_answers_to_one_appointment_make_one_version_of_it(store: Store) -> None:
    await settle_all(store, proposal())
    assert len(await settle_all(store, response(), response("s", actor={"reference": "Patient/1"}))) == 3
    assert await parts(store) == ["accepted", "accepted"]


async def test_who_declined_and_accepts_again_must_be_free_still(store: Store) -> None:
    await settle_all(store, visit("x"))
    await settle_all(store, response(says="declined"))
    await settle_all(store, visit("y"))
    again = response("s", "tentative")
    assert await refused(store, again) == [("time_conflict", "AppointmentResponse.participantStatus", 0)]
    await settle_all(store, again, response("t", "declined", to="y"))


async def test_an_open_role_is_taken_by_who_answers_for_it(store: Store) -> None:
    made = proposal()
    made["participant"][1]["type"] = NURSE
    made["participant"].append({"type": NURSE, "required": "optional", "status": "needs-action"})
    await settle_all(store, made)
    nurse = {"reference": "Practitioner/n", "display": "N.", "identifier": {"value": "7"}, "type": "Practitioner"}
    await settle_all(store, by(nurse | {"id": "1", "extension": [{"url": "urn:x", "valueCode": "y"}]}, kind=NURSE))
    taken = {"type": NURSE, "required": "optional", "actor": nurse, "status": "accepted"}
    assert (await stored(store, "Appointment", "x"))["participant"][2] == taken
    await settle_all(store, by("Practitioner/n", "tentative", kind=[{"text": "?"}]))
    assert await parts(store) == ["needs-action", "needs-action", "tentative"]


async def test_who_takes_an_open_role_is_had_by_it(store: Store) -> None:
    """Before, the role alone was accepted, and nobody's time was held."""
    await settle_all(store, opened())
    await settle_all(store, by("Practitioner/n"))
    await settle_all(store, {**await stored(store, "Appointment", "x"), "status": "booked"})
    elsewhere = visit("y", "10:15", "10:45", who=("Practitioner/n",))
    assert await refused(store, elsewhere) == [("time_conflict", "Appointment.start", 0)]
    await settle_all(store, {**opened("booked"), "id": "z"})
    late = by("Practitioner/n", to="z")
    assert await refused(store, late) == [("time_conflict", "AppointmentResponse.participantStatus", 0)]
    await settle_all(store, by("Practitioner/n", "declined"))
    await settle_all(store, late)


async def test_who_takes_an_open_role_of_what_is_booked_has_their_slot_taken(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, opened("booked"))
    await settle_all(store, by("Practitioner/p"))
    assert links(await stored(store, "Appointment", "x")) == ["Slot/a"]
    assert await statuses(store, "a") == ["busy"]


async def test_a_role_that_is_taken_is_open_to_nobody_else(store: Store) -> None:
    await settle_all(store, opened())
    await settle_all(store, by("Practitioner/n"))
    for says in ("accepted", "tentative", "declined"):
        found = await refused(store, by("Practitioner/m", says))
        assert found == [("unknown_participant", "AppointmentResponse.actor", 0)]


async def test_who_declines_an_open_role_leaves_it_open(store: Store) -> None:
    await settle_all(store, opened())
    assert len(await settle_all(store, by("Practitioner/m", "declined"))) == 1
    assert await stored(store, "Appointment", "x") == await stored(store, "Appointment", "x") | opened()
    await settle_all(store, by("Practitioner/n"), by("Practitioner/m", "declined"))
    assert await takers(store) == ["Practitioner/n"]


async def test_a_role_that_was_accepted_for_nobody_gets_who_accepts_it(store: Store) -> None:
    made = opened()
    made["participant"][1]["status"] = "accepted"
    await settle_all(store, made)
    await settle_all(store, by("Practitioner/n"))
    assert await takers(store) == ["Practitioner/n"]


@pytest.mark.parametrize(
    "actor",
    [
        "Patient/2",
        "RelatedPerson/2",
        f"{ABROAD}/Patient/2",
        {"identifier": {"value": "2"}, "type": "Patient"},
        {"identifier": {"value": "2"}, "type": "http://hl7.org/fhir/StructureDefinition/RelatedPerson"},
        {"reference": "#n", "identifier": {"value": "2"}},  # the Appointment does not contain it
        {"display": "Dr. N"},  # who could not be told from somebody else when they answer again
        {"identifier": {"system": "urn:x"}, "display": "Dr. N"},
    ],
)
@pytest.mark.parametrize("says", ["accepted", "declined"])
async def test_a_practitioners_role_is_for_no_patient_and_for_nobody_without_a_name(
    store: Store, actor: Any, says: str
) -> None:
    await settle_all(store, opened())
    found = await refused(store, by(actor, says))
    assert found == [("unknown_participant", "AppointmentResponse.actor", 0)]


@pytest.mark.parametrize(
    ("kind", "actor"),
    [
        (ATTENDER, "PractitionerRole/r"),
        (ATTENDER, "Device/scanner"),
        (ATTENDER, f"{ABROAD}/Practitioner/n"),
        (ATTENDER, "https://x.example/doctors/7"),
        (NURSE, "Patient/2"),
        (NURSE, "RelatedPerson/2"),
    ],
)
async def test_any_other_role_is_for_whoever_may_take_part(store: Store, kind: list[Resource], actor: str) -> None:
    await settle_all(store, opened(kind=kind))
    await settle_all(store, by(actor, kind=kind), bases=HERE)
    assert await takers(store) == [actor]


async def test_who_is_known_by_an_identifier_alone_takes_a_role_by_it(store: Store) -> None:
    await settle_all(store, opened("booked"))
    await settle_all(store, by({"identifier": {"value": "N7"}}))
    actor = {"identifier": {"value": "n7"}, "type": "Practitioner"}
    busy = {**visit("y"), "participant": [{"actor": actor, "status": "accepted"}]}
    assert await refused(store, busy) == [("time_conflict", "Appointment.start", 0)]


async def test_two_take_two_open_roles_at_once_and_a_third_is_refused(store: Store) -> None:
    made = opened()
    made["participant"].append(made["participant"][1])
    await settle_all(store, made)
    first, second, third = (by(f"Practitioner/{ident}") | {"id": ident} for ident in "nmo")
    assert await refused(store, first, second, third) == [("unknown_participant", "AppointmentResponse.actor", 2)]
    await settle_all(store, first, second, first | {"id": "again"})
    assert await takers(store) == ["Practitioner/m", "Practitioner/n"]


PERFORMER = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "PPRF"}]}]
EITHER = [*ATTENDER, *PERFORMER]


@pytest.mark.parametrize("order", [*permutations("nmo")])
async def test_who_takes_which_open_role_does_not_hang_on_the_order(store: Store, order: tuple[str, ...]) -> None:
    made = opened(kind=EITHER)
    roles = [{"type": kind, "status": "needs-action"} for kind in ([*EITHER, *NURSE], ATTENDER)]
    await settle_all(store, {**made, "participant": [*made["participant"], *roles]})
    kinds = {"m": ATTENDER, "n": EITHER, "o": PERFORMER}
    await settle_all(store, *(by(f"Practitioner/{who}", kind=kinds[who]) | {"id": who} for who in order))
    assert await takers(store) == ["Practitioner/o", "Practitioner/n", "Practitioner/m"]


@pytest.mark.parametrize("first", [EITHER, PERFORMER])
async def test_who_answers_twice_takes_one_role_for_both_or_one_for_each(store: Store, first: list[Resource]) -> None:
    made = opened()
    made["participant"].append({"type": PERFORMER, "status": "needs-action"})
    await settle_all(store, made)
    again = by("Practitioner/n", kind=ATTENDER) | {"id": "again"}
    await settle_all(store, by("Practitioner/n", kind=first), again)
    both = (await stored(store, "Appointment", "x"))["participant"][1:]
    named = ["actor" in one for one in both]
    assert named == [True, first == PERFORMER]


async def test_who_takes_a_role_and_declines_it_at_once_contradicts_themselves(store: Store) -> None:
    await settle_all(store, opened())
    both = by("Practitioner/n", "declined") | {"id": "a"}, by("Practitioner/n") | {"id": "b"}
    contradiction = ("contradicting_answers", "AppointmentResponse.participantStatus")
    assert await refused(store, *both) == [(*contradiction, 0), (*contradiction, 1)]


@pytest.mark.parametrize("gone", ["role", "all"])
async def test_a_role_is_taken_as_the_appointment_that_is_written_with_it_has_it(store: Store, gone: str) -> None:
    await settle_all(store, opened())
    after = proposal(who=("Practitioner/q",) if gone == "role" else ())
    found = await refused(store, by("Practitioner/n"), after)
    assert found == [("unknown_participant", "AppointmentResponse.actor", 0)]
    assert len(await settle_all(store, by("Practitioner/n", "declined"), after)) == 2
    await settle_all(store, by("Practitioner/n"), opened(comment="?"))
    assert await takers(store) == ["Practitioner/n"]


@pytest.mark.parametrize("says", [("accepted", "declined"), ("declined", "accepted"), ("needs-action", "accepted")])
async def test_answers_that_contradict_each_other_are_refused_in_whatever_order(
    store: Store, says: tuple[str, str]
) -> None:
    await settle_all(store, proposal())
    both = [response(f"r{number}", word) for number, word in enumerate(says)]
    assert await refused(store, response("other", actor={"reference": "Patient/1"}), *both) == [
        ("contradicting_answers", "AppointmentResponse.participantStatus", entry) for entry in (1, 2)
    ]
    assert await parts(store) == ["needs-action", "needs-action"]


async def test_equal_answers_and_those_of_different_people_go_together(store: Store) -> None:
    await settle_all(store, proposal())
    declined = response("c", "declined", actor={"reference": "Patient/1"})
    await settle_all(store, response("a"), response("b"), declined)
    assert await parts(store) == ["declined", "accepted"]


@pytest.mark.parametrize(
    ("invited", "answering"),
    [
        ("PractitionerRole/r", "Practitioner/p"),
        ("Practitioner/p", "PractitionerRole/r"),
        ("PractitionerRole/r", "PractitionerRole/s"),
    ],
)
async def test_a_role_is_answered_by_who_has_it(store: Store, invited: str, answering: str) -> None:
    by: dict[str, Any] = {"actor": {"reference": answering}}
    await settle_all(
        store, role("r"), role("s"), proposal(who=(invited,)), proposal(who=("Practitioner/q",)) | {"id": "y"}
    )
    both = response(says="declined", **by), response("q", to="y", actor={"reference": "Practitioner/q"})
    await settle_all(store, *both)
    assert await parts(store) == ["needs-action", "declined"]
    unknown = [("unknown_participant", "AppointmentResponse.actor", 0)]
    assert await refused(store, response("n", to="y", **by)) == unknown
    if answering == "Practitioner/p":
        assert await refused(store, response("n", **by), role("r", "q")) == unknown  # as the same set leaves it


async def test_who_is_named_goes_before_who_has_the_role(store: Store) -> None:
    await settle_all(store, role("r"), proposal(who=("PractitionerRole/r", "Practitioner/p")))
    await settle_all(store, response(says="declined"))
    assert await parts(store) == ["needs-action", "needs-action", "declined"]
