"""Patients of whom an appointment says the UHID alone: booked before they were stored here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter.mediloop import directory
from adapter.security.callers import Caller
from adapter.security.keys import Key
from adapter.security.permissions import everything
from mappings.systems import DEFAULT_SYSTEMS
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.mediloop.clinic import (
    JAMES,
    NAME,
    OTHER_NAME,
    OTHER_UHID,
    PATH,
    SARAH,
    action_path,
    appointment,
    booking,
    ids,
    open_clinic,
    patient,
    put,
    stored,
    with_actors,
)
from tests.conftest import Api
from tests.store.support import explain

Asked = Callable[[], int]
OLD = "old"


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Tell how often Patients were looked for since it was last asked."""
    count = 0

    def counted(read: Callable[..., Any]) -> Callable[..., Any]:
        async def look(self: object, kind: str, query: Any, **options: Any) -> Any:
            nonlocal count
            count += kind == "Patient" and "_index.identifier" in query
            return await read(self, kind, query, **options)

        return look

    def since() -> int:
        nonlocal count
        found, count = count, 0
        return found

    monkeypatch.setattr(Store, "find", counted(Store.find))
    monkeypatch.setattr(UnitOfWork, "documents", counted(UnitOfWork.documents))  # a booking looks in its own
    return since


def _stating(uhid: str = OTHER_UHID, **more: Any) -> dict[str, Any]:
    return {"type": "Patient", "identifier": {"system": DEFAULT_SYSTEMS.uhid, "value": uhid}} | more


def _with(*actors: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"actor": actor, "status": "accepted"} for actor in actors]


async def _shown(api: Api, ident: str) -> tuple[Any, Any]:
    item = (await api.get(f"{PATH}{ident}/")).json()
    [listed] = [one for one in (await api.get(PATH)).json()["results"] if one["id"] == ident]
    assert listed == item
    return item["patient_uhid"], item["patient_name"]


async def test_the_name_is_there_as_soon_as_the_patient_is(api: Api, store: Store) -> None:
    made = (await api.post(PATH, booking(patient_uhid=OTHER_UHID))).json()
    assert (made["patient_uhid"], made["patient_name"]) == (OTHER_UHID, None)
    assert await _shown(api, made["id"]) == (OTHER_UHID, None)
    for name in (OTHER_NAME, "Mary Married"):
        await put(store, patient("late1", OTHER_UHID, name))
        assert await _shown(api, made["id"]) == (OTHER_UHID, name)
        [mine] = (await api.get(f"{PATH}by-patient/?patient_uhid={OTHER_UHID}")).json()["results"]
        assert mine == (await api.get(f"{PATH}{made['id']}/")).json()
    done = (await api.post(action_path(made["id"], "arrived"))).json()
    assert (done["patient_uhid"], done["patient_name"]) == (OTHER_UHID, "Mary Married")
    assert "reference" not in (await stored(store, "Appointment", made["id"]))["participant"][0]["actor"]


async def test_the_present_name_goes_before_the_one_that_was_written(api: Api, store: Store) -> None:
    await put(store, appointment("x", participant=_with(_stating(display="M. N."))))
    assert await _shown(api, "x") == (OTHER_UHID, "M. N.")
    await put(store, patient("mary", OTHER_UHID, OTHER_NAME))
    assert await _shown(api, "x") == (OTHER_UHID, OTHER_NAME)


async def test_a_uhid_of_two_patients_does_not_say_whom(api: Api, store: Store) -> None:
    await put(
        store,
        patient("mary", OTHER_UHID, OTHER_NAME),
        patient("twin", OTHER_UHID, "Somebody Else"),
        appointment("x", "cancelled", participant=_with(_stating())),
        appointment("linked", "cancelled", participant=with_actors("Patient/mary")),
    )
    assert await _shown(api, "x") == (OTHER_UHID, None)
    assert await _shown(api, "linked") == (OTHER_UHID, OTHER_NAME)
    by_patient = (await api.get(f"{PATH}by-patient/?patient_uhid={OTHER_UHID}")).json()["results"]
    assert {one["id"]: one["patient_name"] for one in by_patient} == {"x": None, "linked": OTHER_NAME}
    made = (await api.post(PATH, booking(patient_uhid=OTHER_UHID))).json()
    assert (made["patient_uhid"], made["patient_name"]) == (OTHER_UHID, None)
    actor = (await stored(store, "Appointment", made["id"]))["participant"][0]["actor"]
    assert actor.keys() == {"identifier", "type"}


async def test_one_patient_with_the_same_uhid_twice_is_one(api: Api, store: Store) -> None:
    mary = patient("mary", OTHER_UHID, OTHER_NAME)
    await put(store, mary | {"identifier": 2 * mary["identifier"]}, appointment("x", participant=_with(_stating())))
    assert await _shown(api, "x") == (OTHER_UHID, OTHER_NAME)


async def test_whoever_else_carries_such_an_identifier_is_no_patient(api: Api, store: Store) -> None:
    doctor = _stating() | {"type": "Practitioner", "display": "Dr. Mary"}
    await put(store, patient("mary", OTHER_UHID, OTHER_NAME), appointment("x", participant=_with(doctor)))
    item = (await api.get(f"{PATH}x/")).json()
    assert (item["patient_uhid"], item["patient_name"]) == (None, None)
    assert (item["practitioner_id"], item["practitioner_name"]) == (None, "Dr. Mary")


async def test_of_a_group_whom_is_asked_for_has_the_name(api: Api, store: Store) -> None:
    group = _with(_stating("UG000000009Z"), _stating())
    await put(store, patient("mary", OTHER_UHID, OTHER_NAME), appointment("x", participant=group))
    assert await _shown(api, "x") == ("UG000000009Z", None)
    [mine] = (await api.get(f"{PATH}?patient_uhid={OTHER_UHID}")).json()["results"]
    assert (mine["patient_uhid"], mine["patient_name"]) == (OTHER_UHID, OTHER_NAME)


async def test_patients_are_looked_for_once_for_a_page_and_never_where_all_are_referred_to(
    api: Api, store: Store, looks: Asked
) -> None:
    by_both = appointment("x")["participant"]
    contained = [{"resourceType": "Patient", "id": "p", "identifier": [_stating()["identifier"]]}]
    await put(
        store,
        appointment("both", "cancelled", participant=by_both),
        appointment("reference", "cancelled", participant=with_actors("Patient/john")),
        appointment("inside", "cancelled", participant=with_actors("#p"), contained=contained),
        appointment("nobody", "cancelled", participant=_with({"reference": f"Practitioner/{SARAH}"})),
    )
    assert len(ids(await api.get(PATH))) == 4
    assert looks() == 0
    await put(
        store,
        *(
            appointment(f"n{number}", "cancelled", participant=_with(_stating(f"UG00000000{number}A")))
            for number in range(9)
        ),
        *(patient(f"p{number}", f"UG00000000{number}A", f"Name {number}") for number in range(9)),
    )
    listed = (await api.get(PATH)).json()["results"]
    assert looks() == 1
    names = {one["id"]: one["patient_name"] for one in listed}
    assert names == {"both": NAME, "reference": NAME, "inside": None, "nobody": None} | {
        f"n{number}": f"Name {number}" for number in range(9)
    }
    await api.get(f"{PATH}by-patient/?patient_uhid=UG000000001A")
    assert looks() == 1
    await api.post(PATH, booking(patient_uhid=OTHER_UHID))
    assert looks() == 1
    await api.post(PATH, booking(practitioner_id=JAMES))
    assert looks() == 1


async def test_the_look_up_goes_through_the_index_of_identifiers(api: Api, store: Store) -> None:
    await put(store, *(patient(f"p{number}", f"UG00000000{number}A", "N") for number in range(10)))
    who = Caller(Key("k", "k", "test", everything(), None, store.now(), None, "hint", "k"), api.service, store)
    query = directory.patient_query(who, ["UG000000001A", "UG000000002A", OTHER_UHID])
    did = await explain(store, "Patient", query, hint=directory.BY_IDENTIFIER)
    assert "COLLSCAN" not in str(did["queryPlanner"]["winningPlan"])
    assert did["executionStats"]["totalDocsExamined"] == did["executionStats"]["nReturned"] == 2
    assert did["executionStats"]["totalKeysExamined"] <= 6


def _carrying(ident: str, name: str, **uses: str) -> dict[str, Any]:
    """A Patient with UHIDs, in the order given, each with its ``Identifier.use``."""
    carried = [{"system": DEFAULT_SYSTEMS.uhid, "value": uhid, "use": use} for uhid, use in uses.items()]
    return patient(ident, "", name) | {"identifier": carried}


async def test_a_uhid_of_earlier_days_finds_the_visit_and_the_present_one_is_shown(api: Api, store: Store) -> None:
    await put(store, _carrying("mary", OTHER_NAME, UG000000001A=OLD, UG000000002B="official"))
    made = [(await api.post(PATH, booking(patient_uhid="UG000000001A"))).json()]
    made.append((await api.post(PATH, booking(patient_uhid="UG000000002B", practitioner_id=JAMES))).json())
    for one in made:
        assert (one["patient_uhid"], one["patient_name"]) == ("UG000000002B", OTHER_NAME)
        assert await _shown(api, one["id"]) == ("UG000000002B", OTHER_NAME)
    for uhid in ("UG000000001A", "UG000000002B"):
        found = await api.get(f"{PATH}by-patient/?patient_uhid={uhid}")
        assert sorted(ids(found)) == sorted(one["id"] for one in made)


@pytest.mark.parametrize("of_yore", [("mary", "zoe"), ("zoe", "mary")])
async def test_who_has_a_uhid_now_goes_before_who_had_it(api: Api, store: Store, of_yore: tuple[str, str]) -> None:
    now, once = of_yore
    await put(
        store,
        _carrying(now, OTHER_NAME, UG987654321B="official"),
        _carrying(once, "Somebody Else", UG987654321B=OLD, UG000000002B="official"),
        appointment("x", "cancelled", participant=_with(_stating())),
    )
    made = (await api.post(PATH, booking(patient_uhid=OTHER_UHID))).json()
    for ident in (made["id"], "x"):
        assert await _shown(api, ident) == (OTHER_UHID, OTHER_NAME)
    actor = (await stored(store, "Appointment", made["id"]))["participant"][0]["actor"]
    assert actor["reference"] == f"Patient/{now}"


async def test_a_uhid_that_two_had_does_not_say_whom(api: Api, store: Store) -> None:
    await put(
        store,
        _carrying("mary", OTHER_NAME, UG987654321B=OLD),
        _carrying("zoe", "Somebody Else", UG987654321B=OLD, UG000000002B="official"),
    )
    made = (await api.post(PATH, booking(patient_uhid=OTHER_UHID))).json()
    assert (made["patient_uhid"], made["patient_name"]) == (OTHER_UHID, None)


async def test_a_visit_is_found_by_each_uhid_that_means_its_patient(api: Api, store: Store) -> None:
    """Booked by one before the Patient was stored: it is theirs by the others too, as it is shown."""
    await put(store, appointment("x", "cancelled", participant=_with(_stating("UG000000001A"))))
    group = _with(_stating("UG000000009Z", display="Zoe"), _stating(" ug000000001a"))
    await put(store, appointment("y", "cancelled", participant=group))
    for use in (OLD, "usual"):
        await put(store, _carrying("late", OTHER_NAME, UG000000001A=use, UG000000002B="official"))
        for uhid in ("UG000000001A", "UG000000002B"):
            listed = (await api.get(f"{PATH}by-patient/?patient_uhid={uhid}")).json()
            assert listed["total"] == 2
            shown = [(one["id"], one["patient_uhid"], one["patient_name"]) for one in listed["results"]]
            assert shown == [("x", uhid, OTHER_NAME), ("y", uhid, OTHER_NAME)]


async def test_a_further_uhid_finds_only_what_means_that_patient(api: Api, store: Store) -> None:
    """Not what leads to somebody else, or nowhere, nor what two may be meant by."""
    inside = {"resourceType": "Patient", "id": "p", "identifier": [_stating("UG000000001A")["identifier"]]}
    await put(
        store,
        _carrying("late", OTHER_NAME, UG000000001A=OLD, UG000000002B="official", UG000000003C=OLD),
        _carrying("twin", "Somebody Else", UG000000003C=OLD),
        appointment("of-another", "cancelled", participant=_with(_stating("UG000000001A", reference="Patient/john"))),
        appointment(
            "far", "cancelled", participant=_with(_stating("UG000000001A", reference="https://x.co/Patient/1"))
        ),
        appointment("inside", "cancelled", participant=with_actors("#p"), contained=[inside]),
        appointment("unclear", "cancelled", participant=_with(_stating("UG000000003C"))),
        appointment("theirs", "cancelled", participant=_with(_stating("UG000000001A"))),
    )
    assert ids(await api.get(f"{PATH}by-patient/?patient_uhid=UG000000002B")) == ["theirs"]


async def test_a_further_uhid_finds_only_patients_who_state_it(api: Api, store: Store) -> None:
    """Not somebody else who carries it alone, beside a patient of whom it is no more than the index says."""
    inside = {"resourceType": "Patient", "id": "p", "identifier": [_stating("UG000000001A")["identifier"]]}
    relative = _stating("UG000000001A", type="RelatedPerson")
    spelt_out = _stating("UG000000001A", type="http://hl7.org/fhir/StructureDefinition/Patient")
    untold = {"identifier": _stating("UG000000001A")["identifier"]}
    await put(
        store,
        _carrying("late", OTHER_NAME, UG000000001A=OLD, UG000000002B="official"),
        appointment("beside", "cancelled", participant=_with({"reference": "#p"}, relative), contained=[inside]),
        appointment("spelt-out", "cancelled", participant=_with(spelt_out)),
        appointment("untold", "cancelled", participant=_with(untold)),
    )
    assert ids(await api.get(f"{PATH}by-patient/?patient_uhid=UG000000002B")) == ["spelt-out", "untold"]


async def test_a_list_by_uhid_shows_nobody_to_whom_nothing_leads(api: Api, store: Store) -> None:
    """Of the first patient's UHID two Patients have one each, of whom the list has read the one."""
    await put(
        store,
        _carrying("amb3", "Third", UG000000001A="official", UG000000002B=OLD),
        _carrying("amb4", "Fourth", UG000000002B="official"),
        _carrying("amb5", "Fifth", UG000000001A="official"),
        appointment("x", participant=_with(_stating("UG000000001A", display="first"), _stating("UG000000002B"))),
    )
    assert await _shown(api, "x") == ("UG000000001A", "first")
    [found] = (await api.get(f"{PATH}?patient_uhid=UG000000002B")).json()["results"]
    assert (found["patient_uhid"], found["patient_name"]) == ("UG000000002B", "Fourth")


async def test_who_has_several_uhids_is_looked_for_once_more(api: Api, store: Store, looks: Asked) -> None:
    await put(
        store,
        _carrying("late", OTHER_NAME, **{f"UG00000000{number}A": "usual" for number in range(9)}),
        *(
            appointment(f"n{number}", "cancelled", participant=_with(_stating(f"UG00000000{number}A")))
            for number in range(9)
        ),
    )
    assert len(ids(await api.get(f"{PATH}?patient_uhid=UG000000001A"))) == 9
    assert looks() == 2
