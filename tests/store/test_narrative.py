"""What becomes of a narrative when what it tells is changed."""

from __future__ import annotations

from typing import Any

import pytest

from store.narrative import fitting

Json = dict[str, Any]


def told(status: str = "generated", **members: Any) -> Json:
    text = {"status": status, "div": '<div xmlns="http://www.w3.org/1999/xhtml">Booked</div>'}
    return {"resourceType": "Slot", "id": "s", "meta": {"versionId": "1"}, "text": text, "status": "free"} | members


@pytest.mark.parametrize(
    ("status", "stays"), [("generated", False), ("extensions", False), ("additional", True), ("empty", True)]
)
def test_only_what_was_generated_from_the_content_goes_with_it(status: str, stays: bool) -> None:
    before = told(status)
    after = {**before, "status": "busy"}
    assert ("text" in fitting(after, before)) == stays
    assert after["text"] == before["text"], "what was given is not changed"


@pytest.mark.parametrize("change", [{}, {"meta": {"versionId": "2", "tag": [{"code": "x"}]}}, {"id": "t"}])
def test_it_stays_while_the_content_does(change: Json) -> None:
    assert fitting(told() | change, told()) == told() | change


def test_one_of_its_own_stays_and_so_does_what_is_none() -> None:
    anew = told(status="busy", text={**told()["text"], "div": "anew"})
    assert fitting(anew, told()) == anew
    for text in ({"text": 5}, {"text": {"status": 5}}, {}):
        odd = {"resourceType": "Slot", "status": "busy"} | text
        assert fitting(odd, {**odd, "status": "free"}) == odd


def test_what_is_gone_is_a_change_too() -> None:
    assert "text" not in fitting(told(), told(comment="x"))


@pytest.mark.parametrize("name", ["slot", "extension"])
def test_what_is_added_to_what_was_sent_makes_nothing_wrong(name: str) -> None:
    after = told() | {name: [{"id": "new"}]}
    assert "text" in fitting(after, told(), completed=True)
    assert "text" not in fitting(after, told()), "what is changed later may be"
    assert "text" not in fitting(after | {"status": "busy"}, told(), completed=True)
