"""Which bookings are refused, and that every reason is named at once."""

from __future__ import annotations

from typing import Any

import pytest

from store.store import Store
from tests.adapter.mediloop.clinic import (
    JAMES,
    KAMPALA,
    MULAGO,
    OTHER_UHID,
    PATH,
    SARAH,
    UHID,
    action_path,
    appointment,
    booking,
    ids,
    location,
    open_clinic,
    practitioner,
    put,
    refused,
    schedule,
    slot,
    slot_status,
    stored,
    with_actors,
)
from tests.conftest import Api, ApiMaker, ServiceMaker

Named = tuple[tuple[str, str | None], ...]


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)
    await put(
        store,
        slot("gone", "2024-01-20T12:00", "2024-01-20T12:30", "entered-in-error"),
        slot("away", "2024-01-20T13:00", "2024-01-20T13:30", "busy-unavailable"),
        slot("tentative", "2024-01-20T14:00", "2024-01-20T14:30", "busy-tentative"),
        schedule("closed", f"Practitioner/{SARAH}", active=False),
        slot("closed", "2024-01-20T15:00", "2024-01-20T15:30", of="closed"),
        schedule("anywhere", f"Practitioner/{JAMES}"),
        slot("anywhere", "2024-02-20T10:00", "2024-02-20T10:30", of="anywhere"),
        schedule("room", f"Location/{MULAGO}"),
        slot("room", "2024-02-21T10:00", "2024-02-21T10:30", of="room"),
        slot("orphan", "2024-02-22T10:00", "2024-02-22T10:30", of="lost"),
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"slot_id": "slot-001"}, (("slot_mismatch", "start_time"),)),
        ({"slot_id": "slot-002", "start_time": "2024-01-20T10:05:00Z"}, (("slot_mismatch", "start_time"),)),
        ({"slot_id": "slot-002", "duration_minutes": 31}, (("slot_mismatch", "duration_minutes"),)),
        ({"slot_id": "slot-002", "end_time": "2024-01-20T10:30:01Z"}, (("slot_mismatch", "end_time"),)),
        ({"slot_id": "slot-002", "practitioner_id": JAMES}, (("slot_mismatch", "practitioner_id"),)),
        ({"slot_id": "slot-002", "facility_id": KAMPALA}, (("slot_mismatch", "facility_id"),)),
        ({"slot_id": "slot-002", "start_time": "2023-11-20T10:00:00Z"}, (("slot_mismatch", "start_time"),)),
        ({"slot_id": "room", "start_time": "2024-02-21T10:00:00Z"}, (("slot_mismatch", "practitioner_id"),)),
        ({"slot_id": "orphan", "start_time": "2024-02-22T10:00:00Z"}, (("slot_mismatch", "practitioner_id"),)),
        ({"slot_id": "nowhere"}, (("unknown_slot", "slot_id"),)),
        ({"slot_id": "gone", "start_time": "2024-01-20T12:00:00Z"}, (("unknown_slot", "slot_id"),)),
        ({"end_time": "2024-01-20T10:00:00Z"}, (("invalid_time", "end_time"),)),
        ({"end_time": "2024-01-20T09:59:59Z"}, (("invalid_time", "end_time"),)),
        ({"end_time": "2024-01-20T12:30:00+03:00"}, (("invalid_time", "end_time"),)),
        (
            {"end_time": "2024-01-20T11:00:00Z", "duration_minutes": 30},
            (("invalid_time", "duration_minutes"),),
        ),
        ({"end_time": "2024-03-20T11:00:00Z"}, (("invalid_time", "end_time"),)),
        ({"practitioner_id": "nobody"}, (("unknown_practitioner", "practitioner_id"),)),
        ({"facility_id": "nowhere"}, (("unknown_facility", "facility_id"),)),
    ],
)
async def test_a_request_that_contradicts_itself_or_the_store_is_422(
    api: Api, store: Store, changes: dict[str, Any], named: Named
) -> None:
    refused(await api.post(PATH, booking(**changes)), 422, *named)
    assert await store.count("Appointment", {}) == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"slot_id": "slot-001", "practitioner_id": JAMES, "facility_id": KAMPALA},
            (("slot_mismatch", "start_time"), ("slot_mismatch", "practitioner_id"), ("slot_mismatch", "facility_id")),
        ),
        (
            {"practitioner_id": "nobody", "facility_id": "nowhere", "end_time": "2024-01-20T09:00:00Z"},
            (
                ("invalid_time", "end_time"),
                ("unknown_practitioner", "practitioner_id"),
                ("unknown_facility", "facility_id"),
            ),
        ),
        (
            {"facility_id": "nowhere", "slot_id": "nowhere", "duration_minutes": 5, "end_time": "2024-01-20T10:15:00Z"},
            (("invalid_time", "duration_minutes"), ("unknown_facility", "facility_id"), ("unknown_slot", "slot_id")),
        ),
        (
            {"slot_id": "away", "start_time": "2024-01-20T13:05:00Z", "end_time": "2024-01-20T12:00:00Z"},
            (("invalid_time", "end_time"), ("slot_mismatch", "start_time")),
        ),
    ],
)
async def test_every_problem_is_named_at_once(api: Api, changes: dict[str, Any], named: Named) -> None:
    refused(await api.post(PATH, booking(**changes)), 422, *named)


async def test_a_clash_that_may_only_follow_from_a_mistake_is_not_named_beside_it(api: Api) -> None:
    wanted = booking(slot_id="away", start_time="2024-01-20T13:00:00Z", end_time="2024-01-20T12:00:00Z")
    refused(await api.post(PATH, wanted), 422, ("invalid_time", "end_time"))


async def test_a_taken_slot_and_a_busy_practitioner_are_both_named_with_what_is_in_the_way(api: Api) -> None:
    made = (await api.post(PATH, booking(slot_id="slot-002"))).json()
    rival = await api.post(PATH, booking(slot_id="slot-002", patient_uhid=OTHER_UHID))
    error = refused(rival, 409, ("slot_unavailable", "slot_id"), ("time_conflict", "start_time"))
    assert error["errors"][0]["slots"] == ["slot-002"]
    assert error["errors"][1]["appointments"] == [made["id"]]


@pytest.mark.parametrize(
    ("slot_id", "start"),
    [
        ("away", "2024-01-20T13:00:00Z"),
        ("tentative", "2024-01-20T14:00:00Z"),
        ("closed", "2024-01-20T15:00:00Z"),
    ],
)
async def test_a_named_slot_must_be_free_and_its_schedule_active(api: Api, slot_id: str, start: str) -> None:
    answer = await api.post(PATH, booking(slot_id=slot_id, start_time=start))
    refused(answer, 409, ("slot_unavailable", "slot_id"))


class TestWithoutANamedSlot:
    async def test_adjacent_free_slots_that_cover_the_time_are_taken_together(self, api: Api, store: Store) -> None:
        made = (await api.post(PATH, booking(duration_minutes=60))).json()
        links = (await stored(store, "Appointment", made["id"]))["slot"]
        assert [link["reference"] for link in links] == ["Slot/slot-002", "Slot/slot-003"]
        assert [await slot_status(store, one) for one in ("slot-001", "slot-002", "slot-003")] == [
            "free",
            "busy",
            "busy",
        ]
        await api.post(action_path(made["id"], "cancel"), {"cancellation_reason_code": "x"})
        assert [await slot_status(store, one) for one in ("slot-002", "slot-003")] == ["free", "free"]

    @pytest.mark.parametrize(
        ("start", "minutes"),
        [("2024-01-20T10:00:00Z", 90), ("2024-01-20T09:15:00Z", 30), ("2024-01-20T13:00:00Z", 30)],
    )
    async def test_where_slots_are_published_and_do_not_cover_the_time_it_is_409(
        self, api: Api, start: str, minutes: int
    ) -> None:
        answer = await api.post(PATH, booking(start_time=start, duration_minutes=minutes))
        refused(answer, 409, ("slot_unavailable", "start_time"))

    async def test_where_none_are_published_the_booking_stands(self, api: Api) -> None:
        assert (await api.post(PATH, booking(start_time="2024-01-21T10:00:00Z"))).status_code == 201

    async def test_slots_of_an_inactive_schedule_or_entered_in_error_are_none(self, api: Api) -> None:
        for start in ("2024-01-20T15:00:00Z", "2024-01-20T12:00:00Z"):
            assert (await api.post(PATH, booking(start_time=start))).status_code == 201

    @pytest.mark.parametrize("start", ["2024-01-21T10:15:00Z", "2024-01-21T09:45:00Z", "2024-01-21T10:00:00Z"])
    async def test_where_none_are_published_an_overlap_is_409(self, api: Api, start: str) -> None:
        await api.post(PATH, booking(start_time="2024-01-21T10:00:00Z"))
        answer = await api.post(PATH, booking(start_time=start, patient_uhid=OTHER_UHID))
        refused(answer, 409, ("time_conflict", "start_time"))

    @pytest.mark.parametrize("start", ["2024-01-21T10:30:00Z", "2024-01-21T09:30:00Z"])
    async def test_visits_that_only_touch_do_not_overlap(self, api: Api, start: str) -> None:
        await api.post(PATH, booking(start_time="2024-01-21T10:00:00Z"))
        assert (await api.post(PATH, booking(start_time=start))).status_code == 201

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            ("proposed", 201),
            ("waitlist", 201),
            ("pending", 409),
            ("booked", 409),
            ("arrived", 409),
            ("checked-in", 409),
            ("fulfilled", 409),
            ("cancelled", 201),
            ("noshow", 201),
            ("entered-in-error", 201),
        ],
    )
    async def test_only_what_holds_time_is_in_the_way(self, api: Api, store: Store, status: str, expected: int) -> None:
        await put(store, appointment("other", status, "2024-01-21T10:00"))
        answer = await api.post(PATH, booking(start_time="2024-01-21T10:00:00Z"))
        assert answer.status_code == expected

    async def test_a_slot_at_another_facility_does_not_serve(self, api: Api) -> None:
        refused(await api.post(PATH, booking(facility_id=KAMPALA)), 409, ("slot_unavailable", "start_time"))


class TestLastMoment:
    """What the answer tells must be a time that requests can name, the end that follows from the start among them."""

    LAST = "2999-12-31T23:30:00Z"

    @pytest.mark.parametrize("length", [{}, {"duration_minutes": 60}, {"slot_id": "last"}])
    async def test_a_visit_that_would_end_after_it_is_refused(
        self, api: Api, store: Store, length: dict[str, Any]
    ) -> None:
        if "slot_id" in length:
            await put(store, slot("last", "2999-12-31T23:30", "3000-01-01T00:00"))
        error = refused(
            await api.post(PATH, booking(start_time=self.LAST, **length)), 422, ("invalid_time", "start_time")
        )
        assert error["message"] == "The appointment would end too late: give a year from 1900 to 2999, in UTC."
        assert await store.count("Appointment", {}) == 0

    async def test_one_that_ends_before_it_can_be_moved_to_its_own_time(self, api: Api) -> None:
        made = (await api.post(PATH, booking(start_time=self.LAST, duration_minutes=29))).json()
        times = {"new_start_time": made["start_time"], "new_end_time": made["end_time"]}
        assert (await api.post(action_path(made["id"], "reschedule"), times)).status_code == 200
        later = {"new_start_time": "2999-12-31T23:31:00Z"}
        refused(await api.post(action_path(made["id"], "reschedule"), later), 422, ("invalid_time", "new_start_time"))


class TestBeside:
    @pytest.mark.parametrize("kind", ["EMERGENCY", "WALKIN"])
    async def test_it_stands_beside_others_and_takes_no_slot(self, api: Api, store: Store, kind: str) -> None:
        await api.post(PATH, booking())
        for start in ("2024-01-20T10:00:00Z", "2024-01-20T09:00:00Z"):
            made = await api.post(PATH, booking(appointment_type_code=kind, start_time=start))
            assert made.status_code == 201
            assert "slot" not in await stored(store, "Appointment", made.json()["id"])
        assert await slot_status(store, "slot-001") == "free"

    @pytest.mark.parametrize("kind", ["EMERGENCY", "WALKIN"])
    async def test_it_does_not_keep_others_out(self, api: Api, kind: str) -> None:
        await api.post(PATH, booking(appointment_type_code=kind))
        assert (await api.post(PATH, booking())).status_code == 201

    async def test_it_takes_the_slot_that_is_named_if_that_is_free(self, api: Api, store: Store) -> None:
        wanted = booking(appointment_type_code="WALKIN", slot_id="slot-002")
        assert (await api.post(PATH, wanted)).status_code == 201
        assert await slot_status(store, "slot-002") == "busy"
        refused(await api.post(PATH, wanted), 409, ("slot_unavailable", "slot_id"))

    @pytest.mark.parametrize("kind", ["ROUTINE", "CHECKUP", "FOLLOWUP"])
    async def test_other_types_do_not(self, api: Api, kind: str) -> None:
        await api.post(PATH, booking(start_time="2024-01-21T10:00:00Z"))
        answer = await api.post(PATH, booking(start_time="2024-01-21T10:00:00Z", appointment_type_code=kind))
        refused(answer, 409, ("time_conflict", "start_time"))


class TestFacilityOfTheSlot:
    async def test_it_is_filled_in_where_the_request_names_none(self, api: Api) -> None:
        made = (await api.post(PATH, booking(slot_id="slot-002"))).json()
        assert (made["facility_id"], made["facility_name"]) == (MULAGO, "Mulago Hospital")

    async def test_its_id_is_filled_in_where_the_place_itself_is_not_stored(self, api: Api, store: Store) -> None:
        await put(store, schedule("tent", f"Practitioner/{JAMES}", "Location/tent"))
        await put(store, slot("tent", "2024-03-01T10:00", "2024-03-01T10:30", of="tent"))
        wanted = booking(practitioner_id=JAMES, start_time="2024-03-01T10:00:00Z")
        made = (await api.post(PATH, wanted)).json()
        assert (made["facility_id"], made["facility_name"]) == ("tent", None)

    async def test_a_place_that_is_not_stored_is_called_as_availability_calls_it(self, api: Api, store: Store) -> None:
        tent = {"reference": "Location/tent", "display": "Tent in the yard"}
        await put(
            store,
            schedule("tent", actor=[{"reference": f"Practitioner/{JAMES}"}, tent]),
            slot("tent", "2024-03-01T10:00", "2024-03-01T10:30", of="tent"),
        )
        days = {"date_from": "2024-03-01", "date_to": "2024-03-01"}
        [offered] = (await api.get(f"{PATH}availability/", params=days)).json()["results"]
        made = (await api.post(PATH, booking(practitioner_id=JAMES, start_time="2024-03-01T10:00:00Z"))).json()
        assert made["facility_name"] == offered["facility_name"] == "Tent in the yard"

    async def test_it_stays_null_where_the_schedule_has_none_or_no_slot_is_taken(self, api: Api) -> None:
        for start in ("2024-02-20T10:00:00Z", "2024-02-20T12:00:00Z"):
            made = (await api.post(PATH, booking(practitioner_id=JAMES, start_time=start))).json()
            assert made["facility_id"] is None

    async def test_a_slot_without_a_place_takes_the_facility_of_the_request(self, api: Api) -> None:
        wanted = booking(practitioner_id=JAMES, start_time="2024-02-20T10:00:00Z", facility_id=KAMPALA)
        assert (await api.post(PATH, wanted)).json()["facility_name"] == "Kampala Family Clinic"

    @pytest.mark.parametrize("named", [{}, {"new_slot_id": "slot-001"}])
    async def test_it_is_filled_in_where_a_visit_without_one_moves_into_a_slot(
        self, api: Api, store: Store, named: dict[str, str]
    ) -> None:
        made = (await api.post(PATH, booking(start_time="2024-02-20T10:00:00Z"))).json()
        assert made["facility_id"] is None
        moved = await api.post(
            action_path(made["id"], "reschedule"), {"new_start_time": "2024-01-20T09:00:00Z"} | named
        )
        assert (moved.json()["facility_id"], moved.json()["facility_name"]) == (MULAGO, "Mulago Hospital")
        assert await slot_status(store, "slot-001") == "busy"
        found = await api.get(f"{PATH}?facility_id={MULAGO}&date_from=2024-01-20&date_to=2024-01-20")
        assert ids(found) == [made["id"]]

    async def test_a_room_that_moves_along_is_not_taken_for_it(self, api: Api, store: Store) -> None:
        who = with_actors("Patient/john", f"Practitioner/{SARAH}")
        await put(
            store,
            location("office", "Room 1"),
            schedule("office", "Location/office"),
            slot("r1", "2024-01-20T09:00", "2024-01-20T09:30", of="office"),
            slot("r2", "2024-03-01T10:00", "2024-03-01T10:30", "busy", of="office"),
            slot("r3", "2024-03-01T11:00", "2024-03-01T11:30", of="office"),
            appointment("x", start="2024-03-01T10:00", slot=[{"reference": "Slot/r2"}], participant=who),
        )
        for start, facility in (("2024-03-01T11:00:00Z", None), ("2024-01-20T09:00:00Z", MULAGO)):
            moved = await api.post(action_path("x", "reschedule"), {"new_start_time": start})
            assert moved.json()["facility_id"] == facility
        held = {one["reference"] for one in (await stored(store, "Appointment", "x"))["slot"]}
        assert held == {"Slot/slot-001", "Slot/r1"}

    async def test_a_visit_that_says_where_it_is_keeps_that_when_it_moves_into_a_slot(
        self, api: Api, store: Store
    ) -> None:
        home = {"actor": {"type": "Location", "display": "At home"}, "status": "accepted"}
        who = [*with_actors("Patient/john", f"Practitioner/{SARAH}"), home]
        await put(store, appointment("x", start="2024-03-01T10:00", participant=who))
        answer = await api.post(action_path("x", "reschedule"), {"new_start_time": "2024-01-20T09:00:00Z"})
        assert (answer.json()["facility_id"], answer.json()["facility_name"]) == (None, "At home")
        assert await slot_status(store, "slot-001") == "busy"


class TestWhoMustBeKnown:
    @pytest.mark.parametrize(
        ("settings", "changes", "named"),
        [
            ({"unknown_patients": "refuse"}, {"patient_uhid": OTHER_UHID}, (("unknown_patient", "patient_uhid"),)),
            ({"unknown_patients": "refuse"}, {"patient_uhid": UHID}, ()),
            ({"unknown_patients": "accept"}, {"patient_uhid": OTHER_UHID}, ()),
            (
                {"unknown_actors": "refuse"},
                {"practitioner_id": "nobody", "facility_id": "nowhere"},
                (("unknown_practitioner", "practitioner_id"), ("unknown_facility", "facility_id")),
            ),
            ({"unknown_actors": "accept"}, {"practitioner_id": "nobody", "facility_id": "nowhere"}, ()),
        ],
    )
    async def test_each_is_a_setting(
        self, make_service: ServiceMaker, make_api: ApiMaker, settings: dict[str, str], changes: Any, named: Named
    ) -> None:
        api: Api = await make_api(make_service(**settings))
        answer = await api.post(PATH, booking(**changes))
        if named:
            refused(answer, 422, *named)
        else:
            assert answer.status_code == 201
            assert answer.json() == answer.json() | changes

    async def test_somebody_unknown_who_is_accepted_has_no_name(
        self, make_service: ServiceMaker, make_api: ApiMaker, store: Store
    ) -> None:
        api: Api = await make_api(make_service(unknown_actors="accept"))
        made = (await api.post(PATH, booking(practitioner_id="nobody"))).json()
        assert made["practitioner_name"] is None
        await put(store, practitioner("nobody", "Dr. Newly Known"))
        assert (await api.get(f"{PATH}{made['id']}/")).json()["practitioner_name"] == "Dr. Newly Known"

    @pytest.mark.parametrize("named", [{}, {"facility_id": "tent"}])
    async def test_somebody_unknown_is_called_as_availability_calls_them(
        self, make_service: ServiceMaker, make_api: ApiMaker, store: Store, named: dict[str, str]
    ) -> None:
        locum = {"reference": "Practitioner/locum", "display": "Dr. Locum"}
        tent = {"reference": "Location/tent", "display": "Tent in the yard"}
        await put(
            store,
            schedule("tent", actor=[locum, tent]),
            slot("tent", "2024-03-01T10:00", "2024-03-01T10:30", of="tent"),
        )
        api: Api = await make_api(make_service(unknown_actors="accept"))
        days = {"date_from": "2024-03-01", "date_to": "2024-03-01"}
        [offered] = (await api.get(f"{PATH}availability/", params=days)).json()["results"]
        wanted = booking(practitioner_id="locum", start_time="2024-03-01T10:00:00Z", **named)
        made = (await api.post(PATH, wanted)).json()
        for name, called in (("practitioner_name", "Dr. Locum"), ("facility_name", "Tent in the yard")):
            assert made[name] == offered[name] == called
        assert (made["practitioner_id"], made["facility_id"]) == ("locum", "tent")
