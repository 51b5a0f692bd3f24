"""Keeps the embedded MongoDB running while the service does: it is started again when it, or who owned it, has ended.

Who owned it may have been another command on the same data (`store.embedded`), which takes it along when it ends.
The service's processes connect again by themselves: the address stays.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from adapter.logs import logger
from store.embedded import EmbeddedMongo, EmbeddedMongoError, NoRoomError

LOOK_SECONDS = 0.5
PAUSES = (1.0, 2.0, 5.0, 10.0)
"""Seconds between the tries to start it again; when all have failed, the service ends."""


@contextmanager
def kept(server: EmbeddedMongo | None, end: Callable[[], None], pauses: Sequence[float] = PAUSES) -> Iterator[None]:
    """Watch the server meanwhile; None is somebody else's to keep.

    Args:
        server: the embedded one.
        end: called where it cannot be had any more, from another thread: it is to end what runs here.
        pauses: seconds between the tries.

    Raises:
        EmbeddedMongoError: it could not be started again.
    """
    if server is None:
        yield
        return
    failures: list[Exception] = []
    over = threading.Event()

    def watch() -> None:
        try:
            while not over.wait(LOOK_SECONDS):
                if server.kept():
                    server.tend_log()
                else:
                    _renewed(server, over, pauses)
        except Exception as error:  # noqa: BLE001  (whatever it is, nobody would keep the server from here on)
            failures.append(error)
            end()

    watching = threading.Thread(target=watch, name="keep-mongodb")
    watching.start()
    try:
        yield
    finally:
        over.set()  # before the server is stopped on purpose
        watching.join()
    if failures:
        raise failures[0]


def _renewed(server: EmbeddedMongo, over: threading.Event, pauses: Sequence[float]) -> None:
    begun = time.monotonic()
    full: NoRoomError | None = None
    for pause in (*pauses, None):
        try:
            server.renew()
        except (EmbeddedMongoError, OSError) as error:
            if isinstance(error, NoRoomError):
                full = error
            if pause is None:
                raise full or error from None  # on a full disk mongod cannot say each time why it ends
            logger.error("mongodb_not_restarted", reason=str(error), again_in_seconds=pause)
            if over.wait(pause):
                return
        else:
            seconds = round(time.monotonic() - begun, 1)
            logger.warning("mongodb_restarted", seconds=seconds, started_here=server.owned)
            return
