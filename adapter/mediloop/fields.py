"""The kinds of values that MediLoop requests carry, with what is accepted and the remedy where it is not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from mappings import uhid
from mappings.instants import parse, to_utc

ID_LENGTH = 64
CODE_LENGTH = 64
TEXT_LENGTH = 1_000
LONG_TEXT_LENGTH = 10_000
LONGEST_MINUTES = 1_440
STATUSES = ("proposed", "pending", "booked", "arrived", "checked-in", "fulfilled", "cancelled", "noshow")
UHID_PATTERN = "uhid_pattern"
"""Where the context of a check has the form of the deployment's UHIDs."""

_INSTANT = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt](?P<minute>\d{2}:\d{2})(?P<second>:\d{2})?(?P<fraction>\.\d{1,9})?"
    r"(?P<offset>[Zz]|(?P<hours>[+-]\d{2})(?::?(?P<minutes>\d{2}))?)?"
)
_ID = re.compile(rf"^[A-Za-z0-9\-.]{{1,{ID_LENGTH}}}$")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_NO_STRING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
"""What no string of FHIR may contain: U+007F it may."""
_EARLIEST, _LATEST = 1900, 2999
FIRST_NAMEABLE = datetime(_EARLIEST, 1, 1, tzinfo=UTC)
"""The first moment that a request can name (`require_nameable`)."""
BEYOND_NAMEABLE = datetime(_LATEST + 1, 1, 1, tzinfo=UTC)
"""The first one that it cannot name any more."""


def _are_years(text: str) -> bool:
    return _EARLIEST <= int(text[:4]) <= _LATEST


def require_nameable(instant: str) -> None:
    """Make sure that an instant can be named by a request as answers tell it: in UTC.

    Raises:
        ValueError: its year there is too early or too late; or it is none.
    """
    if not _are_years(to_utc(instant)):
        raise ValueError(f"give a year from {_EARLIEST} to {_LATEST}, in UTC")


def _instant(text: str) -> str:
    """Return an ISO 8601 date and time with offset as a FHIR instant; offset and precision are kept."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError("give a date and time in ISO 8601, for example 2024-01-20T10:00:00Z")
    if found["offset"] is None:
        raise ValueError("give the offset from UTC too, for example 2024-01-20T10:00:00Z or 2024-01-20T13:00:00+03:00")
    if found["fraction"] and not found["second"]:
        raise ValueError("give seconds before their fraction, for example 2024-01-20T10:00:00.5Z")
    whole = f"{found['date']}T{found['minute']}{found['second'] or ':00'}{found['fraction'] or ''}"
    # `+0300` and `+03` are ISO 8601, too, and what formatters of many languages write; FHIR has `+03:00` alone.
    instant = whole + (f"{found['hours']}:{found['minutes'] or '00'}" if found["hours"] else "Z")
    try:
        parse(instant)
    except ValueError as error:
        raise ValueError("there is no such date and time") from error
    require_nameable(instant)
    return instant


def _no_leap_second(instant: str) -> str:
    if instant[17:19] == "60":
        raise ValueError("there are no leap seconds here; give the next minute, with 00 seconds")
    return instant


def _uhid(text: str, info: ValidationInfo) -> str:
    """Return a UHID in its normal form."""
    form = (info.context or {}).get(UHID_PATTERN, uhid.PATTERN)
    if not text.strip() or _CONTROL.search(text) or not uhid.matches(text, form):
        raise ValueError(f"not a UHID (expected form: {form}); check it for typing errors")
    return uhid.normalise(text)


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f"must be an id, as answers show it: letters, digits, '-' and '.', {ID_LENGTH} at most")
    return text


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty: leave it out or give a text")
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return text


def _words(text: str) -> str:
    if not text:
        raise ValueError("must not be empty: leave it out or give a text")
    if _NO_STRING.search(text):
        raise ValueError("must not contain control characters")
    return text


def _code(text: str) -> str:
    if not re.fullmatch(r"\S+( \S+)*", text) or _CONTROL.search(text):
        raise ValueError("must be a code: not empty, no control characters, blanks only one by one between words")
    return text


def _day(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError("give a calendar day, for example 2024-01-20")
    if not _are_years(text):
        raise ValueError(f"give a year from {_EARLIEST} to {_LATEST}")
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("there is no such day") from error
    return text


def truth(text: object) -> object:
    """Read a query parameter's ``true`` or ``false``."""
    if isinstance(text, str) and text.lower() in ("true", "false"):
        return text.lower() == "true"
    raise ValueError("give true or false")


def number(text: object) -> object:
    """Read a query parameter's whole number, written in digits alone."""
    if isinstance(text, str) and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    raise ValueError("give a whole number")


Instant = Annotated[
    str,
    AfterValidator(_instant),
    Field(json_schema_extra={"format": "date-time"}, description="ISO 8601 with offset."),
]
Moment = Annotated[Instant, AfterValidator(_no_leap_second)]
"""An instant to book at: no calendar has a leap second."""
Day = Annotated[str, AfterValidator(_day), Field(json_schema_extra={"format": "date"})]
Id = Annotated[str, AfterValidator(_id), Field(json_schema_extra={"pattern": _ID.pattern})]
Code = Annotated[str, StringConstraints(max_length=CODE_LENGTH), AfterValidator(_code)]
Text = Annotated[str, StringConstraints(max_length=TEXT_LENGTH), AfterValidator(_text)]
LongText = Annotated[str, StringConstraints(max_length=LONG_TEXT_LENGTH), AfterValidator(_text)]
Uhid = Annotated[str, StringConstraints(max_length=CODE_LENGTH), AfterValidator(_uhid)]
Words = Annotated[str, AfterValidator(_words)]
"""Whatever text FHIR takes: another server, or a FHIR client, may have stored it."""
Minutes = Annotated[int, Field(ge=1, le=LONGEST_MINUTES)]
Priority = Annotated[int, Field(ge=1, le=10)]
AppointmentTypeCode = Literal["ROUTINE", "WALKIN", "CHECKUP", "FOLLOWUP", "EMERGENCY"]
