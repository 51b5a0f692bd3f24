"""What has happened to an appointment is in its answers, and nothing of what has not (docs/mediloop.md)."""

from __future__ import annotations

from typing import Any

import pytest

from store.store import Store
from tests.adapter.mediloop.clinic import PATH, appointment, open_clinic, put
from tests.conftest import Api

HL7 = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"
_CANCELLED = ("cancellation_reason_code", "cancellation_reason_text", "cancelled_at")


@pytest.mark.parametrize("status", ["cancelled", "noshow"])
@pytest.mark.parametrize(
    ("reason", "code", "text"),
    [
        ({"coding": [{"system": HL7, "code": "pat"}], "text": "Ill"}, "patient-request", "Ill"),
        ({"text": "Ill"}, None, "Ill"),
        ({"coding": [{"system": HL7, "code": "pat"}]}, "patient-request", None),
    ],
)
async def test_a_reason_is_shown_whatever_of_it_is_stated(
    api: Api, store: Store, status: str, reason: Any, code: str | None, text: str | None
) -> None:
    await open_clinic(store)
    await put(store, appointment("a", status, cancelationReason=reason))
    shown = (await api.get(f"{PATH}a/")).json()
    assert {name: shown.get(name, "absent") for name in _CANCELLED} == {
        "cancellation_reason_code": code,
        "cancellation_reason_text": text,
        "cancelled_at": None,
    }


async def test_without_a_reason_only_who_was_cancelled_has_one_unset(api: Api, store: Store) -> None:
    await open_clinic(store)
    await put(store, appointment("a", "cancelled"), appointment("b", "noshow"), appointment("c", "booked"))
    for ident, has in (("a", True), ("b", False), ("c", False)):
        shown = (await api.get(f"{PATH}{ident}/")).json()
        assert [name in shown for name in _CANCELLED] == [has] * 3


@pytest.mark.parametrize(
    ("stated", "moved_at", "reason"),
    [
        ({"appointment-reschedule-reason": {"valueString": "Ill"}}, None, "Ill"),
        ({"appointment-rescheduled-at": {"valueDateTime": "2024-01-10T08:00:00Z"}}, "2024-01-10T08:00:00Z", None),
    ],
)
async def test_a_move_is_shown_whatever_of_it_is_stated(
    api: Api, store: Store, stated: dict[str, Any], moved_at: str | None, reason: str | None
) -> None:
    await open_clinic(store)
    extension = [{"url": f"https://mediloop.co/fhir/StructureDefinition/{name}"} | one for name, one in stated.items()]
    await put(store, appointment("a", "booked", extension=extension))
    shown = (await api.get(f"{PATH}a/")).json()
    members = ("rescheduled_at", "reschedule_reason")
    assert [shown.get(name, "absent") for name in members] == [moved_at, reason]
