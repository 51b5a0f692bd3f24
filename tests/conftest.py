"""What all tests share: one real MongoDB for the run, a clean service for each test, a clock that stands still."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from pymongo import MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from adapter import memory
from adapter.app import create_app
from adapter.fhir.validation import models
from adapter.metrics import PoolWatch
from adapter.security import permissions
from adapter.security.keys import Mode
from adapter.service import MODES, Service, assemble, build
from adapter.settings import Settings
from store import embedded
from store.connection import Client, connect
from store.store import Store
from tests.snapshots import REMOVING, filled

models.limit_ids()  # before a module of tests imports one of them

URI = "TESTS_MONGODB_URI"
_PLENTY = 8 * 2**30
"""Bytes that must be free there."""
_started: list[tuple[embedded.EmbeddedMongo, str]] = []


def pytest_configure(config: pytest.Config) -> None:
    """Start one MongoDB for the whole run: here in the controlling process, the test workers inherit its address."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background jobs inherit it ignored, and so would what tests start and end by it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # What is logged is tested where it is caught: a line for people of each request, which nobody reads, takes time.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    for name in [name for name in os.environ if name.startswith("ADAPTER_")]:
        del os.environ[name]  # a developer's own settings are not part of any test
    place = _quick_place()
    if place is not None:
        os.environ["TMPDIR"] = tempfile.tempdir = place  # for all of pytest's folders, and the processes of the tests
    if URI not in os.environ:
        folder = tempfile.mkdtemp(prefix="mediloop-tests-")
        server = embedded.start(Path(folder), cache_gb=0.5)
        _started.append((server, folder))
        os.environ[URI] = server.uri
        with MongoClient[dict[str, Any]](server.uri) as client:
            # Tests set their clocks to years ago: MongoDB's own expiry would remove records in the middle of them.
            client.admin.command("setParameter", 1, ttlMonitorEnabled=False)
            # Who drops a database, or makes an index, waits for the journal's next turn: 100 ms, as it comes.
            client.admin.command("setParameter", 1, journalCommitInterval=10)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while some nine thousand tests are collected, nor among them later: all of it stays."""
    with memory.loading():
        return (yield)


def _quick_place() -> str | None:
    """Return where there is memory in plenty, if there is: thousands of syncs to a disk take minutes.

    What is tested is that processes die, not that the machine does, so a disk would show nothing more. The proof
    (`make proof`) uses it all the same.
    """
    place = "/dev/shm"
    wanted = os.environ.get("PROOF") != "1" and "TMPDIR" not in os.environ and os.access(place, os.W_OK)
    return place if wanted and shutil.disk_usage(place).free > _PLENTY else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say so where it has ended in the middle of the run, and its last words: all that came after failed for that."""
    for server, folder in _started:
        if embedded.running(Path(folder)) is None:
            log = Path(folder, "mongodb", "mongod.log").read_text(errors="replace").splitlines()
            terminalreporter.section(f"MongoDB (process {server.pid}) no longer answers. The end of its log")
            terminalreporter.write_line("\n".join(line[:600] for line in log[-60:]))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop it and remove its data."""
    for server, folder in _started:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _logging_stays() -> Iterator[None]:
    """Take back how a test has logging done: a command that starts the service configures it for the whole process."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)
        root.handlers, root.level = handlers, level


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.moment = datetime(2024, 1, 15, 10, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **span: float) -> None:
        """Let time pass: ``advance(minutes=5)``."""
        self.moment += timedelta(**span)


@pytest.fixture(scope="session")
def mongodb_uri() -> str:
    """The address of the run's MongoDB."""
    return os.environ[URI]


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[Client]:
    """Give a client with the service's own options.

    None is kept for a whole run: tests that need no event loop may leave it alone for longer than its heartbeat bears.
    """
    made = connect(uri)
    yield made
    await made.close()


class _Line:
    """The connection of one module's tests: a new one for each would take longer than most of them do."""

    def __init__(self, uri: str, *listeners: PoolWatch) -> None:
        self._uri = uri
        self._listeners = listeners
        self._client: Client | None = None

    async def client(self) -> Client:
        """Return a client that answers: a test may have closed the last one, as a service that ends does."""
        if self._client is not None:
            try:
                await self._client.admin.command("ping")
            except PyMongoError:
                await self.close()
                self._client = None
        if self._client is None:
            self._client = connect(self._uri, listeners=self._listeners)
        return self._client

    async def close(self) -> None:
        """Close it."""
        if self._client is not None:
            await self._client.close()


@pytest.fixture(scope="module")
async def _line(mongodb_uri: str) -> AsyncIterator[_Line]:
    made = _Line(mongodb_uri)
    yield made
    await made.close()


@pytest.fixture(scope="module")
async def _watched_line(mongodb_uri: str) -> AsyncIterator[_Line]:
    """The one of its services, whose pool is measured."""
    made = _Line(mongodb_uri, PoolWatch())
    yield made
    await made.close()


@pytest.fixture
async def client(_line: _Line) -> Client:
    """A client of it."""
    return await _line.client()


@pytest.fixture(scope="module")
async def module_client(mongodb_uri: str) -> AsyncIterator[Client]:
    """A client of it for what the tests of a module share."""
    async with connected(mongodb_uri) as made:
        yield made


_numbers = iter(range(1_000_000))


def _fresh_name() -> str:
    return f"t_{os.getpid()}_{next(_numbers)}"


@pytest.fixture
async def database(client: Client) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """An empty database, dropped afterwards."""
    name = _fresh_name()
    yield client[name]
    await client.drop_database(name)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at 2024-01-15T10:00:00Z until a test moves it."""
    return Clock()


@pytest.fixture(scope="session")
async def _prepared(mongodb_uri: str) -> AsyncIterator[str]:
    """The name of a pair of databases whose indexes are made once for all tests of this process."""
    name = _fresh_name()
    service = build(Settings(database=name, _env_file=None), mongodb_uri)
    await service.prepare()
    await service.close()
    yield name
    async with connected(mongodb_uri) as made:
        for mode in MODES:
            await made.drop_database(f"{name}_{mode}")


async def empty(database: AsyncDatabase[dict[str, Any]]) -> None:
    """Remove all documents."""
    if names := await database.list_collection_names():
        which = database.get_collection(names[0], read_concern=ReadConcern("local"))
        found = await (await which.aggregate(filled(names))).to_list()
        await asyncio.gather(*(database[one["name"]].delete_many({}, hint=REMOVING) for one in found))


ServiceMaker = Callable[..., Service]


@pytest.fixture(scope="session")
def _usual(_prepared: str) -> Settings:
    """The settings of most tests, read once: it takes longer than what else a service is made of."""
    return Settings(database=_prepared, rate_limit_test=0, rate_limit_live=0, _env_file=None)


@pytest.fixture
async def make_service(_usual: Settings, _watched_line: _Line, clock: Clock) -> ServiceMaker:
    """Make services with settings of choice on one pair of emptied databases."""
    client = await _watched_line.client()

    def make(**settings: Any) -> Service:
        wanted: dict[str, Any] = {"database": _usual.database, "rate_limit_test": 0, "rate_limit_live": 0} | settings
        return assemble(Settings(**wanted, _env_file=None) if settings else _usual, client, clock)

    await asyncio.gather(*(empty(client[f"{_usual.database}_{mode}"]) for mode in MODES))
    return make


@pytest.fixture
async def service(make_service: ServiceMaker) -> Service:
    """A service on empty databases, without rate limits."""
    return make_service()


@pytest.fixture
def store(service: Service) -> Store:
    """Its test store."""
    return service.stores["test"]


@dataclass
class Api:
    """Calls the application in this process, with a key."""

    http: httpx.AsyncClient
    service: Service
    key: str

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """GET with the key (``headers`` may replace it)."""
        return await self.http.get(path, headers=self._headers(options), **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """POST a JSON body with the key."""
        given = {} if body is None else {"json": body}
        return await self.http.post(path, headers=self._headers(options), **given, **options)

    async def put(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """PUT a JSON body with the key."""
        return await self.send("PUT", path, body, **options)

    async def patch(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """PATCH with a JSON body with the key."""
        return await self.send("PATCH", path, body, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        """DELETE with the key."""
        return await self.send("DELETE", path, **options)

    async def send(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Call any method with the key and a JSON body, if there is one."""
        given = {} if body is None else {"json": body}
        return await self.http.request(method, path, headers=self._headers(options), **given, **options)

    def _headers(self, options: dict[str, Any]) -> dict[str, str]:
        given: dict[str, str] = options.pop("headers", {})
        return {"Authorization": f"Bearer {self.key}"} | given


ApiMaker = Callable[..., Any]


@pytest.fixture
async def make_api() -> AsyncIterator[ApiMaker]:
    """Make an `Api` for a service: ``await make_api(service, mode="live", granted=["appointments:read"])``."""
    opened: list[httpx.AsyncClient] = []

    async def make(service: Service, mode: Mode = "test", granted: list[str] | None = None) -> Api:
        wanted = permissions.everything() if granted is None else permissions.parse(granted)
        _, secret = await service.keys[mode].create("test", wanted)
        transport = httpx.ASGITransport(app=create_app(service), raise_app_exceptions=False)
        opened.append(httpx.AsyncClient(transport=transport, base_url="http://adapter.test"))
        return Api(opened[-1], service, secret)

    yield make
    for http in opened:
        await http.aclose()


@pytest.fixture
async def api(service: Service, make_api: ApiMaker) -> Api:
    """The application on empty databases, called with a test key that may do everything."""
    made: Api = await make_api(service)
    return made
