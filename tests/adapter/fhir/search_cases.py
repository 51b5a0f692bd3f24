"""Generated resources and searches for the property test of search: small alphabets, so that things match.

The odd values are those that servers get wrong: commas and pipes inside of values, case, accents, milliseconds, offsets
across midnight, versions in references, logical references, the same id under several types.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.adapter.fhir.oracle import PARAMETERS, Json

BASE = "http://clinic.example/fhir/R4"
ZONE = ZoneInfo("Africa/Kampala")
KINDS = tuple(PARAMETERS)

INSTANTS = (
    "2024-01-20T09:00:00Z",
    "2024-01-20T09:00:00.500Z",
    "2024-01-20T12:00:00+03:00",
    "2024-01-20T22:30:00Z",
    "2024-01-21T00:00:00+03:00",
    "2024-02-01T08:00:00-05:00",
)
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
    "2024-01-21T00:00:00+03:00",
    "2023-12",
)
BIRTHDAYS = ("1990", "1990-05", "1990-05-17", "2001-12-31")
SEARCH_BIRTHDAYS = ("1990", "1990-05", "1990-05-17", "1990-05-18", "2001", "2001-12")
PREFIXES = ("", "eq", "ne", "gt", "ge", "lt", "le", "sa", "eb")
IDS = ("a", "b", "c")
SYSTEM_URIS = ("urn:s", "urn:t")
VALUES = ("V1", "v1", "x,y", "p|q", "back\\slash")
CODES = ("gp", "GP", "derm")
WORDS = ("Anna", "anna maria", "Ánna", "Okello", "O,kello")
SEARCH_WORDS = ("anna", "Ann", "Anna", "ANNA MARIA", "maria", "okello", "o,k", "Ánna", "x")
PLACES = ((0.3136, 32.5811), (0.3476, 32.5825), (-1.2864, 36.8172))
OF_TYPE = ("urn:type", "MR")

mark = st.sampled_from


def escaped(text: str) -> str:
    """Return `text` as a search takes it literally."""
    for sign in "\\,|$":
        text = text.replace(sign, "\\" + sign)
    return text


# Resources.


def some(*strategies: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*strategies), min_size=1, max_size=most)


_identifier = st.builds(
    lambda system, value, of: ({"system": system} if system else {}) | {"value": value} | of,
    mark((*SYSTEM_URIS, None)),
    mark(VALUES),
    mark(({}, {}, {"type": {"text": "Anna's", "coding": [{"system": OF_TYPE[0], "code": OF_TYPE[1]}]}})),
)
_coding = st.builds(
    lambda system, code, display: ({"system": system} if system else {}) | {"code": code} | display,
    mark((*SYSTEM_URIS, None)),
    mark(CODES),
    mark(({}, {"display": "Okello's disease"}, {"display": "General"})),
)
_concept = st.one_of(
    st.builds(lambda codings: {"coding": codings}, st.lists(_coding, min_size=1, max_size=2)),
    st.builds(lambda coding, text: {"coding": [coding], "text": text}, _coding, mark(("Anna", "general check"))),
    st.just({"text": "general check"}),
)
_period = st.one_of(
    st.builds(lambda a, b: {"start": a, "end": b}, mark(("2023-12-31", "2024-01-20")), mark(("2024-01-20", "2024-06"))),
    st.just({"start": "2024-01-20T09:00:00Z"}),
    st.just({"end": "2024-01-20"}),
)
_meta: st.SearchStrategy[Json] = st.one_of(
    st.just({}),
    st.just({"tag": [{"system": "urn:s", "code": "gp"}], "source": "urn:lab"}),
    st.just({"security": [{"code": "R"}], "profile": ["urn:profile:1", "urn:profile:2"]}),
)
_name = st.one_of(
    st.builds(lambda family, given: {"family": family, "given": [given]}, mark(WORDS), mark(WORDS)),
    st.builds(lambda text: {"text": text}, mark(WORDS)),
)
_address = st.builds(
    lambda city, line: {"use": "home", "city": city, "line": [line], "country": "UG"}, mark(WORDS), mark(WORDS)
)
_contact = st.builds(
    lambda system, value: {"system": system, "value": value}, mark(("email", "phone")), mark(("A@x.ug", "0772"))
)


def literal(*kinds: str) -> st.SearchStrategy[Json]:
    """A reference to one of `kinds`: relative, absolute, of a version, with an identifier."""

    def build(kind: str, ident: str, form: str, identifier: Json | None) -> Json:
        made = {"reference": form.format(f"{kind}/{ident}")}
        return made | ({"identifier": identifier} if identifier else {})

    forms = ("{}", "{}", "{}", BASE + "/{}", "{}/_history/2")
    return st.builds(build, mark(kinds), mark(IDS), mark(forms), st.one_of(st.none(), st.none(), _identifier))


def logical(*kinds: str) -> st.SearchStrategy[Json]:
    return st.builds(lambda kind, found: {"type": kind, "identifier": found}, mark(kinds), _identifier)


_elsewhere = st.just({"reference": "http://other.example/fhir/Device/a"})
_contained_patient = {"resourceType": "Patient", "id": "p1"}
_actor = st.one_of(
    literal("Patient"),
    literal("Practitioner"),
    literal("Location", "Practitioner", "PractitionerRole"),
    logical("Patient", "Practitioner"),
    st.just({"reference": "#p1"}),
    _elsewhere,
)
_service = {
    "identifier": some(_identifier),
    "serviceType": some(_concept),
    "specialty": some(_concept),
    "serviceCategory": some(_concept),
}
_person = {
    "identifier": some(_identifier),
    "name": some(_name),
    "address": some(_address),
    "telecom": some(_contact),
    "active": st.booleans(),
    "gender": mark(("male", "female")),
}
_participant = st.builds(
    lambda actor, status: {"actor": actor, "status": status},
    _actor,
    mark(("accepted", "declined", "needs-action")),
)
_MEMBERS: dict[str, tuple[dict[str, st.SearchStrategy[Any]], dict[str, st.SearchStrategy[Any]]]] = {
    "Appointment": (
        {"status": mark(("booked", "cancelled", "proposed")), "participant": some(_participant, most=3)},
        _service
        | {
            "start": mark(INSTANTS),
            "appointmentType": _concept,
            "reasonCode": some(_concept),
            "slot": some(literal("Slot")),
            "supportingInformation": some(literal("Appointment"), _elsewhere),
            "requestedPeriod": some(_period),
        },
    ),
    "AppointmentResponse": (
        {
            "appointment": literal("Appointment"),
            "participantStatus": mark(("accepted", "declined")),
            "actor": _actor,
        },
        {"identifier": some(_identifier)},
    ),
    "Slot": (
        {
            "schedule": literal("Schedule"),
            "status": mark(("free", "busy", "busy-unavailable")),
            "start": mark(INSTANTS),
            "end": mark(INSTANTS),
        },
        _service,
    ),
    "Schedule": (
        {"actor": some(_actor)},
        _service | {"active": st.booleans(), "planningHorizon": _period},
    ),
    "Patient": (
        {},
        _person
        | {
            "birthDate": mark(BIRTHDAYS),
            "deceasedBoolean": st.booleans(),
            "deceasedDateTime": mark(("2024-01", *INSTANTS)),
            "generalPractitioner": some(literal("Practitioner")),
            "link": some(st.builds(lambda other: {"other": other, "type": "seealso"}, literal("Patient"))),
            "communication": some(st.builds(lambda found: {"language": found}, _concept)),
        },
    ),
    "Practitioner": ({}, _person | {"communication": some(_concept)}),
    "PractitionerRole": (
        {},
        {
            "practitioner": literal("Practitioner"),
            "location": some(literal("Location")),
            "code": some(_concept),
            "active": st.booleans(),
            "period": _period,
        },
    ),
    "Location": (
        {},
        {
            "name": mark(WORDS),
            "alias": some(mark(WORDS)),
            "identifier": some(_identifier),
            "status": mark(("active", "inactive")),
            "partOf": literal("Location"),
            "position": st.builds(lambda place: {"latitude": place[0], "longitude": place[1]}, mark(PLACES)),
            "type": some(_concept),
            "operationalStatus": _coding,
            "address": _address,
        },
    ),
}


def resource(kind: str) -> st.SearchStrategy[Json]:
    required, optional = _MEMBERS[kind]

    def build(members: Json, meta: Json) -> Json:
        if "deceasedDateTime" in members:
            members.pop("deceasedBoolean", None)
        found: Json = {"resourceType": kind} | members
        if '"#p1"' in str(found).replace("'", '"'):
            found["contained"] = [_contained_patient]
        return found | ({"meta": meta} if meta else {})

    return st.builds(build, st.fixed_dictionaries(required, optional=optional), _meta)


_BY_KIND = {kind: resource(kind) for kind in KINDS}


@st.composite
def worlds(draw: st.DrawFn) -> list[Json]:
    """Up to three resources of each type."""
    found: list[Json] = []
    for one in _BY_KIND.values():
        count = draw(mark((0, 3, 3, 3, 3, 3, 2, 2, 1)))
        found += [draw(one) | {"id": ident} for ident in IDS[:count]]
    return found


# Searches.

# Of those left out, `_id` is drawn by itself, the others refer to what no example has. The common ones come last: what
# is drawn leans to the front.
_LEFT_OUT = ("based-on", "organization", "_id")
_PARAMS = {
    kind: sorted((name for name in params if name not in _LEFT_OUT), key=lambda name: name.startswith("_"))
    for kind, params in PARAMETERS.items()
}
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


def _tokens(values: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda form, system, value: form.format(s=system, v=escaped(value)),
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
}


def _code(kind: str, name: str) -> st.SearchStrategy[str]:
    codes, system = _CODES_OF[name][kind], PARAMETERS[kind][name].system
    forms = ("{v}", "{v}", "{s}|{v}", "{s}|", "urn:s|{v}")
    return st.builds(lambda form, code: form.format(s=system, v=code), mark(forms), mark(codes))


def _reference_texts(kind: str, name: str) -> st.SearchStrategy[str]:
    targets = [one for one in PARAMETERS[kind][name].targets if one in KINDS] or ["Appointment"]
    forms = ("{i}", "{t}/{i}", BASE + "/{t}/{i}", "http://other.example/fhir/Device/{i}")
    return st.builds(lambda form, t, i: form.format(t=t, i=i), mark(forms), mark(targets), mark(IDS))


def _listed(one: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One value, or several with commas."""
    return st.one_of(one, one, st.lists(one, min_size=2, max_size=3).map(",".join))


def _dates(values: tuple[str, ...], prefixes: tuple[str, ...] = PREFIXES) -> st.SearchStrategy[str]:
    return st.builds(lambda prefix, value: prefix + value, mark(prefixes), mark(values))


def _updated() -> st.SearchStrategy[str]:
    moments = ("2024-01-15T10:00:00Z", "2024-01-15T13:00:00+03:00", "2024-01-16T06:00Z")
    return _dates(("2024-01-15", "2024-01-16", *moments))


_missing = st.tuples(st.just(":missing"), mark(("true", "false")))
Suffixed = st.SearchStrategy[tuple[str, str]]


def _plain(values: st.SearchStrategy[str]) -> Suffixed:
    return st.tuples(st.just(""), _listed(values))


def values_for(kind: str, name: str) -> Suffixed:
    """Modifier and value of a search by one parameter."""
    param = PARAMETERS[kind][name]
    if name == "_lastUpdated":
        return _plain(_updated())
    if param.kind in ("instant", "date"):
        dates = _plain(_dates(SEARCH_BIRTHDAYS if name == "birthdate" else SEARCH_DATES))
        return st.one_of(dates, dates, _missing)
    if param.kind == "Reference":
        return _references(kind, name)
    if param.kind == "code":
        return st.one_of(st.tuples(mark(("", "", ":not")), _listed(_code(kind, name))), _missing)
    if param.kind in ("Identifier", "CodeableConcept", "Coding"):
        return _coded(name, param.kind)
    return _BY_DATATYPE[param.kind]


_strings = st.one_of(
    st.tuples(mark(("", "", ":exact", ":contains")), _listed(mark((*SEARCH_WORDS, "UG")).map(escaped))), _missing
)
_BY_DATATYPE: dict[str, Suffixed] = {
    # `ne` of several values is left out: the specification does not say of which.
    "date-or-period": _plain(_dates(SEARCH_DATES, tuple(prefix for prefix in PREFIXES if prefix != "ne"))),
    "string": _strings,
    "HumanName": _strings,
    "Address": _strings,
    "uri": _plain(mark(("urn:profile:1", "urn:lab", "urn:none"))),
    "near": _plain(mark(("0.3136|32.5811|1|km", "0.3136|32.5811|10", "0.3|32.5|900000|m", "0|0|5|km"))),
    "deceased": st.tuples(mark(("", ":not")), mark(("true", "false"))),
    "boolean": st.one_of(st.tuples(mark(("", ":not")), mark(("true", "false"))), _missing),
    "ContactPoint": st.one_of(_plain(mark(("a@x.ug", "0772", "A@x.ug"))), _missing),
}


def _references(kind: str, name: str) -> Suffixed:
    texts = _reference_texts(kind, name)
    targets = PARAMETERS[kind][name].targets
    typed = mark([f":{one}" for one in targets if one in KINDS] or [":Appointment"])
    parts = [_plain(texts), _plain(texts), st.tuples(st.just(":identifier"), _listed(_tokens(VALUES))), _missing]
    return st.one_of(*parts, *([st.tuples(typed, mark(IDS))] if len(targets) > 1 else []))


def _coded(name: str, datatype: str) -> Suffixed:
    codes = ("R", *CODES) if name.startswith("_") else CODES
    tokens = _tokens(VALUES if datatype == "Identifier" else codes)
    choices = [_plain(tokens), st.tuples(mark(("", ":not")), _listed(tokens)), _missing]
    if not name.startswith("_"):
        choices.append(st.tuples(st.just(":text"), mark(("okello", "General", "anna", "check"))))
    if datatype == "Identifier":
        choices.append(st.tuples(st.just(":of-type"), mark(("urn:type|MR|V1", "urn:type|mr|v1", "urn:s|MR|V1"))))
    return st.one_of(*choices)


_VALUES = {(kind, name): values_for(kind, name) for kind, names in _PARAMS.items() for name in names}
_IDS = st.one_of(mark(IDS), mark(("a,b", "a,x", "x")))


@st.composite
def criteria(draw: st.DrawFn, kind: str, depth: int = 0) -> tuple[str, str]:
    """One search parameter of `kind` with its value: its own, a chain or ``_has``."""
    way = draw(st.integers(0, 9)) if depth < 2 else 0
    if way in (5, 8) and _CHAINED[kind]:
        name, target = draw(mark(_CHAINED[kind]))
        rest, text = draw(criteria(target, depth + 1))
        typed = "" if PARAMETERS[kind][name].targets == (target,) else f":{target}"
        return f"{name}{typed}.{rest}", text
    back = [(other, name) for other, names in _REFERENCES.items() for name in names]
    back = [(other, name) for other, name in back if kind in PARAMETERS[other][name].targets]
    if way in (6, 9) and back:
        other, name = draw(mark(back))
        rest, text = draw(criteria(other, depth + 1))
        return f"_has:{other}:{name}:{rest}", text
    if way == 7:
        return "_id", draw(_IDS)
    name = draw(mark(_PARAMS[kind]))
    modifier, text = draw(_VALUES[kind, name])
    return name + modifier, text


_CRITERIA = {kind: criteria(kind) for kind in KINDS}
_SORTED = {
    "Appointment": ("date", "-date", "status", "-status"),
    "Slot": ("start", "-start", "status", "end", "-end"),
    "Schedule": ("-active", "active"),
    "Patient": ("birthdate", "-birthdate", "family", "-family", "name", "gender"),
    "Practitioner": ("family", "-family", "name", "gender"),
    "Location": ("name", "-name", "status"),
}


@st.composite
def sorts(draw: st.DrawFn, kind: str) -> list[tuple[str, str]]:
    choices = (*_SORTED.get(kind, ()), "_lastUpdated", "-_lastUpdated", "_id", "-_id")
    items = draw(st.lists(mark(choices), max_size=2, unique_by=lambda item: item.lstrip("-")))
    return [("_sort", ",".join(items))] if items else []


@st.composite
def includes(draw: st.DrawFn, kind: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for _ in range(draw(mark((0, 0, 0, 1, 2, 3)))):
        source = draw(mark((kind, kind, *KINDS))) if found else kind
        again: str = draw(mark(("", ":iterate", ":recurse"))) if found else ""
        if draw(mark((True, False))) and _REFERENCES[source]:
            name = draw(mark((*_REFERENCES[source], "*")))
            targets = [] if name == "*" else [one for one in PARAMETERS[source][name].targets if one in KINDS]
            typed: str = f":{draw(mark(targets))}" if targets and draw(mark((False, True))) else ""
            found.append((f"_include{again}", f"{source}:{name}{typed}"))
        else:
            back = [(o, n) for o, names in _REFERENCES.items() for n in names if source in PARAMETERS[o][n].targets]
            if back:
                other, name = draw(mark(back))
                found.append((f"_revinclude{again}", f"{other}:{name}"))
    return found


@st.composite
def searches(draw: st.DrawFn) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Types and parameters of a search."""
    if draw(st.integers(0, 15)) == 0:
        kinds = tuple(draw(st.lists(mark(KINDS), min_size=2, max_size=3, unique=True)))
        names = [n for n in _PARAMS[kinds[0]] if n.startswith("_")]
        name = draw(mark(names))
        modifier, text = draw(_VALUES[kinds[0], name])
        return kinds, [(name + modifier, text), ("_count", "2")]
    kind = draw(mark((*KINDS, "Appointment", "Appointment", "Slot")))
    pairs = [draw(_CRITERIA[kind]) for _ in range(draw(mark((1, 1, 1, 2, 0))))]
    pairs += draw(mark(([], [], [], [], [("unheard-of", "x"), ("_tag", "")])))
    pairs += draw(sorts(kind)) + draw(includes(kind))
    pairs += draw(mark(([], [("_count", "1")], [("_count", "2")])))
    return (kind,), pairs
