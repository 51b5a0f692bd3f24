"""``mediloop-fhir translate``: MediLoop JSON to FHIR and back, without a store."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Literal

import typer

from adapter.console.session import fail, plain_failures
from adapter.service import systems_of, vocabulary_of
from adapter.settings import load
from mappings import appointment as lens
from store.codec import decode, encode


def translate(
    to: Annotated[Literal["fhir", "mediloop"], typer.Option(help="What to translate to.")],
) -> None:
    """Translate an appointment, or a list of them, from standard input.

    [dim]Example:  echo '{"id": "a1", "status": "booked"}' | mediloop-fhir translate --to fhir[/dim]
    """
    with plain_failures():
        settings = load()
        systems, vocabulary = systems_of(settings), vocabulary_of(settings)
    try:
        given = _read(sys.stdin.buffer.read())
        items = given if isinstance(given, list) else [given]
        if to == "fhir":
            done = [lens.update(lens.blank(), item, systems=systems, vocabulary=vocabulary) for item in items]
        else:
            done = [lens.view(item, systems=systems, vocabulary=vocabulary) for item in items]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        fail(f"cannot translate: {error}")
    wrapped: dict[str, Any] = {"done": done if isinstance(given, list) else done[0]}
    typer.echo(json.dumps(json.loads(encode(wrapped))["done"], indent=2, ensure_ascii=False))


def _read(raw: bytes) -> Any:
    # Wrapped, so that a list is read as exactly as an object.
    given = decode(b'{"given":' + raw + b"}")["given"]
    if not all(isinstance(item, dict) for item in (given if isinstance(given, list) else [given])):
        raise ValueError("expected an appointment object or a list of them")
    return given
