"""Refusals that are shared."""

from __future__ import annotations

import pytest

from adapter.fhir.refusing import clashed, not_allowed, unknown_type
from store.errors import AlreadyExists, NotUnique


@pytest.mark.parametrize(
    ("clash", "code", "issue"),
    [(AlreadyExists("x"), "exists", None), (NotUnique("x"), "duplicate_identifier", "duplicate")],
)
def test_clashes_are_conflicts(clash: AlreadyExists | NotUnique, code: str, issue: str | None) -> None:
    refused = clashed(clash)
    assert (refused.status, [(one.code, one.issue) for one in refused.problems]) == (409, [(code, issue)])


def test_what_is_not_here() -> None:
    assert (unknown_type("Device").status, unknown_type("Device").problems[0].issue) == (404, "not-supported")
    refused = not_allowed("GET", "HEAD")
    assert (refused.status, refused.headers) == (405, {"Allow": "GET, HEAD"})
