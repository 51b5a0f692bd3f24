"""What is told of a write, to whoever asks by HTTP or in a Bundle (https://hl7.org/fhir/R4/http.html#ops)."""

from __future__ import annotations

from adapter.errors import Problem
from adapter.fhir import negotiation, outcome, reads
from adapter.fhir.call import Call, Reply
from adapter.fhir.writes import Written
from store.codec import encode

SHOWN_BY = ("_format", "_pretty", "_summary", "_elements")
"""Parameters of the answer to a conditional write; all others are its criteria."""


def shaped(call: Call, written: Written) -> Reply:
    """Return the answer to a write, as ``Prefer: return`` wants it (representation, unless it says otherwise)."""
    wanted = negotiation.preferences(call.headers.get("prefer")).returns
    resource = written.told(call.who)
    if resource is None:
        if wanted != "OperationOutcome":
            return Reply(204)
        text = "Deleted." if written.changed else "There is no such resource."
        done = Problem("done", text, severity="information")
        return Reply(200, outcome.of([done], call.who.service.settings.canonical_base))
    headers = dict(negotiation.version_headers(resource["meta"]))
    version = f"{written.kind}/{written.ident}/_history/{resource['meta']['versionId']}"
    if written.status == 201 or call.method == "POST":
        headers["Location"] = f"{call.base}/{version}"
    if wanted == "minimal":
        body = b""
    elif wanted == "OperationOutcome":
        text = "Created." if written.status == 201 else "Stored." if written.changed else "It was there already."
        done = Problem("done", text, severity="information")
        body = outcome.of([done], call.who.service.settings.canonical_base)
    else:
        body = reads.shown(call, written.kind, encode(resource))
    return Reply(written.status, body, headers, resource["meta"]["lastUpdated"], version)
