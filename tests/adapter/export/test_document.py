"""The pages for data teams say what the code does: their tables and the ViewDefinitions are made from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.export import document
from mappings.document import rewritten

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", document.PAGES)
def test_the_tables_of_the_pages_are_up_to_date(name: str) -> None:
    page = (DOCS / name).read_text("utf-8")
    assert page == rewritten(page, document.parts()), "run python -m adapter.export.document docs"
    assert "<!-- generated:" in page


def test_the_published_views_are_those_of_the_code() -> None:
    published = {path.name: path.read_text("utf-8") for path in (DOCS / document.VIEWS).glob("*.json")}
    assert published == document.view_files(), "run python -m adapter.export.document docs"


def test_all_is_written_into_the_folder_named(tmp_path: Path) -> None:
    for name in document.PAGES:
        page = (DOCS / name).read_text("utf-8").replace("| Column | Type | Note |\n", "")
        (tmp_path / name).write_text(page, "utf-8")
    document.main([str(tmp_path)])
    for name in (*document.PAGES, "views/slots.json"):
        assert (tmp_path / name).read_text("utf-8") == (DOCS / name).read_text("utf-8")
