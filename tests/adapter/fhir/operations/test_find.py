"""``$find``: who and what is free, by whatever names it is asked for, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling import availability
from store.reading import Moment
from tests.adapter.fhir.door import HOST, Json, bundled, call, get, link, made, names, outcome
from tests.adapter.fhir.operations.calling import (
    ANYBODY,
    END,
    SERVICE,
    START,
    clinic,
    find,
    first,
    only,
    operate,
    parameters,
    refused,
    status_of,
)
from tests.adapter.mediloop.clinic import (
    JAMES,
    MULAGO,
    SARAH,
    appointment,
    booking,
    concept,
    location,
    practitioner,
    put,
    schedule,
    slot,
    with_actors,
)
from tests.adapter.scheduling.weekly import available, open_on, weekly
from tests.adapter.scheduling.weekly import parameters as minutes
from tests.conftest import Api, ApiMaker, ServiceMaker
from tests.store.support import explain

__all__ = ["clinic"]


async def test_find_proposes_what_is_free(api: Api) -> None:
    found = await find(api, practitioner={"reference": f"Practitioner/{SARAH}"})
    assert (found["type"], found["total"], len(found["entry"])) == ("searchset", 3, 3)
    proposed = found["entry"][0]["resource"]
    assert proposed["status"] == "proposed"
    assert (proposed["start"], proposed["end"]) == ("2024-01-20T10:00:00Z", "2024-01-20T10:30:00Z")
    assert proposed["requestedPeriod"] == [{"start": START, "end": END}]
    assert proposed["slot"] == [{"reference": "Slot/s1"}]
    assert proposed["specialty"] == concept(SERVICE, "394579002")
    assert {(one["required"], one["status"]) for one in proposed["participant"]} == {("required", "needs-action")}
    again = await get(api, f"Appointment/{proposed['id']}")
    assert (again.status_code, again.json()) == (200, proposed)
    assert bundled(await get(api, "Appointment"))["total"] == 0, "it is no part of the record"


async def test_find_honours_its_count_and_tells_the_total(api: Api) -> None:
    found = await find(api, _count=2)
    assert (found["total"], len(found["entry"])) == (6, 2)
    sent = parameters(start=START, end=END)
    by_query = bundled(await call(api, "POST", "Appointment/$find?_count=1", sent))
    assert (by_query["total"], len(by_query["entry"])) == (6, 1)
    for long in ("0" * 5_000 + "2", "9" * 5_000):
        told = bundled(await get(api, f"Appointment/$find?start={START}&end={END}&_count={long}"))
        assert len(told["entry"]) == min(int(long[-4:]), 6)
    none = await find(api, _count=0)
    assert (none["total"], names(none)) == (6, ["OperationOutcome/"])


async def test_find_by_get_as_argonaut_allows(api: Api) -> None:
    found = bundled(await get(api, f"Appointment/$find?start={START}&end={END}&provider={JAMES}"))
    assert found["total"] == 2
    by_day = bundled(await get(api, f"Appointment/$find?start=2024-01-20&end=2024-01-20&provider={JAMES}"))
    assert by_day["total"] == 2


@pytest.mark.parametrize("path", ["Appointment/$find", "Slot/$prefetch", "Slot/$find"])
async def test_the_link_self_of_what_was_asked_by_get_asks_the_same(api: Api, path: str) -> None:
    asked = f"{path}?start={START}&end={END}&_format=json"
    own = link(bundled(await get(api, asked)), "self")
    assert own == f"{HOST}/{asked}"
    assert link(bundled(await get(api, own)), "self") == own


async def test_find_looks_at_both_of_an_hour_that_comes_twice(make_service: ServiceMaker, make_api: ApiMaker) -> None:
    api = await make_api(make_service(timezone="America/New_York"))
    await put(
        api.service.stores["test"],
        slot("first", "2027-11-07T05:00", "2027-11-07T05:30"),
        slot("second", "2027-11-07T06:00", "2027-11-07T06:30"),
        slot("later", "2027-11-07T07:00", "2027-11-07T07:30"),
    )
    asked = f"Appointment/$find?provider={SARAH}&start=2027-11-07T01:00:00&end=2027-11-07T"
    assert bundled(await get(api, f"{asked}01:59:00"))["total"] == 2
    assert bundled(await get(api, f"{asked}02:00:00"))["total"] == 2


@pytest.mark.parametrize(
    "given",
    [
        {"practitioner": f"Practitioner/{JAMES}"},
        {"practitioner": JAMES},
        {"provider": f"{HOST}/Practitioner/{JAMES}"},
        {"practitioner": {"reference": f"Practitioner/{JAMES}"}},
    ],
)
async def test_find_reads_references_of_all_kinds(api: Api, given: Json) -> None:
    assert (await find(api, **given))["total"] == 2


async def test_find_by_epics_names(api: Api) -> None:
    sent = parameters(startTime=START, endTime=END, service_type={"coding": [{"system": "x", "code": "y"}]})
    assert bundled(await call(api, "POST", "Appointment/$find", sent))["total"] == 0


async def test_find_joins_kinds_with_and_and_repeats_with_or(api: Api) -> None:
    both = [{"reference": f"Practitioner/{JAMES}"}, {"reference": f"Practitioner/{SARAH}"}]
    found = await find(api, practitioner=both)
    slots = [one["resource"]["slot"][0]["reference"] for one in found["entry"]]
    assert slots == ["Slot/j1", "Slot/s1", "Slot/s2", "Slot/j2", "Slot/s3"], "of equal times the preferred one first"
    here = await find(api, practitioner=both, specialty=f"{SERVICE}|394579002")
    assert here["total"] == 3
    assert (await find(api, location_string="kampala"))["total"] == 3
    assert (await find(api, location_reference={"reference": "Location/room"}))["total"] == 1
    token = {"identifier": {"system": "urn:nobody", "value": "1"}}
    assert (await find(api, practitioner=token))["total"] == 0


async def test_find_puts_practitioner_and_room_together(api: Api) -> None:
    james, room = {"reference": f"Practitioner/{JAMES}"}, {"reference": "Location/room"}
    found = await find(api, practitioner=james, location_reference=room)
    assert found["total"] == 1, "at eleven the room is not free"
    [proposed] = [one["resource"] for one in found["entry"]]
    assert [one["reference"] for one in proposed["slot"]] == ["Slot/j1", "Slot/r1"]
    booked = only(await operate(api, "$book", appointment_reference=f"Appointment/{proposed['id']}", patient=ANYBODY))
    assert booked["status"] == "booked"
    assert await status_of(api, "j1", "r1") == ["busy", "busy"]
    await operate(api, f"{booked['id']}/$cancel")
    assert await status_of(api, "j1", "r1") == ["free", "free"]


async def test_several_or_none(api: Api) -> None:
    james, room = {"reference": f"Practitioner/{JAMES}"}, {"reference": "Location/room"}
    ident = await first(api, practitioner=james, location_reference=room)
    await made(api, slot("r1", "2024-01-20T10:00", "2024-01-20T11:00", of="room", status="busy-unavailable"))
    refused(
        await operate(api, "$book", appointment_reference=f"Appointment/{ident}", patient=ANYBODY),
        409,
        "slot_unavailable",
    )
    assert await status_of(api, "j1", "r1") == ["free", "busy-unavailable"]


async def test_find_at_a_place_without_a_schedule(api: Api) -> None:
    await made(api, location("ward", "Ward"))
    james = {"reference": f"Practitioner/{JAMES}"}
    found = await find(api, practitioner=james, location_reference={"reference": "Location/ward"})
    assert found["total"] == 2
    actors = [one["actor"]["reference"] for one in found["entry"][0]["resource"]["participant"]]
    assert actors == [f"Practitioner/{JAMES}", "Location/ward"]


async def test_find_joins_slots_for_a_longer_visit(api: Api) -> None:
    found = await find(api, practitioner={"reference": f"Practitioner/{SARAH}"}, duration=60)
    assert found["total"] == 1
    proposed = found["entry"][0]["resource"]
    assert [one["reference"] for one in proposed["slot"]] == ["Slot/s1", "Slot/s2"]
    assert (proposed["end"], proposed["minutesDuration"]) == ("2024-01-20T11:00:00Z", 60)
    only(await operate(api, "$book", appointment_reference=f"Appointment/{proposed['id']}", patient=ANYBODY))
    assert await status_of(api, "s1", "s2") == ["busy", "busy"]


async def test_find_joins_whichever_slots_make_the_visit_long_enough(api: Api) -> None:
    """Of two that begin together the first may be the one that nothing follows."""
    await put(
        api.service.stores["test"],
        slot("a-short", "2024-01-20T10:30", "2024-01-20T10:40"),
        slot("z-long", "2024-01-20T10:30", "2024-01-20T11:30"),
        slot("a-on", "2024-01-20T10:40", "2024-01-20T10:50"),
    )
    found = await find(api, practitioner={"reference": f"Practitioner/{SARAH}"}, duration=90)
    [proposed] = [one["resource"] for one in found["entry"]]
    assert [one["reference"] for one in proposed["slot"]] == ["Slot/s1", "Slot/z-long"]
    only(await operate(api, "$book", appointment_reference=f"Appointment/{proposed['id']}", patient=ANYBODY))


async def test_find_leaves_out_when_the_patient_is_elsewhere(api: Api) -> None:
    await made(api, {**appointment("other", slot=[{"reference": "Slot/s1"}])})
    found = await find(api, patient_reference={"reference": "Patient/john"})
    starts = {one["resource"]["start"] for one in found["entry"]}
    assert starts == {"2024-01-20T10:30:00Z", "2024-01-20T11:00:00Z", "2024-01-20T12:00:00Z"}


async def test_find_goes_by_the_id_of_who_is_named_by_another_address(api: Api) -> None:
    """As who decides does: the address may be one of ours, which nobody has told the service."""
    abroad = "https://other.example/fhir"
    role = {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": f"{abroad}/Practitioner/q"}}
    await put(api.service.stores["test"], role, schedule("james", f"{abroad}/PractitionerRole/role"))
    await made(api, appointment("there", start="2024-01-20T11:00", participant=with_actors(f"{abroad}/Patient/john")))
    q, john = {"reference": "Practitioner/q"}, {"reference": "Patient/john"}
    assert (await find(api, practitioner=q))["total"] == 2
    [proposed] = (await find(api, practitioner=q, patient_reference=john))["entry"]
    assert proposed["resource"]["slot"] == [{"reference": "Slot/j1"}]


async def test_what_find_asks_at_whatever_address_it_finds_by_an_index(api: Api, monkeypatch: Any) -> None:
    store = api.service.stores["test"]
    asked: list[tuple[str, Any]] = []
    for read in ("find", "keys"):
        real = getattr(Moment, read)

        def noted(self: Moment, kind: str, query: Any, real: Any = real, **options: Any) -> Any:
            asked.append((kind, query))
            return real(self, kind, query, **options)

        monkeypatch.setattr(Moment, read, noted)
    sarah, john = {"reference": f"Practitioner/{SARAH}"}, {"reference": "Patient/john"}
    await find(api, practitioner=sarah, patient_reference=john, location_reference={"reference": f"Location/{MULAGO}"})
    monkeypatch.undo()
    named = [(kind, query) for kind, query in asked if ":named" in str(query)]
    assert {kind for kind, _ in named} == {"PractitionerRole", "Schedule", "Appointment"}
    for kind, query in named:
        plan = await explain(store, kind, query)
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"]), (kind, query)


async def test_who_is_engaged_elsewhere_is_offered_by_no_door(api: Api) -> None:
    await put(
        api.service.stores["test"],
        schedule("kla", f"Practitioner/{SARAH}", "Location/room"),
        slot("k1", "2024-01-20T10:00", "2024-01-20T10:30", of="kla"),
        slot("k2", "2024-01-20T11:30", "2024-01-20T12:00", of="kla"),
    )
    sarahs = parameters(start=START, end=END, practitioner={"reference": f"Practitioner/{SARAH}"})

    async def shown() -> list[list[str]]:
        availability = "/api/v1/appointments/availability/?date_from=2024-01-20&date_to=2024-01-20"
        found = [await api.get(f"{availability}{more}") for more in ("", f"&practitioner_id={SARAH}")]
        doors = [[one["id"] for one in answer.json()["results"]] for answer in found]
        free = bundled(await call(api, "POST", "Slot/$prefetch", sarahs))
        doors.append([name.removeprefix("Slot/") for name in names(free)])
        proposed = bundled(await call(api, "POST", "Appointment/$find", sarahs))["entry"]
        doors.append([one["resource"]["slot"][0]["reference"].removeprefix("Slot/") for one in proposed])
        return [[ident for ident in door if ident[0] in "sk"] for door in doors]

    assert await shown() == [["k1", "s1", "s2", "k2", "s3"]] * 4
    assert (await api.post("/api/v1/appointments/", json=booking(slot_id="k1"))).status_code == 201
    assert await shown() == [["s2", "k2", "s3"]] * 4


async def test_find_nothing_says_so(api: Api) -> None:
    found = await find(api, practitioner="nobody")
    [entry] = found["entry"]
    assert (found["total"], entry["search"]["mode"]) == (0, "outcome")
    assert entry["resource"]["issue"][0]["severity"] == "information"


async def test_find_refuses_what_it_cannot_read(api: Api) -> None:
    for body in (
        parameters(),
        parameters(start=START),
        parameters(start="soon", end=END),
        parameters(start=END, end=START),
        parameters(start=START, end=END, nobody="x"),
        parameters(start=START, end=END, practitioner={"reference": "Patient/john"}),
        parameters(start=START, end=END, _count="many"),
        parameters(start=START, end=END, duration=0),
        parameters(start=[START, START], end=END),
        parameters(start=3, end=END),
        parameters(start=START, end=END, location_string=["Mulago", 3]),
        parameters(start=START, end=END, location_string={"reference": f"Location/{MULAGO}"}),
        parameters(start=START, end=END, reason="|"),
        parameters(start=START, end=END, specialty=f"{SERVICE}|"),
        {"resourceType": "Patient"},
    ):
        answer = await call(api, "POST", "Appointment/$find", body)
        assert answer.status_code == 400, (body, answer.text)
        assert answer.json()["resourceType"] == "OperationOutcome"
    outcome(await call(api, "POST", "Appointment/$find", parameters()), 400, "required", "required")


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"name": "duration", "valueInteger": 44_640}, 200),
        ({"name": "duration", "valueInteger": 44_641}, 400),
        ({"name": "timing", "valueTiming": {"repeat": {"duration": 31, "durationUnit": "d"}}}, 200),
        ({"name": "timing", "valueTiming": {"repeat": {"duration": 31.01, "durationUnit": "d"}}}, 400),
        ({"name": "timing", "valueTiming": {"repeat": {"duration": 1e30, "durationUnit": "d"}}}, 400),
        ({"name": "timing", "valueString": "half an hour"}, 400),
    ],
)
async def test_no_visit_is_proposed_that_nobody_may_book(api: Api, given: Json, status: int) -> None:
    await made(api, weekly("always", available(open_on("", "00:00", "00:00")), minutes(duration=1_440)))
    sent = parameters(start="2024-03-01", end="2024-05-01", practitioner="p")
    sent["parameter"].append(given)
    answer = await call(api, "POST", "Appointment/$find", sent)
    if status == 400:
        assert given["name"] in outcome(answer, 400, "value")["diagnostics"]
    else:
        [*_, longest] = [one["resource"] for one in bundled(answer)["entry"]]
        assert only(await operate(api, f"{longest['id']}/$book", patient=ANYBODY))["minutesDuration"] == 44_640


async def test_what_would_take_too_long_to_compute_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "MOST_COMPUTED", 1_000)
    await made(api, weekly(actors=("Practitioner/weekly",)))
    asked = "start=2024-01-01&practitioner=weekly&_count=1"
    assert bundled(await get(api, f"Appointment/$find?{asked}&end=2024-05-01"))["total"] == 122 * 6
    for operation in ("Appointment/$find", "Slot/$prefetch"):
        outcome(await get(api, f"{operation}?{asked}&end=2024-12-31"), 400, "too-costly")


async def test_find_by_organization_role_and_timing(api: Api) -> None:
    await made(api, {"resourceType": "Organization", "id": "clinic", "name": "Clinic"})
    role = {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": f"Practitioner/{JAMES}"}}
    await made(api, role | {"organization": {"reference": "Organization/clinic"}})
    assert (await find(api, organization={"reference": "Organization/clinic"}))["total"] == 2
    assert (await find(api, organization={"identifier": {"value": "none"}}))["total"] == 0
    sent = parameters(start=START, end=END, reason="urn:x|ill", insurance_reference={"reference": "InsurancePlan/1"})
    timing = {"name": "timing", "valueTiming": {"repeat": {"duration": 1, "durationUnit": "h"}}}
    referral = {"name": "referral-identifier", "valueIdentifier": {"system": "urn:r", "value": "7"}}
    sent["parameter"] += [timing, referral]
    found = bundled(await call(api, "POST", "Appointment/$find", sent))
    proposed = found["entry"][0]["resource"]
    assert proposed["minutesDuration"] == 60
    assert proposed["reasonCode"] == [{"coding": [{"system": "urn:x", "code": "ill"}]}]
    assert proposed["basedOn"] == [{"type": "ServiceRequest", "identifier": {"system": "urn:r", "value": "7"}}]
    assert proposed["supportingInformation"] == [{"reference": "InsurancePlan/1"}]


async def test_computed_openings_are_proposed_held_booked_and_moved(api: Api) -> None:
    base = "https://mediloop.co/fhir/StructureDefinition"
    hours = [
        {"url": "daysOfWeek", "valueCode": "sat"},
        {"url": "availableStartTime", "valueTime": "09:00:00"},
        {"url": "availableEndTime", "valueTime": "11:00:00"},
    ]
    extensions = [
        {"url": f"{base}/availability", "extension": [{"url": "availableTime", "extension": hours}]},
        {
            "url": f"{base}/scheduling-parameters",
            "extension": [{"url": "duration", "valuePositiveInt": 30}],
        },
    ]
    await made(api, practitioner("weekly", "Dr. Weekly"))
    await made(api, schedule("weekly", "Practitioner/weekly", extension=extensions))
    found = await find(api, practitioner="weekly")
    assert found["total"] == 4
    ident = found["entry"][0]["resource"]["id"]
    last = found["entry"][3]["resource"]["slot"][0]["reference"]
    held = only(await operate(api, f"{ident}/$hold"))
    name = held["slot"][0]["reference"].partition("/")[2]
    assert await status_of(api, name) == ["busy-tentative"]
    assert (await find(api, practitioner="weekly"))["total"] == 3
    only(await operate(api, f"{ident}/$book", patient=ANYBODY))
    moved = only(await operate(api, f"{ident}/$reschedule", slot=last))
    assert (moved["start"], moved["slot"]) == ("2024-01-20T10:30:00Z", [{"reference": last}])
    assert (await find(api, practitioner="weekly"))["total"] == 3
    only(await operate(api, f"{ident}/$reschedule", start="2024-01-20T09:30:00Z"))
    assert {one["resource"]["start"][11:16] for one in (await find(api, practitioner="weekly"))["entry"]} == {
        "09:00",
        "10:00",
        "10:30",
    }


async def test_who_or_what_is_named_is_not_looked_into(api: Api, make_api: ApiMaker) -> None:
    reader: Api = await make_api(api.service, granted=["appointments:read", "slots:read"])
    assert (await find(reader, location_reference=MULAGO))["total"] == 3
    assert (await find(reader, practitioner=SARAH))["total"] == (await find(api, practitioner=SARAH))["total"] > 0


async def test_what_is_proposed_of_a_slot_between_two_seconds_can_be_booked(api: Api) -> None:
    half = {"start": "2024-01-20T15:00:00.500Z", "end": "2024-01-20T15:30:00.500Z"}
    await put(api.service.stores["test"], slot("half", "2024-01-20T15:00", "2024-01-20T15:30") | half)
    found = await find(api, practitioner={"reference": f"Practitioner/{SARAH}"}, patient_reference="Patient/john")
    [proposed] = [one["resource"] for one in found["entry"] if one["resource"]["slot"] == [{"reference": "Slot/half"}]]
    assert {name: proposed[name] for name in half} == half
    assert only(await operate(api, f"{proposed['id']}/$book"))["status"] == "booked"
    await made(api, appointment("a", slot=[{"reference": "Slot/s1"}]))
    only(await operate(api, f"{proposed['id']}/$cancel"))
    moved = only(await operate(api, "a/$reschedule", slot="Slot/half"))
    assert {name: moved[name] for name in half} == half


@pytest.mark.parametrize(("start", "end"), [("0900-01-01", "0900-01-02"), ("9999-12-30", "9999-12-31")])
async def test_the_ends_of_the_calendar_are_no_fault_of_ours(api: Api, start: str, end: str) -> None:
    early = {"start": "0900-01-01T10:00:00Z", "end": "0900-01-01T10:30:00Z"}
    await put(
        api.service.stores["test"],
        slot("early", "2024-01-20T15:00", "2024-01-20T15:30") | early,
        weekly("weekly", actors=(f"Practitioner/{SARAH}",)),
    )
    answer = await get(api, f"Appointment/$find?start={start}&end={end}&practitioner=Practitioner/{SARAH}")
    assert answer.status_code == 200, answer.text


async def test_366_whole_days_may_have_an_hour_more(api: Api, make_api: ApiMaker, make_service: ServiceMaker) -> None:
    door = await make_api(make_service(timezone="America/Havana"))
    answer = await get(door, "Appointment/$find?start=2027-11-07&end=2028-11-06&practitioner=Practitioner/x")
    assert answer.status_code == 200, answer.text
