"""Whose compartments an ``$export`` holds: the patients who are named, or the members of a Group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapter.errors import Malformed, Problem
from adapter.export.engine import Cut, cut_before, resource
from adapter.export.plan import OWNER
from adapter.fhir import reads
from adapter.fhir.access import require_type
from adapter.fhir.call import Call
from mappings import references
from store.codec import Resource, decode
from store.extract import relative

_MOST = 50_000


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose compartments are wanted.

    Attributes:
        patients: their ids; None for no compartment, or everybody's.
        joined: of these, who was not in the Group at ``_since``. An export that was given that moment as its own has
            nothing of them: all of it is wanted, whenever it changed
            (https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters, `_since`).
        problems: what is to be told of the Group.
    """

    patients: tuple[str, ...] | None
    joined: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


async def patients(call: Call, cut: Cut, ident: str | None, named: Sequence[str], since: datetime | None) -> Whose:
    """Return whose compartments are wanted. The Group is the one of the cut: whoever joins later does so for the next.

    Args:
        call: the kick-off.
        cut: what the export shows.
        ident: of a Group, or None.
        named: ids of patients.
        since: only what changed then or later: patients who were deleted are known then.

    Raises:
        NotFound, Gone: there is no such Group. Forbidden: the key may not read it, or patients who are named.
        Malformed: a patient who is not in it, or not known, or too many.
    """
    named = tuple(dict.fromkeys(named))
    if ident is None:
        await _check(call, named, since)
        return Whose(named or None)
    require_type(call.who, "Group", "read")
    raw = await resource(call.who.store, cut, "Group", ident)
    if raw is None:
        raise await reads.absent(call, "Group", ident)
    group = decode(raw)
    members = _members(group, call.base)
    if len(members) > _MOST:
        text = f"The Group has more than {_MOST} members. Export all patients, or parts of it with patient."
        raise Malformed(Problem("too_many_patients", text, issue="too-costly"))
    for one in named:
        if one not in members:
            raise _bad(f"{OWNER}/{one} is no member of the Group.")
    wanted = named or tuple(members)
    problems = () if named else _untold(group, members, call)
    if since is None:
        return Whose(wanted, problems=problems)
    before = await resource(call.who.store, await cut_before(call.who.store, cut, since), "Group", ident)
    known = {} if before is None else _members(decode(before), call.base)
    return Whose(wanted, tuple(one for one in wanted if one not in known), problems)


async def _check(call: Call, named: tuple[str, ...], since: datetime | None) -> None:
    """Refuse patients who are not known (https://hl7.org/fhir/uv/bulkdata/STU2/export.html, `patient`).

    Raises:
        Forbidden: the key may not know of patients. Malformed: one is not known.
    """
    if named:
        require_type(call.who, OWNER, "read")
    if len(named) > _MOST:
        text = f"More than {_MOST} patients are named. Export all patients, or some of them after the others."
        raise Malformed(Problem("too_many_patients", text, "patient", issue="too-costly"))
    store = call.who.store
    known = set(await store.keys(OWNER, {"_id": {"$in": list(named)}}, limit=0)) if named else set()
    for one in named:
        if one in known or (since is not None and await store.gone(OWNER, one) is not None):
            continue
        raise _bad(f"{OWNER}/{one} is not known here. Leave it out of patient.", "not-found")


def _untold(group: Resource, members: Mapping[str, None], call: Call) -> tuple[Problem, ...]:
    """Return what is to be told of members who may be patients, and of whom no reference says who they are here.

    A UHID is not looked for: who carries it changes, and an increment could not tell since when somebody is a member.
    """
    systems = call.who.service.systems
    living = group.get("type") in ("person", "animal")
    count = 0
    for one in group.get("member", ()):
        entity = one.get("entity", {})
        kind = references.kind_of(entity, group, systems)
        if not one.get("inactive") and (kind in (OWNER, "Group") or (kind is None and living)):
            count += _ident(one, call.base) not in members
    if not count:
        return ()
    text = (
        f"{count} of the Group's members cannot be told, and nothing of them is exported: they have no reference to a "
        "Patient of this server, but an identifier, an address elsewhere, or another Group. Give them one."
    )
    return (Problem("unresolved_reference", text, "Group.member", issue="incomplete"),)


def _members(group: Mapping[str, Any], base: str) -> dict[str, None]:
    """Return the ids of the patients who are in a Group: its ``member`` that are not inactive."""
    found: dict[str, None] = {}
    for one in group.get("member", ()):
        ident = _ident(one, base)
        if ident and not one.get("inactive"):
            found[ident] = None
    return found


def _ident(member: Mapping[str, Any], base: str) -> str:
    """Return the id of the Patient that a member of a Group is; empty where no reference says one."""
    name = relative(str(member.get("entity", {}).get("reference", "")), (base,))
    return name.split("/")[1] if name.startswith(f"{OWNER}/") else ""


def _bad(text: str, issue: str = "value") -> Malformed:
    return Malformed(Problem("invalid_parameter", text, "patient", issue=issue))
