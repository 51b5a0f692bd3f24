"""Answers as the documents print them (blocks marked ``json`` and ``http``) beside those that the service gives.

What is printed must be there: each header, each member, the items of a list in their order. ``...`` stands for
anything, as a text, in one, or as a member. Of the moment of writing, and so never the same again, are random UUIDs and
the dates of `WRITTEN`, the year in which the examples were made: there, the form is compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

WRITTEN = "2026"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_VARYING = {  # what is printed, and what may stand there
    r"\.\.\.": r".*",
    _UUID: _UUID,
    rf"{WRITTEN}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
    rf"\w{{3}}, \d\d \w{{3}} {WRITTEN} \d\d:\d\d:\d\d GMT": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
    r"http://127\.0\.0\.1:8000": r"http://127\.0\.0\.1:\d+",
}
_ANY_VARYING = re.compile("|".join(f"({printed})" for printed in _VARYING))


def answers(output: str) -> list[str]:
    """Return what each call of a block answered, of an output in which a line ``[status 200]`` ends each."""
    return re.split(r"\n\[status \d+\]\n", output)[:-1]


def fits(kind: str, printed: str, answer: str) -> bool:
    """Tell whether an answer has what is printed: with ``http`` its head, and the body if one is printed."""
    head, _, body = answer.replace("\r\n", "\n").rpartition("\n\n") if answer.startswith("HTTP/") else ("", "", answer)
    if kind == "http":
        shown, _, printed = printed.strip().partition("\n\n")
        lines = {line.lower() if line.startswith("HTTP/") else _named(line) for line in head.splitlines()}
        if not all(any(_text(_named(line), found) for found in lines) for line in shown.splitlines()):
            return False
    return not printed or (body.strip().startswith("{") and _value(json.loads(printed), json.loads(body)))


def _named(line: str) -> str:
    """Return the line of a head with the name in small letters, as case does not count there."""
    name, colon, value = line.partition(":")
    return name.lower() + colon + value


def _value(printed: Any, found: Any) -> bool:
    if printed == "...":
        return True
    if isinstance(printed, dict):
        return isinstance(found, dict) and all(
            name == "..." or (name in found and _value(value, found[name])) for name, value in printed.items()
        )
    if isinstance(printed, list):
        rest: Iterator[Any] = iter(found if isinstance(found, list) else ())
        return all(any(_value(one, other) for other in rest) for one in printed)
    if isinstance(printed, str):
        return isinstance(found, str) and _text(printed, found)
    return type(printed) is type(found) and bool(printed == found)


def _text(printed: str, found: str) -> bool:
    pattern, at = "", 0
    for part in _ANY_VARYING.finditer(printed):
        pattern += re.escape(printed[at : part.start()]) + list(_VARYING.values())[(part.lastindex or 1) - 1]
        at = part.end()
    return re.fullmatch(pattern + re.escape(printed[at:]), found, re.DOTALL) is not None
