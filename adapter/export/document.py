"""The generated parts of docs/data.md and docs/deidentification.md, and the files of docs/views.

The pages promise what the code does, so their tables are made from its tables; a test fails when one is behind.
``python -m adapter.export.document docs`` rewrites them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapter.export.allowed import MEANINGS, NESTED, RESOURCES, VOCABULARIES, Values, extensions
from adapter.export.columns import COLUMNS
from adapter.export.views import views
from mappings.document import rewritten, table
from mappings.systems import DEFAULT_SYSTEMS
from mappings.vocabulary import Vocabulary

PAGES = ("data.md", "deidentification.md")
VIEWS = "views"


def parts() -> dict[str, str]:
    """Return the generated parts by the name in their marker."""
    return {
        "appointment-columns": _columns("Appointment"),
        "slot-columns": _columns("Slot"),
        "kept-elements": _kept(),
        "kept-extensions": _extensions(),
        "vocabularies": "".join(f"- `{system}`\n" for system in _systems()),
    }


def view_files() -> dict[str, str]:
    """Return the ViewDefinitions of the default canonicals and code tables, by the names of their files."""
    made = views(DEFAULT_SYSTEMS, Vocabulary.default())
    return {f"{one['name']}.json": json.dumps(one, indent=2, ensure_ascii=False) + "\n" for one in made}


def _columns(kind: str) -> str:
    rows = ((f"`{column.name}`", column.kind, column.note) for column in COLUMNS[kind])
    return table(("Column", "Type", "Note"), rows)


def _kept() -> str:
    rows = [
        (f"`{kind}.{name}`", MEANINGS.get(rule, f"see `{rule}`"))
        for kind, rules in {**RESOURCES, **NESTED}.items()
        for name, rule in rules.items()
    ]
    return table(("Element", "What becomes of it"), rows)


def _extensions() -> str:
    rows = []

    def add(name: str, known: Values | tuple[str, ...]) -> None:
        if isinstance(known, Mapping):
            for part, inner in known.items():
                add(f"{name}, part `{part}`", inner)
        else:
            rows.append((name, ", ".join(f"`{value}`" for value in known)))

    for url, known in extensions(DEFAULT_SYSTEMS).items():
        add(f"`{url}`", known)
    return table(("Extension", "Value that is kept"), rows)


def _systems() -> tuple[str, ...]:
    own = (DEFAULT_SYSTEMS.service_type, DEFAULT_SYSTEMS.specialty, DEFAULT_SYSTEMS.cancellation_reason)
    return (*(f"{one}..." if one.endswith("/") else one for one in VOCABULARIES), *own)


def main(arguments: Sequence[str]) -> None:
    """Rewrite what is generated in the folder given as the only argument."""
    folder = Path(arguments[0])
    for name in PAGES:
        path = folder / name
        path.write_text(rewritten(path.read_text("utf-8"), parts()), "utf-8")
    (folder / VIEWS).mkdir(exist_ok=True)
    for name, text in view_files().items():
        (folder / VIEWS / name).write_text(text, "utf-8")


if __name__ == "__main__":  # pragma: no cover - one line, run by hand
    main(sys.argv[1:])
