"""Counts the work that a decision is, so that tests can hold how it grows: a clock would tell of the machine too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import adapter.scheduling

OURS = str(Path(adapter.scheduling.__file__).parent)
SLACK = 1.2
"""How much more than in proportion is borne: less than what one loop over the set for each of its members costs."""


@contextmanager
def lines_run() -> Iterator[list[int]]:
    """Count the lines that adapter/scheduling runs, each turn of a loop or a comprehension as one."""
    counted = [0]

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        counted[0] += event == "line"
        return local

    def entered(frame: FrameType, event: str, argument: Any) -> Any:
        return local if frame.f_code.co_filename.startswith(OURS) else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        yield counted
    finally:
        sys.settrace(before)
