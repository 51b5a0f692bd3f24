"""How often one may ask how far an export is: 429 for a loop without a pause, never for who waits as told."""

from __future__ import annotations

import pytest

from adapter.export import pace
from adapter.export.pace import BURST, PER_SECOND, Pace
from tests.conftest import Api


def test_who_waits_a_twentieth_of_a_second_is_always_answered() -> None:
    kept = Pace()
    assert all(kept.is_kept("job", number * 0.05) for number in range(5 * BURST))


def test_a_loop_without_a_pause_is_refused_until_it_pauses() -> None:
    kept = Pace()
    assert [kept.is_kept("job", 1.0) for _ in range(BURST + 2)] == [True] * BURST + [False] * 2
    assert kept.is_kept("other", 1.0)
    assert kept.is_kept("job", 1.0 + 1.5 / PER_SECOND)
    assert not kept.is_kept("job", 1.0 + 1.5 / PER_SECOND)


def test_so_many_jobs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_MOST", 2)
    kept = Pace()
    for name in ("a", "b", "c"):
        kept.is_kept(name, 1.0)
    assert list(kept._left) == ["b", "c"]


async def test_the_door_says_when_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "BURST", 3)
    monkeypatch.setattr(pace, "PER_SECOND", 0.0)
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    answers = [await api.get(location) for _ in range(4)]
    assert [one.status_code for one in answers] == [202, 202, 202, 429]
    assert answers[-1].headers["retry-after"] == "1"
    said = answers[-1].json()
    assert (said["resourceType"], said["issue"][0]["code"]) == ("OperationOutcome", "throttled")
    assert (await api.delete(location)).status_code == 202
