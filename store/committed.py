"""What this process has written of a store, told when it is committed: who remembers something of it may be wrong then.

Not before: whoever looks between a write and its commit would note what was there before it as what is there after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from store.staged import Staged


class Committed:
    """What has been committed since the store was opened.

    Attributes:
        counts: in how many transactions resources of each type were written.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note(self, staged: Iterable[Staged]) -> None:
        """Count what a transaction has written, before anybody is answered; also where nobody knows what became of it.

        What is counted though nothing was written costs a look too many.
        """
        self.counts.update({kind for one in staged for kind, _ in one.writes})
