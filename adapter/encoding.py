"""Bodies that come compressed (RFC 9110 section 8.4): gzip, as FHIR asks servers to take, and MediLoop's door likewise.

Where the gate bounds what is sent, this bounds what becomes of it: a few kilobytes of gzip can hold gigabytes.
"""

from __future__ import annotations

import zlib

from adapter.aside import LARGE, aside
from adapter.errors import Malformed, Problem, TooLarge, UnsupportedMediaType

_GZIP = ("gzip", "x-gzip")
_AS_GZIP = 16 + zlib.MAX_WBITS
_FIRST = 512  # bytes that a member is given, then twice as many: what it leaves is copied, and 200,000 may be in a body


async def plain(raw: bytes, coding: str, most: int) -> bytes:
    """Return the body `raw` without its ``Content-Encoding``, at most `most` bytes.

    Raises:
        UnsupportedMediaType: another coding than gzip. Malformed: it is not gzip. TooLarge: it would be larger.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return raw
    if coding not in _GZIP:
        text = "The body is encoded in a way that is not read here. Send it plain, or with Content-Encoding gzip."
        problem = Problem("unsupported_encoding", text, "Content-Encoding")
        raise UnsupportedMediaType(problem, headers={"Accept-Encoding": "gzip"})
    try:
        body = await aside(lambda: _unpacked(raw, most + 1), much=len(raw) > LARGE)
    except zlib.error:
        text = "The Content-Encoding says gzip, and the body is none, or is cut off. Send it anew."
        raise Malformed(Problem("invalid_encoding", text, "Content-Encoding", issue="structure")) from None
    if len(body) > most:
        raise TooLarge(Problem("body_too_large", f"The body is larger than {most} bytes. Send less.", None))
    return body


def _unpacked(raw: bytes, most: int) -> bytes:
    """Return what the members of a gzip hold, one or several (RFC 1952 section 2.2), but no more than `most` bytes.

    Raises:
        zlib.error: it is none, or is cut off, or something else follows.
    """
    body, at = bytearray(), 0
    while True:
        reader, length = zlib.decompressobj(_AS_GZIP), _FIRST
        while at < len(raw) and not reader.eof and len(body) < most:
            part = raw[at : at + length]
            body += reader.decompress(part, most - len(body))
            at += len(part) - len(reader.unused_data)
            length *= 2
        if len(body) >= most or (reader.eof and at == len(raw)):
            return bytes(body)
        if not reader.eof:
            raise zlib.error("cut off")
