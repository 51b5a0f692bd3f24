"""FHIR's primitive types in JSON (https://hl7.org/fhir/R4/datatypes.html#primitive): what each takes, in words, too.

The formats are the specification's own; a date must also be one that the calendar has.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

_YEAR = r"(?:[0-9](?:[0-9](?:[0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[1-2][0-9]|3[0-1])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_OFFSET = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_LONGEST = 1_048_576  # characters of a string
_INTEGER = 2_147_483_647
_SHORTEST_MONTH = "28"


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive type.

    Attributes:
        name: FHIR's.
        accepts: whether a JSON value is one.
        form: what it looks like, for people.
    """

    name: str
    accepts: Callable[[Any], bool]
    form: str


def _pattern(pattern: str) -> Callable[[Any], bool]:
    matches = re.compile(pattern, re.ASCII).fullmatch
    return lambda value: type(value) is str and matches(value) is not None


def _dated(pattern: str) -> Callable[[Any], bool]:
    matches = re.compile(pattern, re.ASCII).fullmatch

    def accepts(value: Any) -> bool:
        if type(value) is not str or matches(value) is None:
            return False
        day = value[8:10]
        return day <= _SHORTEST_MONTH or int(day) <= monthrange(int(value[:4]), int(value[5:7]))[1]

    return accepts


def _whole(low: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= _INTEGER


def _text(value: Any) -> bool:
    return type(value) is str and len(value) <= _LONGEST


def _decimal(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and type(value) is not bool


_UNSPACED = re.compile(r"[^\s\x00-\x1f]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def _uri(value: Any) -> bool:
    return type(value) is str and _UNSPACED.fullmatch(value) is not None


def _base64(value: Any) -> bool:
    if type(value) is not str:
        return False
    packed = "".join(value.split())
    return len(packed) % 4 == 0 and _BASE64.fullmatch(packed) is not None


_INSTANT = rf"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_OFFSET}"
_DATE = rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?"
_DATE_TIME = rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_CLOCK}{_OFFSET})?)?)?"
_URI = "a URI without white space, such as https://example.org/codes or urn:oid:1.2.3"

PRIMITIVES: Mapping[str, Primitive] = {
    primitive.name: primitive
    for primitive in (
        Primitive("boolean", lambda value: type(value) is bool, "true or false, without quotes"),
        Primitive("integer", _whole(-_INTEGER - 1), "a whole number of 32 bits, without quotes, such as 30"),
        Primitive("unsignedInt", _whole(0), "a whole number from 0 to 2147483647, without quotes, such as 5"),
        Primitive("positiveInt", _whole(1), "a whole number from 1 to 2147483647, without quotes, such as 30"),
        Primitive("decimal", _decimal, "a number, without quotes, such as 0.3476"),
        Primitive("string", _text, "text in quotes, of at most 1048576 characters"),
        Primitive("markdown", _text, "text in quotes, of at most 1048576 characters"),
        Primitive("xhtml", _text, "a <div> in quotes"),
        Primitive("elementId", _uri, "an id without white space, in quotes"),
        Primitive("id", _pattern(r"[A-Za-z0-9\-.]{1,64}"), "1 to 64 letters, digits, - and . (apt-123-456-789)"),
        Primitive(
            "code",
            _pattern(r"\S+(?: \S+)*"),
            "a code in quotes, without white space before, after or doubled, such as booked",
        ),
        Primitive("uri", _uri, _URI),
        Primitive("url", _uri, _URI),
        Primitive("canonical", _uri, _URI),
        Primitive("oid", _pattern(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+"), "an OID such as urn:oid:1.2.3.4"),
        Primitive(
            "uuid",
            _pattern(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
            "a UUID such as urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
        ),
        Primitive("base64Binary", _base64, "base64 in quotes"),
        Primitive(
            "instant",
            _dated(_INSTANT),
            "a moment with its seconds and its offset from UTC, such as 2024-01-20T10:00:00+03:00",
        ),
        Primitive(
            "dateTime",
            _dated(_DATE_TIME),
            "a date such as 2024-01-20, 2024-01 or 2024, or one with seconds and offset (2024-01-20T10:00:00+03:00)",
        ),
        Primitive("date", _dated(_DATE), "a date such as 2024-01-20, 2024-01 or 2024"),
        Primitive("time", _pattern(_CLOCK), "a time of day with seconds, such as 09:30:00"),
    )
}

_LANGUAGE_TAG = (
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"  # language, script, region
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"  # variants
    r"(?:-[0-9a-wyz](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"  # extensions, private use
    r"|x(?:-[a-z0-9]{1,8})+"
    r"|en-gb-oed|i-(?:ami|bnn|default|enochian|hak|klingon|lux|mingo|navajo|pwn|tao|tay|tsu)|sgn-(?:be-fr|be-nl|ch-de)"
)

LANGUAGES = "urn:ietf:bcp:47"
"""The system of language tags in a Coding."""

LANGUAGE = Primitive(
    "code", _pattern(f"(?i:{_LANGUAGE_TAG})"), "a language tag as BCP 47 writes them, such as en or en-UG"
)
"""A code that R4 limits to BCP 47, judged by its form alone (https://www.rfc-editor.org/rfc/rfc5646#section-2.1)."""
