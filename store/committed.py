"""What this process has written of a store, told when it is committed: who remembers something of it may be wrong then.

Not before: whoever looks between a write and its commit would note what was there before it as what is there after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from store.staged import Staged, Write


class Committed:
    """What has been committed since the store was opened.

    Attributes:
        counts: in how many transactions resources of each type were written.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._followers: list[Callable[[Write], None]] = []

    def follow(self, follower: Callable[[Write], None]) -> None:
        """Have `follower` told each write from now on. All wait for it, and it must not fail."""
        self._followers.append(follower)

    def note(self, staged: Iterable[Staged]) -> None:
        """Tell what a transaction has written, before anybody is answered; also where nobody knows what became of it.

        What is told though nothing was written costs a look too many.
        """
        writes = [write for one in staged for write in one.writes.values()]
        self.counts.update({write.kind for write in writes})
        for follower in self._followers:
            for write in writes:
                follower(write)
