"""Every FHIR write, one or a hundred at once: identities, preconditions, patches, scheduling, staging.

A single interaction brings one `Write`, a transaction Bundle brings all of its own; both are carried out by the same
steps in one unit of work (https://hl7.org/fhir/R4/http.html). Who may be booked when is decided by
`adapter.scheduling`; here is only what FHIR says of versions and conditions.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from adapter.aside import aside
from adapter.errors import (
    Conflict,
    Gone,
    Malformed,
    NotFound,
    PreconditionFailed,
    Problem,
    Refused,
)
from adapter.fhir import meeting, negotiation, pointing, proposed, searching, ties, validation
from adapter.fhir.call import Pairs
from adapter.fhir.elsewhere import require_here, require_resolved
from adapter.fhir.patching import apply
from adapter.fhir.writes import Write, Written
from adapter.scheduling.settling import Change, settle
from adapter.security.callers import Caller
from store.codec import Resource
from store.documents import KEPT_META, labelled, version_of
from store.extract import reference_to
from store.search import Reading
from store.unit_of_work import UnitOfWork

_HEADER = "If-None-Exist"
_LONG = 500  # items: some tens of KB of JSON


async def carry_out(
    work: UnitOfWork,
    who: Caller,
    base: str,
    writes: Sequence[Write],
    *,
    free: Collection[str] = (),
    finish: Callable[[Sequence[Change]], Sequence[Change]] | None = None,
) -> list[Written]:
    """Decide and stage `writes`, all or none, and return what becomes of each.

    `free`: Slots that were found for an Appointment, and have to be free. Others it may fill where they are busy for
    nobody and the caller may write Slots. `finish`: puts into all changes, once settled, what only they tell.

    Raises:
        Refused: whatever FHIR or scheduling has against one of them; ``Problem.entry`` tells which.
    """
    reading = searching.reading(who, base, strict=True)
    settled = [await identify(work, reading, write, index) for index, write in enumerate(writes)]
    _require_each_once(settled)
    # An id that was made here just now is nobody's yet.
    names = [
        f"{w.kind}/{w.ident}" for w in settled if w.ident is not None and (w.method != "POST" or w.resource is None)
    ]
    stored: Mapping[str, Resource] = await work.read_many(names) if names else {}
    absent = [name for name in names if name not in stored]
    versions: Mapping[str, int] = await work.last_versions(absent) if absent else {}
    results: dict[int, Written] = {}
    changes: list[Change] = []
    places: list[int] = []
    for index, write in enumerate(settled):
        # A conditional deletion that found nothing has no id: there is nothing of it.
        name = "" if write.ident is None else f"{write.kind}/{write.ident}"
        try:
            before, deleted_once = stored.get(name), name in versions and versions[name] > 0
            much = write.method == "PATCH" and before is not None and _is_long(before)
            found = await aside(partial(_decide, write, before, deleted=deleted_once), much=much)
        except Refused as refused:
            raise pointing.at(refused, index) from None
        if isinstance(found, Written):
            results[index] = found
        else:
            changes.append(found)
            places.append(index)
    results = await proposed.deleted(work, results)
    await _require_unreferenced(work, who, base, changes, places)
    bases = (base, *who.service.settings.fhir_bases)
    require_resolved(changes, places, bases)
    require_here((change.after for change in changes), places, bases)
    try:
        granted = who.key.permissions
        final = await settle(
            work,
            changes,
            fills_slots="write" in granted.get("slots", ()),
            free=free,
            overbooks=who.key.id if "write" in granted.get("overbook", ()) else None,
            bases=bases,
            configured=who.service.settings.fhir_bases,
            stamps=who.service.systems,
        )
    except Refused as refused:
        raise pointing.moved(refused, places) from None
    for position, change in enumerate(final if finish is None else finish(final)):
        asked = position < len(places)
        method = settled[places[position]].method if asked else "PUT"
        after = _stage(work, change, method, versions)
        if asked:
            results[places[position]] = _written(settled[places[position]], change, after)
    return [results[index] for index in range(len(settled))]


def deleted(write: Write) -> set[str]:
    """Return what `write` deletes (``Patient/123``), for the criteria of those that are done after it."""
    return {f"{write.kind}/{write.ident}"} if write.method == "DELETE" and write.ident is not None else set()


async def identify(work: UnitOfWork, reading: Reading, write: Write, index: int, gone: Collection[str] = ()) -> Write:
    """Find which resource a conditional write is about; guard what rivals with the same criteria would write.

    `gone`: what is deleted before it in the same transaction. A creation may take its place; a write that means it, and
    nothing else, is still about it, and is refused with what is written twice (`_require_each_once`,
    https://hl7.org/fhir/R4/http.html#trules: identities that criteria lead to must not overlap either). Deletions
    have no order among themselves: for them, all is still there.
    """
    criteria = write.if_none_exist if write.method == "POST" else write.criteria
    if criteria is None:
        if write.method == "POST" and write.ident is None:
            return replace(write, ident=str(uuid.uuid4()))
        return write
    try:
        found = await searching.matches(work, write.kind, criteria, reading, () if write.method == "DELETE" else gone)
        if not found and gone and write.method in ("PUT", "PATCH"):
            found = await searching.matches(work, write.kind, criteria, reading)
        if len(found) > 1:
            text = "The criteria match several resources. Give criteria that match one, or its id."
            raise PreconditionFailed(Problem("multiple_matches", text, issue="multiple-matches"))
        return _matched(work, write, found[0] if found else None, criteria)
    except Refused as refused:
        raise pointing.at(pointing.at_header(refused, _HEADER) if write.method == "POST" else refused, index) from None


def _matched(work: UnitOfWork, write: Write, found: str | None, criteria: Pairs) -> Write:
    if write.method == "POST":
        if found is not None:
            return replace(write, ident=found, resource=None)
        work.guard(meeting.places(write.kind, criteria, write.resource))
        return replace(write, ident=write.ident or str(uuid.uuid4()))
    given = None if write.resource is None else write.resource.get("id")
    if write.method == "PUT":
        if found is not None and given not in (None, found):
            text = "The criteria match a resource with another id than the one in the body. Leave the id out."
            raise Malformed(Problem("id_mismatch", text, f"{write.kind}.id", issue="value"))
        if found is None:
            work.guard(meeting.places(write.kind, criteria, write.resource))
        ident = found or given or str(uuid.uuid4())
        return replace(write, ident=ident, resource={**(write.resource or {}), "id": ident}, makes=found is None)
    if found is None and write.method == "PATCH":
        raise NotFound(Problem("unknown_resource", f"There is no {write.kind} that matches the criteria."))
    return replace(write, ident=found)


def _is_long(resource: Resource) -> bool:
    """Tell whether a resource has a list so long that to patch and judge it would hold up everybody."""
    return any(isinstance(one, list) and len(one) > _LONG for one in resource.values())


def _require_each_once(writes: Sequence[Write]) -> None:
    seen: dict[str, int] = {}
    for index, write in enumerate(writes):
        name = f"{write.kind}/{write.ident}"
        if write.method == "POST" and write.resource is None:  # matched what exists: nothing is written
            continue
        if write.ident is not None and seen.setdefault(name, index) != index:
            text = f"{name} is written twice in this transaction. Write it once."
            raise Malformed(Problem("duplicate_entry", text, entry=index, issue="duplicate"))


def _decide(write: Write, before: Resource | None, *, deleted: bool) -> Change | Written:
    """Apply one write to what is stored, by FHIR's rules of versions.

    Raises:
        PreconditionFailed, Conflict, NotFound, Gone; whatever the patch is refused for.
    """
    ident = write.ident or ""
    if write.method == "PATCH" and before is None:  # whatever version it is for
        if deleted:
            raise Gone(Problem("deleted", f"That {write.kind} has been deleted. PUT brings it back."))
        raise NotFound(Problem("unknown_resource", f"There is no {write.kind} with that id."))
    require_version(write, before)
    if write.method == "POST":
        if write.resource is None:
            if before is None:
                raise AssertionError("a match of this very transaction cannot be gone")
            return Written(200, write.kind, ident, before, changed=False)
        return Change(None, {**write.resource, "id": ident}, _sent(write))
    if write.method == "DELETE":
        if before is None:
            return Written(204, write.kind, ident, None, changed=False)
        return Change(before, None)
    if write.method == "PUT":
        if write.makes and before is not None:
            text = "The criteria match nothing, and the id in the body is that of another resource. Leave it out."
            raise Conflict(Problem("id_taken", text, f"{write.kind}.id"))
        if before is not None and write.resource is not None:
            write = replace(write, resource=labelled(write.resource, before))
        return Change(before, write.resource, _sent(write))
    if write.patch is None or before is None:
        raise AssertionError("a PATCH brings a patch, for what is there")
    after = apply(write.patch, before)
    validation.require_valid(after, write.kind)
    # Who writes a narrative into what he patches sends one.
    return Change(before, after, None if after.get("text") == before.get("text") else after)


def _sent(write: Write) -> Resource | None:
    return write.resource if write.sent else None


def require_version(write: Write, before: Resource | None) -> None:
    """Let pass a write whose preconditions hold for what is stored.

    Raises:
        PreconditionFailed: If-Match names another version, or If-None-Match the present one; or it was changed after
            the date of If-Unmodified-Since, which counts where there is no If-Match (RFC 9110 section 13.2.2).
    """
    version = None if before is None else version_of(before)
    if write.if_match is not None and not negotiation.matches(write.if_match, version):
        text = f"It has version {version} now, not the one in If-Match. Read it again and repeat the change on that."
        if version is None:
            done = "There is nothing to delete." if write.method == "DELETE" else "Leave If-Match out to create it."
            text = f"It is not there, in whatever version. {done}"
        raise PreconditionFailed(Problem("version_mismatch", text, "If-Match"))
    if write.if_match is None and write.unmodified_since is not None and before is not None:
        changed = datetime.fromisoformat(before["meta"]["lastUpdated"])
        if changed.replace(microsecond=0) > write.unmodified_since:  # an HTTP date knows nothing finer
            text = "It was changed after the date in If-Unmodified-Since. Read it again and repeat the change on that."
            raise PreconditionFailed(Problem("version_mismatch", text, "If-Unmodified-Since"))
    if write.if_none_match is not None and version is not None and negotiation.matches(write.if_none_match, version):
        text = f"The {write.kind} is there already, in a version that If-None-Match names."
        raise PreconditionFailed(Problem("version_match", text, "If-None-Match"))


async def _require_unreferenced(
    work: UnitOfWork, who: Caller, base: str, changes: Sequence[Change], places: Sequence[int]
) -> None:
    """Refuse to delete what others refer to (409), as they are after the whole set."""
    if all(change.after is not None for change in changes):
        return
    touched = {reference_to(one) for change in changes if (one := change.after or change.before) is not None}
    kept = ties.referred((change.after for change in changes if change.after is not None), base)
    gone = [reference_to(one.before) for one in changes if one.after is None and one.before is not None]
    stored = await ties.referrers_of(work, gone, base, touched)
    for change, index in zip(changes, places, strict=True):
        if change.after is None and change.before is not None:
            name = reference_to(change.before)
            left = [*stored.get(name, ()), *kept.get(name, ())]
            if left:
                text, shown = ties.told(who, left)
                raise Conflict(Problem("still_referenced", text, entry=index, details={"references": shown}))


def _stage(work: UnitOfWork, change: Change, method: str, versions: Mapping[str, int]) -> Resource | None:
    if change.after is None:
        if change.before is not None:
            work.delete(change.before)
        return None
    if change.before is None:
        version = versions.get(reference_to(change.after), 0) + 1
        return work.create(change.after, version=version, method=method, sent=change.sent)
    return work.update(change.before, change.after, method=method, sent=change.sent)


def _written(write: Write, change: Change, after: Resource | None) -> Written:
    if after is None:
        return Written(204, write.kind, write.ident or "", None)
    if change.before is None or write.resource is None:
        return Written(201 if change.before is None else 200, write.kind, after["id"], after)
    sent = write.resource.get("meta", {})
    kept = tuple(name for name in KEPT_META if name in after["meta"] and name not in sent)
    return Written(200, write.kind, after["id"], after, kept=kept)
