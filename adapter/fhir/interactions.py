"""Finds what a call asks for and answers it: one function for HTTP and for the entries of a batch.

https://hl7.org/fhir/R4/http.html. Every write goes the one road (`adapter.scheduling.road`): a step in a unit of work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from adapter.aside import aside
from adapter.errors import Malformed, NotFound, Problem, Refused
from adapter.fhir import (
    bundles,
    conformance,
    negotiation,
    operations,
    proposed,
    reads,
    repeating,
    searching,
    validation,
)
from adapter.fhir.access import may_read, require_type
from adapter.fhir.call import Call, Reply
from adapter.fhir.criteria import read_criteria
from adapter.fhir.patching import Patch
from adapter.fhir.pointing import alone
from adapter.fhir.refusing import clashed, not_allowed, unknown_type
from adapter.fhir.shaping import SHOWN_BY, shaped
from adapter.fhir.writes import Write, Written
from adapter.fhir.writing import carry_out
from adapter.scheduling import holds
from store.codec import Resource
from store.errors import AlreadyExists, NotUnique
from store.extract import ID
from store.types import TYPES
from store.unit_of_work import UnitOfWork

READ = ("GET", "HEAD")


async def answer(call: Call) -> Reply:
    """Carry out one interaction.

    Raises:
        Refused: whatever there is against it; nothing has changed then.
    """
    path = call.path
    await holds.settle_due(call.who.store)
    if not path or path[0].startswith("_"):
        return await _system(call)
    if path == ("metadata",):
        if call.method not in READ:
            raise not_allowed("GET", "HEAD")
        return conformance.metadata(call.base, call.who.service, call.headers.get("if-none-match"))
    if path[0].startswith("$"):
        return await operations.run(call, "", None, path[0])
    if path[0] == conformance.SEARCH_PARAMETER:
        return conformance.search_parameter(call)
    if path[0] == conformance.OPERATION_DEFINITION:
        return conformance.operation_definition(call)
    if path[0] not in TYPES:
        raise unknown_type(path[0])
    if len(path) == 1 or path[1].startswith(("_", "$")):
        return await _type(call, path[0])
    return await _instance(call, path[0], path[1])


_SYSTEM = {(): ("GET", "HEAD", "POST"), ("_history",): READ, ("_search",): ("POST",)}
"""What stands below the base and is of no type, with its methods."""


async def _system(call: Call) -> Reply:
    if call.path == ("_history",) and call.method in READ:
        return await reads.history(call)
    if not call.path and call.method == "POST":
        return await bundles.process(call, answer)
    if (not call.path and call.method in READ) or (call.path == ("_search",) and call.method == "POST"):
        return await _search_system(call)
    if call.path not in _SYSTEM:
        raise NotFound(Problem("unknown_path", "There is nothing at this path.", issue="not-supported"))
    raise not_allowed(*_SYSTEM[call.path])


async def _search_system(call: Call) -> Reply:
    asked = [value for name, value in searching.unpacked("", call.query) if name == "_type"]
    kinds = searching.listed("_type", asked)
    for kind in kinds:
        if kind in conformance.DEFINITIONS:
            text = f"{kind} is searched by itself, at its own address: GET {kind}. Leave it out of _type."
            raise Malformed(Problem("invalid_search", text, "_type", issue="not-supported"))
        if kind not in TYPES:
            text = f"This server has no {kind}. It has: {', '.join(TYPES)}."
            raise Malformed(Problem("invalid_search", text, "_type", issue="not-supported"))
    if not kinds:  # all that the caller may see
        kinds = tuple(kind for kind in TYPES if may_read(call.who, kind)) or tuple(TYPES)
    return await searching.search(call, kinds, "", call.query, strict=_strict(call))


async def _type(call: Call, kind: str) -> Reply:
    rest = call.path[1:]
    if not rest:
        if call.method in READ:
            return await searching.search(call, (kind,), kind, call.query, strict=_strict(call))
        if call.method == "POST":
            return await _create(call, kind)
        return await _conditional(call, kind)
    if rest == ("_search",):
        if call.method != "POST":
            raise not_allowed("POST")
        return await searching.search(call, (kind,), kind, call.query, strict=_strict(call))
    if rest == ("_history",):
        if call.method not in READ:
            raise not_allowed("GET", "HEAD")
        return await reads.history(call, kind)
    return await operations.run(call, kind, None, rest[0])


async def _instance(call: Call, kind: str, ident: str) -> Reply:
    rest = call.path[2:]
    if not ID.fullmatch(ident):
        if call.method in ("PUT", "PATCH"):
            text = "An id has 1 to 64 letters, digits, hyphens and dots."
            raise Malformed(Problem("bad_id", text, f"{kind}.id", issue="value"))
        raise NotFound(Problem("unknown_resource", f"There is no {kind} with that id."))
    if not rest:
        if call.method not in _INSTANCE:  # an entry of a batch; HTTP has no such route
            raise not_allowed(*_INSTANCE)
        return await _INSTANCE[call.method](call, kind, ident)
    if rest[0].startswith("$"):
        return await operations.run(call, kind, ident, rest[0])
    if call.method not in READ and rest[-1] != "_search":
        raise not_allowed("GET", "HEAD")
    if rest[0] == "_history" and len(rest) <= 2:
        require_type(call.who, kind, "read")
        return await (reads.vread(call, kind, ident, rest[1]) if rest[1:] else reads.history(call, kind, ident))
    return await _compartment(call, kind, ident, rest)


async def _compartment(call: Call, kind: str, ident: str, rest: tuple[str, ...]) -> Reply:
    """Answer ``Patient/123/Appointment`` or ``Patient/123/*`` (https://hl7.org/fhir/R4/compartmentdefinition.html)."""
    members = tuple(one.name for one in TYPES.values() if kind in one.compartments)
    wanted = members if rest[0] == "*" else (rest[0],)
    if not members or wanted[0] not in members or rest[1:] not in ((), ("_search",)):
        inside = f" Its compartment has: {', '.join(members)}." if members else ""
        raise NotFound(Problem("unknown_path", f"There is no such search below {kind}.{inside}", issue="not-supported"))
    if rest[0] == "*":
        readable = tuple(k for k in wanted if may_read(call.who, k))
        wanted = readable or wanted
    path = f"{kind}/{ident}/{rest[0]}"
    return await searching.search(call, wanted, path, call.query, strict=_strict(call), compartment=(kind, ident))


async def _read(call: Call, kind: str, ident: str) -> Reply:
    require_type(call.who, kind, "read")
    return await reads.read(call, kind, ident)


async def _create(call: Call, kind: str) -> Reply:
    require_type(call.who, kind, "write")
    criteria = call.headers.get("if-none-exist")
    if criteria is not None:
        require_type(call.who, kind, "read")
    write = Write(
        "POST",
        kind,
        resource=await _sent(call, kind),
        if_match=call.headers.get("if-match"),
        if_none_exist=None if criteria is None else read_criteria(criteria, kind),
    )
    return await _write(call, write)


async def _update(call: Call, kind: str, ident: str) -> Reply:
    require_type(call.who, kind, "write")
    resource = await _sent(call, kind, ident)
    return await _write(call, Write("PUT", kind, ident, resource=resource))


async def _patch(call: Call, kind: str, ident: str) -> Reply:
    require_type(call.who, kind, "write")
    require_type(call.who, kind, "read")  # it asks what is stored, and is shown all of it
    try:
        return await _write(call, Write("PATCH", kind, ident, patch=_patch_sent(call)))
    except Refused as refused:
        if refused.status == NotFound.status:
            await proposed.require_none(call, kind, ident)
        raise


async def _delete(call: Call, kind: str, ident: str) -> Reply:
    require_type(call.who, kind, "write")
    return await _write(call, Write("DELETE", kind, ident))


_INSTANCE: dict[str, Callable[[Call, str, str], Awaitable[Reply]]] = {
    "GET": _read,
    "HEAD": _read,
    "PUT": _update,
    "PATCH": _patch,
    "DELETE": _delete,
}


async def _conditional(call: Call, kind: str) -> Reply:
    """Update, patch or delete what the query matches (https://hl7.org/fhir/R4/http.html#cond-update)."""
    require_type(call.who, kind, "read")
    require_type(call.who, kind, "write")
    criteria = tuple(pair for pair in call.query if pair[0] not in SHOWN_BY)
    if call.method == "PUT":
        resource = await _sent(call, kind)
        write = Write("PUT", kind, criteria=criteria, resource=resource)
    elif call.method == "PATCH":
        write = Write("PATCH", kind, criteria=criteria, patch=_patch_sent(call))
    else:
        write = Write("DELETE", kind, criteria=criteria)
    return await _write(call, write)


async def _sent(call: Call, kind: str, ident: str | None = None) -> Resource:
    """Return the resource in the body, checked; by its id, too, where it is to have a certain one.

    Raises:
        Malformed, Unprocessable: naming everything that is wrong with it.
    """
    body = call.body
    if body is None:
        raise Malformed(Problem("missing_body", f"Send the {kind} in the body.", kind, issue="required"))
    await aside(lambda: validation.require_valid(body, kind, ident), much=call.large)
    return body


def _patch_sent(call: Call) -> Patch:
    return Patch.read(call.patch if call.patch is not None else call.body)


async def _write(call: Call, write: Write) -> Reply:
    reads.part(call, (write.kind,))  # what cannot be shown is refused before anything is done
    if write.method != "POST":
        headers = call.headers
        write = replace(
            write,
            if_match=headers.get("if-match"),
            if_none_match=headers.get("if-none-match"),
            unmodified_since=negotiation.http_date(headers.get("if-unmodified-since")),
        )

    async def step(work: UnitOfWork) -> list[Written]:
        return await carry_out(work, call.who, call.base, [write])

    try:
        [written], before = await repeating.carried_out(call, step)
    except (AlreadyExists, NotUnique) as clash:
        raise clashed(clash) from None
    except Refused as refused:
        raise alone(refused) from None
    reply = shaped(call, written)
    return replace(reply, headers={**reply.headers, **repeating.REPLAYED}) if before else reply


def _strict(call: Call) -> bool:
    return negotiation.preferences(call.headers.get("prefer")).strict
