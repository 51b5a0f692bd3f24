"""The command line, called in this process on databases of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection

from tests.adapter.console.cli import Cli, Databases
from tests.adapter.console.imports import Import, Json
from tests.snapshots import Snapshot, clear


@pytest.fixture(scope="session")
def pair(mongodb_uri: str) -> Iterator[str]:
    """The name of a pair of databases for all tests, as indexes take seconds to make: the first command makes them."""
    name = f"c_{secrets.token_hex(4)}"
    yield name
    with Databases(mongodb_uri) as client:
        for mode in ("test", "live"):
            client.drop_database(f"{name}_{mode}")


_indexed: set[str] = set()
_make_indexes = AsyncCollection.create_indexes


async def _indexes_once(collection: AsyncCollection[Any], indexes: Sequence[IndexModel], **options: Any) -> list[str]:
    """Make indexes of a collection of the pair if no command has before; its name is this process' own."""
    if collection.full_name in _indexed:
        return []
    made: list[str] = await _make_indexes(collection, indexes, **options)
    _indexed.add(collection.full_name)
    return made


@pytest.fixture
def cli(mongodb_uri: str, pair: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line on the run's MongoDB, with an empty pair of databases."""
    # Each command asks for all of them: for most of these tests that would take longer than what they are about.
    monkeypatch.setattr(AsyncCollection, "create_indexes", _indexes_once)
    monkeypatch.setenv("ADAPTER_MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("ADAPTER_DATABASE", pair)
    monkeypatch.setenv("COLUMNS", "200")
    clear(mongodb_uri, [f"{pair}_test", f"{pair}_live"])
    return Cli()


@pytest.fixture(scope="session")
def _demo() -> dict[str, Snapshot]:
    return {}


@pytest.fixture
def clinic(cli: Cli, _demo: dict[str, Snapshot], mongodb_uri: str, pair: str) -> Cli:
    """The command line beside a loaded demo clinic."""
    if pair in _demo:
        _demo[pair].restore()
    else:
        assert cli.run("demo", "load").exit_code == 0
        _demo[pair] = Snapshot(mongodb_uri, [f"{pair}_test", f"{pair}_live"])
    return cli


@pytest.fixture
def stored(cli: Cli, mongodb_uri: str) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Read the raw documents of a collection: ``stored("Slot", mode="test")``."""
    import os

    client: Databases = Databases(mongodb_uri)

    def read(kind: str, mode: str = "test") -> list[dict[str, Any]]:
        return list(client[f"{os.environ['ADAPTER_DATABASE']}_{mode}"][kind].find())

    yield read
    client.close()


@pytest.fixture
def bring(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    return Import(cli, folder)


@pytest.fixture(params=[1, 2, 1_000])
def small(request: pytest.FixtureRequest, bring: Import, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Imports by batches of one, of two, and of all: what clashes stands in one batch, or does not."""
    real = bring.run

    def run(*words: str, code: int | None = None) -> Json:
        return real("--batch", str(request.param), *words, code=code)

    monkeypatch.setattr(bring, "run", run)
    return bring
