"""The demo clinic's key, which `serve` shows at each start."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from adapter import demo
from adapter.demo import KEY_FILE
from adapter.settings import SettingsError
from store.errors import Unreachable
from store.unit_of_work import UnitOfWork
from tests.adapter.mediloop.clinic import put
from tests.adapter.records import recorded
from tests.conftest import ServiceMaker


async def test_the_key_is_made_once_and_works(make_service: ServiceMaker, tmp_path: Path) -> None:
    service = make_service(data_dir=tmp_path)
    made = await demo.key(service)
    assert made is not None
    assert await service.keys["test"].find(made) is not None
    assert await demo.key(service) == made
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


async def test_a_key_that_was_revoked_is_not_shown(make_service: ServiceMaker, tmp_path: Path) -> None:
    service = make_service(data_dir=tmp_path)
    await demo.key(service)
    (known,) = await service.keys["test"].list()
    await service.keys["test"].revoke(known.id)
    with recorded():
        assert await demo.key(service) is None


async def test_a_key_file_that_was_left_empty_is_filled(make_service: ServiceMaker, tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).touch(0o600)
    service = make_service(data_dir=tmp_path)
    made = await demo.key(service)
    assert made is not None
    assert (tmp_path / KEY_FILE).read_text().strip() == made
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


async def test_what_is_no_key_is_told_by_the_name_of_its_file(make_service: ServiceMaker, tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("nonsense")
    with pytest.raises(SettingsError, match=rf"{KEY_FILE} holds no key.*Remove the file"):
        await demo.key(make_service(data_dir=tmp_path))


async def test_a_clinic_of_which_a_part_was_loaded_is_completed(make_service: ServiceMaker) -> None:
    service = make_service()
    assert await demo.is_wanted(service)
    await demo.load(service)
    assert not await demo.is_wanted(service)
    store = service.stores["test"]

    async def delete(work: UnitOfWork) -> None:
        [visit] = (await work.read_many(["Appointment/apt-demo-006"])).values()
        work.delete(visit)

    await store.transact(delete)
    assert not await demo.is_wanted(service), "somebody has deleted it"
    for name in ("Appointment", "history"):  # as though the load had been ended before
        await store.database[name].delete_many({})
    assert await demo.is_wanted(service)
    assert await demo.load(service) > 0
    assert not await demo.is_wanted(service)


async def test_practitioners_of_somebody_else_are_no_part_of_it(make_service: ServiceMaker) -> None:
    service = make_service()
    await put(service.stores["test"], {"resourceType": "Practitioner", "id": "own"})
    assert not await demo.is_wanted(service)


async def test_a_machine_that_is_slow_gets_the_clinic_all_the_same(
    make_service: ServiceMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, publish, failed = make_service(), demo._publish, 0

    async def slow(*given: Any) -> int:
        nonlocal failed
        failed += 1
        if failed <= 2:
            raise Unreachable("MongoDB did not answer in time")
        return await publish(*given)

    monkeypatch.setattr(demo, "_publish", slow)
    await demo.load_if_wanted(service)
    assert not await demo.is_wanted(service)


async def test_a_database_that_stays_away_ends_the_load(
    make_service: ServiceMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: Any) -> int:
        raise Unreachable("MongoDB did not answer in time")

    monkeypatch.setattr(demo, "_publish", silent)
    with pytest.raises(Unreachable):
        await demo.load_if_wanted(make_service())
