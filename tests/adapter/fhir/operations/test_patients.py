"""Patients of a visit who are named by a UHID alone: whom they are, and the time that their other visits take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from adapter.fhir.operations.scheduling import patients
from mappings import Systems, references
from tests.adapter.fhir.door import HOST, Json, bundled, call, get, made, names, outcome, person
from tests.adapter.fhir.operations.calling import END, START, clinic, find, first, only, operate, parameters, visit
from tests.adapter.mediloop.clinic import JAMES, SARAH
from tests.conftest import Api, ApiMaker

__all__ = ["clinic"]

UHIDS = "https://mediloop.co/fhir/sid/uhid"


def by_uhid(value: str, **more: Any) -> Json:
    """Return a reference by a UHID alone."""
    return {"identifier": {"system": UHIDS, "value": value}, **more}


@pytest.fixture
async def ann(api: Api) -> Json:
    """A Patient with two UHIDs, one of which is of earlier days."""
    old = {"system": UHIDS, "value": "UG222222222B", "use": "old"}
    return await made(api, person("ann", identifier=[{"system": UHIDS, "value": "UG111111111A"}, old]))


@pytest.mark.parametrize("uhid", ["UG111111111A", "UG222222222B", " ug222222222b "])
@pytest.mark.parametrize("way", ["$find", "$book", "by value", "as well"])
async def test_who_is_booked_by_a_uhid_is_referred_to(api: Api, ann: Json, uhid: str, way: str) -> None:
    named = by_uhid(uhid, display="Ann")
    if way == "by value":
        booked = only(await operate(api, "$book", appointment_resource=visit(), patient_reference=named), 201)
    else:
        asked = {"patient_reference": named} if way != "$book" else {}
        ident = await first(api, practitioner=SARAH, **asked)
        if way == "$find":
            held = only(await operate(api, f"{ident}/$hold"))
            assert {"reference": "Patient/ann", **named} in [one["actor"] for one in held["participant"]]
        joining: Json = {"$book": {"patient": named}, "as well": {"patient": "Patient/ann"}}
        booked = only(await operate(api, f"{ident}/$book", **joining.get(way, {})))
    actors = [one["actor"] for one in booked["participant"]]
    assert [one for one in actors if one.get("reference") == "Patient/ann"] == [{"reference": "Patient/ann", **named}]
    assert not [one for one in actors if "reference" not in one]
    assert f"Appointment/{booked['id']}" in names(bundled(await get(api, "Patient/ann/$everything")))


NOBODY: Json = {"type": [{"text": "Whoever is on duty"}], "status": "needs-action"}


async def test_whom_a_uhid_does_not_tell_is_named_by_it_alone(api: Api, ann: Json) -> None:
    """Two carry it, nobody does, or it is said to be somebody else's."""
    await made(api, person("twin", identifier=[{"system": UHIDS, "value": "UG222222222B"}]))
    await made(api, person("other", identifier=[{"system": UHIDS, "value": "UG222222222B"}]))
    parent = by_uhid("UG111111111A", type="RelatedPerson")
    taking_part = [{"actor": actor, "status": "accepted"} for actor in (by_uhid("UG222222222B"), parent)]
    booked = only(
        await operate(
            api,
            "$book",
            appointment_resource=visit(participant=[*visit()["participant"], *taking_part, NOBODY]),
            patient_reference=by_uhid("UG999999999Z"),
        ),
        201,
    )
    actors = [one["actor"] for one in booked["participant"] if "actor" in one]
    assert [one for one in actors if "reference" not in one] == [
        by_uhid("UG222222222B"),
        parent,
        by_uhid("UG999999999Z"),
    ]


@pytest.mark.parametrize("asked", ["Patient/ann", by_uhid("UG111111111A"), by_uhid("UG222222222B")])
async def test_a_patient_is_proposed_no_time_of_a_visit_that_states_their_uhid_alone(
    api: Api, ann: Json, asked: Any
) -> None:
    members = visit(id="x", status="booked", slot=[{"reference": "Slot/s1"}])
    members["participant"] = [
        *(one for one in members["participant"] if "Patient" not in one["actor"].get("reference", "")),
        {"actor": by_uhid("UG222222222B"), "status": "accepted"},
    ]
    await made(api, members)
    found = await find(api, practitioner=JAMES, patient_reference=asked)
    assert [one["resource"]["slot"][0]["reference"] for one in found["entry"]] == ["Slot/j2"]


async def test_who_is_not_stored_is_proposed_no_time_of_their_visits(api: Api) -> None:
    named = by_uhid("UG333333333C")
    only(await operate(api, "$book", appointment_resource=visit(), patient_reference=named), 201)
    found = await find(api, practitioner=JAMES, patient_reference=named)
    assert [one["resource"]["slot"][0]["reference"] for one in found["entry"]] == ["Slot/j2"]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"id": "ann"}, "j2"),
        ({"identifier": [by_uhid("UG111111111A")["identifier"]]}, "j2"),
        ({"identifier": [by_uhid(" ug222222222b ")["identifier"], {"system": "urn:mrn", "value": "7"}]}, "j2"),
        ({"identifier": [{"system": "urn:mrn", "value": "7"}]}, "j2"),
        ({"identifier": [by_uhid("UG999999999Z")["identifier"], {"system": "urn:mrn", "value": "7"}]}, "j1"),
        ({"id": "bob", "identifier": [{"value": "7"}]}, "j1"),
    ],
)
@pytest.mark.parametrize("known", [{"reference": "Patient/ann"}, by_uhid("UG222222222B")])
async def test_who_is_sent_to_find_is_proposed_no_time_of_visits_of_who_would_be_booked(
    api: Api, known: Json, sent: Json, expected: str
) -> None:
    identifiers = [{"system": UHIDS, "value": one} for one in ("UG111111111A", "UG222222222B")]
    await made(api, person("ann", identifier=[*identifiers, {"system": "urn:mrn", "value": "7"}]))
    sarah = [one for one in visit()["participant"] if one["actor"]["reference"].startswith("Practitioner/")]
    taking_part = [*sarah, {"actor": known, "status": "accepted"}]
    await made(api, visit(id="x", status="booked", participant=taking_part))
    found = await find(api, practitioner=JAMES, patient_resource={"resourceType": "Patient", **sent})
    assert found["entry"][0]["resource"]["slot"] == [{"reference": f"Slot/{expected}"}]
    actors = [one["actor"]["reference"] for one in found["entry"][0]["resource"]["participant"]]
    assert actors == [f"Practitioner/{JAMES}"], "whom it would be booked for $book says"


async def test_who_is_sent_to_find_and_is_not_stored_is_proposed_no_time_of_their_visits(api: Api) -> None:
    named = by_uhid("UG333333333C")
    only(await operate(api, "$book", appointment_resource=visit(), patient_reference=named), 201)
    found = await find(api, practitioner=JAMES, patient_resource=newcomer("UG333333333C"))
    assert [one["resource"]["slot"][0]["reference"] for one in found["entry"]] == ["Slot/j2"]


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"identifier": "x"}, "Patient.identifier"),
        ({"identifier": [{"value": 5}]}, "Patient.identifier[0].value"),
        ({"identifier": [{"system": ["urn:mrn"], "value": "7"}]}, "Patient.identifier[0].system"),
        ({"id": "a/b"}, "Patient.id"),
    ],
)
async def test_who_is_sent_to_find_is_a_valid_patient(api: Api, wrong: Json, place: str) -> None:
    sent = parameters(start="soon", end=END, patient_resource={"resourceType": "Patient", **wrong})
    answer = await call(api, "POST", "Appointment/$find", sent)
    assert answer.status_code == 400, answer.text
    told = [(issue.get("expression") or issue["location"])[0] for issue in answer.json()["issue"]]
    assert told == [place, "http.start"]


async def test_to_look_for_who_is_sent_to_find_is_to_read_patients(api: Api, make_api: ApiMaker) -> None:
    reader: Api = await make_api(api.service, granted=["appointments:read", "slots:read"])
    sent = parameters(start=START, end=END, patient_resource=newcomer("UG333333333C"))
    outcome(await call(reader, "POST", "Appointment/$find", sent), 403, "forbidden")
    assert (await find(reader, patient_resource={"resourceType": "Patient", "id": "ann"}))["total"] == 6


@pytest.mark.parametrize(
    ("there", "joining"),
    [
        ({"reference": f"{HOST}/Patient/ann"}, "Patient/ann"),
        ({"reference": "https://adapter.test/fhir/R4/Patient/ann"}, "Patient/ann"),
        ({"reference": "Patient/ann/_history/1"}, {"reference": "Patient/ann"}),
        ({"identifier": {"system": "urn:mrn", "value": "7"}}, {"identifier": {"system": "urn:mrn", "value": "7"}}),
        (by_uhid("UG999999999Z"), by_uhid(" ug999999999z")),
        (None, ["Patient/ann", f"{HOST}/Patient/ann/_history/1"]),
        (None, [by_uhid("UG999999999Z")] * 2),
    ],
)
async def test_a_patient_takes_part_once_however_they_are_named(
    api: Api, ann: Json, there: Json | None, joining: Any
) -> None:
    sarah = [one for one in visit()["participant"] if one["actor"]["reference"].startswith("Practitioner/")]
    asked = visit(participant=[*sarah, *({"actor": one, "status": "accepted"} for one in (there,) if one is not None)])
    booked = only(await operate(api, "$book", appointment_resource=asked, patient_reference=joining), 201)
    assert len(booked["participant"]) == 2
    changed = {**booked, "description": "Seen before"}
    only(await operate(api, "$book", appointment_resource=changed, patient_reference=joining))


@pytest.mark.parametrize("there", [{"reference": f"{HOST}/Patient/ann"}, by_uhid("UG222222222B")])
@pytest.mark.parametrize(
    "named",
    [
        {"patient_reference": "Patient/ann"},
        {"patient_reference": by_uhid("UG111111111A")},
        {"patient_resource": {"resourceType": "Patient", "identifier": [by_uhid("UG111111111A")["identifier"]]}},
    ],
)
async def test_who_has_declined_takes_part_again_in_what_is_booked_for_them(
    api: Api, ann: Json, there: Json, named: Json
) -> None:
    asked = visit(
        participant=[
            *visit()["participant"],
            {"actor": {"reference": "Patient/bob"}, "status": "declined"},
            {"actor": there, "required": "optional", "status": "declined"},
        ]
    )
    await made(api, {**asked, "id": "asked"})
    booked = only(await operate(api, "asked/$book", **named))
    assert len(booked["participant"]) == len(asked["participant"])
    assert [one["status"] for one in booked["participant"][-2:]] == ["declined", "accepted"]
    assert booked["participant"][-1]["required"] == "optional"


async def test_a_change_says_by_the_whole_of_it_that_who_has_declined_takes_part_again(api: Api, ann: Json) -> None:
    declined = {"actor": {"reference": "Patient/ann"}, "status": "declined"}
    stored = await made(api, visit(id="x", status="booked", participant=[*visit()["participant"], declined]))
    outcome(
        await operate(api, "$book", appointment_resource=stored, patient_reference="Patient/ann"), 400, "not-supported"
    )
    stored["participant"][-1]["status"] = "accepted"
    only(await operate(api, "$book", appointment_resource=stored, patient_reference="Patient/ann"))


async def test_who_shares_a_number_with_who_takes_part_joins(api: Api, ann: Json) -> None:
    family = {"system": "urn:insurance", "value": "F-1"}
    asked = visit(
        participant=[
            *visit()["participant"],
            {"actor": {"reference": "Patient/ann", "identifier": family}, "status": "accepted"},
        ]
    )
    joining = [{"identifier": family}, {"identifier": {"value": "F-1"}}]
    booked = only(await operate(api, "$book", appointment_resource=asked, patient_reference=joining), 201)
    assert len(booked["participant"]) == len(asked["participant"]) + 2


def newcomer(*uhids: str, **members: Any) -> Json:
    """Return a Patient who is not stored yet."""
    identifiers = [{"system": UHIDS, "value": one} for one in uhids]
    return {"resourceType": "Patient", "name": [{"family": "New"}], "identifier": identifiers} | members


async def test_a_patient_who_is_brought_twice_is_stored_once(api: Api) -> None:
    mrn = {"system": "urn:mrn", "value": "7"}
    twice = [newcomer("UG555000111D"), newcomer("UG666000222E", "ug555000111d ", gender="female")]
    alike = [newcomer(identifier=[mrn])] * 2
    for brought in (twice, alike):
        booked = only(await operate(api, f"{await first(api, practitioner=SARAH)}/$book", patient_resource=brought))
        [joined] = [one for one in booked["participant"] if one["actor"]["reference"].startswith("Patient/")]
        assert (await get(api, joined["actor"]["reference"])).json()["identifier"] == brought[0]["identifier"]
    assert bundled(await get(api, "Patient"))["total"] == 3


async def test_each_of_many_who_are_brought_is_looked_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each beside each was work for minutes, where somebody brings thousands."""
    looked: list[Json] = []

    def uhids(patient: Json, systems: Systems) -> Iterable[str]:
        looked.append(patient)
        return references.uhids(patient, systems)

    monkeypatch.setattr(patients, "uhids", uhids)
    brought = [newcomer(f"UG{number:09}D") for number in range(12)]
    booked = only(await operate(api, f"{await first(api, practitioner=SARAH)}/$book", patient_resource=brought))
    assert sum(one["actor"]["reference"].startswith("Patient/") for one in booked["participant"]) == 12
    assert looked == brought


async def test_new_patients_who_share_a_number_are_two(api: Api) -> None:
    family = {"system": "urn:insurance", "value": "F-1"}
    twins = [newcomer(identifier=[family], birthDate="2024-01-01", gender=gender) for gender in ("female", "male")]
    booked = only(await operate(api, f"{await first(api, practitioner=SARAH)}/$book", patient_resource=twins))
    assert len({one["actor"]["reference"] for one in booked["participant"]}) == len(booked["participant"])
    assert bundled(await get(api, "Patient"))["total"] == 3


@pytest.mark.parametrize("way", ["$find", "$book"])
async def test_whom_a_uhid_named_is_the_patient_who_is_brought_with_it(api: Api, way: str) -> None:
    named = by_uhid("UG555000111D", display="New")
    asked: Json = {"patient_reference": named}
    ident = await first(api, practitioner=SARAH, **(asked if way == "$find" else {}))
    brought = newcomer("UG555000111D")
    booked = only(await operate(api, f"{ident}/$book", patient_resource=brought, **(asked if way == "$book" else {})))
    [joined] = [one["actor"] for one in booked["participant"] if "identifier" in one["actor"]]
    assert (await get(api, joined["reference"])).json()["name"] == brought["name"]
    assert joined["display"] == "New"
