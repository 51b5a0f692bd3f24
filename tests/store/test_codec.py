"""JSON goes through the codec without losing a digit."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson.decimal128 import Decimal128
from bson.errors import InvalidDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.codec import CODEC_OPTIONS, ExactDecimal, decode, encode, ident, parse

NUMBERS = [
    *("1.10", "1e2", "1E2", "1E-7", "-0.0", "0.0", "-0", "0", "1e+2", "100", "-1.5e-10", "0.1"),
    "3." + "1415926535897932384626433832795028841971",
    *(str(2**53 + 1), str(2**63 - 1), str(2**63), str(-(2**63)), str(2**64), str(10**40), "-" + "9" * 5000),
]
digits = st.text("0123456789", min_size=1, max_size=45)
number_texts = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "-"]),
        digits.map(lambda text: text.lstrip("0") or "0"),
        st.just("") | digits.map(lambda text: f".{text}"),
        st.just("") | st.builds("".join, st.tuples(st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), digits)),
    ),
).filter(lambda text: len(text.lower().partition("e")[2]) < 9)
scalars = st.one_of(
    number_texts,
    st.sampled_from(["true", "false", "null"]),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: json.dumps(text, ensure_ascii=False)),
)


def _object(members: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{value}" for name, value in members.items()) + "}"


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
json_texts = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: "[" + ",".join(items) + "]"),
        st.dictionaries(names, inner, max_size=4).map(_object),
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda text: text[:24])
def test_a_number_keeps_its_digits(number: str) -> None:
    raw = f'{{"value":{number}}}'.encode()
    assert encode(decode(raw)) == raw


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.dictionaries(names, json_texts, max_size=5).map(_object))
def test_any_json_object_is_written_as_it_was_read(text: str) -> None:
    value = json.loads(text, parse_float=str, parse_int=str)
    written = encode(decode(text.encode()))
    assert json.loads(written, parse_float=str, parse_int=str) == value
    assert encode(decode(written)) == written


@pytest.mark.parametrize(
    "text", ["Éva Őry", "محمد", "👩🏽‍⚕️", "line\ntwo\ttabs", 'quote " and \\', "\u2028\x7f", "\x00"]
)
def test_text_of_any_script_keeps_its_characters(text: str) -> None:
    written = encode(decode(json.dumps({"text": text}).encode()))
    assert json.loads(written) == {"text": text}


def test_text_is_written_as_plain_utf8() -> None:
    raw = '{"name":"Éva 👩🏽‍⚕️"}'.encode()
    assert encode(decode(raw)) == raw


def test_members_keep_their_order() -> None:
    raw = b'{"z":1,"a":2,"m":{"y":3,"b":4}}'
    assert encode(decode(raw)) == raw


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_refused(constant: str) -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        decode(f'{{"value":{constant}}}'.encode())


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"text"', b"null", b"1.5"])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        decode(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"a":1,}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\uDC00 low"}',
        b'{"\\ud83d":1}',
        b'{"a":"\xed\xa0\x80"}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":1e9999999999999999999999}',
        b'{"a":' * 100_000,
    ],
    ids=["empty", "open", "comma", "high", "low", "name", "raw-surrogate", "utf16", "exponent", "deep"],
)
def test_what_could_not_be_written_again_is_refused_as_a_bad_value(raw: bytes) -> None:
    with pytest.raises(ValueError):
        decode(raw)


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    assert encode(decode(b'{"a":"\\ud83d\\ude00"}')) == '{"a":"😀"}'.encode()


def test_a_byte_order_mark_is_no_part_of_the_object() -> None:
    assert decode(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_of_a_decimal_keeps_its_text(copied: Any) -> None:
    assert encode({"value": copied(ExactDecimal("1.10"))}) == b'{"value":1.10}'


def test_an_exact_decimal_computes_like_any_other() -> None:
    assert ExactDecimal("1.10") + ExactDecimal("1e2") == Decimal("101.10")


def test_a_plain_decimal_is_written_with_its_digits() -> None:
    assert encode({"value": Decimal("1.10")}) == b'{"value":1.10}'


def test_what_has_no_place_in_json_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable: set"):
        encode({"value": {1}})


@pytest.mark.parametrize("number", ["1.10", "1E-7", "-0.0", "1e2", "1234567890123456789012345678901234"])
def test_the_readable_copy_holds_a_decimal_with_its_digits(number: str) -> None:
    readable = bson.decode(bson.encode({"value": ExactDecimal(number)}, codec_options=CODEC_OPTIONS))
    assert readable == {"value": Decimal128(number)}


@pytest.mark.parametrize(
    ("number", "rounded"),
    [
        ("1." + "1" * 39, "1." + "1" * 33),
        (str(10**40), "1.000000000000000000000000000000000E+40"),
        ("1e9999", "Infinity"),
    ],
)
def test_the_readable_copy_rounds_what_mongodb_cannot_hold(number: str, rounded: str) -> None:
    readable = bson.decode(bson.encode({"value": ExactDecimal(number)}, codec_options=CODEC_OPTIONS))
    assert readable == {"value": Decimal128(rounded)}


def test_the_readable_copy_takes_nothing_that_bson_does_not_know() -> None:
    with pytest.raises(InvalidDocument):
        bson.encode({"value": {1}}, codec_options=CODEC_OPTIONS)


@pytest.mark.parametrize("raw", [b'["\\ud83d", 1.10]', b"[1e999999999999999999999, 1.10]"])
def test_what_cannot_be_written_again_is_refused_by_whom_it_is_left_to(raw: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        parse(raw)
    found = parse(raw, checked=False)
    assert encode(found[1]) == b"1.10"
    with pytest.raises(TypeError):
        encode(found[0])


def test_an_id_is_found_wherever_it_stands() -> None:
    assert ident(b'{"resourceType":"Slot","id":"a.b-1","status":"free"}') == "a.b-1"
    assert ident(b'{"id":"second","resourceType":"Slot"}') == "second"
    assert ident(b'{"resourceType":"Slot","meta":{"id":"no"},"id":"yes"}') == "yes"
    assert ident(b'{"resourceType":"Slot","id":"' + b"x" * 64 + b'"}') == "x" * 64
