"""What goes in comes out: the official examples of R4, and values that a library would have rewritten.

The files under ``examples`` follow the examples of the specification (https://hl7.org/fhir/R4/appointment-examples.html
and its neighbours, CC0). They are compared as parsed JSON, numbers and timestamps as text: ``1.10`` is not ``1.1`` and
``+00:00`` is not ``Z``.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Api
from tests.scale import examples

Json = dict[str, Any]
BASE = "/fhir/R4"
FOLDER = Path(__file__).parent / "examples"
# What is referred to comes before what refers to it.
ORDER = (
    "organization-example",
    "patient-example",
    "practitioner-example",
    "practitioner-example-f001-evdb",
    "relatedperson-example",
    "location-example",
    "healthcareservice-example",
    "practitionerrole-example",
    "schedule-example",
    "schedule-provider-location1-example",
    "schedule-provider-location2-example",
    "slot-example",
    "slot-example-busy",
    "slot-example-tentative",
    "slot-example-unavailable",
    "appointment-example",
    "appointment-example-request",
    "appointment-example2docs",
    "appointmentresponse-example",
    "appointmentresponse-example-req",
)


def parsed(raw: bytes | str) -> Json:
    """Read JSON with every number as its text, and without the meta that is the server's own."""
    found: Json = json.loads(raw, parse_float=lambda text: f"number {text}", parse_int=lambda text: f"number {text}")
    meta = {name: value for name, value in found.pop("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    return found | ({"meta": meta} if meta else {})


async def put(api: Api, raw: bytes | str) -> httpx.Response:
    """PUT a resource's JSON, byte for byte."""
    resource = json.loads(raw)
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/fhir+json"}
    return await api.http.put(f"{BASE}/{resource['resourceType']}/{resource['id']}", content=raw, headers=headers)


async def require_unchanged(api: Api, raw: bytes | str) -> None:
    """PUT a resource and find it again, as it was sent, wherever it is served."""
    answer = await put(api, raw)
    assert answer.status_code in (200, 201), answer.text
    assert parsed(answer.content) == parsed(raw)
    resource = answer.json()
    name = f"{resource['resourceType']}/{resource['id']}"
    read = await api.get(f"{BASE}/{name}")
    assert parsed(read.content) == parsed(raw)
    version = await api.get(f"{BASE}/{name}/_history/{resource['meta']['versionId']}")
    assert version.content == read.content
    found = await api.get(f"{BASE}/{resource['resourceType']}?_id={resource['id']}")
    assert read.content in found.content, "a search serves the same bytes"


def test_every_example_is_in_the_order() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(ORDER)


async def test_the_official_examples_come_out_as_they_went_in(api: Api) -> None:
    for name in ORDER:
        raw = (FOLDER / f"{name}.json").read_bytes()
        try:
            await require_unchanged(api, raw)
        except AssertionError as error:
            error.add_note(name)
            raise


async def test_they_are_found_by_what_they_say(api: Api) -> None:
    for name in ORDER:
        assert (await put(api, (FOLDER / f"{name}.json").read_bytes())).status_code == 201, name
    for search, expected in (
        ("Appointment?date=2013-12-10", {"example"}),
        ("Appointment?patient=Patient/example&status=proposed", {"examplereq"}),
        ("Appointment?practitioner=Practitioner/f202", {"2docs"}),
        ("Appointment?-date-or-req-period=ge2020-11&-date-or-req-period=lt2021", {"examplereq"}),
        ("Appointment?patient.birthdate=1974-12-25&patient.family=chalmers", {"example", "examplereq", "2docs"}),
        ("AppointmentResponse?appointment=Appointment/example", {"example"}),
        ("Slot?schedule=Schedule/example&status=free", {"example"}),
        ("Slot?schedule.actor=Location/1&start=ge2013-12-25T09:30:00Z", {"2", "3"}),
        ("Slot?identifier=http://example.org/slots/identifiers|123132", {"1"}),
        ("Schedule?actor=Location/3", {"exampleloc1"}),
        ("Schedule?date=2017-12-26", {"exampleloc2"}),
        ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|12345", {"example"}),
        ("Patient?phone=(03)%205555%206473", {"example"}),
        ("Practitioner?family=van den", {"f001"}),
        ("PractitionerRole?date=2012-02", set()),
        ("PractitionerRole?date=sa2011&specialty=408443003", {"example"}),
        ("RelatedPerson?name=du marche", {"benedicte"}),
        ("Location?near=42.25|-83.69|2|km", {"1"}),
        ("Organization?name=hl7", {"hl7"}),
        ("HealthcareService?service-type=394913002", {"example"}),
    ):
        found = await api.get(f"{BASE}/{search}")
        assert found.status_code == 200, found.text
        assert {one["resource"]["id"] for one in found.json().get("entry", ())} == expected, search


ODD = {
    "fraction": '{"resourceType":"Schedule","id":"odd","actor":[{"display":"x"}],'
    '"planningHorizon":{"start":"2024-01-20T09:00:00.100Z","end":"2024-01-20T09:00:00.1234567Z"}}',
    "offset": '{"resourceType":"Slot","id":"odd","schedule":{"reference":"Schedule/s"},"status":"busy-unavailable",'
    '"start":"2024-01-20T09:00:00+00:00","end":"2024-01-20T12:30:00.000+03:00"}',
    "decimals": '{"resourceType":"Location","id":"odd","name":"x","position":{"longitude":32.5810,"latitude":0.31360}}',
    "exponent": '{"resourceType":"Patient","id":"odd","extension":[{"url":"http://e.x/a","valueDecimal":1e2},'
    '{"url":"http://e.x/b","valueDecimal":1.10},{"url":"http://e.x/c","valueDecimal":-0.00},'
    '{"url":"http://e.x/d","valueDecimal":12345678901234567890.123456789012345678}]}',
    "primitive": '{"resourceType":"Patient","id":"odd","_birthDate":{"extension":[{"url":"http://e.x/why",'
    '"valueCode":"unknown"}]},"name":[{"given":["A",null,"C"],"_given":[null,{"id":"b","extension":[{"url":'
    '"http://e.x/masked","valueBoolean":true}]},null]}]}',
    "unicode": '{"resourceType":"Patient","id":"odd","name":[{"text":'
    '"Ṣẹ́gun 👩🏾‍⚕️ \\u0141ukasz \\ud83d\\ude00 \\"q\\" a\\/b"}]}',
    "partial": '{"resourceType":"Patient","id":"odd","birthDate":"1990-05","deceasedDateTime":"2024"}',
    "nested": '{"resourceType":"Patient","id":"odd","extension":[{"url":"http://e.x/a","extension":[{"url":"b",'
    '"valuePeriod":{"start":"2024-01-01T00:00:00-00:00"}},{"url":"c","valueQuantity":{"value":2.50,"unit":"h"}}]}]}',
    "meta": '{"resourceType":"Patient","id":"odd","meta":{"source":"urn:x#1","profile":["http://e.x/p|1.0"],"tag":'
    '[{"code":"t"}],"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]}}',
    "contained": '{"resourceType":"Schedule","id":"odd","contained":[{"resourceType":"Device","id":"d","udiCarrier":'
    '[{"deviceIdentifier":"1"}]}],"actor":[{"reference":"#d"}]}',
}


@pytest.mark.parametrize("name", ODD)
async def test_odd_values_come_out_as_they_went_in(api: Api, name: str) -> None:
    await put(api, '{"resourceType":"Schedule","id":"s","active":true,"actor":[{"display":"x"}]}')
    await require_unchanged(api, ODD[name])


# Generated: a Patient and an Appointment with extensions of any kind, texts of any kind, times of any kind.

_decimals = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,8})\.[0-9]{1,12}", fullmatch=True),
    st.from_regex(r"-?(0|[1-9][0-9]{0,3})([eE][+\-]?[0-9]{1,2})", fullmatch=True),
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})", fullmatch=True),
)
_zones = st.sampled_from(["Z", "+00:00", "-00:00", "+03:00", "-05:30", "+13:45"])
_instants = st.builds(
    lambda day, clock, fraction, zone: f"2024-{day}T{clock}{fraction}{zone}",
    st.sampled_from(["01-20", "02-29", "12-31"]),
    st.sampled_from(["00:00:00", "09:30:00", "23:59:59"]),
    st.sampled_from(["", ".1", ".100", ".000", ".123456789"]),
    _zones,
)
_texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), include_characters=" "), min_size=1, max_size=12
).filter(lambda text: text == text.strip() and text != "")
_MARK = re.compile(r'"number (.*?)"')


def _typed(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.builds(lambda url, value: {"url": f"http://e.x/{url}", name: value}, st.sampled_from("abc"), values)


_extensions = st.lists(
    st.one_of(
        _typed("valueDecimal", _decimals.map(lambda text: f"number {text}")),
        _typed("valueString", _texts),
        _typed("valueInstant", _instants),
        _typed("valueDateTime", st.one_of(_instants, st.sampled_from(["2024", "2024-02", "2024-02-29"]))),
        _typed("valueCodeableConcept", _texts.map(lambda text: {"text": text})),
    ),
    min_size=1,
    max_size=3,
)
_people = st.builds(
    lambda name, found, sibling: {
        "resourceType": "Patient",
        "extension": found,
        "name": [{"text": name, "_text": {"extension": sibling}}],
        "_birthDate": {"extension": sibling},
    },
    _texts,
    _extensions,
    _extensions,
)
_ENDS = {
    "01-20": "2024-01-22T00:00:00+00:00",
    "02-29": "2024-03-02T00:00:00.0-00:00",
    "12-31": "2025-01-02T00:00:00.00Z",
}
_visits = st.builds(
    lambda start, text, found: {
        "resourceType": "Appointment",
        "status": "proposed",
        "start": start,
        "end": _ENDS[start[5:10]],
        "created": "2023",
        "comment": text,
        "extension": found,
        "participant": [{"actor": {"display": text}, "status": "needs-action"}],
    },
    _instants,
    _texts,
    _extensions,
)
_numbers = itertools.count()


@given(resource=st.one_of(_people, _visits))
@settings(
    max_examples=examples(120),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_generated_values_come_out_as_they_went_in(api: Api, resource: Json) -> None:
    whole = resource | {"id": f"g{next(_numbers)}"}
    await require_unchanged(api, _MARK.sub(r"\1", json.dumps(whole, ensure_ascii=False)))
