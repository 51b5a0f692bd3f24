"""Where conditional writes, and imports, meet that would make what they have both looked for, and not found.

Transactions are snapshots: two that find nothing would both create. So each writes to a guard of these names, and the
one that comes second runs again, on what the first one left (`store.unit_of_work`).
"""

from __future__ import annotations

from urllib.parse import urlencode

from store.codec import Resource
from store.extract import token
from store.search.text import unescaped


def places(kind: str, criteria: tuple[tuple[str, str], ...], resource: Resource | None) -> list[str]:
    """Return the names of the guards for a create or update of `resource` that `criteria` match nothing for.

    That is the criteria; and each identifier looked for that the resource brings, as others may spell the criteria in
    another way (``identifier=1`` and ``identifier=urn:s|1``).
    """
    named = [f"{kind}?{urlencode(sorted(criteria))}"]
    # The resource brings its identifiers as they are, the criteria have them escaped.
    wanted = " ".join(unescaped(value) for name, value in criteria if name.startswith("identifier")).casefold()
    brought = (resource or {}).get("identifier", []) if wanted else []
    for one in brought if isinstance(brought, list) else [brought]:
        value = one.get("value", "").strip().casefold()
        if value and value in wanted:
            named.append(place(kind, token(one.get("system", ""), value)))
    return named


def place(kind: str, identifier: str) -> str:
    """Return the name of the guard for whoever makes a resource that carries an identifier (a `token`) as the first."""
    return f"{kind}#{identifier}"
