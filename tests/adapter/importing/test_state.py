"""The state file of an import is taken only where it is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from adapter.importing.fetching import SourceError
from adapter.importing.sources import Source
from adapter.importing.state import begin
from store.store import Store


async def test_what_has_come_through_a_file_is_as_it_was(store: Store, tmp_path: Path) -> None:
    path, sources = tmp_path / "s", [Source("a", tmp_path / "a")]
    sources[0].path.write_bytes(b'{"resourceType":"Patient","id":"a"}\n')
    place = await begin(store, sources, path)
    place.tally.left_out = {"branch": 2}
    place.settled = [(4, 0, 1)]
    place.save(path)
    assert await begin(store, sources, path) == place


@pytest.mark.parametrize(
    "wrong",
    [
        {"survey": 5},
        {"tally": {"created": None}},
        {"since": "garbage"},
        {"stage": "0"},
        {"settled": [1]},
        {"settled": [[1]]},
        {"rank": None},
    ],
    ids=str,
)
async def test_a_file_with_a_wrong_value_is_no_state(store: Store, tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "s"
    await begin(store, [], path)
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | wrong))
    with pytest.raises(SourceError, match="not the state of an import"):
        await begin(store, [], path)
