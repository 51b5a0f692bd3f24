"""Whether what comes in says anything new, and which resource it is."""

from __future__ import annotations

import pytest

from adapter.importing.identity import same
from store.codec import decode


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
