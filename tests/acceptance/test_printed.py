"""What is printed in the documents is held to the answers, and what is not so is seen."""

from __future__ import annotations

import pytest

from tests.acceptance.printed import answers, fits

SLOT = '{"resourceType":"Slot","id":"s","start":"2024-01-20T09:00:00Z","meta":{"lastUpdated":"2031-01-01T10:00:00.1Z"}}'
HEAD = 'HTTP/1.1 200 OK\r\netag: W/"1"\r\nlast-modified: Wed, 01 Jan 2031 10:00:00 GMT\r\n\r\n'


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ('{"resourceType": "Slot"}', True),
        ('{"resourceType": "Slot", "...": "..."}', True),
        ('{"start": "...T09:00:00Z", "meta": {"lastUpdated": "2026-11-23T02:24:26.950Z"}}', True),
        ('{"resourceType": "Slo"}', False),
        ('{"start": "2024-01-20T09:30:00Z"}', False),
        ('{"status": "free"}', False),
        ('{"status": "..."}', False),
        ('{"meta": {"versionId": "1"}}', False),
    ],
)
def test_each_member_printed_is_in_the_answer(printed: str, told: bool) -> None:
    assert fits("json", printed, SLOT) == told
    assert fits("json", printed, HEAD + SLOT) == told


@pytest.mark.parametrize(
    ("printed", "told"), [("[1, 3]", True), ("[3, 1]", False), ("[4]", False), ('["1"]', False), ("[true]", False)]
)
def test_items_are_there_in_their_order(printed: str, told: bool) -> None:
    assert fits("json", f'{{"of": {printed}}}', '{"of": [1, 2, 3]}') == told


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ('HTTP/1.1 200 OK\nETag: W/"1"', True),
        ('HTTP/1.1 200 OK\nLast-Modified: Mon, 23 Nov 2026 02:24:26 GMT\n\n{"id": "s"}', True),
        ("HTTP/1.1 201 Created", False),
        ('HTTP/1.1 200 OK\nETag: W/"2"', False),
        ("Location: ...", False),
        ('HTTP/1.1 200 OK\n\n{"id": "t"}', False),
    ],
)
def test_each_header_printed_is_in_the_answer(printed: str, told: bool) -> None:
    assert fits("http", printed, HEAD + SLOT) == told


def test_an_output_is_taken_apart_by_its_calls() -> None:
    assert answers("{}\n[status 200]\n\n\n[status 204]\n") == ["{}", "\n"]
