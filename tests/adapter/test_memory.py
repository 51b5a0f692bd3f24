"""Garbage is not looked for while a command loads, and is again when it runs."""

from __future__ import annotations

import gc

import pytest

from adapter import __main__, cli, memory


def test_a_command_is_loaded_without_the_collector_and_run_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []
    before = gc.get_freeze_count()

    def command() -> None:
        seen.append((gc.isenabled(), gc.get_freeze_count() > before))
        raise SystemExit(3)

    monkeypatch.setattr(cli, "main", command)
    try:
        with pytest.raises(SystemExit, match="3"):
            __main__.main()
    finally:
        gc.unfreeze()
    assert seen == [(True, True)]


def test_what_cannot_be_loaded_leaves_the_collector_on() -> None:
    enabled: list[bool] = []

    def load() -> None:
        with memory.loading():
            enabled.append(gc.isenabled())
            raise ImportError

    try:
        with pytest.raises(ImportError):
            load()
    finally:
        gc.unfreeze()
    assert [*enabled, gc.isenabled()] == [False, True]
