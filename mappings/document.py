"""The generated parts of docs/mapping.md.

The page promises an integration engineer what the service does, so its tables are made from the declarations
and ConceptMaps that do it; a test fails when the page is behind. Run ``python -m mappings.document`` to print
the parts, with the page's path as an argument to rewrite it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mappings.elements import Resource
from mappings.fields import FIELDS
from mappings.vocabulary import Vocabulary

_PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def fields() -> str:
    """Return the table of MediLoop members and FHIR elements."""
    rows = (
        (f"`{field.name}`", field.type + (", nullable" if field.nullable else ""), field.element, field.note)
        for field in FIELDS
    )
    return table(("MediLoop", "Type", "FHIR Appointment", "Note"), rows)


def _targets(element: Resource, unmapped: str) -> tuple[str, str]:
    """Return what the first target of `element` says: its code (or the absence of one) and the relation."""
    for target in element.get("target", ()):
        code = f"`{target['code']}`" if "code" in target else "not shown"
        return code, f"{target['equivalence']}. {target.get('comment', '')}".rstrip(". ")
    return unmapped.format(code=element["code"]), ""


_RULES = {"provided": "`{code}` (as it is)", "fixed": "`{fixed}`", "none": "none"}


def _rule(group: Resource) -> str:
    unmapped = group.get("unmapped", {})
    return _RULES[unmapped.get("mode", "none")].replace("{fixed}", unmapped.get("code", ""))


def code_tables(vocabulary: Vocabulary) -> str:
    """Return a heading, the description and a table for each ConceptMap."""
    parts = []
    for resource in (one.resource for one in vocabulary.maps):
        parts.append(f"### `{resource['id']}`\n\n{resource.get('description', '')}\n\n")
        for group in resource["group"]:
            rule = _rule(group)
            rows = [
                (f"`{element['code']}`", element.get("display", ""), *_targets(element, rule))
                for element in group["element"]
            ]
            if "unmapped" in group:
                rows.append(("any other", "", rule.replace("`{code}` (as it is)", "as it is"), ""))
            parts.append(f"From `{group['source']}` to `{group['target']}`:\n\n")
            parts.append(table(("Code", "Display", "Shown or written as", "Target relative to source"), rows))
            parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def parts() -> dict[str, str]:
    """Return the generated parts by the name in their marker."""
    return {"fields": fields(), "code-tables": code_tables(Vocabulary.default())}


def rewritten(page: str, generated: Mapping[str, str]) -> str:
    """Return `page` with the text between each pair of markers made anew: the part that the marker names.

    Raises:
        KeyError: a marker names a part that there is not.
    """
    return _PART.sub(lambda found: f"{found[1]}\n{generated[found['name']]}\n{found[3]}", page)


def main(arguments: Sequence[str]) -> None:
    """Rewrite the page at the path given as the only argument, or print the parts without one."""
    if arguments:
        path = Path(arguments[0])
        path.write_text(rewritten(path.read_text("utf-8"), parts()), "utf-8")
    else:
        sys.stdout.write("\n".join(parts().values()))


if __name__ == "__main__":  # pragma: no cover - one line, run by hand
    main(sys.argv[1:])
