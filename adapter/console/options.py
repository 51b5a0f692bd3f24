"""Options that several commands take: each is described once, and means the same everywhere."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

TestOrLive = Annotated[Literal["test", "live"], typer.Option(help="test or live data.")]
TestLiveOrBoth = Annotated[Literal["test", "live", "both"], typer.Option(help="test data, live data, or both.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Resource type; may be repeated, or a list with commas.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
