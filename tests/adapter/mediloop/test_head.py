"""HEAD: the answer to GET without its body (RFC 9110 section 9.3.2)."""

from __future__ import annotations

import pytest

from store.store import Store
from tests.adapter.mediloop.clinic import PATH, SARAH, UHID, action_path, appointment, open_clinic, put
from tests.conftest import Api

DAYS = "date_from=2024-01-20&date_to=2024-01-25"
GETS = (
    PATH,
    f"{PATH}x/",
    f"{PATH}x",
    f"{PATH}availability/?{DAYS}",
    f"{PATH}by-patient/?patient_uhid={UHID}",
    f"{PATH}by-practitioner/?practitioner_id={SARAH}",
)


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)
    await put(store, *(appointment(f"x{number}", "cancelled") for number in range(5)), appointment("x", "cancelled"))


@pytest.mark.parametrize("path", GETS)
async def test_it_answers_as_get_does_without_the_body(api: Api, path: str) -> None:
    for coding in ("identity", "gzip"):
        headers = {"Accept-Encoding": coding}
        whole = await api.get(path, headers=headers)
        bare = await api.send("HEAD", path, headers=headers)
        assert (bare.status_code, bare.content) == (200, b"")
        assert bare.headers["Content-Type"] == whole.headers["Content-Type"]
        is_packed = whole.headers.get("Content-Encoding") == "gzip"  # what is small is not
        assert bare.headers.get("Content-Length") == (None if is_packed else whole.headers["Content-Length"])


@pytest.mark.parametrize(("path", "status"), [(f"{PATH}nobody/", 404), (f"{PATH}?page=0", 400)])
async def test_it_is_refused_as_get_is(api: Api, path: str, status: int) -> None:
    assert (await api.send("HEAD", path)).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", PATH, "GET, HEAD, POST"),
        ("PUT", f"{PATH}x/", "GET, HEAD"),
        ("POST", f"{PATH}availability/", "GET, HEAD"),
        ("HEAD", action_path("x", "arrived"), "POST"),
    ],
)
async def test_what_a_path_takes_is_told_with_it(api: Api, method: str, path: str, allowed: str) -> None:
    answer = await api.send(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
