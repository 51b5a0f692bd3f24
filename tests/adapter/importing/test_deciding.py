"""What a batch that is imported is decided by: what is stored at that moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from adapter.importing.checking import Ready
from adapter.importing.deciding import Writer
from adapter.scheduling import bounds
from store.connection import Client
from store.errors import Oversized, Unreachable
from store.extract import token
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.fhir.door import call
from tests.adapter.mediloop.clinic import JAMES, UHID, appointment, open_clinic
from tests.conftest import Api
from tests.store.support import create


async def test_an_import_looks_again_for_who_was_there_before(api: Api, store: Store) -> None:
    await open_clinic(store)
    writer = Writer(api.service, store)

    def brought(ident: str) -> Ready:
        members = {"id": ident, "patient_uhid": UHID, "practitioner_id": JAMES, "status": "booked"}
        visit = appointment(ident, start=f"2024-03-0{ident}T10:00")
        return Ready("Appointment", ident, True, [], visit, members=members)

    assert await writer.write([brought("1")]) == ["created"]
    assert (await call(api, "DELETE", "Appointment/1")).status_code == 204
    assert (await call(api, "DELETE", f"Practitioner/{JAMES}")).status_code == 204
    [result] = await writer.write([brought("2")])
    assert not isinstance(result, str)
    assert [problem.code for problem in result.problems] == ["unknown_practitioner"]


def patient(ident: str, uhid: str = UHID, *, stated: bool = True, if_none: bool = False, **members: Any) -> Ready:
    system = "https://mediloop.co/fhir/sid/uhid"
    named = {"identifier": [{"system": system, "value": uhid}, {"system": "urn:mrn", "value": ident}]}
    resource = {"resourceType": "Patient", "id": ident, **named, **members}
    return Ready("Patient", ident, stated, [token(system, uhid), token("urn:mrn", ident)], resource, if_none=if_none)


async def test_who_carries_a_uhid_already_does_not_use_it_a_second_time(api: Api, store: Store) -> None:
    await create(store, patient("tw-1").resource, patient("tw-2").resource)  # the front door lets them in
    writer = Writer(api.service, store)
    assert await writer.write([patient("tw-1"), patient("tw-2")]) == ["unchanged"] * 2
    assert await writer.write([patient("tw-1"), patient("tw-2", active=True)]) == ["unchanged", "updated"]
    [*others, result] = await writer.write([patient("tw-2", "UG222222222B"), patient("tw-1"), patient("tw-3")])
    assert others == ["updated", "unchanged"]
    assert not isinstance(result, str)
    assert [problem.details for problem in result.problems] == [{"resources": ["Patient/tw-1"]}]


async def test_who_is_found_by_an_identifier_brings_a_uhid_too(api: Api, store: Store) -> None:
    number = {"system": "urn:mrn", "value": "p"}
    await create(store, {"resourceType": "Patient", "id": "p", "identifier": [number]})
    writer = Writer(api.service, store)
    assert await writer.write([patient("p", stated=False, if_none=True), patient("q")]) == ["unchanged", "created"]
    assert await writer.write([patient("q", "UG333333333C")]) == ["updated"]
    word, result = await writer.write([patient("p", stated=False), patient("r")])
    assert word == "updated"
    assert not isinstance(result, str)
    assert [problem.details for problem in result.problems] == [{"resources": ["Patient/p"]}]


async def test_a_batch_that_is_too_large_for_one_transaction_is_written_in_parts(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"p{number}" for number in range(5)]
    patients = [Ready("Patient", one, True, [], {"resourceType": "Patient", "id": one}) for one in names]
    transact = store.transact
    most = 2

    async def bound(_: Store, step: Callable[[UnitOfWork], Awaitable[Any]], **how: Any) -> Any:
        async def held(work: UnitOfWork) -> Any:
            done = await step(work)
            if len(work.staged.writes) > most:
                raise Oversized("That is more than MongoDB takes at once.")
            return done

        return await transact(held, **how)

    monkeypatch.setattr(Store, "transact", bound)
    writer = Writer(api.service, store)
    assert await writer.write(patients) == ["created"] * 5
    assert await writer.together(patients) == ["unchanged"] * 5
    changed = [replace(one, resource={**one.resource, "active": True}) for one in patients]
    assert await writer.together(changed) is None
    most = 0
    [result] = await writer.write(changed[:1])
    assert not isinstance(result, str)
    assert (result.status, result.problems[0].code) == (413, "body_too_large")


async def test_what_somebody_who_was_killed_keeps_for_a_while_is_waited_for(
    api: Api, client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = Store(client, store.database.name, rules=store.rules, timeout=1)
    [there] = await create(store, {"resourceType": "Patient", "id": "p"})
    batch = [Ready("Patient", "p", True, [], {**there, "active": True})]
    async with client.start_session() as session:
        await session.start_transaction()
        await client[store.database.name]["Patient"].update_one({"_id": "p"}, {"$set": {"held": 1}}, session=session)
        waited = []

        async def ping() -> None:
            waited.append(1)
            await session.abort_transaction()

        monkeypatch.setattr(impatient, "ping", ping)  # asked when it has waited for as long as a write does
        assert await Writer(api.service, impatient).write(batch) == ["updated"]
        assert waited == [1]


async def test_what_is_kept_for_longer_is_told(api: Api, client: Client, store: Store) -> None:
    impatient = Store(client, store.database.name, rules=store.rules, timeout=0.1)
    [there] = await create(store, {"resourceType": "Patient", "id": "p"})
    batch = [Ready("Patient", "p", True, [], {**there, "active": True})]
    async with client.start_session() as session:
        await session.start_transaction()
        await client[store.database.name]["Patient"].update_one({"_id": "p"}, {"$set": {"held": 1}}, session=session)
        with pytest.raises(Unreachable):
            await Writer(api.service, impatient).write(batch)
        await session.abort_transaction()


async def test_a_batch_of_more_hours_than_are_decided_at_once_is_written_in_parts(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_HOURS", 2)
    visits = [appointment(f"a{number}", start=f"2024-03-0{number}T10:00") for number in range(1, 6)]
    writer = Writer(api.service, store)
    assert await writer.write([Ready("Appointment", one["id"], True, [], one) for one in visits]) == ["created"] * 5
    monkeypatch.setattr(bounds, "MOST_HOURS", 0)
    [result] = await writer.write([Ready("Appointment", "b", True, [], appointment("b", start="2024-03-07T10:00"))])
    assert not isinstance(result, str)
    assert [problem.code for problem in result.problems] == ["too_many_hours"]
