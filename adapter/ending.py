"""How a process ends that is told to: as by Ctrl-C, whichever signal it is, so that what it has started is stopped too.

It loads next to nothing: the command line needs it before all else.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""The exit code of a command that was told to end."""

_ENDS = {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}  # Windows has no SIGHUP


@contextmanager
def orderly() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind this process as Ctrl-C does, so that what it has started is stopped too.

    What is ignored (SIGHUP under `nohup`) stays so.
    """

    def end(_: int, frame: FrameType | None) -> None:
        # asyncio and uvicorn have their own way to end at Ctrl-C, which loses nothing that can be kept.
        interrupt = signal.getsignal(signal.SIGINT)
        # Ignored in a shell's background jobs, which are to end all the same.
        (interrupt if callable(interrupt) else signal.default_int_handler)(signal.SIGINT, frame)

    before = {one: signal.signal(one, end) for one in _ENDS if signal.getsignal(one) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
