"""One parameter with its values as a query of MongoDB, by the parameter's type.

https://hl7.org/fhir/R4/search.html#ptypes. The values that a document is found by are made by `store.extract` at its
write; here the same is done to the values that are looked for. A query names a document's own values only as equal to
one of a list, as beginning with a text, or as within bounds wherever that is possible: each is one descent into an
index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from store import extract
from store.dates import span
from store.parameters import Parameter
from store.search import dates
from store.search.matching import BadValue, any_of, containing, either, path_of, patterns_first, starting
from store.search.missing import missing
from store.search.model import Query, Reading
from store.search.references import reference
from store.search.text import split, unescaped
from store.search.tokens import folded, token
from store.search.weight import as_far_as_bearable

_MOST_VALUES = 1_000
_LONGEST = 2_048
_TOLD = 64  # of a date that is none
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,15})?")
_EARTH_KM = 6_378.1
_UNITS_KM = {"km": 1.0, "m": 0.001, "mi": 1.609344, "[mi_i]": 1.609344, "[mi_us]": 1.609347}
_NEAR_KM = 50.0


def condition(parameter: Parameter, modifier: str | None, text: str, reading: Reading) -> Query:
    """Return the query for a parameter; an empty one is met by every document.

    Args:
        parameter: of the type searched.
        modifier: one that the parameter takes (`store.search.names`), or None.
        text: its values as they were written, with commas between them.
        reading: how.

    Raises:
        BadValue: one of them is none.
    """
    if "\0" in text or (not text.isascii() and _broken(text)):
        raise BadValue("It holds a character that no text has.")
    if modifier == "missing":
        return missing(parameter, text)
    values = [value for value in split(text, ",") if value]
    if modifier != "exact":  # blanks around a value mean something in a text alone that is compared as it is written
        values = [value.strip() or value for value in values]
    if len(values) > _MOST_VALUES:
        raise BadValue(f"It has more than {_MOST_VALUES} values. Search in parts.")
    if any(len(value) > _LONGEST for value in values):
        raise BadValue(f"It is longer than {_LONGEST} characters.")
    return _COMPILED[parameter.kind](parameter, modifier, values, reading)


def _broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


# Text.


def _string(parameter: Parameter, modifier: str | None, values: list[str], _: Reading) -> Query:
    path = path_of(parameter)
    if parameter.name == "phonetic":
        return either([_sounding(path, unescaped(value)) for value in values])
    if modifier == "exact":
        return any_of(f"{path}:exact", [unescaped(value) for value in values])
    wanted = [form for value in values for form in _forms(parameter, value)]
    if modifier == "contains":
        return any_of(path, [containing(form) for form in wanted])
    return any_of(path, [starting(form) for form in wanted])


def _forms(parameter: Parameter, value: str) -> list[str]:
    """Return the forms in which a text is looked for: a name of people also without punctuation and white space.

    As it is, too: earlier releases have filed no other form, and what is punctuation alone has none.
    """
    form = folded(value)
    together = extract.run_together(form) if parameter.of_people else ""
    return [form, together] if together not in ("", form) else [form]


def _sounding(path: str, value: str) -> Query:
    codes = extract.phonetic(value)
    if not codes:
        raise BadValue("It has no word to listen to.")
    return {path: codes[0]} if len(codes) == 1 else {path: {"$all": list(codes)}}


def _uri(parameter: Parameter, modifier: str | None, values: list[str], _: Reading) -> Query:
    versioned = any(path.datatype == "canonical" for path in parameter.paths)
    wanted = as_far_as_bearable(one for value in map(unescaped, values) for one in _uris(value, modifier, versioned))
    return any_of(path_of(parameter), patterns_first(wanted))


def _uris(value: str, modifier: str | None, versioned: bool) -> Iterator[Any]:
    yield value
    if modifier == "below" and versioned and "|" in value:
        yield starting(value + ".")  # https://hl7.org/fhir/R4/search.html#versions
    elif modifier == "below":
        yield starting(value.rstrip("/") + "/")
    elif modifier == "above":
        yield from _above(value)


def _above(uri: str) -> Iterator[str]:
    """Yield the URIs on the way from the root to `uri`, with and without a slash at the end."""
    parts = uri.rstrip("/").split("/")
    root = 3 if "://" in uri else 1
    for end in range(root, len(parts) + 1):
        above = "/".join(parts[:end])
        yield from (above, above + "/")


# Dates.


def _date(parameter: Parameter, _: str | None, values: list[str], reading: Reading) -> Query:
    path = path_of(parameter)
    queries = []
    for value in values:
        prefix, text = dates.prefixed(value)
        try:
            lo, hi = span(dates.repaired(text), reading.zone)
        except ValueError:
            raise BadValue(
                f"'{value[:_TOLD]}' is not a date. Write 2026-01-10, 2026-01-10T09:00:00+03:00 or a part of it "
                f"from the left, with one of these before it if need be: {', '.join(dates.PREFIXES)}."
            ) from None
        if prefix == "ap":
            lo, hi = dates.widened(lo, hi, reading.now)
        if parameter.interval:
            queries.append(dates.of_spans(path, prefix, lo, hi, several=not parameter.single))
        else:
            queries.append(dates.of_instants(path, prefix, lo, hi))
    return either(queries)


# Places.


def _special(parameter: Parameter, _: str | None, values: list[str], __: Reading) -> Query:
    return either([{path_of(parameter): {"$geoWithin": {"$centerSphere": _circle(value)}}} for value in values])


def _circle(value: str) -> list[Any]:
    parts = [unescaped(part) for part in split(value, "|")]
    latitude, longitude, distance, unit = (*parts, "", "", "", "")[:4]
    numbers = (latitude, longitude, distance or f"{_NEAR_KM}")
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, numbers)) or (unit or "km") not in _UNITS_KM:
        raise BadValue("It is latitude|longitude|distance|unit: 0.3476|32.5825|10|km.")
    lat, lng, radius = map(float, numbers)
    if abs(lat) > 90 or abs(lng) > 180 or radius < 0:
        raise BadValue("A latitude is from -90 to 90, a longitude from -180 to 180, a distance not below 0.")
    return [[lng, lat], min(radius * _UNITS_KM[unit or "km"] / _EARTH_KM, 3.14159)]


_COMPILED: dict[str, Callable[[Parameter, str | None, list[str], Reading], Query]] = {
    "token": token,
    "string": _string,
    "date": _date,
    "reference": reference,
    "uri": _uri,
    "special": _special,
}
