"""How often a key may call: so many requests a minute, and the three headers that say so on every answer.

Why it exists: https://docs.mediloop.co/docs/rate-limits documents ``X-RateLimit-Limit`` (a minute),
``X-RateLimit-Remaining`` and ``X-RateLimit-Reset`` (Unix seconds) on every response, and 429 with
``retry_after``; its samples read ``Retry-After``. The page does not name the window: here it is a fixed one of
a minute that starts with the first request.

Requests without a valid key count per client address, with the limit of test keys: who guesses soon gets 429
instead of 401. The look-up itself still happens, since a valid key from the same address (a hospital behind one
address) must go on working; what makes guessing hopeless is the length of the keys.

**A counter that fails lets the request through.** A limit protects the service from overload; it decides about
no data, and a service that is down because it cannot count is worse off than one that does not count for a
while. The failure is logged, once a minute, and counting is tried again after five seconds.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from adapter.clock import Now
from adapter.errors import Problem, RateLimited
from adapter.security.counters import Hits
from adapter.security.keys import Key, Mode
from adapter.settings import MOST_A_MINUTE

#: What the headers say where there is no limit: clients read an integer, and this fits every one's.
UNLIMITED: Final = MOST_A_MINUTE

_MINUTE: Final = 60
_WINDOW: Final = timedelta(seconds=_MINUTE)
_ZERO: Final = timedelta(0)
_REMEMBERED: Final = 1024
# After a failure nothing is counted for so long: each failure may take `PATIENCE`, which callers should not all
# wait for in turn.
_PAUSE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class RateState:
    """Where a caller stands after this request.

    Attributes:
        limit: requests a minute.
        remaining: requests left in this window; never negative.
        reset: when the next window starts, Unix seconds, rounded up.
        allowed: False where this request is one too many.
        retry_after: seconds until then, at least 1.
    """

    limit: int
    remaining: int
    reset: int
    allowed: bool
    retry_after: int = 1

    def headers(self) -> dict[str, str]:
        """Return the three documented headers, for every answer, a refusal included."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }

    def refusal(self) -> RateLimited:
        """Return the 429 to raise where the request is not `allowed`.

        Code ``rate_limit_exceeded``, ``details["retry_after"]`` in seconds and ``Retry-After`` with the same.
        """
        return RateLimited(
            Problem(
                code="rate_limit_exceeded",
                message=(f"More than {self.limit} requests within a minute: try again in {self.retry_after} s."),
                details={"retry_after": self.retry_after},
            ),
            headers={"Retry-After": str(self.retry_after)},
        )


class RateLimiter:
    """Counts requests per key, or per client address where there is no valid key."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]], default_test: int, default_live: int, now: Now) -> None:
        """Set the limits that hold for keys without one of their own.

        Args:
            database: where the counters of both modes are (key ids are unique across them).
            default_test: requests a minute for test keys and for clients without a key; 0 is no limit.
            default_live: requests a minute for live keys; 0 is no limit.
            now: the clock.

        Raises:
            ValueError: a negative limit.
        """
        if min(default_test, default_live) < 0:
            raise ValueError("A rate limit is a number of requests per minute, or 0 for none.")
        self._hits = Hits(database, now)
        self._now = now
        self._defaults: Final[Mapping[Mode, int]] = {"test": default_test, "live": default_live}
        # Counters that are used up -> the end of their window. Nothing can make them free before, so a caller
        # who hammers on after a 429 costs this process a look here and MongoDB nothing.
        self._used_up: dict[str, datetime] = {}
        self._failed: datetime | None = None  # the latest failure
        self._reported: datetime | None = None  # the latest one that was logged

    async def ensure_indexes(self) -> None:
        """Make the index by which MongoDB removes ended windows."""
        await self._hits.ensure_indexes()

    async def check(self, key: Key | None, client: str) -> RateState:
        """Count one request.

        Args:
            key: the valid key it came with, or None.
            client: the address it came from; looked at (and stored, hashed) only where there is no key.
        """
        if key is None:
            limit, who = self._defaults["test"], ("client", _anonymous(client))
        else:
            limit, who = self._defaults[key.mode] if key.rate_limit is None else key.rate_limit, ("key", key.id)
        if limit == 0:
            return self._uncounted(UNLIMITED)
        counter = "/".join((*who, str(limit)))
        end = self._used_up.get(counter)
        # The upper bound is for a clock that was set back, as in `Hits`.
        if end is not None and _ZERO < end - self._now() <= 2 * _WINDOW:
            return self._state(limit, limit + 1, end)
        if self._within(_PAUSE, self._failed):
            return self._uncounted(limit)
        try:
            count, end = await self._hits.hit(counter, _WINDOW)
        except PyMongoError as error:
            self._report(error)
            return self._uncounted(limit)
        if count >= limit:
            self._remember(counter, end)
        return self._state(limit, count, end)

    def _state(self, limit: int, count: int, end: datetime) -> RateState:
        wait = math.ceil((end - self._now()).total_seconds())
        return RateState(
            limit=limit,
            remaining=max(0, limit - count),
            reset=math.ceil(end.timestamp()),
            allowed=count <= limit,
            retry_after=max(1, wait),
        )

    def _uncounted(self, limit: int) -> RateState:
        """Let a request through without a counter; the window shown is the present minute of the clock."""
        seconds = int(self._now().timestamp())
        reset = seconds - seconds % _MINUTE + _MINUTE
        return RateState(limit=limit, remaining=limit, reset=reset, allowed=True, retry_after=reset - seconds)

    def _remember(self, counter: str, end: datetime) -> None:
        self._used_up.pop(counter, None)
        while len(self._used_up) >= _REMEMBERED:
            del self._used_up[next(iter(self._used_up))]
        self._used_up[counter] = end

    def _within(self, span: timedelta, since: datetime | None) -> bool:
        return since is not None and _ZERO <= self._now() - since < span

    def _report(self, error: PyMongoError) -> None:
        """Log that counting fails, once a minute: each request of a busy service would otherwise say it."""
        self._failed = self._now()
        if self._within(_WINDOW, self._reported):
            return
        self._reported = self._failed
        from adapter.logs import logger  # loads what draws tracebacks: not for commands that limit nobody

        # Only the kind of error: its text can quote the counter.
        logger.warning("rate_limit_not_counted", error=type(error).__name__, effect="requests pass uncounted")


def _anonymous(client: str) -> str:
    """Return what stands for a client address in the database: 32 hexadecimal digits.

    A hash keeps addresses from being read in dumps and logs by accident. It is no secret from somebody who
    tries all IPv4 addresses, which is why the documents live for a minute or two only. An IPv6 subscriber owns
    at least a /64 and could come from 2**64 addresses in turn, so the whole network is one client.
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        network = client  # a unix socket, or a test client
    else:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
            network = str(ipaddress.ip_network((int(address), 64), strict=False).network_address)
        else:
            network = str(getattr(address, "ipv4_mapped", None) or address)
    return hashlib.sha256(network.encode()).hexdigest()[:32]
