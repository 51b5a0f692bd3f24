"""What is wrong with an Appointment that comes by FHIR in itself: status, time, reason.

Pure functions on what was there and what is to be. Problems name the Appointment's elements by FHIRPath, and never a
patient.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapter.errors import Problem
from adapter.scheduling import expiry, intervals, occupancy, reasons
from adapter.scheduling.claimset import Visit, left_busy
from adapter.scheduling.status import GRAPH, HOLDING, WAYS, move_problem, reschedule_problem
from store.codec import Resource
from store.extract import reference

START, SLOT = "Appointment.start", "Appointment.slot"
"""What problems call the elements that they are mostly about."""


def faults(visit: Visit, *, copied: bool = False) -> Iterator[Problem]:
    """Yield what is wrong with the change, whatever else is stored: its status, its time.

    `copied`: it happened elsewhere, perhaps in several steps; what lapsed here is still a hold there, or became more.
    """
    before, after = visit.draft.before, visit.draft.after
    if after is None:
        return
    if before is not None:
        present = "pending" if copied and expiry.has_lapsed(before) else before["status"]
        moved = present != after["status"]
        graph = WAYS if copied else GRAPH
        problem = move_problem(present, after["status"], "Appointment.status", graph) if moved else None
        if problem is None and intervals.ends(before) != intervals.ends(after):
            problem = reschedule_problem(present, START)
        if problem is not None:
            yield problem
    if visit.is_new or before is None or intervals.ends(before) != intervals.ends(after):
        yield from _time_faults(after)
    if visit.books_over and not copied and not (occupancy.reason(after) or "").strip():
        text = "Say why it is to be booked over others: the reason is blank."
        yield Problem("blank_reason", text, "Appointment.extension")
    if not copied:
        yield from _never_held(before, after)


def _never_held(before: Resource | None, after: Resource) -> Iterator[Problem]:
    """Yield the Slots that a no-show names and did not hold: entered in error it would free them for everybody."""
    held = left_busy(before or {})
    for index, link in enumerate(after.get("slot", ()) if after["status"] == "noshow" else ()):
        if reference(link.get("reference", "")) not in held:
            text = (
                "A no-show keeps the slots that it held, and takes no other. Leave this one out; without any, it keeps "
                "those that it has."
            )
            yield Problem("slot_mismatch", text, f"{SLOT}[{index}]")


def _time_faults(appointment: Resource) -> Iterator[Problem]:
    start, end = intervals.ends(appointment)
    holds = appointment["status"] in HOLDING
    if start is None or end is None:
        if holds:
            text = f"An appointment that is {appointment['status']} needs a start and an end."
            yield Problem("invalid_time", text, START)
    elif end < start or (end == start and holds):
        yield reasons.backwards(appointment, START)
    elif problem := reasons.too_long("An appointment", start, end, "Appointment.end"):
        yield problem
