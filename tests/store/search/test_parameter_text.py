"""Escapes: ``\\,`` ``\\|`` ``\\$`` and ``\\\\``."""

from __future__ import annotations

import pytest

from store.search.text import escaped, split, unescaped


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b", ["a", "b"]),
        (r"a\,b,c", [r"a\,b", "c"]),
        (r"a\\,b", [r"a\\", "b"]),
        (r"a\\\,b", [r"a\\\,b"]),
        (",", ["", ""]),
        ("", [""]),
        ("a\\", ["a\\"]),
    ],
)
def test_splits_at_commas_that_are_not_escaped(text: str, parts: list[str]) -> None:
    assert split(text, ",") == parts


def test_splits_no_more_often_than_asked() -> None:
    assert split("a|b|c", "|", 1) == ["a", "b|c"]
    assert split(r"a\|b|c|d", "|", 1) == [r"a\|b", "c|d"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("a", "a"), (r"a\,b\|c\$d\\e", r"a,b|c$d\e"), (r"a\nb", r"a\nb"), ("a\\", "a\\"), (r"\\,", r"\,")],
)
def test_takes_escapes_away(text: str, said: str) -> None:
    assert unescaped(text) == said


@pytest.mark.parametrize("text", ["a", r"a,b|c$d\e", r"\,", "|"])
def test_what_is_escaped_is_one_value_that_says_just_that(text: str) -> None:
    assert [unescaped(part) for part in split(escaped(text), ",")] == [text]
    assert split(escaped(text), "|") == [escaped(text)]
