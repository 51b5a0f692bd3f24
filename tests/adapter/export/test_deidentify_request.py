"""What the manifest of a de-identified ``$export`` says that was asked for: nothing that was filtered by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapter.export.exports import BASE, exported, put
from tests.conftest import Api, ApiMaker, ServiceMaker

_SECRETS = ("UG555555555Q", "pat-uniq-1", "ward-of-jane")


@pytest.fixture
async def masking(make_service: ServiceMaker, make_api: ApiMaker, tmp_path: Path) -> Api:
    service = make_service(data_dir=tmp_path, deidentify_key="a key of some length")
    await service.prepare()
    made: Api = await make_api(service)
    await put(made, "Patient", "pat-uniq-1")
    member = {"entity": {"reference": "Patient/pat-uniq-1"}}
    await put(made, "Group", "ward-of-jane", type="person", actual=True, member=[member])
    return made


_KINDS = "_type=Patient,Appointment"
_FILTERS = (
    "_typeFilter=Appointment%3Fpatient:identifier%3Dhttps://mediloop.co/fhir/sid/uhid%7CUG555555555Q"
    "&_typeFilter=Patient%3F_id%3Dpat-uniq-1"
)
_MASKED = "_typeFilter=(masked)&_typeFilter=(masked)"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("$export?_deidentify=true", "$export?_deidentify=true"),
        (f"$export?_deidentify=true&{_KINDS}&{_FILTERS}", f"$export?_deidentify=true&{_KINDS}&{_MASKED}"),
        (
            f"Patient/$export?{_KINDS}&{_FILTERS}&_deidentify=True",
            f"Patient/$export?{_KINDS}&{_MASKED}&_deidentify=True",
        ),
        ("Group/ward-of-jane/$export?_deidentify=true", "Group/(masked)/$export?_deidentify=true"),
        (
            "$export?_deidentify=true&_since=2024-01-01T00:00:00Z&_elements=id&_outputFormat=ndjson&subject=pat-uniq-1",
            "$export?_deidentify=true&_since=2024-01-01T00:00:00Z&_elements=id&_outputFormat=ndjson&subject=(masked)",
        ),
    ],
)
async def test_the_request_is_told_without_what_was_filtered_by(masking: Api, path: str, said: str) -> None:
    manifest = await exported(masking, path, headers={"Prefer": "respond-async, handling=lenient"})
    assert manifest["request"] == f"{BASE}/{said}"
    assert not [one for one in _SECRETS if one in str(manifest)]


async def test_it_is_told_as_it_was_where_nothing_is_to_be_hidden(masking: Api) -> None:
    manifest = await exported(masking, f"$export?_deidentify=false&{_KINDS}&_typeFilter=Patient%3F_id%3Dpat-uniq-1")
    assert manifest["request"].endswith("_typeFilter=Patient%3F_id%3Dpat-uniq-1")


async def test_parameters_that_were_posted_are_not_told(masking: Api) -> None:
    posted = [
        {"name": "_deidentify", "valueBoolean": True},
        {"name": "patient", "valueReference": {"reference": "Patient/pat-uniq-1"}},
    ]
    body = {"resourceType": "Parameters", "parameter": posted}
    manifest = await exported(masking, "Group/ward-of-jane/$export", body)
    assert manifest["request"] == f"{BASE}/Group/(masked)/$export"
