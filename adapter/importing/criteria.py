"""Who is looked for by criteria: an identifier tells it here, as one without an id is known by its identifiers.

What else criteria can ask for is of the server they were written for: by a name, somebody else would be found here, or
nobody, and a second one be made.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapter.errors import Malformed, Problem
from adapter.fhir.criteria import read_criteria, require_clear
from store.codec import Resource
from store.extract import identifiers, token
from store.search.matching import BadValue
from store.search.text import split
from store.search.tokens import stored_token, system_and_code
from store.types import TYPES


def identifier_in(kind: str, pairs: Sequence[tuple[str, str]]) -> str | None:
    """Return the one identifier that a search for resources of a type asks for, as it is indexed; None: another one."""
    try:
        [(name, value)] = pairs
        found = stored_token(*system_and_code(value))
    except (BadValue, ValueError):
        return None
    fits = kind in TYPES and name == "identifier" and len(split(value, ",")) == 1
    return found if fits and isinstance(found, str) else None


def tokens(resource: Resource) -> list[str]:
    """Return the identifiers with a system that a resource carries, as they are indexed."""
    return [token(*one) for one in identifiers(resource, "identifier") if one[0]]


def sought(entry: Resource, place: str) -> str:
    """Return the identifier, as it is indexed, by which an entry says which resource it is; empty: it has no criteria.

    Args:
        entry: one whose JSON is sound.
        place: as a problem names it (``Bundle.entry[0]``).

    Raises:
        Malformed: ``not_importable``: it has other criteria; or what it updates would lose what it is found by.
    """
    resource, request = entry.get("resource"), entry.get("request")
    if not isinstance(resource, dict) or not isinstance(request, dict):
        return ""
    kind = resource.get("resourceType")
    where = {"POST": "ifNoneExist", "PUT": "url"}.get(str(request.get("method")), "")
    text = request.get(where)
    if not isinstance(kind, str) or kind not in TYPES or text is None or (where == "url" and "?" not in str(text)):
        return ""
    asked = str(text).replace("+", "%20") if where == "url" else str(text)
    try:
        require_clear(asked)
        found = identifier_in(kind, read_criteria(asked, kind)) or ""
    except ValueError as unclear:
        raise _refused(str(unclear), f"{place}.request.{where}") from None
    except Malformed:
        found = ""
    if "|" not in found or found.startswith("|"):
        said = (
            "Which resource it is can be told by one identifier alone: identifier=system|value. Write that in the "
            "place of other criteria, or give the resource its id, and PUT it to Type/id."
        )
    elif where == "url" and "id" not in resource and found not in tokens(resource):
        said = (
            "The resource has not the identifier that it is looked for by: whoever has it would lose it, and not be "
            "found by it again. Add it to the resource."
        )
    else:
        return found
    raise _refused(said, f"{place}.request.{where}")


def _refused(text: str, where: str) -> Malformed:
    return Malformed(Problem("not_importable", text, where, issue="not-supported"))
