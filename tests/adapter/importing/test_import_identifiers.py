"""Which identifiers an item has, and which id it gets by them where it came without one."""

from __future__ import annotations

import orjson
import pytest

from adapter.importing.checking import Ready, check
from adapter.importing.item import Item, name_without_id
from adapter.importing.means import Tables
from adapter.settings import Settings
from adapter.terms import systems_of, vocabulary_of


@pytest.fixture(scope="module")
def tables() -> Tables:
    settings = Settings(_env_file=None)
    return Tables(settings, systems_of(settings), vocabulary_of(settings))


def ready(tables: Tables, **identifier: str) -> Ready:
    raw = orjson.dumps({"resourceType": "Patient", "identifier": [{"use": "old"}, identifier]})
    return check(tables, Item(1, raw, "Patient"))


def test_a_bar_in_an_identifier_makes_it_no_other(tables: Tables) -> None:
    one = ready(tables, system="urn:a", value="B|c")
    other = ready(tables, system="urn:a|b", value="c")
    assert (one.tokens, other.tokens) == ([r"urn:a|b\|c"], [r"urn:a\|b|c"])
    assert one.ident != other.ident


@pytest.mark.parametrize(
    ("identifier", "text"),
    [({"system": "urn:a", "value": "B"}, "urn:a|b"), ({"value": "x|y"}, "|x|y"), ({"value": "x\\y"}, "|x\\y")],
)
def test_the_id_is_that_of_earlier_releases(tables: Tables, identifier: dict[str, str], text: str) -> None:
    assert ready(tables, **identifier).ident == name_without_id("Patient", text)
