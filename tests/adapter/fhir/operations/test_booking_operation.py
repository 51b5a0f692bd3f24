"""``$book``, ``$cancel``, ``$reschedule``: versions, patients who are known, and refusals that name everything."""

from __future__ import annotations


from tests.adapter.fhir.door import HOST, get
from tests.adapter.fhir.operations.test_scheduling_operations import (
    clinic,
    find,
    first,
    only,
    operate,
    refused,
    status_of,
    visit,
)
from tests.adapter.mediloop.clinic import SARAH
from tests.conftest import Api

__all__ = ["clinic"]


# References to versions


async def test_a_reference_to_a_version_means_the_resource(api: Api) -> None:
    booked = only(await operate(api, "$book", appointment_resource=visit()), 201)
    version = f"{HOST}/Appointment/{booked['id']}/_history/1"
    assert (await find(api, practitioner={"reference": f"Practitioner/{SARAH}/_history/1"}))["total"] == 2
    ident = await first(api, practitioner=f"{HOST}/Practitioner/{SARAH}/_history/1")
    john = {"reference": "Patient/john/_history/1"}
    new = only(
        await operate(api, "$book", appt_id=f"Appointment/{ident}/_history/1", patient=john, cancelled_appt_id=version)
    )
    assert "Patient/john" in [one["actor"]["reference"] for one in new["participant"]]
    assert (await get(api, f"Appointment/{booked['id']}")).json()["status"] == "cancelled"
    moved = only(await operate(api, f"{new['id']}/$reschedule", slot=f"{HOST}/Slot/s3/_history/1"))
    assert moved["slot"] == [{"reference": "Slot/s3"}]


# Refusals


async def test_a_reason_for_overbooking_says_something(api: Api) -> None:
    only(await operate(api, "$book", appointment_resource=visit()), 201)
    for blank in (" ", "\t\n"):
        refused(await operate(api, "$book", appointment_resource=visit(), overbook=blank), 422, "blank_reason")
    assert await status_of(api, "s1") == ["busy"]
