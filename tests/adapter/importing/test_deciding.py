"""What a batch that is imported is decided by: what is stored at that moment."""

from __future__ import annotations

import pytest

from adapter.importing.checking import Ready
from adapter.importing.deciding import Writer
from store.store import Store
from tests.adapter.fhir.door import call
from tests.adapter.mediloop.clinic import JAMES, UHID, appointment, open_clinic
from tests.conftest import Api

pytestmark = pytest.mark.untraced


async def test_an_import_looks_again_for_who_was_there_before(api: Api, store: Store) -> None:
    await open_clinic(store)
    writer = Writer(api.service, store)

    def brought(ident: str) -> Ready:
        members = {"id": ident, "patient_uhid": UHID, "practitioner_id": JAMES, "status": "booked"}
        visit = appointment(ident, start=f"2024-03-0{ident}T10:00")
        return Ready("Appointment", ident, True, [], visit, members=members)

    assert await writer.write([brought("1")]) == ["created"]
    assert (await call(api, "DELETE", "Appointment/1")).status_code == 204
    assert (await call(api, "DELETE", f"Practitioner/{JAMES}")).status_code == 204
    [result] = await writer.write([brought("2")])
    assert not isinstance(result, str)
    assert [problem.code for problem in result.problems] == ["unknown_practitioner"]
