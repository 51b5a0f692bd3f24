"""A file taken apart into items: lines of NDJSON, entries of a Bundle, objects of a MediLoop list.

What kind of file it is shows when it is tried: a first line that is JSON by itself, with others behind it, is NDJSON
and goes line by line, with memory for one line, whatever that first line is. What is one JSON document is read whole.
If it is neither, something is spoilt: where lines look like objects, the good ones among them come in.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import IO, Any

import orjson

from adapter.errors import Malformed, Problem
from adapter.fhir.validation import strict_json
from adapter.fhir.validation.structure import as_object
from adapter.importing import mediloop
from adapter.importing.documents import deletions, entries, is_page, listed
from adapter.importing.fetching import SPOILT
from adapter.importing.item import Item, kind_of
from adapter.importing.sources import Source
from store.codec import parse
from store.types import TYPES

_HEAD = re.compile(rb'\s*\{\s*"resourceType"\s*:\s*"([A-Za-z]+)"')
_LINES = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")
_MOST = 1_000  # bytes of a file that are shown where it is refused as a whole

_NONE = object()  # where there is no JSON: null is some


def items(source: Source, wanted: int | None = None, after: int = 0) -> Iterator[Item]:
    """Yield the items of a file in order; where it is packed and spoilt or cut off, the last one says so as its fault.

    Of a file of deletions each entry of each Bundle is one, numbered through the whole file.

    Args:
        source: the file.
        wanted: only those of this rank.
        after: only those after this line.
    """
    with source.open() as file:
        lines = _Lines(file)
        found = _deletions(lines) if source.deletes else _items(lines, source.name.lower().endswith(_LINES))
        last = 0
        for item in found:
            last = item.line
            if item.line > after and (wanted is None or item.rank == wanted):
                yield item
    # What is told of it comes last, and its number is that of a line that is not there: an interrupted import goes on
    # by these numbers. The entries of a document have fewer.
    last = max(last, lines.last) + 1
    if lines.broken is not None and last > after and wanted in (None, 0):
        text = f"From here on the file cannot be unpacked ({lines.broken}). Fetch it again, and import it again."
        fault = Malformed(Problem("cut_off", text, issue="incomplete"))
        yield Item(last, b"", fault=fault)


class _Lines:
    """The lines of a file that are not blank, each with its number; they end where it can be read no further.

    Attributes:
        last: the number of the last line that was read.
        broken: why it could be read no further.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.last = 0
        self.broken: Exception | None = None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        try:
            for text in self._file:
                self.last += 1
                line = text.removeprefix(codecs.BOM_UTF8) if self.last == 1 else text  # as Windows writes it
                if line and not line.isspace():
                    yield self.last, line
        except SPOILT as error:
            self.broken = error


def _items(lines: _Lines, of_lines: bool) -> Iterator[Item]:
    numbered = iter(lines)
    found = [*islice(numbered, 2)]
    if not found:
        return
    first, *others = ((_loaded(text)) for _, text in found)
    alone = not others and (listed(first) or first is _NONE)  # which may be a list for all that
    if alone and listed(document := _exact(found[0][1])):
        yield from entries(document)
    elif not others or first is not _NONE or (of_lines and isinstance(others[0], dict)):
        yield from _by_line(chain(found, numbered))
    else:
        yield from _spread([*found, *numbered], lines)


def _deletions(lines: _Lines) -> Iterator[Item]:
    number = 0
    for _, raw in lines:
        for item in deletions(number + 1, raw.strip()):
            number = item.line
            yield item


def _spread(numbered: list[tuple[int, bytes]], lines: _Lines) -> Iterator[Item]:
    """Yield the items of what begins like a document over several lines."""
    whole = b"".join(text for _, text in numbered).strip()
    document = _exact(whole)
    if listed(document):
        yield from entries(document)
    elif document is not _NONE:
        yield _line(1, whole)
    elif 2 * sum(_like_an_object(text) for _, text in numbered) >= len(numbered):
        yield from _by_line(numbered)
    elif lines.broken is None:  # else that is what is told of it
        text = "The file is neither one JSON document nor one on each line. Correct it, or write it as NDJSON."
        yield Item(1, whole[:_MOST], fault=Malformed(Problem("invalid_json", text, issue="structure")))


def _like_an_object(text: bytes) -> bool:
    return text.startswith(b"{") and text.rstrip().endswith(b"}")


def _loaded(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _NONE


def _exact(raw: bytes) -> Any:
    """Read a document; what of it cannot be stored is told of the entry that has it."""
    try:
        return parse(raw, as_object=as_object, checked=False)
    except ValueError:
        return _NONE


def _by_line(numbered: Iterable[tuple[int, bytes]]) -> Iterator[Item]:
    """Yield the item of each line, and of a page those in it: each is numbered as though it had a line of its own."""
    more = 0
    for line, raw in numbered:
        page = _exact(raw) if b'"results"' in raw and not _HEAD.match(raw) else _NONE
        if not is_page(page):
            yield _line(line + more, raw)
            continue
        more -= 1
        for item in entries(page):
            more += 1
            item.line = line + more
            yield item


def _line(line: int, raw: bytes) -> Item:
    item = Item(line, raw.strip())
    found = _HEAD.match(raw)
    if found is not None:
        item.kind = found[1].decode()
        return item
    value = _loaded(raw)
    # As in a list: a member that nobody knows is left out, also where its number is beyond all (mediloop.unknown).
    item.kind = kind_of(_exact(raw) if value is _NONE else value)
    return item


def read(item: Item) -> Any:
    """Return the parsed JSON of an item.

    Raises:
        Malformed: it is no JSON object, has a name twice, or is of no type that is stored.
    """
    if item.fault is not None:
        raise item.fault
    if item.kind == "MediLoop":
        return mediloop.read(item.raw)
    value = strict_json.read(item.raw) if item.value is None else item.value
    if item.kind == "Bundle":
        text = "A Bundle on a line among others is not taken apart. Give it a file of its own."
        raise Malformed(Problem("not_importable", text, "resourceType", issue="not-supported"))
    if not item.kind and isinstance(value, dict) and "resource" in value:
        text = "It is an entry of a Bundle, and may refer to others of it. Mend that Bundle, and import it whole."
        raise Malformed(Problem("not_importable", text, "resource", issue="not-supported"))
    if item.kind not in TYPES:
        text = f"Resources of this type are not stored here; these are: {', '.join(TYPES)}."
        raise Malformed(Problem("unknown_type", text, "resourceType", issue="not-supported"))
    return value
