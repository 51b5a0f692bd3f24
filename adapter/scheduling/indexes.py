"""Indexes that scheduling names in its queries, declared in `store.types`, and what they tell without any document."""

from __future__ import annotations

BY_DATE = ("date", "_id", "status")
"""Of Appointments."""

SLOTS_BY_STATUS = ("status", "start", "_id", "schedule", "minutes", "end")
SLOTS_BY_SCHEDULE = ("schedule", "status", "start", "_id", "minutes", "end")
SLOT_TIMES = ("_index.start", "_index.end", "_index.schedule")
"""The fields of a Slot that both of these have: whose it is, and when."""
