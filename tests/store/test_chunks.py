"""Lists in parts."""

from __future__ import annotations

import pytest

from store.chunks import chunks


@pytest.mark.parametrize(
    ("items", "parts"),
    [("", []), ("a", ["a"]), ("ab", ["ab"]), ("abc", ["ab", "c"]), ("abcd", ["ab", "cd"])],
)
def test_each_item_is_in_one_part_in_order(items: str, parts: list[str]) -> None:
    assert list(chunks(items, 2)) == parts
