"""``mediloop-fhir translate``: MediLoop JSON to FHIR and back, without a store."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Literal

import typer

from adapter.console.session import fail, plain_failures
from adapter.errors import Malformed, Problem, Refused
from adapter.importing.means import Tables
from adapter.settings import load
from adapter.terms import systems_of, vocabulary_of
from mappings import appointment as lens
from store.codec import encode


def translate(
    to: Annotated[Literal["fhir", "mediloop"], typer.Option(help="What to translate to.")],
) -> None:
    """Translate an appointment, or a list of them (MediLoop's pages of lists as well), from standard input.

    What is no valid Appointment in FHIR, before or after, is refused.

    [dim]Example:  mediloop-fhir translate --to fhir < appointment.json[/dim]
    """
    with plain_failures():
        settings = load()
        means = Tables(settings, systems_of(settings), vocabulary_of(settings))
    one_by_one = _to_fhir if to == "fhir" else _to_mediloop
    which = ""
    try:
        given = _read(sys.stdin.buffer.read(), to)
        done = []
        for number, item in enumerate(given if isinstance(given, list) else [given], 1):
            which = f"item {number} of the list: " if isinstance(given, list) else ""
            done.append(one_by_one(item, means))
    except Refused as refused:
        fail(f"cannot translate: {which}{'; '.join(map(_told, refused.problems))}")
    except ValueError as error:
        fail(f"cannot translate: {which}{error}")
    wrapped: dict[str, Any] = {"done": done if isinstance(given, list) else done[0]}
    typer.echo(json.dumps(json.loads(encode(wrapped))["done"], indent=2, ensure_ascii=False).encode())


def _read(raw: bytes, to: str) -> Any:
    from adapter.importing import mediloop  # loads all of validation, as below: not for what is no appointment

    if not raw.strip():
        raise ValueError("nothing came in. Give an appointment as JSON on standard input")
    given = mediloop.read(raw)
    if to == "fhir" and isinstance(given, dict) and isinstance(given.get("results"), list):
        given = given["results"]
    items = given if isinstance(given, list) else [given]
    if not all(isinstance(item, dict) for item in items):
        raise ValueError("expected an appointment object or a list of them")
    return given


def _to_fhir(item: dict[str, Any], means: Tables) -> dict[str, Any]:
    from adapter.fhir import validation
    from adapter.importing import mediloop

    unknown = mediloop.unknown(item)
    if unknown:
        raise ValueError(f"A MediLoop appointment has no member {', '.join(unknown)}")
    # What an import would miss may be missing here: an Appointment that is proposed has no time, for one.
    made = mediloop.applied(means, None, mediloop.members(means, item, required=()))
    validation.require_valid(made, "Appointment")
    return made


def _to_mediloop(item: dict[str, Any], means: Tables) -> dict[str, Any]:
    from adapter.fhir import validation

    kind = item.get("resourceType")
    if kind != "Appointment":
        what = "no resourceType" if kind is None else f"the resourceType {kind}"
        text = f"it has {what}. Give FHIR Appointments: MediLoop has no other object here"
        raise Malformed(Problem("wrong_type", text))
    validation.require_valid(item, "Appointment")
    return lens.view(item, systems=means.systems, vocabulary=means.vocabulary)


def _told(problem: Problem) -> str:
    """Return a problem with its place, where the message does not begin with that."""
    if problem.param is None or problem.message.startswith(problem.param):
        return problem.message
    return f"{problem.param}: {problem.message}"
