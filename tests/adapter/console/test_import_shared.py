"""What comes without an id and shares an identifier, or a name in its Bundle, with somebody else."""

from __future__ import annotations

from pathlib import Path
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


def ordered(day: int, patient: str, *more: Json, **members: Any) -> Json:
    """A visit of one order, at a day of its own."""
    times = {"start": f"2027-02-0{day}T09:00:00Z", "end": f"2027-02-0{day}T09:30:00Z"}
    numbers = [{"system": "urn:order", "value": "O-1"}, *more]
    found = meeting(f"Patient/{patient}", "Practitioner/p", identifier=numbers) | times | members
    return {name: value for name, value in found.items() if name != "id"}


def number(value: str) -> Json:
    return {"system": "https://mediloop.co/fhir/sid/appointment-number", "value": value}


TWO = lines(PEOPLE[0], *({"resourceType": "Patient", "id": one} for one in ("ga", "gb")))


def starts(stored: Stored) -> list[str]:
    found = {one["participant"][0]["actor"]["reference"][-2:]: one["start"] for one in stored("Appointment")}
    return sorted(f"{patient} {start}" for patient, start in found.items())


@pytest.mark.parametrize("as_bundle", [True, False])
def test_visits_of_one_order_are_told_by_their_numbers(small: Import, stored: Stored, as_bundle: bool) -> None:
    assert small(people__ndjson=TWO) == {"created": 3}
    visits = ordered(1, "ga", number("APT-2034-000001")), ordered(2, "gb", number("APT-2034-000002"))
    if as_bundle:
        files = {f"{place}__json": bundle(entry(one, urn(place))) for place, one in enumerate(visits)}
        files |= {"both__json": bundle(*(entry(one, urn(place)) for place, one in enumerate(visits, 7)))}
    else:
        files = {"both__ndjson": lines(*visits)}
    assert small(**files)["created"] == 2
    assert small(**files) == {"unchanged": 4 if as_bundle else 2}
    assert starts(stored) == ["ga 2027-02-01T09:00:00Z", "gb 2027-02-02T09:00:00Z"]


@pytest.mark.parametrize("as_bundle", [True, False])
@pytest.mark.parametrize("patient", ["ga", "gb"])
def test_an_order_alone_does_not_lead_from_one_visit_to_another(
    small: Import, stored: Stored, patient: str, as_bundle: bool
) -> None:
    assert small(people__ndjson=TWO) == {"created": 3}
    visits = ordered(1, "ga"), ordered(2, patient)
    if as_bundle:
        files = {f"{place}__json": bundle(entry(one, urn(place))) for place, one in enumerate(visits)}
    else:
        files = {"both__ndjson": lines(*visits, visits[0])}
    for word in ("created", "unchanged"):
        counts = small(**files)
        assert counts == (
            {word: 1, "refused": 1}
            if as_bundle
            else {word: 1, "refused": 1, "unchanged": 1} | ({"unchanged": 2} if word == "unchanged" else {})
        )
        assert [codes for _, codes in small.refused()] == [["identifier_taken"]]
    assert starts(stored) == ["ga 2027-02-01T09:00:00Z"]


def test_a_visit_that_was_moved_comes_under_its_order_in_a_later_import(small: Import, stored: Stored) -> None:
    assert small(people__ndjson=TWO, a__ndjson=lines(ordered(1, "ga"))) == {"created": 4}
    cancelled = ordered(2, "ga", status="cancelled")
    assert small(b__ndjson=lines(ordered(2, "ga"), cancelled)) == {"updated": 2}  # one time: one visit
    assert starts(stored) == ["ga 2027-02-02T09:00:00Z"]
    assert small(c__ndjson=lines(ordered(2, "gb"))) == {"refused": 1}


def test_which_orders_were_taken_is_not_lost_unsaid(bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapter.importing import again

    (bring.folder / "a.ndjson").write_bytes(TWO + lines(ordered(1, "ga")))
    words = ["import", str(bring.folder / "a.ndjson"), "--state", "s", "--errors", str(bring.errors)]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(again, "settle", stop)
        assert bring.cli.run(*words).exit_code == 130
    Path("s.waiting").write_bytes(b"")
    result = bring.cli.run(*words)
    assert (result.exit_code, "s.waiting is gone, or not" in result.stderr) == (1, True)


def test_the_name_of_a_visit_that_is_used_again_leads_to_nobody_elses(small: Import, stored: Stored) -> None:
    def one(patient: str, hour: int) -> bytes:
        return bundle(entry(meeting(f"Patient/{patient}", "Practitioner/p", hour), urn(1)))

    assert small(people__ndjson=TWO, a__json=one("ga", 9), b__json=one("gb", 10)) == {"created": 4, "refused": 1}
    assert [codes for _, codes in small.refused()] == [["identifier_taken"]]
    assert starts(stored) == ["ga 2027-01-20T09:00:00Z"]


def test_an_answer_finds_its_visit_among_those_of_one_order(small: Import, stored: Stored) -> None:
    people = [{"actor": {"reference": "Patient/ga"}, "participantStatus": "accepted"}]
    answer = {"resourceType": "AppointmentResponse", "appointment": {"reference": urn(2)}, **people[0]}
    came = bundle(entry(ordered(1, "ga"), urn(1)), entry(ordered(2, "ga"), urn(2)), entry(answer, urn(3)))
    assert small(people__ndjson=TWO, a__json=came) == {"created": 6}
    assert stored("AppointmentResponse")[0]["appointment"]["reference"] == f"Appointment/{ident(2)}"
