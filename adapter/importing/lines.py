"""The lines of a file, and a file read whole, as far as they may be held: a kilobyte of gzip may unpack to a megabyte.

Who sent a file is not known, and a line without an end would take the memory of this machine (700 MB of it came in
680 KB, and took 4 GB). What is longer is read past, and its beginning is all that is held of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import IO

LONGEST = 64_000_000
"""Bytes of a line that are held, its end included. MongoDB takes some 8 MB of JSON as one resource."""

FOLD = 100
"""A file that is one document may unpack to so many times its size; JSON like ours is packed to a twentieth or so."""

SHOWN = 1_000
"""Bytes that are shown of what is refused as a whole."""

_PIECE = 1 << 16


class Cut(bytes):
    """The beginning of a line, or of a file, that is longer than what may be held."""

    def isspace(self) -> bool:
        """Tell that it is not blank: nobody has seen its end."""
        return False


def each_line(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file; of one that is longer than `LONGEST`, a `Cut`."""
    for line in iter(partial(file.readline, LONGEST + 1), b""):
        if len(line) <= LONGEST:
            yield line
            continue
        cut, rest = Cut(line[:SHOWN]), line
        del line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(_PIECE)
        yield cut


def fill(held: bytearray, file: IO[bytes], size: int) -> bool:
    """Read a file whole; tell whether all of it may be held. What it raises leaves what was read before.

    Args:
        held: what is read is put there.
        file: unpacked.
        size: of the file as it is.
    """
    most = max(LONGEST, FOLD * size)
    while piece := file.readline(_PIECE):  # `read` would lose what comes before a break in gzip
        held += piece
        if len(held) > most:
            return False
    return True
