"""Formats, preferences, versions and dates of requests, by what FHIR's and HTTP's texts say of each."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from adapter.errors import Malformed, NotAcceptable, UnsupportedMediaType
from adapter.fhir import negotiation
from adapter.fhir.negotiation import (
    FHIR_JSON,
    FORM,
    JSON_PATCH,
    Format,
    Preferences,
    as_http_date,
    header,
    http_date,
    matches,
    preferences,
    request_format,
    response_format,
    version_headers,
)

FHIR = "application/fhir+json; charset=utf-8"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def answered(accept: str | None = None, **query: str) -> str:
    headers = Headers({} if accept is None else {"accept": accept})
    return response_format(headers, tuple((f"_{name}", value) for name, value in query.items())).media_type


class TestAnswers:
    @pytest.mark.parametrize(
        ("accept", "expected"),
        [
            (None, FHIR),
            ("", FHIR),
            ("*/*", FHIR),
            ("application/*", FHIR),
            (BROWSER, FHIR),
            ("application/fhir+json", FHIR),
            ("Application/FHIR+JSON", FHIR),
            ("application/fhir+json; charset=UTF-8", FHIR),
            ("application/json", "application/json; charset=utf-8"),
            ("text/json", "text/json; charset=utf-8"),
            ("text/*", "text/json; charset=utf-8"),
            ("application/json+fhir", "application/json+fhir; charset=utf-8"),
            # Generic but named goes before a wildcard: what axios sends.
            ("application/json, text/plain, */*", "application/json; charset=utf-8"),
            ("application/json, application/fhir+json", FHIR),
            ("application/json;q=0.9, application/fhir+json;q=0.8", "application/json; charset=utf-8"),
            ("application/fhir+xml, application/fhir+json;q=0.5", FHIR),
            ("application/fhir+json;q=0, */*", "application/json; charset=utf-8"),
            ("application/fhir+json;q=0, application/json;q=0, */*;q=0.1", "text/json; charset=utf-8"),
            ("application/fhir+json;q=high, application/json", "application/json; charset=utf-8"),
            ("application/fhir+json; fhirVersion=4.0", "application/fhir+json; fhirVersion=4.0; charset=utf-8"),
            ('application/fhir+json;fhirversion="4.0"', "application/fhir+json; fhirVersion=4.0; charset=utf-8"),
            ("application/json; fhirVersion=4.0", "application/json; fhirVersion=4.0; charset=utf-8"),
            ("application/fhir+json; fhirVersion=4.0.1", "application/fhir+json; fhirVersion=4.0; charset=utf-8"),
            ("application/fhir+json; fhirVersion=5.0, application/fhir+json; q=0.1", FHIR),
        ],
    )
    def test_accept(self, accept: str | None, expected: str) -> None:
        assert answered(accept) == expected

    @pytest.mark.parametrize(
        "accept",
        [
            "application/fhir+xml",
            "text/html",
            "text/turtle, application/xml",
            "application/fhir+json; fhirVersion=4.3",
            "application/fhir+json; fhirVersion=5.0",
            "*/*; q=0",
            "application/fhir+json; q=2",
            "nonsense",
        ],
    )
    def test_what_is_not_json_of_this_version_is_406(self, accept: str) -> None:
        with pytest.raises(NotAcceptable, match="application/fhir\\+json") as refused:
            answered(accept)
        assert refused.value.status == 406
        assert refused.value.problems[0].param == "Accept"

    def test_several_headers_are_one_list(self) -> None:
        headers = Headers(raw=[(b"accept", b"text/html"), (b"accept", b"application/json")])
        assert response_format(headers, ()).media_type == "application/json; charset=utf-8"

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ("json", FHIR),
            ("JSON", FHIR),
            ("application/fhir+json", FHIR),
            ("application/fhir json", FHIR),  # what a bare plus of a query is read as
            ("application/fhir json; fhirVersion=4.0.1", "application/fhir+json; fhirVersion=4.0; charset=utf-8"),
            ("application/json fhir", "application/json+fhir; charset=utf-8"),
            ("application/json", "application/json; charset=utf-8"),
            ("text/json", "text/json; charset=utf-8"),
            ("", FHIR),
        ],
    )
    def test_format_goes_before_accept(self, asked: str, expected: str) -> None:
        assert answered("text/json;q=0, */*", format=asked) == expected

    @pytest.mark.parametrize(
        "asked",
        ["xml", "application/fhir+xml", "text/xml", "ttl", "html", "application/fhir+json; fhirVersion=4.3", "j"],
    )
    def test_another_format_is_406_whatever_accept_says(self, asked: str) -> None:
        with pytest.raises(NotAcceptable) as refused:
            answered("application/fhir+json", format=asked)
        assert refused.value.problems[0].param == "_format"

    def test_pretty(self) -> None:
        headers = Headers({})
        assert response_format(headers, (("_pretty", "true"),)) == Format(FHIR, pretty=True)
        assert not response_format(headers, (("_pretty", "false"),)).pretty

    @given(st.text(max_size=40))
    def test_any_accept_is_answered_or_refused(self, text: str) -> None:
        for query in ({}, {"format": text}):
            with contextlib.suppress(NotAcceptable):
                assert answered(text.encode().decode("latin-1"), **query).endswith("; charset=utf-8")


def sent(content_type: str | None, method: str = "POST", *, form: bool = False, empty: bool = False) -> str:
    headers = Headers({} if content_type is None else {"content-type": content_type})
    return request_format(headers, method=method, form=form, empty=empty)


class TestBodies:
    @pytest.mark.parametrize(
        "content_type",
        [
            "application/fhir+json",
            "application/fhir+json; charset=utf-8; fhirVersion=4.0.1",
            'application/json;charset="UTF-8"',
            "text/json",
            "application/json+fhir",
        ],
    )
    def test_json_is_fhir(self, content_type: str) -> None:
        for method in ("POST", "PUT", "PATCH"):
            assert sent(content_type, method) == FHIR_JSON

    def test_a_patch_may_be_a_json_patch(self) -> None:
        assert sent("application/json-patch+json; charset=utf-8", "PATCH") == JSON_PATCH
        with pytest.raises(UnsupportedMediaType):
            sent("application/json-patch+json", "PUT")

    def test_a_search_by_post_is_a_form_and_nothing_else(self) -> None:
        assert sent("application/x-www-form-urlencoded; charset=utf-8", form=True) == FORM
        for other in ("application/fhir+json", None):
            with pytest.raises(UnsupportedMediaType, match="x-www-form-urlencoded"):
                sent(other, form=True)
        with pytest.raises(UnsupportedMediaType):
            sent("application/x-www-form-urlencoded")

    def test_without_a_body_its_type_does_not_matter(self) -> None:
        for content_type in (None, "application/fhir+xml"):
            assert sent(content_type, empty=True) == FHIR_JSON
            assert sent(content_type, form=True, empty=True) == FORM

    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "application/fhir+xml",
            "application/merge-patch+json",
            "application/xml-patch+xml",
            "text/plain",
            "application/fhir+json; fhirVersion=4.3",
            "application/fhir+json; charset=iso-8859-1",
        ],
    )
    def test_anything_else_is_415(self, content_type: str | None) -> None:
        for method in ("POST", "PATCH"):
            with pytest.raises(UnsupportedMediaType) as refused:
                sent(content_type, method)
            assert refused.value.status == 415
            assert refused.value.problems[0].param == "Content-Type"

    def test_a_refused_patch_is_told_what_is_taken(self) -> None:
        with pytest.raises(UnsupportedMediaType, match=r"JSON Patch.*FHIRPath Patch") as refused:
            sent("application/merge-patch+json", "PATCH")
        assert refused.value.headers == {"Accept-Patch": "application/json-patch+json, application/fhir+json"}


class TestPrefer:
    @pytest.mark.parametrize(
        ("prefer", "expected"),
        [
            (None, Preferences()),
            ("", Preferences()),
            ("return=minimal", Preferences("minimal")),
            ("RETURN = Representation", Preferences("representation")),
            ("return=operationoutcome", Preferences("OperationOutcome")),
            ('return="minimal"', Preferences("minimal")),
            ("handling=strict", Preferences(None, "strict")),
            ("return=minimal, handling=lenient", Preferences("minimal", "lenient")),
            ("handling=strict; return=minimal", Preferences("minimal", "strict")),
            ("respond-async, return=minimal", Preferences("minimal")),
            ("return=minimal, return=representation", Preferences("minimal")),
            ("return=nothing, wait=10, handling", Preferences()),
        ],
    )
    def test_what_is_read(self, prefer: str | None, expected: Preferences) -> None:
        assert preferences(prefer) == expected

    def test_what_was_applied_is_told(self) -> None:
        assert preferences("handling=strict;return=minimal").applied == "return=minimal, handling=strict"
        assert preferences("respond-async").applied is None
        assert preferences("handling=strict").strict
        assert not preferences("handling=lenient").strict


class TestVersions:
    @pytest.mark.parametrize("tags", ['W/"3"', '"3"', "3", "W/3", 'w/"3"', "*", '"1", W/"3"', "1,2,3", ' W/"3" '])
    def test_every_way_to_name_a_version(self, tags: str) -> None:
        assert matches(tags, 3)

    @pytest.mark.parametrize("tags", ['W/"2"', '"33"', '"03"', "", '"1", W/"2"', '"*"', '"', "W/"])
    def test_other_versions(self, tags: str) -> None:
        assert not matches(tags, 3)

    def test_what_is_not_there_matches_nothing(self) -> None:
        assert not matches("*", None)
        assert not matches('W/"None"', None)

    @given(st.text(max_size=30), st.integers(1, 99))
    def test_any_header_is_read(self, tags: str, version: int) -> None:
        assert matches(tags, version) in (True, False)

    def test_headers(self) -> None:
        meta = {"versionId": "7", "lastUpdated": "2024-03-01T12:00:00.123+03:00"}
        assert version_headers(meta) == {"ETag": 'W/"7"', "Last-Modified": "Fri, 01 Mar 2024 09:00:00 GMT"}


class TestDates:
    @pytest.mark.parametrize(
        "text",
        [
            "Fri, 01 Mar 2024 09:00:00 GMT",
            "Fri, 01 Mar 2024 09:00:00 -0000",
            "Fri, 01 Mar 2024 12:00:00 +0300",
            "Friday, 01-Mar-24 09:00:00 GMT",
        ],
    )
    def test_read(self, text: str) -> None:
        assert http_date(text) == datetime(2024, 3, 1, 9, tzinfo=UTC)

    @pytest.mark.parametrize("text", [None, "", "yesterday", "2024-03-01", "Fri, 32 Mar 2024 09:00:00 GMT"])
    def test_malformed_ones_are_ignored(self, text: str | None) -> None:
        assert http_date(text) is None

    @given(st.text(max_size=40))
    def test_no_text_breaks_it(self, text: str) -> None:
        read = http_date(text)
        assert read is None or read.tzinfo is UTC

    @given(st.datetimes(timezones=st.timezones()))
    def test_one_is_written_as_the_library_does(self, moment: datetime) -> None:
        with contextlib.suppress(OverflowError):
            assert as_http_date(moment) == format_datetime(moment.astimezone(UTC), usegmt=True)


class TestHeader:
    def read(self, name: str, *lines: str, encoding: str = "utf-8") -> str:
        return header(Headers(raw=[(name.encode(), line.encode(encoding)) for line in lines]), name)

    @pytest.mark.parametrize("name", ["if-match", "if-none-match", "prefer"])
    def test_a_list_in_several_lines_is_one_list(self, name: str) -> None:
        assert self.read(name, 'W/"1"', 'W/"2"') == 'W/"1", W/"2"'

    def test_of_what_is_no_list_the_first_counts(self) -> None:
        assert self.read("if-modified-since", "Fri, 01 Mar 2024 09:00:00 GMT", "x") == "Fri, 01 Mar 2024 09:00:00 GMT"

    def test_criteria_are_utf_8(self) -> None:
        assert self.read("if-none-exist", "identifier=urn:clinic|Zoë-1") == "identifier=urn:clinic|Zoë-1"
        with pytest.raises(Malformed, match="UTF-8") as refused:
            self.read("if-none-exist", "identifier=urn:clinic|Zoë-1", encoding="latin-1")
        assert refused.value.problems[0].param == "If-None-Exist"

    def test_criteria_stand_in_one_line(self) -> None:
        with pytest.raises(Malformed, match="twice") as refused:
            self.read("if-none-exist", "identifier=urn:clinic|1", "family=Okello")
        assert refused.value.problems[0].param == "If-None-Exist"

    def test_the_key_of_a_request_stands_in_one_line(self) -> None:
        assert self.read("x-idempotency-key", "k1") == "k1"
        with pytest.raises(Malformed, match="twice") as refused:
            self.read("x-idempotency-key", "k1", "k2")
        assert refused.value.problems[0].param == "X-Idempotency-Key"


LONG = "application/fhir+json" + ";a=b" * 1_000


@pytest.mark.parametrize(
    "ask",
    [
        lambda text: response_format(Headers({"accept": text}), ()),
        lambda text: response_format(Headers(), (("_format", text),)),
        lambda text: request_format(Headers({"content-type": text}), method="POST", form=False, empty=False),
    ],
)
def test_long_headers_are_not_remembered(monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], object]) -> None:
    read: list[str] = []
    real = negotiation._media_type

    def noted(text: str) -> tuple[str, dict[str, str]]:
        read.append(text)
        return real(text)

    monkeypatch.setattr(negotiation, "_media_type", noted)
    for text, times in ((FHIR_JSON + ";x=y", 1), (LONG, 2)):
        read.clear()
        ask(text)
        ask(text)
        assert len(read) == times


def test_nor_are_long_preferences() -> None:
    text = "return=minimal," + "a" * 1_000
    held = sys.getrefcount(text)
    assert preferences(text).returns == "minimal"
    assert sys.getrefcount(text) == held
