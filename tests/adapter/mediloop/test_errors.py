"""The table of errors in docs/mediloop.md names each code that a MediLoop caller can be given, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]

# What the modules that this door shares with others say to FHIR's writers, or to who makes keys.
TO_OTHERS = {
    *("ambiguous_participant", "appointment_final", "contradicting_answers", "unknown_appointment"),
    *("unknown_participant", "unknown_schedule", "invalid_capacity", "invalid_hours", "slot_held", "blank_reason"),
    *("api_key_already_rolled", "api_key_not_found", "too_many_hours", "reserved_id"),
}
_MODULES = ("mediloop/*.py", "scheduling/*.py", "security/*.py", "encoding.py", "gate.py", "protocol.py", "refusals.py")


def _codes(module: Path) -> Iterator[str]:
    """Yield the codes of the problems that a module makes, by itself or by its own short hand for it."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Problem", "_refusal"):
            stated = [*node.args[:1], *(one.value for one in node.keywords if one.arg == "code")]
            yield from (one.value for one in stated if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _given() -> set[str]:
    return {code for found in _MODULES for path in (ROOT / "adapter").glob(found) for code in _codes(path)}


def _told() -> set[str]:
    page = (ROOT / "docs" / "mediloop.md").read_text("utf-8")
    rows = [row.split("|") for row in page.partition("| Status | `code` | When |")[2].splitlines()]
    return {code for row in rows if len(row) == 5 for code in re.findall(r"`([a-z_]+)`", row[2])}


def test_the_table_of_errors_is_complete() -> None:
    assert _given() >= TO_OTHERS
    assert _told() == _given() - TO_OTHERS
