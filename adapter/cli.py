"""The command line: ``mediloop-fhir``."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer
from pydantic import SecretStr

from adapter import __version__
from adapter.console import demo, keys, slots
from adapter.console.check import check
from adapter.console.export import export
from adapter.console.importing import import_
from adapter.console.reindex import reindex
from adapter.console.session import out, plain_failures
from adapter.console.tail import tail
from adapter.console.translate import translate
from adapter.settings import PREFIX, Settings, load

app = typer.Typer(
    name="mediloop-fhir",
    help="The MediLoop Appointments API over FHIR R4 documents in MongoDB.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(keys.app, name="keys")
app.add_typer(demo.app, name="demo")
app.add_typer(slots.app, name="slots")
app.command("import")(import_)
app.command()(check)
app.command()(export)
app.command()(reindex)
app.command()(tail)
app.command()(translate)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (ADAPTER_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one (ADAPTER_PORT).")] = None,
    workers: Annotated[int | None, typer.Option(help="Service processes (ADAPTER_WORKERS).")] = None,
) -> None:
    """Start the service; Ctrl-C ends it.

    Without ADAPTER_MONGODB_URI it starts an embedded MongoDB under ADAPTER_DATA_DIR.

    [dim]Example:  mediloop-fhir serve --port 8080 --workers 2[/dim]
    """
    from adapter import serving  # loads the whole service: not for `version`

    with plain_failures():
        serving.serve(load(host=host, port=port, workers=workers))


@app.command()
def settings(
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of docs/operations.md.")] = False,
) -> None:
    """Print every setting with its value, where it comes from, its default and its meaning.

    [dim]Example:  ADAPTER_PORT=8080 mediloop-fhir settings[/dim]
    """
    if markdown:
        typer.echo(_table())
        return
    with plain_failures():
        present = load()
    rows = [_row(present, name) for name in Settings.model_fields]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        out.print(f"{row['name']} = {row['value']}   ({row['origin']})", markup=False, highlight=False)
        out.print(f"    {row['meaning']} Default: {row['default']}", markup=False, highlight=False)


def _row(present: Settings, name: str) -> dict[str, object]:
    field = Settings.model_fields[name]
    return {
        "name": f"{PREFIX}{name.upper()}",
        "value": _printable(getattr(present, name)),
        "origin": _origin(present, name),
        "default": _printable(field.default),
        "meaning": field.description,
    }


def _origin(present: Settings, name: str) -> str:
    if f"{PREFIX}{name}".upper() in {variable.upper() for variable in os.environ}:
        return "environment"
    return ".env" if name in present.model_fields_set else "default"


def _table() -> str:
    """Return every setting with its default and meaning as a Markdown table: the same on every machine."""
    lines = ["| Setting | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else f"`{_printable(field.default)}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines)


def _printable(value: object) -> object:
    if isinstance(value, SecretStr):
        return "(secret)"
    if isinstance(value, tuple):
        return ",".join(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


@app.command()
def version(as_json: Json = False) -> None:
    """Print the version."""
    typer.echo(json.dumps({"version": __version__}) if as_json else __version__)


def main() -> None:
    """Run the command line (the entry point of the distribution)."""
    app()
