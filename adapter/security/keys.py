"""API keys as they are stored: made, listed, rolled, revoked and found again by their secret.

Why it exists: ``sk_test_`` keys see test data and ``sk_live_`` keys live data, in two databases that never mix
(https://docs.mediloop.co/docs/authentication), so each database holds its own keys and a
`KeyStore` belongs to exactly one of them. What a request's header is worth is decided in
`adapter.security.keyring`.

One document per key in the collection ``keys``:

    {_id: "key_<16 hex digits>", name, mode: "test" | "live", permissions: {resource: [verb]},
     rate_limit: int | null, created: Date, expires: Date | null, hint: "<last 4 characters>",
     hash: BinData(32 bytes), successor?: "<id of the key that replaced it>", revoked?: Date,
     origin?: "<id of the first key, where it is what that was rolled to>"}

A revoked key keeps its document, so that its id in old logs can still be explained and so that `KeyStore.ensure`
does not bring it back at the next start.
"""

from __future__ import annotations

import builtins
import hashlib
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from bson.codec_options import CodecOptions
from pymongo import ASCENDING, ReadPreference, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from adapter.clock import Now
from adapter.errors import Conflict, NotFound, Problem
from adapter.security.permissions import Permissions, everything, from_document, to_document

Mode = Literal["test", "live"]

#: How long a rolled key goes on working (https://docs.mediloop.co/docs/authentication, "Roll Key").
OVERLAP: Final = timedelta(hours=24)

#: Anything that could be a key; group 1 is its mode. 128 characters are plenty and bound the work per request.
SECRET: Final = re.compile(r"sk_(test|live)_[A-Za-z0-9_-]{1,128}")

_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 32  # of 62 characters each: 190 bits
# What a secret chosen by a person must have after its prefix. The fast hash below is safe only for secrets that
# nobody can guess; a sandbox, whose data is made up, may have one that is easy to type.
_SHORTEST: Final[Mapping[str, int]] = {"test": 1, "live": 16}

_MAJORITY: Final = WriteConcern(w="majority", j=True)


@dataclass(frozen=True, slots=True)
class Key:
    """One API key, without its secret, which nobody can read again.

    Attributes:
        id: ``key_`` and 16 hexadecimal digits; what logs and rate limits go by.
        name: what its owner called it.
        mode: the data it sees.
        permissions: resource -> verbs.
        rate_limit: requests a minute; None is the default of the mode, 0 is no limit.
        created: when it was made, UTC.
        expires: when it stops to work, UTC; None is never. Rolling sets it.
        hint: the last 4 characters of the secret, to tell keys apart in a list.
        origin: the id of the first key that was rolled, once or several times, to this one; its own where none was.
            What idempotency records go by: who holds it is who held that.
    """

    id: str
    name: str
    mode: Mode
    permissions: Permissions = field(hash=False)  # a dict has no hash; equal keys are still equal
    rate_limit: int | None
    created: datetime
    expires: datetime | None
    hint: str
    origin: str


def digest(secret: str) -> bytes:
    """Return the 32 bytes under which `secret` is stored and looked up.

    SHA-256, once and unsalted. Slow, salted hashes (bcrypt, Argon2) protect secrets that people think up, which
    can be guessed by trying a dictionary. A key has 190 random bits: no number of tries finds it, at any speed
    of the hash, and no table can hold it. A slow hash would only add its tenths of a second to every request,
    and a salt would rule out finding the key by its hash.
    """
    return hashlib.sha256(secret.encode()).digest()


class KeyStore:
    """The keys of one mode, in one database.

    Every method raises `pymongo.errors.PyMongoError` where MongoDB cannot be reached; nothing is hidden here,
    since a key that cannot be checked must not be believed.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]], mode: Mode, now: Now) -> None:
        self.mode: Final = mode
        self._now = now
        self._client = database.client
        # Reads see the newest state of the primary, whatever the client's own options are: on a lagging
        # secondary a revoked key would live on, and under read concern "majority" the loser of two racing
        # `ensure` might not yet see the key that won.
        self._keys = database.get_collection(
            "keys",
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("local"),
            write_concern=_MAJORITY,
        )

    async def ensure_indexes(self) -> None:
        """Make the unique index on ``hash``: it finds keys and lets only one of two racing processes insert."""
        await self._keys.create_index([("hash", ASCENDING)], name="hash", unique=True)

    async def create(self, name: str, permissions: Permissions, *, rate_limit: int | None = None) -> tuple[Key, str]:
        """Make a key.

        Args:
            name: what to call it; not empty.
            permissions: resource -> verbs.
            rate_limit: requests a minute; None is the default of the mode, 0 is no limit.

        Returns:
            The key and its secret. The secret is stored nowhere: show it now.

        Raises:
            ValueError: an empty name, or a negative limit.
        """
        if not name.strip():
            raise ValueError("A key needs a name: say what it is for.")
        if rate_limit is not None and rate_limit < 0:
            raise ValueError(f"rate_limit is {rate_limit}: use requests per minute, or 0 for no limit.")
        secret = self._generate()
        document = self._document(name.strip(), to_document(permissions), rate_limit, secret)
        await self._keys.insert_one(document)
        return _key(document), secret

    async def ensure(self, secret: str, name: str) -> Key | None:
        """Register this very secret with every permission, unless it is known already.

        For the key that a deployment names in its settings. Any number of processes may do so at once and
        again at every start; a key that is there stays as it is.

        Returns:
            The key, or None if it has been revoked or was rolled and has run out since: the settings must not
            bring back what an administrator took away, nor keep the service from starting. A warning is logged.

        Raises:
            ValueError: a secret of the wrong mode or too short.
        """
        self._require_strong(secret)
        await self.ensure_indexes()
        document = self._document(name, to_document(everything()), None, secret)
        try:
            await self._keys.insert_one(document)
        except DuplicateKeyError:
            key = await self.find(secret)
            if key is None:
                from adapter.logs import logger  # loads what draws tracebacks: not for every command

                logger.warning("configured_key_is_dead", mode=self.mode, remedy="configure another key")
            return key
        return _key(document)

    async def list(self) -> builtins.list[Key]:
        """Return the keys that work at present, the oldest first; rolled ones until they expire."""
        cursor = self._keys.find(self._alive()).sort([("created", ASCENDING), ("_id", ASCENDING)])
        return [_key(document) async for document in cursor]

    async def get(self, id: str) -> Key | None:
        """Return the key with this id if it works at present."""
        document = await self._keys.find_one({"_id": id, **self._alive()})
        return None if document is None else _key(document)

    async def roll(self, id: str) -> tuple[Key, str]:
        """Make a successor with a new secret and the same name, permissions and rate limit.

        The old key works for another 24 hours. Both changes are one transaction: no crash leaves a key that
        runs out without a successor, and of two administrators who roll at once only one succeeds.

        Returns:
            The new key (with an id of its own) and its secret, which is shown only now.

        Raises:
            NotFound: ``api_key_not_found``: no such key, or it is revoked or expired.
            Conflict: ``api_key_already_rolled``: names the successor in ``details["successor"]``.
        """
        secret = self._generate()

        async def replace(session: AsyncClientSession) -> dict[str, Any]:
            old = await self._keys.find_one({"_id": id, **self._alive()}, session=session)
            if old is None:
                raise NotFound(Problem("api_key_not_found", "No key with this id is in use: list the keys to find it."))
            if "successor" in old:
                raise Conflict(
                    Problem(
                        "api_key_already_rolled",
                        f"This key was rolled already: its successor is {old['successor']}; roll that one.",
                        details={"successor": old["successor"]},
                    )
                )
            new = self._document(old["name"], old["permissions"], old["rate_limit"], secret)
            new["origin"] = _key(old).origin
            await self._keys.insert_one(new, session=session)
            await self._keys.update_one(
                {"_id": id},
                {"$set": {"expires": new["created"] + OVERLAP, "successor": new["_id"]}},
                session=session,
            )
            return new

        async with self._client.start_session() as session:
            new = await session.with_transaction(
                replace,
                read_concern=ReadConcern("snapshot"),
                write_concern=_MAJORITY,
                read_preference=ReadPreference.PRIMARY,
            )
        return _key(new), secret

    async def became(self, id: str, other: str) -> bool:
        """Tell whether the key with this id was rolled, once or several times, and is `other` now."""
        found: str | None = id
        while found is not None and found != other:
            document = await self._keys.find_one({"_id": found}, projection=["successor"])
            found = None if document is None else document.get("successor")
        return found is not None

    async def revoke(self, id: str) -> bool:
        """End a key at once (in other processes: within the `ttl` of their `Keyring`).

        Returns:
            Whether there was one to end.
        """
        ended = await self._keys.find_one_and_update(
            {"_id": id, **self._alive()},
            {"$set": {"revoked": self._now()}},
            projection=["_id"],
        )
        return ended is not None

    async def find(self, secret: str) -> Key | None:
        """Return the key with this secret if it works at present: not expired, not revoked."""
        key = await self.lookup(digest(secret))
        return None if key is None or (key.expires is not None and key.expires <= self._now()) else key

    async def lookup(self, hashed: bytes) -> Key | None:
        """Return the key stored under this `digest`, expired or not, unless it is revoked."""
        document = await self._keys.find_one({"hash": hashed, "revoked": None})
        return None if document is None else _key(document)

    def _alive(self) -> dict[str, Any]:
        return {"revoked": None, "$or": [{"expires": None}, {"expires": {"$gt": self._now()}}]}

    def _generate(self) -> str:
        return f"sk_{self.mode}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))

    def _require_strong(self, secret: str) -> None:
        """Make sure that `secret` is one of this mode, and long enough; the ValueError does not repeat it."""
        prefix = f"sk_{self.mode}_"
        if not secret.startswith(prefix):
            raise ValueError(f"A key for {self.mode} data begins with {prefix}; this one does not.")
        if SECRET.fullmatch(secret) is None or len(secret) - len(prefix) < _SHORTEST[self.mode]:
            raise ValueError(f"After {prefix} a key needs {_SHORTEST[self.mode]} to 128 letters, digits, '-' or '_'.")

    def _document(
        self, name: str, permissions: Mapping[str, Any], rate_limit: int | None, secret: str
    ) -> dict[str, Any]:
        return {
            "_id": "key_" + secrets.token_hex(8),
            "name": name,
            "mode": self.mode,
            "permissions": permissions,
            "rate_limit": rate_limit,
            "created": self._now(),
            "expires": None,
            "hint": secret[-4:],
            "hash": digest(secret),
        }


def _key(document: Mapping[str, Any]) -> Key:
    return Key(
        id=document["_id"],
        name=document["name"],
        mode=document["mode"],
        permissions=from_document(document["permissions"]),
        rate_limit=document["rate_limit"],
        created=document["created"],
        expires=document["expires"],
        hint=document["hint"],
        origin=document.get("origin", document["_id"]),
    )
