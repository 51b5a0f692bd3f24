"""Deleting, alone and in a set: what others refer to stays (https://hl7.org/fhir/R4/http.html#delete)."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict
from adapter.fhir import ties
from adapter.fhir.writes import Write
from adapter.fhir.writing import carry_out
from adapter.security.callers import Caller
from store.store import Store
from store.types import TYPES
from store.unit_of_work import UnitOfWork
from tests.adapter.fhir.door import HOST, Json, bundled, call, get, made, outcome, person, tagged
from tests.adapter.fhir.writes import SECURE, criteria
from tests.adapter.mediloop.clinic import appointment, open_clinic, put
from tests.conftest import Api
from tests.store.support import explain


class TestDelete:
    async def test_204_whether_it_was_there_or_not(self, api: Api) -> None:
        await made(api, person("p"))
        for ident in ("p", "p", "never"):
            answer = await call(api, "DELETE", f"Patient/{ident}")
            assert (answer.status_code, answer.content) == (204, b"")

    async def test_with_the_right_version(self, api: Api) -> None:
        await made(api, person("p"))
        assert (await call(api, "DELETE", "Patient/p", headers={"If-Match": 'W/"1"'})).status_code == 204

    async def test_a_second_deletion_makes_no_version(self, api: Api) -> None:
        await made(api, person("p"))
        for _ in range(2):
            await call(api, "DELETE", "Patient/p")
        assert bundled(await get(api, "Patient/p/_history"), "history")["total"] == 2

    async def test_it_is_no_longer_found(self, api: Api) -> None:
        await made(api, tagged("p", "1"))
        await call(api, "DELETE", "Patient/p")
        assert bundled(await get(api, f"Patient?{criteria('1')}"))["total"] == 0

    async def test_what_others_refer_to_stays(self, api: Api, store: Store) -> None:
        await open_clinic(store)
        await put(store, appointment("a1"))
        for name, by in (("Patient/john", "Appointment/a1"), ("Schedule/sarah", "Slot/slot-001")):
            answer = await call(api, "DELETE", name)
            issue = outcome(answer, 409, "conflict")
            assert by in issue["diagnostics"]
            assert (await get(api, name)).status_code == 200

    async def test_what_refers_to_itself_alone_may_go(self, api: Api) -> None:
        link = [{"other": {"reference": "Patient/p"}, "type": "seealso"}]
        await made(api, person("p", link=link))
        assert (await call(api, "DELETE", "Patient/p")).status_code == 204

    async def test_a_reference_that_may_lead_to_any_type_is_a_tie_too(self, api: Api, store: Store) -> None:
        await put(store, person("p"), appointment("a1", supportingInformation=[{"reference": "Patient/p"}]))
        issue = outcome(await call(api, "DELETE", "Patient/p"), 409, "conflict")
        assert "Appointment/a1" in issue["diagnostics"]
        asked = (await call(api, "POST", "Patient/p/$validate?mode=delete")).json()["issue"]
        assert "Appointment/a1" in asked[0]["diagnostics"]

    async def test_a_reference_that_spells_our_address_out_is_a_tie_too(self, api: Api, store: Store) -> None:
        for root in (HOST, SECURE):
            link = [{"other": {"reference": f"{root}/Patient/p"}, "type": "seealso"}]
            await put(store, person("p"), person("q", link=link))
            outcome(await call(api, "DELETE", "Patient/p"), 409, "conflict")

    async def test_it_is_one_for_what_the_same_transaction_writes(self, api: Api, store: Store) -> None:
        await put(store, person("p"))
        link = [{"other": {"reference": f"{SECURE}/Patient/p"}, "type": "seealso"}]
        entries: list[Json] = [
            {"request": {"method": "DELETE", "url": "Patient/p"}},
            {"request": {"method": "PUT", "url": "Patient/q"}, "resource": person("q", link=link)},
        ]
        body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        outcome(await call(api, "POST", "", body), 409, "conflict")

    async def test_someone_elses_patient_of_the_same_id_is_none(self, api: Api, store: Store) -> None:
        other = "http://other.example/fhir/R4/Patient/p"
        await put(store, person("p"), person("q", link=[{"other": {"reference": other}, "type": "seealso"}]))
        assert (await call(api, "DELETE", "Patient/p")).status_code == 204

    async def test_every_look_up_for_ties_has_an_index(self, store: Store) -> None:
        await put(store, person("p"))
        asked = [one for kind in TYPES for one in ties.look_ups(f"{kind}/p", HOST)]
        forms = ["Patient/p", f"{HOST}/Patient/p", f"{SECURE}/Patient/p"]
        assert ("Appointment", {"_index.supporting-info": {"$in": forms}}) in asked
        for kind, query in asked:
            plan = (await explain(store, kind, query))["queryPlanner"]["winningPlan"]
            assert "COLLSCAN" not in str(plan), (kind, query)
            assert "IXSCAN" in str(plan) or "EOF" in str(plan), (kind, query)

    async def test_a_versioned_reference_is_a_tie_too(self, api: Api) -> None:
        await made(api, person("p"))
        await made(api, person("q", link=[{"other": {"reference": "Patient/p/_history/1"}, "type": "seealso"}]))
        outcome(await call(api, "DELETE", "Patient/p"), 409, "conflict")


class TestDeleteInASet:
    """What others refer to is judged by what the whole set leaves."""

    def related(self, ident: str, *others: str) -> Json:
        return person(ident, link=[{"other": {"reference": other}, "type": "seealso"} for other in others])

    async def together(self, api: Api, store: Store, *writes: Write) -> None:
        who = Caller(await api.service.keyring.authenticate(f"Bearer {api.key}"), api.service, store)
        await store.transact(lambda work: carry_out(work, who, HOST, writes))

    async def test_with_those_that_refer_to_it(self, api: Api, store: Store) -> None:
        idents = [f"p{number}" for number in range(12)]
        await put(store, person("q"), *(self.related(ident, "Patient/q") for ident in idents))
        with pytest.raises(Conflict) as refused:  # one of them stays
            await self.together(api, store, *(Write("DELETE", "Patient", ident) for ident in ("q", *idents[:11])))
        assert (refused.value.problems[0].entry, "Patient/p11" in str(refused.value)) == (0, True)
        await self.together(api, store, *(Write("DELETE", "Patient", ident) for ident in ("q", *idents)))
        assert await store.read("Patient", "q") is None

    async def test_many_cost_no_more_look_ups_than_one_and_no_tie_hides_another(
        self, api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ties, "_MOST", 5)  # fewer than refer to the first of them
        crowd = [self.related(f"p{number:02}", "Patient/g00") for number in range(20)]
        gone = [person(f"g{number:02}") for number in range(30)]
        await put(store, *gone, *crowd, self.related("q", "Patient/g01", f"{HOST}/Patient/g29"))
        wanted = [f"Patient/g{number:02}" for number in range(30)]
        asked: list[str] = []
        real = UnitOfWork.values

        async def values(work: UnitOfWork, kind: str, *words: Any, **more: Any) -> list[Json]:
            asked.append(kind)
            return await real(work, kind, *words, **more)

        monkeypatch.setattr(UnitOfWork, "values", values)
        found = await store.transact(lambda work: ties.referrers_of(work, wanted, HOST, wanted))
        assert ({*found}, found["Patient/g29"]) == ({"Patient/g00", "Patient/g01", "Patient/g29"}, ["Patient/q"])
        assert len(found["Patient/g00"]) == 5
        many = len(asked)
        await store.transact(lambda work: ties.referrers_of(work, ["Patient/g05"], HOST))
        assert many == len(asked) - many + 1  # once more for those behind the crowd

    async def test_with_a_change_that_no_longer_refers_to_it(self, api: Api, store: Store) -> None:
        await put(store, person("q"), self.related("p", "Patient/q"))
        change = Write("PUT", "Patient", "p", resource=person("p"))
        await self.together(api, store, Write("DELETE", "Patient", "q"), change)
        assert await store.read("Patient", "q") is None

    @pytest.mark.parametrize("reference", ["Patient/q", "Patient/q/_history/1", f"{HOST}/Patient/q"])
    async def test_with_a_change_that_refers_to_it(self, api: Api, store: Store, reference: str) -> None:
        await put(store, person("q"))
        change = Write("PUT", "Patient", "p", resource=self.related("p", reference))
        with pytest.raises(Conflict):
            await self.together(api, store, Write("DELETE", "Patient", "q"), change)
        assert await store.read("Patient", "q") is not None
