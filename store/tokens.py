"""Values that are looked for as they are, most with their system: codes, identifiers, booleans, addresses.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from store import extract
from store.filing import Run, Sort


def scalar(name: str, item: Any, run: Run) -> None:
    """File a text as it is; of several, the first."""
    if isinstance(item, str):
        run.index.setdefault(name, item)


def boolean(name: str, item: Any, run: Run) -> None:
    """File a boolean as its code."""
    if isinstance(item, bool):
        run.index.setdefault(name, "true" if item else "false")


def present(name: str, _: Any, run: Run) -> None:
    """``Patient.deceased`` is a boolean also where it is a date: that it is there makes it true."""
    run.index.setdefault(name, "true")


def canonical(name: str, item: Any, run: Run) -> None:
    """File a canonical URL without its version, too: who names none means every one."""
    if isinstance(item, str):
        run.add(name, item.partition("|")[0])
        run.add(name, item)


def pair(name: str, sort: Sort | None, system: Any, code: Any, run: Run) -> None:
    """File a code, or a value, with and without its system; what is no text is passed over."""
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
        pair(name, sort, system, item, run)


def _truth(name: str, sort: Sort | None, _: str, system: str, item: Any, run: Run) -> None:
    """File a boolean of which there may be several (``Group.characteristic.exclude``)."""
    if isinstance(item, bool):
        pair(name, sort, system, "true" if item else "false", run)


def _coding(name: str, sort: Sort | None, said: str, _: str, item: Any, run: Run) -> None:
    if isinstance(item, dict):
        pair(name, sort, item.get("system"), item.get("code"), run)
        text = item.get("display")
        if isinstance(text, str):
            run.add(said, extract.folded(text))


def _concept(name: str, sort: Sort | None, said: str, _: str, item: Any, run: Run) -> None:
    if not isinstance(item, dict):
        return
    for coding in listed(item.get("coding")):
        _coding(name, sort, said, _, coding, run)
    text = item.get("text")
    if isinstance(text, str):
        run.add(said, extract.folded(text))


def _contact(name: str, sort: Sort | None, _: str, __: str, item: Any, run: Run) -> None:
    if isinstance(item, dict):
        pair(name, sort, item.get("system"), item.get("value"), run)


def _identifier(name: str, sort: Sort | None, said: str, _: str, item: Any, run: Run) -> None:
    if not isinstance(item, dict):
        return
    value, kind = item.get("value"), item.get("type")
    pair(name, sort, item.get("system"), value, run)
    if not isinstance(kind, dict):
        return
    if isinstance(kind.get("text"), str):
        run.add(said, extract.folded(kind["text"]))
    for coding in listed(kind.get("coding")):
        if isinstance(value, str) and isinstance(coding, dict) and isinstance(coding.get("code"), str):
            system = coding.get("system")
            of_type = extract.token(system if isinstance(system, str) else "", coding["code"])
            run.add(f"{name}:of-type", f"{of_type}|{extract.fold(value)}")


TOKENS: Mapping[str, Callable[..., None]] = {
    "boolean": _truth,
    "code": _code,
    "Coding": _coding,
    "CodeableConcept": _concept,
    "ContactPoint": _contact,
    "Identifier": _identifier,
}


def listed(value: Any) -> Iterable[Any]:
    """Return the items of a list; none of what is no list."""
    return value if isinstance(value, list) else ()
