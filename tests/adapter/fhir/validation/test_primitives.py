"""FHIR's primitive types: what each takes in JSON, and what not."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.fhir.validation.primitives import LANGUAGE, PRIMITIVES
from store.codec import ExactDecimal

TAKEN: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": [0, -1, 2147483647, -2147483648],
    "unsignedInt": [0, 2147483647],
    "positiveInt": [1, 2147483647],
    "decimal": [0, -5, ExactDecimal("1.10"), ExactDecimal("1e-5"), 1.5, 10**17],
    "string": ["x", " ", "a\nb", "é"],
    "markdown": ["# x\n\ny"],
    "id": ["1", "A.b-9", "x" * 64],
    "elementId": ["a", "x" * 100],
    "code": ["a", "a b", "en-UG", "<="],
    "uri": ["https://example.org/é?a=b#c", "urn:x", "#a", "Patient/1"],
    "url": ["mailto:a@example.org"],
    "canonical": ["http://example.org/x|1.0"],
    "oid": ["urn:oid:1.2.840.0", "urn:oid:2.16"],
    "uuid": ["urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"],
    "base64Binary": ["AAAA", "QUI=", "QQ==", "AA AA\n", ""],
    "instant": [
        *("2024-01-20T10:00:00Z", "2024-02-29T23:59:60.123456789+14:00", "0001-01-01T00:00:00-13:59"),
        *("9999-12-31T23:59:59.9-12:00", "1990-01-01T00:00:00-00:00"),
    ],
    "dateTime": ["2024", "2024-01", "2024-01-31", "2024-01-31T00:00:00Z", "2000-02-29"],
    "date": ["2024", "0001-12", "2024-02-29"],
    "time": ["00:00:00", "23:59:60.5"],
}
REFUSED: dict[str, list[Any]] = {
    "boolean": [0, 1, "true"],
    "integer": ["1", True, 2147483648, -2147483649, ExactDecimal("1.0"), ExactDecimal("-0"), 1.0],
    "unsignedInt": [-1, True, "0"],
    "positiveInt": [0, True],
    "decimal": ["1.0", True, "NaN"],
    "string": [5, True, "x" * 1_048_577],
    "markdown": [5],
    "id": ["", "x" * 65, "a_b", "a b", "é", 5, "a\n"],
    "elementId": ["a b", ""],
    "code": ["", " a", "a ", "a  b", "a\tb", 5],
    "uri": ["", "a b", "a\u00a0b", "a\x01", 5],
    "url": ["a b"],
    "canonical": ["a\nb"],
    "oid": ["1.2.3", "urn:oid:3.1", "urn:oid:1.02"],
    "uuid": ["0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "urn:uuid:0C3151BD-1CBF-4D64-B04D-CD9187A4C6E0"],
    "base64Binary": ["AAA", "A===", "A-_A", 5, "=AAA"],
    "instant": [
        *("2024-01-20", "2024-01-20T10:00:00", "2024-01-20T10:00Z", "2024-01-20T10:00:00+0300", "2024-01-20t10:00:00z"),
        *("2024-01-20T24:00:00Z", "2024-02-30T10:00:00Z", "2023-02-29T10:00:00Z", "0000-01-01T00:00:00Z", 1705734000),
        *("2024-01-20T10:00:00+14:30", "2024-01-20T10:00:00+03", "2024-01-20T10:00:00Z\n", "٢٠٢٤-01-20T10:00:00Z"),
    ],
    "dateTime": ["24", "2024-13", "2024-04-31", "2024-01-20T10:00Z", "2024-01-20T10", 2024, "2024-1-1"],
    "date": ["2024-01-20T10:00:00Z", "20.01.2024", "2023-02-29", "2024-00"],
    "time": ["24:00:00", "09:30", "9:30:00", "09:30:00Z"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in TAKEN.items() for value in values])
def test_taken(name: str, value: Any) -> None:
    assert PRIMITIVES[name].accepts(value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_refused(name: str, value: Any) -> None:
    assert not PRIMITIVES[name].accepts(value)


@pytest.mark.parametrize("name", PRIMITIVES)
@pytest.mark.parametrize("value", [None, [], {}])
def test_nothing_else_is_a_primitive(name: str, value: Any) -> None:
    assert not PRIMITIVES[name].accepts(value)


@pytest.mark.parametrize(
    "tag",
    [
        *("en", "lug", "en-UG", "zh-Hant-TW", "es-419", "de-CH-1996", "sl-rozaj-biske-1994", "zh-cmn-Hans-CN", "qaaa"),
        *("hy-Latn-IT-arevela", "en-a-myext-b-another", "de-u-co-phonebk-x-clinic", "x-own-7", "EN-ug", "english"),
        *("i-klingon", "sgn-BE-FR", "en-GB-oed", "I-Default", "zh-min-nan", "art-lojban"),
    ],
)
def test_a_language_is_a_tag_of_bcp_47(tag: str) -> None:
    """https://www.rfc-editor.org/rfc/rfc5646#section-2.1, its grammar and no registry."""
    assert LANGUAGE.accepts(tag)


@pytest.mark.parametrize(
    "tag",
    [
        *("no such language", "english language", "en_US", "12", "e", "abcdefghij", "en-", "-en", "en--US", "en-US-"),
        *("en-U", "en-1", "en-a", "en-x", "x", "x-", "i-unheard", "en-UG-UG", "en-abcdefghi", "ën", "en\n", "*", "", 7),
    ],
)
def test_anything_else_is_no_language(tag: Any) -> None:
    assert not LANGUAGE.accepts(tag)
