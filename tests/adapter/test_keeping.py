"""The embedded MongoDB cannot be started again: what is said of it at the end."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from adapter.keeping import kept
from store.embedded import EmbeddedMongo, EmbeddedMongoError, NoRoomError
from tests.adapter.records import recorded


class Gone:
    """A server that has ended, with what its starts fail of."""

    def __init__(self, *failures: EmbeddedMongoError) -> None:
        self.failures = list(failures)

    def kept(self) -> bool:
        return False

    def renew(self) -> None:
        raise self.failures.pop(0)


def test_that_there_was_no_room_is_the_reason_whatever_the_last_try_says() -> None:
    """On a full disk mongod cannot even write down, every time, why it ends."""
    server = Gone(NoRoomError("There is no room"), EmbeddedMongoError("It stopped (exit code 14)"))
    ended = threading.Event()
    with recorded(), pytest.raises(NoRoomError), kept(cast("EmbeddedMongo", server), ended.set, [0.01]):
        assert ended.wait(10)
    assert not server.failures


def test_the_log_of_a_server_that_runs_is_tended() -> None:
    tended = threading.Event()

    class Running(Gone):
        def kept(self) -> bool:
            return True

        def tend_log(self) -> None:
            tended.set()

    with kept(cast("EmbeddedMongo", Running()), tended.clear):
        assert tended.wait(10)
