"""The service's log lines, as it writes them when it runs."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from adapter import logs
from mappings.uhid import PATTERN

# httpx and asyncio speak for the test's own client and loop.
_CHANGED = ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "asyncio")


class Records:
    """What was logged."""

    def __init__(self, sink: io.StringIO) -> None:
        self._sink = sink

    @property
    def text(self) -> str:
        """All of it."""
        return self._sink.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its lines, which must be JSON."""
        return [json.loads(line) for line in self.text.splitlines()]


@contextmanager
def recorded(log_format: str = "json", level: str = "info", uhid_pattern: str = PATTERN) -> Iterator[Records]:
    """Configure logging as the service does, into a text; put everything back afterwards."""
    before = structlog.get_config()
    root, driver = logging.getLogger(), logging.getLogger("pymongo")
    changed = [logging.getLogger(name) for name in _CHANGED]
    kept = root.handlers, root.level, driver.level, [logger.propagate for logger in changed]
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        logs.configure(log_format, level, uhid_pattern)
        structlog.configure(cache_logger_on_first_use=False)  # loggers are to forget this configuration
        for logger in changed[3:]:
            logger.propagate = False
        yield Records(sys.stderr)
    finally:
        sys.stderr = stderr
        structlog.configure(**before)
        root.handlers = kept[0]
        root.setLevel(kept[1])
        driver.setLevel(kept[2])
        for logger, propagate in zip(changed, kept[3], strict=True):
            logger.propagate = propagate
