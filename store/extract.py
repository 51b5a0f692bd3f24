"""What of a resource can be found: FHIR paths and datatypes to values that MongoDB indexes.

Reads plain JSON. Values are normalised once, at the write: instants to UTC dates, codings to tokens
(``code`` and ``system|code``, `escaped` within), references to their relative form (``Practitioner/prov-abc-123``),
names to letters without case and accents, those of people from each word on, too. A search does the same to the values
that it looks for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate, islice
from typing import Any

from jellyfish import metaphone

from store.codec import Resource
from store.dates import FIRST, LAST, shortened
from store.remembering import remembered

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""What FHIR takes for an id."""

_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$")
_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_VERSION = re.compile(r"/_history/[^/]+$")
_URN = re.compile(r"urn:(?:uuid|oid):", re.IGNORECASE)
_LEAP_SECOND = re.compile(r":60(?=[.Z+-])")
# Apostrophes (typographical, Hebrew and Armenian ones, and those that count as letters) and the full stop.
_WITHIN = frozenset("'`.\u2018\u2019\u201b\u2032\u055a\u05f3" + "".join(map(chr, range(0x2B9, 0x2C0))))
_WORDS, _LETTERS = 32, 128
_READ = 10_000  # letters of a text that are looked at word by word: nobody's name has as many, and each costs
_PIECE = 4_096  # letters that are folded at once: others have their turn in between


def walk(node: Any, path: str) -> Iterator[Any]:
    """Give every value at `path` (``participant.actor``), through lists."""
    found = [node]
    for step in path.split("."):
        below: list[Any] = []
        for one in found:
            if isinstance(one, dict):
                value = one.get(step)
                if isinstance(value, list):
                    below += value
                elif value is not None:
                    below.append(value)
        found = below
    return iter(found) if None not in found else iter([one for one in found if one is not None])


def value_of(element: Resource) -> Any:
    """Return the value of an extension or a parameter, of whatever type; None where it has none."""
    return next((value for name, value in element.items() if name.startswith("value")), None)


def instant(text: str | None) -> datetime | None:
    """Return the moment of a FHIR instant in UTC, to the millisecond; None for none.

    A leap second counts as the first moment of the next minute: a BSON date has no place for it. What UTC puts
    outside the years 1 to 9999 (``9999-12-31T23:59:59-05:00``, a common "for ever") counts as the nearest inside.
    """
    return None if text is None else _instant(shortened(text))  # so that no long text is remembered


@lru_cache(maxsize=8_192)
def _instant(text: str) -> datetime:
    leap = _LEAP_SECOND.search(text)
    if leap:
        text = text[: leap.start()] + ":59" + text[leap.end() :]
    local = datetime.fromisoformat(text)
    try:
        moment = local.astimezone(UTC)
        if leap:
            moment = moment.replace(microsecond=0) + timedelta(seconds=1)
    except OverflowError:
        return FIRST if local.year == 1 else LAST
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@remembered(8_192)
def reference(text: str) -> str:
    """Return the relative form of a literal reference; what has none (``urn:uuid:…``, ``#p1``) as it is."""
    if text.startswith(("#", "urn:")):
        return text
    found = _REFERENCE.search(text)
    return f"{found[1]}/{found[2]}" if found else text


def references(resource: Resource, path: str) -> list[str]:
    """Return the literal references at `path`, relative, each once."""
    found: dict[str, None] = {}  # filled by a loop: this is asked a dozen times for each write
    for item in walk(resource, path):
        if isinstance(item, dict):
            text = item.get("reference")
            if isinstance(text, str):
                found[reference(text)] = None
    return list(found)


def every_reference(node: Any) -> Iterator[str]:
    """Yield, as it was written, whatever text is called ``reference`` in a resource or a part of one, however deep."""
    if isinstance(node, dict):
        text = node.get("reference")
        if isinstance(text, str):
            yield text
        for value in node.values():
            yield from every_reference(value)
    elif isinstance(node, list):
        for item in node:
            yield from every_reference(item)


def reference_to(resource: Resource) -> str:
    """Return how others refer to a resource: by its type and id (``Patient/123``)."""
    return f"{resource['resourceType']}/{resource['id']}"


def id_of(name: str) -> str:
    """Return the id in a relative reference (``123`` of ``Patient/123``)."""
    return name.partition("/")[2]


def identifiers(resource: Resource, path: str) -> list[tuple[str, str]]:
    """Return system (empty: none) and value of the Identifiers at `path` that have a value, each once."""
    return list(
        dict.fromkeys(
            (str(item.get("system", "")), item["value"])
            for item in walk(resource, path)
            if isinstance(item, dict) and isinstance(item.get("value"), str)
        )
    )


@remembered(256)
def spellings(base: str) -> tuple[str, ...]:
    """Return an address of this server by the other of http and https, too, after itself.

    Who ends TLS in front of a service need not tell it, so the two are one place: references below either are ours.
    """
    scheme, _, place = base.partition("://")
    other = {"http": "https", "https": "http"}.get(scheme)
    return (base,) if other is None else (base, f"{other}://{place}")


@remembered(16_384)
def relative(text: str, bases: tuple[str, ...]) -> str:
    """Return how a literal reference is indexed: without a version, and relative (``Patient/123``) if it is ours.

    Args:
        text: as it was written.
        bases: addresses of this server, without a slash at the end. What lies elsewhere stays as it is.
    """
    if text.startswith(("#", "urn:")):
        return text
    text = _VERSION.sub("", text)
    for own in (one for base in bases for one in spellings(base)):
        if text.startswith(f"{own}/") and _RELATIVE.fullmatch(text, len(own) + 1):
            return text[len(own) + 1 :]
    return text


def id_alone(text: str, bases: tuple[str, ...]) -> str | None:
    """Return what a literal reference names by type and id alone (`reference`), where it is indexed otherwise.

    That is where it has an address that is not known to be ours: the same id may be the same resource, or another's.
    """
    found = reference(text)
    return found if found not in (text, relative(text, bases)) else None


def is_urn(text: str) -> bool:
    """Tell whether `text` is a ``urn:uuid`` or ``urn:oid``: a name that means something within one Bundle alone."""
    return _URN.match(text) is not None


def is_elsewhere(text: str, bases: Sequence[str]) -> bool:
    """Tell whether a literal reference is known to lead to another server: absolute, and below none of `bases`.

    Args:
        text: as it was written.
        bases: addresses of this server, without a slash at the end. Where there are none, nothing is known. One is the
            same by http and https, as in `spellings`.
    """
    scheme, _, place = text.partition("://")
    if not place or not bases or scheme.startswith("urn:"):
        return False
    return not any(place.startswith(f"{base.partition('://')[2]}/") for base in bases)


def type_of(text: str) -> str | None:
    """Return the type that a literal reference names (``Patient``), wherever it lies; None if it names none."""
    if text.startswith(("#", "urn:")):
        return None
    found = _REFERENCE.search(text)
    return found[1] if found else None


def escaped(text: str) -> str:
    r"""Return a system or a code as it stands within a token: ``|`` as ``\|``, ``\`` as ``\\``.

    Codes and identifiers are filed with and without their system in one list. So a bar of their own must not look like
    the one between the two: ``urn:s|1`` as a value is not the value 1 of the system urn:s.
    """
    return text.replace("\\", "\\\\").replace("|", "\\|") if "|" in text or "\\" in text else text


def fold(code: str) -> str:
    """Return a code or an identifier's value as it is indexed: without blanks around it, and without case.

    FHIR ignores case where the rules are unknown; blanks at the ends are nobody's intention, and are not seen.
    """
    return escaped(code.strip().casefold())


def token(system: str, code: str) -> str:
    """Return a code with its system, as it is indexed (``urn:s|abc``)."""
    return f"{escaped(system)}|{fold(code)}"


def as_written(system: str, value: str) -> str:
    """Return an identifier that must be unique as it is indexed: like a `token`, but each letter and blank counts."""
    return f"{escaped(system)}|{escaped(value)}"


@lru_cache(maxsize=4_096)
def _bare(letter: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(one))


@remembered(16_384)
def folded(text: str) -> str:
    """Return a name as it is compared: without case, accents and superfluous white space (FHIR's string search).

    A long text does not grow by it: some letters become eighteen.
    """
    most = max(len(text), _READ)
    if not text.isascii():
        # Letter by letter: a text as a whole has its accents put in order, which is minutes for some 100 KB of them.
        pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
        text = "".join(["".join(map(_bare, piece)) for piece in pieces])
    return " ".join(text.casefold().split())[:most].rstrip()


@lru_cache(maxsize=4_096)
def _seen(letter: str) -> str:
    """Return what a letter is where punctuation does not count: itself, the end of a word, or nothing."""
    if letter in _WITHIN:
        return ""
    category = unicodedata.category(letter)
    if category == "Cf":  # joiners and soft hyphens are not seen anyway
        return ""
    return " " if category[0] in "PSZ" else letter


def _beginning(text: str) -> str:
    """Return a text folded, as far as it is looked at word by word."""
    return folded(text[:_READ])


def _words(text: str) -> list[str]:
    return "".join(map(_seen, _beginning(text))).split()


@remembered(16_384)
def run_together(text: str) -> str:
    """Return a name folded, without punctuation and white space: FHIR ignores both."""
    return "".join(_words(text))


@remembered(16_384)
def from_each_word(text: str) -> tuple[str, ...]:
    """Return a name from each of its words on, `run_together`, each once (``oneilsmith``, ``smith``).

    FHIR has the parts of a name searched independently. Words end at white space and punctuation, apostrophes and full
    stops apart. What a long text adds is bounded: of it the first words, and of these the first letters, are found so.
    """
    words = _words(text)
    whole = "".join(words)
    starts = accumulate(map(len, words), initial=0)
    return tuple(dict.fromkeys(whole[at : at + _LETTERS] for at in islice(starts, min(len(words), _WORDS))))


@remembered(16_384)
def phonetic(text: str) -> tuple[str, ...]:
    """Return how the words of a name sound (Metaphone), each once; one without a sound stands for itself."""
    return tuple(dict.fromkeys(metaphone(word) or word for word in _beginning(text).split()))
