"""The codes of problems, with their statuses: those that modules can give, by their source, and those of a page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from adapter import errors

ROOT = Path(__file__).parents[2]

Coded = tuple[str, int | None]

# The calls that make a problem: where the code stands in them, and the status that they always come with.
_MAKERS: dict[str, tuple[int, int | None]] = {
    "Problem": (0, None),
    "Invariant": (0, 400),
    "NotApplicable": (1, 422),
    "reading.py _against": (0, 400),
    "reading.py _refused": (1, 400),
    "keyring.py _refusal": (0, 401),
}
# Where no text stands as the code: what it can be, which is nothing where the text stands in who calls.
_CHOSEN: dict[str, tuple[str, ...]] = {
    "patching/__init__.py refused.code": (),
    "scheduling/bounds.py problem.code": (),
    "security/keyring.py code": (),
    "bundles/reading.py code": (),
    "bundles/reading.py key": (),
    "validation/findings.py code": (),
    "validation/structure.py code": (),
    "validation/walk.py invariant.key": (),
    "validation/models.py code": ("missing_element", "bad_value"),
    "validation/containment.py key": ("dom-4", "dom-5"),
    "scheduling/targets.py f'already_{done}'": ("already_held", "already_booked"),
}


def given(*modules: str) -> set[Coded]:
    """Return the codes that `modules` (patterns below ``adapter``) can give.

    With each comes its status; None for each place that leaves it to others to say that.
    """
    paths = {path for found in modules for path in (ROOT / "adapter").glob(found)}
    return {one for path in paths for one in _made(ast.parse(path.read_text("utf-8")), path, None)}


def told(page: str, heading: str) -> set[Coded]:
    """Return the codes in the tables below a heading of a page, each in the cell before the last.

    Their statuses stand in the cell before it; without that they are the 400 of what is not valid.
    """
    text = (ROOT / "docs" / page).read_text("utf-8").partition(f"\n{heading}\n")[2]
    rows = [row.strip("|").split("|") for row in text.partition("\n#")[0].splitlines() if row.startswith("|")]
    return {
        (code, int(status))
        for *before, codes, _ in rows
        for status in re.findall(r"\d{3}", before[0] if before else "400")
        for code in re.findall(r"`([a-z0-9_-]+)`", codes)
    }


def _made(node: ast.AST, path: Path, status: int | None) -> Iterator[Coded]:
    """Yield what is made within `node`, which stands within a refusal of that status."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        status = _of_refusal(node, name) or status
        stated, always = _stated(node, name, path)
        yield from ((code, always or status) for one in stated for code in _texts(one, path))
    elif isinstance(node, ast.FunctionDef):
        defaults = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        yield from ((code, None) for arg, one in defaults if arg.arg == "code" and one for code in _texts(one, path))
    for inner in ast.iter_child_nodes(node):
        yield from _made(inner, path, status)


def _of_refusal(call: ast.Call, name: str) -> int | None:
    """Return the status of the refusal that is made; None where it is none, or where others say the status."""
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.Refused)):
        return None
    said = next((one.value for one in call.keywords if one.arg == "status"), None)
    if said is None:
        return None if kind is errors.Refused else kind.status
    return said.value if isinstance(said, ast.Constant) and isinstance(said.value, int) else None


def _stated(call: ast.Call, name: str, path: Path) -> tuple[list[ast.expr], int | None]:
    """Return what stands in a call as the code of a problem, and the status that this always comes with."""
    named = [one.value for one in call.keywords if one.arg == "code"]
    if name == "add" and len(call.args) == 4:  # that of `Findings`
        return [call.args[0]], 422 if ast.unparse(call.args[1]) == "'business-rule'" else 400
    place, always = _MAKERS.get(name) or _MAKERS.get(f"{path.name} {name}") or (None, None)
    if place is None:
        return named if name == "replace" else [], None
    return named or call.args[place : place + 1], always


def _texts(stated: ast.expr, path: Path) -> tuple[str, ...]:
    if isinstance(stated, ast.Constant) and isinstance(stated.value, str):
        return (stated.value,)
    return _CHOSEN[f"{path.parent.name}/{path.name} {ast.unparse(stated)}"]
