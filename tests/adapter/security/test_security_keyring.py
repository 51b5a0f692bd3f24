"""What an Authorization header is worth."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from adapter.clock import now
from adapter.errors import Unauthenticated
from adapter.security import keyring as module
from adapter.security.keyring import Keyring
from adapter.security.keys import KeyStore
from adapter.security.permissions import everything
from store.errors import Unreachable

if TYPE_CHECKING:
    from tests.adapter.security.conftest import Clock, Database


class Stores:
    """A test store and a live one, in two collections of one database, with the queries counted by MongoDB."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.test = KeyStore(database, "test", clock)
        self.live = KeyStore(database, "live", clock)
        self.live._keys = database.get_collection("live_keys", codec_options=self.test._keys.codec_options)

    async def queries(self) -> int:
        """How often the index of the test keys was used, as MongoDB counts it."""
        cursor = await self.test._keys.aggregate([{"$indexStats": {}}])
        return sum([index["accesses"]["ops"] async for index in cursor if index["name"] == "hash"])


@pytest.fixture
async def stores(database: Database, clock: Clock) -> Stores:
    stores = Stores(database, clock)
    await stores.test.ensure_indexes()
    await stores.live.ensure_indexes()
    return stores


@pytest.fixture
def keyring(stores: Stores, clock: Clock) -> Keyring:
    return Keyring(stores.test, stores.live, clock)


async def code(keyring: Keyring, authorization: str | None) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        await keyring.authenticate(authorization)
    assert refusal.value.status == 401
    assert refusal.value.headers["WWW-Authenticate"].startswith("Bearer")
    (problem,) = refusal.value.problems
    assert problem.param == "Authorization"
    word = (authorization or "").strip().rpartition(" ")[2]
    if len(word) > len("sk_test_"):
        assert word not in str(refusal.value)  # never repeats the key
    return problem.code


@pytest.mark.parametrize("header", [None, "", "   "])
async def test_no_header(keyring: Keyring, header: str | None) -> None:
    assert await code(keyring, header) == "api_key_missing"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer  ",
        "Basic c2tfdGVzdF9hYmM6eHl6",
        "sk_test_abcdefghijklmnop",
        "Bearer eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl",
        "Bearer sk_prod_abcdefghijklmnop",
        "Bearer SK_TEST_abcdefghijklmnop",
        "Bearer sk_test_",
        "Bearer sk_test_abcdefgh ijklmnop",
        "Bearer sk_test_abcdefghijklmnö",
        "Bearer sk_test_abcdefghijklmnop\n",
        "Bearer sk_test_" + "a" * 129,
    ],
)
async def test_a_header_that_holds_no_key(keyring: Keyring, header: str) -> None:
    assert await code(keyring, header) == "api_key_malformed"


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", "  Bearer \t  {}  "])
async def test_a_valid_key_in_every_spelling(stores: Stores, keyring: Keyring, form: str) -> None:
    key, secret = await stores.test.create("a", everything())
    assert await keyring.authenticate(form.format(secret)) == key


async def test_the_prefix_alone_chooses_the_store(stores: Stores, keyring: Keyring) -> None:
    test, test_secret = await stores.test.create("a", {})
    live, live_secret = await stores.live.create("a", {})
    assert await keyring.authenticate(f"Bearer {test_secret}") == test
    assert await keyring.authenticate(f"Bearer {live_secret}") == live
    for wrong in (
        test_secret.replace("sk_test_", "sk_live_"),
        live_secret.replace("sk_live_", "sk_test_"),
    ):
        assert await code(keyring, f"Bearer {wrong}") == "api_key_invalid"


async def test_swapped_stores_are_refused(stores: Stores, clock: Clock) -> None:
    with pytest.raises(ValueError, match="swapped"):
        Keyring(stores.live, stores.test, clock)


async def test_an_unknown_key_is_asked_for_each_time(stores: Stores, keyring: Keyring) -> None:
    secret = "sk_test_" + "a" * 32
    assert await code(keyring, f"Bearer {secret}") == "api_key_invalid"
    key = await stores.test.ensure(secret, "a")
    assert await keyring.authenticate(f"Bearer {secret}") == key  # at once: a refusal is not remembered


async def test_a_known_key_costs_one_query_per_ttl(stores: Stores, keyring: Keyring, clock: Clock) -> None:
    _, secret = await stores.test.create("a", {})
    for _ in range(50):
        await keyring.authenticate(f"Bearer {secret}")
    assert await stores.queries() == 1
    clock.move(seconds=2)
    await keyring.authenticate(f"Bearer {secret}")
    assert await stores.queries() == 2
    clock.move(hours=-1)  # a clock that is set back does not prolong the belief
    await keyring.authenticate(f"Bearer {secret}")
    assert await stores.queries() == 3


async def test_no_ttl_means_a_query_each_time(stores: Stores, clock: Clock) -> None:
    _, secret = await stores.test.create("a", {})
    keyring = Keyring(stores.test, stores.live, clock, ttl=0)
    for _ in range(3):
        await keyring.authenticate(f"Bearer {secret}")
    assert await stores.queries() == 3


async def test_a_revoked_key_is_refused_within_the_ttl(stores: Stores, keyring: Keyring, clock: Clock) -> None:
    key, secret = await stores.test.create("a", {})
    await keyring.authenticate(f"Bearer {secret}")
    await stores.test.revoke(key.id)
    clock.move(seconds=1.999)
    await keyring.authenticate(f"Bearer {secret}")
    clock.move(milliseconds=1)
    assert await code(keyring, f"Bearer {secret}") == "api_key_invalid"
    assert keyring._cache == {}


async def test_a_rolled_key_expires_to_the_moment_though_it_is_cached(
    stores: Stores, keyring: Keyring, clock: Clock
) -> None:
    key, secret = await stores.test.create("a", {})
    successor, new_secret = await stores.test.roll(key.id)
    clock.move(hours=24, seconds=-1)
    assert (await keyring.authenticate(f"Bearer {secret}")).id == key.id
    before = await stores.queries()
    clock.move(milliseconds=999)
    await keyring.authenticate(f"Bearer {secret}")
    clock.move(milliseconds=1)
    assert await code(keyring, f"Bearer {secret}") == "api_key_expired"  # from the cache
    assert await stores.queries() == before
    clock.move(seconds=5)
    assert await code(keyring, f"Bearer {secret}") == "api_key_expired"  # from the store
    assert await keyring.authenticate(f"Bearer {new_secret}") == successor


async def test_the_cache_is_bounded_and_drops_the_oldest(
    stores: Stores, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAPACITY", 3)
    headers = [f"Bearer {(await stores.test.create(str(n), {}))[1]}" for n in range(5)]
    keys = [await keyring.authenticate(header) for header in headers]
    assert [key.id for key, _ in keyring._cache.values()] == [key.id for key in keys[2:]]
    before = await stores.queries()
    await keyring.authenticate(headers[4])
    assert await stores.queries() == before
    await keyring.authenticate(headers[0])
    assert await stores.queries() == before + 1
    assert len(keyring._cache) == 3


async def test_the_cache_holds_hashes_only(stores: Stores, keyring: Keyring) -> None:
    _, secret = await stores.test.create("a", {})
    await keyring.authenticate(f"Bearer {secret}")
    assert secret not in str(keyring._cache)


async def test_many_at_once_get_the_same_answer(stores: Stores, keyring: Keyring) -> None:
    key, secret = await stores.test.create("a", {})
    answers = await asyncio.gather(*(keyring.authenticate(f"Bearer {secret}") for _ in range(20)))
    assert answers == [key] * 20
    assert len(keyring._cache) == 1


async def test_no_answer_from_mongodb_is_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    nobody = quote(str(tmp_path / "m.sock"), safe="")
    async with AsyncMongoClient[dict[str, Any]](f"mongodb://{nobody}/") as client:
        keyring = Keyring(KeyStore(client["a"], "test", now), KeyStore(client["b"], "live", now), now)
        with pytest.raises(Unreachable):
            await keyring.authenticate("Bearer sk_test_" + "a" * 32)


async def test_a_fault_is_not_taken_for_an_outage(database: Database, clock: Clock) -> None:
    # A view that divides by zero stands for a collection that MongoDB can reach but not read.
    await database["numbers"].insert_one({"n": 0})
    await database.create_collection("keys", viewOn="numbers", pipeline=[{"$group": {"_id": {"$divide": [1, "$n"]}}}])
    keyring = Keyring(KeyStore(database, "test", clock), KeyStore(database, "live", clock), clock)
    with pytest.raises(OperationFailure):
        await keyring.authenticate("Bearer sk_test_" + "a" * 32)
