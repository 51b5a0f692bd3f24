"""Who carries a UHID, where several do, or did: it must never say of one patient that they are another."""

from __future__ import annotations

from typing import Any

import pytest

from adapter import uhids
from mappings.systems import DEFAULT_SYSTEMS
from store.codec import Resource

A, B, C = "Patient/a", "Patient/b", "Patient/c"
ONE, OTHER = "UG123456789A", "UG123456789B"


def carrying(*now: str, once: tuple[str, ...] = (), kind: str = "Patient") -> Resource:
    """Somebody with UHIDs, and with those of earlier days."""
    stated: list[dict[str, Any]] = [{"value": value} for value in now]
    stated += [{"value": value, "use": "old"} for value in once]
    return {"resourceType": kind, "identifier": [{"system": DEFAULT_SYSTEMS.uhid, **one} for one in stated]}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({A: carrying(ONE), B: carrying(OTHER)}, {ONE: A, OTHER: B}),
        ({A: carrying(ONE, OTHER)}, {ONE: A, OTHER: A}),
        ({A: carrying(ONE, ONE)}, {ONE: A}),
        ({A: carrying(ONE), B: carrying(ONE)}, {}),
        ({A: carrying(ONE), B: carrying(ONE), C: carrying(ONE, OTHER)}, {OTHER: C}),
        ({A: carrying(once=(ONE,))}, {ONE: A}),
        ({A: carrying(once=(ONE,)), B: carrying(once=(ONE,))}, {}),
        ({A: carrying(once=(ONE,)), B: carrying(ONE), C: carrying(once=(ONE,))}, {ONE: B}),
        ({A: carrying(ONE), B: carrying(ONE), C: carrying(once=(ONE,))}, {}),
        ({A: carrying(ONE), "Practitioner/p": carrying(ONE, OTHER, kind="Practitioner")}, {ONE: A}),
        ({A: carrying("UG999999999Z")}, {}),
        ({}, {}),
    ],
)
def test_a_uhid_says_whom_where_one_alone_carries_it_now_or_none_does_and_one_alone_did(
    known: dict[str, Resource], expected: dict[str, str]
) -> None:
    assert uhids.carriers(known, DEFAULT_SYSTEMS, {ONE, OTHER}) == expected


def test_only_what_means_a_patient_is_looked_for_as_theirs() -> None:
    known = {A: carrying(ONE, OTHER), B: carrying(OTHER), C: carrying("UG999999999Z")}
    assert uhids.meaning([A], known, [ONE, OTHER], DEFAULT_SYSTEMS) == {ONE}
    assert uhids.meaning([B, C], known, [ONE, OTHER], DEFAULT_SYSTEMS) == frozenset()
    assert uhids.others({A: known[A], C: known[C]}, ONE, DEFAULT_SYSTEMS) == {OTHER, "UG999999999Z"}


def test_a_patients_visits_are_asked_for_by_what_is_known_of_them() -> None:
    by_uhid = {"_index.patient:identifier": {"$in": uhids.tokens([ONE], DEFAULT_SYSTEMS)}}
    assert uhids.visits(ONE, (), (), DEFAULT_SYSTEMS) == [by_uhid]
    assert uhids.visits(ONE, (), [A], DEFAULT_SYSTEMS) == [by_uhid, {"_index.actor": {"$in": [A]}}]
    *_, further = uhids.visits(ONE, [OTHER], [A], DEFAULT_SYSTEMS)
    assert further["_index.patient:identifier"] == {"$in": uhids.tokens([OTHER], DEFAULT_SYSTEMS)}
