"""Operations in Bundles: a transaction takes those that only look, a batch takes all and carries out each once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapter.fhir.bundles import alone, responses
from adapter.fhir.conformance.operation_definitions import operation_definitions
from adapter.fhir.operations import OPERATIONS, changes_state
from store.export_jobs import EXPORTS
from store.proposals import PROPOSALS
from store.store import Store
from tests.adapter.fhir.bundles.sending import ROOT, bundle, count, done, entry, issues, person, send, statuses, stored
from tests.adapter.mediloop.clinic import SARAH, appointment, open_clinic
from tests.conftest import Api

Json = dict[str, Any]
DAY = "start=2024-01-20T00:00:00Z&end=2024-01-21T00:00:00Z"


def parameters(*parts: Json) -> Json:
    return {"resourceType": "Parameters"} | ({"parameter": list(parts)} if parts else {})


def booking() -> Json:
    pending = {name: value for name, value in appointment("x").items() if name != "id"} | {"status": "pending"}
    return parameters({"name": "appointment-resource", "resource": pending})


def changing() -> list[Json]:
    """Return an entry for each way of calling something that changes something."""
    return [
        entry("POST", "Appointment/$book", booking()),
        entry("POST", f"{ROOT}/Appointment/$book", booking()),
        entry("POST", "Appointment/$book/$book", booking()),
        entry("POST", "Appointment/%24book", booking()),
        entry("POST", "Appointment/visit/$book", parameters()),
        entry("POST", "Appointment/visit/$cancel", parameters()),
        entry("POST", "Appointment/visit/$hold", parameters()),
        entry("POST", "Appointment/visit/$reschedule", parameters({"name": "start", "valueInstant": "2024-01-20"})),
        entry("GET", f"Appointment/$find?{DAY}&practitioner={SARAH}"),
        entry("POST", "Appointment/$find", parameters({"name": "start", "valueDateTime": "2024-01-20T00:00:00Z"})),
        entry("GET", "$export"),
        entry("POST", "$export", parameters()),
        entry("GET", "Patient/$export"),
        entry("GET", "Group/g/$export"),
    ]


@pytest.mark.parametrize("number", range(len(changing())))
async def test_a_transaction_refuses_what_changes_something_before_anything_is_done(
    api: Api, store: Store, number: int
) -> None:
    await open_clinic(store)
    await done(api, bundle("transaction", entry("POST", "Appointment", booking()["parameter"][0]["resource"])))
    made = await count(api, "Appointment")
    versions = await stored(api, "_history")
    answer = await send(
        api,
        bundle("transaction", entry("POST", "Patient", person("Half")), entry("GET", "Patient"), changing()[number]),
    )
    assert issues(answer, 400) == [("not-supported", "Bundle.entry[2].request.url")]
    told = answer.json()["issue"][0]
    assert told["details"]["coding"][0]["code"] == "operation_in_transaction"
    assert "on its own" in told["diagnostics"]
    assert "batch" in told["diagnostics"]
    assert await count(api, "Patient?family=Half") == 0
    assert await count(api, "Appointment") == made
    assert (await stored(api, "_history"))["entry"] == versions["entry"]
    for collection in (EXPORTS, PROPOSALS):
        assert await store.database[collection].count_documents({}) == 0


async def test_it_is_told_beside_what_is_wrong_with_others(api: Api) -> None:
    body = bundle(
        "transaction", entry("POST", "Appointment/$book", parameters()), entry("POST", "Patient", person(gender="m"))
    )
    assert issues(await send(api, body), 400) == [
        ("not-supported", "Bundle.entry[0].request.url"),
        ("code-invalid", "Bundle.entry[1].resource.gender"),
    ]


async def test_what_only_looks_is_taken(api: Api, store: Store) -> None:
    await open_clinic(store)
    found = await done(
        api,
        bundle(
            "transaction",
            entry("GET", "Patient/john/$everything"),
            entry("POST", "Patient/$validate", person()),
            entry("GET", f"Slot/$prefetch?{DAY}"),
            entry("GET", f"Slot/$find?{DAY}"),
            entry("POST", "Patient", person("New")),
        ),
    )
    assert statuses(found) == ["200", "200", "200", "200", "201"]


async def test_a_batch_carries_out_each_operation_once(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await open_clinic(store)
    carried_out: list[str] = []
    one_by_one: Callable[..., Awaitable[bytes]] = alone.answered

    async def counted(call: Any, one: Any, answer: Any, budget: Any) -> bytes:
        carried_out.append("/".join(one.path))
        return await one_by_one(call, one, answer, budget)

    monkeypatch.setattr("adapter.fhir.bundles.batches.answered", counted)
    found = await done(
        api,
        bundle(
            "batch",
            entry("POST", "Appointment/$book", booking()),
            entry("GET", "$export?_type=Patient"),
            entry("POST", "Patient/$validate", person()),
            entry("POST", "Patient", person("Some")),
            entry("POST", "Patient", person("Other")),
        ),
        prefer="return=OperationOutcome",
    )
    assert statuses(found) == ["201", "202", "200", "201", "201"]
    assert sorted(carried_out) == ["$export", "Appointment/$book", "Patient/$validate"]
    booked = found[0]["resource"]["entry"][0]["resource"]
    assert (booked["resourceType"], booked["status"]) == ("Appointment", "booked")
    assert await count(api, "Appointment") == 1
    [job] = await store.database[EXPORTS].find({}).to_list()
    assert found[1]["response"]["location"].endswith(job["_id"]), "where to ask how far it is"


async def test_an_operation_that_breaks_may_have_been_done(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: Any) -> bytes:
        raise RuntimeError("Auma")

    await open_clinic(store)
    monkeypatch.setattr(responses, "replied", faulty)
    [book, look] = await done(
        api, bundle("batch", entry("POST", "Appointment/$book", booking()), entry("GET", f"Slot/$find?{DAY}"))
    )
    assert statuses([book, look]) == ["500", "500"]
    assert "not known" in str(book)
    assert "not known" not in str(look)


def test_what_an_operation_is_said_to_be_is_what_it_is_taken_for() -> None:
    published = operation_definitions()
    for one in OPERATIONS:
        definition = published.get(one.definition.rpartition("/")[2])
        if definition is not None:
            assert definition["affectsState"] is one.affects_state, one.definition
    assert {one.name for one in OPERATIONS if not one.affects_state} == {"validate", "everything", "prefetch", "find"}


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (("Slot", "$find"), False),
        (("Appointment", "$find"), True),
        (("Appointment", "1", "$hold"), True),
        (("$export",), True),
        (("Patient", "$validate"), False),
        (("Patient", "$unheard"), False),
        (("Patient", "1"), False),
        ((), False),
    ],
)
def test_which_paths_lead_to_an_operation_that_changes_something(path: tuple[str, ...], changes: bool) -> None:
    assert changes_state(path) is changes
