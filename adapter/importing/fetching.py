"""Fetches the files that a bulk manifest lists, and lets none pass that has not come whole.

A connection that is lost ends a file as if that were its end, perhaps even at the end of a line. So what has come is
compared with what the server and the manifest say of it, before it counts as fetched. `urllib` is enough for fetching
and needs no further dependency; a token is sent to the host that it was given for and to no other (`is_for`).

Whoever is elsewhere does not have this machine ask itself, or its own network (a cloud's metadata, say), neither by a
manifest nor by a redirect (`nearness`): what is answered there may be told in the error file.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import shutil
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from time import sleep
from typing import IO, Any
from urllib.parse import urlsplit

from adapter import private
from adapter.importing import later
from adapter.importing.lines import each_line
from adapter.importing.nearness import Guard, Guarded, Near, is_near

_GZIP = b"\x1f\x8b"
_SECONDS = 60.0
_HEADER = "Authorization"
SPOILT = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading an `opened` file raises where it is packed and spoilt, or cut off."""

_PATIENCE = 600.0
"""Seconds that one file is waited for: limits are by the minute, and who is away for longer is somebody's to see."""

_AGAIN = "Run the same command again: what has come whole is not fetched twice."


class SourceError(OSError):
    """A source cannot be read; the message is the one line to print."""


@dataclass(frozen=True, slots=True)
class Into:
    """Where files are fetched to, and who is told meanwhile.

    Attributes:
        folder: where they are kept; made where it is missing.
        say: is told, in sentences, whom is waited for and how long, and what else is of use to know.
    """

    folder: Path
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched.

    Attributes:
        path: where it is.
        address: the one that it came from in the end, after redirects: what it says of others is relative to that
            (RFC 3986, 5.1.3).
        near: whether what it leads to may be near (`nearness`).
    """

    path: Path
    address: str
    near: bool


def opened(path: Path) -> IO[bytes]:
    """Open a file, unpacked where it is gzip (by its first bytes, not by its name)."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    # A GzipFile reads like any file of bytes; its type does not say so.
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]  # see above


def download(
    url: str,
    into: Into,
    token: str | None,
    listed: Mapping[str, Any] | None = None,
    moment: str = "",
    *,
    anew: bool = False,
    near: bool | None = None,
) -> Fetched:
    """Fetch a file once, into a folder: what is there already, and as it came, is kept while the same is said of it.

    After a loss of power a file may have its name, and not what was in it: most servers tell neither size nor sum. It
    is about patients, and stays there where the import is interrupted: nobody else can read it meanwhile.

    Args:
        url: of the file.
        into: where to.
        token: bearer token, for this address alone.
        listed: its entry in the manifest.
        moment: of the manifest: what it lists may have no more than an address, and that one stays.
        anew: fetch it all the same.
        near: whether it, and what it redirects to, may be near: who names it is. None: it is named by the user.

    Raises:
        SourceError: it cannot be fetched, or has not come whole, or is near where it must not be.
    """
    known = json.dumps([url, moment, listed], sort_keys=True)
    target = into.folder / hashlib.sha256(known.encode()).hexdigest()[:32]
    beside = target.with_suffix(".came")
    if not anew and (led := _as_it_came(target, beside)) is not None:
        return Fetched(target, led, is_near(url) if near is None else near)
    if not url.startswith(("http://", "https://")):
        raise SourceError(f"{url}: only http and https addresses are fetched.")
    part = target.with_suffix(".part")
    try:
        answer, guard = _asked(url, token, near, into.say)
        with answer:
            if answer.status != 200:
                raise SourceError(f"{url}: {later.unready(answer.status, answer.headers)}")
            private.make_folder(str(into.folder))
            with private.create(str(part)) as file:
                shutil.copyfileobj(answer, file)
            said, address = answer.headers.get("Content-Length"), str(answer.url)
    except Near as error:
        raise SourceError(str(error)) from error
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(f"{url}: answered {error.code}{_reason(error.code)}") from error
    except urllib.error.URLError as error:
        raise SourceError(f"{url}: {error.reason}") from error
    except (http.client.InvalidURL, ValueError) as error:  # what the library says of addresses, redirects' too
        raise SourceError(f"{url}: it is, or leads to, no address that can be asked ({error}).") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise SourceError(f"{url}: the connection was lost ({error}). {_AGAIN}") from error
    # copyfileobj takes the end of the connection for the end of the file.
    if said is not None and said.isdecimal() and int(said) != (came := part.stat().st_size):
        raise SourceError(f"{url}: only {came} of {said} bytes have come. {_AGAIN}")
    require_whole(url, part, listed or {})
    # First: what it does not tell of is fetched again.
    private.replace(beside, json.dumps({"address": address, "sha256": _digest(part)}).encode())
    part.replace(target)
    return Fetched(target, address, guard.near)


def _asked(url: str, token: str | None, near: bool | None, say: Callable[[str], None]) -> tuple[Any, Guard]:
    """Open an address, and return with the answer who saw to it; where its server asks to be asked later, do so."""
    left = _PATIENCE
    while True:
        guard = Guard(url, near)  # each time: the name may be somebody else's by then
        opener = urllib.request.build_opener(_Redirects(guard), Guarded(guard))
        refused: urllib.error.HTTPError | None = None
        try:
            answer = opener.open(_request(url, token), timeout=_SECONDS)
        except urllib.error.HTTPError as error:
            answer = refused = error
        wait = later.seconds(answer.status, answer.headers)
        if wait is not None and wait <= left:
            answer.close()
            left -= wait
            say(later.said(url, answer.status, answer.headers, wait))
            sleep(wait)
        elif refused is not None:
            raise refused
        else:
            return answer, guard


def _as_it_came(target: Path, beside: Path) -> str | None:
    """Return the address that a kept file came from in the end; None where it is not there, or not as it came."""
    try:
        told = json.loads(beside.read_bytes())
        return str(told["address"]) if told["sha256"] == _digest(target) else None
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(code: int) -> str:
    if code in (401, 403):
        return ". Is the token right (--token)?"
    if code in (404, 410):
        return ": there is nothing, or nothing any more. Is the address right?"
    if 300 <= code < 400:
        return ", which leads in a circle, or to what is no http or https address."
    return ". Ask whoever runs that server, or try again later."


def _request(url: str, token: str | None) -> urllib.request.Request:
    headers = {"Accept": "application/fhir+ndjson, application/json, */*;q=0.1"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  (the scheme has been looked at)
    if token is not None:
        if not (token.isascii() and token.isprintable()):  # the library would show it
            raise SourceError("--token: a bearer token has printable ASCII characters alone, and no line break.")
        request.add_unredirected_header(_HEADER, f"Bearer {token}")
    return request


def require_whole(name: str, path: Path, listed: Mapping[str, Any], remedy: str = _AGAIN) -> None:
    """Compare a file with its entry in a manifest: ``size`` and ``sha256`` (ours have them), else ``count``.

    Args:
        name: as the messages call it.
        path: where it is.
        listed: the entry.
        remedy: what to do where they differ.

    Raises:
        SourceError: they differ.
    """
    size, digest, count = listed.get("size"), listed.get("sha256"), listed.get("count")
    if isinstance(size, int) and path.stat().st_size != size:
        raise SourceError(f"{name}: it has {path.stat().st_size} bytes, the manifest says {size}. {remedy}")
    if isinstance(digest, str):
        if _digest(path) != digest.lower():
            raise SourceError(f"{name}: its content is not the one of the manifest (sha256). {remedy}")
    elif type(count) is int and listed.get("type") != "Bundle":
        lines = _lines(name, path, remedy)
        if lines != count:
            raise SourceError(f"{name}: it has {lines} resources, the manifest says {count}. {remedy}")


def _lines(name: str, path: Path, remedy: str) -> int:
    try:
        with opened(path) as file:
            return sum(not line.isspace() for line in each_line(file))
    except SPOILT as error:
        raise SourceError(f"{name}: it cannot be unpacked ({error}). {remedy}") from error


def is_for(named: str, url: str) -> bool:
    """Tell whether a token that was given for one address is for another: of the same scheme, host and port.

    So it is for https on the same host, where the address that was named leads from http there.
    """
    one, other = _origin(named), _origin(url)
    return one == other or (one[::2] == ("http", 80) and other == ("https", one[1], 443))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", url, None  # it is told when it is asked


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, to http and https alone, where a guard lets them lead."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to the new address; the token goes with it where it is for that."""
        if not newurl.startswith(("http://", "https://")):
            return None
        self._guard.lead(newurl)
        # typeshed and the library name the headers' type differently.
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        token = req.unredirected_hdrs.get(_HEADER)
        if request is not None and token is not None and is_for(req.full_url, newurl):
            request.add_unredirected_header(_HEADER, token)
        return request
