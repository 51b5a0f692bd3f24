"""The entries of a Bundle that came without ids: which resources they are, and what refers to them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.adapter.console.imports import PEOPLE, SCHEDULE, Import, Json, Stored, content, lines, slot, visit

UHID = {"system": "https://mediloop.co/fhir/sid/uhid", "value": "UG123456789A"}
DOCTOR: Json = {"resourceType": "Practitioner", "identifier": [{"system": "urn:np", "value": "77"}]}
JOHN: Json = {"resourceType": "Patient", "identifier": [UHID], "name": [{"family": "Okello"}]}


def urn(number: int) -> str:
    return f"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd91{number:08d}"


def ident(number: int) -> str:
    return urn(number).rpartition(":")[2]


def entry(resource: Json, url: str | None = None, **request: Any) -> Json:
    bare = {name: value for name, value in resource.items() if name != "id"}
    told = {"resource": bare, "request": {"method": "POST", "url": resource["resourceType"]} | request}
    return told if url is None else {"fullUrl": url} | told


def bundle(*entries: Json, kind: str = "transaction") -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()


def meeting(patient: str, doctor: str, hour: int = 9, **members: Any) -> Json:
    actors = [{"actor": {"reference": one}, "status": "accepted"} for one in (patient, doctor)]
    return visit("x", hour, participant=actors, **members)


def day(first: int, **members: Any) -> bytes:
    """Doctor, patient and visit, as an interface engine sends them."""
    names = [urn(first + number) for number in range(3)]
    return bundle(
        entry(DOCTOR, names[0], ifNoneExist="identifier=urn:np|77"),
        entry(JOHN, names[1], ifNoneExist=f"identifier={UHID['system']}|{UHID['value']}"),
        entry(meeting(names[1], names[0], **members), names[2]),
    )


def actors(stored: Stored) -> list[list[str]]:
    return [[one["actor"]["reference"] for one in found["participant"]] for found in stored("Appointment")]


def reasons(bring: Import) -> list[Json]:
    return [reason for line in bring.errors.read_text().splitlines() for reason in json.loads(line)["reasons"]]


@pytest.mark.parametrize("at_once", [True, False])
def test_an_entry_without_an_id_is_found_by_its_identifiers(bring: Import, stored: Stored, at_once: bool) -> None:
    first, second = day(10), day(20, hour=10)
    if at_once:
        assert bring(mon__json=first, tue__json=second) == {"created": 4, "unchanged": 2}
    else:
        assert bring(mon__json=first) == {"created": 3}
        assert bring(tue__json=second) == {"created": 1, "unchanged": 2}
    assert [one["_id"] for kind in ("Practitioner", "Patient") for one in stored(kind)] == [ident(10), ident(11)]
    assert actors(stored) == [[f"Patient/{ident(11)}", f"Practitioner/{ident(10)}"]] * 2
    assert bring(mon__json=first, tue__json=second) == {"unchanged": 6}
    assert bring(wed__json=day(30)) == {"unchanged": 2, "refused": 1}  # its time is the first one's
    assert bring.refused() == [(3, ["time_conflict"])]


def test_it_is_found_under_an_id_that_came_another_way(bring: Import, stored: Stored) -> None:
    known = DOCTOR | {"id": "p", "name": [{"text": "Dr. Atim"}]}
    assert bring(people__ndjson=lines(known, JOHN | {"id": "john"}), mon__json=day(10)) == {
        "created": 3,
        "unchanged": 2,
    }
    assert actors(stored) == [["Patient/john", "Practitioner/p"]]
    assert content(stored("Practitioner")[0]) == known  # it was to come if there was none


def test_what_is_not_to_come_only_if_there_is_none_changes_it(bring: Import, stored: Stored) -> None:
    assert bring(people__ndjson=lines(DOCTOR | {"id": "p"})) == {"created": 1}
    assert bring(a__json=bundle(entry(DOCTOR | {"active": True}, urn(1)))) == {"updated": 1}
    assert content(stored("Practitioner")[0]) == DOCTOR | {"id": "p", "active": True}


def test_one_that_is_there_twice_in_a_batch_is_one(bring: Import, stored: Stored) -> None:
    group = {"resourceType": "Group", "type": "practitioner", "actual": True}
    members = [{"entity": {"reference": urn(number)}} for number in (1, 2)]
    entries = [entry(DOCTOR, urn(1)), entry(DOCTOR, urn(2)), entry(group | {"member": members}, urn(3))]
    assert bring(a__json=bundle(*entries)) == {"created": 2, "unchanged": 1}
    assert [one["entity"]["reference"] for one in stored("Group")[0]["member"]] == [f"Practitioner/{ident(1)}"] * 2
    assert bring(a__json=bundle(*entries)) == {"unchanged": 3}


def test_references_within_one_pass_are_followed(bring: Import, stored: Stored) -> None:
    ward, clinic = ({"resourceType": "Location", "name": name} for name in ("Ward", "Clinic"))
    number = [{"system": "urn:place", "value": "1"}]
    entries = [
        entry(ward | {"partOf": {"reference": urn(2)}}, urn(1)),
        entry(clinic | {"identifier": number}, urn(2)),
    ]
    assert bring(people__ndjson=lines(clinic | {"id": "c", "identifier": number}), a__json=bundle(*entries)) == {
        "created": 2,
        "unchanged": 1,
    }
    assert {one["_id"]: one.get("partOf") for one in stored("Location")} == {
        "c": None,
        ident(1): {"reference": "Location/c"},
    }
    # Each in a batch of its own: what refers to what comes later waits for it.
    others = [
        entry(ward | {"partOf": {"reference": urn(4)}}, urn(3)),
        entry(clinic, urn(4)),
        entry(ward | {"partOf": {"reference": urn(6)}}, urn(5)),  # these two can only come together
        entry(clinic | {"partOf": {"reference": urn(5)}}, urn(6)),
    ]
    (bring.folder / "b.json").write_bytes(bundle(*others))
    assert bring.run("--batch", "1", str(bring.folder / "b.json")) == {"created": 4}
    assert bring.run("--batch", "1", str(bring.folder / "b.json")) == {"unchanged": 4}


@pytest.mark.parametrize("url", ["urn:oid:1.2.3", "https://his.example/fhir/Practitioner/17"])
@pytest.mark.parametrize("kind", ["transaction", "collection"])
def test_any_full_url_names_an_entry(bring: Import, stored: Stored, url: str, kind: str) -> None:
    references = [url, url.removeprefix("https://his.example/fhir/")] if url.startswith("https:") else [url]
    schedules = [
        entry(SCHEDULE | {"actor": [{"reference": one}], "comment": one}, f"https://his.example/fhir/Schedule/{number}")
        for number, one in enumerate(references)
    ]
    file = bundle(*schedules, entry({"resourceType": "Practitioner"}, url), kind=kind)
    assert bring(a__json=file) == {"created": 1 + len(references)}
    [doctor] = stored("Practitioner")
    assert [one["actor"] for one in stored("Schedule")] == [[{"reference": f"Practitioner/{doctor['_id']}"}]] * len(
        references
    )
    assert bring(a__json=file) == {"unchanged": 1 + len(references)}


def test_a_reference_by_identifier_means_what_has_it(bring: Import, stored: Stored) -> None:
    def file(*searches: str, kind: str = "transaction") -> bytes:
        found = [entry(SCHEDULE | {"actor": [{"reference": one}]}, urn(20 + n)) for n, one in enumerate(searches)]
        return bundle(*found, entry(DOCTOR, urn(1)), kind=kind)

    assert bring(a__json=file("Practitioner?identifier=urn:np%7C77", "Practitioner?identifier=77")) == {"created": 3}
    meant = {"reference": f"Practitioner/{ident(1)}"}
    assert [one["actor"] for one in stored("Schedule")] == [[meant]] * 2
    said = [{"url": "urn:e", "valueUri": "Practitioner?identifier=77"}]
    asked = SCHEDULE | {"actor": [{"reference": said[0]["valueUri"]}], "extension": said}
    assert bring(c__json=bundle(entry(asked, urn(30)))) == {"created": 1}
    assert [(one["actor"], one["extension"]) for one in stored("Schedule") if "extension" in one] == [([meant], said)]
    assert bring(b__ndjson=lines(DOCTOR | {"id": "other"})) == {"created": 1}
    wrong = ("Practitioner?identifier=urn:np|77", "Practitioner?identifier=urn:np|78")
    assert bring(a__json=bundle(*json.loads(file(*wrong))["entry"][:2])) == {"refused": 2}
    assert [(one["code"], one["param"]) for one in reasons(bring)] == [
        ("unresolved_reference", "Schedule.actor[0].reference")
    ] * 2
    assert [one["message"].split()[0] for one in reasons(bring)] == ["Several", "No"]
    for text in (
        "Practitioner?name=x",
        "Practitioner?identifier=a,b",
        "Practitioner?identifier=|",
        "Nobody?identifier=1",
    ):
        assert bring(a__json=bundle(*json.loads(file(text))["entry"][:1])) == {"refused": 1}
        assert reasons(bring)[0]["code"] in ("bad_reference", "wrong_reference_target")
    assert bring(a__json=bundle(*json.loads(file(wrong[0]))["entry"][:1], kind="batch")) == {"refused": 1}
    assert bring.refused() == [(1, ["bad_reference"])]


def test_nothing_comes_in_that_refers_to_a_refused_entry(bring: Import, stored: Stored) -> None:
    other = UHID | {"value": "UG987654321B"}
    two = [JOHN | {"id": "a"}, JOHN | {"id": "b", "identifier": [other]}]
    assert bring(people__ndjson=lines(*two)) == {"created": 2}
    both = JOHN | {"identifier": [UHID, other]}
    file = bundle(
        entry(DOCTOR, urn(1)),
        entry(both, urn(2)),
        entry(meeting(urn(2), urn(1)), urn(3)),
        entry({"a": "b"} | JOHN, urn(4)),
    )
    assert bring(a__json=file) == {"created": 1, "refused": 3}
    assert sorted(bring.refused()) == [
        (2, ["multiple_matches"]),
        (3, ["unresolved_reference"]),
        (4, ["unknown_element"]),
    ]
    [why] = [one for one in reasons(bring) if one["code"] == "unresolved_reference"]
    assert why["param"] == "Appointment.participant[0].actor.reference"
    assert "entry 2" in why["message"]
    assert not stored("Appointment")
    # By itself it would be a visit of nobody: the error file has the entry, not what would come in.
    shown = {one["line"]: one["resource"] for one in map(json.loads, bring.errors.read_text().splitlines())}
    assert json.loads(shown[3]) == json.loads(file)["entry"][2]
    assert json.loads(shown[2]) == both
    assert bring(lines__ndjson=f"{shown[3]}\n{shown[2]}\n".encode()) == {"refused": 2}
    assert sorted(bring.refused()) == [(1, ["not_importable"]), (2, ["multiple_matches"])]
    assert "entry of a Bundle" in next(one["message"] for one in reasons(bring) if one["code"] == "not_importable")
    assert not stored("Appointment")


def test_what_waits_knows_its_names_still(bring: Import, stored: Stored) -> None:
    """Two visits change places, each with its people by their names in the Bundle."""
    number = {"x": 7, "y": 8}
    visits = {name: {"identifier": [{"system": "urn:visit", "value": name}]} for name in number}

    def file(first: int, **hours: int) -> bytes:
        found = [
            entry(meeting(urn(first + 1), urn(first), hours[name], **visits[name]), urn(first + n))
            for name, n in number.items()
        ]
        return bundle(entry(DOCTOR, urn(first)), entry(JOHN, urn(first + 1)), *found)

    assert bring(a__json=file(10, x=9, y=10)) == {"created": 4}
    (bring.folder / "b.json").write_bytes(file(20, x=10, y=9))
    assert bring.run("--batch", "1", str(bring.folder / "b.json")) == {"updated": 2, "unchanged": 2}
    assert {one["_id"]: one["start"][11:13] for one in stored("Appointment")} == {ident(17): "10", ident(18): "09"}
    assert actors(stored) == [[f"Patient/{ident(11)}", f"Practitioner/{ident(10)}"]] * 2


def test_slots_and_schedules_of_a_transaction(bring: Import, stored: Stored) -> None:
    code = [{"system": "urn:own", "value": "1"}]
    calendar = SCHEDULE | {"identifier": code, "actor": [{"reference": urn(1)}]}
    first = [
        entry(DOCTOR, urn(1)),
        entry(calendar, urn(2)),
        entry(slot("x", 9, schedule={"reference": urn(2)}, identifier=code), urn(3)),
    ]
    again = json.loads(bundle(*first).replace(b"cd91000000", b"cd91000001"))["entry"]
    held = [{"reference": again[2]["fullUrl"]}]
    again.append(entry(meeting("Patient/john", again[0]["fullUrl"], slot=held), urn(9)))
    assert bring(people__ndjson=lines(PEOPLE[2]), a__json=bundle(*first)) == {"created": 4}
    assert bring(a__json=bundle(*again)) == {"created": 1, "unchanged": 3}
    assert stored("Appointment")[0]["slot"] == [{"reference": f"Slot/{ident(3)}"}]
    assert [(one["_id"], one["status"]) for one in stored("Slot")] == [(ident(3), "busy")]


@pytest.mark.parametrize("name", ["urn:oid:1.2.3.4", "urn:uuid:patient"])
def test_a_name_that_two_bundles_use_for_two_people_joins_nobody(bring: Import, stored: Stored, name: str) -> None:
    def one(number: str, hour: int) -> bytes:
        person = {**JOHN, "identifier": [{**UHID, "value": number}]}
        return bundle(entry(person, name), entry(meeting(name, "Practitioner/p", hour), urn(hour)))

    known = lines(*PEOPLE[:1])
    assert bring(a__ndjson=known, b__json=one("UG111111111A", 9), c__json=one("UG222222222B", 10)) == {"created": 5}
    [first, second] = stored("Patient")
    assert {first["identifier"][0]["value"], second["identifier"][0]["value"]} == {"UG111111111A", "UG222222222B"}
    assert len({one[0] for one in actors(stored)}) == 2


def test_two_people_without_identifiers_are_two_whatever_they_are_called(bring: Import, stored: Stored) -> None:
    def one(family: str) -> bytes:
        return bundle(entry({"resourceType": "Patient", "name": [{"family": family}]}, "urn:uuid:patient"))

    assert bring(a__json=one("Okello"), b__json=one("Auma")) == {"created": 2}
    assert bring(a__json=one("Okello"), b__json=one("Auma")) == {"unchanged": 2}


def test_visits_that_share_a_number_are_each_its_own(bring: Import, stored: Stored) -> None:
    order = {"identifier": [{"system": "urn:order", "value": "77"}]}
    series = bundle(
        entry(DOCTOR, urn(1)),
        entry(JOHN, urn(2)),
        entry(meeting(urn(2), urn(1), 9, **order), urn(3)),
        entry(meeting(urn(2), urn(1), 10, **order), urn(4)),
    )
    assert bring(a__json=series) == {"created": 4}
    assert bring(a__json=series) == {"unchanged": 4}
    assert sorted(one["_id"] for one in stored("Appointment")) == [ident(3), ident(4)]


def test_what_is_not_stored_here_keeps_nothing_else_out(bring: Import, stored: Stored) -> None:
    why = {"reasonReference": [{"reference": urn(3)}]}
    came = bundle(
        entry({"resourceType": "Condition"}, urn(3)),
        entry(DOCTOR, urn(1)),
        entry(JOHN, urn(2)),
        entry(meeting(urn(2), urn(1), 9, **why), urn(4)),
    )
    assert bring(a__json=came) == {"created": 3, "refused": 1}
    assert stored("Appointment")[0]["reasonReference"] == [{"reference": f"Condition/{ident(3)}"}]


def test_nor_what_refers_to_an_entry_that_cannot_be_read(bring: Import, stored: Stored) -> None:
    broken = {**DOCTOR, "birthDate": None}
    came = bundle(entry(broken, urn(1)), entry(JOHN, urn(2)), entry(meeting(urn(2), urn(1)), urn(3)))
    assert bring(a__json=came) == {"created": 1, "refused": 2}
    assert stored("Appointment") == []
    assert "unresolved_reference" in {reason["code"] for reason in reasons(bring)}
    visit = entry(meeting(urn(2), urn(1), comment=None), urn(4))  # mended by itself, it would be nobody's
    assert bring(a__json=bundle(entry(JOHN, urn(2)), entry(broken, urn(1)), visit)) == {"refused": 2, "unchanged": 1}
    shown = [json.loads(json.loads(one)["resource"]) for one in bring.errors.read_text().splitlines()]
    assert visit in shown
    assert broken in shown


@pytest.mark.parametrize("url", [urn(7), "urn:oid:1.2.3", "https://his.example/fhir/Patient/17"])
def test_entries_that_share_a_full_url_are_refused_and_what_refers_to_it(
    bring: Import, stored: Stored, url: str
) -> None:
    other = {"resourceType": "Patient", "name": [{"family": "Auma"}]}
    alone = bundle(entry(JOHN, url))
    assert bring(alone__json=alone) == {"created": 1}  # nor does it mean who was stored by it before
    twice = url.upper() if url.startswith("urn:") else url
    came = bundle(entry(JOHN, url), entry(DOCTOR, urn(1)), entry(other, twice), entry(meeting(url, urn(1)), urn(3)))
    assert bring(a__json=came) == {"created": 1, "refused": 3}
    assert sorted(bring.refused()) == [(1, ["bdl-7"]), (3, ["bdl-7"]), (4, ["unresolved_reference"])]
    told = {one["message"]: one["param"] for one in reasons(bring) if one["code"] == "bdl-7"}
    assert told == {
        "Entry 3 has this fullUrl, too. Give each entry one of its own. (bdl-7)": "Bundle.entry[0].fullUrl",
        "Entry 1 has this fullUrl, too. Give each entry one of its own. (bdl-7)": "Bundle.entry[2].fullUrl",
    }
    assert [len(stored("Patient")), len(stored("Appointment"))] == [1, 0]


def test_ids_do_not_tell_which_of_two_a_shared_full_url_means(bring: Import, stored: Stored) -> None:
    two = [{"fullUrl": urn(7), "resource": {"resourceType": "Patient", "id": one}} for one in ("a", "b")]
    came = bundle(*two, {"fullUrl": urn(8), "resource": meeting(urn(7), "Practitioner/p")}, kind="collection")
    assert bring(a__ndjson=lines(PEOPLE[0]), b__json=came) == {"created": 1, "refused": 3}
    assert sorted(codes for _, codes in bring.refused()) == [["bdl-7"], ["bdl-7"], ["unresolved_reference"]]


def test_one_resource_may_be_there_twice_and_in_two_versions(bring: Import, stored: Stored) -> None:
    """Pages of a search that were joined: what stands on two of them is one, by its id."""
    url = "https://his.example/fhir/Patient/a"
    pages = [{"fullUrl": url, "resource": JOHN | {"id": "a"}}] * 2
    pages.append({"fullUrl": url, "resource": JOHN | {"id": "a", "active": True, "meta": {"versionId": "2"}}})
    assert bring(a__json=bundle(*pages, kind="collection")) == {"created": 1, "updated": 1, "unchanged": 1}


@pytest.mark.parametrize("url", [urn(7), "urn:oid:1.2.3", "https://his.example/fhir/messages/17"])
@pytest.mark.parametrize("ids", [({}, {}), ({"id": "a"}, {"id": "b"})])
def test_versions_of_what_is_not_one_by_its_id_are_two_that_share_a_full_url(
    bring: Import, stored: Stored, url: str, ids: tuple[Json, Json]
) -> None:
    """Else they come in as two people, and the visit as one of the second."""
    two = [
        {"fullUrl": url, "resource": {"resourceType": "Patient", "meta": {"versionId": version}} | one}
        for version, one in zip("12", ids, strict=True)
    ]
    came = bundle(*two, {"fullUrl": urn(8), "resource": meeting(url, "Practitioner/p")}, kind="collection")
    assert bring(a__ndjson=lines(PEOPLE[0]), b__json=came) == {"created": 1, "refused": 3}
    assert sorted(codes for _, codes in bring.refused()) == [["bdl-7"], ["bdl-7"], ["unresolved_reference"]]
    assert stored("Patient") == []


@pytest.mark.parametrize("url", ["https://his.example/fhir/Patient/alice", "https://his.example/fhir/Practitioner/bob"])
@pytest.mark.parametrize("patient", [{"id": "bob"}, {"id": "bob", "active": None}])
def test_a_full_url_that_is_the_address_of_another_means_nobody(
    bring: Import, stored: Stored, url: str, patient: Json
) -> None:
    """Else a visit of alice would come in as one of bob."""
    came = bundle(
        {"fullUrl": url, "resource": {"resourceType": "Patient"} | patient},
        {"fullUrl": "https://his.example/fhir/Appointment/x", "resource": meeting(url[25:], "Practitioner/p")},
        kind="collection",
    )
    assert bring(a__ndjson=lines(PEOPLE[0]), b__json=came) == {"created": 1, "refused": 2}
    told = [(reason["code"], reason["param"]) for reason in reasons(bring)]
    null, misnamed = ("null_value", "Bundle.entry[0].resource.active"), ("id_mismatch", "Bundle.entry[0].fullUrl")
    referring = ("unresolved_reference", "Appointment.participant[0].actor.reference")
    assert told == [null if "active" in patient else misnamed, referring]


def test_a_full_url_of_another_type_names_no_entry_without_an_id(bring: Import) -> None:
    came = bundle(entry(JOHN, "https://his.example/fhir/Practitioner/17"), entry(DOCTOR, "https://his.example/x/17"))
    assert bring(a__json=came) == {"created": 1, "refused": 1}
    assert bring.refused() == [(1, ["id_mismatch"])]


def test_what_a_search_says_of_itself_has_any_full_url(bring: Import) -> None:
    said = {"resource": {"resourceType": "OperationOutcome", "id": "x"}, "search": {"mode": "outcome"}}
    page = bundle({"fullUrl": "https://his.example/fhir/OperationOutcome/y"} | said, kind="searchset")
    assert bring(a__ndjson=lines(PEOPLE[0]), b__json=page) == {"created": 1}
