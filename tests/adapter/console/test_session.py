"""Whatever ends a command, MongoDB is stopped with it where the command had started it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from pymongo.errors import AutoReconnect, BulkWriteError, ConfigurationError, OperationFailure, PyMongoError

from adapter.console.session import mongodb, plain_failures
from adapter.settings import Settings
from store.embedded_process import Process
from store.errors import StoreError, Unfit, Unreachable

COMMAND = """
import asyncio, sys
from adapter.console.session import mongodb, plain_failures
from adapter.settings import load
try:
    with mongodb(load()) as (_, server):
        print(server.pid, flush=True)
        asyncio.run(asyncio.sleep(60))
except KeyboardInterrupt:
    sys.exit(130)
"""
ENDS = [signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("how", ENDS)
def test_a_command_that_is_ended_takes_its_mongod_along(tmp_path: Path, how: signal.Signals) -> None:
    environment = os.environ | {"ADAPTER_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", COMMAND]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, env=environment) as process:
        assert process.stdout is not None
        mongod = Process.of(int(process.stdout.readline()))
        assert mongod is not None
        process.send_signal(how)
        code = process.wait(30)
    left = mongod.alive()
    mongod.stop(0)
    assert (code, left) == (130, False)


@contextmanager
def handled(number: int, handler: Any) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.fixture
def settings(mongodb_uri: str) -> Settings:
    return Settings(mongodb_uri=mongodb_uri, _env_file=None)


@pytest.mark.parametrize("interrupt", [signal.default_int_handler, signal.SIG_IGN], ids=["shell", "background"])
@pytest.mark.parametrize("how", ENDS)
def test_it_is_unwound_as_by_ctrl_c(settings: Settings, how: signal.Signals, interrupt: Any) -> None:
    unwound: list[str] = []

    async def work() -> None:
        try:
            signal.raise_signal(how)
            await asyncio.sleep(10)
        finally:
            unwound.append("work")

    before = signal.getsignal(how)
    with handled(signal.SIGINT, interrupt):
        with pytest.raises(KeyboardInterrupt), mongodb(settings):
            asyncio.run(work())
        with pytest.raises(KeyboardInterrupt), mongodb(settings):
            signal.raise_signal(how)
    assert unwound == ["work"]
    assert signal.getsignal(how) == before


def test_who_is_to_outlive_the_terminal_does(settings: Settings) -> None:
    with handled(signal.SIGHUP, signal.SIG_IGN), mongodb(settings):  # as `nohup` has it
        signal.raise_signal(signal.SIGHUP)


def test_a_command_loads_nothing_that_only_a_service_needs() -> None:
    code = """
import sys
import adapter.cli, adapter.console.check, adapter.console.export, adapter.console.importing, adapter.console.tail
print([one for one in ("fastapi", "prometheus_client", "pyarrow", "uvicorn") if one in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


ROW = {"index": 0, "code": 121, "errmsg": "Document failed validation", "op": {"name": "Okello"}}
NOT_ALLOWED = 'not authorized on mediloop_test to execute command { findAndModify: "zones", lsid: { id: UUID("0") } }'
TWICE = 'E11000 duplicate key error collection: c index: i dup key: { value: "Okello" }'


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BulkWriteError({"writeErrors": [ROW]}), "Document failed validation (error 121)"),
        (BulkWriteError({"writeConcernErrors": [{"code": 8}]}), "no reason given (error 8)"),
        (OperationFailure("Okello", 14031, {"errmsg": "no room", "code": 14031}), "no room (error 14031)"),
        (OperationFailure(TWICE, 11000, {"errmsg": TWICE}), TWICE.partition(" dup key")[0] + " (error 11000)"),
        (
            OperationFailure(NOT_ALLOWED, 13, {"errmsg": NOT_ALLOWED}),
            "not authorized on mediloop_test (error 13). ADAPTER_MONGODB_URI needs a user with the role readWrite on "
            "the databases of ADAPTER_DATABASE",
        ),
        (OperationFailure("Okello", 8), "no reason given (error 8)"),
        (ConfigurationError("No servers"), "No servers"),
        (
            AutoReconnect("h:1: [Errno 111] no (configured timeouts: x: 1), Timeout: 5s, Topology Description: <>"),
            "h:1: no",
        ),
    ],
)
def test_what_mongodb_refuses_is_told_in_one_line_without_what_it_was_sent(
    capsys: pytest.CaptureFixture[str], error: PyMongoError, said: str
) -> None:
    with pytest.raises(typer.Exit), plain_failures():
        raise error
    assert capsys.readouterr().err == f"mediloop-fhir: MongoDB: {said}\n"


def test_a_command_that_begins_anew_does_not_say_that_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    for error, said in (
        (
            OSError(errno.ENOSPC, "No space left on device", "f"),
            "f: No space left on device. Make room, or raise the limit.",
        ),
        (OSError(errno.EACCES, "Permission denied", "f"), "f: Permission denied"),
        (OSError("Ours."), "Ours."),
    ):
        with pytest.raises(typer.Exit), plain_failures():
            raise error
        assert capsys.readouterr().err == f"mediloop-fhir: {said}\n"


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (Unreachable("MongoDB did not answer in time"), ". When it answers, the same command goes on."),
        (Unreachable("MongoDB does not answer: h. Is it there?"), " When it answers, the same command goes on."),
        (Unfit("A standalone."), ""),
    ],
)
def test_when_mongodb_is_away_what_goes_on_says_so(
    capsys: pytest.CaptureFixture[str], error: StoreError, more: str
) -> None:
    for goes_on in (True, False):
        with pytest.raises(typer.Exit), plain_failures(goes_on=goes_on):
            raise error
        assert capsys.readouterr().err == f"mediloop-fhir: {error}{more if goes_on else ''}\n"


def test_at_ctrl_c_what_goes_on_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, plain_failures(goes_on=True):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "Stopped. The same command goes on from here.\n"
    with pytest.raises(KeyboardInterrupt), plain_failures():
        raise KeyboardInterrupt


def test_a_text_that_cannot_be_encoded_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), plain_failures():
        "\udcff".encode()
    said = capsys.readouterr().err
    assert said.startswith("mediloop-fhir: there is a text that cannot be kept or shown")
    assert len(said.splitlines()) == 1
