"""Starts the service and ends it well: MongoDB, indexes, demo clinic, workers, and all of it stopped again."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from adapter import demo, logs
from adapter.console.session import err, mongodb, opened
from adapter.counting import COUNTED, together
from adapter.export.files import require_usable
from adapter.handing import hand_over
from adapter.keeping import kept
from adapter.logs import logger
from adapter.protocol import Protocol
from adapter.service import Service
from adapter.settings import Settings
from adapter.variables import KEY_VARIABLE
from store import revision
from store.openfiles import take_all

_REMEDIES = {
    errno.EADDRINUSE: "end what uses it, or set ADAPTER_PORT (--port)",
    errno.EACCES: "set ADAPTER_PORT (--port) to one that is not reserved, from 1024",
}
"""What to do about an address that cannot be listened on; anything else is about the host."""

GRACE_SECONDS = 30
"""How long running requests may take to end once the service is told to stop."""

START_SECONDS = 20
"""For which a worker that replaces another may take to serve, and one may not answer before it counts as hung. To load
takes two seconds, and several times that on a busy machine."""

STARTS_IN_VAIN = 6
"""So many workers end one after the other without having served before the service ends: some ten seconds."""

IDLE_SECONDS = 75
"""For which a connection without a request is kept: longer than proxies and clients keep theirs (5 to 60 s), or one of
them would send a request on a connection that is just being closed, and not know whether it was done."""


def serve(settings: Settings) -> None:
    """Run the service until it is told to stop (Ctrl-C, SIGTERM, SIGHUP); what runs then is finished first.

    Raises:
        SettingsError: nothing opens the address of exports, or no file can be made in their folder.
        EmbeddedMongoError, Unfit, Unreachable: MongoDB cannot be started, or not again, or is not fit, or not
            there.
        OSError: the address is in use, or none of this machine's; or the workers do not start.
    """
    require_usable(settings)
    logs.configure(settings.log_format, settings.log_level, settings.uhid_pattern)
    # Ctrl-C, SIGTERM and SIGHUP are how it is told to stop: no failure.
    with suppress(KeyboardInterrupt), mongodb(settings) as (uri, server), _shared_metrics(settings):
        key = asyncio.run(_prepare(settings, uri))
        os.environ.update(hand_over(settings, uri))
        take_all()
        listening = _listen(settings)
        _announce(settings, listening, key)
        run, end = _runner(_config(settings), listening)
        with kept(server, end):
            run()


def _config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        "adapter.app:worker",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http=Protocol,
        ws="none",  # an offer of it is passed over
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,  # the gate has one of the clock that stamps what is written
        # uvicorn takes a * that is not alone for a name.
        forwarded_allow_ips="*" if "*" in settings.trusted_proxies else list(settings.trusted_proxies),
        timeout_keep_alive=IDLE_SECONDS,
        timeout_worker_healthcheck=START_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class _Workers(Multiprocess):
    """Several workers. Only they take connections, so the socket is theirs to close once they are told to stop.

    Attributes:
        in_vain: how many have ended since the last one that served, without having served themselves.
    """

    def __init__(self, config: uvicorn.Config, listening: socket.socket) -> None:
        super().__init__(config, [listening])
        self.in_vain = 0
        self._served: set[int | None] = set()

    def run(self) -> None:
        """Run until told to stop (uvicorn's hook).

        Raises:
            ChildProcessError: none of them starts; the port would stay open for nobody.
        """
        super().run()
        if self.in_vain >= STARTS_IN_VAIN:
            raise ChildProcessError("the service processes do not start; the log above says why")

    def keep_subprocess_alive(self) -> None:
        """Start another one for each that has ended (uvicorn's hook), and give up where that is in vain."""
        if self.should_exit.is_set():
            return
        before = list(self.processes)
        for one in before:  # the worker has its own end: when that is gone, nobody waits for what it would answer
            one.child_conn.close()
        super().keep_subprocess_alive()
        if self.signal_queue:  # Ctrl-C ends the workers as well, and sooner
            return
        for one in before:
            if one.exitcode is not None:
                logger.error("worker_ended", pid=one.pid, exit_code=one.exitcode)
                self.in_vain += one.pid not in self._served
                if one.exitcode == STARTUP_FAILURE:  # uvicorn takes it for final
                    self.in_vain = STARTS_IN_VAIN
            elif one.pid not in self._served and one.is_ready(timeout=1):
                self._served.add(one.pid)
                self.in_vain = 0
        if self.in_vain >= STARTS_IN_VAIN:
            self.should_exit.set()

    def terminate_all(self) -> None:
        """Tell all to stop (uvicorn's hook)."""
        for one in self.sockets:  # else connections would still be made, and wait for nobody
            one.close()
        super().terminate_all()


def _runner(config: uvicorn.Config, listening: socket.socket) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return what runs the service, and what ends it in order, from any thread."""
    if config.workers > 1:
        several = _Workers(config, listening)
        return several.run, several.should_exit.set
    one = uvicorn.Server(config)
    return lambda: one.run(sockets=[listening]), lambda: setattr(one, "should_exit", True)


async def _prepare(settings: Settings, uri: str) -> str | None:
    async with opened(settings, uri) as parts:
        await _tell_what_is_due(parts)
        if settings.loads_demo:
            await demo.load_if_wanted(parts)
        return await _working_key(parts)


async def _tell_what_is_due(parts: Service) -> None:
    """Say once where what is stored is filed by other rules than this service writes by."""
    stores = parts.stores.values()
    due = [store.database.name for store in stores if await revision.is_due(store.database, store.rules)]
    if due:
        remedy = "stop the service everywhere, run `mediloop-fhir reindex`, and start it again"
        logger.warning("reindex_due", databases=due, until_then="somebody may be booked twice", remedy=remedy)
    for store in stores:
        await revision.begin(store.database, store.rules)


async def _working_key(parts: Service) -> str | None:
    """Return the key that is configured, or else the demo clinic's; None where there is none, or it works no longer."""
    configured = parts.settings.bootstrap_key
    if configured is None:
        return await demo.key(parts)
    secret = configured.get_secret_value()
    found = await parts.keys["live" if secret.startswith("sk_live_") else "test"].find(secret)
    return None if found is None else secret


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        where = f"{settings.host}:{settings.port}"
        remedy = _REMEDIES.get(
            error.errno or 0, "set ADAPTER_HOST (--host) to an address of this machine, or 0.0.0.0 for all"
        )
        raise OSError(f"cannot listen on {where} ({error.strerror}): {remedy}") from error
    # Listening before it is announced: who reads the address can connect at once.
    listening.listen(2048)
    return listening


def _announce(settings: Settings, listening: socket.socket, key: str | None) -> None:
    host, port = listening.getsockname()[:2]
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    lines = [
        f"MediLoop API   {base}/api/v1/appointments/",
        f"FHIR R4        {base}/fhir/R4",
        f"Documentation  {base}/docs",
    ]
    shown = key
    if key is None:
        dead = f"the one in {KEY_VARIABLE} works no longer; " if settings.bootstrap_key is not None else ""
        lines.append(f"Key            {dead}make one: mediloop-fhir keys create --mode test --name first")
    elif settings.bootstrap_key is not None:
        lines.append(f"Key            the one in {KEY_VARIABLE}")
        shown = f"${KEY_VARIABLE}" if KEY_VARIABLE in os.environ else "the key in .env"
    else:
        lines.append(f"Test key       {key}")
    if shown is not None:
        lines.append(f'\nTry it:\n  curl {base}/api/v1/appointments/ -H "Authorization: Bearer {shown}"')
    err.print("\n" + "\n".join(lines) + "\n", markup=False, highlight=False)


@contextmanager
def _shared_metrics(settings: Settings) -> Iterator[None]:
    """Where there are several workers, have them count in one place."""
    if settings.workers == 1 or COUNTED in os.environ:
        yield
        return
    with together() as folder:
        os.environ[COUNTED] = str(folder)
        try:
            yield
        finally:
            del os.environ[COUNTED]
