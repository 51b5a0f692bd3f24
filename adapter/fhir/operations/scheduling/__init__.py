"""The scheduling operations: find, hold, book, cancel and reschedule (IHE ITI Scheduling, ITI-115 to ITI-117).

They are a door like the others: what they ask for is decided by `adapter.scheduling` and written by the one road.
"""

from __future__ import annotations

from adapter.fhir.operations.scheduling.booking import book, hold
from adapter.fhir.operations.scheduling.changing import cancel, reschedule
from adapter.fhir.operations.scheduling.finding import find, prefetch

__all__ = ["book", "cancel", "find", "hold", "prefetch", "reschedule"]
