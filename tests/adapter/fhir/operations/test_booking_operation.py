"""``$book``, ``$cancel``, ``$reschedule``: versions, patients who are known, and refusals that name everything."""

from __future__ import annotations


from tests.adapter.fhir.operations.test_scheduling_operations import (
    clinic,
    only,
    operate,
    refused,
    status_of,
    visit,
)
from tests.conftest import Api

__all__ = ["clinic"]


# Refusals


async def test_a_reason_for_overbooking_says_something(api: Api) -> None:
    only(await operate(api, "$book", appointment_resource=visit()), 201)
    for blank in (" ", "\t\n"):
        refused(await operate(api, "$book", appointment_resource=visit(), overbook=blank), 422, "blank_reason")
    assert await status_of(api, "s1") == ["busy"]
