"""Keys as they are stored."""

from __future__ import annotations

import asyncio
import hashlib
import re
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import bson
import pytest
from structlog.testing import capture_logs

from adapter.errors import Conflict, NotFound
from adapter.security.keys import Key, KeyStore
from adapter.security.permissions import everything, parse

if TYPE_CHECKING:
    from tests.adapter.security.conftest import Clock, Database

SECRET = "sk_test_0123456789abcdef"


@pytest.fixture
async def store(database: Database, clock: Clock) -> KeyStore:
    store = KeyStore(database, "test", clock)
    await store.ensure_indexes()
    return store


async def raw(database: Database) -> list[dict[str, Any]]:
    return [document async for document in database["keys"].find()]


async def test_create_returns_the_secret_once_and_stores_only_its_hash(
    store: KeyStore, database: Database, clock: Clock
) -> None:
    key, secret = await store.create(" front desk ", parse(["slots:read,write"]), rate_limit=7)
    assert re.fullmatch(r"sk_test_[A-Za-z0-9]{32}", secret)
    assert re.fullmatch(r"key_[0-9a-f]{16}", key.id)
    assert key == Key(
        id=key.id,
        name="front desk",
        mode="test",
        permissions=parse(["slots:read,write"]),
        rate_limit=7,
        created=clock.moment,
        expires=None,
        hint=secret[-4:],
        origin=key.id,
    )
    assert {key: 1}[key] == 1  # keys can be members of sets, though their permissions have no hash
    (document,) = await raw(database)
    assert document["hash"] == hashlib.sha256(secret.encode()).digest()
    everything_stored = bson.encode(document)
    assert secret.encode() not in everything_stored
    assert secret.removeprefix("sk_test_")[:28].encode() not in everything_stored


async def test_two_secrets_differ(store: KeyStore) -> None:
    assert (await store.create("a", {}))[1] != (await store.create("a", {}))[1]


async def test_stored_keys_come_back_as_they_were_made(store: KeyStore, clock: Clock) -> None:
    first, secret = await store.create("first", everything(), rate_limit=0)
    clock.move(seconds=1)
    second, _ = await store.create("second", {})
    assert await store.list() == [first, second]
    assert await store.get(first.id) == first
    assert await store.find(secret) == first
    assert first.created.tzinfo == UTC
    assert await store.get("key_0") is None
    assert await store.find(SECRET) is None


async def test_a_live_store_makes_live_keys(database: Database, clock: Clock) -> None:
    key, secret = await KeyStore(database, "live", clock).create("a", {})
    assert secret.startswith("sk_live_")
    assert key.mode == "live"


@pytest.mark.parametrize("name", ["", "  "])
async def test_a_key_needs_a_name(store: KeyStore, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        await store.create(name, {})


async def test_a_negative_limit_is_refused(store: KeyStore) -> None:
    with pytest.raises(ValueError, match="rate_limit is -1"):
        await store.create("a", {}, rate_limit=-1)


@pytest.mark.parametrize(
    ("mode", "secret"),
    [
        ("test", "sk_live_" + "a" * 32),
        ("live", "sk_test_" + "a" * 32),
        ("test", "a" * 40),
        ("test", "sk_test_a b"),
        ("live", "sk_live_" + "a" * 15),
        ("test", "sk_test_" + "a" * 129),
        ("test", "sk_test_" + "ä" * 32),
        ("test", "sk_test_aaaaaaaaaaaaaaaa\n"),
    ],
)
async def test_a_secret_of_the_wrong_kind_is_refused_and_not_repeated(
    database: Database, clock: Clock, mode: Any, secret: str
) -> None:
    store = KeyStore(database, mode, clock)
    with pytest.raises(ValueError, match=f"sk_{mode}_") as refusal:
        await store.ensure(secret, "a")
    assert secret[8:] not in str(refusal.value)
    assert await raw(database) == []


async def test_ensure_registers_once_with_every_permission(store: KeyStore, database: Database, clock: Clock) -> None:
    first = await store.ensure(SECRET, "bootstrap")
    assert first is not None
    assert first.permissions == everything()
    assert first.rate_limit is None
    clock.move(hours=1)
    assert await store.ensure(SECRET, "bootstrap") == first
    assert len(await raw(database)) == 1


async def test_ensure_from_twenty_processes_at_once_makes_one_key(database: Database, clock: Clock) -> None:
    # No index beforehand: a first start has none either.
    stores = [KeyStore(database, "test", clock) for _ in range(20)]
    keys = await asyncio.gather(*(store.ensure(SECRET, "bootstrap") for store in stores))
    assert len({key.id for key in keys if key is not None}) == 1
    assert None not in keys
    assert len(await raw(database)) == 1


async def test_ensure_does_not_bring_back_a_revoked_key(store: KeyStore, database: Database) -> None:
    key = await store.ensure(SECRET, "bootstrap")
    assert key is not None
    await store.revoke(key.id)
    with capture_logs() as logs:
        assert await store.ensure(SECRET, "bootstrap") is None
    assert [line["event"] for line in logs] == ["configured_key_is_dead"]
    assert SECRET not in str(logs)
    assert await store.find(SECRET) is None


async def test_roll_leaves_the_old_key_valid_for_a_day(store: KeyStore, clock: Clock) -> None:
    old, old_secret = await store.create("a", parse(["slots:read"]), rate_limit=5)
    clock.move(days=3)
    new, new_secret = await store.roll(old.id)
    assert (new.name, new.permissions, new.rate_limit) == (old.name, old.permissions, old.rate_limit)
    assert new.id != old.id
    assert new.created == clock.moment
    assert new.expires is None
    assert new_secret != old_secret
    fading = await store.get(old.id)
    assert fading is not None
    assert fading.expires == clock.moment + timedelta(hours=24)
    assert await store.list() == [fading, new]

    clock.move(hours=23, minutes=59, seconds=59.999)
    assert await store.find(old_secret) == fading
    clock.move(milliseconds=1)
    assert await store.find(old_secret) is None
    assert await store.get(old.id) is None
    assert await store.find(new_secret) == new
    assert await store.list() == [new]
    assert await store.ensure(old_secret, "a") is None


async def test_a_key_is_rolled_once(store: KeyStore, clock: Clock) -> None:
    old, _ = await store.create("a", {})
    new, _ = await store.roll(old.id)
    with pytest.raises(Conflict, match=new.id) as refusal:
        await store.roll(old.id)
    assert refusal.value.problems[0].code == "api_key_already_rolled"
    assert refusal.value.problems[0].details == {"successor": new.id}
    await store.roll(new.id)


async def test_whoever_follows_a_key_knows_the_first_of_them(store: KeyStore, database: Database) -> None:
    first, _ = await store.create("a", {})
    second, secret = await store.roll(first.id)
    third, _ = await store.roll(second.id)
    assert (first.origin, second.origin, third.origin) == (first.id, first.id, first.id)
    assert await store.find(secret) == await store.get(second.id)
    found = await store.get(third.id)
    assert found is not None
    assert found.origin == first.id

    # A key that was rolled before this was kept is its own first one.
    await database["keys"].update_one({"_id": third.id}, {"$unset": {"origin": True}})
    fourth, _ = await store.roll(third.id)
    assert fourth.origin == third.id


async def test_of_rolls_at_once_one_succeeds(store: KeyStore) -> None:
    old, _ = await store.create("a", {})
    results = await asyncio.gather(*(store.roll(old.id) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, tuple) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 4
    assert len(await store.list()) == 2


async def test_rolling_what_is_not_there_is_refused(store: KeyStore, clock: Clock) -> None:
    revoked, _ = await store.create("a", {})
    await store.revoke(revoked.id)
    for id_ in ("key_0", revoked.id):
        with pytest.raises(NotFound) as refusal:
            await store.roll(id_)
        assert refusal.value.problems[0].code == "api_key_not_found"
    assert await store.list() == []


async def test_revoke_ends_a_key_at_once_and_keeps_its_record(
    store: KeyStore, database: Database, clock: Clock
) -> None:
    key, secret = await store.create("a", {})
    assert await store.revoke(key.id) is True
    assert await store.find(secret) is None
    assert await store.get(key.id) is None
    assert await store.list() == []
    assert await store.revoke(key.id) is False
    assert await store.revoke("key_0") is False
    (document,) = await raw(database)
    assert document["revoked"].replace(tzinfo=UTC) == clock.moment


async def test_keys_are_written_to_a_journaled_majority(store: KeyStore) -> None:
    assert store._keys.write_concern.document == {"w": "majority", "j": True}
