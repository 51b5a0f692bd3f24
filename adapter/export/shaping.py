"""What is made of the stored resources on their way into a file: parts of them, or nobody's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adapter.export.plan import Plan
from adapter.settings import Settings
from mappings.systems import Systems


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
        LookupError: it wants pseudonyms, and there is no longer a key for them.
    """
    # Imported where they are needed: they load the definitions of all types.
    steps: list[Callable[[str, bytes], bytes]] = []
    name: Callable[[str], str] = str
    if plan.deidentified:
        from adapter.export.deidentify import Deidentifier

        if settings.deidentify_key is None:
            raise LookupError("ADAPTER_DEIDENTIFY_KEY is not set")
        systems = Systems.under(settings.canonical_base, uhid=settings.uhid_system, uhid_aliases=settings.uhid_aliases)
        key, bases = settings.deidentify_key.get_secret_value().encode(), (*settings.fhir_bases, plan.base)
        made = Deidentifier(key, systems, bases, settings.uhid_pattern)
        steps.append(lambda _, raw: made.line(raw))
        name = made.name
    if plan.elements:
        from adapter.fhir.presentation import subset

        steps.append(lambda kind, raw: subset(raw, kind, summary=None, elements=plan.elements))
    if not steps:
        return Shape()

    def lines(kind: str, raws: list[bytes]) -> list[bytes]:
        for step in steps:
            raws = [step(kind, raw) for raw in raws]
        return raws

    return Shape(lines, name)
