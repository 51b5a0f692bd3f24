"""Reads request bodies and query parameters, and tells every problem with them by name.

Nothing is guessed at: a parameter, member or header that is given twice is refused, as no reader may choose between
the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from adapter import encoding
from adapter.errors import MOST_NAMED, Malformed, Problem, TooLarge, UnsupportedMediaType
from adapter.fhir.validation.structure import Repeated, as_object
from adapter.mediloop.fields import UHID_PATTERN
from adapter.mediloop.requests import NoParameters
from store.codec import parse

Model = TypeVar("Model", bound=BaseModel)

# A body of unknown members must not make an answer many times its size.
_MOST_PROBLEMS = MOST_NAMED
_LARGEST = 300_000
"""Bytes of a body: all texts at their longest, each letter escaped as two of UTF-16, are 262,000. It is read and judged
in the event loop, and what is wrong with some MB of members held up everybody."""
_NAMELESS = "A name that is empty"
_RECURSION = "recursion limit exceeded"
_CORRECT = "Correct it; it is read as UTF-8, without a byte order mark."
_TOO_DEEP = "The body is nested more than 200 levels deep. Send it flat: members here are texts and numbers."


class Unsound(Malformed):
    """400, with what of the body is sound: what it says may be wrong too, and is then told together.

    Attributes:
        sound: members of the body that nothing is wrong with by themselves.
    """

    def __init__(self, problems: Sequence[Problem], sound: Mapping[str, Any]) -> None:
        super().__init__(problems)
        self.sound = sound


async def read_body(request: Request, model: type[Model], *, optional: bool = False) -> tuple[Model, bytes]:
    """Read a JSON body; return it checked, and as it came.

    Raises:
        Unsound: a wrong type, a member that is unknown or there twice: every problem by name.
        Malformed: empty, no JSON object, a parameter, not the gzip that it is declared as.
        UnsupportedMediaType: not declared as JSON, or encoded in another way than gzip.
        TooLarge: plain or unpacked, it is.
    """
    read_query(request, NoParameters)
    raw = await request.body()
    if "content-encoding" in request.headers:
        most = request.app.state.service.settings.max_body_bytes
        raw = await encoding.plain(raw, request.headers["content-encoding"], most)
    if len(raw) > _LARGEST:
        raise TooLarge(Problem("body_too_large", f"The body is larger than {_LARGEST} bytes. Send less."))
    if not raw.strip():
        if optional:
            return model.model_validate({}), b"{}"
        raise Malformed(Problem("invalid_request_error", "The request has no body. Send a JSON object."))
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        text = "Send the body as JSON with Content-Type: application/json."
        raise UnsupportedMediaType(Problem("unsupported_media_type", text, "Content-Type"))
    given, twice = _members(raw)
    try:
        checked = model.model_validate_json(raw, strict=True, context=_context(request))
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)
        places = [found["loc"] for found in told]
        wrong = {name for place in places for name in place[:1]}
        # Where the text as a whole is refused, no member of it was looked at, though our parser may read them.
        sound = {name: value for name, value in given.items() if name not in wrong} if all(places) else {}
        raise Unsound([*twice, *_problems(told)][:_MOST_PROBLEMS], sound) from error
    if twice:
        raise Unsound(twice, given)
    return checked, raw


def _members(raw: bytes) -> tuple[Mapping[str, Any], list[Problem]]:
    """Return the members of a body, and a problem for each that is there twice: no reader may choose between them."""
    try:
        body = parse(raw, as_object=as_object)
    except ValueError:
        return {}, []  # told by who checks it
    if not isinstance(body, dict):
        return {}, []
    names = body.names[:_MOST_PROBLEMS] if isinstance(body, Repeated) else ()
    return body, [_twice(name) for name in names]


def _twice(name: str) -> Problem:
    return Problem("invalid_request_error", f"{name or _NAMELESS} is given twice. Give it once.", name or None)


def _context(request: Request) -> dict[str, str]:
    """Return what the deployment says of values."""
    return {UHID_PATTERN: request.app.state.service.settings.uhid_pattern}


def read_query(request: Request, model: type[Model]) -> Model:
    """Read the query parameters.

    Raises:
        Malformed: a parameter that is unknown, given twice, or of a bad value: every problem by name.
    """
    given: dict[str, str] = {}
    twice: dict[str, Problem] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            twice[name] = _twice(name)
        given.setdefault(name, value)
    try:
        checked = model.model_validate(given, context=_context(request))
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)
        raise Malformed([*twice.values(), *_problems(told)]) from error
    if twice:
        raise Malformed(list(twice.values()))
    return checked


def read_header(request: Request, name: str) -> str | None:
    """Return what a header says; None where it is not there.

    Raises:
        Malformed: it is given twice.
    """
    lines = request.headers.getlist(name)
    if len(lines) > 1:
        raise Malformed(_twice(name))
    return lines[0] if lines else None


def _problems(told: Sequence[ErrorDetails]) -> list[Problem]:
    return [_problem(found) for found in told[:_MOST_PROBLEMS]]


def _problem(found: ErrorDetails) -> Problem:
    name = ".".join(str(part) for part in found["loc"]) or None
    kind, message = found["type"], found["msg"]
    if kind == "json_invalid":
        why = found.get("ctx", {}).get("error", "it cannot be read")
        text = _TOO_DEEP if why.startswith(_RECURSION) else f"The body is not valid JSON: {why}. {_CORRECT}"
    elif kind == "missing":
        text = f"{name} is required."
    elif kind == "extra_forbidden":
        text = f"{name or _NAMELESS} is not known here. Leave it out, or see /docs for the names."
    elif kind == "value_error":
        text = f"{name}: {message.removeprefix('Value error, ')}."
    elif name is None:
        text = "The body must be a JSON object."
    else:
        text = f"{name}: {message[0].lower()}{message[1:]}."
    return Problem("invalid_request_error", text, name)
