"""Where the FHIR API is, and what stands below it that is neither a type nor an operation."""

from __future__ import annotations

from fastapi import Request

from adapter.service import Service

BASE = "/fhir/R4"

EXPORT_JOBS = "$export-jobs"
"""Where the jobs of ``$export`` are; no type and no id can be read as that."""


def base_of(request: Request, service: Service) -> str:
    """Return the root as clients see it: the setting, else what the request was sent to."""
    return (service.settings.base_url or str(request.base_url)).rstrip("/") + BASE
