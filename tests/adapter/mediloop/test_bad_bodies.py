"""Bodies that are refused: each by name, with the documented envelope, and never a 500."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import httpx
import pytest

from store.store import Store
from tests.adapter.mediloop.clinic import (
    ACTION_BODIES,
    ACTIONS,
    PATH,
    SARAH,
    action_path,
    appointment,
    booking,
    malformed,
    practitioner,
    put,
    refused,
    stored,
)
from tests.conftest import Api

BODIES: dict[str, Any] = {"book": booking()} | {action: ACTION_BODIES.get(action, {}) for action in ACTIONS}
"""A good body for each POST endpoint."""

TEXTS = {"reason_text": 1_000, "patient_instruction": 10_000, "notes": 10_000}
CODES = {"service_type_code": 64, "specialty_code": 64}
LENGTHS = (
    *(("book", name, most) for name, most in (TEXTS | CODES).items()),
    ("book", "patient_uhid", 64),
    ("cancel", "cancellation_reason_code", 64),
    ("cancel", "cancellation_reason_text", 1_000),
    ("reschedule", "reason", 1_000),
    ("reschedule", "new_slot_id", 64),
)
IDS = ("practitioner_id", "slot_id", "facility_id")
NUMBERS = {"priority": (1, 10), "duration_minutes": (1, 1_440)}
TIMES = ("start_time", "end_time")

ENDPOINTS = ("book", "cancel", "reschedule")
"""The endpoints that take members."""
MEMBERS: dict[str, tuple[str, ...]] = {
    "book": (*TEXTS, *CODES, *IDS, *TIMES, "patient_uhid", "appointment_type_code"),
    "cancel": ("cancellation_reason_code", "cancellation_reason_text"),
    "reschedule": ("new_start_time", "new_end_time", "new_slot_id", "reason"),
}
"""Those that are texts."""
REQUIRED = {
    "book": ("patient_uhid", "practitioner_id", "service_type_code", "start_time"),
    "cancel": ("cancellation_reason_code",),
    "reschedule": ("new_start_time",),
}
_NULLABLE = {"reason_text", "patient_instruction", "notes", "specialty_code", "slot_id", "facility_id", "end_time"}
_NULLABLE |= {"appointment_type_code", "cancellation_reason_text", "new_end_time", "new_slot_id", "reason"}

NO_SUCH_TIMES = (
    "2024-01-20T10:00:00",
    "2024-01-20",
    "2024-01-20 10:00:00Z",
    "2024-01-20T24:00:00Z",
    "2024-01-20T10:60:00Z",
    "2024-01-20T10:00:61Z",
    "2016-12-31T23:59:60Z",
    "2017-01-01T02:59:60.5+03:00",
    "2024-02-30T10:00:00Z",
    "2023-02-29T10:00:00Z",
    "2024-13-01T10:00:00Z",
    "0001-01-01T00:00:00Z",
    "1899-12-31T23:59:59Z",
    "3000-01-01T00:00:00Z",
    "1900-01-01T00:00:00+14:00",
    "2999-12-31T23:59:00-05:00",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-05:00",
    "2024-01-20T10:00:00+14:01",
    "2024-01-20T10:00:00+24:00",
    "2024-01-20T10:00:00+1401",
    "2024-01-20T10:00:00+0360",
    "2024-01-20T10:00:00+15",
    "2024-01-20T10:00:00+3",
    "2024-01-20T10:00:00+030",
    "2024-01-20T10:00:00 +03:00",
    "2024-01-20T10:00.5Z",
    "2024-01-20T10:00:00.1234567890Z",
    "2024-W03-6T10:00:00Z",
    "20240120T100000Z",
    "1705744800",
    "now",
    " 2024-01-20T10:00:00Z",
    "2024-01-20T10:00:00Z\n",
    "٢٠٢٤-01-20T10:00:00Z",
    "",
)


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await put(store, appointment("a1", start="2024-03-01T10:00"), practitioner(SARAH, "Dr. Sarah Nakamya"))


def _path(endpoint: str) -> str:
    return PATH if endpoint == "book" else action_path("a1", endpoint)


async def _send(api: Api, endpoint: str, **changes: Any) -> httpx.Response:
    return await api.post(_path(endpoint), BODIES[endpoint] | changes)


async def _raw(api: Api, endpoint: str, content: bytes, media_type: str | None = "application/json") -> httpx.Response:
    headers = {} if media_type is None else {"Content-Type": media_type}
    return await api.post(_path(endpoint), content=content, headers=headers)


@pytest.fixture(autouse=True)
async def nothing_changes(store: Store, clinic: None) -> Any:
    yield
    assert (await stored(store, "Appointment", "a1"))["meta"]["versionId"] == "1"
    assert await store.count("Appointment", {}) == 1


class TestMembers:
    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    async def test_a_required_one_is_asked_for(self, api: Api, endpoint: str) -> None:
        for name in REQUIRED[endpoint]:
            body = {member: value for member, value in BODIES[endpoint].items() if member != name}
            error = malformed(await api.post(_path(endpoint), body), name)
            assert error["message"] == f"{name} is required."

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    async def test_a_text_is_not_taken_from_another_type(self, api: Api, endpoint: str) -> None:
        others: tuple[Any, ...] = (1, 1.5, True, [], ["x"], {}, {"x": 1})
        for name, wrong in product(MEMBERS[endpoint], others):
            malformed(await _send(api, endpoint, **{name: wrong}), name)

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    async def test_null_is_not_taken_where_a_value_is_needed(self, api: Api, endpoint: str) -> None:
        for name in [name for name in MEMBERS[endpoint] if name not in _NULLABLE]:
            malformed(await _send(api, endpoint, **{name: None}), name)

    @pytest.mark.parametrize("name", NUMBERS)
    async def test_a_number_is_not_taken_from_another_type(self, api: Api, name: str) -> None:
        others: tuple[Any, ...] = ("5", "", 5.5, True, [5], {}, 1e999, 10**40, -(10**40))
        for wrong in others:
            content = json.dumps(booking(**{name: wrong})).replace("Infinity", "1e999").encode()
            malformed(await _raw(api, "book", content), name)

    @pytest.mark.parametrize(("name", "bounds"), NUMBERS.items())
    async def test_a_number_stays_within_its_bounds(self, api: Api, name: str, bounds: tuple[int, int]) -> None:
        for wrong in (bounds[0] - 1, bounds[1] + 1, -5):
            malformed(await _send(api, "book", **{name: wrong}), name)

    async def test_an_appointment_type_is_one_of_the_five(self, api: Api) -> None:
        for wrong in ("routine", "ROUTINE ", "SURGERY", ""):
            malformed(await _send(api, "book", appointment_type_code=wrong), "appointment_type_code")

    @pytest.mark.parametrize("endpoint", BODIES)
    async def test_an_unknown_one_is_named(self, api: Api, endpoint: str) -> None:
        malformed(await _send(api, endpoint, status="booked"), "status")

    async def test_all_that_is_wrong_is_named_at_once(self, api: Api) -> None:
        wanted = booking(practitioner_id=5, start_time="soon", service_type_code=None, priority=11, colour="red")
        answer = await api.post(PATH, wanted)
        malformed(answer, "practitioner_id", "service_type_code", "start_time", "priority", "colour")

    async def test_a_wrong_uhid_and_who_is_unknown_are_named_beside_the_rest(self, api: Api) -> None:
        wanted = booking(patient_uhid="UG1", practitioner_id="nobody", facility_id="nowhere", priority=11)
        answer = await api.post(PATH, wanted)
        wrong = [("invalid_request_error", "patient_uhid"), ("invalid_request_error", "priority")]
        unknown = [("unknown_practitioner", "practitioner_id"), ("unknown_facility", "facility_id")]
        refused(answer, 400, *wrong, *unknown)
        wanted = booking(practitioner_id="", facility_id=5)
        malformed(await api.post(PATH, wanted), "practitioner_id", "facility_id")

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    async def test_one_that_is_there_twice_is_named_beside_the_rest(self, api: Api, endpoint: str) -> None:
        for name in REQUIRED[endpoint]:
            sent = json.dumps(BODIES[endpoint])[:-1] + f', "{name}": {json.dumps(BODIES[endpoint][name])}' + "}"
            error = malformed(await _raw(api, endpoint, sent.encode()), name)
            assert error["message"] == f"{name} is given twice. Give it once."
        malformed(await _raw(api, endpoint, b'{"x": 1, "x": 2}'), "x", *REQUIRED[endpoint], "x")

    async def test_an_action_without_members_has_none_twice(self, api: Api) -> None:
        malformed(await _raw(api, "arrived", b'{"a": 1, "a": 1}'), "a", "a")

    async def test_a_hundred_problems_are_enough(self, api: Api) -> None:
        answer = await _send(api, "book", **{f"x{number}": 1 for number in range(20_000)})
        assert answer.status_code == 400
        assert len(answer.json()["error"]["errors"]) == 100
        again = ",".join(['"x": 1, "y": 1'] + [f'"x{number}": 1, "x{number}": 1' for number in range(200)])
        answer = await _raw(api, "book", b"{" + again.encode() + b"}")
        assert len(answer.json()["error"]["errors"]) == 100


class TestTexts:
    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    async def test_empty_ones_and_control_characters_are_refused(self, api: Api, endpoint: str) -> None:
        for name, wrong in product(MEMBERS[endpoint], ("", " ", "\t\n", "a\x00b", "a\x1bb", "\x7f", "a\x08")):
            malformed(await _send(api, endpoint, **{name: wrong}), name)

    async def test_one_character_too_many_is_refused(self, api: Api) -> None:
        for endpoint, name, most in LENGTHS:
            malformed(await _send(api, endpoint, **{name: "x" * (most + 1)}), name)

    async def test_a_code_has_no_stray_blanks(self, api: Api) -> None:
        for name, wrong in product(CODES, ("two  blanks", " x", "x ", "tab\there", "line\nbreak")):
            malformed(await _send(api, "book", **{name: wrong}), name)

    async def test_what_is_needed_is_never_to_be_left_out(self, api: Api) -> None:
        for endpoint, names in REQUIRED.items():
            for name in names:
                assert "leave it out" not in malformed(await _send(api, endpoint, **{name: ""}), name)["message"]

    async def test_a_uhid_that_is_empty_is_told_its_form(self, api: Api) -> None:
        for wrong in ("", " ", "UG1"):
            error = malformed(await _send(api, "book", patient_uhid=wrong), "patient_uhid")
            assert error["message"].startswith("patient_uhid: not a UHID (expected form: ^UG[0-9]{9}[A-Z]$)")

    async def test_an_id_is_one_that_fhir_allows(self, api: Api) -> None:
        for name, wrong in product(IDS, ("", " ", "a b", "a/b", "a_b", "ä", "x" * 65, "a\n", "../x", "a\x00")):
            error = malformed(await _send(api, "book", **{name: wrong}), name)
            assert error["message"] == (
                f"{name}: must be an id, as answers show it: letters, digits, '-' and '.', 64 at most."
            )

    @pytest.mark.parametrize(
        ("endpoint", "name"), [("book", "start_time"), ("book", "end_time"), ("reschedule", "new_start_time")]
    )
    async def test_a_time_is_a_real_one_with_an_offset(self, api: Api, endpoint: str, name: str) -> None:
        for wrong in NO_SUCH_TIMES:
            malformed(await _send(api, endpoint, **{name: wrong}), name)

    async def test_a_year_is_that_of_the_answer(self, api: Api) -> None:
        error = malformed(await _send(api, "book", start_time="2999-12-31T23:59:00-05:00"), "start_time")
        assert error["message"] == "start_time: give a year from 1900 to 2999, in UTC."

    async def test_a_time_without_an_offset_is_told_what_is_missing(self, api: Api) -> None:
        error = malformed(await _send(api, "book", start_time="2024-01-20T10:00:00"), "start_time")
        assert "offset" in error["message"]

    async def test_a_leap_second_is_told_its_place_in_the_calendar(self, api: Api) -> None:
        error = malformed(await _send(api, "book", start_time="2016-12-31T23:59:60Z"), "start_time")
        assert error["message"] == (
            "start_time: there are no leap seconds here; give the next minute, with 00 seconds."
        )


NOT_JSON = {
    "cut short": b'{"patient_uhid": "UG',
    "trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "two objects": b"{}{}",
    "NUL": b'{"a": "\x00"}',
    "only NUL": b"\x00",
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "lone surrogate": b'{"notes": "\\ud800"}',
    "lone low surrogate": b'{"notes": "\\udc00x"}',
    "encoded surrogate": b'{"notes": "\xed\xa0\x80"}',
    "deep objects": b'{"a":' * 5_000,
    "deep lists": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "form": b"patient_uhid=x",
    "byte order mark, and no text": b'\xef\xbb\xbf{"patient_uhid": 5}',
    "deep, and no text": b'{"patient_uhid": 5, "x": ' + b"[" * 300 + b"]" * 300 + b"}",
    "long number, and no text": b'{"patient_uhid": 5, "x": ' + b"1" * 5_000 + b"}",
}


class TestWholeBodies:
    @pytest.mark.parametrize("endpoint", BODIES)
    async def test_what_is_not_json_is_refused(self, api: Api, endpoint: str) -> None:
        for content in NOT_JSON.values():
            malformed(await _raw(api, endpoint, content), None)

    async def test_what_is_not_json_is_told_how_it_is_read(self, api: Api) -> None:
        error = malformed(await _raw(api, "book", NOT_JSON["byte order mark"]), None)
        assert error["message"].startswith("The body is not valid JSON: expected value at line 1 column 1. Correct it;")
        assert error["message"].endswith("UTF-8, without a byte order mark.")

    async def test_one_that_is_too_deep_is_told_how_deep_it_may_be(self, api: Api) -> None:
        def nested(levels: int) -> bytes:
            return b'{"notes":' + b"[" * (levels - 1) + b"1" + b"]" * (levels - 1) + b"}"

        error = malformed(await _raw(api, "arrived", nested(201)), None)
        assert error["message"].startswith("The body is nested more than 200 levels deep. Send it flat")
        malformed(await _raw(api, "arrived", nested(200)), "notes")

    @pytest.mark.parametrize("endpoint", BODIES)
    async def test_it_is_an_object(self, api: Api, endpoint: str) -> None:
        for content in (b"[]", b"[{}]", b"null", b"true", b"5", b'"text"'):
            error = malformed(await _raw(api, endpoint, content), None)
            assert error["message"] == "The body must be a JSON object."

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    async def test_it_is_needed_where_members_are(self, api: Api, endpoint: str) -> None:
        for content in (b"", b" \n"):
            malformed(await _raw(api, endpoint, content), None)

    @pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml"])
    async def test_it_is_declared_as_json(self, api: Api, media_type: str | None) -> None:
        for endpoint, body in BODIES.items():
            answer = await _raw(api, endpoint, json.dumps(body).encode(), media_type)
            refused(answer, 415, ("unsupported_media_type", "Content-Type"))

    @pytest.mark.parametrize(
        ("query", "params"),
        [("dry_run=true", ("dry_run",)), ("a=1&a=2", ("a", "a")), ("b=&c=%00&c=1", ("c", "b", "c"))],
    )
    async def test_the_path_takes_no_parameters(self, api: Api, query: str, params: tuple[str, ...]) -> None:
        for endpoint, body in BODIES.items():
            malformed(await api.post(f"{_path(endpoint)}?{query}", body), *params)

    @pytest.mark.parametrize("endpoint", BODIES)
    async def test_one_of_10_mb_is_413_whether_its_size_is_declared_or_not(self, api: Api, endpoint: str) -> None:
        async def in_parts() -> Any:
            for _ in range(10):
                yield b" " * 1_048_576

        for content in (b" " * 10_485_760, in_parts()):
            answer = await api.post(_path(endpoint), content=content, headers={"Content-Type": "application/json"})
            refused(answer, 413, ("body_too_large", None))

    async def test_one_that_is_larger_than_its_texts_can_make_it_is_413(self, api: Api) -> None:
        longest = json.dumps(
            booking() | {"priority": 99} | {name: "\U0001f642" * most for name, most in TEXTS.items()}
        ).encode()
        filled = longest + b" " * (300_000 - len(longest))
        malformed(await _raw(api, "book", filled), "priority")  # and nothing else is wrong with it
        for endpoint in BODIES:
            refused(await _raw(api, endpoint, filled + b" "), 413, ("body_too_large", None))


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_action_on_what_is_not_there_is_404(api: Api, action: str) -> None:
    for ident in ("nothing", "a1%00", "%F0%9F%99%82", "%ED%A0%80", "A1", "x" * 2_000, "%24where"):
        answer = await api.post(action_path(ident, action), ACTION_BODIES.get(action))
        refused(answer, 404, ("appointment_not_found", "id"))


async def test_a_member_without_a_name_is_called_that(api: Api) -> None:
    error = malformed(await api.post(PATH, booking() | {"": 1}), None)
    assert error["message"] == "A name that is empty is not known here. Leave it out, or see /docs for the names."
