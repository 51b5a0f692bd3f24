"""The time zone for which dates were made searchable is remembered, and no other one reads or writes them."""

from __future__ import annotations

import asyncio
from datetime import tzinfo
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest
from bson.binary import Binary

from store import reindex
from store.connection import Client
from store.documents import Rules
from store.store import Store
from store.zones import ZONES, OtherZone, rules_of
from tests.store.support import Database, create, patient

UTC, KAMPALA, LIMA = "UTC", "Africa/Kampala", "America/Lima"


def by_rules_of(zone: str) -> tzinfo:
    """Kampala, in another release of the database: by the rules of another zone."""
    with files("tzdata").joinpath("zoneinfo", zone).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=KAMPALA)


def store_in(client: Client, database: Database, zone: str | tzinfo) -> Store:
    return Store(client, database.name, rules=Rules(zone=ZoneInfo(zone) if isinstance(zone, str) else zone))


async def whole(store: Store) -> None:
    async for _ in reindex.reindex(store):
        pass


async def refused(store: Store) -> OtherZone:
    with pytest.raises(OtherZone) as error:
        await store.prepare()
    return error.value


async def test_another_zone_than_that_of_what_is_stored_is_refused(client: Client, database: Database) -> None:
    await store_in(client, database, UTC).prepare()
    await Store(client, database.name).prepare()
    said = await refused(store_in(client, database, KAMPALA))
    assert (said.database, said.made, said.wanted) == (database.name, UTC, KAMPALA)
    assert all(word in str(said) for word in (database.name, UTC, KAMPALA))
    await store_in(client, database, UTC).prepare()


async def test_what_was_stored_before_zones_were_noted_counts_as_of_the_present_one(
    client: Client, database: Database
) -> None:
    store = store_in(client, database, KAMPALA)
    await store.prepare()
    await create(store, patient("p", birthDate="1985-12-31"))
    await database.drop_collection(ZONES)
    await store_in(client, database, KAMPALA).prepare()
    assert (await refused(store_in(client, database, UTC))).made == KAMPALA


async def test_the_same_zone_by_other_rules_is_another_one(client: Client, database: Database) -> None:
    before, after = store_in(client, database, KAMPALA), store_in(client, database, by_rules_of(LIMA))
    await before.prepare()
    said = await refused(after)
    assert (said.made, said.wanted) == (f"{KAMPALA} by the rules of another tzdata", KAMPALA)
    await whole(after)
    await after.prepare()
    assert (await refused(before)).made == f"{KAMPALA} by the rules of another tzdata"


def test_what_is_noted_of_rules_stays_what_it_is() -> None:
    # Worked out in another way, every start would be refused.
    assert rules_of(ZoneInfo(UTC)) == rules_of(Rules().zone) == "51c4f4cd45633fd2"
    assert len({rules_of(zone) for zone in map(ZoneInfo, (UTC, KAMPALA, LIMA))}) == 3


async def test_rules_by_which_each_day_is_the_same_are_the_same(client: Client, database: Database) -> None:
    await store_in(client, database, KAMPALA).prepare()
    await store_in(client, database, by_rules_of("Africa/Nairobi")).prepare()  # of which Kampala is another name


async def test_what_was_stored_before_rules_were_noted_counts_as_by_the_present_ones(
    client: Client, database: Database
) -> None:
    await store_in(client, database, KAMPALA).prepare()
    await database[ZONES].update_one({}, {"$unset": {"rules": ""}})
    assert (await refused(store_in(client, database, LIMA))).made == KAMPALA
    await store_in(client, database, KAMPALA).prepare()
    assert "by the rules of" in (await refused(store_in(client, database, by_rules_of(LIMA)))).made


async def test_of_several_that_start_at_once_with_different_zones_one_counts(
    client: Client, database: Database
) -> None:
    await store_in(client, database, UTC).prepare()
    for _ in range(5):
        await database.drop_collection(ZONES)
        zones = [UTC, KAMPALA, LIMA] * 3
        starting = [store_in(client, database, zone).prepare() for zone in zones]
        found = await asyncio.gather(*starting, return_exceptions=True)
        ready = {zone for zone, one in zip(zones, found, strict=True) if one is None}
        others = [one for one in found if one is not None]
        assert len(ready) == 1
        assert len(others) == 6
        assert {one.made for one in others if isinstance(one, OtherZone)} == ready


async def test_what_is_made_anew_is_of_the_new_zone(client: Client, database: Database) -> None:
    before, after = store_in(client, database, UTC), store_in(client, database, LIMA)
    await before.prepare()
    await create(before, patient("p", birthDate="1985-12-31"))
    await whole(after)
    await after.prepare()
    assert (await refused(before)).made == LIMA
    [lo] = await after.distinct("Patient", "_index.birthdate.lo", {}, limit=2)
    assert str(lo) == "1985-12-31 05:00:00+00:00"


async def test_what_is_half_made_anew_is_of_no_zone_until_it_is_done(client: Client, database: Database) -> None:
    before, after = store_in(client, database, UTC), store_in(client, database, LIMA)
    await before.prepare()
    await create(before, *(patient(f"p{number}", birthDate="1985-12-31") for number in range(3)))
    async for progress in reindex.reindex(after, batch=1):
        if progress.done == 2:
            break
    for store in (before, after):
        assert (await refused(store)).made == f"{UTC}, in part for {LIMA}"
    await whole(before)  # from the beginning: what the other has made is made back
    await before.prepare()
    [lo] = await before.distinct("Patient", "_index.birthdate.lo", {}, limit=2)
    assert str(lo) == "1985-12-31 00:00:00+00:00"


async def test_what_is_half_made_anew_by_other_rules_is_begun_again_under_the_former(
    client: Client, database: Database
) -> None:
    before, after = store_in(client, database, KAMPALA), store_in(client, database, by_rules_of(LIMA))
    await before.prepare()
    await create(before, *(patient(f"p{number}", birthDate="1985-12-31") for number in range(3)))
    async for progress in reindex.reindex(after, batch=1):
        if progress.done == 2:
            break
    assert (await refused(before)).made == f"{KAMPALA}, in part for {KAMPALA} by the rules of another tzdata"
    assert (await refused(after)).made == f"{KAMPALA} by the rules of another tzdata, in part for {KAMPALA}"
    await whole(before)
    await before.prepare()
    [lo] = await before.distinct("Patient", "_index.birthdate.lo", {}, limit=2)
    assert str(lo) == "1985-12-30 21:00:00+00:00"


@pytest.mark.parametrize("zone", [UTC, KAMPALA])
async def test_one_that_was_overtaken_by_another_zone_does_not_count(
    client: Client, database: Database, zone: str
) -> None:
    after = store_in(client, database, by_rules_of(LIMA))
    await store_in(client, database, UTC).prepare()
    slow = reindex.reindex(after)
    await anext(slow)
    await whole(store_in(client, database, zone))
    async for _ in slow:
        pass
    assert (await refused(after)).made in (UTC, f"{KAMPALA} by the rules of another tzdata")


async def test_what_could_not_be_made_anew_is_told_beforehand(client: Client, database: Database) -> None:
    before, after = store_in(client, database, UTC), store_in(client, database, LIMA)
    await before.prepare()
    await create(before, *(patient(f"p{number}", birthDate="1985-12-31") for number in range(3)))
    assert await reindex.unfit(after, batch=2) == []
    await database.Patient.update_one({"_id": "p1"}, {"$set": {"_json": Binary(b"{}")}})
    assert [one.partition(":")[0] for one in await reindex.unfit(after, batch=2)] == ["Patient/p1"]
    await before.prepare()


async def test_the_zone_is_not_changed_while_something_is_searched_by_the_former_one(
    client: Client, database: Database
) -> None:
    before, after = store_in(client, database, UTC), store_in(client, database, LIMA)
    await before.prepare()
    await create(before, patient("p", birthDate="1985-12-31"))
    found = await database.Patient.find_one({"_id": "p"})
    assert found is not None
    await database.Patient.update_one({"_id": "p"}, {"$set": {"_json": Binary(b"{}")}})
    await whole(after)
    for store in (before, after):
        assert (await refused(store)).made == f"{UTC}, in part for {LIMA}"
    await database.Patient.replace_one({"_id": "p"}, found)
    await whole(after)
    await after.prepare()
