"""How a service process has exports carried out: by a process beside it, one at a time, again where one has failed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter.export import running
from adapter.export.files import Files
from adapter.export.processes import Workers
from adapter.handing import hand_over
from adapter.service import Service
from adapter.variables import KEY_VARIABLE
from store.errors import Unreachable
from store.export_jobs import EXPORTS
from tests.adapter.export.exports import jobs_of, worked
from tests.adapter.records import recorded
from tests.conftest import URI, Api, ApiMaker, Clock, ServiceMaker


@pytest.fixture
def service(make_service: ServiceMaker, tmp_path: Path) -> Service:
    return make_service(data_dir=tmp_path)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int | BaseException]:
    """How the next processes end, in the place of processes."""
    codes: list[int | BaseException] = []

    async def carry_out(*_: Any) -> int:
        code = codes.pop(0)
        if isinstance(code, BaseException):
            raise code
        return code

    monkeypatch.setattr(Workers, "carry_out", carry_out)
    monkeypatch.setattr(running, "AGAIN_SECONDS", 0.0)
    return codes


async def test_a_job_that_never_comes_on_is_given_up(api: Api, ends: list[int | BaseException]) -> None:
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    ends += [1] * running.ATTEMPTS
    left = api.service.settings.data_dir / "exports" / "test" / location.rpartition("/")[2] / "Patient.00001.ndjson"
    left.parent.mkdir(parents=True)
    left.touch()
    for _ in range(running.ATTEMPTS + 1):
        assert await running.take_one(api.service, Workers())
    assert not await running.take_one(api.service, Workers())
    assert not left.parent.exists(), "nobody can ask for its files"
    answer = await api.get(location)
    assert answer.status_code == 500
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert (await api.delete(location)).status_code == 202


async def test_a_job_that_failed_waits_for_longer_each_time_and_holds_up_no_other(
    api: Api, ends: list[int | BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "AGAIN_SECONDS", 30.0)
    jobs = api.service.stores["test"].database[EXPORTS]
    failing, other = [
        (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"].rpartition("/")[2]
        for _ in range(2)
    ]
    await jobs.update_one({"_id": other}, {"$set": {"lease": datetime(2020, 1, 1, tzinfo=UTC)}})
    waits = []
    for _ in range(3):
        await jobs.update_one({"_id": failing}, {"$set": {"lease": datetime(2000, 1, 1, tzinfo=UTC)}})
        before = datetime.now(UTC)
        ends.append(1)
        assert await running.take_one(api.service, Workers())
        [found] = await jobs.find({"_id": failing}, {"lease": 1}).to_list()
        waits.append((found["lease"].replace(tzinfo=UTC) - before).total_seconds())
    assert waits == pytest.approx([30, 60, 60], abs=5)
    ends.append(0)
    assert await running.take_one(api.service, Workers()), "the other one is taken"
    assert not await running.take_one(api.service, Workers())


async def test_files_that_cannot_be_removed_end_no_round(
    api: Api, ends: list[int | BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> None:
        raise ValueError("as a driver of an object store may say")

    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    ends += [1] * running.ATTEMPTS
    monkeypatch.setattr(Files, "remove", refused)
    with recorded():
        for _ in range(running.ATTEMPTS + 1):
            assert await running.take_one(api.service, Workers())
    assert (await api.get(location)).status_code == 500


async def test_what_has_expired_goes_while_an_export_is_under_way(
    api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    expired = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"].rpartition("/")[2]
    await worked(api.service)
    under_way, answers = asyncio.Event(), [Unreachable("the first time")]

    async def carry_out(*_: Any) -> int:
        under_way.set()
        await asyncio.sleep(60)
        return 0

    async def remove_expired(service: Service, remove: Any = running.remove_expired) -> None:
        if answers:
            raise answers.pop()
        await remove(service)

    monkeypatch.setattr(Workers, "carry_out", carry_out)
    monkeypatch.setattr(running, "remove_expired", remove_expired)
    monkeypatch.setattr(running, "_TIDY_SECONDS", 0.01)
    await api.get("/fhir/R4/$export?_type=Patient")
    with recorded():
        task = asyncio.create_task(running.run(api.service))
        try:
            async with asyncio.timeout(10):
                await under_way.wait()
                clock.advance(hours=24)
                while await jobs_of(api.service).read(expired) is not None:
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert [one for one in asyncio.all_tasks() if one.get_name() == "expired exports"] == []


async def test_a_service_that_is_stopped_gives_its_job_back(api: Api, ends: list[int | BaseException]) -> None:
    await api.get("/fhir/R4/$export?_type=Patient")
    ends.append(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await running.take_one(api.service, Workers())
    assert await jobs_of(api.service).take("another") is not None


async def test_neither_test_exports_nor_live_ones_wait_behind_all_of_the_others(
    api: Api, make_api: ApiMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried_out: list[str] = []

    async def carry_out(self: Workers, mode: str, *_: str) -> int:
        carried_out.append(mode)
        return 0

    monkeypatch.setattr(Workers, "carry_out", carry_out)
    for one in (api, await make_api(api.service, mode="live")):
        for _ in range(3):
            assert (await one.get("/fhir/R4/$export?_type=Patient")).status_code == 202
    workers = Workers()
    while await running.take_one(api.service, workers):
        pass
    assert carried_out == ["test", "live"] * 3


def handed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process's environment be that of a process of the service."""
    for name, value in hand_over(api.service.settings, os.environ[URI]).items():
        monkeypatch.setenv(name, value)


async def test_the_process_stays_for_the_next_export(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    handed(api, monkeypatch)
    workers = Workers()
    assert await workers.carry_out("test", "none", "w") == 0
    first = workers.process
    assert first is not None
    await workers.end(unless_younger=60)
    assert await workers.carry_out("test", "none", "w") == 0
    assert workers.process is first
    first.kill()
    await first.wait()
    assert await workers.carry_out("test", "none", "w") == 0
    second = workers.process
    assert second is not None
    assert second is not first
    second.send_signal(signal.SIGSTOP)
    asked = asyncio.create_task(workers.carry_out("test", "none", "w"))
    await asyncio.sleep(0.01)
    second.kill()
    assert await asked == 1
    await workers.end()  # there is none any more


async def test_the_process_is_not_told_the_key_that_may_do_everything(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed(api, monkeypatch)
    monkeypatch.setenv(KEY_VARIABLE, "sk_test_" + "a" * 40)
    monkeypatch.setenv("ADAPTER_LOG_LEVEL", "warning")
    workers = Workers()
    assert await workers.carry_out("test", "none", "w") == 0
    assert workers.process is not None
    told = Path(f"/proc/{workers.process.pid}/environ").read_bytes().split(b"\0")
    assert not [variable for variable in told if variable.startswith(KEY_VARIABLE.encode())]
    assert b"ADAPTER_LOG_LEVEL=warning" in told
    await workers.end()


async def test_the_process_goes_by_the_settings_of_the_service(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    handed(api, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("ADAPTER_EXPORT_URL=file:///nowhere\nADAPTER_PROT=1\n")
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    workers = Workers()
    assert await running.take_one(api.service, workers)
    assert (await api.get(location)).status_code == 200
    await workers.end()


async def test_the_process_runs_what_the_service_runs_whatever_lies_in_the_working_directory(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a clone of this project does, of another release: `mediloop-fhir serve` does not look there, ``-m`` would."""
    handed(api, monkeypatch)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "__init__.py").write_text("raise SystemExit('another release')\n")
    monkeypatch.setattr(sys, "path", [str(Path.cwd()), *filter(None, sys.path)])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    workers = Workers()
    assert await running.take_one(api.service, workers)
    assert (await api.get(location)).status_code == 200
    await workers.end()


async def test_the_process_ends_with_the_service(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    handed(api, monkeypatch)
    workers = Workers()
    assert await workers.carry_out("test", "none", "w") == 0
    process = workers.process
    assert process is not None
    await workers.end()
    assert process.returncode is not None


async def test_the_runner_looks_at_once_when_there_is_something(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[float] = []
    again = asyncio.Event()

    async def take_one(*_: Any) -> bool:
        looked.append(asyncio.get_running_loop().time())
        again.set()
        if len(looked) == 1:
            raise Unreachable("the first time")
        return False

    monkeypatch.setattr(running, "take_one", take_one)
    task = asyncio.create_task(running.run(api.service, pause=30))
    await again.wait()
    again.clear()
    await asyncio.sleep(0)
    running.wake()
    await asyncio.wait_for(again.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    running.wake()  # nobody is there any more
    quick = asyncio.create_task(running.run(api.service, pause=0.01))
    again.clear()
    await asyncio.wait_for(again.wait(), 5)
    again.clear()
    await asyncio.wait_for(again.wait(), 5)
    quick.cancel()
    await asyncio.gather(quick, return_exceptions=True)


@pytest.mark.parametrize("losing", ["take_one", "remove_expired"])
async def test_it_ends_though_the_driver_has_lost_that_it_is_to(
    api: Api, monkeypatch: pytest.MonkeyPatch, losing: str
) -> None:
    begun = asyncio.Event()

    async def lose_it(*_: Any) -> bool:
        lost = () if begun.is_set() else (asyncio.CancelledError,)  # once
        begun.set()
        with suppress(*lost):
            await asyncio.Event().wait()
        return True

    monkeypatch.setattr(running, losing, lose_it)
    task = asyncio.create_task(running.run(api.service))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
