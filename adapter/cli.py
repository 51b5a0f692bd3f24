"""The command line: ``mediloop-fhir``."""

from __future__ import annotations

import json
import os
import re
import sys
from importlib import import_module
from itertools import pairwise
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from typer.core import TyperGroup

from adapter import __version__
from adapter.console.options import AsJson
from adapter.console.session import out, plain_failures, prepare_output, settle_output
from adapter.setting_values import is_text
from adapter.settings import Settings, load
from adapter.variables import PREFIX

_ELSEWHERE = {
    "keys": ("keys", "app"),
    "slots": ("slots", "app"),
    "demo": ("demo", "app"),
    "import": ("importing", "import_"),
    "export": ("export", "export"),
    "tail": ("tail", "tail"),
    "reindex": ("reindex", "reindex"),
    "check": ("check", "check"),
    "translate": ("translate", "translate"),
}
"""Where commands are: the module of `adapter.console`, and the function, or the group of commands."""


_CREDENTIALS = re.compile(r"(?<=://)(?:[^/]*@|[^/@:]*:[^@]*@)")
"""User and password in an address, such as that of exports; with a slash, too, that should have been escaped."""


class _Commands(TyperGroup):
    """Loads what a command needs when that command is called: the whole takes half a second more."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands (Click's hook)."""
        return [*(name for name in self.commands if name not in _ELSEWHERE), *_ELSEWHERE]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command (Click's hook); where there is none of that name, all are loaded, to suggest one."""
        for name in [cmd_name] if cmd_name in (*_ELSEWHERE, *self.commands) else _ELSEWHERE:
            if name not in self.commands:
                self.commands[name] = _loaded(name)
        return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line (Click's hook).

        Raises:
            BadParameter: bytes that are no UTF-8, which nothing here could store, look up or show.
        """
        for before, word in pairwise(("", *args)):
            if not is_text(word):
                option = next((one.partition("=")[0] for one in (word, before) if one.startswith("--")), None)
                # The value of an option may be a secret.
                named = option or os.fsencode(word).decode(errors="backslashreplace")
                raise typer.BadParameter(f"{named}: it is no text in UTF-8. Give it as such.")
        return super().parse_args(ctx, args)


def _loaded(name: str) -> Any:
    module, attribute = _ELSEWHERE[name]
    found = getattr(import_module(f"adapter.console.{module}"), attribute)
    part = typer.Typer(rich_markup_mode="rich")
    if isinstance(found, typer.Typer):
        part.add_typer(found, name=name)
    else:
        part.command(name)(found)
    return typer.main.get_group(part).commands[name]


app = typer.Typer(
    name="mediloop-fhir",
    cls=_Commands,
    help="The MediLoop Appointments API over FHIR R4 documents in MongoDB.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    *,
    _: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    pass


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
    from adapter import counting

    with plain_failures():
        counting.require_folder()
        from adapter import serving  # loads the whole service: not for `version`

        serving.serve(load(host=host, port=port, workers=workers))


@app.command()
def settings(
    as_json: AsJson = False,
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
    if isinstance(value, str):
        return _CREDENTIALS.sub("(secret)@", value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    typer.echo(json.dumps({"version": __version__}) if as_json else __version__)


def main() -> None:
    """Run the command line; `adapter.__main__` loads it."""
    prepare_output()
    try:
        with plain_failures():  # of what is printed; the rest is told by the commands
            app()
    except typer.Exit as end:
        sys.exit(end.exit_code)
    finally:
        settle_output()
