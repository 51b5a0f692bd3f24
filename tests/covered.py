"""``python -m tests.covered FILE PERCENT [PATTERN=PERCENT ...]``: is enough of the code run by the tests?

Reads what SlipCover (https://github.com/plasma-umass/slipcover) has counted, lines and branches. It instruments the
code itself, and takes out again what has been reached, so tests run nearly as fast as without it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

_COUNTED, _HOW = ("lines", "branches"), ("covered", "missing")


def percent(files: Mapping[str, Any], pattern: str = "*") -> float:
    """Return how much of the files that fit `pattern` is covered, lines and branches alike.

    Raises:
        SystemExit: there is nothing to cover, so the pattern is wrong.
    """
    found = [one["summary"] for name, one in files.items() if fnmatch(name, pattern)]
    covered, missing = (sum(one[f"{how}_{what}"] for one in found for what in _COUNTED) for how in _HOW)
    if not covered:
        raise SystemExit(f"nothing of {pattern} was run")
    return 100.0 * float(covered / (covered + missing))


def main(words: Sequence[str]) -> int:
    """Print what is not covered, and how much is; return the exit code."""
    path, least, *others = words
    files = json.loads(Path(path).read_text())["files"]
    for name, one in sorted(files.items()):
        if one["missing_lines"] or one["missing_branches"]:
            branches = [f"{start}->{end if end else 'exit'}" for start, end in one["missing_branches"]]
            print(f"{name}: {', '.join([*map(str, one['missing_lines']), *branches])}")
    wanted = {"*": float(least)} | {pattern: float(one) for pattern, _, one in (word.partition("=") for word in others)}
    reached = {pattern: percent(files, pattern) for pattern in wanted}
    for pattern, value in reached.items():
        print(f"{pattern}: {value:.2f} % of lines and branches, wanted {wanted[pattern]:g}")
    return int(any(value < wanted[pattern] for pattern, value in reached.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
