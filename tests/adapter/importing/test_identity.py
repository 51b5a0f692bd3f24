"""Whether what comes in says anything new, and which resource it is."""

from __future__ import annotations

import pytest

from adapter.fhir.criteria import read_criteria
from adapter.fhir.writes import Write
from adapter.fhir.writing import carry_out
from adapter.importing.deciding import Writer
from adapter.importing.identity import same
from adapter.security.callers import Caller
from mappings.systems import DEFAULT_SYSTEMS
from store.codec import decode
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.fhir.door import HOST, bare
from tests.adapter.importing.test_deciding import patient
from tests.adapter.mediloop.clinic import UHID
from tests.conftest import Api
from tests.store.support import create, overtaken


def location(longitude: str, meta: str = "{}") -> bytes:
    return b'{"resourceType": "Location", "meta": %s, "position": {"latitude": 0.30, "longitude": %s}}' % (
        meta.encode(),
        longitude.encode(),
    )


@pytest.mark.parametrize(("before", "after"), [("32.50", "32.5"), ("1", "1.00"), ("1e2", "100")])
def test_a_decimal_with_other_digits_says_something_else(before: str, after: str) -> None:
    assert same(decode(location(before)), decode(location(before)))
    assert not same(decode(location(before)), decode(location(after)))
    meta = '{"tag": [{"code": "x", "extension": [{"url": "urn:x", "valueDecimal": %s}]}]}'
    assert not same(decode(location("1", meta % before)), decode(location("1", meta % after)))


def test_the_order_of_members_and_what_the_server_writes_say_nothing() -> None:
    one = location("32.50", '{"versionId": "1", "lastUpdated": "2027-01-01T00:00:00Z", "source": "urn:x"}')
    other = b'{"position": {"longitude": 32.50, "latitude": 0.30}, "resourceType": "Location", "meta": %s}'
    assert same(decode(one), decode(other % b'{"source": "urn:x"}'))
    assert same(decode(location("1")), decode(location("1").replace(b'"meta": {}, ', b"")))
    assert not same(decode(one), decode(other % b"{}"))


@pytest.mark.parametrize("stated", [True, False])
async def test_who_is_imported_while_somebody_makes_them_conditionally_is_there_once(
    api: Api, store: Store, stated: bool
) -> None:
    await create(store, patient("before", "UG222222222B").resource)  # the first in an index of several changes that
    who = Caller(await api.service.keyring.authenticate(f"Bearer {api.key}"), api.service, store)
    asked = read_criteria(f"identifier={DEFAULT_SYSTEMS.uhid}|{UHID}", "Patient")
    wanted = Write("POST", "Patient", resource=bare(patient("other").resource), if_none_exist=asked)

    async def made(work: UnitOfWork) -> int:
        return (await carry_out(work, who, HOST, [wanted]))[0].status

    async def imported() -> None:
        assert await Writer(api.service, store).write([patient("tw-1", stated=stated)]) == ["created"]

    assert await overtaken(store, made, imported) == (200, 2)
    assert await store.count("Patient", {"_index.identifier": UHID.casefold()}) == 1
