"""Every status and every action over HTTP: what the life of an appointment allows happens, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.mediloop.fields import STATUSES
from store.store import Store
from tests.adapter.mediloop.clinic import (
    ACTION_BODIES,
    ACTIONS,
    JAMES,
    KAMPALA,
    MULAGO,
    OTHER_UHID,
    PATH,
    action_path,
    appointment,
    booking,
    open_clinic,
    put,
    refused,
    schedule,
    slot,
    slot_status,
    stored,
)
from tests.conftest import Api, Clock

# Written out by hand, not taken from the code.
GRAPH = {
    "proposed": {"pending", "booked", "cancelled"},
    "pending": {"booked", "cancelled"},
    "booked": {"arrived", "checked-in", "fulfilled", "noshow", "cancelled"},
    "arrived": {"checked-in", "fulfilled", "noshow", "cancelled"},
    "checked-in": {"fulfilled", "cancelled"},
    "fulfilled": set[str](),
    "cancelled": set[str](),
    "noshow": set[str](),
}
TARGETS = {
    "cancel": "cancelled",
    "check-in": "checked-in",
    "arrived": "arrived",
    "fulfilled": "fulfilled",
    "noshow": "noshow",
}
STAMPS = {
    "cancel": "cancelled_at",
    "reschedule": "rescheduled_at",
    "check-in": "checked_in_at",
    "arrived": "arrived_at",
    "fulfilled": "fulfilled_at",
    "noshow": "noshow_at",
}
RESCHEDULABLE = ("proposed", "pending", "booked")


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)


def _allowed(status: str, action: str) -> bool:
    return status in RESCHEDULABLE if action == "reschedule" else TARGETS[action] in GRAPH[status]


async def _act(api: Api, ident: str, action: str, **body: Any) -> Any:
    return await api.post(action_path(ident, action), body or ACTION_BODIES.get(action))


def test_the_statuses_are_the_eight_of_the_page() -> None:
    assert set(GRAPH) == set(STATUSES)
    assert len(GRAPH) == 8


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", GRAPH)
async def test_an_action_is_done_or_refused_as_the_graph_says(api: Api, store: Store, status: str, action: str) -> None:
    await put(store, appointment("x", status, "2024-02-01T10:00"))
    before = await store.read("Appointment", "x")
    answer = await _act(api, "x", action)
    if _allowed(status, action):
        assert answer.status_code == 200
        shown = answer.json()
        assert shown["status"] == (status if action == "reschedule" else TARGETS[action])
        assert shown[STAMPS[action]] == "2024-01-15T10:00:00Z"
        assert (await api.get(f"{PATH}x/")).json() == shown
        assert (await stored(store, "Appointment", "x"))["meta"]["versionId"] == "2"
    else:
        error = refused(answer, 409, ("invalid_status_transition", "status"))
        assert error["status"] == status
        assert set(error["allowed"]) == GRAPH[status]
        assert all(word in error["message"] for word in (status, *GRAPH[status]))
        assert await store.read("Appointment", "x") == before


@pytest.mark.parametrize("action", ACTIONS)
async def test_waitlist_moves_like_pending(api: Api, store: Store, action: str) -> None:
    await put(store, appointment("x", "waitlist", "2024-02-01T10:00"))
    answer = await _act(api, "x", action)
    if _allowed("pending", action):
        assert answer.status_code == 200
        assert answer.json()["status"] == ("pending" if action == "reschedule" else "cancelled")
    else:
        refused(answer, 409, ("invalid_status_transition", "status"))


async def test_a_visit_goes_all_the_way_and_keeps_what_has_happened(api: Api) -> None:
    made = (await api.post(PATH, booking())).json()
    for action in ("arrived", "check-in", "fulfilled"):
        made = (await _act(api, made["id"], action)).json()
    stamps = {name: made[name] for name in ("arrived_at", "checked_in_at", "fulfilled_at")}
    assert stamps == dict.fromkeys(stamps, "2024-01-15T10:00:00Z")
    assert "cancelled_at" not in made


class TestCancel:
    async def test_it_frees_the_slot_which_can_be_booked_again(self, api: Api, store: Store) -> None:
        first = (await api.post(PATH, booking(slot_id="slot-002"))).json()
        assert await slot_status(store, "slot-002") == "busy"
        await _act(api, first["id"], "cancel")
        assert await slot_status(store, "slot-002") == "free"
        second = await api.post(PATH, booking(slot_id="slot-002", patient_uhid=OTHER_UHID))
        assert second.status_code == 201

    async def test_it_leaves_a_slot_that_another_appointment_holds_by_now(self, api: Api, store: Store) -> None:
        links = [{"reference": "Slot/shared"}]
        await put(
            store,
            slot("shared", "2024-02-01T10:00", "2024-02-01T10:30", "busy"),
            appointment("x", start="2024-02-01T10:00", slot=links),
            appointment("y", start="2024-02-01T10:00", slot=links),
        )
        await _act(api, "x", "cancel")
        assert await slot_status(store, "shared") == "busy"
        await _act(api, "y", "cancel")
        assert await slot_status(store, "shared") == "free"

    async def test_it_leaves_a_slot_that_was_closed_meanwhile(self, api: Api, store: Store) -> None:
        made = (await api.post(PATH, booking(slot_id="slot-002"))).json()
        await put(store, slot("slot-002", "2024-01-20T10:00", "2024-01-20T10:30", "busy-unavailable"))
        assert (await _act(api, made["id"], "cancel")).status_code == 200
        assert await slot_status(store, "slot-002") == "busy-unavailable"

    @pytest.mark.parametrize("status", ["arrived", "checked-in"])
    async def test_it_frees_the_slot_of_a_visit_that_has_begun(self, api: Api, store: Store, status: str) -> None:
        await put(
            store,
            slot("s", "2024-02-01T10:00", "2024-02-01T10:30", "busy"),
            appointment("x", status, "2024-02-01T10:00", slot=[{"reference": "Slot/s"}]),
        )
        await _act(api, "x", "cancel")
        assert await slot_status(store, "s") == "free"


async def test_a_no_show_leaves_the_slot_busy(api: Api, store: Store) -> None:
    made = (await api.post(PATH, booking())).json()
    await _act(api, made["id"], "noshow")
    assert await slot_status(store, "slot-002") == "busy"


class TestReschedule:
    async def test_it_frees_the_old_slot_and_takes_the_new_one(self, api: Api, store: Store) -> None:
        made = (await api.post(PATH, booking())).json()
        moved = (await _act(api, made["id"], "reschedule", new_start_time="2024-01-20T09:00:00Z")).json()
        assert moved["id"] == made["id"]
        assert (moved["start_time"], moved["end_time"]) == ("2024-01-20T09:00:00Z", "2024-01-20T09:30:00Z")
        assert [await slot_status(store, one) for one in ("slot-001", "slot-002")] == ["busy", "free"]
        assert (await stored(store, "Appointment", made["id"]))["slot"] == [{"reference": "Slot/slot-001"}]

    async def test_it_may_go_onto_its_own_slot(self, api: Api, store: Store) -> None:
        made = (await api.post(PATH, booking())).json()
        for body in ({}, {"new_slot_id": "slot-002"}):
            again = await _act(api, made["id"], "reschedule", new_start_time=made["start_time"], **body)
            assert again.status_code == 200
            assert again.json()["end_time"] == made["end_time"]
        assert await slot_status(store, "slot-002") == "busy"

    async def test_it_may_go_15_minutes_over_its_own_time(self, api: Api, store: Store) -> None:
        made = (await api.post(PATH, booking(start_time="2024-02-01T10:00:00Z"))).json()
        for start in ("2024-02-01T10:15:00Z", "2024-02-01T09:45:00Z"):
            moved = await _act(api, made["id"], "reschedule", new_start_time=start)
            assert moved.status_code == 200
            assert moved.json()["duration_minutes"] == 30

    async def test_it_may_grow_over_its_own_slot_and_the_next(self, api: Api, store: Store) -> None:
        made = (await api.post(PATH, booking())).json()
        times = {"new_start_time": "2024-01-20T10:15:00Z", "new_end_time": "2024-01-20T10:45:00Z"}
        assert (await _act(api, made["id"], "reschedule", **times)).status_code == 200
        assert [await slot_status(store, one) for one in ("slot-002", "slot-003")] == ["busy", "busy"]

    async def test_the_time_it_leaves_can_be_booked(self, api: Api) -> None:
        made = (await api.post(PATH, booking())).json()
        await _act(api, made["id"], "reschedule", new_start_time="2024-02-01T10:00:00Z")
        assert (await api.post(PATH, booking(patient_uhid=OTHER_UHID))).status_code == 201

    async def test_a_taken_time_is_409_and_nothing_changes(self, api: Api, store: Store) -> None:
        first = (await api.post(PATH, booking())).json()
        rival = (await api.post(PATH, booking(start_time="2024-01-20T09:00:00Z", patient_uhid=OTHER_UHID))).json()
        before = await store.read("Appointment", first["id"])
        answer = await _act(api, first["id"], "reschedule", new_start_time=rival["start_time"])
        named = (("slot_unavailable", "new_start_time"), ("time_conflict", "new_start_time"))
        refused(answer, 409, *named)
        assert await store.read("Appointment", first["id"]) == before
        assert [await slot_status(store, one) for one in ("slot-001", "slot-002")] == ["busy", "busy"]

    async def test_a_named_slot_gives_the_new_length(self, api: Api, store: Store) -> None:
        await put(store, slot("long", "2024-02-01T10:00", "2024-02-01T11:00"))
        made = (await api.post(PATH, booking())).json()
        body = {"new_start_time": "2024-02-01T10:00:00Z", "new_slot_id": "long", "reason": "Provider schedule conflict"}
        moved = (await _act(api, made["id"], "reschedule", **body)).json()
        assert (moved["duration_minutes"], moved["reschedule_reason"]) == (60, "Provider schedule conflict")

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({"new_end_time": "2024-01-20T09:00:00Z"}, (("invalid_time", "new_end_time"),)),
            ({"new_end_time": "2024-01-20T08:00:00Z"}, (("invalid_time", "new_end_time"),)),
            ({"new_end_time": "2024-03-20T09:00:00Z"}, (("invalid_time", "new_end_time"),)),
            ({"new_slot_id": "slot-003"}, (("slot_mismatch", "new_start_time"),)),
            ({"new_slot_id": "nothing"}, (("unknown_slot", "new_slot_id"),)),
            (
                {"new_slot_id": "nothing", "new_end_time": "2024-01-20T08:00:00Z"},
                (("invalid_time", "new_end_time"), ("unknown_slot", "new_slot_id")),
            ),
        ],
    )
    async def test_what_contradicts_itself_is_422(
        self, api: Api, body: dict[str, str], named: tuple[tuple[str, str], ...]
    ) -> None:
        made = (await api.post(PATH, booking())).json()
        answer = await _act(api, made["id"], "reschedule", **{"new_start_time": "2024-01-20T09:00:00Z"} | body)
        refused(answer, 422, *named)

    async def test_a_slot_of_somebody_else_or_elsewhere_is_the_fault_of_the_slot_that_is_named(
        self, api: Api, store: Store
    ) -> None:
        await put(
            store,
            schedule("james", f"Practitioner/{JAMES}", f"Location/{KAMPALA}"),
            slot("his", "2024-02-01T10:00", "2024-02-01T10:30", of="james"),
        )
        made = (await api.post(PATH, booking(facility_id=MULAGO))).json()
        answer = await _act(api, made["id"], "reschedule", new_start_time="2024-02-01T10:00:00Z", new_slot_id="his")
        error = refused(answer, 422, ("slot_mismatch", "new_slot_id"), ("slot_mismatch", "new_slot_id"))
        for one in error["errors"]:
            assert one["message"].endswith("give a slot of theirs, or cancel and book anew.")

    async def test_a_pending_one_takes_its_new_slot_tentatively(self, api: Api, store: Store) -> None:
        await put(store, appointment("x", "pending", "2024-02-01T10:00"))
        await _act(api, "x", "reschedule", new_start_time="2024-01-20T09:00:00Z")
        assert await slot_status(store, "slot-001") == "busy-tentative"
        rival = await api.post(PATH, booking(start_time="2024-01-20T09:00:00Z", patient_uhid=OTHER_UHID))
        refused(rival, 409, ("slot_unavailable", "start_time"), ("time_conflict", "start_time"))
        await _act(api, "x", "cancel")
        assert await slot_status(store, "slot-001") == "free"

    async def test_a_proposal_holds_no_time_at_the_new_one_either(self, api: Api, store: Store) -> None:
        await put(store, appointment("x", "proposed", None))
        moved = (await _act(api, "x", "reschedule", new_start_time="2024-01-20T09:00:00Z")).json()
        assert moved["end_time"] == "2024-01-20T09:30:00Z"
        assert await slot_status(store, "slot-001") == "free"

    @pytest.mark.parametrize(
        ("end", "moved_end"),
        [
            ("2024-02-01T10:29:59Z", "2024-02-02T10:29:59Z"),
            ("2024-02-01T10:00:30Z", "2024-02-02T10:00:30Z"),
            ("2024-02-01T13:30:00.250+03:00", "2024-02-02T10:30:00.25Z"),
        ],
    )
    async def test_a_new_start_alone_keeps_the_exact_length(
        self, api: Api, store: Store, end: str, moved_end: str
    ) -> None:
        await put(store, appointment("x") | {"start": "2024-02-01T10:00:00Z", "end": end})
        moved = (await _act(api, "x", "reschedule", new_start_time="2024-02-02T10:00:00Z")).json()
        assert moved["end_time"] == moved_end

    @pytest.mark.parametrize(("end", "minutes"), [("10:30", 20), ("10:45", 45)])
    async def test_the_minutes_that_fhir_states_stay_unless_the_visit_gets_another_length(
        self, api: Api, store: Store, end: str, minutes: int
    ) -> None:
        await put(store, appointment("x", minutesDuration=20))
        to = {"new_start_time": "2024-02-02T10:00:00Z", "new_end_time": f"2024-02-02T{end}:00Z"}
        moved = (await _act(api, "x", "reschedule", **to)).json()
        assert (moved["end_time"], moved["duration_minutes"]) == (to["new_end_time"], minutes)

    @pytest.mark.parametrize("times", [{}, {"start": "2024-02-01T10:00:00Z", "end": "2024-02-01T10:00:00Z"}])
    async def test_a_proposal_without_a_length_gets_the_one_it_states(
        self, api: Api, store: Store, times: dict[str, str]
    ) -> None:
        await put(store, appointment("x", "proposed", None, minutesDuration=45) | times)
        moved = (await _act(api, "x", "reschedule", new_start_time="2024-01-20T09:00:00Z")).json()
        assert (moved["end_time"], moved["duration_minutes"]) == ("2024-01-20T09:45:00Z", 45)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("action", TARGETS)
async def test_a_status_that_came_by_fhir_has_its_moment_too(
    api: Api, store: Store, action: str, method: str, clock: Clock
) -> None:
    await put(store, appointment("x", start="2024-02-01T10:00"), appointment("y", start="2024-02-01T11:00"))
    clock.advance(minutes=5)
    status, stamp = TARGETS[action], STAMPS[action]
    path, before = "/fhir/R4/Appointment/x", await stored(store, "Appointment", "x")
    if method == "PUT":
        answer = await api.put(path, before | {"status": status})
    else:
        patch = [{"op": "replace", "path": "/status", "value": status}]
        answer = await api.patch(path, patch, headers={"Content-Type": "application/json-patch+json"})
    assert answer.status_code == 200, answer.text
    told = (await _act(api, "y", action)).json()
    assert (await api.get(f"{PATH}x/")).json()[stamp] == told[stamp] == "2024-01-15T10:05:00Z"
    assert answer.json()["extension"] == (await stored(store, "Appointment", "y"))["extension"]


async def test_what_mediloop_cannot_say_stays_in_the_document(api: Api, store: Store) -> None:
    more: dict[str, Any] = {
        "extension": [{"url": "urn:example:x", "valueDecimal": 1.5}],
        "supportingInformation": [{"reference": "DocumentReference/d"}],
        "comment": "keep",
    }
    await put(store, appointment("x", start="2024-02-01T10:00", **more))
    await _act(api, "x", "reschedule", new_start_time="2024-02-02T10:00:00Z")
    await _act(api, "x", "arrived")
    document = await stored(store, "Appointment", "x")
    assert more["extension"][0] in document["extension"]
    assert document["supportingInformation"] == more["supportingInformation"]


@pytest.mark.parametrize(
    ("code", "text"), [("patient-request", "Patient unable to attend"), ("no-fuel", None), ("pat-dec", None)]
)
async def test_a_cancellation_keeps_its_reason(api: Api, code: str, text: str | None) -> None:
    made = (await api.post(PATH, booking())).json()
    body = {"cancellation_reason_code": code} | ({} if text is None else {"cancellation_reason_text": text})
    shown = (await _act(api, made["id"], "cancel", **body)).json()
    assert shown["cancellation_reason_code"] == code
    assert shown["cancellation_reason_text"] == text
    assert (await api.get(f"{PATH}{made['id']}/")).json() == shown
