"""How many files a process may open: each connection is one, and in MongoDB each collection and each index."""

from __future__ import annotations

import resource
from contextlib import suppress


def take_all() -> int:
    """Let this process, and what it starts, open as many as the system allows: most begin with 1,024, soon too few.

    Returns:
        How many it may open now; negative if there is no bound.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # systems that name no bound have one all the same
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return now
