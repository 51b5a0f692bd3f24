"""What is to be imported, as local files: the files named, those of a folder, those that a bulk manifest lists.

A manifest's files are fetched first, so that an import that is interrupted goes on without the network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from adapter.importing import manifests
from adapter.importing.fetching import Into, SourceError, download, is_for, opened, require_whole
from adapter.importing.manifests import Manifest

_SUFFIXES = (".ndjson", ".jsonl", ".json", ".ndjson.gz", ".jsonl.gz", ".json.gz")


@dataclass(frozen=True, slots=True)
class Source:
    """One file.

    Attributes:
        name: as the error file and the messages call it.
        path: where it is.
        deletes: it tells what was deleted (the ``deleted`` files of a bulk export).
        stage: files of one stage come in together, before those of the next.
    """

    name: str
    path: Path
    deletes: bool = False
    stage: int = 0

    def open(self) -> IO[bytes]:
        """Open it, unpacked where it is gzip (by its first bytes, not by its name)."""
        return opened(self.path)

    @property
    def mark(self) -> list[Any]:
        """What tells that it is still the same file: name, size and when it was written last; and what it is."""
        found = self.path.stat()
        return [self.name, found.st_size, found.st_mtime_ns, self.deletes, self.stage]


def find(
    words: Sequence[str],
    folder: Path,
    token: str | None = None,
    beside: Collection[Path] = (),
    *,
    resumed: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Source]:
    """Return the files that `words` name: paths, folders, bulk manifests (URLs, or files of that name).

    The files of a manifest are a stage of their own: what changed between two exports comes after the earlier one, and
    before the later one. All others that stand together are one stage.

    Args:
        words: as given on the command line.
        folder: where files of a manifest are kept until the import is done.
        token: bearer token for a manifest and the files on its host.
        beside: what an import writes itself; in a folder that is searched, these are no sources.
        resumed: an import goes on, with the manifests that it began with; else these are fetched anew.
        tell: is told what servers say to be missing of their exports, in sentences.
        say: likewise, at once, what else is of use to know: whom is waited for, and how long.

    Raises:
        SourceError: something is not there, cannot be fetched, or has not come whole.
    """
    found: list[Source] = []
    loose: list[Source] = []
    own = {path.resolve() for path in beside}
    told = False
    for word in words:
        exports, others = _named(word, Into(folder, say), token, own, resumed, tell)
        told |= bool(exports)
        loose += others
        for export in filter(None, exports):
            found = _joined(_joined(found, loose), export)
            loose = []
    found = _joined(found, loose)
    if not found and not told:  # that nothing has changed is news
        raise SourceError("There is nothing to import: no file ends in .ndjson, .jsonl or .json (or .gz of these).")
    return found


def _joined(before: list[Source], later: Sequence[Source]) -> list[Source]:
    stage = before[-1].stage + 1 if before else 0
    return [*before, *(replace(source, stage=stage) for source in later)]


def _named(
    word: str, into: Into, token: str | None, own: Collection[Path], resumed: bool, tell: Callable[[str], None]
) -> tuple[list[list[Source]], list[Source]]:
    """Return the exports that a word names, in the order of their times, and the files that are of none."""
    if word.startswith(("http://", "https://")):
        export, others = _fetched(word, into, token, not resumed, tell)
        return ([] if others else [export]), others
    if not word.strip():  # Path has it as the folder one is in
        raise SourceError("A source is blank: name a file, a folder or an address. Is a variable not set?")
    path = Path(word)
    if path.is_dir():
        return _inside(path, own, tell)
    if not path.is_file():
        raise SourceError(f"{word}: {_unread(word, path)}.")
    listed = manifests.read(path) if path.name == manifests.NAME else None
    if listed is None:
        return [], [Source(word, path)]
    _require_all(listed, path, tell)
    return [_of_manifest(listed, path, into)], []


def _unread(word: str, path: Path) -> str:
    if path.exists():
        return "it is no regular file; store it in one first"
    if "://" in word:
        return "only http and https addresses are read; copy it to this machine first"
    return "there is no such file or folder"


def _inside(
    folder: Path, own: Collection[Path], tell: Callable[[str], None]
) -> tuple[list[list[Source]], list[Source]]:
    """Return the files of a folder; a manifest in it is about the files beside and below it, and is none of them.

    Raises:
        SourceError: something is not there, or not whole; of several exports, one does not tell its time.
    """
    inside = sorted(one for one in folder.rglob("*") if one.is_file() and one.name.lower().endswith(_SUFFIXES))
    listed = {path.parent: found for path in inside if path.name == manifests.NAME and (found := manifests.read(path))}
    gone = {parent: manifests.deletions(found, parent) for parent, found in listed.items()}
    for parent, known in listed.items():
        manifests.require_listed(known, parent)
        _require_all(known, parent / manifests.NAME, tell)
    exports: dict[Path, list[Source]] = {path: [] for path in _by_time(listed)}
    others: list[Source] = []
    for path in inside:
        whole = path.resolve()
        if path.name != manifests.NAME and whole not in own:
            of = next((parent for parent in path.parents if parent in listed), None)
            if of is None:
                others.append(Source(str(path), path))
            elif whole not in gone[of]:
                exports[of].append(Source(str(path), path))
    for parent, paths in gone.items():
        exports[parent] += [Source(str(path), path, deletes=True) for path in sorted(paths)]
    # One that lists something else, as Parquet, has not been read.
    return [export for parent, export in exports.items() if export or not any(listed[parent].entries())], others


def require_beside(sources: Sequence[Source], written: Mapping[str, Path]) -> None:
    """Make sure that an import does not write over its own sources.

    Args:
        sources: what is read.
        written: the files that are written, by the option that names them.

    Raises:
        SourceError: a file is both.
    """
    read = {source.path.resolve() for source in sources}
    for option, path in written.items():
        if path.resolve() in read:
            raise SourceError(
                f"{path}: it is to be imported and written. Rename it, or name another file with {option}."
            )


def _fetched(
    url: str, into: Into, token: str | None, anew: bool, tell: Callable[[str], None]
) -> tuple[list[Source], list[Source]]:
    """Return the files that the manifest at an address lists, all its parts; or else the file that is there.

    Raises:
        SourceError: something cannot be fetched, or has not come whole; a further part is none, or goes on with an
            earlier one.
    """
    near: bool | None = None
    found: list[Source] = []
    parts: set[str] = set()
    part = url
    while part:
        own = token if is_for(url, part) else None
        whole = download(part, into, own, anew=anew, near=near)
        near = whole.near
        listed = manifests.read(whole.path)
        if listed is None and not parts:
            if onward := manifests.further(whole.path):
                into.say(f"{url}: it is a page, and goes on at {onward}. Only what is on it is imported.")
            return [], [Source(url, whole.path)]  # a file by itself
        if listed is None or part in parts:
            raise SourceError(f"{part}: {url} goes on there, and it is no further part of that manifest.")
        parts.add(part)
        for one, deletes in listed.entries():
            address = urljoin(whole.address, one["url"])
            own = token if is_for(url, address) else None
            found.append(Source(address, download(address, into, own, one, listed.moment, near=near).path, deletes))
        if listed.faults:
            tell(manifests.said(part, [urljoin(whole.address, one) for one in listed.faults]))
        part = urljoin(whole.address, listed.next) if listed.next else ""
    return found, []


def _require_all(listed: Manifest, path: Path, tell: Callable[[str], None]) -> None:
    """Refuse a manifest that is here and only a part; tell what its server says to be missing."""
    manifests.require_all(listed, path)
    if listed.faults:
        tell(manifests.said(str(path), listed.faults))


def _by_time(listed: Mapping[Path, Manifest]) -> list[Path]:
    """Return the folders of manifests in the order of their times; what has the same time, by name."""
    times = {path: found.time for path, found in sorted(listed.items())}
    unknown = [str(path / manifests.NAME) for path, time in times.items() if time is None]
    if unknown and len(times) > 1:
        raise SourceError(
            f"{', '.join(unknown)}: no transactionTime that can be read, so nobody knows which of the exports below "
            "one folder comes first. Name the manifests one by one, in the order of their times."
        )
    return sorted(times, key=lambda path: times[path] or datetime.min.replace(tzinfo=UTC))


def _of_manifest(listed: Manifest, path: Path, into: Into) -> list[Source]:
    """Return the files that a manifest lists which is here: beside or below it, or to be fetched."""
    found = []
    for one, deletes in listed.entries():
        address = one["url"]
        if address.startswith(("http://", "https://")):
            # Without the token: a file does not tell which host it is for.
            found.append(Source(address, download(address, into, None, one, listed.moment).path, deletes))
            continue
        parts = urlsplit(address)
        if parts.scheme not in ("", "file"):
            raise SourceError(f"{address}: of the addresses in {path} only paths, http and https are read.")
        place = manifests.place(path.parent, address)
        if not place.is_file():
            raise SourceError(f"{place}: {path} lists it, and it is not there. Fetch it, or import the files by name.")
        require_whole(str(place), place, one, "Fetch or export it again.")
        found.append(Source(str(place), place, deletes))
    return found
