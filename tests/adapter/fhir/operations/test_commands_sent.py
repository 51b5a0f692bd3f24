"""What a hold and its booking send to MongoDB: docs/performance.md tells how many commands that is."""

from __future__ import annotations

from pathlib import Path

from pymongo import monitoring

from adapter.service import assemble
from store.connection import connect
from tests.adapter.fhir.door import call
from tests.adapter.mediloop.clinic import MULAGO, SARAH, location, patient, practitioner, put, schedule, slot
from tests.conftest import Api, ApiMaker, Clock
from tests.store.support import Listener

PAGE = Path(__file__).parents[4] / "docs" / "performance.md"
HOLD = ["find"] * 3 + ["aggregate", "find", "update", "update", "insert", "insert", "delete"]
BOOK = ["find", "aggregate", "find", "update", "update", "insert"]
WINDOW = "start=2024-01-20T00:00:00Z&end=2024-01-21T00:00:00Z"


class Sent(Listener):
    """The names of the commands that a client sends."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.names.append(event.command_name)


async def test_a_hold_and_its_booking_send_what_the_page_says(
    api: Api, mongodb_uri: str, make_api: ApiMaker, clock: Clock
) -> None:
    await put(
        api.service.stores["test"],
        practitioner(SARAH, "Dr. Sarah Nakamya"),
        patient("john", "UG123456789A", "John Doe"),
        location(MULAGO, "Mulago Hospital"),
        schedule("sarah", f"Practitioner/{SARAH}", f"Location/{MULAGO}"),
        slot("s1", "2024-01-20T10:00", "2024-01-20T10:30"),
    )
    sent = Sent()
    watched = assemble(api.service.settings, connect(mongodb_uri, listeners=[sent]), clock)
    try:
        door: Api = await make_api(watched)
        found = await call(door, "GET", f"Appointment/$find?{WINDOW}&patient-reference=Patient/john")
        ident = found.json()["entry"][0]["resource"]["id"]
        for operation, expected in (("$hold", HOLD), ("$book", BOOK)):
            sent.names.clear()
            answer = await call(door, "POST", f"Appointment/{ident}/{operation}", {"resourceType": "Parameters"})
            assert answer.status_code == 200, answer.text
            assert sent.names == [*expected, "commitTransaction"]
    finally:
        await watched.close()
    said = " ".join(PAGE.read_text("utf-8").split())
    assert (len(HOLD), len(BOOK)) == (10, 6)
    assert (
        "`$hold` of what `$find` proposes sends ten commands and a commit, `$book` of what is held six and one" in said
    )
