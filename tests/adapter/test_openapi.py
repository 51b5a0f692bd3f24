"""The OpenAPI document: whole, true to the answers, and shown without the internet."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from store.store import Store
from tests.adapter.mediloop.clinic import (
    ACTION_BODIES,
    ACTIONS,
    PATH,
    SARAH,
    UHID,
    action_path,
    booking,
    open_clinic,
)
from tests.conftest import Api, ApiMaker, ServiceMaker

Json = dict[str, Any]

ENDPOINTS = [
    ("post", PATH),
    ("get", PATH),
    ("get", f"{PATH}{{id}}/"),
    ("get", f"{PATH}availability/"),
    ("get", f"{PATH}by-patient/"),
    ("get", f"{PATH}by-practitioner/"),
    *(("post", action_path("{id}", action)) for action in ACTIONS),
]
"""As the page lists them."""

_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


@pytest.fixture
async def document(api: Api) -> Json:
    answer = await api.http.get("/openapi.json")
    assert answer.status_code == 200
    found: Json = answer.json()
    return found


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def _nodes(node: Any) -> Iterator[Json]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(child)


def _resolved(schema: Json, document: Json) -> Json:
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _assert_valid(value: Any, schema: Json, document: Json, where: str = "") -> None:
    """Check a value against the part of JSON Schema that the document uses."""
    schema = _resolved(schema, document)
    if "anyOf" in schema:
        assert any(_is_valid(value, one, document) for one in schema["anyOf"]), where
        return
    kinds = schema.get("type", list(_TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    assert any(isinstance(value, _TYPES[kind]) and not (kind == "integer" and value is True) for kind in kinds), where
    assert value in schema.get("enum", [value]), where
    if isinstance(value, str):
        assert re.search(schema.get("pattern", ""), value), where
        assert schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)), where
        if schema.get("format") == "date-time":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value), where
    elif isinstance(value, dict):
        properties = schema.get("properties", {})
        assert set(schema.get("required", ())) <= set(value), where
        if schema.get("additionalProperties") is False:
            assert set(value) <= set(properties), where
        for name in set(value) & set(properties):
            _assert_valid(value[name], properties[name], document, f"{where}.{name}")
    elif isinstance(value, list):
        for item in value:
            _assert_valid(item, schema.get("items", {}), document, f"{where}[]")


def _is_valid(value: Any, schema: Json, document: Json) -> bool:
    try:
        _assert_valid(value, schema, document)
    except AssertionError:
        return False
    return True


def _answer_schema(document: Json, method: str, path: str, status: int) -> Json:
    found: Json = document["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    return found


class TestStructure:
    def test_the_check_tells_valid_from_invalid(self, document: Json) -> None:
        example = document["components"]["schemas"]["Appointment"]["example"]
        schema = {"$ref": "#/components/schemas/Appointment"}
        assert _is_valid(example, schema, document)
        bad: list[Any] = [{}, example | {"priority": "5"}, example | {"start_time": "soon"}, []]
        for wrong in bad:
            assert not _is_valid(wrong, schema, document)

    def test_it_is_openapi_3_1_with_what_that_needs(self, document: Json) -> None:
        assert document["openapi"].startswith("3.1")
        assert {"title", "version"} <= set(document["info"])
        for method, path, operation in _operations(document):
            assert method in _METHODS
            assert path.startswith("/")
            assert operation["responses"], path
            for status, response in operation["responses"].items():
                assert re.fullmatch("[1-5][0-9][0-9]", status)
                assert response["description"]

    @pytest.mark.parametrize("where", ["http://127.0.0.1:8000/", "https://example.org/clinic/"])
    def test_its_paths_lie_beside_it_under_whatever_prefix_a_proxy_takes_away(self, document: Json, where: str) -> None:
        (server,) = document["servers"]
        assert urljoin(f"{where}openapi.json", server["url"]) == where

    def test_every_reference_leads_somewhere(self, document: Json) -> None:
        references = [node["$ref"] for node in _nodes(document) if isinstance(node.get("$ref"), str)]
        assert references
        for reference in references:
            assert _resolved({"$ref": reference}, document)

    def test_operation_ids_are_unique(self, document: Json) -> None:
        names = [operation["operationId"] for _, _, operation in _operations(document)]
        assert len(set(names)) == len(names)

    def test_every_parameter_of_a_path_is_declared_once(self, document: Json) -> None:
        for _, path, operation in _operations(document):
            parameters = operation.get("parameters", [])
            declared = [one["name"] for one in parameters if one["in"] == "path"]
            assert sorted(declared) == sorted(re.findall(r"{(\w+)}", path)), path
            assert all(one["required"] for one in parameters if one["in"] == "path")
            names = [(one["in"], one["name"]) for one in parameters]
            assert len(set(names)) == len(names), path

    def test_the_documented_endpoints_are_there_and_no_others(self, document: Json) -> None:
        api = [(method, path) for method, path, _ in _operations(document) if path.startswith("/api/")]
        assert sorted(api) == sorted(ENDPOINTS)

    def test_every_endpoint_needs_a_key_and_tells_how_it_can_fail(self, document: Json) -> None:
        assert "apiKey" in document["components"]["securitySchemes"]
        for method, path in ENDPOINTS:
            operation = document["paths"][path][method]
            assert operation["security"] == [{"apiKey": []}], path
            assert {"400", "401", "403", "429", "500", "503"} <= set(operation["responses"]), path


class TestTruth:
    def test_no_answer_is_told_that_is_never_given(self, document: Json) -> None:
        assert "HTTPValidationError" not in str(document)
        assert "200" not in document["paths"][PATH]["post"]["responses"]
        for method, path, operation in _operations(document):
            if path.startswith("/fhir/"):
                continue
            with_body = path.startswith("/api/") and method == "post"
            assert ("422" in operation["responses"]) == with_body, path

    def test_the_examples_are_valid(self, document: Json) -> None:
        examples = [(node["example"], node) for node in _nodes(document) if "example" in node and "type" in node]
        for node in _nodes(document):
            if isinstance(node.get("examples"), list) and "type" in node:
                examples += [(example, node) for example in node["examples"]]
        assert len(examples) >= 5
        for example, schema in examples:
            _assert_valid(example, schema, document)

    async def test_the_answers_are_as_described(self, api: Api, store: Store, document: Json) -> None:
        await open_clinic(store)
        queries = {
            f"{PATH}availability/": "?date_from=2024-01-20&date_to=2024-01-20",
            f"{PATH}by-patient/": f"?patient_uhid={UHID}",
            f"{PATH}by-practitioner/": f"?practitioner_id={SARAH}",
        }
        for number, (method, path) in enumerate(ENDPOINTS):
            start = f"2024-02-{number + 1:02}T10:00:00Z"
            made = (await api.post(PATH, booking(start_time=start))).json()
            real = path.replace("{id}", made["id"]) + queries.get(path, "")
            if method == "get":
                answer = await api.get(real)
            elif path == PATH:
                answer = await api.post(real, booking(start_time=start.replace("T10", "T12")))
            else:
                answer = await api.post(real, ACTION_BODIES.get(path.rstrip("/").rpartition("/")[2]))
            assert answer.status_code in (200, 201), answer.text
            _assert_valid(answer.json(), _answer_schema(document, method, path, answer.status_code), document, path)

    async def test_the_refusals_are_as_described(self, api: Api, document: Json) -> None:
        for method, path in ENDPOINTS:
            query = "?patient_uhid=x&date_from=x" if method == "get" else ""
            answers = [
                await api.http.request(method, path.replace("{id}", "x") + query),
                await api.http.request(
                    method, path.replace("{id}", "x") + query, headers={"Authorization": f"Bearer {api.key}"}
                ),
            ]
            for answer in answers:
                assert answer.status_code in (400, 401, 404)
                schema = _answer_schema(document, method, path, answer.status_code)
                _assert_valid(answer.json(), schema, document, path)

    async def test_every_member_and_header_of_an_answer_is_described(
        self, api: Api, make_api: ApiMaker, make_service: ServiceMaker, store: Store, document: Json
    ) -> None:
        await open_clinic(store)
        once = {"X-Idempotency-Key": "k"}
        made = await api.post(PATH, booking(), headers=once)
        cancel = ACTION_BODIES["cancel"]
        path = action_path(made.json()["id"], "cancel")
        reader = await make_api(api.service, granted=["appointments:read"])
        hurried = await make_api(make_service(rate_limit_test=1))
        await hurried.get(PATH)
        answers = [
            ("post", PATH, made),
            ("post", PATH, await api.post(PATH, booking(), headers=once)),
            ("post", PATH, await api.post(PATH, booking())),
            ("post", action_path("{id}", "cancel"), await api.post(path, cancel)),
            ("post", action_path("{id}", "cancel"), await api.post(path, cancel)),
            ("post", PATH, await reader.post(PATH, booking())),
            ("get", PATH, await hurried.get(PATH)),
        ]
        assert [answer.status_code for *_, answer in answers] == [201, 201, 409, 200, 409, 403, 429]
        told: set[str] = set()
        for method, where, answer in answers:
            described = document["paths"][where][method]["responses"][str(answer.status_code)]["headers"]
            ours = ("x-request", "x-rate", "x-idempotency", "retry-after")
            assert {name for name in answer.headers if name.startswith(ours)} <= {name.lower() for name in described}
            schema = _answer_schema(document, method, where, answer.status_code)
            if "error" in answer.json():
                error = _resolved(schema, document)["properties"]["error"]["properties"]
                assert set(answer.json()["error"]) <= set(error)
                members = {name for one in answer.json()["error"]["errors"] for name in one}
                assert members <= set(error["errors"]["items"]["properties"])
                told |= members
                _assert_valid(answer.json(), schema, document, where)
        assert {"slots", "appointments", "status", "allowed", "permission", "retry_after"} <= told

    def test_who_calls_may_name_the_request(self, document: Json) -> None:
        for method, path in ENDPOINTS:
            parameters = document["paths"][path][method]["parameters"]
            [found] = [one for one in parameters if one["name"] == "X-Request-Id"]
            assert found["in"] == "header"

    def test_a_booking_is_described_with_its_required_members(self, document: Json) -> None:
        body = document["paths"][PATH]["post"]["requestBody"]
        assert body["required"] is True
        schema = _resolved(body["content"]["application/json"]["schema"], document)
        needed = {"patient_uhid", "practitioner_id", "service_type_code", "start_time"}
        assert set(schema["required"]) == needed
        assert document["paths"][action_path("{id}", "arrived")]["post"]["requestBody"]["required"] is False

    @pytest.mark.parametrize(
        ("path", "required"),
        [
            (PATH, set[str]()),
            (f"{PATH}by-patient/", {"patient_uhid"}),
            (f"{PATH}by-practitioner/", {"practitioner_id"}),
            (f"{PATH}availability/", {"date_from", "date_to"}),
        ],
    )
    def test_needed_parameters_are_described_as_such(self, document: Json, path: str, required: set[str]) -> None:
        parameters = document["paths"][path]["get"]["parameters"]
        assert {one["name"] for one in parameters if one["required"]} == required
        assert all(one["description"] for one in parameters)

    def test_each_member_of_an_appointment_says_where_it_stands_in_fhir(self, document: Json) -> None:
        members = document["components"]["schemas"]["Appointment"]["properties"]
        assert members["notes"]["description"] == "In FHIR: `comment`."
        assert members["patient_name"]["description"] == (
            "In FHIR: `participant.actor.display`. The stored Patient's present name goes first. "
            "Without either, that of a contained one."
        )


class TestPage:
    @pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")  # in fastapi_swagger
    async def test_the_docs_load_nothing_from_another_host(self, api: Api) -> None:
        page = await api.http.get("/docs")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        links = [*re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", page.text), "/openapi.json"]
        assert len(links) >= 3
        assert "@import" not in page.text
        for link in links:
            whole = urljoin("http://adapter.test/docs", link)
            assert urlsplit(whole).netloc == "adapter.test"
            assert (await api.http.get(whole)).status_code == 200

    async def test_a_key_that_is_typed_in_stays_in_the_page(self, api: Api) -> None:
        page = await api.http.get("/docs")
        assert '"persistAuthorization": false' in page.text
        said = dict(one.split(" ", 1) for one in page.headers["content-security-policy"].split("; "))
        assert (said["frame-ancestors"], said["default-src"], said["connect-src"]) == ("'none'", "'none'", "'self'")
        inside = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in inside]
        assert said["script-src"].split() == ["'self'", *(f"'sha256-{one}'" for one in hashes)]
        assert "script" not in re.sub("<script.*?</script>", "", page.text, flags=re.DOTALL)
        assert not re.search(r"\son\w+=", page.text)  # such a script has no hash

    async def test_the_document_is_the_same_each_time(self, api: Api, document: Json) -> None:
        assert (await api.http.get("/openapi.json")).json() == document


@pytest.mark.parametrize(
    ("schema", "always"),
    [("Appointment", ["id", "priority", "status"]), ("Slot", ["end_time", "id", "start_time", "status"])],
)
def test_a_member_that_always_has_a_value_is_not_said_to_be_nullable(
    document: Json, schema: str, always: list[str]
) -> None:
    members = document["components"]["schemas"][schema]["properties"]
    assert sorted(name for name, one in members.items() if "null" not in one["type"]) == always
