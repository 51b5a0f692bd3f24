"""``mediloop-fhir import`` of much at once: batches end by their bytes too, and what is too large is refused alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapter.importing import item
from adapter.importing.state import Place
from store.errors import Unreachable
from store.store import Store
from tests.adapter.console.imports import Import, Json, Stored, lines


def pictured(ident: str, size: int) -> Json:
    return {"resourceType": "Patient", "id": ident, "photo": [{"contentType": "image/png", "data": "x" * size}]}


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lines after which the state file had an import go on."""
    noted: list[int] = []
    save = Place.save

    def saved(place: Place, path: Path) -> None:
        noted.append(place.line)
        save(place, path)

    monkeypatch.setattr(Place, "save", saved)
    return noted


@pytest.mark.parametrize("as_bundle", [False, True])
def test_a_batch_ends_when_it_is_large(
    bring: Import, stored: Stored, places: list[int], monkeypatch: pytest.MonkeyPatch, as_bundle: bool
) -> None:
    monkeypatch.setattr(item, "ENOUGH", 10_000)
    patients = [pictured(f"p{number}", 4_000) for number in range(8)]
    name, content = "some.ndjson", lines(*patients)
    if as_bundle:
        entries = [{"resource": one} for one in patients]
        name, content = (
            "some.json",
            json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode(),
        )
    (bring.folder / name).write_bytes(content)
    transact, left = Store.transact, iter(range(2))

    async def ends(store: Store, step: Any) -> Any:
        if next(left, None) is None:
            raise Unreachable("MongoDB did not answer in time")
        return await transact(store, step)

    with monkeypatch.context() as once:
        once.setattr(Store, "transact", ends)
        assert bring.cli.run("import", str(bring.folder / name)).exit_code == 1
    assert places == [0, 3, 6]
    assert bring.cli.json("import", str(bring.folder / name))["created"] == 8
    assert sorted(one["_id"] for one in stored("Patient")) == [one["id"] for one in patients]
    assert {one["version"] for one in stored("history")} == {1}


def test_what_no_document_can_hold_is_refused_alone(bring: Import, stored: Stored) -> None:
    large = lines(pictured("a", 40), pictured("b", 12_000_000), pictured("c", 40))
    assert bring(some__ndjson=large) == {"created": 2, "refused": 1}
    assert bring.refused() == [(2, ["body_too_large"])]
    assert sorted(one["_id"] for one in stored("Patient")) == ["a", "c"]
