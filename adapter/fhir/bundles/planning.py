"""From the entries of a Bundle to the writes that `adapter.fhir.writing` carries out.

Everything that needs no database is decided here, before a transaction is open: who may do what, whether each resource
is valid, which ids are given, and what the entries' names for each other become.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from adapter.errors import Malformed, MethodNotAllowed, Problem, Refused
from adapter.fhir import pointing
from adapter.fhir.access import require_type
from adapter.fhir.bundles import targets
from adapter.fhir.bundles.addressed import here
from adapter.fhir.bundles.alone import as_call
from adapter.fhir.bundles.identifiers import sought
from adapter.fhir.bundles.patches import bare_texts, rewritten
from adapter.fhir.bundles.reading import Entry, Parsed
from adapter.fhir.bundles.urls import pairs
from adapter.fhir.call import Call, Pairs
from adapter.fhir.criteria import read_criteria, require_clear
from adapter.fhir.patching import Patch
from adapter.fhir.reads import part
from adapter.fhir.references import Conditional, Names, Rewriting, comparable, rewriting
from adapter.fhir.validation import require_valid, strict_json
from adapter.fhir.writes import Write
from store.codec import Resource
from store.extract import relative
from store.types import TYPES

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reference by criteria, to be resolved by a search within the transaction.

    Attributes:
        kind: of the resource that it means.
        criteria: which one.
        position: of the write that holds it.
        where: the FHIRPath of the reference.
    """

    kind: str
    criteria: Pairs
    position: int
    where: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A transaction, ready to be carried out.

    Attributes:
        writes: in the order of processing.
        places: for each of them, the index of its entry.
        reads: what is to be answered when the writes are done.
        provisional: of the writes at these positions, conditional ones, the name that the others know it by so far.
        versioned: provisional names of which a certain version is referred to.
        version: what stands for the number of that version so far; no client can have sent it.
        wanted: the references by criteria, by their texts.
        patches: the FHIRPath Patches at these positions, as resources: they may hold references, too.
        addresses: of the writes at these positions, the resource here whose address is their fullUrl.
    """

    writes: tuple[Write, ...]
    places: tuple[int, ...]
    reads: tuple[Entry, ...]
    provisional: Mapping[int, str]
    versioned: frozenset[str]
    version: str
    wanted: Mapping[str, Wanted]
    patches: Mapping[int, Resource]
    addresses: Mapping[int, str]


def plan(call: Call, parsed: Parsed) -> Plan:
    """Return what a transaction is to do.

    Raises:
        Refused: with everything that is wrong with any write and needs no database to be seen, each problem naming its
            own entry.
    """
    refusals = [about(refused, index) for index, refused in parsed.faults.items()]
    refusals += [_not_here(entry) for entry in parsed.entries if _acts(entry)]
    reads = tuple(entry for entry in parsed.entries if entry.reads)
    # Stable, so what is to be done at the same step keeps its order: the same Bundle is always done the same way.
    entries = sorted((entry for entry in parsed.entries if entry.writes), key=lambda entry: _ORDER[entry.method])
    idents = [targets.ident_of(entry) for entry in entries]
    names, bases = Names(call.base), (call.base, *call.who.service.settings.fhir_bases)
    addresses: dict[int, str] = {}
    for position, (entry, ident) in enumerate(zip(entries, idents, strict=True)):
        if entry.full_url is not None and targets.is_named(entry, entry.full_url, bases):
            names.add(entry.full_url, f"{entry.path[0]}/{ident}")
            if (address := here(entry.full_url, bases)) is not None:
                addresses[position] = address
    writes: dict[int, Write] = {}
    wanted: dict[str, Wanted] = {}
    versioned: set[str] = set()
    version = str(uuid.uuid4())
    patches: dict[int, Resource] = {}
    for position, (entry, ident) in enumerate(zip(entries, idents, strict=True)):
        walk = rewriting(names.seen_from(entry.full_url), bases, version=version)
        try:
            resource = None if entry.resource is None else _renamed(entry.resource, walk)
            write = write_of(call, entry, resource, ident=ident, conditional=True)
            if write.patch is not None and resource is not None and resource.get("resourceType") == "Parameters":
                patches[position] = bare_texts(resource, walk)
                write = replace(write, patch=Patch.read(patches[position]))
            elif write.patch is not None:
                write = replace(write, patch=rewritten(write.patch, write.kind, walk))
            writes[position] = write
        except Refused as refused:
            refusals.append(about(refused, entry.index))
        versioned |= walk.versioned
        for found in walk.conditionals:
            try:
                wanted.setdefault(found.text, _wanted(call, found, position))
            except Refused as refused:
                refusals.append(about(refused, entry.index))
    refusals += _repeated(entries, writes, bases)
    require_none(refusals)
    provisional = {
        position: f"{entry.path[0]}/{ident}"
        for position, (entry, ident) in enumerate(zip(entries, idents, strict=True))
        if targets.is_conditional(entry)
    }
    places = tuple(entry.index for entry in entries)
    done = tuple(writes.values())
    return Plan(done, places, reads, provisional, frozenset(versioned), version, wanted, patches, addresses)


def _renamed(resource: Resource, walk: Rewriting) -> Resource:
    """Return `resource` with all names replaced; one that is refused as no JSON of FHIR stays as it was sent."""
    return resource if strict_json.faults(resource) else walk.resource(resource)


def write_of(
    call: Call, entry: Entry, resource: Resource | None, *, ident: str | None = None, conditional: bool = False
) -> Write:
    """Return the write that an entry asks for, checked as far as that goes without the database.

    Args:
        call: who asks.
        entry: for what.
        resource: what it brings, its references in order.
        ident: the id that a POST is to give.
        conditional: references by criteria are still to be resolved.

    Raises:
        Refused: it is not allowed, not valid or not possible here.
    """
    kind, method = targets.kind_of(entry), entry.method
    require_type(call.who, kind, "write")
    part(as_call(call, entry), (kind,))  # what cannot be shown is refused before anything is done
    headers = entry.headers or {}
    criteria = targets.criteria_of(entry)
    if criteria is not None or "if-none-exist" in headers or method == "PATCH":
        require_type(call.who, kind, "read")
    write = Write(
        method,
        kind,
        entry.path[1] if len(entry.path) > 1 else ident if method == "POST" else None,
        criteria=criteria,
        if_match=headers.get("if-match"),
        if_none_match=None if method == "POST" else headers.get("if-none-match"),
        if_none_exist=read_criteria(headers["if-none-exist"], kind) if "if-none-exist" in headers else None,
    )
    if method == "DELETE" or resource is None:
        return write
    if method == "PATCH":
        return replace(write, patch=Patch.read(resource))
    require_valid(resource, kind, write.ident if method == "PUT" else None, conditional=conditional)
    return replace(write, resource=resource)


def about(refused: Refused, index: int) -> Refused:
    """Let the problems of a refusal name the entry that they are about.

    A method that the entry's URL does not take is a mistake in the Bundle: as 405 it would be said of the base's POST.
    """
    told = pointing.at(refused, index)
    if isinstance(refused, MethodNotAllowed):
        return Malformed([replace(problem, issue="not-supported") for problem in told.problems])
    return told


def _acts(entry: Entry) -> bool:
    return entry.operates and not entry.reads


def _not_here(entry: Entry) -> Refused:
    """Return the refusal of an operation that changes something: its work is a unit of its own, and would outlive ours.

    https://hl7.org/fhir/R4/http.html#trules: a transaction is done as a whole, or nothing of it is.
    """
    text = (
        f"{entry.path[-1]} changes something by itself and cannot be part of a transaction. "
        "Send it on its own, or in a batch."
    )
    where = f"Bundle.entry[{entry.index}].request.url"
    return Malformed(Problem("operation_in_transaction", text, where, issue="not-supported", entry=entry.index))


def _wanted(call: Call, found: Conditional, position: int) -> Wanted:
    kind, _, query = found.search.partition("?")
    where = found.where
    if kind not in TYPES:
        raise Malformed(Problem("unknown_type", f"This server has no {kind} to search for.", where, issue="not-found"))
    require_type(call.who, kind, "read")
    try:
        require_clear(query)
        return Wanted(kind, pairs(query), position, where)
    except ValueError as error:
        raise Malformed(Problem("bad_reference", str(error), where, issue="value")) from None


def require_none(refusals: Sequence[Refused]) -> None:
    """Refuse with every problem at once, in the order of the entries.

    Raises:
        Refused: there are any; of several the least status, which is the one to be mended first.
    """
    if not refusals:
        return
    problems = sorted((problem for one in refusals for problem in one.problems), key=lambda one: one.entry or 0)
    if len(refusals) == 1:
        raise refusals[0]
    raise Refused(problems, status=min(one.status for one in refusals))


def _repeated(entries: Sequence[Entry], writes: Mapping[int, Write], bases: tuple[str, ...]) -> Iterator[Refused]:
    """Yield a refusal for each entry that writes what an entry before it in the Bundle writes, as far as it shows.

    Two conditional writes with the same criteria are refused as well: where nothing matches, both would make it. So are
    two with the same fullUrl, which bdl-7 allows to versions of one resource: they are none here, and either would be
    meant by it.
    """
    seen: dict[object, int] = {}
    for position, write in sorted(writes.items(), key=lambda one: entries[one[0]].index):
        entry = entries[position]
        if entry.full_url is not None:
            first = seen.setdefault(comparable(relative(entry.full_url, bases)), entry.index)
            if first != entry.index:
                text = f"Entry {first} has this fullUrl, too. Give each entry one of its own."
                where = f"Bundle.entry[{entry.index}].fullUrl"
                yield Malformed(Problem("duplicate_entry", text, where, entry=entry.index, issue="duplicate"))
                continue
        if write.ident is None and write.method in ("PATCH", "DELETE"):  # by criteria: only what is stored tells
            continue
        key: object = (write.kind, write.ident)
        if targets.is_conditional(entry):
            key = (write.kind, sought(write.criteria or write.if_none_exist))
        first = seen.setdefault(key, entry.index)
        if first == entry.index:
            continue
        text = f"Entry {first} writes {write.kind}/{write.ident}, too. Write it once."
        if targets.is_conditional(entry):
            text = f"Entry {first} has the same criteria. Make it once, and refer to it by its fullUrl."
        yield Malformed(Problem("duplicate_entry", text, entry=entry.index, issue="duplicate"))
