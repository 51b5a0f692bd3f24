"""Tokens: codes, identifiers and the like, with or without their system.

https://hl7.org/fhir/R4/search.html#token. Case does not count: FHIR advises so where its rules are unknown.
"""

from __future__ import annotations

from typing import Any

from store import extract
from store.parameters import Parameter
from store.search.matching import BadValue, any_of, path_of, patterns_first, starting
from store.search.model import Query, Reading
from store.search.text import split, unescaped

_SPECIAL_VALUES = "http://terminology.hl7.org/CodeSystem/special-values"  # the implicit system of booleans


def folded(value: str) -> str:
    """Return a text as it is compared.

    Raises:
        BadValue: nothing is left of it.
    """
    text = extract.folded(unescaped(value))
    if not text:
        raise BadValue("It has no letter to search for.")
    return text


def token(parameter: Parameter, modifier: str | None, values: list[str], _: Reading) -> Query:
    """Return the query for one of the tokens `values`; with ``:not`` for none of them."""
    path = path_of(parameter)
    if modifier == "text":
        return any_of(f"{path}:text", [starting(folded(value)) for value in values])
    if modifier == "of-type":
        return any_of(f"{path}:of-type", [_of_type(value) for value in values])
    if path == "_id":
        wanted: list[Any] = [unescaped(value) for value in values]
    else:
        wanted = [one for one in (_wanted_token(parameter, value) for value in values) if one is not None]
    if modifier == "not":  # of a list: none of its values; of nothing: true
        return {path: {"$nin": wanted}} if wanted else {}
    return any_of(path, patterns_first(wanted))


def is_scalar(parameter: Parameter) -> bool:
    """Tell whether a token is stored as its code alone: its system goes without saying."""
    return parameter.single and all(path.datatype in ("code", "boolean") for path in parameter.paths)


def _wanted_token(parameter: Parameter, value: str) -> Any:
    system, code = system_and_code(value)
    if not is_scalar(parameter):
        return stored_token(system, code)
    boolean = parameter.paths[0].datatype == "boolean"
    if boolean and code.casefold() not in ("true", "false", ""):
        raise BadValue("It is true or false.")
    implied = _SPECIAL_VALUES if boolean else parameter.system
    if system is not None and system != (implied or ""):
        return None
    return code.casefold() if code else starting("")


def stored_token(system: str | None, code: str) -> Any:
    """Return what of a list of tokens matches: one of them, or the start of one."""
    if system is None:
        return extract.fold(code)
    return extract.token(system, code) if code else starting(extract.token(system, ""))


def system_and_code(value: str) -> tuple[str | None, str]:
    """Return the system (empty: there must be none; None: any) and the code (empty: any) of a value.

    Raises:
        BadValue: it has neither.
    """
    parts = split(value, "|", 1)
    if len(parts) == 1:
        return None, unescaped(value)
    system, code = unescaped(parts[0]), unescaped(parts[1])
    if not system and not code:
        raise BadValue("It names neither a system nor a code. Write code, system|code, |code or system|.")
    return system, code


def _of_type(value: str) -> str:
    parts = [unescaped(part) for part in split(value, "|")]
    if len(parts) != 3 or not all(parts):
        raise BadValue("':of-type' needs system|code|value: the type's system and code, and the identifier's value.")
    return f"{extract.token(parts[0], parts[1])}|{extract.fold(parts[2])}"
