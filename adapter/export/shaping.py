"""What is made of the stored resources on their way into a file: parts of them, or nobody's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.export.plan import Outdated, Plan
from adapter.settings import Settings
from adapter.terms import systems_of

if TYPE_CHECKING:
    from adapter.export.deidentify import Deidentifier


class WrongKey(Outdated):
    """The pseudonyms of an export cannot be made any more."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is made of what is stored.

    Attributes:
        lines: of the lines of a type those that are exported; None: they stay as they are.
        name: of the name of a resource (``Patient/123``) the one that is told.
    """

    lines: Callable[[str, list[bytes]], list[bytes]] | None = None
    name: Callable[[str], str] = str


def shape(plan: Plan, settings: Settings) -> Shape:
    """Return what a plan wants to be made of what is stored.

    Raises:
        WrongKey: it wants pseudonyms, and the key for them is no longer there, or another one.
    """
    steps: list[Callable[[str, bytes], bytes]] = []
    name: Callable[[str], str] = str
    if plan.deidentified:
        made = _deidentifier(settings)
        if plan.key not in (None, made.fingerprint):
            raise WrongKey(
                "ADAPTER_DEIDENTIFY_KEY has another value than when this export was begun: its files would hold "
                "pseudonyms of two keys. Ask for it again."
            )
        steps.append(lambda _, raw: made.line(raw))
        name = made.name
    if plan.elements:  # imported where it is needed, as below: they load the definitions of all types
        from adapter.fhir.presentation import subset

        steps.append(lambda kind, raw: subset(raw, kind, summary=None, elements=plan.elements))
    if not steps:
        return Shape()

    def lines(kind: str, raws: list[bytes]) -> list[bytes]:
        for step in steps:
            raws = [step(kind, raw) for raw in raws]
        return raws

    return Shape(lines, name)


def fingerprint(settings: Settings) -> str:
    """Return what tells keys of pseudonyms apart.

    Raises:
        WrongKey: there is none.
    """
    return _deidentifier(settings).fingerprint


def _deidentifier(settings: Settings) -> Deidentifier:
    from adapter.export.deidentify import Deidentifier  # where it is needed: it loads the definitions of all types

    if settings.deidentify_key is None:
        raise WrongKey("ADAPTER_DEIDENTIFY_KEY is not set any more. Ask for the export again when it is.")
    key = settings.deidentify_key.get_secret_value().encode()
    # Not below the address of a request, too: by which one an export is asked for must not change a pseudonym.
    return Deidentifier(key, systems_of(settings), settings.fhir_bases, settings.uhid_pattern)
