"""What every request meets on its way: request id, rate limit, largest body, a whole answer to any fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from email.utils import format_datetime
from functools import partial
from typing import Any

import httpx
import pytest

from adapter import clock as clocks
from adapter import gate
from adapter.app import create_app
from adapter.gate import Gate
from adapter.security import keyring
from adapter.security.permissions import parse
from adapter.service import Service, build
from adapter.settings import Settings
from store.connection import bounded
from store.store import Store
from tests.adapter.mediloop.clinic import PATH, booking, malformed, put, refused
from tests.adapter.records import recorded
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker

RATE = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
FHIR = "/fhir/R4/Patient/john"
# Paths, methods and what they answer to a key: the headers are on all of them.
ANSWERS = [
    ("GET", PATH, 200),
    ("POST", PATH, 400),
    ("PUT", PATH, 405),
    ("GET", f"{PATH}nothing/", 404),
    ("GET", "/api/v1/nothing/", 404),
    ("GET", "/fhir/R4/metadata", 200),
    ("GET", FHIR, 404),
    ("POST", FHIR, 405),
    ("GET", "/fhir/R5/nothing/at/all", 404),
]


def _rate(answer: httpx.Response) -> tuple[int, ...]:
    return tuple(int(answer.headers[name]) for name in RATE)


async def _call(api: Api, method: str, path: str, **headers: str) -> httpx.Response:
    return await api.http.request(method, path, headers={"Authorization": f"Bearer {api.key}"} | headers)


@pytest.fixture
def present(clock: Clock) -> Clock:
    """The clock at the present: MongoDB removes counters of the past by its own clock."""
    clock.moment = clocks.now().replace(second=0, microsecond=0)
    return clock


httpdate = partial(format_datetime, usegmt=True)


class TestWhatBrowsersAndProxiesMayDo:
    @pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
    async def test_answers_of_the_apis_are_kept_by_nobody(self, api: Api, method: str, path: str, status: int) -> None:
        answer = await _call(api, method, path)
        assert answer.status_code == status
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize(
        ("path", "sent", "status"),
        [(FHIR, {}, 200), (f"{FHIR}/_history/1", {}, 200), (FHIR, {"If-None-Match": 'W/"1"'}, 304)],
    )
    async def test_nor_is_a_version_which_another_keys_data_may_have_too(
        self, api: Api, store: Store, path: str, sent: dict[str, str], status: int
    ) -> None:
        """Chromium asks with the tag of what it keeps for another key, whatever Vary says (RFC 9111 section 4.1)."""
        await put(store, {"resourceType": "Patient", "id": "john"})
        answer = await _call(api, "GET", path, **sent)
        assert (answer.status_code, answer.headers["etag"]) == (status, 'W/"1"')
        assert answer.headers.get_list("cache-control") == ["private, no-store"]

    @pytest.mark.parametrize("path", ["/healthz", "/docs", "/nothing"])
    async def test_what_is_nobodys_says_nothing_of_caches(self, api: Api, path: str) -> None:
        answer = await _call(api, "GET", path)
        assert "cache-control" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"


class TestDate:
    async def test_nothing_was_changed_after_the_answer_that_tells_of_it(self, api: Api, clock: Clock) -> None:
        """https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.1"""
        for _ in range(2):
            answer = await api.put("/fhir/R4/Patient/p", {"resourceType": "Patient", "id": "p"})
            assert answer.headers["date"] == answer.headers["last-modified"] == httpdate(clock.moment)
            clock.advance(milliseconds=1_700)

    @pytest.mark.parametrize(("path", "status"), [(PATH, 200), ("/fhir/R4/Nothing", 404), ("/healthz", 200)])
    async def test_every_answer_has_one(self, api: Api, clock: Clock, path: str, status: int) -> None:
        answer = await api.get(path)
        assert (answer.status_code, answer.headers.get_list("date")) == (status, [httpdate(clock.moment)])


class TestRequestId:
    @pytest.mark.parametrize("path", [PATH, "/healthz"])
    async def test_a_usable_one_is_echoed(self, api: Api, path: str) -> None:
        for given in ("x", "6f1c", "a" * 128, "!~", "trace/1;b=2"):
            assert (await api.get(path, headers={"X-Request-Id": given})).headers["X-Request-Id"] == given

    async def test_an_unusable_one_is_replaced(self, api: Api) -> None:
        for given in ("", "a" * 129, "two words", "tab\t", "é", "a\x7f"):
            answer = await api.http.get("/healthz", headers=[(b"X-Request-Id", given.encode("latin-1"))])
            assert len(answer.headers["X-Request-Id"]) == 36, given

    async def test_the_clients_own_id_comes_back_as_the_correlation_id(self, api: Api) -> None:
        for sent, correlated in (
            ({}, None),
            ({"X-Request-Id": "mine"}, None),
            ({"X-Request-Id": "two words"}, "two words"),
            ({"X-Request-Id": "a" * 129}, "a" * 129),
            ({"X-Request-Id": "mine", "X-Correlation-Id": "flow 7"}, "flow 7"),
            ({"X-Request-Id": "two words", "X-Correlation-Id": "flow"}, "flow"),
            ({"X-Correlation-Id": "a" * 1_025}, None),
            ({"X-Correlation-Id": "a\x7f"}, None),
        ):
            for path in ("/healthz", "/fhir/R4/nothing"):
                answer = await api.get(path, headers=sent)
                assert answer.headers.get("X-Correlation-Id") == correlated, sent

    async def test_each_request_without_one_gets_its_own(self, api: Api) -> None:
        answers = [await api.get("/healthz") for _ in range(3)]
        assert len({answer.headers["X-Request-Id"] for answer in answers}) == 3

    async def test_it_is_on_refusals_too(self, api: Api) -> None:
        for method, path, status in ANSWERS:
            answer = await _call(api, method, path, **{"X-Request-Id": "mine"})
            assert (answer.status_code, answer.headers["X-Request-Id"]) == (status, "mine"), path

    async def test_it_is_on_401_413_429_and_500_too(self, make_service: ServiceMaker, make_api: ApiMaker) -> None:
        api: Api = await make_api(make_service(rate_limit_test=3))
        await _break(api.service.stores["test"])
        headers = {"X-Request-Id": "mine"}
        with recorded():
            answers = [
                await api.http.get(PATH, headers=headers),
                await api.post(PATH, content=b" " * 6_000_000, headers=headers),
                await api.get(f"{PATH}broken/", headers=headers),
                await api.get("/fhir/R4/metadata", headers=headers),
                await api.get(PATH, headers=headers),
            ]
        assert [answer.status_code for answer in answers] == [401, 413, 500, 200, 429]
        assert {answer.headers["X-Request-Id"] for answer in answers} == {"mine"}


class TestRateLimit:
    async def test_its_three_headers_are_on_every_answer(
        self, make_service: ServiceMaker, make_api: ApiMaker, present: Clock
    ) -> None:
        api: Api = await make_api(make_service(rate_limit_test=50))
        for number, (method, path, status) in enumerate(ANSWERS, 1):
            answer = await _call(api, method, path)
            assert answer.status_code == status, path
            assert _rate(answer) == (50, 50 - number, int(present.moment.timestamp()) + 60), path

    async def test_they_are_on_the_answer_to_a_caller_without_a_key(
        self, make_service: ServiceMaker, make_api: ApiMaker, present: Clock
    ) -> None:
        api: Api = await make_api(make_service(rate_limit_test=3))
        answers = [await api.http.get(PATH) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
        assert [_rate(answer)[1] for answer in answers] == [2, 1, 0, 0]
        assert (await api.get(PATH)).status_code == 200  # who has a key is counted apart

    async def test_one_request_too_many_is_429_until_the_minute_is_over(
        self, make_service: ServiceMaker, make_api: ApiMaker, present: Clock
    ) -> None:
        api: Api = await make_api(make_service(rate_limit_test=3))
        for remaining in (2, 1, 0):
            assert _rate(await api.get(PATH))[1] == remaining
        present.advance(seconds=20)
        answer = await api.get(PATH)
        error = refused(answer, 429, ("rate_limit_exceeded", None))
        assert error["retry_after"] == 40
        assert answer.headers["Retry-After"] == "40"
        assert _rate(answer)[:2] == (3, 0)
        present.advance(seconds=40)
        assert (await api.get(PATH)).status_code == 200

    async def test_a_fhir_caller_gets_an_operation_outcome(
        self, make_service: ServiceMaker, make_api: ApiMaker, present: Clock
    ) -> None:
        api: Api = await make_api(make_service(rate_limit_test=1))
        await api.get(FHIR)
        answer = await api.get(FHIR)
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["issue"][0]["code"] == "throttled"

    async def test_it_is_a_setting_of_each_mode_and_of_each_key(
        self, make_service: ServiceMaker, make_api: ApiMaker, present: Clock
    ) -> None:
        service: Service = make_service(rate_limit_test=5, rate_limit_live=7)
        test, live = await make_api(service), await make_api(service, mode="live")
        assert [_rate(await api.get(PATH))[0] for api in (test, live)] == [5, 7]
        _, secret = await service.keys["test"].create("own", parse(["appointments:read"]), rate_limit=2)
        headers = {"Authorization": f"Bearer {secret}"}
        assert [(await test.http.get(PATH, headers=headers)).status_code for _ in range(3)] == [200, 200, 429]

    async def test_0_is_none(self, make_service: ServiceMaker, make_api: ApiMaker, present: Clock) -> None:
        api: Api = await make_api(make_service(rate_limit_test=0))
        rates = {_rate(await api.get(PATH))[:2] for _ in range(5)}
        assert rates == {(2**31 - 1, 2**31 - 1)}

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"])
    async def test_who_runs_the_service_is_not_limited(
        self, make_service: ServiceMaker, make_api: ApiMaker, present: Clock, path: str
    ) -> None:
        api: Api = await make_api(make_service(rate_limit_test=1))
        assert {(await api.http.get(path)).status_code for _ in range(3)} == {200}


class TestLargestBody:
    @pytest.mark.parametrize(("size", "status"), [(2_048, 400), (2_049, 413)])
    async def test_it_is_a_setting(
        self, make_service: ServiceMaker, make_api: ApiMaker, size: int, status: int
    ) -> None:
        api: Api = await make_api(make_service(max_body_bytes=2_048))

        async def in_parts() -> AsyncIterator[bytes]:
            for _ in range(size):
                yield b" "

        for content in (b" " * size, in_parts()):
            answer = await api.post(PATH, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == status

    async def test_a_size_that_is_no_number_is_not_believed(self, api: Api) -> None:
        headers = {"Content-Length": "many", "Content-Type": "application/json"}
        malformed(await api.post(PATH, content=b" ", headers=headers), None)


async def _break(store: Store) -> None:
    """Store an Appointment that no door would take, and none can show."""
    broken = b'{"meta":"John Doe","participant":["John Doe"]}'
    await store.database["Appointment"].insert_one({"_id": "broken", "_json": broken})


class TestFaults:
    async def test_a_fault_of_ours_is_a_whole_answer_without_its_inside(self, api: Api, store: Store) -> None:
        await _break(store)
        with recorded():
            error = refused(await api.get(f"{PATH}broken/"), 500, ("api_error", None))
        assert "log" in error["message"]

    async def test_a_fault_on_a_fhir_path_is_an_operation_outcome(self, api: Api, store: Store) -> None:
        await _break(store)
        with recorded():
            answer = await api.get("/fhir/R4/Appointment/broken")
        assert answer.status_code == 500
        assert answer.json()["issue"][0]["code"] == "exception"

    async def test_a_fault_in_the_middle_of_an_answer_cuts_it_off(self, service: Service) -> None:
        app = create_app(service)

        @app.get("/half")
        async def half() -> Any:
            from starlette.responses import StreamingResponse

            async def parts() -> AsyncIterator[bytes]:
                yield b"the first half"
                raise RuntimeError("the second half is missing")

            return StreamingResponse(parts())

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
            with recorded() as records, pytest.raises(Exception, match="api_error"):
                await client.get("/half")
        assert "request_failed" in records.text


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_fault(api: Api, store: Store) -> None:
    sent: list[Any] = []
    parts = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {api.key}".encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": headers}
    with recorded() as records:
        await create_app(api.service)(scope, receive, send)
    assert sent == []
    assert [(line["event"], line["status"]) for line in records.lines] == [("request", 499)]


async def test_what_is_not_http_is_passed_on(service: Service) -> None:
    sent: list[Any] = []
    incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await create_app(service)({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


NOWHERE = "mongodb://%2Fnowhere%2Fm.sock/?directConnection=true"


class TestDeadMongoDB:
    """A service whose MongoDB is a socket on which nobody listens."""

    async def test_every_door_says_so_in_time_with_the_headers_of_every_answer(
        self, api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keyring, "PATIENCE", 0.5)
        dead = build(Settings(_env_file=None), "mongodb://%2Fnowhere%2Fm.sock/?directConnection=true", clock)
        transport = httpx.ASGITransport(app=create_app(dead), raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {api.key}"}
        with recorded():
            async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers) as client:
                listed, booked, read, ready, alive = await asyncio.gather(
                    client.get(PATH),
                    client.post(PATH, json=booking()),
                    client.get(FHIR),
                    client.get("/readyz"),
                    client.get("/healthz"),
                )
            await dead.close()
        for answer in (listed, booked):
            refused(answer, 503, ("service_unavailable", None))
        for answer in (listed, booked, read):
            assert answer.headers["Retry-After"] == "1"
            assert _rate(answer)[0] == 100
        assert (read.status_code, read.json()["issue"][0]["code"]) == (503, "transient")
        assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
        assert (alive.status_code, alive.json()) == (200, {"status": "alive"})

    async def test_so_it_is_where_the_key_is_known_already(self, api: Api, clock: Clock) -> None:
        live = api.service
        dead = build(live.settings, NOWHERE, clock)
        gone = Store(dead.client, "x", now=clock, timeout=0.2)
        service = replace(live, stores={"test": gone, "live": gone})
        headers = {"Authorization": f"Bearer {api.key}"}
        with recorded():
            transport = httpx.ASGITransport(app=create_app(service), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers) as client:
                for call in (client.get(PATH), client.get(f"{PATH}x/"), client.post(PATH, json=booking())):
                    answer = await call
                    refused(answer, 503, ("service_unavailable", None))
                    assert answer.headers["Retry-After"] == "1"
        await dead.close()


async def test_what_is_under_way_when_the_service_is_stopped_gets_a_whole_answer(service: Service) -> None:
    """The server cancels it when its grace is over; a body that never came in whole is such a one."""
    for path in (PATH, "/fhir/R4/Patient"):
        sent: list[Any] = []
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"100")],
            "client": ("127.0.0.1", 1),
        }
        waiting = asyncio.Event()

        async def receive(waiting: asyncio.Event = waiting) -> Any:
            waiting.set()
            await asyncio.Event().wait()

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()

        scope["app"] = create_app(service)
        task = asyncio.create_task(Gate(app, service)(scope, receive, send))
        await waiting.wait()
        task.cancel()
        await task
        assert sent[0]["status"] == 503
        headers = dict(sent[0]["headers"])
        assert headers[b"connection"] == b"close"
        assert b"service_unavailable" in sent[1]["body"]


async def test_what_is_being_answered_then_is_cut_off(service: Service) -> None:
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/healthz", "query_string": b"", "headers": []}
    task = asyncio.create_task(Gate(app, service)(scope, None, send))  # type: ignore[arg-type]  # nothing is received
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_answer_that_has_begun_may_take_longer_than_a_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "REQUEST_SECONDS", 0.05)
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.1)
        await bounded(lambda: asyncio.sleep(0.01), 5)  # as each call of the store
        await send({"type": "http.response.body", "body": b"the rest"})

    async def send(message: Any) -> None:
        sent.append(message)

    for path, ends in (("/begun", b"the rest"), ("/not-begun", b"service_unavailable")):
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
        await Gate(app, service)(scope, None, send)  # type: ignore[arg-type]  # nothing is received
        assert ends in sent[-1]["body"]


async def test_a_fhir_path_may_have_a_slash_at_its_end(api: Api) -> None:
    assert (await api.put("/fhir/R4/Patient/p/", {"resourceType": "Patient", "id": "p"})).status_code == 201
    for path in ("/fhir/R4/", "/fhir/R4/Patient/", "/fhir/R4/Patient/p/", "/fhir/R4/metadata/"):
        answer = await api.get(path)
        assert answer.status_code == 200, path
        assert not answer.history
    assert (await api.get("/fhir/R4/Patient//")).status_code == 404
