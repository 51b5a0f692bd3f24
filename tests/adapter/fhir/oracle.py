"""FHIR search done slowly and obviously, over plain JSON in memory: what the indexed search is held to.

Written from https://hl7.org/fhir/R4/search.html, not from the server: it imports nothing of `store`, keeps no index,
looks at every resource for every parameter and evaluates the R4 expressions by walking the JSON. Where the
specification leaves a choice, the choice is the server's documented one and is named in a comment.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from typing import Any

from tests.adapter.fhir.r4_parameters import ACTORS, PARAMETERS, Param

Json = dict[str, Any]
Pairs = Sequence[tuple[str, str]]
Moment = datetime
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

RESULT = ("_sort", "_count", "_include", "_revinclude", "_total", "_summary", "_elements", "_format", "_pretty")


def fold(text: str) -> str:
    """Return `text` without case, accents and superfluous white space."""
    apart = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return " ".join(plain.casefold().split())


def at(node: Any, path: str) -> Iterator[Any]:
    """Yield every value at `path` (``telecom[system=email]``, ``participant.actor``), through lists."""
    head, _, rest = path.partition(".")
    name, _, condition = head.partition("[")
    value = node.get(name) if isinstance(node, dict) else None
    for item in value if isinstance(value, list) else [] if value is None else [value]:
        if condition:
            member, _, wanted = condition.rstrip("]").partition("=")
            if item.get(member) != wanted:
                continue
        if rest:
            yield from at(item, rest)
        else:
            yield item


def split(text: str, mark: str) -> list[str]:
    r"""Split at each `mark` that has no backslash before it; escapes are left in (``\,`` ``\|`` ``\$`` ``\\``)."""
    parts, part, letters = [], "", iter(text)
    for letter in letters:
        if letter == "\\":
            part += letter + next(letters, "")
        elif letter == mark:
            parts.append(part)
            part = ""
        else:
            part += letter
    return [*parts, part]


def unescape(text: str) -> str:
    r"""Return ``\,`` as ``,`` and so on."""
    return re.sub(r"\\([,|$\\])", r"\1", text)


# Times.

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?$")


def interval(text: str, zone: tzinfo) -> tuple[Moment, Moment]:
    """Return [first moment, first moment after) of a date, dateTime or instant; one without offset is in `zone`."""
    found = _DATE.match(text)
    assert found, text
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if offset == "Z":
        zone = UTC
    elif offset:
        sign = 1 if offset[0] == "+" else -1
        zone = timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[4:6])))
    numbers = (int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0))
    start = datetime(*numbers)  # noqa: DTZ001 - the calendar is walked in the zone's own time
    if fraction:
        start = start.replace(microsecond=int(fraction[:3].ljust(3, "0")) * 1000)
    if month is None:
        end = start.replace(year=start.year + 1)
    elif day is None:
        end = (start + timedelta(days=31)).replace(day=1)
    elif hour is None:
        end = start + timedelta(days=1)
    elif second is None:
        end = start + timedelta(minutes=1)
    else:
        end = start + (timedelta(milliseconds=1) if fraction else timedelta(seconds=1))
    return start.replace(tzinfo=zone).astimezone(UTC), end.replace(tzinfo=zone).astimezone(UTC)


def span(value: Any, zone: tzinfo) -> tuple[Moment, Moment]:
    """Return the interval of a date, dateTime or Period; an open end lasts for ever."""
    if isinstance(value, str):
        return interval(value, zone)
    start = interval(value["start"], zone)[0] if "start" in value else FIRST
    end = interval(value["end"], zone)[1] if "end" in value else LAST
    return start, end


_INSTANT: dict[str, Callable[[Moment, Moment, Moment], bool]] = {
    "eq": lambda x, lo, hi: lo <= x < hi,
    "ne": lambda x, lo, hi: not lo <= x < hi,
    "gt": lambda x, lo, hi: x >= hi,
    "ge": lambda x, lo, hi: x >= lo,
    "lt": lambda x, lo, hi: x < lo,
    "le": lambda x, lo, hi: x < hi,
    "sa": lambda x, lo, hi: x >= hi,
    "eb": lambda x, lo, hi: x < lo,
}
_SPAN: dict[str, Callable[[Moment, Moment, Moment, Moment], bool]] = {
    "eq": lambda s, e, lo, hi: lo <= s and e <= hi,
    "ne": lambda s, e, lo, hi: not (lo <= s and e <= hi),
    "gt": lambda s, e, lo, hi: e > hi,
    "ge": lambda s, e, lo, hi: e > hi or (lo <= s and e <= hi),
    "lt": lambda s, e, lo, hi: s < lo,
    "le": lambda s, e, lo, hi: s < lo or (lo <= s and e <= hi),
    "sa": lambda s, e, lo, hi: s >= hi,
    "eb": lambda s, e, lo, hi: e <= lo,
}


def kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance of two points (latitude, longitude in degrees) on a sphere."""
    (a, b), (c, d) = ((math.radians(x), math.radians(y)) for x, y in (one, other))
    half = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(half))


@dataclass
class World:
    """All there is to search in.

    Attributes:
        resources: with id and meta.lastUpdated.
        zone: of dates that state none.
        base: the server's own address: references below it are as good as relative ones.
    """

    resources: Sequence[Json]
    zone: tzinfo
    base: str

    def find(self, name: str) -> Json | None:
        """Return the resource ``Type/id``."""
        kind, _, ident = name.partition("/")
        return next((one for one in self.resources if (one["resourceType"], one["id"]) == (kind, ident)), None)

    # One resource against one parameter.

    def values(self, resource: Json, param: Param) -> list[Any]:
        """Return what of a resource a parameter is about."""
        found = [value for path in param.paths for value in at(resource, path)]
        if param.kind == "deceased":  # Patient.deceased.exists() and Patient.deceased != false: never missing
            return [str("deceasedDateTime" in resource or resource.get("deceasedBoolean") is True).lower()]
        if param.kind == "date-or-period":
            return found or list(at(resource, "requestedPeriod"))
        if param.kind == "Reference" and param.targets not in (ACTORS, ("*",)):
            return [value for value in found if self.kind_of(value, resource) in param.targets]
        return found

    def literal(self, reference: Json) -> str:
        """Return the literal reference: relative where it is ours, without a version."""
        text: str = re.sub(r"/_history/[^/]+$", "", reference.get("reference", ""))
        return text.removeprefix(self.base + "/")

    def kind_of(self, reference: Json, resource: Json) -> str | None:
        """Return the type that a Reference is to."""
        text = self.literal(reference)
        if text.startswith("#"):
            return next((one["resourceType"] for one in resource.get("contained", ()) if one["id"] == text[1:]), None)
        found = re.search(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}$", text)
        stated: str | None = reference.get("type")
        return found[1] if found else stated

    def matches(self, resource: Json, name: str, text: str) -> bool:
        """Tell whether a resource matches one parameter (``patient.name:exact``) with one value, commas included."""
        if name.startswith("_has:"):
            return self._has(resource, name, text)
        head, dot, rest = name.partition(".")
        if dot:
            return self._chain(resource, head, rest, text)
        name, _, modifier = name.partition(":")
        param = PARAMETERS[resource["resourceType"]][name]
        values = self.values(resource, param)
        if modifier == "missing":
            return (not values) == (text == "true")
        found = any(self.one(resource, param, values, modifier, part) for part in split(text, ",") if part)
        return not found if modifier == "not" else found

    def _has(self, resource: Json, name: str, text: str) -> bool:
        _, kind, back, rest = name.split(":", 3)
        me = f"{resource['resourceType']}/{resource['id']}"
        return any(
            other["resourceType"] == kind and me in self.names(other, back) and self.matches(other, rest, text)
            for other in self.resources
        )

    def _chain(self, resource: Json, head: str, rest: str, text: str) -> bool:
        head, _, kind = head.partition(":")
        searched = re.split(r"[.:]", rest)[0]
        for name in self.names(resource, head):
            target = self.find(name)
            if target is None or (kind and target["resourceType"] != kind):
                continue
            if (searched in PARAMETERS[target["resourceType"]] or searched == "_has") and self.matches(
                target, rest, text
            ):
                return True
        return False

    def names(self, resource: Json, name: str) -> list[str]:
        """Return the literal references of a parameter (``Patient/p``), or of all for ``*``."""
        params = PARAMETERS[resource["resourceType"]]
        chosen = [p for p in params.values() if p.kind == "Reference"] if name == "*" else [params[name]]
        found = [self.literal(value) for param in chosen for value in self.values(resource, param)]
        return list(dict.fromkeys(text for text in found if text))

    def one(self, resource: Json, param: Param, values: list[Any], modifier: str, text: str) -> bool:
        """Tell whether one of `values` matches one value of a search."""
        if param.kind == "Reference":
            return any(self._reference(resource, param, value, modifier, text) for value in values)
        if param.kind in ("instant", "date", "date-or-period"):
            return any(self._date(param, value, text) for value in values)
        if param.kind == "near":
            return any(_near(value, text) for value in values)
        if param.kind == "uri":
            return unescape(text) in values
        if param.kind in ("string", "HumanName", "Address"):
            met = _name_string if param.kind == "HumanName" or param.paths[0].startswith("name.") else _string
            return any(met(part, modifier, unescape(text)) for value in values for part in _parts(value))
        return any(_token(param, value, modifier, text) for value in values)

    def _date(self, param: Param, value: Any, text: str) -> bool:
        prefix, text = (text[:2], text[2:]) if text[:2].isalpha() else ("eq", text)
        lo, hi = interval(text, self.zone)
        if param.kind == "instant" or (param.kind == "date-or-period" and isinstance(value, str)):
            return _INSTANT[prefix](interval(value, self.zone)[0], lo, hi)
        return _SPAN[prefix](*span(value, self.zone), lo, hi)

    def _reference(self, resource: Json, param: Param, value: Json, modifier: str, text: str) -> bool:
        if modifier == "identifier":
            found = value.get("identifier")
            return found is not None and _coded(text, found.get("system"), found.get("value"))
        literal = self.literal(value)
        wanted = self.literal({"reference": unescape(text)})
        if modifier:
            return literal == f"{modifier}/{wanted.removeprefix(modifier + '/')}"
        if "/" not in wanted and ":" not in wanted:
            kind, _, ident = literal.rpartition("/")
            return ident == wanted and (kind in param.targets or (param.targets == ("*",) and kind.isalpha()))
        return literal == wanted

    # Whole searches.

    def search(self, kinds: Sequence[str], pairs: Pairs) -> list[Json]:
        """Return the matches, in no particular order."""
        criteria = [(name, text) for name, text in pairs if text and name not in RESULT and not _unknown(kinds, name)]
        return [
            resource
            for resource in self.resources
            if resource["resourceType"] in kinds and all(self.matches(resource, name, text) for name, text in criteria)
        ]

    def included(self, found: Sequence[Json], pairs: Pairs) -> set[str]:
        """Return what ``_include`` and ``_revinclude`` add to the matches of one page (``Type/id``)."""
        page = {_name(one) for one in found}
        wanted = [
            (name.partition(":")[0], name.partition(":")[2] in ("iterate", "recurse"), text)
            for name, text in pairs
            if name.startswith(("_include", "_revinclude"))
        ]
        seen = {new for way, _, text in wanted for one in found for new in self._step(one, way, text)} - page
        fresh = set(seen)
        while fresh:
            come = [one for name in sorted(fresh) if (one := self.find(name)) is not None]
            steps = {new for way, again, text in wanted if again for one in come for new in self._step(one, way, text)}
            fresh = steps - seen - page
            seen |= fresh
        return seen

    def _step(self, resource: Json, way: str, text: str) -> set[str]:
        source, name, kind = (*text.split(":"), "", "")[:3] if text != "*" else ("*", "*", "")
        if way == "_include":
            if source not in ("*", resource["resourceType"]):
                return set()
            names = {found for found in self.names(resource, name) if not kind or found.startswith(kind + "/")}
            return {found for found in names if self.find(found) is not None}
        me = _name(resource)
        if kind and kind != resource["resourceType"]:
            return set()
        return {_name(one) for one in self.resources if one["resourceType"] == source and me in self.names(one, name)}

    def sort_key(self, resource: Json, item: str, *, falling: bool = False) -> Any:
        """Return what one item of ``_sort`` (without its sign) compares; None where there is no value.

        Of several values that which comes first in the order asked for (https://hl7.org/fhir/R4/search.html#sort).
        """
        param = PARAMETERS[resource["resourceType"]][item]
        values = self.values(resource, param)
        if param.kind in ("instant", "date", "date-or-period"):
            values = [span(value, self.zone)[0] for value in values]
        elif param.kind in ("string", "HumanName", "Address"):
            values = [fold(part) for value in values for part in _parts(value)]
        elif param.kind == "Identifier":
            values = [value["value"].casefold() for value in values if "value" in value]
        elif param.kind == "CodeableConcept":
            values = [code.casefold() for value in values for code in at(value, "coding.code")]
        return (max if falling else min)(values, default=None)

    def require_sorted(self, found: Sequence[Json], text: str) -> None:
        """Check the order of a result against ``_sort``; a missing value sorts before all others (our choice)."""
        items = [item for item in text.split(",") if item]
        for one, other in pairwise(found):
            for item in items:
                name = item.removeprefix("-")
                falling = item.startswith("-")
                first, second = (self.sort_key(found, name, falling=falling) for found in (one, other))
                if first == second:
                    continue
                rising = first is None or (second is not None and first < second)
                assert rising != falling, f"{_name(one)} before {_name(other)} by {item}"
                break


def _name(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _unknown(kinds: Sequence[str], name: str) -> bool:
    first = re.split(r"[.:]", name)[0]
    return first != "_has" and not all(first in PARAMETERS[kind] for kind in kinds)


def _parts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    names = ["text", "family", "given", "prefix", "suffix"]
    names += ["line", "city", "district", "state", "postalCode", "country"]
    return [part for name in names for part in at(value, name)]


def _string(value: str, modifier: str, text: str) -> bool:
    if modifier == "exact":
        return value == text
    if modifier == "contains":
        return fold(text) in fold(value)
    return fold(value).startswith(fold(text))


def _name_string(value: str, modifier: str, text: str) -> bool:
    """Match a person's name, also from any of its words on, and whatever punctuation and white space there is.

    Where a word ends at an apostrophe or a full stop is the server's choice: nowhere.
    """
    if _string(value, modifier, text):
        return True
    wanted, whole = bare(text), bare(value)
    if modifier == "exact" or not wanted:
        return False
    if modifier == "contains":
        return wanted in whole
    return any(bare(value[at:]).startswith(wanted) for at in range(len(value)) if at == 0 or value[at - 1] in " -,/·")


def bare(text: str) -> str:
    """Return the letters and digits of `text`, folded."""
    return "".join(re.findall(r"[^\W_]", fold(text)))


def _coded(text: str, system: str | None, code: str | None) -> bool:
    """Match ``code``, ``system|code``, ``|code`` or ``system|``; case does not count where its rules are unknown."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1:
        return code is not None and code.casefold() == parts[0].casefold()
    wanted = "|".join(parts[1:])
    if not wanted:
        return system == parts[0]
    return (system or "") == parts[0] and code is not None and code.casefold() == wanted.casefold()


def _token(param: Param, value: Any, modifier: str, text: str) -> bool:
    if isinstance(value, bool) or param.kind in ("id", "deceased"):
        return (str(value).lower() if isinstance(value, bool) else value) == text
    if param.kind == "code":
        return _coded(text, param.system, value)
    if param.kind == "ContactPoint":
        return bool(value.get("value", "").casefold() == unescape(text).casefold())
    if modifier == "text":
        names = {"CodeableConcept": ("text", "coding.display"), "Identifier": ("type.text",), "Coding": ("display",)}
        return any(
            fold(said).startswith(fold(unescape(text))) for name in names[param.kind] for said in at(value, name)
        )
    if modifier == "of-type":
        system, code, wanted = (unescape(part) for part in split(text, "|"))
        return any(
            coding.get("system") == system
            and coding.get("code", "").casefold() == code.casefold()
            and value.get("value", "").casefold() == wanted.casefold()
            for coding in at(value, "type.coding")
        )
    if param.kind == "Identifier":
        return _coded(text, value.get("system"), value.get("value"))
    codings = at(value, "coding") if param.kind == "CodeableConcept" else [value]
    return any(_coded(text, coding.get("system"), coding.get("code")) for coding in codings)


def _near(position: Json, text: str) -> bool:
    latitude, longitude, distance, unit = [*text.split("|"), "", ""][:4]
    metres = {"km": 1.0, "": 1.0, "m": 0.001}[unit]
    far = kilometres((float(latitude), float(longitude)), (float(position["latitude"]), float(position["longitude"])))
    return far <= float(distance) * metres
