"""Unknown paths and methods, in the shape of the API that was called."""

from __future__ import annotations

import httpx
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from adapter.app import create_app
from adapter.errors import Problem, Refused
from adapter.fhir.outcome import outcome
from adapter.refusals import unexpected
from adapter.service import Service
from store.errors import StoreError
from tests.adapter.mediloop.clinic import ACTIONS, PATH, action_path, refused
from tests.adapter.records import recorded
from tests.conftest import Api

METHODS = {
    PATH: "GET, HEAD, POST",
    f"{PATH}x/": "GET, HEAD",
    f"{PATH}availability/": "GET, HEAD",
    f"{PATH}by-patient/": "GET, HEAD",
    f"{PATH}by-practitioner/": "GET, HEAD",
    **{action_path("x", action): "POST" for action in ACTIONS},
    "/healthz": "GET, HEAD",
    "/readyz": "GET, HEAD",
    "/metrics": "GET, HEAD",
    "/docs": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
}
FHIR_METHODS = {
    "/fhir/R4/metadata": "GET, HEAD",
    "/fhir/R4/_history": "GET, HEAD",
    "/fhir/R4/Patient/x/_history/1": "GET, HEAD",
    "/fhir/R4/Patient/x": "GET, HEAD, PUT, PATCH, DELETE",
    "/fhir/R4": "GET, HEAD, POST",
}
ALL = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


async def _call(api: Api, method: str, path: str) -> httpx.Response:
    return await api.http.request(method, path, headers={"Authorization": f"Bearer {api.key}"})


def _outcome(answer: httpx.Response, status: int, code: str, issue: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    read = OperationOutcome.model_validate_json(answer.content)
    assert [(one.severity, one.code) for one in read.issue] == [("error", issue)]
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == code


@pytest.mark.parametrize("path", METHODS)
async def test_a_method_that_a_path_does_not_take_is_405_and_allow_names_all_that_it_takes(api: Api, path: str) -> None:
    for spelling in (path, path.rstrip("/")):
        for method in [method for method in ALL if method not in METHODS[path]]:
            answer = await _call(api, method, spelling)
            refused(answer, 405, ("method_not_allowed", None))
            assert answer.headers["Allow"] == METHODS[path]


@pytest.mark.parametrize("path", FHIR_METHODS)
async def test_on_a_fhir_path_405_is_an_operation_outcome(api: Api, path: str) -> None:
    for method in {"POST", "PUT", "PATCH", "DELETE"} - set(FHIR_METHODS[path].split(", ")):
        answer = await _call(api, method, path)
        _outcome(answer, 405, "method_not_allowed", "not-supported")
        assert answer.headers["Allow"] == FHIR_METHODS[path]


UNKNOWN = (
    "/api/v1",
    "/api/v1/",
    "/api/v2/appointments/",
    "/api/v1/appointment/",
    f"{PATH}x/y/",
    f"{PATH}x/cancel/again/",
    f"{PATH}/",
    "/nothing",
    "/healthz/",
    "/%00",
    "/API/v1/appointments/",
)


@pytest.mark.parametrize("keyed", [True, False])
async def test_an_unknown_path_is_404_with_or_without_a_key(api: Api, keyed: bool) -> None:
    for path in UNKNOWN:
        answer = await (_call(api, "GET", path) if keyed else api.http.get(path))
        refused(answer, 404, ("not_found", None))


async def test_an_unknown_fhir_path_is_an_operation_outcome(api: Api) -> None:
    for path in ("/fhir", "/fhir/", "/fhir/R5/Patient/x", "/fhir/R4/a/b/_c/d"):
        _outcome(await _call(api, "GET", path), 404, "not_found", "not-found")


async def test_an_action_that_there_is_none_of_is_404(api: Api) -> None:
    for action in ("confirm", "checkin", "check_in", "no-show", "CANCEL"):
        refused(await api.post(action_path("x", action)), 404, ("not_found", None))


async def test_another_http_error_of_the_framework_keeps_its_status(service: Service) -> None:
    app = create_app(service)

    @app.get("/teapot")
    async def teapot() -> None:
        from fastapi import HTTPException

        raise HTTPException(418, "short and stout.")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        answer = await client.get("/teapot")
    assert refused(answer, 418, ("invalid_request_error", None))["message"] == "short and stout."


async def test_a_fault_of_the_store_is_a_500(service: Service) -> None:
    app = create_app(service)

    @app.get("/fault")
    async def fault() -> None:
        raise StoreError("nobody foresaw this")

    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        with recorded():
            answer = await client.get("/fault")
    refused(answer, 500, ("api_error", None))


def test_an_operation_outcome_has_an_issue_for_each_problem() -> None:
    problems = [Problem("one", "One is wrong.", "Appointment.start"), Problem("two", "Two is wrong.")]
    raw = outcome(Refused(problems, status=422), "https://example.org/fhir")
    read = OperationOutcome.model_validate_json(raw).model_dump()
    assert [(issue["code"], issue.get("expression"), issue["details"]["text"]) for issue in read["issue"]] == [
        ("business-rule", ["Appointment.start"], "One is wrong."),
        ("business-rule", None, "Two is wrong."),
    ]
    [coding] = read["issue"][0]["details"]["coding"]
    assert coding == {"system": "https://example.org/fhir/CodeSystem/operation-outcome", "code": "one"}


def test_the_words_for_an_unexpected_fault_promise_nothing_that_may_be_untrue() -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        [problem] = unexpected(method).problems
        assert "request id" in problem.message
        assert "nothing was changed" not in problem.message  # a fault may come after the commit
        assert ("not known" in problem.message) == (method not in ("GET", "HEAD"))
