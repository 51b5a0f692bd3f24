"""A transaction: everything that its entries ask for, or nothing (https://hl7.org/fhir/R4/http.html#transaction).

All writes are one unit of work and are carried out as one set, so the order of the entries has no say. Reads are
answered when that is done, and see it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from adapter.aside import aside
from adapter.errors import Gone, Malformed, NotFound, PreconditionFailed, Problem, Refused, Unavailable
from adapter.fhir import repeating, searching, ties
from adapter.fhir.bundles import responses
from adapter.fhir.bundles.addressed import require_own
from adapter.fhir.bundles.alone import Answer, answered, as_call, told
from adapter.fhir.bundles.found import Found
from adapter.fhir.bundles.identifiers import Brought, sought
from adapter.fhir.bundles.patches import bare_texts, rewritten
from adapter.fhir.bundles.planning import Plan, Wanted, about, plan, require_none
from adapter.fhir.bundles.reading import Parsed
from adapter.fhir.bundles.responses import Budget
from adapter.fhir.call import Call, Reply
from adapter.fhir.outcome import IN_THE_WAY
from adapter.fhir.patching import Patch
from adapter.fhir.references import Rewriting, rewriting
from adapter.fhir.refusing import clashed
from adapter.fhir.writes import Write, Written
from adapter.fhir.writing import carry_out, deleted, identify
from adapter.scheduling.road import IDEMPOTENCY_HEADER
from store.codec import Resource
from store.documents import version_of
from store.errors import AlreadyExists, NotUnique, Unreachable
from store.search import Reading
from store.unit_of_work import UnitOfWork


async def run(call: Call, parsed: Parsed, answer: Answer) -> Reply:
    """Carry out a transaction.

    Raises:
        Refused: for whatever there is against one of its entries; nothing was changed then.
        Unavailable: 503, it did not come to its end in time.
    """
    planned = await _planned(call, parsed, answer)
    entries = [b""] * parsed.size
    results, before = await _written(call, planned)
    budget = Budget()
    asked = {entry.index: entry for entry in parsed.entries}
    for place, result in zip(planned.places, results, strict=True):
        entries[place] = told(call, asked[place], result, budget)
    for entry in planned.reads:
        entries[entry.index] = await answered(call, entry, answer, budget)
    reply = responses.bundle("transaction", entries)
    return replace(reply, headers=repeating.REPLAYED) if before else reply


async def _planned(call: Call, parsed: Parsed, answer: Answer) -> Plan:
    """Return what is to be done, when all that could be said against it before anything is done has been looked for.

    Raises:
        Refused: with the problems of all entries, reads and writes.
    """
    refusals: list[Refused] = []
    planned: Plan | None = None
    try:
        planned = await aside(lambda: plan(call, parsed), much=call.large)
    except Refused as refused:
        refusals.append(refused)
    budget = Budget()
    for entry in parsed.entries:
        if entry.reads:
            refusals += await _unanswerable(entry.index, as_call(call, entry), answer, budget)
    require_none(refusals)
    if planned is None:
        raise AssertionError("what could not be planned was refused")
    return planned


async def _unanswerable(index: int, read: Call, answer: Answer, budget: Budget) -> list[Refused]:
    """Return what refuses the whole for a read that is malformed, not allowed, or makes the answer too large.

    Later it could not take writes back.

    What is not there yet, or has gone, is for the answer to tell.
    """
    if budget.is_spent:
        return []
    try:
        if not budget.takes(len(responses.body_of(read.method, await answer(read)))):
            return [about(responses.beyond(), index)]
    except (NotFound, Gone) as absent:
        return [about(absent, index)] if any(one.issue == "not-supported" for one in absent.problems) else []
    except Refused as refused:
        return [about(refused, index)]
    return []


async def _written(call: Call, planned: Plan) -> tuple[list[Written], bool]:
    """Return what became of the writes, and whether an earlier, equal request had done them."""
    if not planned.writes:
        return [], False

    done: list[Written] = []
    settled = list(planned.writes)

    async def step(work: UnitOfWork) -> list[Written]:
        writes: Sequence[Write] = planned.writes
        found = Found({}, planned.version)
        if planned.provisional or planned.wanted or planned.versioned or planned.addresses:
            writes, found = await _settled(work, call, planned)
        settled[:] = writes
        done[:] = await carry_out(work, call.who, call.base, writes, finish=found.settled)
        return done

    try:
        return await repeating.carried_out(call, step, len(planned.writes))
    except (AlreadyExists, NotUnique) as clash:
        names = [f"{one.kind}/{one.ident}" for one in done]
        refused = clashed(clash, names.index(clash.name) if clash.name in names else None)
        raise _placed(refused, planned, settled) from None
    except Refused as refused:
        raise _placed(refused, planned, settled) from None
    except Unreachable:
        again = "See whether it is, and else send it again"
        if repeating.is_repeatable(call):
            again = f"Send it again with the same {IDEMPOTENCY_HEADER}"
        text = (
            f"The transaction did not come to its end in time; it is done as a whole or not at all. {again}; "
            f"one with fewer than its {len(planned.writes)} writes takes less time."
        )
        problem = Problem("transaction_too_slow", text, "Bundle", issue="timeout")
        raise Unavailable(problem, headers={"Retry-After": "1"}) from None


def _placed(refused: Refused, planned: Plan, writes: Sequence[Write]) -> Refused:
    """Let the problems name entries where `carry_out` knows only its writes, also as what is in the way of another."""
    places = planned.places
    entries = {
        f"{write.kind}/{write.ident}": place
        for place, write in zip(places, writes, strict=True)
        if write.resource is not None or write.patch is not None
    }
    problems = [
        _beside(
            problem if problem.entry is None else _at(problem, places[problem.entry], planned.writes[problem.entry]),
            entries,
        )
        for problem in refused.problems
    ]
    return Refused(problems, status=refused.status, headers=refused.headers)


def _at(problem: Problem, place: int, asked: Write) -> Problem:
    """Let a problem name its entry, and the url in it where it is about one of the criteria that stand there."""
    is_criterion = any(name == problem.param for name, _ in asked.criteria or ())
    return replace(problem, entry=place, param=f"Bundle.entry[{place}].request.url" if is_criterion else problem.param)


def _beside(problem: Problem, entries: Mapping[str, int]) -> Problem:
    """Let a problem name what the same Bundle writes by its entry: the id that was to be given to it is nobody's.

    `entries`: their places, by what they write (``Appointment/a``).
    """
    referring = problem.details.get("references")
    if isinstance(referring, list):
        named = [f"Bundle.entry[{entries[name]}]" if name in entries else name for name in referring]
        return replace(problem, message=ties.refusal(named))
    details, rivals = dict(problem.details), set[int]()
    for member, kind in IN_THE_WAY.items():
        idents = details.get(member)
        if isinstance(idents, list | tuple):
            there = {one: entries.get(f"{kind}/{one}", problem.entry) for one in idents}
            details[member] = [one for one, place in there.items() if place == problem.entry]
            rivals.update(place for place in there.values() if place is not None and place != problem.entry)
    if not rivals:
        return problem
    others = ", ".join(f"Bundle.entry[{place}]" for place in sorted(rivals))
    return replace(problem, message=f"{problem.message} In the way in this Bundle: {others}.", details=details)


async def _settled(work: UnitOfWork, call: Call, planned: Plan) -> tuple[list[Write], Found]:
    """Return the writes with every identity and every reference found that depends on what is stored.

    Beside them, what was found and is referred to by a version that only their changes tell.

    Raises:
        Refused: criteria that match several, references by criteria that do not match exactly one.
    """
    how = searching.reading(call.who, call.base, strict=True)
    writes = list(planned.writes)
    table: dict[str, str] = {}
    searches: dict[str, str] = {}
    gone: set[str] = set()
    by_criteria: dict[object, str] = {}
    for position, asked in enumerate(planned.writes):
        name = planned.provisional.get(position)
        if name is not None or asked.method == "DELETE":
            write = await identify(work, how, asked, position, gone)
            gone |= deleted(write)
            writes[position] = replace(write, criteria=None, if_none_exist=None)
        if name is not None:
            known = f"{write.kind}/{write.ident}"
            by_criteria[asked.kind, sought(asked.criteria or asked.if_none_exist)] = known
            if known != name:
                table[name] = known
    await require_own(work, planned.addresses, writes, gone, planned.places)
    brought = Brought(writes)
    _require_made_once(planned, writes, brought)
    for text, wanted in planned.wanted.items():
        # What an entry looks for, and makes where there is none, is the one match of those who look for it by the same.
        own = by_criteria.get((wanted.kind, sought(wanted.criteria)))
        searches[text] = own or await _resolved(work, how, wanted, gone, brought)
    versioned = {name: table.get(name, name) for name in planned.versioned}
    versions, found = await _versions(work, writes, versioned, planned.version)
    table |= versions
    if not table and not searches:
        return writes, found
    named = [
        _rewritten(write, planned.patches.get(position), rewriting(table, searches=searches))
        for position, write in enumerate(writes)
    ]
    return named, found


def _require_made_once(planned: Plan, writes: Sequence[Write], brought: Brought) -> None:
    """Refuse to make what another entry brings: it would be there twice, and no criteria would tell the two apart.

    Raises:
        Malformed: an identifier that an entry looks for, and does not find, is among those that another one brings.
            What else it looks for has no say: whether the other one is that, too, no index tells yet.
    """
    for position in planned.provisional:
        asked, write = planned.writes[position], writes[position]
        if write.resource is None or not (write.method == "POST" or write.makes):
            continue  # it has found what there is
        others = brought.carrying(write.kind, asked.criteria or asked.if_none_exist or ()) - {write.ident}
        for place, other in zip(planned.places, writes, strict=True) if others else ():
            if other.kind == write.kind and other.ident in others and other.resource is not None:
                text = f"Entry {place} brings what this one looks for. Make it once, and refer to it by its fullUrl."
                raise Malformed(Problem("duplicate_entry", text, entry=position, issue="duplicate"))


async def _resolved(work: UnitOfWork, how: Reading, wanted: Wanted, gone: Collection[str], brought: Brought) -> str:
    own, replaced = brought.meant(wanted.kind, wanted.criteria)
    try:
        found = [*own, *await searching.matches(work, wanted.kind, wanted.criteria, how, {*gone, *replaced})]
    except Refused as refused:
        problems = [replace(one, param=wanted.where, entry=wanted.position) for one in refused.problems]
        raise Refused(problems, status=refused.status) from None
    if len(found) == 1:
        return f"{wanted.kind}/{found[0]}"
    how_many, issue = ("several resources match", "multiple-matches") if found else ("no resource matches", "not-found")
    text = f"A reference by criteria needs exactly one match, and {how_many}. Refer to the resource by its id."
    raise PreconditionFailed(Problem("unresolved_reference", text, wanted.where, issue=issue, entry=wanted.position))


async def _versions(
    work: UnitOfWork, writes: Sequence[Write], names: Mapping[str, str], version: str
) -> tuple[dict[str, str], Found]:
    """Return the versions that will be there of what is referred to by a certain one, and those that show later.

    Args:
        work: what is stored.
        writes: what becomes of it.
        names: what is referred to so, as it has been called so far and as it is stored.
        version: what has stood for its number so far.
    """
    if not names:
        return {}, Found({}, version)
    stored = await work.read_many(names.values())
    last = await work.last_versions([name for name in names.values() if name not in stored])
    last |= {name: version_of(resource) for name, resource in stored.items()}
    written = {f"{one.kind}/{one.ident}" for one in writes if one.resource is not None or one.patch is not None}
    told = {
        f"{name}/_history/{version}": f"{final}/_history/{last[final] + 1 if final in written else version}"
        for name, final in names.items()
    }
    return told, Found({final: last[final] for final in names.values() if final not in written}, version)


def _rewritten(write: Write, parameters: Resource | None, walk: Rewriting) -> Write:
    if write.patch is not None:
        if parameters is not None:
            return replace(write, patch=Patch.read(bare_texts(walk.resource(parameters), walk)))
        return replace(write, patch=rewritten(write.patch, write.kind, walk))
    return write if write.resource is None else replace(write, resource=walk.resource(write.resource))
