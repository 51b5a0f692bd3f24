"""What is to be imported, as local files: the files named, those of a folder, those that a bulk manifest lists.

A manifest's files are fetched first, so that an import that is interrupted goes on without the network. `urllib` is
enough for that and needs no further dependency; a token is sent to the manifest's own host and to no other.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import orjson

_SUFFIXES = (".ndjson", ".jsonl", ".json", ".ndjson.gz", ".jsonl.gz", ".json.gz")
_GZIP = b"\x1f\x8b"
_SECONDS = 60.0


class SourceError(OSError):
    """A source cannot be read; the message is the one line to print."""


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
        with self.path.open("rb") as file:
            packed = file.read(2) == _GZIP
        # A GzipFile reads like any file of bytes; its type does not say so.
        return gzip.open(self.path, "rb") if packed else self.path.open("rb")  # type: ignore[return-value]

    @property
    def mark(self) -> list[Any]:
        """What tells that it is still the same file: name and size."""
        return [self.name, self.path.stat().st_size]


def find(words: Sequence[str], folder: Path, token: str | None = None) -> list[Source]:
    """Return the files that `words` name: paths, folders, URLs of bulk manifests.

    Args:
        words: as given on the command line.
        folder: where files of a manifest are kept until the import is done.
        token: bearer token for a manifest and the files on its host.

    Raises:
        SourceError: something is not there, or cannot be fetched.
    """
    found: list[Source] = []
    for word in words:
        if word.startswith(("http://", "https://")):
            found += _fetched(word, folder, token)
            continue
        path = Path(word)
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.is_file() and one.name.lower().endswith(_SUFFIXES))
            # The manifest of an export is about the files; it is none of them.
            found += [Source(str(one), one) for one in inside if one.name != "manifest.json"]
        elif path.is_file():
            found.append(Source(word, path))
        else:
            raise SourceError(f"{word}: there is no such file or folder.")
    if not found:
        raise SourceError("There is nothing to import: no file ends in .ndjson, .jsonl or .json (or .gz of these).")
    return found


def _fetched(url: str, folder: Path, token: str | None) -> list[Source]:
    folder.mkdir(parents=True, exist_ok=True)
    whole = _download(url, folder, token)
    try:
        with Source(url, whole).open() as file:
            manifest = orjson.loads(file.read())
        listed = [one["url"] for one in manifest["output"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return [Source(url, whole)]  # a file by itself
    return [
        Source(address, _download(address, folder, token if _origin(address) == _origin(url) else None))
        for address in (urljoin(url, one) for one in listed)
    ]


def _download(url: str, folder: Path, token: str | None) -> Path:
    """Fetch a file once: what is there already is not fetched again."""
    target = folder / hashlib.sha256(url.encode()).hexdigest()[:32]
    if target.exists():
        return target
    if not url.startswith(("http://", "https://")):
        raise SourceError(f"{url}: only http and https addresses are fetched.")
    # The scheme has been looked at.
    request = urllib.request.Request(url, headers={"Accept": "application/fhir+ndjson, application/json, */*;q=0.1"})  # noqa: S310
    if token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    part = target.with_suffix(".part")
    try:
        with _opener.open(request, timeout=_SECONDS) as answer, part.open("wb") as file:
            if answer.status != 200:
                raise SourceError(f"{url}: answered {answer.status}; it is not ready, or is no manifest.")
            shutil.copyfileobj(answer, file)
    except urllib.error.HTTPError as error:
        raise SourceError(f"{url}: answered {error.code}. Is the token right (--token)?") from error
    except urllib.error.URLError as error:
        raise SourceError(f"{url}: {error.reason}") from error
    part.replace(target)
    return target


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, to http and https alone."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to the new address; unredirected headers (the token) stay behind."""
        if not newurl.startswith(("http://", "https://")):
            return None
        # typeshed and the library name the headers' type differently.
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


_opener = urllib.request.build_opener(_Redirects)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
