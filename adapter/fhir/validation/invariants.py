"""R4's invariants in plain Python, by their keys; the definitions say where each holds.

Cross-checked in the tests against the official FHIRPath, which is too slow for every write. What FHIRPath leaves open
(an empty result: an unknown status, quantities of different units) counts as fulfilled. app-4 is as it is meant: the
published expression says ``no-show``, the code is ``noshow``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from adapter.fhir.validation.times import ordered
from store.codec import Resource

_UCUM = "http://unitsofmeasure.org"


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule about one object.

    Attributes:
        key: FHIR's name of it.
        holds: whether an object keeps it.
        text: what is wrong where it does not, and the remedy.
        about: the member that it is about, if it is about one.
    """

    key: str
    holds: Callable[[Resource], bool]
    text: str
    about: str | None = None


def exists(node: Resource, name: str) -> bool:
    """Tell whether an element is there, with a value or with extensions only."""
    return name in node or f"_{name}" in node


def _any(*names: str) -> Callable[[Resource], bool]:
    return lambda node: any(exists(node, name) for name in names)


def _needs(name: str, other: str) -> Callable[[Resource], bool]:
    return lambda node: not exists(node, name) or exists(node, other)


def _one_of(name: str, other: str) -> Callable[[Resource], bool]:
    return lambda node: exists(node, name) != exists(node, other)


def _not_both(name: str, other: str) -> Callable[[Resource], bool]:
    return lambda node: not (exists(node, name) and exists(node, other))


def _number(node: Resource, name: str) -> int | Decimal | None:
    value = node.get(name)
    return value if isinstance(value, int | Decimal) else None


def _not_negative(name: str) -> Callable[[Resource], bool]:
    return lambda node: (_number(node, name) or 0) >= 0


def _not_home(node: Resource) -> bool:
    return node.get("use") != "home"


def _status(node: Resource, *allowed: str) -> bool:
    """Tell whether the status is one of `allowed`, or is not told."""
    return "status" not in node or node["status"] in allowed


def _app_3(node: Resource) -> bool:
    return (exists(node, "start") and exists(node, "end")) or _status(node, "proposed", "cancelled", "waitlist")


def _app_4(node: Resource) -> bool:
    return not exists(node, "cancelationReason") or _status(node, "noshow", "cancelled")


def _valued(node: Resource) -> bool:
    return any(name.startswith(("value", "_value")) for name in node)


def _per_1(node: Resource) -> bool:
    return ordered(node.get("start"), node.get("end"))


def _rat_1(node: Resource) -> bool:
    numerator, denominator = exists(node, "numerator"), exists(node, "denominator")
    return numerator == denominator and (numerator or exists(node, "extension"))


def _rng_2(node: Resource) -> bool:
    low, high = node.get("low"), node.get("high")
    if not (isinstance(low, dict) and isinstance(high, dict)):
        return True
    if any(low.get(name) != high.get(name) for name in ("system", "code", "unit")):
        return True
    least, most = _number(low, "value"), _number(high, "value")
    return least is None or most is None or least <= most


def _tim_9(node: Resource) -> bool:
    if not exists(node, "offset"):
        return True
    when = node.get("when", [])
    return exists(node, "when") and not (isinstance(when, list) and any(one in ("C", "CM", "CD", "CV") for one in when))


def _trd_3(node: Resource) -> bool:
    kind = node.get("type")
    if kind == "named-event":
        return exists(node, "name")
    if kind == "periodic":
        return _choice(node, "timing")
    return not (isinstance(kind, str) and kind.startswith("data-")) or exists(node, "data")


def _choice(node: Resource, name: str) -> bool:
    return any(member.startswith((name, f"_{name}")) for member in node)


def _measured(node: Resource) -> bool:
    """Tell whether a quantity with a value has a code, and no other system than UCUM."""
    coded = exists(node, "code") or not exists(node, "value")
    return coded and (not exists(node, "system") or node.get("system", _UCUM) == _UCUM)


def _cnt_3(node: Resource) -> bool:
    whole = "." not in str(getattr(node.get("value"), "text", node.get("value", "")))
    return _measured(node) and node.get("code", "1") == "1" and whole


def _age_1(node: Resource) -> bool:
    value = _number(node, "value")
    return _measured(node) and (value is None or value > 0)


def _drt_1(node: Resource) -> bool:
    return not exists(node, "code") or (node.get("system", _UCUM) == _UCUM and exists(node, "value"))


INVARIANTS: Mapping[str, Invariant] = {
    invariant.key: invariant
    for invariant in (
        Invariant(
            "app-1", _any("type", "actor"), "A participant needs an actor, or the type of the one that is to be found."
        ),
        Invariant(
            "app-2", lambda node: exists(node, "start") == exists(node, "end"), "Give both start and end, or neither."
        ),
        Invariant(
            "app-3", _app_3, "An Appointment needs start and end, unless its status is proposed, cancelled or waitlist."
        ),
        Invariant(
            "app-4",
            _app_4,
            "A cancelationReason belongs to a cancelled or noshow Appointment. Leave it out, or set the status.",
            "cancelationReason",
        ),
        Invariant(
            "apr-1", _any("participantType", "actor"), "An AppointmentResponse needs an actor or a participantType."
        ),
        Invariant(
            "pat-1",
            _any("name", "telecom", "address", "organization"),
            "A contact needs a name, a telecom, an address or an organization.",
        ),
        Invariant(
            "grp-1",
            lambda node: not exists(node, "member") or node.get("actual") is True,
            "Only an actual Group has members. Set actual to true, or leave the members out.",
            "member",
        ),
        Invariant("org-1", _any("identifier", "name"), "An Organization needs a name or an identifier."),
        Invariant("org-2", _not_home, "An Organization's address is never of use home. Use work.", "use"),
        Invariant("org-3", _not_home, "An Organization's telecom is never of use home. Use work.", "use"),
        Invariant("per-1", _per_1, "The period ends before it starts. Swap or correct start and end."),
        Invariant(
            "ext-1",
            lambda node: exists(node, "extension") != _valued(node),
            "An extension has either a value or extensions of its own: one of the two, not both.",
        ),
        Invariant(
            "cpt-2", _needs("value", "system"), "A contact point with a value needs its system, such as phone or email."
        ),
        Invariant(
            "qty-3", _needs("code", "system"), "The code of a unit needs its system, such as http://unitsofmeasure.org."
        ),
        Invariant(
            "sqty-1",
            lambda node: not exists(node, "comparator"),
            "A quantity has no comparator here: it is a fixed one (SimpleQuantity). Leave it out.",
            "comparator",
        ),
        Invariant("rat-1", _rat_1, "A ratio has a numerator and a denominator, both or (with an extension) neither."),
        Invariant("rng-2", _rng_2, "The range's low is above its high. Swap or correct them."),
        Invariant(
            "att-1", _needs("data", "contentType"), "An attachment with data needs its contentType, such as image/png."
        ),
        Invariant("tim-1", _needs("duration", "durationUnit"), "A duration needs its durationUnit, such as min."),
        Invariant("tim-2", _needs("period", "periodUnit"), "A period needs its periodUnit, such as d."),
        Invariant("tim-4", _not_negative("duration"), "A duration is never negative.", "duration"),
        Invariant("tim-5", _not_negative("period"), "A period is never negative.", "period"),
        Invariant("tim-6", _needs("periodMax", "period"), "A periodMax needs a period."),
        Invariant("tim-7", _needs("durationMax", "duration"), "A durationMax needs a duration."),
        Invariant("tim-8", _needs("countMax", "count"), "A countMax needs a count."),
        Invariant("tim-9", _tim_9, "An offset needs a when, which is none of C, CM, CD and CV."),
        Invariant("tim-10", _not_both("timeOfDay", "when"), "Give either timeOfDay or when, not both."),
        Invariant(
            "drt-1", _drt_1, "A duration with a code needs a value, and http://unitsofmeasure.org as its system."
        ),
        Invariant("dis-1", _measured, "A distance has a UCUM code with its value, and no other system than UCUM's."),
        Invariant("cnt-3", _cnt_3, "A count is a whole number of the UCUM code 1."),
        Invariant("age-1", _age_1, "An age is above 0, with a UCUM code of time and no other system than UCUM's."),
        Invariant("exp-1", _any("expression", "reference"), "An Expression needs an expression or a reference."),
        Invariant("drq-1", _one_of("path", "searchParam"), "A code filter has either a path or a searchParam."),
        Invariant("drq-2", _one_of("path", "searchParam"), "A date filter has either a path or a searchParam."),
        Invariant(
            "trd-1",
            lambda node: not (exists(node, "data") and _choice(node, "timing")),
            "A trigger has either data or a timing, not both.",
        ),
        Invariant("trd-2", _needs("condition", "data"), "A trigger with a condition needs data."),
        Invariant("trd-3", _trd_3, "A named-event needs a name, a periodic trigger a timing, a data event its data."),
    )
}
