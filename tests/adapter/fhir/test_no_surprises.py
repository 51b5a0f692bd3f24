"""Damaged resources, odd searches, senseless patches and Bundles: an answer of FHIR's own, never a fault of ours.

An OpenAPI document cannot say what a FHIR resource looks like, so Schemathesis seldom comes past the first check. Here
the official examples are the start, and something in them is exchanged.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.types import TYPES
from tests.adapter.fhir.test_examples import BASE, FOLDER, ORDER
from tests.conftest import Api
from tests.scale import examples

Json = dict[str, Any]
EXAMPLES: list[Json] = [json.loads((FOLDER / f"{name}.json").read_text()) for name in ORDER]
# What comes over the wire may hold anything that JSON can.
_ODD: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            0,
            -1,
            1e309,
            10**30,
            2**31,
            "",
            " ",
            "x" * 2000,
            "\x00",
            "\ud800",
            "é",
            [],
            {},
            [[]],
            [None],
            "#",
            "#x",
            "Patient/",
            "Patient/example",
            "urn:uuid:0",
            "http://[",
            "Foo/1",
            "/_history/",
            "?identifier=a|b",
            "2024",
            "2024-02-30",
            "9999-12-31T23:59:59-12:00",
            "0001-01-01T00:00:00+14:00",
            "2024-01-20T09:00:60Z",
            "booked",
            "proposed",
            "cancelled",
            "busy",
            "free",
            "entered-in-error",
            "accepted",
            {"reference": "Patient/example"},
            {"extension": [{"url": "x"}]},
            {"resourceType": "Patient"},
            {"coding": [{}]},
        ]
    ).map(copy.deepcopy),
    st.recursive(st.one_of(st.none(), st.integers(), st.text(max_size=5)), lambda inner: st.lists(inner, max_size=2)),
)
_NAMES = [
    "id",
    "meta",
    "text",
    "contained",
    "extension",
    "status",
    "start",
    "end",
    "participant",
    "slot",
    "actor",
    "foo",
]
_SETTINGS = settings(
    max_examples=examples(250),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every value inside."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        yield (*path, name)
        yield from places(child, (*path, name))


@st.composite
def damaged(draw: st.DrawFn) -> Json:
    """An example in which some values are exchanged, taken away or added."""
    resource = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(resource))))
        node: Any = resource
        for step in path[:-1]:
            node = node[step]
        way = draw(st.integers(0, 3))
        if way == 0:
            del node[path[-1]]
        elif way == 1 and isinstance(node, dict):
            node[draw(st.sampled_from(_NAMES))] = draw(_ODD)
        else:
            node[path[-1]] = draw(_ODD)
        if not resource:
            break
    return resource


def no_surprise(answer: httpx.Response) -> None:
    """Check that an answer is one of FHIR's own."""
    assert answer.status_code < 500, (answer.request.url, answer.request.content, answer.text)
    if answer.status_code >= 400:
        assert answer.json()["resourceType"] == "OperationOutcome", answer.text
        assert answer.json()["issue"]
    if answer.content:
        assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"


async def send(
    api: Api, method: str, path: str, body: Any = None, media: str = "application/fhir+json"
) -> httpx.Response:
    """Call with any JSON at all: ``1e1000000`` and half a surrogate pair included."""
    headers = {"Authorization": f"Bearer {api.key}"} | ({"Content-Type": media} if body is not None else {})
    raw = None if body is None else json.dumps(body).replace("Infinity", "1e1000000").encode()
    return await api.http.request(method, f"{BASE}{path}", headers=headers, content=raw)


@given(resource=damaged(), way=st.sampled_from(["PUT", "POST", "$validate", "transaction", "batch"]))
@_SETTINGS
async def test_damaged_resources(api: Api, resource: Json, way: str) -> None:
    kind, ident = resource.get("resourceType"), resource.get("id")
    kind = kind if isinstance(kind, str) and kind in TYPES else "Appointment"
    ident = ident if isinstance(ident, str) and ident.isalnum() and ident.isascii() else "example"
    if way == "PUT":
        no_surprise(await send(api, "PUT", f"/{kind}/{ident}", resource))
    elif way in ("POST", "$validate"):
        no_surprise(await send(api, "POST", f"/{kind}" + ("" if way == "POST" else "/$validate"), resource))
    else:
        request = {"method": "PUT", "url": f"{kind}/{ident}"}
        first = {"resource": EXAMPLES[1], "request": {"method": "PUT", "url": "Patient/example"}}
        bundle = {"resourceType": "Bundle", "type": way, "entry": [first, {"resource": resource, "request": request}]}
        no_surprise(await send(api, "POST", "", bundle))


@st.composite
def odd_bundles(draw: st.DrawFn) -> Json:
    """A transaction or batch with something wrong in its own members."""
    entries: list[Any] = []
    for _ in range(draw(st.integers(0, 3))):
        request = {
            "method": draw(st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "FOO", ""])),
            "url": draw(
                st.sampled_from(["Patient", "Patient/example", "Patient?_id=example", "Foo/1", "?", "", "metadata"])
            )
            + draw(st.sampled_from(["", "", "?identifier=x", "/_history/1", "/$validate", "/$everything", "%00", " "])),
        }
        request |= draw(
            st.dictionaries(
                st.sampled_from(["ifMatch", "ifNoneExist", "ifNoneMatch", "ifModifiedSince"]),
                st.sampled_from(['W/"1"', "identifier=a|b", "*", "", "x", "2024-01-01T00:00:00Z", "unheard=of"]),
                max_size=1,
            )
        )
        entry: Json = {"request": request}
        if draw(st.booleans()):
            chosen = draw(st.sampled_from([EXAMPLES[1], EXAMPLES[15], {"resourceType": "Parameters"}]))
            entry["resource"] = copy.deepcopy(chosen)
        entry |= draw(st.dictionaries(st.sampled_from(["fullUrl", "response", "search", "foo"]), _ODD, max_size=1))
        entries.append(draw(st.sampled_from([entry, entry, entry, None, {}])))
    kind = draw(st.sampled_from(["batch", "transaction", "transaction", "collection", ""]))
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


@given(bundle=odd_bundles())
@_SETTINGS
async def test_odd_bundles(api: Api, bundle: Json) -> None:
    no_surprise(await send(api, "POST", "", bundle))


_TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            ",",
            "|",
            "||",
            "\\",
            "\\,",
            "a|b|c|d",
            "true",
            "ge2024",
            "xx2024",
            "2024-13",
            "ap0001",
            "gt9999-12-31T23:59:59Z",
            "Patient/1",
            "Patient/",
            "http://x/Patient/1",
            "#x",
            "urn:uuid:1",
            "-1",
            "1e9",
            "0",
            "x" * 3000,
            "\x00",
            "é",
            "%",
            "0|0|1|km",
            "91|0|1",
            "0|0|-1|km",
            "a|b",
            "*",
            "$",
            "^.*(a+)+$",
            "Appointment:patient",
            "Appointment:*",
            "*:*",
        ]
    ),
    st.text(max_size=8),
)
_WORDS = [
    *sorted({name for one in TYPES.values() for name in one.parameters}),
    "_has",
    "_sort",
    "_count",
    "_include",
    "_revinclude",
    "_total",
    "_summary",
    "_elements",
    "_format",
    "_pretty",
    "_type",
    "_page",
    "_cursor",
    "_text",
    "_content",
    "_filter",
    "_list",
    "_query",
    "_contained",
    "_containedType",
    "_at",
    "_since",
    "start",
    "end",
]
_SUFFIXES = st.sampled_from(
    [
        "",
        "",
        "",
        ":not",
        ":missing",
        ":text",
        ":exact",
        ":contains",
        ":identifier",
        ":of-type",
        ":Patient",
        ":iterate",
        ":in",
        ":above",
        ".name",
        ".identifier",
        ":Patient.name",
        ".",
        ":",
        ".actor.name",
        ":a:b",
        ":patient:status",
        ":Appointment:patient:status",
        ":Appointment:actor:_has:Appointment:patient:date",
        ".name:exact",
        ".birthdate",
    ]
)
_PAIRS = st.lists(st.tuples(st.builds(str.__add__, st.sampled_from(_WORDS), _SUFFIXES), _TEXTS), max_size=4)
_PLACES = st.sampled_from(
    [
        *(f"/{name}" for name in TYPES),
        "",
        "/Patient/example/Appointment",
        "/Patient/example/*",
        "/_history",
        "/Patient/_history",
        "/Patient/example/_history",
        "/Patient/$everything",
        "/Patient/example/$everything",
    ]
)


@given(place=_PLACES, pairs=_PAIRS, prefer=st.sampled_from(["", "handling=strict", "handling=lenient"]))
@settings(_SETTINGS, max_examples=examples(700))
async def test_odd_searches(api: Api, place: str, pairs: list[tuple[str, str]], prefer: str) -> None:
    query = urlencode(pairs, errors="surrogatepass")
    headers = {"Authorization": f"Bearer {api.key}", "Prefer": prefer}
    no_surprise(await api.http.get(f"{BASE}{place}?{query}", headers=headers))


_POINTERS = st.sampled_from(
    [
        "",
        "/",
        "/status",
        "/participant",
        "/participant/0/status",
        "/participant/-",
        "/participant/9/status",
        "/id",
        "/meta",
        "/meta/versionId",
        "/resourceType",
        "/foo",
        "/participant/00",
        "/~2",
        "/start",
        "/slot",
        "status",
    ]
)
_OPERATIONS = st.builds(
    lambda op, path, more: {"op": op, "path": path} | more,
    st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "foo", None]),
    _POINTERS,
    st.dictionaries(st.sampled_from(["value", "from"]), st.one_of(_ODD, _POINTERS), max_size=2),
)
_FHIRPATHS = st.sampled_from(
    [
        "Appointment",
        "Appointment.status",
        "Appointment.participant[0]",
        "Appointment.participant.where(status='accepted')",
        "Appointment.participant",
        "Appointment.foo",
        "Patient.name",
        "(",
        "",
        "Appointment.resolve()",
        "1+",
        "Appointment.id",
    ]
)
_PARTS = st.lists(
    st.one_of(
        st.builds(
            lambda name, value: {"name": name, "valueCode": value},
            st.just("type"),
            st.sampled_from(["add", "insert", "delete", "replace", "move", "foo"]),
        ),
        st.builds(lambda value: {"name": "path", "valueString": value}, _FHIRPATHS),
        st.builds(
            lambda value: {"name": "name", "valueString": value}, st.sampled_from(["status", "foo", "comment", "id"])
        ),
        st.builds(lambda value: {"name": "value", "valueString": value}, st.text(max_size=5)),
        st.builds(lambda value: {"name": "index", "valueInteger": value}, st.integers(-2, 9)),
        st.builds(lambda name, value: {"name": name, "value": value}, st.sampled_from(["value", "source", "x"]), _ODD),
    ),
    max_size=5,
)


@given(
    patch=st.one_of(
        st.lists(_OPERATIONS, max_size=3),
        _ODD,
        _PARTS.map(
            lambda parts: {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]},
        ),
    )
)
@_SETTINGS
async def test_senseless_patches(api: Api, patch: Any) -> None:
    no_surprise(await send(api, "PUT", "/Appointment/example", EXAMPLES[15]))
    media = "application/json-patch+json" if isinstance(patch, list) else "application/fhir+json"
    no_surprise(await send(api, "PATCH", "/Appointment/example", patch, media))
