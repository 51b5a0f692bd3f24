"""The demo clinic's key, which `serve` shows at each start."""

from __future__ import annotations

import stat
from pathlib import Path

from adapter import demo
from adapter.demo import KEY_FILE
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
