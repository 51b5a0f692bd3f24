"""What Prometheus can ask: requests, latency, bookings accepted and refused, the MongoDB pool.

With several worker processes the figures of all are added up (prometheus_client's multiprocess mode, which
`mediloop-fhir serve` switches on by PROMETHEUS_MULTIPROC_DIR before this module is loaded).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)
from pymongo import monitoring

from adapter.counting import COUNTED, forget_the_dead, own_number

_FOLDER = os.environ.get(COUNTED)
if _FOLDER is not None:  # before there is a figure
    _NUMBER = own_number(Path(_FOLDER))
    values.ValueClass = values.MultiProcessValue(lambda: _NUMBER)  # type: ignore[no-untyped-call]  # untyped upstream

REQUESTS = Counter("mediloop_requests_total", "HTTP requests answered.", ["method", "route", "status"])
LATENCY = Histogram(
    "mediloop_request_seconds",
    "Time from the first byte of a request to the last of its answer.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
BOOKINGS = Counter("mediloop_bookings_total", "Bookings and reschedules by outcome: accepted, or why not.", ["outcome"])
POOL = Gauge(
    "mediloop_mongodb_pool_connections",
    "Connections to MongoDB.",
    ["state"],
    multiprocess_mode="livesum",
)
_OPEN, _IN_USE = POOL.labels("open"), POOL.labels("in_use")
POOL_WAITS = Counter("mediloop_mongodb_pool_failures_total", "Times that no connection could be had.")


@cache
def _children(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Return the two figures of one kind of answer: looking them up by label each time costs more than counting."""
    return REQUESTS.labels(method, route, str(status)), LATENCY.labels(method, route)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    requests, latency = _children(method, route, status)
    requests.inc()
    latency.observe(seconds)


def exposition() -> tuple[bytes, str]:
    """Return the figures of all workers in Prometheus' text format, and its media type."""
    folder = os.environ.get(COUNTED)
    if folder is not None:
        forget_the_dead(Path(folder))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # untyped upstream
        return generate_latest(registry), CONTENT_TYPE_LATEST
    return generate_latest(), CONTENT_TYPE_LATEST


class PoolWatch(monitoring.ConnectionPoolListener):
    """Counts the driver's connections, open and in use."""

    def pool_created(self, event: monitoring.PoolCreatedEvent) -> None:
        """Nothing is open yet."""

    def pool_ready(self, event: monitoring.PoolReadyEvent) -> None:
        """Nothing changes in the figures."""

    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None:
        """Each connection reports its own end."""

    def pool_closed(self, event: monitoring.PoolClosedEvent) -> None:
        """Each connection has reported its own end."""

    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        """One more is open."""
        _OPEN.inc()

    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None:
        """Nothing changes in the figures."""

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        """One less is open."""
        _OPEN.dec()

    def connection_check_out_started(self, event: monitoring.ConnectionCheckOutStartedEvent) -> None:
        """Nothing changes in the figures."""

    def connection_check_out_failed(self, event: monitoring.ConnectionCheckOutFailedEvent) -> None:
        """A request found no connection in time."""
        POOL_WAITS.inc()

    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        """One more is in use."""
        _IN_USE.inc()

    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        """One less is in use."""
        _IN_USE.dec()
