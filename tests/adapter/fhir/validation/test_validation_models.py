"""The models are asked once about each shape, and about every new one."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from adapter.fhir.validation import check, models
from adapter.fhir.validation.findings import Findings

SLOT: dict[str, Any] = {
    "resourceType": "Slot",
    "schedule": {"reference": "Schedule/s"},
    "status": "free",
    "start": "2026-01-05T09:00:00Z",
    "end": "2026-01-05T09:30:00Z",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down what the models are asked about, from no knowledge of any shape."""
    seen: list[str] = []
    real = models.check_model

    def noted(resource: Any, kind: str, findings: Findings) -> None:
        seen.append(kind)
        real(resource, kind, findings)

    monkeypatch.setattr(models, "check_model", noted)
    monkeypatch.setattr(models, "_approved", set())
    return seen


def test_other_values_in_the_same_shape_are_not_asked_about_again(asked: list[str]) -> None:
    assert check(SLOT) == check({**SLOT, "status": "busy", "start": "2026-01-05T08:00:00Z"}) == []
    assert asked == ["Slot"]


def test_another_member_another_item_or_another_contained_type_is(asked: list[str]) -> None:
    several = [
        SLOT,
        {**SLOT, "comment": "c"},
        {**SLOT, "specialty": [{"text": "a"}]},
        {**SLOT, "specialty": [{"text": "a"}, {"text": "b"}]},
        *(
            {
                **SLOT,
                "contained": [{"resourceType": kind, "id": "c"}],
                "extension": [{"url": "urn:x", "valueReference": {"reference": "#c"}}],
            }
            for kind in ("Practitioner", "Patient")
        ),
    ]
    for resource in several:
        assert check(deepcopy(resource)) == []
    assert asked == ["Slot"] * len(several)


def test_what_was_refused_is_asked_about_again(asked: list[str]) -> None:
    # The walk lets this pass only here: the models are called as if it had.
    broken = {**SLOT, "status": {"no": "code"}}
    for _ in range(2):
        findings = Findings()
        models.check_shape(broken, "Slot", findings)
        assert findings.problems
    assert asked == ["Slot", "Slot"]


@pytest.mark.parametrize(
    "extension",
    [
        {"url": "urn:x", "valueUuid": "urn:uuid:018f3b1e-4b0c-7c37-a7ae-0c60c1f3d3a4"},
        {"url": "urn:x", "valueUuid": "urn:uuid:6fa459ea-ee8a-1ca4-894e-db77e160355e"},
        {"url": "urn:x", "valueString": "\u2028"},
        {"url": "urn:x", "valueCode": "\u3000a"},
    ],
    ids=["a UUID of version 7", "a UUID of version 1", "a line separator alone", "a code after a wide space"],
)
def test_a_value_is_judged_the_same_whether_its_shape_is_known_or_not(
    extension: dict[str, str], asked: list[str]
) -> None:
    slot = {**SLOT, "extension": [extension]}
    assert (check(slot), check(slot)) == ([], [])
    assert asked == ["Slot"]


def test_shapes_are_forgotten_before_they_fill_the_memory(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_SHAPES", 1)
    for resource in (SLOT, {**SLOT, "comment": "c"}, SLOT):
        assert check(resource) == []
    assert asked == ["Slot"] * 3


def test_of_a_long_list_one_item_of_each_shape_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    real = models.check_model

    def noted(resource: Any, kind: str, findings: Findings) -> None:
        seen.append(resource)
        real(resource, kind, findings)

    monkeypatch.setattr(models, "check_model", noted)
    monkeypatch.setattr(models, "_approved", set())
    named = [{"text": str(number)} for number in range(99)]
    coded = [{"coding": [{"code": str(number)}]} for number in range(99)]
    assert check({**SLOT, "specialty": [*named, *coded]}) == []
    assert [len(one["specialty"]) for one in seen] == [2]
    assert check({**SLOT, "specialty": [*named, *named, *coded]}) == []
    assert len(seen) == 1
    odd = [{"code": "x", "text": 1}]
    findings = Findings()
    models.check_shape({**SLOT, "specialty": [*named, *odd]}, "Slot", findings)  # the walk would not have let it pass
    assert [one.param for one in findings.problems] == ["Slot.specialty[99].text"]
