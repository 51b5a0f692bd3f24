"""The definitions of FHIR R4 (4.0.1) as data: elements, search parameters and value sets, so that none is typed in.

Reduced from ``hl7.fhir.r4.core`` 4.0.1 (HL7, CC0-1.0). Files with a line for each name are taken apart by line and a
line is read when it is first asked for: a process that serves a few types does not pay for two hundred.

- ``definitions.jsonl.gz``: ``[type, {"kind", "base", "abstract", "el": [...]}]``. An element has `path`, `min`, `max`,
  and where they apply `type` (``[{"code", "target"?}]``), `cref` (content reference), `bind` (value set of a required
  binding), `xbind` (of an extensible one), `mod` (modifier), `maxLength` and `con` (invariants:
  `key`, `sev`, `human`, `expr`; that of the profile SimpleQuantity, which is no type of its own, stands at the elements
  of data types that have it).
- ``value-sets.jsonl.gz``: ``[url, [[system, code], ...]]`` for every required binding that can be listed.
- ``search-parameters.json``: `url`, `code`, `base`, `type`, `expression`, `target`. Left out are those without an
  expression, composites, and four that the package holds as examples (`age`, `birthOrderBoolean`, `mothersMaidenName`,
  `part-agree`).
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

STRUCTURES = "http://hl7.org/fhir/StructureDefinition/"
"""What the URLs of R4's own types and profiles begin with."""


@cache
def search_parameters() -> list[dict[str, Any]]:
    """Return R4's search parameters of the served types and of Resource. Not to be changed."""
    found: list[dict[str, Any]] = orjson.loads(files(__name__).joinpath("search-parameters.json").read_bytes())
    return found


@cache
def elements(type: str) -> list[dict[str, Any]]:  # noqa: A002  # FHIR's own word for it
    """Return the elements of a resource type or datatype; the first is the type itself. Not to be changed.

    Raises:
        KeyError: R4 has no such type.
    """
    found: list[dict[str, Any]] = orjson.loads(_lines("definitions")[type])[1]["el"]
    return found


@cache
def value_set(url: str) -> frozenset[tuple[str, str]] | None:
    """Return the (system, code) pairs of a value set; None if it cannot be listed."""
    line = _lines("value-sets").get(url.partition("|")[0])
    return None if line is None else frozenset((system, code) for system, code in orjson.loads(line)[1])


@cache
def _lines(name: str) -> dict[str, bytes]:
    """Return the lines of a file by the names at their starts (``["Appointment",``)."""
    raw = gzip.decompress(files(__name__).joinpath(f"{name}.jsonl.gz").read_bytes())
    return {line[2 : line.index(b'"', 2)].decode(): line for line in raw.splitlines()}
