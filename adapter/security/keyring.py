"""What an ``Authorization`` header is worth: the key it names, or a 401 that says what to do.

Why it exists: the key is asked for on every request, and a read must not cost a second query for it. So keys
that were found are remembered in the process for `ttl` seconds; that is also the longest time that a revoked
key lives on. Nothing else is remembered: an unknown key costs one indexed query each time, and a key that has
just been made works at once.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import pymongo
from pymongo.errors import ConnectionFailure, PyMongoError

from adapter.clock import Now
from adapter.errors import Problem, Unauthenticated
from adapter.security.keys import SECRET, Key, KeyStore, digest
from store.connection import passes
from store.errors import Unreachable

#: Entries in the cache of one process; about 1 kB each.
CAPACITY: Final = 1024

#: Seconds that a look-up may take.
PATIENCE: Final = 5.0

# RFC 9110 section 11.1: the scheme is case-insensitive and followed by blanks.
_HEADER: Final = re.compile(rf"[ \t]*[Bb][Ee][Aa][Rr][Ee][Rr][ \t]+({SECRET.pattern})[ \t]*")
_ZERO: Final = timedelta(0)


class Keyring:
    """Both key stores behind one question."""

    def __init__(self, test: KeyStore, live: KeyStore, now: Now, ttl: float = 2.0) -> None:
        """Join two stores.

        Args:
            test: the store in the database of the test data.
            live: the store in the database of the live data.
            now: the clock.
            ttl: seconds for which a key that was found is believed without asking again; 0 is not at all.

        Raises:
            ValueError: the stores are swapped.
        """
        if (test.mode, live.mode) != ("test", "live"):
            raise ValueError("The test keys and the live keys are swapped: give the test store first.")
        self._stores: Final = {"test": test, "live": live}
        self._now = now
        self._ttl = timedelta(seconds=ttl)
        # hash -> (key, when it was found). The order of insertion is the order of age, so the first entry is
        # always the one to drop.
        self._cache: dict[bytes, tuple[Key, datetime]] = {}

    async def authenticate(self, authorization: str | None) -> Key:
        """Return the key that a request carries.

        The prefix of the key alone decides which database is asked, so that no test key can ever name a live
        one.

        Args:
            authorization: the value of the ``Authorization`` header, None where there is none.

        Raises:
            Unauthenticated: 401 with one of the codes ``api_key_missing``, ``api_key_malformed``,
                ``api_key_invalid`` (unknown or revoked), ``api_key_expired``. No message repeats the key.
            Unreachable: the key is not in the cache and MongoDB does not answer within `PATIENCE` seconds. A key
                that cannot be checked is not believed.
        """
        if authorization is None or not authorization.strip():
            raise _refusal("api_key_missing", "No API key was sent: add the header 'Authorization: Bearer sk_...'.")
        match = _HEADER.fullmatch(authorization)
        if match is None:
            raise _refusal(
                "api_key_malformed",
                "The Authorization header does not hold an API key: "
                "write 'Bearer', a blank and a key that begins with sk_test_ or sk_live_.",
            )
        secret, mode = match.groups()
        hashed = digest(secret)
        moment = self._now()
        cached = self._cache.get(hashed)
        # The lower bound matters when the clock is set back: an entry must not stay fresh until it catches up.
        if cached is not None and _ZERO <= moment - cached[1] < self._ttl:
            key = cached[0]
        else:
            key = await self._ask(mode, hashed, moment)
        if key.expires is not None and key.expires <= moment:
            raise _refusal("api_key_expired", "This API key has expired: use the one that replaced it.", "expired")
        return key

    async def _ask(self, mode: str, hashed: bytes, moment: datetime) -> Key:
        """Look the key up in its store and remember it; `moment` is from before the query, to be on the safe side."""
        try:
            with pymongo.timeout(PATIENCE):  # not `bounded`, as in `adapter.operations`
                key = await self._stores[mode].lookup(hashed)
        except PyMongoError as error:
            if error.timeout or isinstance(error, ConnectionFailure) or passes(error):
                raise Unreachable("MongoDB did not answer in time") from error
            raise
        self._cache.pop(hashed, None)  # to go to the end, or to go
        if key is None:
            raise _refusal(
                "api_key_invalid",
                f"This API key is not valid for {mode} data: check that it is complete and was not revoked.",
            )
        while len(self._cache) >= CAPACITY:
            del self._cache[next(iter(self._cache))]
        self._cache[hashed] = (key, moment)
        return key


def _refusal(code: str, message: str, issue: str | None = None) -> Unauthenticated:
    return Unauthenticated(Problem(code=code, message=message, param="Authorization", issue=issue))
