"""Generated searches for the property test: every parameter with the modifiers, prefixes and forms that it takes."""

from __future__ import annotations

from random import Random

from tests.adapter.fhir.chance import Gen, builds, just, lists, mark, one_of, pairs
from tests.adapter.fhir.r4_parameters import PARAMETERS
from tests.adapter.fhir.search_worlds import BASE, CODES, IDS, KINDS, SYSTEM_URIS, VALUES

Pairs = list[tuple[str, str]]

SEARCH_DATES = (
    "2024",
    "2024-01",
    "2024-01-20",
    "2024-01-21",
    "2024-01-20T09:00",
    "2024-01-20T09:00Z",
    "2024-01-20T09:00:00Z",
    "2024-01-20T12:00:00+03:00",
    "2024-01-20T09:00:00.500Z",
    "2024-01-20T12:00:00.50098765432109+03:00",
    "2024-01-21T00:00:00+03:00",
    "2023-12",
)
SEARCH_BIRTHDAYS = ("1990", "1990-05", "1990-05-17", "1990-05-18", "2001", "2001-12")
PREFIXES = ("", "eq", "ne", "gt", "ge", "lt", "le", "sa", "eb")
SEARCH_WORDS = (
    *("anna", "Ann", "Anna", "ANNA MARIA", "maria", "okello", "o,k", "Ánna", "x"),
    *("annamaria", "maria okello", "o'kello", "kello", "dr okello", "-", "a-"),
)


def escaped(text: str) -> str:
    """Return `text` as a search takes it literally."""
    for sign in "\\,|$":
        text = text.replace(sign, "\\" + sign)
    return text


_WEIGHTS = {"date": 5, "instant": 3, "date-or-period": 3, "Reference": 2}  # more can be wrong with these
_PARAMS = {
    kind: [name for name, one in params.items() if name != "_id" for _ in range(_WEIGHTS.get(one.kind, 1))]
    for kind, params in PARAMETERS.items()
}  # `_id` is drawn by itself
_REFERENCES = {kind: [n for n, p in params.items() if p.kind == "Reference"] for kind, params in PARAMETERS.items()}

_CHAINED = {
    kind: [
        (name, target)
        for name in names
        for target in (KINDS if PARAMETERS[kind][name].targets == ("*",) else PARAMETERS[kind][name].targets)
        if target in KINDS
    ]
    for kind, names in _REFERENCES.items()
}

_BACK = {
    kind: [
        (other, name)
        for other, names in _REFERENCES.items()
        for name in names
        if kind in PARAMETERS[other][name].targets
    ]
    for kind in KINDS
}


def _tokens(values: tuple[str, ...]) -> Gen:
    return builds(
        lambda form, system, value: form.format(s=escaped(system), v=escaped(value)),
        mark(("{v}", "{v}", "{s}|{v}", "|{v}", "{s}|")),
        mark(SYSTEM_URIS),
        mark(values),
    )


_CODES_OF: dict[str, dict[str, tuple[str, ...]]] = {
    "status": {
        "Appointment": ("booked", "cancelled", "proposed"),
        "Slot": ("free", "busy", "busy-unavailable"),
        "Location": ("active", "inactive"),
    },
    "part-status": dict.fromkeys(KINDS, ("accepted", "declined", "needs-action")),
    "gender": dict.fromkeys(KINDS, ("male", "female", "other")),
    "address-use": dict.fromkeys(KINDS, ("home", "work")),
    "type": {"Group": ("person", "practitioner", "device")},
}


def _code(kind: str, name: str) -> Gen:
    codes, system = _CODES_OF[name][kind], PARAMETERS[kind][name].system
    forms = ("{v}", "{v}", "{s}|{v}", "{s}|", "urn:s|{v}")
    return builds(lambda form, code: form.format(s=system, v=code), mark(forms), mark(codes))


def _reference_texts(kind: str, name: str) -> Gen:
    targets = PARAMETERS[kind][name].targets
    targets = ("Appointment",) if targets == ("*",) else tuple(one for one in targets if one in KINDS) or targets
    forms = ("{i}", "{t}/{i}", BASE + "/{t}/{i}", "http://other.example/fhir/Device/{i}")
    return builds(lambda form, t, i: form.format(t=t, i=i), mark(forms), mark(targets), mark(IDS))


def _listed(one: Gen) -> Gen:
    """One value, or several with commas."""
    return one_of(one, one, builds(",".join, lists(one, 2, 3)))


def _dates(values: tuple[str, ...], prefixes: tuple[str, ...] = PREFIXES) -> Gen:
    return builds(lambda prefix, value: prefix + value, mark(prefixes), mark(values))


def _updated() -> Gen:
    moments = ("2024-01-15T10:00:00Z", "2024-01-15T13:00:00+03:00", "2024-01-16T06:00Z")
    return _dates(("2024-01-15", "2024-01-16", *moments))


_missing = pairs(just(":missing"), mark(("true", "false")))
Suffixed = Gen


def _plain(values: Gen) -> Suffixed:
    return pairs(just(""), _listed(values))


_of_type = builds(
    lambda system, code, value: f"{system}|{escaped(code)}|{escaped(value)}",
    mark(("urn:type", "urn:type", "urn:s")),
    mark(("MR", "mr", "MR|p")),
    mark(VALUES),
)


def values_for(kind: str, name: str) -> Suffixed:
    """Modifier and value of a search by one parameter."""
    param = PARAMETERS[kind][name]
    if name == "_lastUpdated":
        return _plain(_updated())
    if param.kind in ("instant", "date"):
        dates = _plain(_dates(SEARCH_BIRTHDAYS if name == "birthdate" else SEARCH_DATES))
        return one_of(dates, dates, _missing)
    if param.kind == "Reference":
        return _references(kind, name)
    if param.kind == "code":
        return one_of(pairs(mark(("", "", ":not")), _listed(_code(kind, name))), _missing)
    if param.kind in ("Identifier", "CodeableConcept", "Coding"):
        return _coded(name, param.kind)
    return _BY_DATATYPE[param.kind]


_strings = one_of(
    pairs(mark(("", "", ":exact", ":contains")), _listed(builds(escaped, mark((*SEARCH_WORDS, "UG"))))), _missing
)
_BY_DATATYPE: dict[str, Suffixed] = {
    # `ne` of several values is left out: the specification does not say of which.
    "date-or-period": _plain(_dates(SEARCH_DATES, tuple(prefix for prefix in PREFIXES if prefix != "ne"))),
    "string": _strings,
    "HumanName": _strings,
    "Address": _strings,
    "uri": _plain(mark(("urn:profile:1", "urn:lab", "urn:none"))),
    "near": _plain(mark(("0.3136|32.5811|1|km", "0.3136|32.5811|10", "0.3|32.5|900000|m", "0|0|5|km"))),
    "deceased": pairs(mark(("", ":not")), mark(("true", "false"))),
    "boolean": one_of(pairs(mark(("", ":not")), mark(("true", "false"))), _missing),
    "ContactPoint": one_of(_plain(mark(("a@x.ug", "0772", "A@x.ug"))), _missing),
}


def _references(kind: str, name: str) -> Suffixed:
    texts = _reference_texts(kind, name)
    targets = PARAMETERS[kind][name].targets
    typed = mark([f":{one}" for one in (("Appointment",) if targets == ("*",) else targets)])
    parts = [_plain(texts), _plain(texts), pairs(just(":identifier"), _listed(_tokens(VALUES))), _missing]
    return one_of(*parts, *([pairs(typed, mark(IDS))] if len(targets) > 1 else []))


def _coded(name: str, datatype: str) -> Suffixed:
    codes = ("R", *CODES) if name.startswith("_") else ("true", "false", *CODES) if name == "value" else CODES
    tokens = _tokens(VALUES if datatype == "Identifier" else codes)
    choices = [_plain(tokens), pairs(mark(("", ":not")), _listed(tokens)), _missing]
    if not name.startswith("_"):
        choices.append(pairs(just(":text"), mark(("okello", "General", "anna", "check"))))
    if datatype == "Identifier":
        choices.append(pairs(just(":of-type"), _of_type))
    return one_of(*choices)


_VALUES = {(kind, name): values_for(kind, name) for kind, names in _PARAMS.items() for name in names}


def criterion(chance: Random, kind: str, depth: int = 0) -> tuple[str, str]:
    """One search parameter of `kind` with its value: its own, a chain or ``_has``."""
    way = chance.random() if depth < 2 else 1
    if way < 0.15 and _CHAINED[kind]:
        name, target = chance.choice(_CHAINED[kind])
        rest, text = criterion(chance, target, depth + 1)
        typed = "" if PARAMETERS[kind][name].targets == (target,) else f":{target}"
        return f"{name}{typed}.{rest}", text
    if way < 0.3 and _BACK[kind]:
        other, name = chance.choice(_BACK[kind])
        rest, text = criterion(chance, other, depth + 1)
        return f"_has:{other}:{name}:{rest}", text
    if way < 0.35:
        return "_id", chance.choice((*IDS, "a,b", "a,x", "x"))
    name = chance.choice(_PARAMS[kind])
    modifier, text = _VALUES[kind, name](chance)
    return name + modifier, text


_SORTED = {
    "Appointment": ("date", "-date", "status", "-status", "service-type", "-service-type", "-identifier"),
    "Slot": ("start", "-start", "status", "end", "-end"),
    "Schedule": ("-active", "active", "specialty", "-specialty"),
    "Patient": ("birthdate", "-birthdate", "family", "-family", "name", "-name", "-given", "gender", "-identifier"),
    "Practitioner": ("family", "-family", "name", "-name", "gender", "-address-city"),
    "RelatedPerson": ("birthdate", "name", "-name", "gender"),
    "Group": ("-identifier", "type", "-actual"),
    "Location": ("name", "-name", "status"),
    "Organization": ("name", "-name", "-identifier"),
    "HealthcareService": ("name", "-name", "-service-type", "specialty"),
}


def _sorting(chance: Random, kind: str) -> Pairs:
    names = (*_SORTED.get(kind, ()), "_lastUpdated", "-_lastUpdated", "_id", "-_id")
    items = {item.removeprefix("-"): item for item in chance.sample(names, chance.choice((0, 1, 2)))}
    return [("_sort", ",".join(items.values()))] if items else []


def _including(chance: Random, kind: str) -> Pairs:
    found: Pairs = []
    for _ in range(chance.choice((0, 0, 0, 1, 2, 3))):
        source = chance.choice((kind, kind, *KINDS)) if found else kind
        again = chance.choice(("", ":iterate", ":recurse")) if found else ""
        if chance.random() < 0.5 and _REFERENCES[source]:
            name = chance.choice((*_REFERENCES[source], "*"))
            targets = [] if name == "*" else [one for one in PARAMETERS[source][name].targets if one in KINDS]
            typed = f":{chance.choice(targets)}" if targets and chance.random() < 0.5 else ""
            found.append((f"_include{again}", f"{source}:{name}{typed}"))
        elif _BACK[source]:
            other, name = chance.choice(_BACK[source])
            found.append((f"_revinclude{again}", f"{other}:{name}"))
    return found


def search(seed: int) -> tuple[tuple[str, ...], Pairs]:
    """Types and parameters of a search."""
    chance = Random(seed)
    if chance.random() < 0.06:
        kinds = tuple(chance.sample(KINDS, chance.choice((2, 3))))
        name = chance.choice([name for name in _PARAMS[kinds[0]] if name.startswith("_")])
        modifier, text = _VALUES[kinds[0], name](chance)
        return kinds, [(name + modifier, text), ("_count", "2")]
    kind = chance.choice((*KINDS, "Appointment", "Appointment", "Slot"))
    found = [criterion(chance, kind) for _ in range(chance.choice((1, 1, 1, 1, 2, 0)))]
    found += chance.choice(([], [], [], [], [("unheard-of", "x"), ("_tag", "")]))
    found += _sorting(chance, kind) + _including(chance, kind)
    found += chance.choice(([], [("_count", "1")], [("_count", "2")]))
    return (kind,), found
