"""``_include`` and ``_revinclude``, against a real MongoDB (https://hl7.org/fhir/R4/search.html#include)."""

from __future__ import annotations

import threading

import pytest

from store.codec import Resource, decode
from store.search import includes, versions
from store.store import Store
from tests.store.search.support import (
    BASE,
    appointment,
    ids,
    included,
    page,
    parsed,
    put,
    reading,
    refusal,
    resource,
    schedule,
    slot,
)
from tests.store.support import change


@pytest.fixture
async def clinic(store: Store) -> Store:
    """Three appointments, with people and slots around them."""
    await put(
        store,
        resource("Patient", "p", managingOrganization={"reference": "Organization/o"}),
        resource("Practitioner", "d"),
        resource("Location", "l", partOf={"reference": "Location/m"}),
        resource("Location", "m", partOf={"reference": "Location/l"}),
        resource("Organization", "o", partOf={"reference": "Organization/top"}),
        resource("Organization", "top"),
        resource("Organization", "ward", partOf={"reference": "Organization/o"}),
        schedule("s", "Practitioner/d", f"{BASE}/Location/l"),
        slot("1", "s"),
        slot("2", "s"),
        appointment(
            "a", "2026-01-10T09:00:00Z", "Patient/p", "Practitioner/d", "Location/l", slot=[{"reference": "Slot/1"}]
        ),
        appointment("b", "2026-01-11T09:00:00Z", f"{BASE}/Patient/p", "Practitioner/gone", "Device/x"),
        appointment("c", "2026-01-12T09:00:00Z", "http://elsewhere/Patient/p", "#p", "urn:uuid:1"),
        resource("AppointmentResponse", "r", appointment={"reference": "Appointment/a"}, participantStatus="accepted"),
    )
    return store


@pytest.mark.parametrize(
    ("kind", "query", "expected"),
    [
        ("Appointment", "_id=a&_include=Appointment:patient", "Patient/p"),
        ("Appointment", "_id=b&_include=Appointment:patient", "Patient/p"),
        ("Appointment", "_id=b&_include=Appointment:practitioner", ""),
        ("Appointment", "_id=c&_include=*", ""),
        ("Appointment", "_id=a&_include=Appointment:patient&_include=Appointment:slot", "Patient/p Slot/1"),
        ("Appointment", "_id=a&_include=Appointment:actor", "Patient/p Practitioner/d Location/l"),
        ("Appointment", "_id=a&_include=Appointment:actor:Location", "Location/l"),
        ("Appointment", "_id=a&_include=Appointment:*", "Patient/p Practitioner/d Location/l Slot/1"),
        ("Appointment", "_id=a&_include=*", "Patient/p Practitioner/d Location/l Slot/1"),
        ("Appointment", "_include=Appointment:slot&_include:iterate=Slot:schedule", "Slot/1 Schedule/s"),
        (
            "Appointment",
            "_include=Appointment:slot&_include:iterate=Slot:schedule&_include:recurse=Schedule:actor:Practitioner",
            "Slot/1 Schedule/s Practitioner/d",
        ),
        ("Location", "_id=l&_include=Location:partof", "Location/m"),
        ("Location", "_id=l&_include:iterate=Location:partof", "Location/m"),
        ("Organization", "_id=ward&_include=Organization:partof", "Organization/o"),
        ("Organization", "_id=ward&_include:iterate=Organization:partof", "Organization/o Organization/top"),
        (
            "Patient",
            "_include=Patient:organization&_include:iterate=Organization:partof",
            "Organization/o Organization/top",
        ),
        ("Patient", "_include=Patient:organization", "Organization/o"),
        ("Patient", "_include:iterate=*", "Organization/o Organization/top"),
        ("Slot", "_id=1&_revinclude=Appointment:slot", "Appointment/a"),
        ("Slot", "_id=1&_revinclude=Appointment:*", "Appointment/a"),
        ("Slot", "_id=1&_revinclude=*", "Appointment/a"),
        ("Slot", "_id=2&_revinclude=Appointment:slot", ""),
        ("Patient", "_revinclude=Appointment:patient", "Appointment/a Appointment/b"),
        ("Patient", "_revinclude=Appointment:actor:Patient", "Appointment/a Appointment/b"),
        (
            "Patient",
            "_revinclude=Appointment:patient&_revinclude:iterate=AppointmentResponse:appointment",
            "Appointment/a Appointment/b AppointmentResponse/r",
        ),
        ("Schedule", "_revinclude=Slot:schedule&_include=Schedule:actor", "Slot/1 Slot/2 Practitioner/d Location/l"),
        (
            "Slot,Patient",
            "_id=1,p&_revinclude=Appointment:slot&_include=Patient:organization",
            "Appointment/a Organization/o",
        ),
    ],
)
async def test_what_comes_with_the_matches(clinic: Store, kind: str, query: str, expected: str) -> None:
    assert await included(clinic, kind, query) == set(expected.split())


async def test_what_is_included_is_never_counted(clinic: Store) -> None:
    found = await page(clinic, "Appointment", "_count=1&_include=Appointment:actor&date=ge2026")
    assert found.total == 3
    assert [(one.kind, one.mode) for one in found.entries] == [
        ("Appointment", "match"),
        ("Patient", "include"),
        ("Practitioner", "include"),
        ("Location", "include"),
    ]
    assert await ids(clinic, "Location", "_id=l&_include:iterate=Location:partof") == ["l"]


async def test_a_version_that_is_referred_to_and_not_included_is_told(clinic: Store) -> None:
    await change(clinic, "Patient", "p", active=True)
    await put(
        clinic,
        appointment("old", "2026-02-01T09:00:00Z", f"{BASE}/Patient/p/_history/1", "Practitioner/d/_history/1"),
        appointment("new", "2026-02-02T09:00:00Z", "Patient/p/_history/2", "http://elsewhere/Patient/p/_history/1"),
        resource("AppointmentResponse", "o", appointment={"reference": "Appointment/old"}),
    )
    for kind, query in (
        ("Appointment", "_include=Appointment:patient"),
        ("Appointment", "_include=*&_include=Appointment:patient"),
        ("AppointmentResponse", "_include=AppointmentResponse:appointment&_include:iterate=Appointment:actor:Patient"),
        ("Patient", "_revinclude=Appointment:patient&_include:iterate=Appointment:patient"),
    ):
        (note,) = (await page(clinic, kind, query)).notes
        assert (note.code, note.parameter) == ("not-supported", "_include")
        assert "another one: Patient/p/_history/1." in note.text
    for query in ("_id=new&_include=*", "_id=old&_include=Appointment:practitioner"):
        assert (await page(clinic, "Appointment", query)).notes == ()
    assert (await page(clinic, "Patient", "_revinclude=Appointment:patient")).notes == ()
    hidden = reading(readable=lambda kind: kind != "Patient")
    (note,) = (await page(clinic, "Appointment", "_id=old&_include=Appointment:patient", hidden)).notes
    assert note.code == "forbidden"


async def test_a_version_of_anything_is_told_beside_what_has_no_address(clinic: Store) -> None:
    letter: Resource = {"display": "A letter"}
    versioned = [{"reference": f"{name}/_history/7"} for name in ("Organization/o", "Location/l")]
    await put(
        clinic, appointment("old", "2026-02-01T09:00:00Z", "Patient/p", supportingInformation=[letter, *versioned])
    )
    place = "Location/l/_history/7"
    for what, told in (("", f"Organization/o/_history/7, {place}"), (":Location", place)):
        (note,) = (await page(clinic, "Appointment", f"_id=old&_include=Appointment:supporting-info{what}")).notes
        assert f"another one: {told}." in note.text


async def test_of_many_versions_some_are_named(store: Store) -> None:
    idents = [f"p{number:02}" for number in range(12)]
    await put(store, *(resource("Patient", one) for one in idents))
    versioned = [f"Patient/{one}/_history/7" for one in idents]
    await put(store, appointment("a", "2026-02-01T09:00:00Z", *versioned))
    (note,) = (await page(store, "Appointment", "_include=Appointment:patient")).notes
    assert f"{', '.join(versioned[:10])} and 2 more." in note.text


async def test_for_versions_only_who_refers_to_them_is_read_and_once_beside_other_requests(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, resource("Patient", "p"))
    versioned = [f"Patient/p/_history/{number}" for number in range(2, 52)]
    await put(store, appointment("a", "2026-02-01T09:00:00Z", *versioned))
    await put(store, appointment("b", "2026-02-01T09:00:00Z", "Patient/p"))
    read: list[tuple[str, bool]] = []

    def noted(raw: bytes) -> Resource:
        found = decode(raw)
        read.append((found["id"], threading.current_thread() is threading.main_thread()))
        return found

    monkeypatch.setattr(versions, "decode", noted)
    (note,) = (await page(store, "Appointment", "_include=Appointment:patient")).notes
    assert f"{', '.join(versioned[:10])} and 40 more." in note.text
    assert read == [("a", False)]


async def test_only_what_may_be_read_is_included(clinic: Store) -> None:
    hidden = reading(readable=lambda kind: kind not in ("Patient", "AppointmentResponse"))
    found = await page(clinic, "Appointment", "_id=a&_include=Appointment:actor", hidden)
    assert {one.kind for one in found.entries} == {"Appointment", "Practitioner", "Location"}
    (note,) = found.notes
    assert (note.code, note.parameter) == ("forbidden", "_include")
    assert "Patient" in note.text
    search = parsed("Appointment", "_id=a&_revinclude=AppointmentResponse:appointment", hidden)
    assert search.includes == ()
    assert [note.code for note in search.ignored] == ["forbidden"]
    assert ("_revinclude", "AppointmentResponse:appointment") not in search.used
    strict = reading(strict=True, readable=hidden.readable)
    assert parsed("Appointment", "_id=a&_revinclude=AppointmentResponse:appointment", strict).ignored


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_include", "Appointment:foo"),
        ("_include", "Appointment:status"),
        ("_include", "Foo:bar"),
        ("_include", "Appointment"),
        ("_include", "Appointment:actor:Organization"),
        ("_include", "Slot:schedule"),
        ("_include", "Appointment:patient,Appointment:slot"),
        ("_revinclude", "Provenance:target"),
        ("_revinclude", "Slot:schedule"),
    ],
)
def test_what_is_unknown_is_left_out_or_refused(name: str, value: str) -> None:
    search = parsed("Appointment", f"{name}={value}")
    assert search.includes == ()
    assert search.used == ()
    (note,) = search.ignored
    assert note.code == "not-supported"
    assert f"{name}={value}" in note.text
    assert refusal("Appointment", f"{name}={value}", reading(strict=True)) == (note,)


async def test_a_page_includes_so_many_and_says_what_is_missing(clinic: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(includes, "MOST", 2)
    found = await page(clinic, "Schedule", "_revinclude=Slot:schedule&_include=Schedule:actor")
    assert len(found.entries) == 3
    assert [note.code for note in found.notes] == ["too-costly"]
    found = await page(clinic, "Schedule", "_revinclude=Slot:schedule")
    assert len(found.entries) == 3
    assert found.notes == ()
    found = await page(clinic, "Appointment", "_id=a&_include=Appointment:actor")
    assert len(found.entries) == 3
    assert len(found.notes) == 1


async def test_a_page_includes_so_many_bytes_and_says_what_is_missing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, schedule("s"), *(slot(ident, comment="x" * 1_000) for ident in "abc"))
    raw = await store.read("Slot", "a")
    assert raw is not None
    for most, shown in ((3 * len(raw), 3), (3 * len(raw) - 1, 2), (2 * len(raw), 2), (len(raw), 1), (5, 0)):
        monkeypatch.setattr(includes, "PAGE_BYTES", most)
        found = await page(store, "Schedule", "_revinclude=Slot:schedule&_revinclude=Appointment:slot")
        assert [one.mode for one in found.entries] == ["match", *["include"] * shown]
        assert [note.code for note in found.notes] == ["too-costly"] * (shown < 3)


async def test_what_is_missing_of_one_type_is_told_though_another_is_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "x" * 1_000
    await put(store, *(resource("Practitioner", ident, comment=text) for ident in "abc"), resource("Location", "l"))
    named = [f"Practitioner/{ident}" for ident in "abc"]
    await put(store, schedule("more", *named, "Location/l"), schedule("gone", *named, "Location/none"))
    for limit, most in (("PAGE_BYTES", 2_500), ("MOST", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(includes, limit, most)
            for ident in ("more", "gone"):
                found = await page(store, "Schedule", f"_id={ident}&_include=Schedule:actor")
                assert [note.code for note in found.notes] == ["too-costly"]
                assert {one.kind for one in found.entries} == {"Schedule", "Practitioner"}


async def test_what_is_there_already_leaves_room_for_its_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "x" * 1_000
    ring = {"partOf": {"reference": "Location/a"}, "managingOrganization": {"reference": "Organization/o"}}
    await put(store, *(resource("Location", ident, comment=text, **ring) for ident in "abcxy"))
    await put(store, resource("Organization", "o", comment=text))
    monkeypatch.setattr(includes, "PAGE_BYTES", 3_000)
    asked = "_id=a,b,c&_revinclude=Location:partof"
    found = await page(store, "Location", asked)
    assert [one.ident for one in found.entries if one.mode == "include"] == ["x", "y"]
    assert found.notes == ()
    found = await page(store, "Location", f"{asked}&_include=Location:organization")
    assert [note.code for note in found.notes] == ["too-costly"]
    monkeypatch.setattr(includes, "PAGE_BYTES", 4_500)
    assert (await page(store, "Location", f"{asked}&_include=Location:organization")).notes == ()


async def test_what_is_there_already_leaves_room_for_what_is_not(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(includes, "MOST", 2)
    await put(store, *(resource("Location", ident, partOf={"reference": "Location/a"}) for ident in "abcxy"))
    found = await page(store, "Location", "_id=a,b,c&_revinclude=Location:partof")
    assert [(one.ident, one.mode) for one in found.entries[3:]] == [("x", "include"), ("y", "include")]
    assert found.notes == ()


async def test_what_is_not_stored_leaves_room_for_what_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(includes, "MOST", 3)
    monkeypatch.setattr(includes, "MOST_SOUGHT", 10)
    group = {"type": "person", "actual": True}
    for ident, others in (("few", 7), ("many", 8)):
        names = [*(f"Patient/none{number}" for number in range(others)), "Patient/a", "Patient/b", "Patient/c"]
        await put(store, resource("Group", ident, member=[{"entity": {"reference": name}} for name in names], **group))
    await put(store, *(resource("Patient", ident) for ident in "abc"))
    found = await page(store, "Group", "_id=few&_include=Group:member")
    assert [one.ident for one in found.entries] == ["few", "a", "b", "c"]
    assert found.notes == ()
    found = await page(store, "Group", "_id=many&_include=Group:member")
    assert [one.ident for one in found.entries] == ["many", "a", "b"]
    (note,) = found.notes
    assert note.code == "too-costly"
    assert "looked for" in note.text


async def test_what_is_followed_on_is_followed_though_not_all_was_looked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(includes, "MOST_SOUGHT", 1)
    group = {"type": "person", "actual": True}
    members = [{"entity": {"reference": f"Patient/{ident}"}} for ident in "ab"]
    await put(
        store,
        resource("Group", "g", member=members, **group),
        resource("Patient", "a", managingOrganization={"reference": "Organization/o"}),
        resource("Organization", "o"),
    )
    query = "_id=g&_include=Group:member&_include:iterate=Patient:organization"
    assert await included(store, "Group", query) == {"Patient/a", "Organization/o"}
    (note,) = (await page(store, "Group", query)).notes
    assert "looked for" in note.text
