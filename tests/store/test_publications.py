"""Who makes the next publication, and what is kept of those before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from store.publications import PIECES, PUBLICATIONS, Publications
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


async def _publish(publications: Publications, ident: str, text: bytes, moment: datetime) -> str:
    async def lines() -> AsyncIterator[bytes]:
        yield text

    draft = await publications.draft(ident, moment)
    await draft.write("Slot", lines())
    await publications.publish(draft, moment)
    return draft.name


async def _kept(database: Database) -> tuple[set[str], int]:
    drafts = {one["_id"].partition("/")[0] async for one in database[PIECES].find()}
    return drafts, await database[PUBLICATIONS].count_documents({"_id": {"$regex": "^draft "}})


async def test_what_says_the_same_again_is_checked_anew_and_leaves_the_next_to_anybody(database: Database) -> None:
    publications, later, soon = Publications(database), NOW + timedelta(minutes=5), timedelta(seconds=1)
    name = await _publish(publications, "first", b"a", NOW)
    assert await publications.claim(later, later, "m")
    assert await _publish(publications, "second", b"a", later) == name
    current = await publications.current()
    assert current is not None
    assert (current.name, current.moment, current.checked) == (name, NOW, later)
    assert await _kept(database) == ({"first"}, 0)
    assert not await publications.claim(later, later, "n")
    assert await publications.claim(later + soon, later + soon, "n")


async def test_what_is_said_once_more_within_the_hour_has_its_pieces_still_and_all_others_go(
    database: Database,
) -> None:
    publications, minute = Publications(database), timedelta(minutes=1)
    first = await _publish(publications, "first", b"a", NOW)
    second = await _publish(publications, "second", b"b", NOW + minute)
    assert await _publish(publications, "third", b"a", NOW + 2 * minute) == first
    assert await _kept(database) == ({"first", "second"}, 0)
    current = await publications.current()
    assert current is not None
    assert (current.name, current.moment) == (first, NOW + 2 * minute)
    await _publish(publications, "fourth", b"d", NOW + 3 * minute)
    assert await publications.named(second) is not None, "who reads it has an hour"
    last = await _publish(publications, "fifth", b"c", NOW + 63 * minute)
    assert await _kept(database) == ({"first", "fourth", "fifth"}, 0)
    assert await publications.named(second) is None
    read = [b"".join([piece async for piece in publications.read(name, "Slot")]) for name in (first, second, last)]
    assert read == [b"a", b"", b"c"]
