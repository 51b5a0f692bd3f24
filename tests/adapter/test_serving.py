"""What is told when the service starts, and what stops the start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from adapter import serving
from adapter.export.files import require_usable
from adapter.handing import hand_over
from adapter.service import MODES
from adapter.settings import SettingsError, load
from tests.adapter.records import recorded
from tests.conftest import ServiceMaker
from tests.store.support import create, patient

KEY = "sk_test_0123"


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        yield made


def tried(printed: str) -> list[str]:
    """Run the line that is to be tried, with a `curl` that prints what it is given."""
    line = printed.partition("Try it:\n")[2].strip()
    script = f'curl() {{ printf "%s\\n" "$@"; }}; {line}'
    return subprocess.run(["/bin/sh", "-c", script], check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.parametrize("where", ["demo", "environment", ".env"])
def test_what_is_to_be_tried_works_in_a_shell(
    listening: socket.socket,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    where: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADAPTER_BOOTSTRAP_KEY", raising=False)
    if where == "environment":
        monkeypatch.setenv("ADAPTER_BOOTSTRAP_KEY", KEY)
    elif where == ".env":
        Path(".env").write_text(f"ADAPTER_BOOTSTRAP_KEY={KEY}\n")
    serving._announce(load(), listening, KEY)
    printed = capsys.readouterr().err
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    shown = "the key in .env" if where == ".env" else KEY
    assert tried(printed) == [f"{base}/api/v1/appointments/", "-H", f"Authorization: Bearer {shown}"]
    if where != "demo":
        assert KEY not in printed


@pytest.mark.parametrize("configured", [True, False])
def test_where_no_key_works_it_says_how_to_make_one(
    listening: socket.socket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, configured: bool
) -> None:
    monkeypatch.delenv("ADAPTER_BOOTSTRAP_KEY", raising=False)
    if configured:
        monkeypatch.setenv("ADAPTER_BOOTSTRAP_KEY", KEY)
    serving._announce(load(), listening, None)
    printed = capsys.readouterr().err
    assert "make one: mediloop-fhir keys create" in printed
    assert "Try it" not in printed
    assert ("ADAPTER_BOOTSTRAP_KEY works no longer" in printed) is configured


async def test_a_configured_key_is_announced_while_it_works(make_service: ServiceMaker) -> None:
    service = make_service(bootstrap_key=KEY)
    made = await service.keys["test"].ensure(KEY, "bootstrap")
    assert made is not None
    assert await serving._working_key(service) == KEY
    await service.keys["test"].revoke(made.id)
    assert await serving._working_key(service) is None


async def test_where_what_is_stored_is_filed_otherwise_it_says_so_once(make_service: ServiceMaker) -> None:
    usual, other = make_service(), make_service(base_url="https://x.org")
    await usual.prepare()
    for mode in MODES:
        await create(usual.stores[mode], patient("a"))
    told = []
    for service in (usual, other, usual):  # the last comes after one that has written by other rules
        await service.prepare()
        with recorded() as records:
            await serving._tell_what_is_due(service)
        told.append([(line["event"], line["databases"]) for line in records.lines])
    due = ("reindex_due", [usual.stores[mode].database.name for mode in MODES])
    assert told == [[], [due], [due]]


def test_an_address_in_use_is_said_to_be(listening: socket.socket) -> None:
    listening.listen()
    port = listening.getsockname()[1]
    with pytest.raises(OSError, match="cannot listen on") as raised:
        serving._listen(load(port=port))
    told = f"cannot listen on 127.0.0.1:{port} (Address already in use): end what uses it, or set ADAPTER_PORT (--port)"
    assert str(raised.value) == told


@pytest.mark.parametrize("host", ["nonsense.invalid", "203.0.113.7"])
def test_a_host_that_is_not_this_machine_is_said_to_be_none(host: str) -> None:
    with pytest.raises(OSError, match=rf"cannot listen on {host}:0 \(.*\): set ADAPTER_HOST \(--host\)"):
        serving._listen(load(host=host, port=0))


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("foo://x", "foo:// cannot be opened: Protocol not known"),
        ("s3://b", "s3"),
        ("memory://exports", "memory:// is seen by one process alone"),
    ],
)
def test_exports_that_nothing_can_write_stop_the_start(monkeypatch: pytest.MonkeyPatch, url: str, named: str) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with recorded(), pytest.raises(SettingsError) as raised:
        serving.serve(load(export_url=url))
    text = str(raised.value)
    assert text.startswith(f"Bad setting. ADAPTER_EXPORT_URL: {named}")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("trusted", "proxy", "client"),
    [
        ("127.0.0.1,::1", "127.0.0.1", "203.0.113.9"),
        ("127.0.0.1,::1", "10.1.2.3", "10.1.2.3"),
        ("10.0.0.0/8", "10.1.2.3", "203.0.113.9"),
        ("", "127.0.0.1", "127.0.0.1"),
        ("*", "192.0.2.1", "203.0.113.9"),
        ("10.1.2.3,*", "192.0.2.1", "203.0.113.9"),
    ],
)
async def test_only_trusted_proxies_say_who_calls(
    monkeypatch: pytest.MonkeyPatch, trusted: str, proxy: str, client: str
) -> None:
    monkeypatch.setenv("ADAPTER_TRUSTED_PROXIES", trusted)
    seen: list[Any] = []

    async def app(scope: Any, *_: Any) -> None:
        seen.append(scope["client"][0])

    config = serving._config(load())
    believed = ProxyHeadersMiddleware(app, config.forwarded_allow_ips)
    scope: Any = {"type": "http", "client": (proxy, 1), "headers": [(b"x-forwarded-for", b"203.0.113.9")]}
    await believed(scope, None, None)  # type: ignore[arg-type]  # nothing is received or sent
    assert seen == [client]


def test_idle_connections_outlive_those_of_usual_load_balancers() -> None:
    """Theirs end after 60 seconds by default; who ends them first must not be the service."""
    assert serving._config(load()).timeout_keep_alive > 60


@pytest.mark.parametrize("url", [None, "file:///nowhere/at/all", "ftp://user:hunter2@nowhere/x"])
def test_whether_it_is_there_just_now_is_not_asked(url: str | None) -> None:
    require_usable(load(export_url=url))


@pytest.mark.parametrize("within", ["file", "file/data", "exports is a file"])
def test_a_data_folder_that_cannot_be_made_stops_the_start(tmp_path: Path, within: str) -> None:
    """With a MongoDB of one's own nothing else would notice: each export failed, a day after it was asked for."""
    where = tmp_path / within
    if within.startswith("file"):
        (tmp_path / "file").touch()
    else:
        where.mkdir()
        (where / "exports").touch()
    with recorded(), pytest.raises(SettingsError) as raised:
        serving.serve(load(mongodb_uri="mongodb://nowhere.invalid/?replicaSet=r", data_dir=where))
    text = str(raised.value)
    assert text.startswith(f"Bad setting. ADAPTER_DATA_DIR: {where / 'exports'}: no file can be made there (")
    assert "ADAPTER_EXPORT_URL" in text
    assert "\n" not in text


def test_a_data_folder_is_made_where_exports_go_there(tmp_path: Path) -> None:
    mongodb = "mongodb://nowhere.invalid/?replicaSet=r"
    require_usable(load(mongodb_uri=mongodb, data_dir=tmp_path / "new" / "data"))
    assert (tmp_path / "new" / "data").stat().st_mode & 0o777 == 0o700
    require_usable(load(mongodb_uri=mongodb, data_dir=tmp_path / "other", export_url="file:///nowhere/at/all"))
    assert not (tmp_path / "other").exists()


def test_the_worker_of_exports_logs_whatever_goes_wrong(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("ADAPTER_")}
    environment |= hand_over(load(uhid_pattern="^KE-[0-9]{4}$"), "nonsense://u:hunter2@x")
    environment["PYTHONPATH"] = str(Path.cwd())
    worker = subprocess.Popen(
        [sys.executable, "-m", "adapter.export.worker"],
        stdin=subprocess.PIPE,  # stays open: the worker ends with who holds it
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
    )
    assert worker.stdin is not None
    worker.stdin.write(b"test for-KE-1234 worker\n")
    worker.stdin.flush()
    assert worker.wait(60) == 1
    _, said = worker.communicate()
    (line,) = said.decode().splitlines()
    assert '"event":"export_interrupted"' in line
    assert '"job":"for-[redacted]"' in line
    assert "hunter2" not in line
