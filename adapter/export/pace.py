"""How fast the state of an export is asked for: what no client does that heeds ``Retry-After``.

Bulk Data has 429 for those who ask too often (https://hl7.org/fhir/uv/bulkdata/STU2/export.html, "Status Request"): one
in a loop without a pause is meant, who keeps the service from better work. A pause of a twentieth of a second is held
against nobody. Each process counts for itself.
"""

from __future__ import annotations

from collections import OrderedDict

BURST = 100
PER_SECOND = 25.0
_MOST = 1_000
"""Jobs that are remembered, the latest."""


class Pace:
    """Counts who asks for what, as a bucket that fills up with time."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def is_kept(self, job: str, now: float) -> bool:
        """Count one question about a job, and tell whether it may be answered.

        Args:
            job: its id.
            now: seconds, of a clock that never goes back.
        """
        left, before = self._left.pop(job, (float(BURST), now))
        left = min(float(BURST), left + (now - before) * PER_SECOND)
        kept = left >= 1
        self._left[job] = (left - 1 if kept else left, now)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)
        return kept
