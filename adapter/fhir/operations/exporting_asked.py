"""What an ``$export`` is asked for: its parameters, and the types and elements that these name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from adapter.errors import Problem
from adapter.export.plan import MEMBERS, OWNER
from adapter.fhir import negotiation, searching
from adapter.fhir.access import may_read, require_type
from adapter.fhir.call import MOST_PARAMETERS, Call, Pairs
from adapter.fhir.operations import exporting_filters
from adapter.fhir.operations.parameters import parameters
from adapter.fhir.refusing import Faults, invalid
from adapter.fhir.validation.primitives import PRIMITIVES
from store.dates import span
from store.extract import relative
from store.search import results
from store.types import TYPES

FORMATS = (negotiation.FHIR_NDJSON, "application/ndjson", "ndjson")
_TAKES = ("_outputFormat", "_since", "_type", "_typeFilter", "_elements", "_deidentify")
_KNOWN = (*_TAKES, "patient")
_ONCE = ("_outputFormat", "_since", "_deidentify")
_PASSED_BY = ("_format", "_pretty")
_NEXT_FILTER = re.compile(r",\s*(?=[A-Z][A-Za-z]*\?)")
_DAY = len("2024-01-20")


@dataclass(slots=True)
class Asked:
    """The parameters, read; what is not taken stands in `problems`, and is passed over if the client is `lenient`."""

    lenient: bool
    since: datetime | None = None
    kinds: list[str] = field(default_factory=list)
    filters: dict[str, list[Pairs]] = field(default_factory=dict)
    elements: list[str] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    deidentified: bool = False
    problems: list[Problem] = field(default_factory=list)


def read(call: Call, kind: str) -> Asked:
    """Read the parameters.

    Raises:
        Malformed: with each value that cannot be read, or that is missing. What is merely not supported is noted.
    """
    asked = Asked(negotiation.preferences(call.headers.get("prefer")).handling == "lenient")
    faults = Faults()
    sent = parameters(call, faults, naming="patient")
    given = _given(sent.pairs, faults)
    _check_names(given, sent.unreadable, asked, faults)
    for value in given.get("_outputFormat", ())[:1]:
        # The plus of a query is read as a blank.
        if value.replace(" ", "+") not in FORMATS:
            faults.add("_outputFormat", f"Files are written as {', '.join(FORMATS)}.", "not-supported")
    for value in given.get("_since", ())[:1]:
        with faults.noted():
            asked.since = _moment(value, call)
    for value in given.get("_deidentify", ())[:1]:
        with faults.noted():
            asked.deidentified = _wants_pseudonyms(value, call)
    with faults.noted():
        asked.kinds = _listed(given, "_type", "types")  # none is not to mean all of them
    with faults.noted():
        asked.elements = _listed(given, "_elements", "names of elements")
    _read_filters(given.get("_typeFilter", ()), asked, faults)
    for one in (one for value in given.get("patient", ()) for one in value.split(",")):
        with faults.noted():
            asked.patients.append(_patient(one.strip(), call.base))
    if "patient" in given and (call.method != "POST" or not kind):
        text = "patient is for Patient/$export and Group/[id]/$export, sent by POST as Parameters."
        faults.add("patient", text, "not-supported")
    faults.require_none(beside=() if asked.lenient else asked.problems)
    return asked


def _given(pairs: Pairs, faults: Faults) -> dict[str, list[str]]:
    """Return the values of each parameter. One of ours that is empty is a fault: passed by, it would export more."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if value and name not in _PASSED_BY:
            given.setdefault(name, []).append(value)
        elif name in _KNOWN:
            faults.add(name, f"{name} is empty: give a value, or leave it out.")
    return given


def _check_names(given: Mapping[str, Sequence[str]], unreadable: Sequence[str], asked: Asked, faults: Faults) -> None:
    """Note the parameters that are not known, and those that say one thing and are given with several values."""
    for name in dict.fromkeys((*given, *unreadable)):
        if name not in _KNOWN:
            text = f"$export does not take {name}. It takes {', '.join(_TAKES)}, and patient where it is posted."
            asked.problems.append(Problem("unsupported_parameter", text, name, issue="not-supported"))
    for name in _ONCE:
        if len(set(given.get(name, ()))) > 1:
            faults.add(name, f"Give {name} once: it says one thing.")


def _listed(given: Mapping[str, Sequence[str]], name: str, what: str) -> list[str]:
    found = [*searching.listed(name, given.get(name, ()))]
    if name in given and not found:
        raise invalid(name, f"{name} takes {what}, separated by commas. Name one.")
    return found


def _read_filters(filters: Sequence[str], asked: Asked, faults: Faults) -> None:
    if sum(value.count("?") + value.count("&") for value in filters) > MOST_PARAMETERS:
        text = f"The filters have more than {MOST_PARAMETERS:,} parameters: one takes several values, with commas."
        faults.add("_typeFilter", text, "too-costly")
        return
    for one in (one for value in filters for one in _NEXT_FILTER.split(value)):
        with faults.noted():
            name, pairs, problems = exporting_filters.parsed(one)
            asked.filters.setdefault(name, []).append(pairs)
            asked.problems += problems


def _wants_pseudonyms(value: str, call: Call) -> bool:
    if value.lower() not in ("true", "false"):
        raise invalid("_deidentify", "_deidentify takes true or false.")
    if value.lower() == "true" and call.who.service.settings.deidentify_key is None:
        text = "This server has no key for pseudonyms: ADAPTER_DEIDENTIFY_KEY is not set."
        raise invalid("_deidentify", text, "not-supported")
    return value.lower() == "true"


def _patient(text: str, base: str) -> str:
    kind, _, ident = relative(text, (base,)).partition("/")
    if kind != OWNER or not re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", ident):
        raise invalid("patient", "patient takes references such as Patient/123.")
    return ident


def _moment(text: str, call: Call) -> datetime:
    moment = searching.moment(text)
    if moment is None and len(text) == _DAY and PRIMITIVES["date"].accepts(text):
        moment = span(text, call.who.service.settings.zone)[0]
    if moment is None:
        raise invalid("_since", "_since takes an instant, such as 2024-01-20T10:00:00Z, or a day, for its beginning.")
    return moment


def kinds_of(call: Call, kind: str, asked: Asked) -> list[str]:
    """Return the types to be exported: those asked for, or all that the key may read; note those that are not there.

    Raises:
        Forbidden: one that the key may not read.
    """
    there = tuple(TYPES) if not kind else MEMBERS
    for name in dict.fromkeys(asked.kinds):
        if name not in there:
            asked.problems.append(_unknown(name, there, kind, "_type"))
        else:
            require_type(call.who, name, "read")
    kinds = [name for name in there if (name in asked.kinds if asked.kinds else may_read(call.who, name))]
    if not kinds and not asked.kinds:
        require_type(call.who, there[0], "read")
    for name in asked.filters:
        if name not in there:
            asked.problems.append(_unknown(name, there, kind, "_typeFilter"))
        elif name not in kinds:
            asked.problems.append(exporting_filters.not_exported(name))
    return kinds


def check_elements(kinds: Sequence[str], asked: Asked) -> None:
    """Leave out the elements that no exported type has, and note them: what is left out narrows nothing."""
    if not kinds:  # the types that are not there have been noted
        return
    known, _ = results.elements(asked.elements, kinds)
    unknown = [name for name in dict.fromkeys(asked.elements) if name not in known]
    told = [f"There is no element '{name}' in {', '.join(kinds)}. Leave it out." for name in unknown]
    others = {*TYPES} - {*kinds}
    elsewhere = {name: None for name in known if name.partition(".")[0] in others}
    told += [f"There is no {name.partition('.')[0]} in this export. Leave '{name}' out." for name in elsewhere]
    asked.elements = [name for name in known if name not in elsewhere]
    asked.problems += [Problem("unsupported_parameter", text, "_elements", issue="not-supported") for text in told]


def _unknown(name: str, there: Sequence[str], kind: str, parameter: str) -> Problem:
    where = f"the compartment of a {OWNER}" if kind and name in TYPES else "this server"
    text = f"There is no {name} in {where}. There is: {', '.join(there)}."
    return Problem("invalid_parameter", text, parameter, issue="not-supported")
