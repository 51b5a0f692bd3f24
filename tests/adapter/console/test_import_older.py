"""``mediloop-fhir import`` of an export that is older than what is stored: what it closes, and for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapter.importing import running
from tests.adapter.console.imports import PEOPLE, SCHEDULE, Import, Json, Stored, slot, visit
from tests.adapter.console.increments import CAPACITY, cancelled, check, increment, state

FULL = (*PEOPLE, SCHEDULE, slot("x", 9, status="busy"), visit("a", 9, "x"))


@pytest.fixture
def older(bring: Import, tmp_path: Path) -> Path:
    """Return an export after which a visit was called off; that is stored."""
    full = increment(tmp_path / "full", [], *FULL, moment="2027-01-01T00:00:00Z")
    bring.run(str(full))
    bring.run(str(increment(tmp_path / "later", [], slot("x", 9), cancelled("a", 9, "x"))))
    return full


def statuses(stored: Stored) -> dict[str, Any]:
    return {name: one["status"] for name, one in state(stored).items() if "status" in one}


def test_a_slot_that_only_a_refused_visit_closes_is_free_again(
    bring: Import, older: Path, stored: Stored, tmp_path: Path
) -> None:
    assert bring.run(str(older), code=1)["refused"] == 1
    assert bring.refused() == [(6, ["invalid_status_transition"])]
    assert statuses(stored) == {"Slot/x": "free", "Appointment/a": "cancelled"}
    assert "slot-without-owner" not in bring.cli.run("check", "--mode", "test").output
    # An increment that comes after it finds all as the one before has left it.
    assert bring.run(str(increment(tmp_path / "next", [], slot("x", 9, status="busy"), visit("b", 9, "x"))), code=0)
    assert statuses(stored)["Slot/x"] == "busy"
    check(bring.cli)


def test_so_it_is_after_an_interruption(
    bring: Import, older: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(running, "reopen", stop)
        assert bring.cli.run("import", "--json", "--errors", str(bring.errors), str(older)).exit_code == 130
    assert statuses(stored)["Slot/x"] == "busy"
    bring.run(str(older), code=1)
    assert statuses(stored)["Slot/x"] == "free"


def test_so_is_one_whose_visit_is_at_another_time_by_now(bring: Import, stored: Stored, tmp_path: Path) -> None:
    later = [slot("x", 9), slot("y", 10, status="busy"), visit("a", 10, "y"), visit("b", 9), cancelled("c", 11)]
    bring.run(str(increment(tmp_path / "later", [], *PEOPLE, SCHEDULE, *later)))
    bring.run(str(increment(tmp_path / "older", [], slot("x", 9, status="busy"), visit("a", 9, "x"))), code=1)
    assert statuses(stored)["Slot/x"] == "free"
    assert statuses(stored)["Slot/y"] == "busy"
    check(bring.cli)


def test_one_with_places_left_is_open_again_and_keeps_who_has_it(bring: Import, stored: Stored, tmp_path: Path) -> None:
    two = {"extension": [CAPACITY | {"valueInteger": 2}]}
    ward = [{"actor": {"reference": "Patient/john"}, "status": "accepted"}]
    here = visit("a", 9, "x", participant=ward), cancelled("b", 9, "x") | {"participant": ward}
    bring.run(str(increment(tmp_path / "later", [], *PEOPLE, SCHEDULE, slot("x", 9, **two), *here)))
    bring.run(
        str(increment(tmp_path / "older", [], slot("x", 9, status="busy", **two), here[1] | {"status": "booked"}))
    )
    assert statuses(stored) == {"Slot/x": "free", "Appointment/a": "booked", "Appointment/b": "cancelled"}


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ([visit("n", 9, "x", participant=[])], "nobody knows it here: its patient was promised that time elsewhere"),
        ([visit("a", 9, "x", meta={"lastUpdated": "2999-01-01T00:00:00Z"})], "it is newer than what is stored"),
        ([visit("a", 9, "x"), visit("b", 9, "x")], "another has it"),
        ([visit("a", 9)], "it names another, or none"),
    ],
)
def test_otherwise_a_slot_is_as_its_file_has_it(
    bring: Import, older: Path, stored: Stored, tmp_path: Path, resources: list[Json], why: str
) -> None:
    given = increment(tmp_path / "given", [], slot("x", 9, status="busy"), *resources)
    bring.run(str(given), code=1)
    assert statuses(stored)["Slot/x"] == "busy", why
    check(bring.cli)


def test_one_that_was_busy_before_stays_so(bring: Import, older: Path, stored: Stored, tmp_path: Path) -> None:
    bring.run(str(increment(tmp_path / "closed", [], slot("x", 9, status="busy"))), code=0)
    bring.run(str(older), code=1)
    assert statuses(stored)["Slot/x"] == "busy"
    bring.run(str(increment(tmp_path / "shut", [], slot("x", 9, status="busy-unavailable"))), code=0)
    bring.run(str(increment(tmp_path / "open", [], slot("x", 9, comment="Room 2", status="busy"), visit("a", 9, "x"))))
    assert statuses(stored)["Slot/x"] == "busy-unavailable"
    assert state(stored)["Slot/x"]["comment"] == "Room 2"
