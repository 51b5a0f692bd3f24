"""The vocabulary of refusals."""

from __future__ import annotations

import json

import pytest

from adapter import errors
from adapter.errors import Problem, Refused
from adapter.mediloop.errors import envelope, error_type


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.Refused, 500),
        (errors.Malformed, 400),
        (errors.Forbidden, 403),
        (errors.NotFound, 404),
        (errors.Conflict, 409),
        (errors.TooLarge, 413),
        (errors.UnsupportedMediaType, 415),
        (errors.Unprocessable, 422),
        (errors.RateLimited, 429),
        (errors.Unavailable, 503),
    ],
)
def test_each_kind_has_its_status(kind: type[Refused], status: int) -> None:
    assert kind(Problem("x", "X.")).status == status
    assert kind(Problem("x", "X."), status=418).status == 418


def test_a_refusal_tells_all_its_problems() -> None:
    refusal = errors.Conflict([Problem("a", "A."), Problem("b", "B.")], headers={"Retry-After": "1"})
    assert str(refusal) == "a: A.; b: B."
    assert refusal.headers == {"Retry-After": "1"}


def test_a_few_of_many_problems_are_named_and_the_others_counted() -> None:
    problems = [Problem("a", "A.", f"p{index}", issue="value", severity="warning") for index in range(103)]
    assert errors.few(problems[:100]) == problems[:100]
    *named, last = errors.few(problems)
    assert named == problems[:100]
    assert (last.code, last.param, last.issue, last.severity) == ("further_problems", None, "value", "warning")
    assert last.message.startswith("There are 3 further problems.")


def test_401_says_how_to_authenticate() -> None:
    refusal = errors.Unauthenticated(Problem("x", "X."))
    assert (refusal.status, refusal.headers) == (401, {"WWW-Authenticate": 'Bearer realm="mediloop-fhir"'})


# https://docs.mediloop.co/docs/errors: the five types.
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "validation_error"),
        (401, "authentication_error"),
        (403, "authentication_error"),
        (404, "invalid_request_error"),
        (405, "invalid_request_error"),
        (409, "invalid_request_error"),
        (413, "invalid_request_error"),
        (415, "invalid_request_error"),
        (422, "validation_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "api_error"),
    ],
)
def test_each_status_has_a_documented_type(status: int, kind: str) -> None:
    assert error_type(status) == kind


def test_the_envelope_shows_the_first_problem_and_holds_them_all() -> None:
    problems = [Problem("a", "A.", "x", {"slots": ["s"]}), Problem("b", "B.")]
    error = json.loads(envelope(Refused(problems, status=409)))["error"]
    first = {"code": "a", "message": "A.", "type": "invalid_request_error", "param": "x", "slots": ["s"]}
    assert error.pop("errors") == [first, {"code": "b", "message": "B.", "type": "invalid_request_error"}]
    assert error == first | {"doc_url": "https://docs.mediloop.co/errors/invalid_request_error"}
