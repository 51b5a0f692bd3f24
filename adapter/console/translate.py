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
from store.codec import encode, parse


def translate(
    to: Annotated[Literal["fhir", "mediloop"], typer.Option(help="What to translate to.")],
) -> None:
    """Translate an appointment, or a list of them (MediLoop's pages of lists as well), from standard input.

    [dim]Example:  echo '{"id": "a1", "status": "booked"}' | mediloop-fhir translate --to fhir[/dim]
    """
    with plain_failures():
        settings = load()
        systems, vocabulary = systems_of(settings), vocabulary_of(settings)
    try:
        given = _read(sys.stdin.buffer.read(), to)
        items = given if isinstance(given, list) else [given]
        if to == "fhir":
            done = [lens.update(lens.blank(), item, systems=systems, vocabulary=vocabulary) for item in items]
        else:
            done = [lens.view(item, systems=systems, vocabulary=vocabulary) for item in items]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        fail(f"cannot translate: {error}")
    wrapped: dict[str, Any] = {"done": done if isinstance(given, list) else done[0]}
    typer.echo(json.dumps(json.loads(encode(wrapped))["done"], indent=2, ensure_ascii=False).encode())


def _read(raw: bytes, to: str) -> Any:
    if not raw.strip():
        raise ValueError("nothing came in. Give an appointment as JSON on standard input")
    given = parse(raw)
    if to == "fhir" and isinstance(given, dict) and isinstance(given.get("results"), list):
        given = given["results"]
    items = given if isinstance(given, list) else [given]
    if not all(isinstance(item, dict) for item in items):
        raise ValueError("expected an appointment object or a list of them")
    if to == "mediloop":
        for number, item in enumerate(items, 1):
            _require_appointment(item, f"item {number} of the list" if isinstance(given, list) else "it")
    return given


def _require_appointment(item: dict[str, Any], which: str) -> None:
    kind = item.get("resourceType")
    if kind == "Appointment":
        return
    if kind is None:
        raise ValueError(f"{which} has no resourceType. Give FHIR Appointments")
    raise ValueError(f"{which} has the resourceType {kind}. Give FHIR Appointments: MediLoop has no other object here")
