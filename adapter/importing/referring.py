"""Which stored resources the references lead to of whose ends a Bundle says no id."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from adapter.errors import Conflict, Problem
from adapter.fhir.references import rewriting
from adapter.fhir.validation.findings import Place, expression
from adapter.importing.carriers import Carriers
from adapter.importing.checking import Ready
from adapter.importing.item import Referent
from mappings.systems import Systems
from store.codec import Resource
from store.extract import id_of
from store.unit_of_work import UnitOfWork

_KIND = re.compile(r"[A-Za-z]+(?=[/?])")
_Asked = tuple[str, Referent]
_CARRIED = ("_id", "_index.identifier")


async def resolved(work: UnitOfWork, batch: Sequence[Ready], systems: Systems) -> list[Resource]:
    """Return the resource of each item, its references leading to what is stored, or written in the same batch.

    Args:
        work: the unit of work to read through.
        batch: the items; which resources they are is known (`Ready.found`).
        systems: of the deployment: which identifiers tell who is who.

    Raises:
        Conflict: ``unresolved_reference``: one leads to nothing, as what it means was refused, or to several resources.
    """
    asked = {(text, one): _kind(text) for ready in batch for text, one in ready.referents.items()}
    if not asked:
        return [ready.resource for ready in batch]
    # By the identifiers too: another Bundle may use the same name for somebody else.
    own = {(f"{ready.kind}/{ready.ident}", frozenset(ready.told)): {ready.name} for ready in batch if not ready.stated}
    found = await _stored(work, asked, Carriers(systems))
    problems: list[Problem] = []
    resources: list[Resource] = []
    for entry, ready in enumerate(batch):
        table: dict[str, str] = {}
        searches: dict[str, str] = {}
        for text, referent in ready.referents.items():
            names = own.get((text, frozenset(referent.tokens))) or found[text, referent]
            if len(names) == 1:
                [(table if referent.entry else searches)[text]] = names
            else:
                problems.append(_problem(entry, ready.resource, text, referent, names))
        walk = rewriting(table, version="", searches=searches)  # who gets an id here has other versions than there
        resources.append(walk.resource(ready.resource) if ready.referents else ready.resource)
    if problems:
        raise Conflict(problems)
    return resources


async def _stored(work: UnitOfWork, asked: Mapping[_Asked, str], carriers: Carriers) -> dict[_Asked, set[str]]:
    """Return what is stored of each: what its identifiers mean, or else what has the id that its entry would get."""
    there: set[str] = set()
    for kind in dict.fromkeys(asked.values()):
        of_kind = [one for one, its in asked.items() if its == kind]
        tokens = list(dict.fromkeys(text for _, one in of_kind for text in one.tokens))
        idents = list(dict.fromkeys(id_of(text) for text, one in of_kind if one.entry))
        # Two look-ups, each in its index.
        if tokens:
            carriers.add(kind, await work.values(kind, {"_index.identifier": {"$in": tokens}}, _CARRIED))
        under = await work.values(kind, {"_id": {"$in": idents}}, _CARRIED)
        carriers.add(kind, under)
        there.update(f"{kind}/{one['_id']}" for one in under)
    found: dict[_Asked, set[str]] = {}
    for (text, one), kind in asked.items():
        meant = {f"{kind}/{ident}" for ident in carriers.meant(kind, one.tokens)}
        is_another = carriers.is_another(kind, id_of(text), one.tokens)
        found[text, one] = meant or (set() if is_another else there.intersection([text]))
    return found


def _kind(text: str) -> str:
    found = _KIND.match(text)
    if found is None:
        raise AssertionError("what is to be looked for begins with its type")
    return found[0]


def _problem(entry: int, resource: Resource, text: str, referent: Referent, found: Collection[str]) -> Problem:
    kind = _kind(text)
    if referent.entry:
        said = (
            f"It refers to entry {referent.entry} of its Bundle, which has not come in. "
            "Mend what that one is refused for, and import both again."
        )
    elif found:
        said = (
            f"Several {kind} resources have the identifier that it refers by. Refer to the one that is meant by its id."
        )
    else:
        said = (
            f"No {kind} that is stored has the identifier that it refers by. Import it first, or refer to it by its id."
        )
    where = next((expression(place) for place in _places(resource, resource["resourceType"], text)), None)
    carried = {"resources": [text]} if referent.entry else {}
    return Problem("unresolved_reference", said, where, carried, entry=entry)


def _places(value: Any, place: Place, text: str) -> Iterator[Place]:
    """Yield where a text stands."""
    if value == text:
        yield place
    elif isinstance(value, dict):
        for name, one in value.items():
            if isinstance(one, list):
                for index, item in enumerate(one):
                    yield from _places(item, (place, name, index), text)
            else:
                yield from _places(one, (place, name, None), text)
