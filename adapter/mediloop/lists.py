"""The lists: appointments by filter, slots by availability; each query with its index named.

The hint is part of the query: the planner may guess worse for some data, and a list must cost the same
whatever is stored (tests read `explain()`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from bson.min_key import MinKey
from fastapi import Response

from adapter import uhids
from adapter.errors import Malformed, Problem, TooLarge
from adapter.mediloop import answers, directory
from adapter.mediloop.asked import Asked, asked_for
from adapter.mediloop.fields import BEYOND_NAMEABLE, FIRST_NAMEABLE
from adapter.mediloop.requests import AvailabilityQuery, ListQuery
from adapter.scheduling import availability as opened
from adapter.scheduling import holds, lookup, nobodys
from adapter.scheduling.indexes import BY_DATE
from adapter.scheduling.intervals import Interval
from adapter.scheduling.status import GRAPH, UPCOMING
from adapter.security.callers import Caller
from mappings import slot as slot_lens
from store.dates import FIRST, days
from store.extract import reference
from store.search.text import escaped
from store.source import WHOLE_PAGE_BYTES, fitting

BY_ACTOR = ("actor", "date", "_id", "status")
BY_UHID = ("patient:identifier", "date", "_id", "status")
BY_STATUS = ("status", "date", "_id")

_DATE_ORDER = (("_index.date", 1), ("_id", 1))
_LONGEST_COMPUTED = timedelta(days=92)


async def appointments(who: Caller, wanted: ListQuery) -> Response:
    """Answer the list, by-patient and by-practitioner."""
    await holds.settle_due(who.store)
    asked = await asked_for(who, wanted, who.store)
    query, hint = appointment_query(who, wanted, asked)
    size, order = wanted.page_size, _DATE_ORDER
    found, total = await asyncio.gather(
        who.store.documents(
            "Appointment", query, sort=order, skip=wanted.skip, limit=size, hint=hint, most=WHOLE_PAGE_BYTES
        ),
        who.store.count("Appointment", query, hint=hint),
    )
    if fitting(found, WHOLE_PAGE_BYTES) < len(found):
        raise _too_large("appointments")
    items = await answers.appointments(who, [orjson.loads(one["_json"]) for one in found], asked)
    return Response(answers.page(items, total, wanted.page, wanted.page_size), media_type="application/json")


def appointment_query(who: Caller, wanted: ListQuery, asked: Asked) -> tuple[dict[str, Any], tuple[str, ...] | None]:
    """Return the MongoDB query of a list and the index that serves it (None: the only one for each branch of it)."""
    statuses = _statuses(who, wanted)
    dates = _moments(who, wanted.date_from, wanted.date_to)
    if wanted.upcoming_only:
        dates["$gte"] = max(who.service.now(), dates.get("$gte", FIRST))
    if asked.uhid is not None and asked.patients:
        return _stored_patients(who, asked, statuses, dates), None
    query: dict[str, Any] = {"_index.status": {"$in": statuses}}
    hint: tuple[str, ...] = BY_STATUS if wanted.status else BY_DATE
    if dates:
        query["_index.date"] = dates
    if hint == BY_DATE and not dates:
        # Bounds that leave nothing out: without any, MongoDB would fetch documents to judge their status.
        query["_index.date"] = {"$gte": MinKey()}
    if asked.groups:
        query |= _named(asked.groups)
        hint = BY_ACTOR
    if asked.uhid is not None:
        [stated] = uhids.visits(asked.uhid, (), (), who.service.systems)
        query |= stated
        hint = BY_UHID
    return query, hint


def _stored_patients(
    who: Caller, asked: Asked, statuses: Sequence[str], dates: Mapping[str, datetime]
) -> dict[str, Any]:
    """Return the query of who states the UHID, or refers to a Patient that is stored with it, or means one by another.

    A hint is for one index, and these are two. So all else is judged on that patient's documents, in forms that no
    index serves: given another one, by status or by date, MongoDB may choose it and read what is everybody's; and where
    it then merges entries of one with documents of the other, those without a start are out of order.
    """
    judged: list[dict[str, Any]] = [{"$in": ["$_index.status", list(statuses)]}]
    if dates:
        # Not as "from" and "until", which an index could serve. What has no start comes before all dates here.
        judged.append({"$not": [{"$lt": ["$_index.date", dates.get("$gte", FIRST)]}]})
        if "$lt" in dates:
            judged.append({"$not": [{"$gte": ["$_index.date", dates["$lt"]]}]})
    judged += [
        {"$ne": [{"$setIntersection": [{"$ifNull": ["$_index.actor", []]}, list(group)]}, []]} for group in asked.groups
    ]
    visits = uhids.visits(asked.uhid or "", asked.further, asked.patients, who.service.systems)
    if not asked.further:
        return {"$or": visits, "$expr": {"$and": judged}}
    # One of these has to be read to be judged. MongoDB would merge documents with entries here, too: so it reads all.
    return {"$or": [{"$and": [one, {"$expr": {"$and": judged}}]} for one in visits]}


def _named(actors: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the query of who names one of each group."""
    if all(len(group) == 1 for group in actors):
        names = [name for group in actors for name in group]
        return {"_index.actor": names[0] if len(names) == 1 else {"$all": names}}
    if len(actors) == 1:
        return {"_index.actor": {"$in": list(actors[0])}}
    return {"$and": [{"_index.actor": {"$in": list(group)}} for group in actors]}


def _statuses(who: Caller, wanted: ListQuery) -> list[str]:
    """Return the FHIR statuses that show as one of the MediLoop statuses asked for."""
    asked = set(wanted.status.split(",")) if wanted.status else None
    shown = who.service.vocabulary.status_to_mediloop
    return [
        status
        for status in GRAPH
        if not shown.hides(status)
        and (asked is None or shown.translate(status) in asked)
        and (not wanted.upcoming_only or status in UPCOMING)
    ]


def _moments(who: Caller, first: str | None, last: str | None) -> dict[str, datetime]:
    """Return the span of inclusive calendar days in the clinic's time zone."""
    begins, ends = (date.fromisoformat(one) if one else None for one in (first, last))
    return days(begins, ends, who.service.settings.zone)


def _offered(who: Caller, wanted: AvailabilityQuery) -> Interval:
    """Return when an opening may begin: on the days asked for, at a time that its booking can name."""
    span = _moments(who, wanted.date_from, wanted.date_to)
    first = max(span["$gte"], FIRST_NAMEABLE)
    return Interval(first, max(first, min(span["$lt"], BEYOND_NAMEABLE)))


async def availability(who: Caller, wanted: AvailabilityQuery) -> Response:
    """Answer the search for free slots (GET .../availability/)."""
    async with holds.settled(who.store) as moment:
        asked = await asked_for(who, wanted, moment)
        strict = directory.refuses_strangers(who)
        useless = frozenset[str]()
        if wanted.practitioner_id is None:
            useless = await nobodys.schedules(moment, who.store if strict else None)
        elif strict and await moment.read("Practitioner", wanted.practitioner_id) is None:
            asked = replace(asked, groups=((),))  # whom no booking may name has nothing to offer
        search = _search(who, wanted, asked.groups, useless)
        computing = await opened.computed_schedules(moment, search)
        if computing:
            _require_few_days(search.window)
        slots, total = await opened.page(moment, search, computing, wanted.skip, zone=who.service.settings.zone)
        if len(slots) < min(wanted.page_size, total - wanted.skip):
            raise _too_large("slots")
        names = [reference(slot["schedule"].get("reference", "")) for slot in slots]
        published = await moment.read_all(list(dict.fromkeys(names)))
    stored = {name: orjson.loads(one) for name, one in published.items()}
    # Those are people and places: an answer has their present names.
    schedules, known = await directory.published_by(who, stored, asked.roles, asked.shown)
    systems = who.service.systems
    items = [
        slot_lens.view(slot, schedules.get(name), known=known, systems=systems, asked=asked.shown)
        for slot, name in zip(slots, names, strict=True)
    ]
    return Response(answers.page(items, total, wanted.page, wanted.page_size), media_type="application/json")


def _search(
    who: Caller, wanted: AvailabilityQuery, actors: tuple[tuple[str, ...], ...], useless: frozenset[str]
) -> lookup.Wanted:
    """Return the search as scheduling knows it.

    Slots of Schedules that are `useless` (`nobodys`) are left out: every MediLoop booking has a practitioner.
    """
    return lookup.Wanted(
        window=_offered(who, wanted),
        actors=actors,
        service_types=(escaped(wanted.service_type),) if wanted.service_type else (),
        specialties=(escaped(wanted.specialty),) if wanted.specialty else (),
        minutes=wanted.duration_minutes or 0,
        limit=wanted.page_size,
        by_text=True,
        passed_over=useless,
    )


def _too_large(what: str) -> TooLarge:
    """Return the refusal of a page: it cannot have fewer items than its number and its size say."""
    text = (
        f"page_size: the {what} of that page have more than {WHOLE_PAGE_BYTES // 1_000_000} MB. Ask for fewer on a "
        "page; a single one can always be had."
    )
    return TooLarge(Problem("answer_too_large", text, "page_size"))


def _require_few_days(window: Interval) -> None:
    if window.end - window.start > _LONGEST_COMPUTED + timedelta(hours=2):  # the clocks may change
        text = (
            f"date_to: {_LONGEST_COMPUTED.days} days at most from date_from, where openings are computed from weekly "
            "hours. Give an earlier day."
        )
        raise Malformed(Problem("invalid_request_error", text, "date_to"))
