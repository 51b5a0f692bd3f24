"""What JSON can hold and nothing here can write again: half a surrogate pair, a number beyond all, nesting without end.

On a line by itself it is refused as that line. An entry of a document is to be refused by itself as well: so the whole
is read first (`store.codec.parse`, unchecked), and each entry is looked at then.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from store.codec import TooWide, encode


def is_writable(value: Any) -> bool:
    """Tell whether parsed JSON can be written again."""
    try:
        encode(value)
    except orjson.JSONEncodeError:
        return False
    return True


def spelled(value: Any) -> bytes:
    """Return parsed JSON as it came, whether it can be stored or not."""
    return encode(value) if is_writable(value) else _text(value).encode("utf-8", "backslashreplace")


def softened(value: Any) -> Any:
    """Return what is not writable with a question mark in the place of what cannot be: to see what it is called."""
    made: list[Any] = [value]
    left: list[Any] = [made]
    while left:  # no second parser: it might not go as deep as the one that has read it
        one = left.pop()
        for place, each in [*(one.items() if isinstance(one, dict) else enumerate(one))]:
            one[place] = _soft(each)
            if isinstance(each, dict | list):
                left.append(one[place])
    return made[0]


def _soft(one: Any) -> Any:
    """Return a value of its own, what is in it left as it is."""
    if isinstance(one, dict):
        return {_soft(name): each for name, each in one.items()}
    if isinstance(one, list):
        return [*one]
    if isinstance(one, TooWide):
        return float(one.text)
    return one.encode("utf-8", "replace").decode() if isinstance(one, str) else one


class _Mark(str):
    """What stands between values."""


def _text(value: Any) -> str:
    """Return JSON of any depth: what is nested too deeply is not writable either, and is to be shown all the same."""
    said: list[str] = []
    left: list[Any] = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            inside = [mark for name, each in one.items() for mark in (_COMMA, name, _Mark(":"), each)]
            left += reversed([_Mark("{"), *inside[1:], _Mark("}")])
        elif isinstance(one, list):
            left += reversed([_Mark("["), *[mark for each in one for mark in (_COMMA, each)][1:], _Mark("]")])
        elif isinstance(one, TooWide):
            said.append(one.text)
        elif isinstance(one, str):
            said.append(one if isinstance(one, _Mark) else json.dumps(one, ensure_ascii=False))
        else:
            said.append(encode(one).decode())
    return "".join(said)


_COMMA = _Mark(",")
