"""What refers to a resource, and so stands in the way of its deletion."""

from __future__ import annotations

from collections.abc import Sequence

from adapter.fhir.access import may
from adapter.security.callers import Caller
from store.types import TYPES
from store.unit_of_work import UnitOfWork

_NAMED = 10  # so many are found and named


async def referrers(work: UnitOfWork, name: str) -> list[str]:
    """Return some of the stored resources that refer to `name` (``Practitioner/p``); a visit's Slots are no tie."""
    kind = name.partition("/")[0]
    found: list[str] = []
    for source in TYPES.values():
        fields = {
            parameter.field
            for parameter in source.parameters.values()
            if parameter.kind == "reference" and kind in parameter.targets and kind != "Slot"
        }
        for field in sorted(fields):
            idents = await work.keys(source.name, {f"_index.{field}": name}, limit=_NAMED)
            found += [f"{source.name}/{ident}" for ident in idents]
    return [other for other in dict.fromkeys(found) if other != name][:_NAMED]


def told(who: Caller, names: Sequence[str]) -> tuple[str, list[str]]:
    """Return what a caller is told of `names`, which refer to what is to go, and those that are named."""
    shown = [name for name in names if may(who, name.partition("/")[0], "read")]
    listed = f": {', '.join(shown)}" if shown else ", of types that this key may not read"
    return f"Others refer to it{listed}. Delete or change these first.", shown
