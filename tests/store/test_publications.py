"""Who makes the next publication."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from store.publications import Publications
from tests.store.support import Database

NOW = datetime(2024, 1, 15, 10, tzinfo=UTC)


async def test_one_makes_the_next_and_knows_its_own_claim_again(database: Database) -> None:
    publications = Publications(database)
    assert await publications.claim(NOW, NOW, "a")
    assert not await publications.claim(NOW, NOW, "b")
    assert await publications.claim(NOW, NOW, "a")  # the answer to the first may have been lost
    await publications.release("b")  # whose own has come to nothing
    assert not await publications.claim(NOW, NOW, "b")
    await publications.release("a")
    assert await publications.claim(NOW, NOW, "b")
    assert not await publications.claim(NOW, NOW, "a")
    assert await publications.claim(NOW + timedelta(minutes=2), NOW, "a")  # after so long b is taken for dead


async def test_a_clock_that_was_ahead_keeps_the_next_one_from_nobody(database: Database) -> None:
    publications = Publications(database)
    day = timedelta(days=1)
    await database["publications"].insert_one({"_id": "current", "checked": NOW + day, "making": NOW + day})
    assert await publications.claim(NOW, NOW - timedelta(minutes=5), "a")
    await database["publications"].replace_one({"_id": "current"}, {"checked": NOW + timedelta(seconds=30)})
    assert not await publications.claim(NOW, NOW - timedelta(minutes=5), "a")
