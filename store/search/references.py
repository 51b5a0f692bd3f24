"""References, by what they name: an id, a type and an id, a URL, or an identifier in the place of these.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from store import extract
from store.extract import ID
from store.parameters import Parameter
from store.search.matching import BadValue, any_of, path_of, patterns_first
from store.search.model import Query, Reading
from store.search.names import target_types
from store.search.text import unescaped
from store.search.tokens import stored_token, system_and_code
from store.search.weight import as_far_as_bearable

_RELATIVE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s]+")


def reference(parameter: Parameter, modifier: str | None, values: list[str], reading: Reading) -> Query:
    """Return the query for one of the references `values`."""
    if modifier == "identifier":
        wanted = [stored_token(*system_and_code(value)) for value in values]
        return any_of(f"_index.{parameter.name}:identifier", patterns_first(wanted))
    forms = as_far_as_bearable(_each_form(parameter, modifier, values, reading))
    return any_of(path_of(parameter), forms)


def _each_form(parameter: Parameter, modifier: str | None, values: list[str], reading: Reading) -> Iterator[str]:
    kinds = (modifier,) if modifier else target_types(parameter)
    for value in map(unescaped, values):
        if reading.conditional and extract.is_urn(value):
            raise BadValue(
                "A urn:uuid or urn:oid names an entry of one Bundle, and nothing that is stored. Look for an "
                "identifier of what is meant, as in patient.identifier=system|value, or give its type and id."
            )
        yield from _forms(value, kinds, reading.base, any_type=not parameter.targets and modifier is None)


def own_forms(kind: str, ident: str, base: str) -> tuple[str, ...]:
    """Return how documents refer to a resource of this server: relative, or by an address that they once had.

    The address is there by http and by https (`extract.spellings`).
    """
    return f"{kind}/{ident}", *(f"{one}/{kind}/{ident}" for one in extract.spellings(base))


def _forms(value: str, kinds: tuple[str, ...], base: str, *, any_type: bool) -> list[str]:
    value = extract.relative(value, (base,))
    found = _RELATIVE.fullmatch(value)
    if found:
        return [*own_forms(found[1], found[2], base)] if found[1] in kinds or any_type else []
    if ID.fullmatch(value):
        return [form for kind in kinds for form in own_forms(kind, value, base)]
    if not _ABSOLUTE.fullmatch(value):
        raise BadValue("It is not a reference. Write an id, a type and an id (Patient/123), or a URL.")
    kind = extract.type_of(value)
    return [value] if kind is None or kind in kinds or any_type else []
