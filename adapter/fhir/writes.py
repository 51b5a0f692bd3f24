"""One FHIR write: what is asked for, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from adapter.fhir.access import may_read
from adapter.fhir.call import Pairs
from adapter.fhir.patching import Patch
from adapter.security.callers import Caller
from store.codec import Resource


@dataclass(frozen=True, slots=True)
class Write:
    """One write that is asked for.

    Attributes:
        method: POST PUT PATCH DELETE.
        kind: resource type.
        ident: of the resource; for POST the id to give it, if that is settled already.
        criteria: of a conditional update, patch or delete, in the place of an id.
        resource: what POST and PUT bring, checked by `require_valid`.
        sent: whether `resource` is as a client sent it, its narrative too; an operation changes what is stored.
        patch: what PATCH brings.
        if_match, if_none_match: versions, as in the headers of these names; a POST has only the first.
        unmodified_since: a date, as in the header of this name; nothing where that is none.
        if_none_exist: criteria of a conditional create.
        makes: its criteria matched nothing: it makes a resource, and never replaces one that has the id.
    """

    method: str
    kind: str
    ident: str | None = None
    criteria: Pairs | None = None
    resource: Resource | None = None
    sent: bool = True
    patch: Patch | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    unmodified_since: datetime | None = None
    if_none_exist: Pairs | None = None
    makes: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write.

    Attributes:
        status: 200, 201 or 204.
        kind, ident: of the resource.
        resource: as it is stored now; None where it is deleted, or never was.
        changed: False where a conditional create found what it would have made, or a deletion nothing.
        kept: the members of ``meta`` that the write did not bring, and that were there before.
    """

    status: int
    kind: str
    ident: str
    resource: Resource | None
    changed: bool = True
    kept: tuple[str, ...] = ()

    def told(self, who: Caller) -> Resource | None:
        """Return the resource as the answer shows it: what was there before, to who may read the type alone."""
        if self.resource is None or not self.kept or may_read(who, self.kind):
            return self.resource
        meta = {name: value for name, value in self.resource["meta"].items() if name not in self.kept}
        return {**self.resource, "meta": meta}
