"""Who may do what at which door: 401, 403, and test and live data apart."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from adapter.security.permissions import RESOURCES
from adapter.service import Service
from store.store import Store
from store.types import TYPES
from tests.adapter.mediloop.clinic import (
    ACTION_BODIES,
    ACTIONS,
    PATH,
    SARAH,
    UHID,
    action_path,
    appointment,
    booking,
    ids,
    open_clinic,
    put,
    refused,
)
from tests.adapter.security.conftest import Clock
from tests.conftest import Api, ApiMaker

# Every endpoint that needs a key: method, path, body, and the permission it needs.
MEDILOOP: list[tuple[str, str, Any, str]] = [
    ("GET", PATH, None, "appointments:read"),
    ("GET", f"{PATH}by-patient/?patient_uhid={UHID}", None, "appointments:read"),
    ("GET", f"{PATH}by-practitioner/?practitioner_id={SARAH}", None, "appointments:read"),
    ("GET", f"{PATH}a1/", None, "appointments:read"),
    ("GET", f"{PATH}availability/?date_from=2024-01-20&date_to=2024-01-20", None, "slots:read"),
    ("POST", PATH, booking(), "appointments:write"),
    *(("POST", action_path("a1", action), ACTION_BODIES.get(action), "appointments:write") for action in ACTIONS),
]
FHIR = [("GET", f"/fhir/R4/{one.name}/x", None, f"{one.permission}:read") for one in TYPES.values()]

MISSING = ("api_key_missing", "Authorization")
MALFORMED = ("api_key_malformed", "Authorization")
INVALID = ("api_key_invalid", "Authorization")
WORTHLESS = (
    (None, MISSING),
    (" ", MISSING),
    ("Basic c2tfdGVzdDp4", MALFORMED),
    ("Bearer", MALFORMED),
    ("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", MALFORMED),
    ("sk_test_unknown", MALFORMED),
    ("Bearer sk_test_unknown", INVALID),
    ("Bearer sk_live_unknown", INVALID),
)


async def _call(http: httpx.AsyncClient, method: str, path: str, body: Any, **headers: str) -> httpx.Response:
    return await http.request(method, path, json=body, headers=headers)


class TestWithoutAKey:
    @pytest.mark.parametrize(("method", "path", "body", "permission"), MEDILOOP)
    async def test_every_endpoint_answers_401(
        self, api: Api, method: str, path: str, body: Any, permission: str
    ) -> None:
        for header, named in WORTHLESS:
            headers = {} if header is None else {"Authorization": header}
            answer = await _call(api.http, method, path, body, **headers)
            error = refused(answer, 401, named)
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mediloop-fhir"'
            assert "unknown" not in error["message"]

    @pytest.mark.parametrize(("method", "path", "body", "permission"), FHIR)
    async def test_every_fhir_endpoint_answers_401_with_an_operation_outcome(
        self, api: Api, method: str, path: str, body: Any, permission: str
    ) -> None:
        for header in ("", "Bearer sk_test_unknown"):
            answer = await _call(api.http, method, path, body, Authorization=header)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mediloop-fhir"'
            assert OperationOutcome.model_validate_json(answer.content).issue[0].code == "login"

    async def test_two_keys_are_no_key_whichever_comes_first(self, api: Api) -> None:
        one, other = ("Authorization", f"Bearer {api.key}"), ("Authorization", "Bearer sk_live_unknown")
        for lines in ([one, other], [other, one], [one, one]):
            refused(await api.http.get(PATH, headers=lines), 401, MALFORMED)

    async def test_a_revoked_key_is_401(self, api: Api, clock: Clock) -> None:
        assert (await api.get(PATH)).status_code == 200
        [key] = await api.service.keys["test"].list()
        await api.service.keys["test"].revoke(key.id)
        clock.move(seconds=3)  # the keyring believes what it has seen for two
        refused(await api.get(PATH), 401, INVALID)

    async def test_a_rolled_key_works_for_another_24_hours(self, api: Api, clock: Clock) -> None:
        [key] = await api.service.keys["test"].list()
        _, successor = await api.service.keys["test"].roll(key.id)
        clock.move(hours=23, minutes=59)
        assert (await api.get(PATH)).status_code == 200
        clock.move(minutes=1)
        refused(await api.get(PATH), 401, ("api_key_expired", "Authorization"))
        assert (await api.get(PATH, headers={"Authorization": f"Bearer {successor}"})).status_code == 200


class TestPermissions:
    @pytest.mark.parametrize(("method", "path", "body", "permission"), MEDILOOP)
    async def test_an_endpoint_needs_its_own_and_the_refusal_names_it(
        self, service: Service, make_api: ApiMaker, method: str, path: str, body: Any, permission: str
    ) -> None:
        await open_clinic(service.stores["test"])
        every = {f"{resource}:{verb}" for resource in RESOURCES for verb in ("read", "write")}
        rest: Api = await make_api(service, granted=sorted(every - {permission}))
        answer = await _call(rest.http, method, path, body, Authorization=f"Bearer {rest.key}")
        error = refused(answer, 403, ("permission_denied", None))
        assert error["permission"] == permission
        assert permission in error["message"]
        own: Api = await make_api(service, granted=[permission])
        answer = await _call(own.http, method, path, body, Authorization=f"Bearer {own.key}")
        assert answer.status_code in (200, 201, 404)

    @pytest.mark.parametrize(("method", "path", "body", "permission"), FHIR)
    async def test_each_fhir_type_needs_its_own(
        self, service: Service, make_api: ApiMaker, method: str, path: str, body: Any, permission: str
    ) -> None:
        others = [f"{resource}:read" for resource in RESOURCES if f"{resource}:read" != permission]
        rest: Api = await make_api(service, granted=[*others, permission.replace("read", "write")])
        answer = await rest.get(path)
        assert answer.status_code == 403
        [issue] = OperationOutcome.model_validate_json(answer.content).issue
        assert issue.code == "forbidden"
        assert permission in str(issue.diagnostics)
        own: Api = await make_api(service, granted=[permission])
        assert (await own.get(path)).status_code == 404

    async def test_the_key_is_looked_at_before_the_body(self, service: Service, make_api: ApiMaker) -> None:
        reader: Api = await make_api(service, granted=["appointments:read"])
        refused(await reader.post(PATH, content=b"{"), 403, ("permission_denied", None))


class TestModes:
    @pytest.fixture
    async def both(self, service: Service, make_api: ApiMaker) -> tuple[Api, Api]:
        for mode, ident in (("test", "t1"), ("live", "l1")):
            store: Store = service.stores[mode]  # type: ignore[index]
            await open_clinic(store)
            await put(store, appointment(ident, start="2024-03-01T10:00"))
        return await make_api(service), await make_api(service, mode="live")

    async def test_a_key_sees_the_data_of_its_own_mode_alone(self, both: tuple[Api, Api]) -> None:
        for api, own, other in ((both[0], "t1", "l1"), (both[1], "l1", "t1")):
            for path in (PATH, f"{PATH}by-patient/?patient_uhid={UHID}", f"{PATH}?practitioner_id={SARAH}"):
                assert ids(await api.get(path)) == [own]
            assert (await api.get(f"{PATH}{other}/")).status_code == 404
            assert (await api.get(f"/fhir/R4/Appointment/{own}")).status_code == 200
            assert (await api.get(f"/fhir/R4/Appointment/{other}")).status_code == 404

    async def test_a_key_changes_the_data_of_its_own_mode_alone(self, both: tuple[Api, Api]) -> None:
        test, live = both
        search = f"{PATH}availability/?date_from=2024-01-20&date_to=2024-01-20"
        assert (await test.post(PATH, booking())).status_code == 201
        assert "slot-002" not in ids(await test.get(search))
        assert "slot-002" in ids(await live.get(search))
        assert (await live.post(PATH, booking())).status_code == 201
        assert (await test.post(action_path("l1", "arrived"))).status_code == 404
        assert (await live.post(action_path("t1", "arrived"))).status_code == 404
        assert [(await api.get(PATH)).json()["total"] for api in both] == [2, 2]

    async def test_the_secret_of_one_mode_with_the_prefix_of_the_other_is_worth_nothing(
        self, both: tuple[Api, Api]
    ) -> None:
        for api, mode in ((both[0], "live"), (both[1], "test")):
            forged = f"sk_{mode}_{api.key.split('_', 2)[2]}"
            answer = await api.get(PATH, headers={"Authorization": f"Bearer {forged}"})
            refused(answer, 401, INVALID)
