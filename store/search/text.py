"""Taking parameter values apart: FHIR escapes ``,`` ``|`` ``$`` and ``\\`` with a backslash.

https://hl7.org/fhir/R4/search.html#escaping
"""

from __future__ import annotations

import re


def split(text: str, separator: str, most: int = -1) -> list[str]:
    """Return the parts of `text` between the separators that are not escaped, still escaped themselves.

    Args:
        text: of a parameter.
        separator: one character.
        most: separators to split at; -1: all.
    """
    if "\\" not in text:
        return text.split(separator, most)
    parts: list[str] = []
    start = at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == separator and (most < 0 or len(parts) < most):
            parts.append(text[start:at])
            start = at + 1
        at += 1
    parts.append(text[start:])
    return parts


def escaped(text: str) -> str:
    """Return `text` as a parameter has it that means just that."""
    return re.sub(r"([\\,$|])", r"\\\1", text)


def unescaped(text: str) -> str:
    """Return what `text` says; a backslash before any other character stands for itself."""
    if "\\" not in text:
        return text
    said: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in (",", "|", "$", "\\"):
            at += 1
        said.append(text[at])
        at += 1
    return "".join(said)
