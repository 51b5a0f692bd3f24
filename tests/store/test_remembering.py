"""Of texts that come from outside, short ones alone are remembered."""

from __future__ import annotations

from store.remembering import LONGEST, remembered


def test_the_answers_to_short_texts_are_remembered_and_no_others() -> None:
    asked: list[tuple[str, int]] = []

    @remembered(2)
    def counted(text: str, times: int = 1) -> int:
        asked.append((text, times))
        return len(text) * times

    short, long = "a" * LONGEST, "a" * (LONGEST + 1)
    assert [counted(short), counted(short), counted(short, 2)] == [LONGEST, LONGEST, 2 * LONGEST]
    assert asked == [(short, 1), (short, 2)]
    assert [counted(long), counted(long)] == [LONGEST + 1, LONGEST + 1]
    assert asked[2:] == [(long, 1), (long, 1)]
    counted("b")
    counted("c")
    counted(short)
    assert asked[4:] == [("b", 1), ("c", 1), (short, 1)]  # two are kept
