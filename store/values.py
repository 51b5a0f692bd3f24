"""One value of a resource to what its fields of `_index` hold: a function for each kind of value.

Stored resources have been validated, but what is not of the expected shape is passed over: nothing that can be stored
may fail to be indexed. `store.indexing` puts these functions where the values are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

from store import extract
from store.codec import Resource
from store.dates import FIRST, LAST, span
from store.parameters import Parameter, Path

_PARTS = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "postalCode", "country"),
}
_LONGITUDE, _LATITUDE = 180, 90


@dataclass(frozen=True, slots=True)
class Run:
    """One resource on its way into the index.

    Attributes:
        resource: the whole of it.
        zone: where dates are that do not say it.
        bases: addresses of this server.
        index: the fields with one value, as found so far.
        lists: those with several: the keys of a dictionary, so that each value is there once.
    """

    resource: Resource
    zone: tzinfo
    bases: tuple[str, ...]
    index: dict[str, Any]
    lists: dict[str, dict[str, None]]

    def add(self, name: str, value: str) -> None:
        """Put a value on a list."""
        found = self.lists.get(name)
        if found is None:
            self.lists[name] = {value: None}
        else:
            found[value] = None

    def rank(self, sort: Sort, value: Any) -> None:
        """Keep what a list sorts by."""
        least, greatest = sort
        known = self.index.get(least)
        if known is None:
            self.index[least] = self.index[greatest] = value
        elif value < known:
            self.index[least] = value
        elif value > self.index[greatest]:
            self.index[greatest] = value


Sort = tuple[str, str]
"""The fields with the least and the greatest value of a list: which comes first, if it rises and if it falls.

https://hl7.org/fhir/R4/search.html#sort
"""

Emit = Callable[[Any, Run], None]


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
            return partial(_present if path.steps.endswith("DateTime") else _boolean, name)
        case "token" if parameter.single:
            return partial(_scalar, name)
        case "token":
            return partial(_TOKENS[datatype], name, sort, f"{name}:text", parameter.system or "")
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
            return partial(_strings, _PARTS.get(datatype, ()), partial(_string, name, f"{name}:exact", sort))
        case "uri":
            return partial(_canonical if datatype == "canonical" else _scalar, name)
        case _:
            return partial(_position, name)


def _where(member: str, wanted: str, emit: Emit, item: Any, run: Run) -> None:
    if isinstance(item, dict) and item.get(member) == wanted:
        emit(item, run)


# Tokens.


def _scalar(name: str, item: Any, run: Run) -> None:
    if isinstance(item, str):
        run.index.setdefault(name, item)


def _boolean(name: str, item: Any, run: Run) -> None:
    if isinstance(item, bool):
        run.index.setdefault(name, "true" if item else "false")


def _present(name: str, _: Any, run: Run) -> None:
    """``Patient.deceased`` is a boolean also where it is a date: that it is there makes it true."""
    run.index.setdefault(name, "true")


def _canonical(name: str, item: Any, run: Run) -> None:
    """File a canonical URL without its version, too: who names none means every one."""
    if isinstance(item, str):
        run.add(name, item.partition("|")[0])
        run.add(name, item)


def _pair(name: str, sort: Sort | None, system: Any, code: Any, run: Run) -> None:
    if not isinstance(code, str):
        if isinstance(system, str):
            run.add(name, f"{extract.escaped(system)}|")  # `system|` asks for no code
        return
    alone = extract.fold(code)
    whole = f"{extract.escaped(system)}|{alone}" if isinstance(system, str) else f"|{alone}"
    found = run.lists.get(name)
    if found is None:
        run.lists[name] = {alone: None, whole: None}
    else:
        found[alone] = found[whole] = None
    if sort is not None:
        run.rank(sort, code.casefold())


def _code(name: str, sort: Sort | None, _: str, system: str, item: Any, run: Run) -> None:
    if isinstance(item, str):
        _pair(name, sort, system, item, run)


def _truth(name: str, sort: Sort | None, _: str, system: str, item: Any, run: Run) -> None:
    """File a boolean of which there may be several (``Group.characteristic.exclude``)."""
    if isinstance(item, bool):
        _pair(name, sort, system, "true" if item else "false", run)


def _coding(name: str, sort: Sort | None, said: str, _: str, item: Any, run: Run) -> None:
    if isinstance(item, dict):
        _pair(name, sort, item.get("system"), item.get("code"), run)
        text = item.get("display")
        if isinstance(text, str):
            run.add(said, extract.folded(text))


def _concept(name: str, sort: Sort | None, said: str, _: str, item: Any, run: Run) -> None:
    if not isinstance(item, dict):
        return
    for coding in _listed(item.get("coding")):
        _coding(name, sort, said, _, coding, run)
    text = item.get("text")
    if isinstance(text, str):
        run.add(said, extract.folded(text))


def _contact(name: str, sort: Sort | None, _: str, __: str, item: Any, run: Run) -> None:
    if isinstance(item, dict):
        _pair(name, sort, item.get("system"), item.get("value"), run)


def _identifier(name: str, sort: Sort | None, said: str, _: str, item: Any, run: Run) -> None:
    if not isinstance(item, dict):
        return
    value, kind = item.get("value"), item.get("type")
    _pair(name, sort, item.get("system"), value, run)
    if not isinstance(kind, dict):
        return
    if isinstance(kind.get("text"), str):
        run.add(said, extract.folded(kind["text"]))
    for coding in _listed(kind.get("coding")):
        if isinstance(value, str) and isinstance(coding, dict) and isinstance(coding.get("code"), str):
            system = coding.get("system")
            of_type = extract.token(system if isinstance(system, str) else "", coding["code"])
            run.add(f"{name}:of-type", f"{of_type}|{extract.fold(value)}")


_TOKENS: Mapping[str, Callable[..., None]] = {
    "boolean": _truth,
    "code": _code,
    "Coding": _coding,
    "CodeableConcept": _concept,
    "ContactPoint": _contact,
    "Identifier": _identifier,
}


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


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
    kind = _type_of(item, run.resource) if others else None
    fields = [identified, *(other for other, targets in others if kind in targets)]
    for identifier in identifiers:
        for field in fields:
            _pair(field, None, identifier.get("system"), identifier.get("value"), run)


def _contained(text: Any, resource: Resource) -> Mapping[str, Any] | None:
    """Return the resource that a local reference (``#p1``) names."""
    if not isinstance(text, str) or not text.startswith("#"):
        return None
    found = (one for one in _listed(resource.get("contained")) if isinstance(one, dict))
    return next((one for one in found if one.get("id") == text[1:]), None)


def _type_of(reference: Mapping[str, Any], resource: Resource) -> str | None:
    """Return the type that a Reference is to: as its text tells, or the contained resource, or itself."""
    text, stated = reference.get("reference"), reference.get("type")
    inside = _contained(text, resource)
    if inside is not None:
        kind = inside.get("resourceType")
        return kind if isinstance(kind, str) else None
    if isinstance(text, str):
        kind = extract.type_of(text)
        if kind is not None:
            return kind
    return stated.rpartition("/")[2] if isinstance(stated, str) else None


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
    plain = extract.folded(text)
    run.add(name, plain)
    run.add(exact, text)
    if sort is not None:
        run.rank(sort, plain)


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
