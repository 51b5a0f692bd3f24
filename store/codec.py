"""JSON without losses.

What a client sent is what it reads back: a decimal keeps its digits (``1.10`` stays ``1.10``),
which neither `json` nor `orjson` does by itself. Numbers with a fraction or an exponent, and integers that a
machine's own cannot hold, are therefore read as `ExactDecimal`, which remembers its text, and written from that text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import orjson
from bson.codec_options import CodecOptions, TypeRegistry
from bson.decimal128 import Decimal128, create_decimal128_context

Resource = dict[str, Any]
AsObject = Callable[[list[tuple[str, Any]]], Any]

DECIMAL128 = create_decimal128_context()
"""What MongoDB can hold of a decimal."""
_INT64_DIGITS = 18  # every integer of so many digits fits into 64 bits
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class ExactDecimal(Decimal):
    """A decimal that is written as it was read (``1.10``, ``1e2``)."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> ExactDecimal:
        """Read `text`, a JSON number."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __reduce__(self) -> tuple[type[ExactDecimal], tuple[str]]:
        return (ExactDecimal, (self.text,))

    def __copy__(self) -> ExactDecimal:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None) -> ExactDecimal:
        return self


class TooWide:
    """A number whose exponent no `Decimal` has: nothing can be done with it but to tell it."""

    def __init__(self, text: str) -> None:
        self.text = text


def _wide(text: str) -> ExactDecimal | TooWide:
    try:
        return ExactDecimal(text)
    except ArithmeticError:
        return TooWide(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _integer(text: str) -> int | ExactDecimal:
    return ExactDecimal(text) if len(text) > _INT64_DIGITS or text == "-0" else int(text)


@cache
def _decoder(as_object: AsObject | None, as_number: Callable[[str], Any]) -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_float=as_number,
        parse_int=_integer,
        parse_constant=_refuse_constant,
        object_pairs_hook=as_object,
    )


def parse(raw: bytes, *, as_object: AsObject | None = None, checked: bool = True) -> Any:
    """Read any JSON exactly.

    Args:
        raw: in UTF-8.
        as_object: makes an object of its members, in the order and number in which they were sent.
        checked: whether it has to be such that it can be written again; else `encode` refuses what of it cannot.

    Raises:
        ValueError: `raw` is not JSON in UTF-8 (a JSONDecodeError tells where), or could not be written again.
    """
    try:
        value = _decoder(as_object, ExactDecimal if checked else _wide).decode(raw.decode("utf-8-sig"))
        if checked and _SURROGATE.search(raw):
            orjson.dumps(value, default=_as_json)  # half a surrogate pair is no text
    except (ArithmeticError, RecursionError, orjson.JSONEncodeError) as error:
        raise ValueError(f"cannot be read as JSON: {error}") from error
    return value


def decode(raw: bytes) -> Resource:
    """Read a JSON object exactly.

    Raises:
        ValueError: `raw` is not a JSON object in UTF-8, or one that could not be written again.
    """
    value = parse(raw)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def encode(resource: Resource, *, sort: bool = False) -> bytes:
    """Write `resource` as compact UTF-8 JSON, decimals as they were read; members in their order, or by name."""
    return orjson.dumps(resource, default=_as_json, option=orjson.OPT_SORT_KEYS if sort else None)


def _as_json(value: Any) -> Any:
    if isinstance(value, ExactDecimal):
        return orjson.Fragment(value.text)
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no place in a FHIR resource")


def _as_bson(value: Any) -> Any:
    if isinstance(value, Decimal):
        # Decimal128 holds 34 digits; the readable copy may round what lies beyond, `_json` never does.
        return Decimal128(DECIMAL128.create_decimal(value))
    return value


CODEC_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, type_registry=TypeRegistry(fallback_encoder=_as_bson)
)


def ident(raw: bytes) -> str:
    """Return the id of a resource as it is stored: right after the type, so that the rest need not be read."""
    head = raw[:200].split(b'"', 8)
    if len(head) > 8 and head[1] == b"resourceType" and head[5] == b"id":
        return head[7].decode()
    return str(orjson.loads(raw)["id"])
