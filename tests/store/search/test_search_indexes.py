"""Every search has an index, and what it costs does not grow with the store."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from store.codec import Resource, encode
from store.connection import Client
from store.documents import compose, stamped
from store.search import Page, compiled, run
from store.store import Store
from store.types import TYPES
from tests.store.search.support import appointment, concept, identifier, parsed, resource, schedule, slot
from tests.store.support import RULES, explain

SMALL, LARGE = 2_000, 10_000
_START = datetime(2026, 1, 1, tzinfo=UTC)
_BORN = date(1975, 6, 10)
_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def _made(first: int, last: int) -> list[Resource]:
    """Appointments, Slots and Patients by tens: the numbers of matches are the same, whatever there is in all."""
    chance = random.Random(1)
    made: list[Resource] = []
    for number in range(first, last):
        ten = number // 10
        start = (_START + timedelta(hours=number)).isoformat().replace("+00:00", "Z")
        made += [
            appointment(
                f"a{number}",
                start,
                f"Patient/{ten}",
                f"Practitioner/{ten}",
                status=chance.choice(("booked", "cancelled", "proposed")),
                identifier=[identifier(f"N{number}")],
                serviceType=[concept(f"c{ten}")],
                reasonCode=[concept("common")],
            ),
            slot(f"s{number}", str(ten), start, serviceType=[concept(f"c{ten}")]),
        ]
        if number % 10 == 0:
            # Before and after that of 5, by turns: all others begin on one side of a day, and end on the other.
            born = _BORN + timedelta(days=(ten - 5) * (-1) ** ten)
            made.append(
                resource(
                    "Patient",
                    str(ten),
                    identifier=[identifier(f"U{ten}")],
                    name=[{"text": f"N {ten:05d}"}],
                    birthDate=born.isoformat(),
                )
            )
            made.append(schedule(str(ten), f"Practitioner/{ten}"))
    return made


async def _insert(store: Store, resources: list[Resource], first: int) -> None:
    """Put documents where they belong, without history: that would take minutes."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for number, one in enumerate(resources):
        moment = _MOMENT + timedelta(seconds=first + number)
        one = stamped(one, 1, moment)
        document = compose(TYPES[one["resourceType"]], one, encode(one), moment, RULES)
        by_kind.setdefault(one["resourceType"], []).append(document)
    for kind, documents in by_kind.items():
        await store.database[kind].insert_many(documents, ordered=False)


@pytest.fixture(scope="module")
async def filled(module_client: Client, prepared: str) -> AsyncIterator[tuple[Store, Store]]:
    """A small store and a large one."""
    stores = []
    for size in (SMALL, LARGE):
        store = Store(module_client, f"{prepared}_{size}", rules=RULES)
        await store.prepare()
        await _insert(store, _made(0, size), 0)
        stores.append(store)
    yield stores[0], stores[1]
    for store in stores:
        await module_client.drop_database(store.database.name)


def stages(plan: Any) -> set[str]:
    """The names of all stages of an explained query."""
    text = json.dumps(plan, default=str)
    return {part.partition('"')[0] for part in text.split('"stage": "')[1:]}


async def explained(store: Store, kind: str, text: str, limit: int = 51) -> list[dict[str, Any]]:
    """What MongoDB does for the page of a search."""
    return [
        await explain(store, one.kind, one.query, sort=one.sort, limit=limit, hint=one.hint)
        for one in await compiled(store, parsed(kind, text))
    ]


HOT = [
    ("Appointment", "patient=5&date=ge2026-01-01&date=lt2026-03-01", True),
    ("Appointment", "practitioner=5&date=2026-01-03", True),
    ("Appointment", "practitioner=Practitioner/5&date=ge2026-01-01&status=booked,proposed", True),
    ("Appointment", "patient=5", True),
    ("Appointment", "patient=5&_sort=-date", True),
    ("Appointment", "status=booked&date=2026-01-03", True),
    ("Appointment", "date=2026-01-03", True),
    ("Appointment", "_lastUpdated=ge2026-01-01T00:00:10Z&_lastUpdated=lt2026-01-01T00:00:20Z", True),
    ("Appointment", "_lastUpdated=lt2026-01-01T00:00:20Z&_sort=-_lastUpdated", True),
    ("Appointment", "patient.identifier=urn:s|U5&date=ge2026", True),
    ("Appointment", "identifier=N55", True),
    ("Appointment", "identifier=urn:s|N55,urn:s|N56", True),
    ("Appointment", "service-type=c5", False),
    ("Appointment", "service-type=urn:s|c5&status=booked", False),
    ("Appointment", "service-type:missing=false&service-type=c5", False),
    ("Appointment", "reason-code=common&service-type=c5", False),
    ("Appointment", "_id=a55", False),
    # By the id, for who must have everything while visits are moved: what is found is sorted, no more is read.
    ("Appointment", "patient=5&_sort=_id", False),
    ("Appointment", "practitioner=5&date=ge2026-01-01&date=lt2026-03-01&_sort=_id", False),
    ("Appointment", "practitioner=Practitioner/5&status=booked,proposed&_sort=_id", False),
    ("Appointment", "status=booked&date=2026-01-03&_sort=_id", False),
    ("Appointment", "date=2026-01-03&_sort=_id", False),
    ("Slot", "status=free&start=ge2026-01-01&start=lt2026-03-01&schedule=5&_sort=_id", False),
    ("Slot", "schedule=5&_sort=_id", False),
    ("Slot", "status=free&start=ge2026-01-01&start=lt2026-03-01&schedule=5", True),
    ("Slot", "schedule=Schedule/5", True),
    ("Slot", "schedule=5&start=ge2026-01-02", True),
    ("Slot", "schedule.actor=Practitioner/5&status=free", True),
    ("Slot", "status=free&start=2026-01-03", True),
    ("Slot", "end=2026-01-03", False),
    ("Slot", "start=2026-01-03", False),
    ("Appointment", "-date-or-req-period=2026-01-03", False),
    ("Appointment", "-date-or-req-period=2026-03-03", False),
    ("Slot", "service-type=c5", False),
    ("Patient", "identifier=u5", True),
    ("Patient", "identifier=urn:s|U5", True),
    ("Patient", "name=n 00155", False),
    ("Patient", "name=n-00155", False),
    ("Patient", "name=00155", False),
    ("Patient", "name=n-00155,0-0156&name=n.", False),
    ("Patient", "name:exact=N 00155", False),
    ("Patient", "birthdate=1975-06-10", False),
    ("Patient", "birthdate=1975-06", False),
    ("Patient", "birthdate=1975-06-10&name=n", False),
    ("Appointment", "patient.birthdate=1975-06-10", True),
    ("Appointment", "patient.name=n-00155", True),
    ("Patient", "_has:Appointment:patient:identifier=N55", False),
    ("Schedule", "actor=Practitioner/5", True),
    ("Schedule", "actor:Practitioner=5&_has:Slot:schedule:_id=s55", False),
]


@pytest.mark.parametrize(("kind", "text", "in_order"), HOT)
async def test_a_search_costs_what_it_finds(filled: tuple[Store, Store], kind: str, text: str, in_order: bool) -> None:
    examined = []
    for store in filled:
        (plan,) = await explained(store, kind, text)
        used = stages(plan["queryPlanner"]["winningPlan"])
        assert "COLLSCAN" not in used
        assert used & {"IXSCAN", "IDHACK"}
        if in_order:
            assert "SORT" not in used
        done = plan["executionStats"]
        assert done["nReturned"] > 0
        examined.append((done["totalDocsExamined"], done["totalKeysExamined"]))
    assert examined[0][0] <= 110
    assert examined[1][0] <= 1.2 * examined[0][0] + 5
    assert examined[1][1] <= 1.2 * examined[0][1] + 10


@pytest.mark.parametrize(
    "text",
    [
        "",
        "status=booked",
        "status:not=booked",
        "date:missing=true",
        "date=ne2026-01-03",
        "_sort=-date",
        "_sort=date,_id",
        "_sort=_id",
        "status=booked&_sort=_id",
        "date=ge2026-01-03&_sort=_id",
        "_sort=status",
        "_sort=-status",
        "_sort=-status,-date",
        "date=ge2026-01-03&_sort=status",
    ],
)
async def test_a_page_of_many_matches_is_read_no_further(filled: tuple[Store, Store], text: str) -> None:
    for store in filled:
        (plan,) = await explained(store, "Appointment", text)
        assert "COLLSCAN" not in stages(plan["queryPlanner"]["winningPlan"])
        if plan["executionStats"]["nReturned"]:
            assert plan["executionStats"]["totalDocsExamined"] < 500
            assert plan["executionStats"]["totalKeysExamined"] < 500


@pytest.fixture(scope="module")
async def crowded(filled: tuple[Store, Store]) -> AsyncIterator[Store]:
    """The large store with two who have so much that MongoDB, left to itself, reads everybody's."""
    day = "2026-01-05T10:00:00Z"
    visits = [appointment(f"v{number}", day, "Practitioner/busy", status="booked") for number in range(4_000)]
    slots = [slot(f"v{number}", "busy", day) for number in range(4_000)]
    await _insert(filled[1], [*visits, *slots], 0)
    yield filled[1]
    for kind in ("Appointment", "Slot"):
        await filled[1].database[kind].delete_many({"_id": {"$regex": "^v"}})


async def asked(store: Store, kind: str, text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Page, dict[str, Any]]:
    """The page of a search, and what MongoDB does for the query by which its matches were read."""
    reads: list[dict[str, Any]] = []
    real = store.documents

    async def documents(kind: str, query: Any, **options: Any) -> Any:
        reads.append({"kind": kind, "query": query, **{name: options[name] for name in ("sort", "limit", "hint")}})
        return await real(kind, query, **options)

    with monkeypatch.context() as patched:
        patched.setattr(store, "documents", documents)
        page = await run(store, parsed(kind, text))
    (read,) = reads
    return page, await explain(store, **read)


@pytest.mark.parametrize(
    ("kind", "text", "matches"),
    [
        ("Appointment", "practitioner=busy&status=cancelled&_sort=_id", 0),
        ("Appointment", "practitioner=busy&status=booked&_sort=_id", 4_000),
        ("Appointment", "practitioner=busy&_sort=-_id", 4_000),
        ("Slot", "schedule=busy&_sort=_id", 4_000),
    ],
)
async def test_few_matches_are_sorted_and_not_looked_for_among_all(
    crowded: Store, kind: str, text: str, matches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, plan = await asked(crowded, kind, text, monkeypatch)
    assert page.total == matches
    assert plan["executionStats"]["totalDocsExamined"] == min(matches, 51)
    if page.cursor:
        page, plan = await asked(crowded, kind, f"{text}&_cursor={page.cursor}", monkeypatch)
        assert len(page.entries) == 50
        assert plan["executionStats"]["totalDocsExamined"] == 51


async def test_many_matches_are_read_in_their_order(crowded: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.search.running.COUNTED", 3_999)
    _, plan = await asked(crowded, "Slot", "schedule=busy&_sort=-_id", monkeypatch)
    assert "SORT" not in stages(plan["queryPlanner"]["winningPlan"])
    assert plan["executionStats"]["totalDocsExamined"] == 51


@pytest.mark.parametrize("order", ["name", "-name", "family", "-family", "family,given", "-family,-given"])
async def test_people_come_in_the_order_of_their_names_out_of_an_index(filled: tuple[Store, Store], order: str) -> None:
    from store.search.paging import beyond

    for store in filled:
        (one,) = await compiled(store, parsed("Patient", f"_sort={order}"))
        first = await explain(store, one.kind, one.query, sort=one.sort, limit=51, hint=one.hint)
        places: dict[str, Any] = {"name": "n 00050", "-name": "n 00050"}
        if order in places:
            after = beyond(one.sort, (places[order], "50"))
            assert after is not None
            further = await explain(store, one.kind, after, sort=one.sort, limit=51, hint=one.hint)
        else:
            further = first
        for plan in (first, further):
            used = stages(plan["queryPlanner"]["winningPlan"])
            assert not used & {"COLLSCAN", "SORT"}, used
            assert plan["executionStats"]["totalDocsExamined"] <= 60


@pytest.mark.parametrize(
    ("kind", "orders"),
    [
        ("Appointment", "_id,_lastUpdated,date,status"),
        ("Slot", "_id,_lastUpdated,start,status,schedule"),
        ("Patient", "_id,_lastUpdated,name,family"),
        ("Practitioner", "name,family"),
        ("Location", "name"),
        ("RelatedPerson", "name"),
    ],
)
async def test_what_is_asked_for_in_these_orders_comes_out_of_an_index(
    filled: tuple[Store, Store], kind: str, orders: str
) -> None:
    """Those that docs/fhir.md names."""
    for order in [sign + name for name in orders.split(",") for sign in ("", "-")]:
        (plan,) = await explained(filled[0], kind, f"_sort={order}")
        assert not stages(plan["queryPlanner"]["winningPlan"]) & {"COLLSCAN", "SORT"}, order


async def test_a_page_far_on_costs_what_the_first_one_costs(filled: tuple[Store, Store]) -> None:
    from store.search.lookups import conjunction
    from store.search.paging import beyond

    store = filled[1]
    (one,) = await compiled(store, parsed("Appointment", "status=booked&date=ge2026"))
    far = _START + timedelta(hours=LARGE // 2)
    after = beyond(one.sort, (far, "a1"))
    assert after is not None
    plan = await explain(store, one.kind, conjunction([one.query, after]), sort=one.sort, limit=51, hint=one.hint)
    assert plan["executionStats"]["nReturned"] == 51
    assert plan["executionStats"]["totalDocsExamined"] <= 60
    assert plan["executionStats"]["totalKeysExamined"] <= 60


async def test_counting_everything_reads_keys_alone(filled: tuple[Store, Store]) -> None:
    plan = await explain(filled[0], "Appointment", {}, count=True, hint=("_id",))
    assert "FETCH" not in stages(plan)
    assert "COLLSCAN" not in stages(plan)
