"""Query parameters that are refused, each by name."""

from __future__ import annotations

import pytest

from adapter.mediloop.fields import STATUSES
from store.store import Store
from tests.adapter.mediloop.clinic import (
    ACTION_BODIES,
    ACTIONS,
    PATH,
    SARAH,
    UHID,
    action_path,
    appointment,
    malformed,
    put,
    refused,
    stored,
)
from tests.conftest import Api

NEEDED = {
    "": {},
    "by-patient/": {"patient_uhid": UHID},
    "by-practitioner/": {"practitioner_id": SARAH},
    "availability/": {"date_from": "2024-01-20", "date_to": "2024-01-25"},
}
"""The lists, with the parameters that each needs."""
APPOINTMENTS = ("", "by-patient/", "by-practitioner/")

BAD_DAYS = (
    *("", "2024-1-20", "20-01-2024", "2024-02-30", "2023-02-29", "2024-01-20T00:00:00Z", "0001-01-01", "1899-12-31"),
    *("3000-01-01", "today", "20240120", "2024-W03-6", "٢٠٢٤-01-20", "2024-01-20\n", "1705744800", "2024-01-20\x00"),
)
BAD_IDS = ("", " ", "a b", "a/b", "x" * 65, "a\x00", "a\n", "a_b", "Practitioner/x")
BAD_NUMBERS = ("", "x", "1.0", "1_0", " 1", "+1", "1e2", "0x1", "٣", "1" * 30, "null", "1\n")
BAD_CODES = ("", " ", " x", "two  blanks", "x" * 65, "a\x00b", "line\nbreak")

CASES = {
    "status": (
        APPOINTMENTS,
        ("", "booked,", ",", "Booked", "waitlist", "entered-in-error", "booked;noshow", "x" * 2_000),
    ),
    "patient_uhid": (APPOINTMENTS, ("", " ", "UG12345678A", "UG123456789", "x" * 65, "UG123456789A\x00", "*")),
    "practitioner_id": (tuple(NEEDED), BAD_IDS),
    "facility_id": (tuple(NEEDED), BAD_IDS),
    "date_from": (tuple(NEEDED), BAD_DAYS),
    "date_to": (tuple(NEEDED), BAD_DAYS),
    "upcoming_only": (APPOINTMENTS, ("", "1", "0", "yes", "None", "true ", "truE,")),
    "page": (tuple(NEEDED), (*BAD_NUMBERS, "0", "-1", "10000001")),
    "page_size": (tuple(NEEDED), (*BAD_NUMBERS, "0", "-1", "101")),
    "service_type": (("availability/",), BAD_CODES),
    "specialty": (("availability/",), BAD_CODES),
    "duration_minutes": (("availability/",), (*BAD_NUMBERS, "0", "-30", "1441")),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_bad_value_is_refused_by_name(api: Api, name: str) -> None:
    paths, values = CASES[name]
    for path in paths:
        for value in values:
            malformed(await api.get(PATH + path, params=NEEDED[path] | {name: value}), name)


async def test_a_day_is_told_what_is_wrong_with_it(api: Api) -> None:
    for value, remedy in (
        ("1899-12-31", "give a year from 1900 to 2999"),
        ("3000-01-01", "give a year from 1900 to 2999"),
        ("2024-02-30", "there is no such day"),
        ("today", "give a calendar day, for example 2024-01-20"),
    ):
        error = malformed(await api.get(PATH, params={"date_from": value}), "date_from")
        assert error["message"] == f"date_from: {remedy}."


@pytest.mark.parametrize("path", NEEDED)
async def test_an_unknown_one_is_refused_by_name(api: Api, path: str) -> None:
    for name in ("colour", "ordering", "Status", "status_", "limit", "", "service_type_code", "$where"):
        malformed(await api.get(PATH + path, params=NEEDED[path] | {name: "1"}), name or None)


@pytest.mark.parametrize(("path", "names"), [(path, tuple(needed)) for path, needed in NEEDED.items() if needed])
async def test_a_needed_one_is_asked_for(api: Api, path: str, names: tuple[str, ...]) -> None:
    error = malformed(await api.get(PATH + path), *names)
    assert error["message"] == f"{names[0]} is required."


@pytest.mark.parametrize("path", NEEDED)
async def test_one_given_twice_is_refused_once_by_name_beside_all_else(api: Api, path: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in NEEDED[path].items())
    answer = await api.get(f"{PATH}{path}?{query}&page=1&page=1&page=2&page_size=0&colour=red")
    malformed(answer, "page", "page_size", "colour")
    malformed(await api.get(f"{PATH}{path}?{query}&page=1&page=1"), "page")


@pytest.mark.parametrize("path", NEEDED)
async def test_days_in_the_wrong_order_are_refused(api: Api, path: str) -> None:
    days = {"date_from": "2024-01-21", "date_to": "2024-01-20"}
    error = malformed(await api.get(PATH + path, params=NEEDED[path] | days), "date_to")
    assert error["message"] == "date_to: is before date_from; give a later day."


async def test_a_wrong_uhid_and_wrong_days_are_named_beside_the_rest(api: Api) -> None:
    query = {"patient_uhid": "UG1", "date_from": "2024-01-21", "date_to": "2024-01-20", "page": "0"}
    malformed(await api.get(f"{PATH}by-patient/", params=query), "page", "patient_uhid", "date_to")


@pytest.mark.parametrize("path", NEEDED)
async def test_one_without_a_name_is_called_that(api: Api, path: str) -> None:
    error = malformed(await api.get(PATH + path, params=NEEDED[path] | {"": "x"}), None)
    assert error["message"] == "A name that is empty is not known here. Leave it out, or see /docs for the names."
    query = "&".join(f"{name}={value}" for name, value in NEEDED[path].items())
    error = malformed(await api.get(f"{PATH}{path}?{query}&=x&=y"), None, None)
    assert error["message"] == "A name that is empty is given twice. Give it once."


async def test_the_detail_takes_no_parameters(api: Api) -> None:
    malformed(await api.get(f"{PATH}apt-1/?expand=patient&expand=x"), "expand", "expand")


async def test_a_bad_status_is_told_the_good_ones(api: Api) -> None:
    error = malformed(await api.get(f"{PATH}?status=done"), "status")
    for status in STATUSES:
        assert status in error["message"]


async def test_the_detail_of_what_is_not_there_is_404(api: Api) -> None:
    for ident in ("nothing", "x" * 2_000, "a%00b", "%ED%A0%80", "%F0%9F%99%82", "by-nobody", "%24ne"):
        refused(await api.get(f"{PATH}{ident}/"), 404, ("appointment_not_found", "id"))


@pytest.mark.parametrize("path", [*NEEDED, "apt-1/"])
async def test_no_query_string_makes_a_fault(api: Api, path: str) -> None:
    for query in ("%00", "%", "&&&", "=", "a=%ED%A0%80", ";", "page=%FF", "[]=1", "page[$gt]=1"):
        assert (await api.get(f"{PATH}{path}?{query}")).status_code in (200, 400, 404)


@pytest.mark.parametrize("name", ["availability", "by-patient", "by-practitioner"])
async def test_the_name_of_a_list_is_never_read_as_an_id(api: Api, store: Store, name: str) -> None:
    await put(store, appointment(name), appointment(f"{name}-2", "cancelled"))
    for action in ACTIONS:
        refused(await api.post(action_path(name, action), ACTION_BODIES.get(action)), 404, ("not_found", None))
        refused(await api.get(action_path(name, action)), 404, ("not_found", None))
    answer = await api.post(f"{PATH}{name}/", {})
    refused(answer, 405, ("method_not_allowed", None))
    assert answer.headers["Allow"] == "GET, HEAD"
    assert (await stored(store, "Appointment", name))["status"] == "booked"
    assert (await api.get(f"{PATH}{name}-2/")).json()["status"] == "cancelled"
