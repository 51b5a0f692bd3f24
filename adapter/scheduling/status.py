"""The life of an appointment: which status may follow which (decision 2.8).

FHIR defines no graph of its own (https://hl7.org/fhir/R4/appointment.html); this one holds for every door.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapter.errors import Conflict, Problem

GRAPH: Mapping[str, tuple[str, ...]] = {
    "proposed": ("pending", "booked", "cancelled"),
    "pending": ("booked", "cancelled"),
    "waitlist": ("booked", "cancelled"),  # moves like pending
    "booked": ("arrived", "checked-in", "fulfilled", "noshow", "cancelled"),
    "arrived": ("checked-in", "fulfilled", "noshow", "cancelled"),
    "checked-in": ("fulfilled", "cancelled"),
    "fulfilled": (),
    "cancelled": (),
    "noshow": (),
    "entered-in-error": (),
}
"""What may follow each status. ``entered-in-error`` can be reached from anywhere, through FHIR only."""

RESCHEDULABLE = ("proposed", "pending", "waitlist", "booked")
"""The statuses from which an appointment may still be moved to another time."""

HOLDING: Mapping[str, str] = {
    "pending": "busy-tentative",
    "booked": "busy",
    "arrived": "busy",
    "checked-in": "busy",
    "fulfilled": "busy",
}
"""The statuses that hold time, and what the Slot of such an appointment is (decisions 3.1, 3.2)."""

UPCOMING = ("proposed", "pending", "waitlist", "booked", "arrived", "checked-in")
"""The statuses of a visit that is still to happen or to end."""


def require_move(present: str, wanted: str) -> None:
    """Allow a move along the graph, or to ``entered-in-error``.

    Raises:
        Conflict: ``invalid_status_transition``, naming the present status and what it allows.
    """
    allowed = GRAPH[present]
    if wanted == "entered-in-error" != present:
        return
    if wanted not in allowed:
        raise _refusal(present, f"cannot become {wanted}", allowed)


def require_reschedulable(present: str) -> None:
    """Allow a move to another time.

    Raises:
        Conflict: ``invalid_status_transition``, naming the present status and what it allows.
    """
    if present not in RESCHEDULABLE:
        raise _refusal(present, "cannot be rescheduled", GRAPH[present])


def _refusal(present: str, what: str, allowed: tuple[str, ...]) -> Conflict:
    may = f"It can still become: {', '.join(allowed)}." if allowed else "That status is final."
    return Conflict(
        Problem(
            "invalid_status_transition",
            f"An appointment that is {present} {what}. {may}",
            param="status",
            details={"status": present, "allowed": list(allowed)},
        )
    )
