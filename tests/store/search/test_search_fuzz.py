"""Whatever is asked: an answer or a refusal, never a failure."""

from __future__ import annotations

import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.search import Entry, SearchRefused, matches, parse, run
from store.store import Store
from store.types import TYPES
from tests.scale import examples
from tests.store.search.support import appointment, put, reading, resource, schedule, slot

_names = sorted({name for one in TYPES.values() for name in one.parameters} | {"_has", "_sort", "_include", "_cursor"})
_word = st.sampled_from(
    [*_names, *TYPES, "not", "missing", "exact", "contains", "identifier", "of-type", "iterate", ""]
)
_name = st.lists(st.tuples(_word, st.sampled_from([":", ".", ""])), min_size=1, max_size=6).map(
    lambda parts: "".join(word + mark for word, mark in parts).rstrip(":.")
)
_PIECES = (
    "1 Patient/1 true false 2026-01-10 ge ap 0001 9999-12-31 T10:00 http://x/Patient/1 urn:s -date _id Appointment"
)
_piece = st.sampled_from([*_PIECES.split(), *"|,\\$*([^:-#éİß \x00"])
_value = st.one_of(st.lists(_piece, max_size=5).map("".join), st.text(max_size=12), st.just("\ud800"))


@settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(list(TYPES)), min_size=1, max_size=2, unique=True),
    pairs=st.lists(st.tuples(_name, _value), min_size=1, max_size=3),
    strict=st.booleans(),
)
async def test_any_parameters(store: Store, kinds: list[str], pairs: list[tuple[str, str]], strict: bool) -> None:
    if not await store.read("Slot", "1"):
        await put(
            store,
            resource("Patient", "1"),
            schedule("1", "Practitioner/1"),
            slot("1", "1"),
            appointment("1", "2026-01-10T10:00:00Z", "Patient/1", "Practitioner/1"),
        )
    with contextlib.suppress(SearchRefused):
        page = await run(store, parse(tuple(kinds), pairs, reading(strict=strict)))
        assert all(isinstance(entry, Entry) for entry in page.entries)
    with contextlib.suppress(SearchRefused):
        assert len(await matches(store, kinds[0], pairs, reading())) <= 2


@settings(max_examples=examples(600), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(list(TYPES)), value=_value)
async def test_any_value_of_any_parameter(store: Store, data: st.DataObject, kind: str, value: str) -> None:
    name = data.draw(st.sampled_from(sorted(TYPES[kind].parameters)))
    modifier = data.draw(
        st.sampled_from(["", "", ":not", ":missing", ":text", ":exact", ":contains", ":identifier", ":below"])
    )
    with contextlib.suppress(SearchRefused):
        await run(store, parse((kind,), [(name + modifier, value)], reading()))
