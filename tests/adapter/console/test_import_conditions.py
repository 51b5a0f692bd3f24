"""The criteria of a Bundle's entries: one identifier tells which resource is meant, and nothing else can."""

from __future__ import annotations

import pytest

from tests.adapter.console.imports import Import, Json, Stored, lines
from tests.adapter.console.test_import_bundles import DOCTOR, JOHN, actors, bundle, entry, meeting, reasons, urn

NUMBER = [{"system": "urn:mrn", "value": "12"}]
SOLO: Json = {"resourceType": "Patient", "name": [{"text": "Solo"}]}
ONE = "identifier=urn:mrn|12"


def put(resource: Json, criteria: str = ONE, *, url: str | None = None) -> Json:
    told = entry(resource, url)
    return told | {"request": {"method": "PUT", "url": f"{resource['resourceType']}?{criteria}"}}


def test_what_is_to_come_if_there_is_none_is_looked_for_by_its_criteria(bring: Import, stored: Stored) -> None:
    known = SOLO | {"id": "p", "identifier": NUMBER}
    came = bundle(
        entry(SOLO, urn(1), ifNoneExist="Patient?identifier=urn:mrn%7C12"),
        entry(JOHN | {"active": True}, urn(2), ifNoneExist=ONE),
        entry(SOLO, ifNoneExist=ONE),
        entry(DOCTOR, urn(3)),
        entry(meeting(urn(1), urn(3), 9), urn(4)),
        entry(meeting(urn(2), urn(3), 10), urn(5)),
    )
    assert bring(known__ndjson=lines(known), a__json=came) == {"created": 4, "unchanged": 3}
    assert [one[0] for one in actors(stored)] == ["Patient/p"] * 2
    assert bring(a__json=came) == {"unchanged": 6}


def test_what_does_not_carry_what_it_is_looked_for_by_comes_once(bring: Import, stored: Stored) -> None:
    group = {"resourceType": "Group", "type": "person", "actual": True}

    def came(first: int) -> bytes:
        return bundle(
            entry(SOLO, urn(first), ifNoneExist=ONE),
            entry(SOLO, urn(first + 1), ifNoneExist=ONE),
            entry(SOLO, ifNoneExist=ONE),
            entry(group | {"member": [{"entity": {"reference": urn(first + number)}} for number in (0, 1)]}, urn(77)),
        )

    assert bring(a__json=came(1)) == {"created": 2, "unchanged": 2}
    [one] = stored("Patient")
    assert [each["entity"]["reference"] for each in stored("Group")[0]["member"]] == [f"Patient/{one['_id']}"] * 2
    assert bring(a__json=came(11)) == {"unchanged": 4}
    # Whoever has the identifier is somebody else.
    assert bring(a__ndjson=lines(SOLO | {"identifier": NUMBER})) == {"created": 1}


def test_an_update_by_an_identifier_finds_who_has_it(bring: Import, stored: Stored) -> None:
    assert bring(a__json=bundle(put(SOLO | {"identifier": NUMBER}))) == {"created": 1}
    assert bring(a__json=bundle(put(SOLO | {"identifier": NUMBER, "active": True}))) == {"updated": 1}
    assert [one["active"] for one in stored("Patient")] == [True]
    # Written, the one that has the identifier would lose it, and not be found the next time.
    assert bring(a__json=bundle(put(SOLO), put(JOHN))) == {"refused": 2}
    assert [(one["code"], one["param"]) for one in reasons(bring)] == [
        ("not_importable", "Bundle.entry[0].request.url"),
        ("not_importable", "Bundle.entry[1].request.url"),
    ]
    assert "Add it to the resource" in reasons(bring)[0]["message"]


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("batch", ["1", "10"])
def test_an_id_makes_no_second_one_of_who_is_looked_for(bring: Import, stored: Stored, method: str, batch: str) -> None:
    doctors = [DOCTOR | {"id": one} for one in ("a", "b")]
    how = {"url": "Practitioner?identifier=urn:np|77"} if method == "PUT" else {"ifNoneExist": "identifier=urn:np|77"}
    request = {"method": method, "url": "Practitioner"} | how
    (bring.folder / "a.json").write_bytes(bundle(*({"resource": one, "request": request} for one in doctors)))
    assert bring.run("--batch", batch, str(bring.folder / "a.json")) == {"created": 1, "refused": 1}
    assert bring.refused() == [(2, ["identifier_taken"])]
    assert bring.run("--batch", batch, str(bring.folder / "a.json")) == {"unchanged": 1, "refused": 1}


@pytest.mark.parametrize(
    "criteria",
    [
        "name=Solo", "identifier=12", "identifier=|12", "identifier=urn:mrn|", "identifier=urn:mrn|12,urn:mrn|13",
        f"{ONE}&name=Solo", "identifier:not=urn:mrn|12", "_id=p", "identifier=%ff", "&", f"Group?{ONE}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_other_criteria_are_refused_and_what_refers_to_them(
    bring: Import, stored: Stored, criteria: str, method: str
) -> None:
    one = SOLO | {"identifier": NUMBER}
    conditional = entry(one, urn(1), ifNoneExist=criteria) if method == "POST" else put(one, criteria, url=urn(1))
    came = bundle(conditional, entry(DOCTOR, urn(2)), entry(meeting(urn(1), urn(2)), urn(3)))
    assert bring(a__json=came) == {"created": 1, "refused": 2}
    assert sorted(bring.refused()) == [(1, ["not_importable"]), (3, ["unresolved_reference"])]
    assert stored("Patient") == []
    [why] = [reason for reason in reasons(bring) if reason["code"] == "not_importable"]
    assert why["param"] == f"Bundle.entry[0].request.{'ifNoneExist' if method == 'POST' else 'url'}"
    assert "identifier=system|value" in why["message"]


def test_a_plus_is_a_blank_in_a_url_alone(bring: Import, stored: Stored) -> None:
    numbers = [[{"system": "urn:mrn", "value": value}] for value in ("A+B", "A B")]
    plus, blank = (SOLO | {"identifier": number} for number in numbers)
    asked = meeting("Patient/j", "Practitioner?identifier=urn:mrn|A+B")
    came = bundle(
        entry(plus, urn(1), ifNoneExist="identifier=urn:mrn|A+B"),
        put(blank, "identifier=urn:mrn|A+B", url=urn(2)),
        entry(asked, urn(3)),
    )
    doctor = DOCTOR | {"id": "p", "identifier": numbers[1]}
    assert bring(people__ndjson=lines(JOHN | {"id": "j"}, doctor), a__json=came) == {"created": 3, "refused": 2}
    assert {one["code"]: one["param"] for one in reasons(bring)} == {
        "not_importable": "Bundle.entry[0].request.ifNoneExist",
        "bad_reference": "Appointment.participant[1].actor.reference",
    }
    assert "Write %2B for a plus" in next(one["message"] for one in reasons(bring) if one["code"] == "not_importable")


def test_what_waits_knows_its_criteria_still(bring: Import, stored: Stored) -> None:
    """Two visits change places; each is known by its number alone, which it is looked for by."""
    visits = {"x": 9, "y": 10}

    def came(first: int, **hours: int) -> bytes:
        found = [
            put(meeting("Patient/j", "Practitioner/p", hour, identifier=[{"system": "urn:v", "value": name}]),
                f"identifier=urn:v|{name}", url=urn(first + hour))
            for name, hour in hours.items()
        ]  # fmt: skip
        return bundle(*found)

    people = lines(JOHN | {"id": "j"}, DOCTOR | {"id": "p"})
    assert bring(people__ndjson=people, a__json=came(10, **visits)) == {"created": 4}
    (bring.folder / "b.json").write_bytes(came(40, x=10, y=9))
    assert bring.run("--batch", "1", str(bring.folder / "b.json")) == {"updated": 2}
    waiting = entry(meeting("Patient/j", "Practitioner/p", 9), urn(1), ifNoneExist="identifier=urn:v|x")
    assert bring(c__json=bundle(waiting)) == {"unchanged": 1}


def test_what_is_not_stored_here_says_so_whatever_its_criteria(bring: Import) -> None:
    assert bring(a__json=bundle(entry({"resourceType": "Condition"}, ifNoneExist="code=1"))) == {"refused": 1}
    assert bring.refused() == [(1, ["unknown_type"])]


def test_visits_that_share_a_number_are_each_its_own_with_criteria_too(bring: Import, stored: Stored) -> None:
    order, criteria = {"identifier": [{"system": "urn:order", "value": "77"}]}, "identifier=urn:order|77"
    people = lines(JOHN | {"id": "j"}, DOCTOR | {"id": "p"})
    found = [(meeting("Patient/j", "Practitioner/p", hour, **order), urn(hour)) for hour in (9, 10)]
    series = bundle(*(entry(one, url, ifNoneExist=criteria) for one, url in found))
    assert bring(people__ndjson=people, a__json=series) == {"created": 4}
    assert bring(a__json=series) == {"unchanged": 2}
