"""Structured logs: one line an event, with the request id, and never a name, a UHID or a key.

Only fields that the code names are logged: routes instead of paths, no query strings, no bodies. Exceptions quote
what they choke on, a patient's name as well as anything: they are told by kind and place, and only our own, which
name nobody, with their text. As a second fence every text is searched for what looks like a key or a UHID, be it
MediLoop's or one of the deployment's own shape.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Set
from typing import Any

import orjson
import structlog
from pymongo.errors import OperationFailure

from adapter.errors import Refused
from mappings.uhid import PATTERN, anywhere
from store.errors import StoreError

# Without word boundaries: in a JSON line the letter of an escape (\\n) may stand before it.
_SECRET = re.compile(r"sk_(?:test|live)_[A-Za-z0-9_\-]+|UG[0-9]{9}[A-Z]", re.IGNORECASE)
_BLOT = "[redacted]"
_ALWAYS = frozenset({"timestamp", "level"})
"""Members that are the same whoever is meant: of a pattern that fits any number nothing would be left of a time."""
_OURS = _ALWAYS | {"event", "method", "route"}
"""And those that are words of the code in its own lines, by which alerts know them; a library's event is any text."""


def redact(text: str) -> str:
    """Blot out keys and UHIDs in a log line."""
    return _SECRET.sub(_BLOT, text)


def _story(exc_info: structlog.typing.ExcInfo) -> str:
    """Tell an exception and what led to it, the latest first, without the texts of others' exceptions."""
    parts: list[str] = []
    told: set[int] = set()
    error: BaseException | None = exc_info[1]
    while error is not None and id(error) not in told:  # one may have led to itself: `raise error from error`
        told.add(id(error))
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        if isinstance(error, Refused | StoreError):
            kind += f": {error}"
        elif isinstance(error, OperationFailure):
            kind += f" (MongoDB error {error.code})"
        parts.append("".join(traceback.format_tb(error.__traceback__)) + kind)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nafter:\n".join(parts)


def configure(log_format: str, level: str, uhid_pattern: str = PATTERN) -> None:
    """Send the service's and the libraries' log lines to standard error as JSON, or for people.

    Args:
        log_format: ``json``, or anything else for people.
        level: the lowest that is logged.
        uhid_pattern: the shape of UHIDs (`mappings.uhid`).
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: structlog.types.Processor = structlog.processors.JSONRenderer(_as_json)
    if log_format != "json":
        render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())

    uhids = re.compile(anywhere(uhid_pattern).pattern, re.IGNORECASE)

    def unnamed(kept: Set[str]) -> structlog.types.Processor:
        def search(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
            for name, value in event.items():  # before they are JSON, of which a pattern may fit what is no text
                if name not in kept:
                    event[name] = _without(uhids, value)
            return event

        return search

    def written(logger_: Any, method: str, event: MutableMapping[str, Any]) -> str:
        return redact(str(render(logger_, method, event)))  # the whole line at once, whatever is in it

    telling = structlog.processors.ExceptionRenderer(_story)
    structlog.configure(
        processors=[*shared, telling, unnamed(_OURS), written],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, telling, unnamed(_ALWAYS), written],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # At the level of debug the driver logs whole commands, and so whole documents.
    logging.getLogger("pymongo").setLevel(max(logging.INFO, root.level))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        # uvicorn's access lines hold whole paths and queries, UHIDs among them: the gate writes our own.
        logging.getLogger(name).propagate = name != "uvicorn.access"


def _without(uhids: re.Pattern[str], value: Any) -> Any:
    """Return what is logged without what looks like a UHID; a number is none: those that we log are figures."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {_without(uhids, str(name)): _without(uhids, each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without(uhids, each) for each in value]
    return uhids.sub(lambda found: found[0] and _BLOT, str(value))


def _as_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
