"""Bodies that come compressed (RFC 9110 section 8.4): gzip, as FHIR asks servers to take, and MediLoop's door likewise.

Where the gate bounds what is sent, this bounds what becomes of it: a few kilobytes of gzip can hold gigabytes.
"""

from __future__ import annotations

import zlib

from adapter.errors import Malformed, Problem, TooLarge, UnsupportedMediaType

_GZIP = ("gzip", "x-gzip")
_AS_GZIP = 16 + zlib.MAX_WBITS


def plain(raw: bytes, coding: str, most: int) -> bytes:
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
    reader = zlib.decompressobj(_AS_GZIP)
    try:
        body = reader.decompress(raw, most + 1)
    except zlib.error:
        body = b""
    if len(body) > most:
        raise TooLarge(Problem("body_too_large", f"The body is larger than {most} bytes. Send less.", None))
    if not reader.eof or reader.unused_data:
        text = "The Content-Encoding says gzip, and the body is none, or is cut off. Send it anew."
        raise Malformed(Problem("invalid_encoding", text, "Content-Encoding", issue="structure"))
    return body
