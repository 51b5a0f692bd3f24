"""Structured logs: one line an event, with the request id, and never a name, a UHID or a key.

Only fields that the code names are logged: routes instead of paths, no query strings, no bodies. As a second
fence every text is searched for what looks like a key or a UHID, since exceptions quote what they choke on.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

_SECRET = re.compile(r"sk_(?:test|live)_[A-Za-z0-9_\-]+|\bUG[0-9]{9}[A-Z]\b", re.IGNORECASE)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Blot out keys and UHIDs in every text of a log line."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _SECRET.sub("[redacted]", value)
    return event


def configure(log_format: str, level: str) -> None:
    """Send the service's and the libraries' log lines to standard error as JSON, or for people."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending: list[structlog.types.Processor] = [structlog.processors.format_exc_info, redact]
    if log_format == "json":
        ending.append(structlog.processors.JSONRenderer())
    else:
        ending.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        # uvicorn's access lines hold whole paths and queries, UHIDs among them: the gate writes our own.
        logging.getLogger(name).propagate = name != "uvicorn.access"


logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
