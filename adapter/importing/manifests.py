"""What a bulk manifest says: which files there are, and which of them tell what was deleted.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status, and as later versions have it: in parts
(``link``), with ``outcome`` in the place of ``error``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from adapter.importing.fetching import SPOILT, SourceError, opened, require_whole
from adapter.importing.lines import LONGEST

NAME = "manifest.json"
_ANEW = "Fetch or export it again, or import the files by name."


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, read.

    Attributes:
        moment: the time of the export, as it is written; empty where it is not told.
        output: the entries of files of resources.
        deleted: likewise, of those that tell what was deleted.
        faults: the addresses of files in which the server tells what went wrong.
        next: where the manifest goes on; empty where this is all of it.
    """

    moment: str
    output: list[dict[str, Any]]
    deleted: list[dict[str, Any]]
    faults: tuple[str, ...] = ()
    next: str = ""

    @property
    def time(self) -> datetime | None:
        """The time of the export, in UTC; None where there is none to be read. One without an offset is in UTC."""
        try:
            told = datetime.fromisoformat(self.moment)
            return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def entries(self) -> Iterator[tuple[dict[str, Any], bool]]:
        """Yield all entries, each with whether it tells what was deleted."""
        yield from ((one, False) for one in self.output)
        yield from ((one, True) for one in self.deleted)


def read(path: Path) -> Manifest | None:
    """Return the manifest in a file; None if it is none, or longer than any is.

    Raises:
        SourceError: it is of an export of ours that was interrupted, or lists what is no address.
    """
    document = _document(path)
    output, deleted = document.get("output"), document.get("deleted") or []
    if not isinstance(output, list) or not isinstance(deleted, list):
        return None
    own = document.get("extension")
    if isinstance(own, dict) and own.get("complete") is False:
        raise SourceError(f"{path}: that export has not come to its end. Give its command again, then import it.")
    if not all(isinstance(one, dict) and isinstance(one.get("url"), str) for one in (*output, *deleted)):
        return None
    faults = tuple(
        str(one["url"])
        for name in ("error", "outcome")
        for one in _objects(document.get(name))
        if "url" in one and one.get("count") != 0
    )
    onward = next((str(one["url"]) for one in _objects(document.get("link")) if _leads_on(one)), "")
    for address in (*(one["url"] for one in (*output, *deleted)), *faults, onward):
        try:
            urlsplit(address)
        except ValueError as error:
            raise SourceError(f"{address}: {path} lists it, and it is no address ({error}).") from error
    return Manifest(str(document.get("transactionTime", "")), output, deleted, faults, onward)


def further(path: Path) -> str:
    """Return where a page of a search, or of MediLoop's list, goes on; empty if it is the last one, or none."""
    document = _document(path)
    if isinstance(document.get("results"), list) and type(document.get("next")) is int:
        return f"page {document['next']}"
    onward = next((str(one["url"]) for one in _objects(document.get("link")) if _leads_on(one)), "")
    return "".join(filter(str.isprintable, onward))


def _document(path: Path) -> dict[str, Any]:
    """Return what is in a file that is one object; nothing of another one, and of what is longer than manifests are."""
    with opened(path) as file:
        try:
            raw = file.read(LONGEST + 1)
            document = orjson.loads(raw if len(raw) <= LONGEST else b"")
        except (orjson.JSONDecodeError, *SPOILT):
            return {}
    return document if isinstance(document, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _leads_on(link: dict[str, Any]) -> bool:
    return link.get("relation") == "next" and "url" in link


def said(name: str, faults: Sequence[str]) -> str:
    """Return what to tell of a manifest that lists files in which the server tells what went wrong."""
    files = "1 file, which is" if len(faults) == 1 else f"{len(faults)} files, which are"
    return (
        f"{name}: in {files} not imported, its server tells what is missing of that export, or wrong with it: "
        f"{', '.join(faults)}"
    )


def require_all(manifest: Manifest, path: Path) -> None:
    """Make sure that a manifest that is here goes on nowhere else.

    Raises:
        SourceError: it is only a part.
    """
    if manifest.next:
        raise SourceError(
            f"{path}: it is only a part of a manifest, which goes on at {manifest.next}. Import it by the address "
            "that it came from, or all files by name."
        )


def deletions(manifest: Manifest, folder: Path) -> set[Path]:
    """Return the files of a folder that tell what was deleted: by their paths, or by the names of what was fetched.

    Raises:
        SourceError: one is not there: what it tells would be missed, and nobody would know. Or it is elsewhere.
    """
    found = set()
    for one in manifest.deleted:
        path = place(folder, one["url"])
        if not path.is_file():
            raise SourceError(
                f"{path}: {folder / NAME} says that it tells what was deleted, and it is not there. Fetch it, or "
                f"import {folder / NAME} itself."
            )
        found.add(path.resolve())
    return found


def require_listed(manifest: Manifest, folder: Path) -> None:
    """Make sure that the files of a folder are as its manifest says, and that those listed by relative paths are there.

    What was fetched may have another name here than its address; what has the same is compared.

    Raises:
        SourceError: one is not there, or elsewhere, or has not come whole.
    """
    listed = [(one, _named(folder, one["url"])) for one, _ in manifest.entries()]
    times = Counter(path for _, path in listed)
    for one, path in listed:
        parts = urlsplit(one["url"])
        beside = not parts.scheme and not parts.path.startswith("/")
        if beside:
            place(folder, one["url"])
        elif not _is_within(folder, path):
            continue  # it is not read
        if path.is_file():
            if beside or times[path] == 1:
                require_whole(str(path), path, one, _ANEW)
        elif beside:
            raise SourceError(f"{path}: {folder / NAME} lists it, and it is not there. {_ANEW}")


def place(folder: Path, url: str) -> Path:
    """Return where a file is that the manifest of a folder lists: beside or below it.

    Whoever wrote a manifest does not say which other files of this machine are read, and told in the error file.

    Raises:
        SourceError: it would be elsewhere, or nowhere.
    """
    found = _named(folder, url)
    if not _is_within(folder, found):
        raise SourceError(
            f"{found}: {folder / NAME} lists it, and it is not in that folder. If it is meant, import it by its own "
            "name, or copy it there and list it by a relative path."
        )
    return found


def _is_within(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _named(folder: Path, url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if "\0" in path:
        raise SourceError(f"{url}: {folder / NAME} lists it, and no file can have that name.")
    return folder / (path if parts.scheme in ("", "file") else path.rpartition("/")[2])
