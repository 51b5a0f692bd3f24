"""``:missing``: is there a value or none?

https://hl7.org/fhir/R4/search.html#modifiers. An element can be there without anything to find it by: a concept with a
text and no code, a reference with a display alone. So elements with parts are looked for where they are, in the
readable document; of primitives and dates the index knows whether they are there.
"""

from __future__ import annotations

from bson.regex import Regex

from store.parameters import Parameter, Path
from store.r4 import STRUCTURES
from store.search.matching import BadValue, path_of, shares, starting
from store.search.model import NOTHING, Query

_WITH_PARTS = frozenset(
    {"Address", "CodeableConcept", "Coding", "ContactPoint", "HumanName", "Identifier", "Reference"}
)


def missing(parameter: Parameter, text: str) -> Query:
    """Return the query for resources without a value of a parameter (``true``), or with one (``false``).

    Raises:
        BadValue: it is neither of the two.
    """
    if text not in ("true", "false"):
        raise BadValue("':missing' is true or false.")
    absent = text == "true"
    path = path_of(parameter)
    if path == "_id":
        return NOTHING if absent else {}
    if shares(parameter):
        present = [one for kind in parameter.targets for one in _of_type(parameter, kind)]
    elif any(one.datatype in _WITH_PARTS for one in parameter.paths):
        present = [_present(one) for one in parameter.paths]
    else:
        return {path: {"$exists": not absent}}
    return {"$nor" if absent else "$or": present}


def _present(path: Path) -> Query:
    if path.where is None:
        return {path.steps: {"$exists": True}}
    member, wanted = path.where
    return {path.steps: {"$elemMatch": {member: wanted}}}


def _of_type(parameter: Parameter, kind: str) -> list[Query]:
    """Return the ways in which one of several targets of an element can be of type `kind`."""
    field = path_of(parameter)
    stated = [{f"{one.steps}.type": {"$in": [kind, f"{STRUCTURES}{kind}"]}} for one in parameter.paths]
    return [
        {field: starting(f"{kind}/")},
        {field: Regex(rf"^[A-Za-z]+:.*/{kind}/[^/]+$")},
        {field: starting("#"), "contained.resourceType": kind},
        *stated,
    ]
