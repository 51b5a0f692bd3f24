"""Names that entries have for each other: replaced where FHIR means them, and nowhere else."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from adapter.fhir.references import Names, Rewriting, Urn, rewriting
from tests.adapter.fhir.bundles.sending import ROOT, urn

Json = dict[str, Any]
URN, OID = urn(1), "urn:oid:1.2.3"
SECURE = ROOT.replace("http:", "https:")
TABLE = {URN: "Patient/new", OID: "Patient/other", f"{ROOT}/Patient/temp": "Patient/new"}


def rewritten(resource: Json) -> Json:
    before = copy.deepcopy(resource)
    found = rewriting(TABLE).resource(resource)
    assert resource == before, "what was sent is left as it is: the transaction may be run again"
    return found


def test_references_anywhere() -> None:
    visit = {
        "resourceType": "Appointment",
        "participant": [
            {"actor": {"reference": URN, "display": URN}, "status": "accepted"},
            {"actor": {"reference": f"{ROOT}/Patient/temp"}, "status": "accepted"},
            {"actor": {"reference": "Patient/1"}, "status": "accepted"},
        ],
        "reasonReference": [{"reference": OID}],
        "extension": [{"url": "urn:e", "valueReference": {"reference": URN}}],
        "contained": [
            {"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": URN}},
            {"resourceType": "Unheard", "patient": {"reference": URN}},
        ],
        "_status": {"extension": [{"url": "urn:e", "valueUri": URN}]},
    }
    found = rewritten(visit)
    assert [one["actor"]["reference"] for one in found["participant"]] == ["Patient/new", "Patient/new", "Patient/1"]
    assert found["participant"][0]["actor"]["display"] == URN
    assert found["reasonReference"] == [{"reference": "Patient/other"}]
    assert found["extension"][0]["valueReference"] == {"reference": "Patient/new"}
    assert found["contained"][0]["patient"] == {"reference": "Patient/new"}
    assert found["contained"][1]["patient"] == {"reference": URN}
    assert found["_status"]["extension"][0]["valueUri"] == "Patient/new"
    assert found["participant"][2] is visit["participant"][2]  # type: ignore[index]


def test_only_what_may_hold_an_address() -> None:
    kept = {
        "resourceType": "Patient",
        "meta": {"profile": [URN], "tag": [{"display": URN, "code": URN}]},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": URN}],
        "name": [{"text": URN}],
        "extension": [
            {"url": "urn:e", "valueCanonical": URN},
            {"url": "urn:e", "valueString": URN},
            {"url": "urn:e", "valueId": URN},
            {"url": "urn:e", "valueUuid": URN},
            {"url": "urn:e", "valueOid": OID},
        ],
        "managingOrganization": {"reference": "#o", "type": URN},
        "birthDate": 7,
        "photo": None,
        "unheard": URN,
        "active": {"reference": URN},
        "gender": [URN],
        "contact": [URN, None],
        "maritalStatus": URN,
    }
    assert rewritten(kept) is kept
    moved = {"resourceType": "Patient", "meta": {"source": URN}, "photo": [{"url": URN}]}
    assert rewritten(moved) == {
        "resourceType": "Patient",
        "meta": {"source": "Patient/new"},
        "photo": [{"url": "Patient/new"}],
    }


def test_links_of_the_narrative() -> None:
    div = (
        '<div xmlns="http://www.w3.org/1999/xhtml"><a href="{0}">{1}</a><img src=\'{0}\' alt="{1}"/><a name="x"/></div>'
    )
    text = {"status": "generated", "div": div.format(URN, URN)}
    found = rewritten({"resourceType": "Patient", "text": text})
    assert found["text"]["div"] == div.format("Patient/new", URN)


def test_in_copies_only_what_is_called_otherwise_changes_in_a_uri() -> None:
    own, temp = f"{ROOT}/Patient/new", f"{ROOT}/Patient/temp"
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><a href="{0}">{0}</a></div>'
    came = {
        "resourceType": "Patient",
        "meta": {"source": own},
        "photo": [{"url": temp}],
        "text": {"div": div.format(own)},
        "generalPractitioner": [{"reference": own}],
    }
    found = rewriting({**TABLE, own: "Patient/new"}, copied=True).resource(came)
    assert found == came | {"photo": [{"url": "Patient/new"}], "generalPractitioner": [{"reference": "Patient/new"}]}


def test_a_reference_to_a_version_stays_one() -> None:
    walk = rewriting(TABLE)
    found = walk.resource({"resourceType": "Slot", "schedule": {"reference": f"{URN}/_history/7"}})
    assert found["schedule"] == {"reference": "Patient/new/_history/1"}
    assert walk.versioned == {"Patient/new"}
    kept = {"resourceType": "Slot", "schedule": {"reference": "Schedule/1/_history/7"}}
    assert walk.resource(kept) is kept


@pytest.mark.parametrize(
    ("walk", "text"),
    [
        (rewriting(TABLE, version="9"), "Patient/new/_history/9"),
        (rewriting(TABLE, version=""), "Patient/new"),
        (rewriting(TABLE, copied=True), "Patient/new/_history/7"),
    ],
)
def test_which_version_that_is(walk: Rewriting, text: str) -> None:
    found = walk.resource({"resourceType": "Slot", "schedule": {"reference": f"{URN}/_history/7"}})
    assert found["schedule"] == {"reference": text}


def test_conditional_references_are_noted_with_their_places() -> None:
    walk = rewriting({})
    visit = {
        "resourceType": "Appointment",
        "slot": [{"reference": "Slot/1"}, {"reference": "Slot?identifier=a|b"}],
        "participant": [{"actor": {"reference": "Patient?identifier=x"}}],
        "comment": "Patient?identifier=x",
    }
    assert walk.resource(visit) is visit
    assert [(one.text, one.where) for one in walk.conditionals] == [
        ("Slot?identifier=a|b", "Appointment.slot[1].reference"),
        ("Patient?identifier=x", "Appointment.participant[0].actor.reference"),
    ]


def test_names_that_no_entry_has_are_noted_with_their_places() -> None:
    walk = rewriting(TABLE)
    other, oid = urn(2), "URN:OID:1.2.4"
    visit = {
        "resourceType": "Appointment",
        "participant": [{"actor": {"reference": URN}}, {"actor": {"reference": other}}],
        "reasonReference": [{"reference": oid}, {"reference": f"{other}/_history/1"}, {"reference": "urn:isbn:1"}],
        "identifier": [{"system": other, "value": other}],
        "extension": [{"url": "urn:e", "valueUri": other}, {"url": "urn:e", "valueExpression": {"reference": other}}],
    }
    walk.resource(visit)
    assert walk.urns == [
        Urn(other, "Appointment.participant[1].actor.reference"),
        Urn(oid, "Appointment.reasonReference[0].reference"),
        Urn(f"{other}/_history/1", "Appointment.reasonReference[1].reference"),
    ]


def test_a_uuid_is_the_same_in_capitals() -> None:
    names = Names(ROOT)
    mixed = "urn:uuid:0C3151BD-1cbf-4d64-b04d-cd9187a4c6e0"
    names.add(mixed, "Patient/new")
    walk = rewriting(names.seen_from(None))
    for text in (mixed, mixed.lower(), mixed.upper()):
        found = walk.resource({
            "resourceType": "Patient",
            "meta": {"source": text},
            "link": [{"other": {"reference": text}}, {"other": {"reference": f"{text}/_history/1"}}],
            "text": {"div": f'<a href="{text}">x</a>'},
        })  # fmt: skip
        assert found == {
            "resourceType": "Patient",
            "meta": {"source": "Patient/new"},
            "link": [{"other": {"reference": "Patient/new"}}, {"other": {"reference": "Patient/new/_history/1"}}],
            "text": {"div": '<a href="Patient/new">x</a>'},
        }
    assert not walk.urns


@pytest.mark.parametrize("resource", [{}, {"resourceType": 7}, {"resourceType": "Unheard", "uri": URN}])
def test_what_is_no_resource_is_left_to_validation(resource: Json) -> None:
    assert rewritten(resource) is resource


def test_short_names_mean_what_is_below_the_same_root() -> None:
    names = Names(ROOT)
    names.add("http://a.example/fhir/Patient/1", "Patient/from-a")
    names.add(f"{ROOT}/Patient/2", "Patient/ours")
    names.add("Patient/3", "Patient/bare")
    names.add(URN, "Patient/unnamed")
    everywhere = {
        "http://a.example/fhir/Patient/1": "Patient/from-a",
        f"{ROOT}/Patient/2": "Patient/ours",
        f"{SECURE}/Patient/2": "Patient/ours",
        "Patient/3": "Patient/bare",
        URN: "Patient/unnamed",
    }
    assert names.seen_from("http://a.example/fhir/Slot/9") == everywhere | {"Patient/1": "Patient/from-a"}
    for ours in (None, urn(5), f"{ROOT}/Slot/9", f"{SECURE}/Slot/9", "Slot/9"):
        assert names.seen_from(ours) == everywhere | {"Patient/2": "Patient/ours"}
    assert names.seen_from("https://b.example/Slot/9") == everywhere
