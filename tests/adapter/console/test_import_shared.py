"""What comes without an id and shares an identifier, or a name in its Bundle, with somebody else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapter.console.imports import PEOPLE, Import, Json, Stored, lines
from tests.adapter.console.test_import_bundles import DOCTOR, UHID, actors, bundle, entry, ident, meeting, reasons, urn
from tests.adapter.console.test_import_conditions import put

FAMILY = {"system": "urn:insurance", "value": "FAM-1"}
MOTHER, CHILD = "UG333333331C", "UG333333332C"


def person(uhid: str, *, last: bool = False, **members: Any) -> Json:
    """One of a family, the UHID as the `last` of the identifiers or the first."""
    numbers = [{**UHID, "value": uhid}, FAMILY]
    return {"resourceType": "Patient", "identifier": numbers[::-1] if last else numbers, **members}


def named(stored: Stored) -> list[str]:
    """The UHIDs of the stored Patients."""
    found = [
        each["value"] for one in stored("Patient") for each in one["identifier"] if each["system"] == UHID["system"]
    ]
    return sorted(found)


@pytest.mark.parametrize("last", [True, False])
def test_people_who_share_a_number_are_two(small: Import, stored: Stored, last: bool) -> None:
    mother, child = person(MOTHER, last=last), person(CHILD, last=last)
    assert small(a__ndjson=lines(mother)) == {"created": 1}
    assert small(b__ndjson=lines(child)) == {"created": 1}
    assert small(c__ndjson=lines(mother, child, child | {"active": True})) == {"unchanged": 2, "updated": 1}
    assert named(stored) == [MOTHER, CHILD]


@pytest.mark.parametrize("last", [True, False])
def test_so_they_are_within_one_file(small: Import, stored: Stored, last: bool) -> None:
    family = lines(person(MOTHER, last=last), person(CHILD, last=last))
    assert small(a__ndjson=family) == {"created": 2}
    assert small(a__ndjson=family) == {"unchanged": 2}
    assert named(stored) == [MOTHER, CHILD]


def test_who_has_an_id_is_not_overwritten_by_who_shares_a_number(small: Import, stored: Stored) -> None:
    assert small(a__ndjson=lines(person(MOTHER) | {"id": "mother"}), b__ndjson=lines(person(CHILD))) == {"created": 2}
    assert named(stored) == [MOTHER, CHILD]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("names", [(urn(1), urn(2)), ("urn:oid:1.2.1", "urn:oid:1.2.2")])
def test_each_ones_visit_stays_theirs(small: Import, stored: Stored, names: tuple[str, str], last: bool) -> None:
    family = bundle(
        entry(DOCTOR, urn(7)),
        *(entry(person(uhid, last=last), name) for uhid, name in zip((MOTHER, CHILD), names, strict=True)),
        *(entry(meeting(name, urn(7), hour), urn(hour)) for hour, name in enumerate(names, 9)),
    )
    assert small(a__json=family) == {"created": 5}
    assert small(a__json=family) == {"unchanged": 5}
    uhids = {f"Patient/{one['_id']}": one["identifier"][last]["value"] for one in stored("Patient")}
    visits = {one["_id"]: one["participant"][0]["actor"]["reference"] for one in stored("Appointment")}
    assert [uhids[visits[ident(hour)]] for hour in (9, 10)] == [MOTHER, CHILD]


def test_who_has_no_uhid_as_yet_gets_it(small: Import, stored: Stored) -> None:
    assert small(a__ndjson=lines({"resourceType": "Patient", "id": "p", "identifier": [FAMILY]})) == {"created": 1}
    assert small(b__ndjson=lines(person(MOTHER))) == {"updated": 1}
    assert small(c__ndjson=lines(person(CHILD))) == {"created": 1}
    assert small(d__ndjson=lines({"resourceType": "Patient", "identifier": [FAMILY]})) == {"refused": 1}
    assert small.refused() == [(1, ["multiple_matches"])]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_criteria_that_mean_somebody_with_another_uhid_are_refused(small: Import, stored: Stored, method: str) -> None:
    query = "identifier=urn:insurance|FAM-1"
    one = put(person(CHILD), query, url=urn(1)) if method == "PUT" else entry(person(CHILD), urn(1), ifNoneExist=query)
    child = bundle(one, entry(meeting(urn(1), "Practitioner/p"), urn(2)))
    assert small(a__ndjson=lines(PEOPLE[0], person(MOTHER) | {"id": "m"}), b__json=child) == {
        "created": 2,
        "refused": 2,
    }
    assert sorted(small.refused()) == [(1, ["identifier_taken"]), (2, ["unresolved_reference"])]
    assert reasons(small)[0]["resources"] == ["Patient/m"]


def test_a_name_of_a_bundle_that_is_used_again_is_somebody_else(small: Import, stored: Stored) -> None:
    def one(uhid: str, hour: int) -> bytes:
        someone = {"resourceType": "Patient", "identifier": [{**UHID, "value": uhid}]}
        return bundle(entry(someone, urn(1)), entry(meeting(urn(1), "Practitioner/p", hour), urn(hour)))

    first, second = one("UG111111111A", 9), one("UG222222222B", 10)
    assert small(a__ndjson=lines(PEOPLE[0]), b__json=first, c__json=second) == {"created": 5}
    assert small(b__json=first, c__json=second) == {"unchanged": 4}
    assert named(stored) == ["UG111111111A", "UG222222222B"]
    assert len({patient for patient, _ in actors(stored)}) == 2


def test_nor_is_an_id_that_was_made_of_a_uhid_whose_it_is_no_longer(small: Import, stored: Stored) -> None:
    someone = person(MOTHER)
    assert small(a__ndjson=lines(someone)) == {"created": 1}
    [known] = stored("Patient")
    assert small(b__ndjson=lines(person(CHILD) | {"id": known["_id"]})) == {"updated": 1}  # it was misread
    assert small(a__ndjson=lines(someone)) == {"refused": 1}
    assert small.refused() == [(1, ["identifier_taken"])]
    assert named(stored) == [CHILD]
