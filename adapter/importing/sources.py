"""What is to be imported, as local files: the files named, those of a folder, those that a bulk manifest lists.

A manifest's files are fetched first, so that an import that is interrupted goes on without the network.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urljoin, urlsplit

import orjson

from adapter.importing.fetching import SPOILT, SourceError, download, opened, require_whole

_MANIFEST = "manifest.json"
_SUFFIXES = (".ndjson", ".jsonl", ".json", ".ndjson.gz", ".jsonl.gz", ".json.gz")


@dataclass(frozen=True, slots=True)
class Source:
    """One file.

    Attributes:
        name: as the error file and the messages call it.
        path: where it is.
    """

    name: str
    path: Path

    def open(self) -> IO[bytes]:
        """Open it, unpacked where it is gzip (by its first bytes, not by its name)."""
        return opened(self.path)

    @property
    def mark(self) -> list[Any]:
        """What tells that it is still the same file: name, size and when it was written last."""
        found = self.path.stat()
        return [self.name, found.st_size, found.st_mtime_ns]


def find(words: Sequence[str], folder: Path, token: str | None = None, beside: Collection[Path] = ()) -> list[Source]:
    """Return the files that `words` name: paths, folders, bulk manifests (URLs, or files of that name).

    Args:
        words: as given on the command line.
        folder: where files of a manifest are kept until the import is done.
        token: bearer token for a manifest and the files on its host.
        beside: what an import writes itself; in a folder that is searched, these are no sources.

    Raises:
        SourceError: something is not there, cannot be fetched, or has not come whole.
    """
    found: list[Source] = []
    own = {path.resolve() for path in beside}
    for word in words:
        if word.startswith(("http://", "https://")):
            found += _fetched(word, folder, token)
            continue
        path = Path(word)
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.is_file() and one.name.lower().endswith(_SUFFIXES))
            # The manifest of an export is about the files; it is none of them.
            found += [Source(str(one), one) for one in inside if one.name != _MANIFEST and one.resolve() not in own]
        elif path.is_file():
            found += _of_manifest(path, folder) if path.name == _MANIFEST else [Source(word, path)]
        else:
            raise SourceError(f"{word}: there is no such file or folder.")
    if not found:
        raise SourceError("There is nothing to import: no file ends in .ndjson, .jsonl or .json (or .gz of these).")
    return found


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


def _fetched(url: str, folder: Path, token: str | None) -> list[Source]:
    folder.mkdir(parents=True, exist_ok=True)
    whole = download(url, folder, token)
    listed = _listed(whole)
    if listed is None:
        return [Source(url, whole)]  # a file by itself
    found = []
    for one in listed:
        address = urljoin(url, one["url"])
        own = token if _origin(address) == _origin(url) else None
        found.append(Source(address, download(address, folder, own, one)))
    return found


def _of_manifest(path: Path, folder: Path) -> list[Source]:
    """Return the files that a manifest lists which is here: below it, elsewhere here, or to be fetched."""
    listed = _listed(path)
    if listed is None:
        return [Source(str(path), path)]
    found = []
    for one in listed:
        address = one["url"]
        if address.startswith(("http://", "https://")):
            folder.mkdir(parents=True, exist_ok=True)
            # Without the token: a file does not tell which host it is for.
            found.append(Source(address, download(address, folder, None, one)))
            continue
        parts = urlsplit(address)
        if parts.scheme not in ("", "file"):
            raise SourceError(f"{address}: of the addresses in {path} only paths, http and https are read.")
        place = path.parent / unquote(parts.path)
        if not place.is_file():
            raise SourceError(f"{place}: {path} lists it, and it is not there. Fetch it, or import the files by name.")
        require_whole(str(place), place, one, "Fetch or export it again.")
        found.append(Source(str(place), place))
    return found


def _listed(path: Path) -> list[dict[str, Any]] | None:
    """Return the entries of a bulk manifest; None if the file is none.

    Raises:
        SourceError: it is of an export of ours that was interrupted.
    """
    with opened(path) as file:
        try:
            document = orjson.loads(file.read())
            listed = document["output"]
        except (orjson.JSONDecodeError, KeyError, TypeError, *SPOILT):
            return None
    if not isinstance(listed, list):
        return None
    own = document.get("extension")
    if isinstance(own, dict) and own.get("complete") is False:
        raise SourceError(f"{path}: that export has not come to its end. Give its command again, then import it.")
    return listed if all(isinstance(one, dict) and isinstance(one.get("url"), str) for one in listed) else None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
