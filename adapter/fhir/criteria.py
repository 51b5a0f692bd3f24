"""Criteria that stand in no URL: in If-None-Exist, in references by search, and in a `_typeFilter` that was decoded.

https://hl7.org/fhir/R4/http.html#ccreate and https://hl7.org/fhir/R4/http.html#trules. In a URL a ``+`` is a blank, as
in every form. Here some write a blank so, as whatever encodes forms does, and others mean a plus (``A+B``, the
``+256...`` of a telephone). Who takes it for the other looks for what nobody has, and makes a second one each time.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, unquote_plus

from adapter.fhir.call import Pairs
from adapter.fhir.negotiation import bad_criteria
from adapter.fhir.searching import is_date
from store.search.dates import repaired

_LEADING = re.compile(r"([^=?]*)\?")


def read_criteria(text: str, kind: str) -> Pairs:
    """Read If-None-Exist: the query of a search. A leading ``?`` or ``Patient?`` is more than it asks for, and fine.

    Args:
        text: of the header.
        kind: the type that is to be created.

    Raises:
        Malformed: it is empty, no query, not in UTF-8, or that of another type; or it is not clear (`require_clear`).
    """
    query = text.strip()
    leading = _LEADING.match(query)
    if leading:
        query = query[leading.end() :]
        if leading[1].rpartition("/")[2] not in ("", kind):
            raise bad_criteria(f"If-None-Exist looks for {kind}, as that is to be created. Send the query alone.")
    try:
        pairs = tuple(
            parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=100)
        )
    except ValueError:
        pairs = ()
    if not pairs:
        raise bad_criteria()
    try:
        require_clear(query)
    except ValueError as error:
        raise bad_criteria(str(error)) from None
    return pairs


def require_clear(query: str) -> None:
    """Let pass a query in which each ``+`` is certainly a plus: that of a date's offset, or an escaped one.

    Raises:
        ValueError: one may be a blank; the text says what to write.
    """
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if "+" in pair and not ("+" not in name and is_date(unquote(name)) and _is_offset(value)):
            raise ValueError("Outside of a URL a + may mean a plus or a blank. Write %2B for a plus, %20 for a blank.")


def _is_offset(value: str) -> bool:
    return repaired(unquote_plus(value)) == repaired(unquote(value))
