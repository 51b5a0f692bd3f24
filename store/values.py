"""One value of a resource to what its fields of `_index` hold: a function for each kind of value.

Stored resources have been validated, but what is not of the expected shape is passed over: nothing that can be stored
may fail to be indexed. `store.indexing` puts these functions where the values are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

from store import extract
from store.codec import Resource
from store.dates import FIRST, LAST, span
from store.filing import Emit, Run, Sort
from store.parameters import Parameter, Path
from store.tokens import TOKENS, boolean, canonical, listed, pair, present, scalar

_PARTS = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "postalCode", "country"),
}
_LONGITUDE, _LATITUDE = 180, 90
_NAMES = 1_000  # values of a field from which on no name adds more than itself: thousands fill a document


def emit(
    parameter: Parameter, path: Path, sort: Sort | None, shared: Sequence[Parameter], named: str | None = None
) -> Emit:
    """Return the function that files the values of a parameter.

    Args:
        parameter: whose values.
        path: where they are.
        sort: the fields that the list sorts by, if it can be sorted by.
        shared: the other reference parameters over the same element, each for some types of target.
        named: the field with the references that may be to ours (`store.indexing.naming`), if it is kept.
    """
    taken = _emit(parameter, path, sort, shared, named)
    return taken if path.where is None else partial(_where, *path.where, taken)


def _emit(parameter: Parameter, path: Path, sort: Sort | None, shared: Sequence[Parameter], named: str | None) -> Emit:
    name, datatype = parameter.field, path.datatype
    match parameter.kind:
        case "token" if parameter.single and datatype == "boolean":
            return partial(present if path.steps.endswith("DateTime") else boolean, name)
        case "token" if parameter.single:
            return partial(scalar, name)
        case "token":
            return partial(TOKENS[datatype], name, sort, f"{name}:text", parameter.system or "")
        case "reference":
            others = tuple((f"{one.name}:identifier", one.targets) for one in shared)
            return partial(_reference, name, f"{name}:identifier", named, parameter.single, others)
        case "date" if datatype == "Period":
            return partial(_period, name)
        case "date":
            return partial(_date if parameter.interval else _instant, name)
        case "string" if parameter.name == "phonetic":
            return partial(_strings, _PARTS.get(datatype, ()), partial(_sound, name))
        case "string":
            take = _name if parameter.of_people else _string
            return partial(_strings, _PARTS.get(datatype, ()), partial(take, name, f"{name}:exact", sort))
        case "uri":
            return partial(canonical if datatype == "canonical" else scalar, name)
        case _:
            return partial(_position, name)


def _where(member: str, wanted: str, emit: Emit, item: Any, run: Run) -> None:
    if isinstance(item, dict) and item.get(member) == wanted:
        emit(item, run)


# References.


def _reference(
    name: str,
    identified: str,
    named: str | None,
    single: bool,
    others: Sequence[tuple[str, tuple[str, ...]]],
    item: Any,
    run: Run,
) -> None:
    if not isinstance(item, dict):
        return
    text = item.get("reference")
    if isinstance(text, str) and text:
        if single:
            run.index.setdefault(name, extract.relative(text, run.bases))
        else:
            run.add(name, extract.relative(text, run.bases))
        alone = None if named is None else extract.id_alone(text, run.bases)
        if named is not None and alone is not None:
            run.add(named, alone)
    identifiers = [item["identifier"]] if isinstance(item.get("identifier"), dict) else []
    inside = _contained(text, run.resource)
    if inside is not None:
        # It is stored nowhere else, so nobody could find it by looking up whom the reference means.
        found = inside.get("identifier")
        identifiers += [one for one in (found if isinstance(found, list) else (found,)) if isinstance(one, dict)]
    if not identifiers:
        return
    kind = _type_of(item, run) if others else None
    fields = [identified, *(other for other, targets in others if kind in targets)]
    for identifier in identifiers:
        for field in fields:
            pair(field, None, identifier.get("system"), identifier.get("value"), run)


def _contained(text: Any, resource: Resource) -> Mapping[str, Any] | None:
    """Return the resource that a local reference (``#p1``) names."""
    if not isinstance(text, str) or not text.startswith("#"):
        return None
    found = (one for one in listed(resource.get("contained")) if isinstance(one, dict))
    return next((one for one in found if one.get("id") == text[1:]), None)


def _type_of(reference: Mapping[str, Any], run: Run) -> str | None:
    """Return the type that a Reference is to, by the first sign of it there is (as `mappings.references.kind_of`).

    In this order: its text, its type, the contained resource, an identifier that only patients have.
    """
    text, stated = reference.get("reference"), reference.get("type")
    kind = extract.type_of(text) if isinstance(text, str) else None
    if kind is not None:
        return kind
    if isinstance(stated, str):
        return stated.rpartition("/")[2]
    inside = _contained(text, run.resource)
    if inside is not None:
        kind = inside.get("resourceType")
        return kind if isinstance(kind, str) else None
    identifier = reference.get("identifier")
    system = identifier.get("system") if isinstance(identifier, dict) else None
    return "Patient" if system in run.patient_systems else None


# Dates.


def _span(text: Any, zone: tzinfo) -> tuple[datetime, datetime] | None:
    try:
        return span(text, zone) if isinstance(text, str) else None
    except ValueError:
        return None


def _instant(name: str, item: Any, run: Run) -> None:
    found = _span(item, run.zone)
    if found is not None:
        run.index.setdefault(name, found[0])


def _date(name: str, item: Any, run: Run) -> None:
    found = _span(item, run.zone)
    if found is not None:
        run.index.setdefault(name, {"lo": found[0], "hi": found[1]})


def _period(name: str, item: Any, run: Run) -> None:
    found = period(item, run.zone)
    if found is not None:
        run.index.setdefault(name, found)


def period(item: Any, zone: tzinfo) -> dict[str, Any] | None:
    """Return the span of a Period, open where it says nothing; None if it says nothing at all."""
    if not isinstance(item, dict):
        return None
    start, end = _span(item.get("start"), zone), _span(item.get("end"), zone)
    if start is None and end is None:
        return None
    return {"lo": start[0] if start else FIRST, "hi": end[1] if end else LAST}


# Text.


def _strings(parts: Sequence[str], take: Callable[[str, Run], None], item: Any, run: Run) -> None:
    if isinstance(item, str):
        take(item, run)
    elif isinstance(item, dict):
        for part in parts:
            found = item.get(part)
            for text in found if isinstance(found, list) else (found,):
                if isinstance(text, str):
                    take(text, run)


def _string(name: str, exact: str, sort: Sort | None, text: str, run: Run) -> None:
    _whole(name, exact, sort, text, run)


def _whole(name: str, exact: str, sort: Sort | None, text: str, run: Run) -> str:
    """File a text as a whole, and return it folded."""
    plain = extract.folded(text)
    run.add(name, plain)
    run.add(exact, text)
    if sort is not None:
        run.rank(sort, plain)
    return plain


def _name(name: str, exact: str, sort: Sort | None, text: str, run: Run) -> None:
    plain = _whole(name, exact, sort, text, run)
    if len(run.lists[name]) > _NAMES:
        return
    for further in extract.from_each_word(text):
        if not plain.startswith(further):  # else it finds nothing that the text itself does not
            run.add(name, further)


def _sound(name: str, text: str, run: Run) -> None:
    for word in extract.phonetic(text):
        run.add(name, word)


# Places.


def _position(name: str, item: Any, run: Run) -> None:
    """A GeoJSON point; one that is not on the globe would be refused by MongoDB's index."""
    if not isinstance(item, dict):
        return
    try:
        longitude, latitude = float(item["longitude"]), float(item["latitude"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return
    if abs(longitude) <= _LONGITUDE and abs(latitude) <= _LATITUDE:
        run.index[name] = {"type": "Point", "coordinates": [longitude, latitude]}
