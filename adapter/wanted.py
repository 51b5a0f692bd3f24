"""Whether a task that goes on and on is still wanted."""

from __future__ import annotations

import asyncio


def require_wanted() -> None:
    """End the present task if it was cancelled, and goes on all the same.

    The driver waits for a server by `asyncio.wait_for`, which before Python 3.12 loses a cancellation that comes in the
    moment in which it has its answer: when MongoDB goes away just as the service is told to stop. A task that ends by
    nothing else would go on for ever, and the service wait for it.

    Raises:
        CancelledError: it is not.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
