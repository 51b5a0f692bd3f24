"""A file taken apart into items: lines of NDJSON, entries of a Bundle, objects of a MediLoop list.

What kind of file it is shows when it is tried: a first line that is JSON by itself, with others behind it, is NDJSON
and goes line by line, with memory for one line, whatever that first line is. What is one JSON document is read whole.
If it is neither, something is spoilt: where lines look like objects, the good ones among them come in. Of a line, or a
document, no more is held than may be (`lines`).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import orjson

from adapter.errors import Malformed, Problem, TooLarge
from adapter.fhir.validation import strict_json
from adapter.fhir.validation.structure import as_object
from adapter.importing import mediloop
from adapter.importing.documents import deletions, entries, is_page, listed
from adapter.importing.fetching import SPOILT
from adapter.importing.item import Item, kind_of
from adapter.importing.lines import FOLD, LONGEST, SHOWN, Cut, each_line, fill
from adapter.importing.sources import Source
from store.codec import parse
from store.types import TYPES

_HEAD = re.compile(rb'\s*\{\s*"resourceType"\s*:\s*"([A-Za-z]+)"')
_LINES = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")
_MEGABYTES = LONGEST // 1_000_000

_NONE = object()  # where there is no JSON: null is some


def items(source: Source, wanted: int | None = None, after: int = 0) -> Iterator[Item]:
    """Yield the items of a file in order; where it is packed and spoilt or cut off, the last one says so as its fault.

    Of a file of deletions each entry of each Bundle is one, numbered through the whole file.

    Args:
        source: the file.
        wanted: only those of this rank.
        after: only those after this line.
    """
    lines = _Lines(source)
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

    def __init__(self, source: Source) -> None:
        self._source = source
        self.last = 0
        self.broken: Exception | None = None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        self.last = 0
        with self._source.open() as file:
            try:
                for text in each_line(file):
                    self.last += 1
                    if self.last == 1 and not isinstance(text, Cut):
                        text = text.removeprefix(codecs.BOM_UTF8)  # as Windows writes it
                    if text and not text.isspace():
                        yield self.last, text
            except SPOILT as error:
                self.broken = error

    def whole(self) -> bytes:
        """Return all that is in the file; a `Cut` where that is more than may be held."""
        held = bytearray()
        with self._source.open() as file:
            try:
                if not fill(held, file, self._source.path.stat().st_size):
                    return Cut(held[:SHOWN])
            except SPOILT as error:
                self.broken = error
        return bytes(held).removeprefix(codecs.BOM_UTF8).strip()


def _items(lines: _Lines, of_lines: bool) -> Iterator[Item]:
    numbered = iter(lines)
    found = [*islice(numbered, 2)]
    if not found:
        return
    first, *others = ((_loaded(text)) for _, text in found)
    alone = not others and (listed(first) or first is _NONE)  # which may be a list for all that
    if alone and listed(document := _exact(found[0][1])):
        yield from entries(document)
    elif isinstance(found[0][1], Cut) and not others:
        yield from _spread(lines)
    elif not others or first is not _NONE or (of_lines and isinstance(others[0], dict)):
        yield from _by_line(chain(found, numbered))
    else:
        yield from _spread(lines)


def _deletions(lines: _Lines) -> Iterator[Item]:
    number = 0
    for _, raw in lines:
        for item in [_too_long(number + 1, raw)] if isinstance(raw, Cut) else deletions(number + 1, raw.strip()):
            number = item.line
            yield item


def _spread(lines: _Lines) -> Iterator[Item]:
    """Yield the items of what begins like a document over several lines, or with a line that may be one by itself."""
    whole = lines.whole()
    document = _exact(whole)
    if listed(document):
        yield from entries(document)
    elif document is not _NONE:
        yield _line(1, whole if len(whole) <= LONGEST else Cut(whole[:SHOWN]))
    elif _are_objects(text for _, text in lines):
        yield from _by_line(lines)
    elif isinstance(whole, Cut):
        text = (
            f"The file is not NDJSON, and unpacks to more than {_MEGABYTES} MB and {FOLD} times its size, so it is not "
            "read. If that is right, unpack it, or write it as NDJSON."
        )
        yield Item(1, bytes(whole), fault=TooLarge(Problem("file_too_large", text, issue="too-long")))
    elif lines.broken is None:  # else that is what is told of it
        text = "The file is neither one JSON document nor one on each line. Correct it, or write it as NDJSON."
        yield Item(1, whole[:SHOWN], fault=Malformed(Problem("invalid_json", text, issue="structure")))


def _are_objects(lines: Iterable[bytes]) -> bool:
    """Tell whether most of them look so; one that is too long to be seen may be one."""
    return sum(1 if isinstance(text, Cut) or _like_an_object(text) else -1 for text in lines) >= 0


def _like_an_object(text: bytes) -> bool:
    return text.startswith(b"{") and text.rstrip().endswith(b"}")


def _loaded(raw: bytes) -> Any:
    try:
        return _NONE if isinstance(raw, Cut) else orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _NONE


def _exact(raw: bytes) -> Any:
    """Read a document; what of it cannot be stored is told of the entry that has it."""
    try:
        return _NONE if isinstance(raw, Cut) else parse(raw, as_object=as_object, checked=False)
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


def _too_long(line: int, raw: bytes) -> Item:
    text = (
        f"The line has more than {_MEGABYTES} MB, and is no list or Bundle that is all of its file. Its beginning "
        "stands here. Write each resource on a line of its own."
    )
    return Item(line, bytes(raw), fault=TooLarge(Problem("line_too_long", text, issue="too-long")))


def _line(line: int, raw: bytes) -> Item:
    if isinstance(raw, Cut):
        return _too_long(line, raw)
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
