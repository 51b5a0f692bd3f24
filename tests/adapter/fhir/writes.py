"""What the tests of writes write, and by which criteria they find it again."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from store.store import Store
from tests.adapter.fhir.door import HOST, TAGS, Json, call
from tests.adapter.mediloop.clinic import stored
from tests.conftest import Api

SECURE = HOST.replace("http://", "https://")
"""Our own address, written in another way."""
ACTIVE = [{"op": "add", "path": "/active", "value": True}]
"""A JSON Patch, and the same as a FHIRPath Patch."""
FHIRPATH: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "add"},
                {"name": "path", "valueString": "Patient"},
                {"name": "name", "valueString": "active"},
                {"name": "value", "valueBoolean": True},
            ],
        }
    ],
}


def criteria(value: str) -> str:
    """Return the search for a Patient whose identifier of the tests is this."""
    return f"identifier={quote(f'{TAGS}|{value}')}"


async def conditionally(api: Api, method: str, value: str, body: Any = None, **headers: str) -> httpx.Response:
    """Write to the Patient of these `criteria`; headers as keywords."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return await call(api, method, f"Patient?{criteria(value)}", body, headers=named)


async def family(store: Store, ident: str = "p") -> str:
    """Return the family name of a stored Patient."""
    found: str = (await stored(store, "Patient", ident))["name"][0]["family"]
    return found
