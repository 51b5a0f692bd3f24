"""Criteria that stand in no URL: those of If-None-Exist (https://hl7.org/fhir/R4/http.html#ccreate)."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from adapter.fhir.call import Pairs
from adapter.fhir.negotiation import bad_criteria

_LEADING = re.compile(r"([^=?]*)\?")


def read_criteria(text: str, kind: str) -> Pairs:
    """Read If-None-Exist: the query of a search. A leading ``?`` or ``Patient?`` is more than it asks for, and fine.

    Args:
        text: of the header.
        kind: the type that is to be created.

    Raises:
        Malformed: it is empty, no query, not in UTF-8, or that of another type.
    """
    query = text.strip()
    leading = _LEADING.match(query)
    if leading:
        query = query[leading.end() :]
        if leading[1].rpartition("/")[2] not in ("", kind):
            raise bad_criteria(f"If-None-Exist looks for a {kind}, as that is to be created. Send the query alone.")
    try:
        pairs = tuple(
            parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=100)
        )
    except ValueError:
        pairs = ()
    if not pairs:
        raise bad_criteria()
    return pairs
