"""The CapabilityStatement, made from the declarations that serve the routes, so that it cannot claim more."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from adapter import __version__

if TYPE_CHECKING:
    from adapter.fhir.router import Declared

FHIR_VERSION = "4.0.1"


def capability_statement(declared: Iterable[Declared], base: str, moment: datetime) -> dict[str, Any]:
    """Return the CapabilityStatement of the server at `base` (https://hl7.org/fhir/R4/capabilitystatement.html)."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "kind": "instance",
        "software": {"name": "MediLoop FHIR adapter", "version": __version__},
        "implementation": {"description": "Appointments and slots of MediLoop as FHIR R4", "url": base},
        "fhirVersion": FHIR_VERSION,
        "format": ["json", "application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "description": "Authorization: Bearer sk_test_... or sk_live_...; a key sees test or live data, "
                    "and needs the permission of the resource."
                },
                "resource": [
                    {
                        "type": one.name,
                        "interaction": [{"code": interaction} for interaction in one.interactions],
                        "versioning": "versioned",
                    }
                    for one in declared
                ],
            }
        ],
    }
