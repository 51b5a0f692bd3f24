"""``mediloop-fhir demo``: the demo clinic."""

from __future__ import annotations

import json

import typer

from adapter import demo
from adapter.console.options import AsJson
from adapter.console.session import out, write

app = typer.Typer(help="The demo clinic (test data).", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The demo clinic (test data)."""


@app.command()
def load(as_json: AsJson = False) -> None:
    """Load the people, slots and appointments of the documentation's examples into the test database.

    What is there already is left as it is.

    [dim]Example:  mediloop-fhir demo load[/dim]
    """
    made = write("test", demo.load)
    if as_json:
        typer.echo(json.dumps({"created": made}))
    else:
        out.print(f"Demo clinic loaded: {made} resources made.", highlight=False)
