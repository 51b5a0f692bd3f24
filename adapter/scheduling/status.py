"""The life of an appointment: which status may follow which.

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


def _ways(graph: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return what each status may become in any number of steps, in the order of the graph."""
    ways: dict[str, tuple[str, ...]] = {}
    for status in reversed([*graph]):  # what follows a status stands behind it
        ways[status] = tuple(dict.fromkeys(one for step in graph[status] for one in (step, *ways[step])))
    return ways


WAYS: Mapping[str, tuple[str, ...]] = _ways(GRAPH)
"""What each status may have become by the time it is looked at again: the steps between were taken elsewhere."""

RESCHEDULABLE = ("proposed", "pending", "waitlist", "booked")
"""The statuses from which an appointment may still be moved to another time."""

HOLDING: Mapping[str, str] = {
    "pending": "busy-tentative",
    "booked": "busy",
    "arrived": "busy",
    "checked-in": "busy",
    "fulfilled": "busy",
}
"""The statuses that hold time, and what the Slot of such an appointment is."""

UPCOMING = ("proposed", "pending", "waitlist", "booked", "arrived", "checked-in")
"""The statuses of a visit that is still to happen or to end."""

FINAL = tuple(status for status, following in GRAPH.items() if not following)
"""The statuses that nothing but ``entered-in-error`` follows."""


def move_problem(
    present: str, wanted: str, param: str = "status", graph: Mapping[str, tuple[str, ...]] = GRAPH
) -> Problem | None:
    """Return what is against a move to another status, in FHIR's words; None if it follows the graph (`GRAPH`, `WAYS`).

    ``entered-in-error`` may follow every other status. The problem names the present status and what it allows.
    """
    allowed = graph[present]
    if wanted in allowed or wanted == "entered-in-error" != present:
        return None
    if present != "entered-in-error":
        allowed = (*allowed, "entered-in-error")
    return _problem(present, f"cannot become {wanted}", allowed, param)


def reschedule_problem(present: str, param: str) -> Problem | None:
    """Return what is against another time for an appointment in that status, in FHIR's words."""
    return None if present in RESCHEDULABLE else _problem(present, "cannot be rescheduled", GRAPH[present], param)


def require_move(present: str, wanted: str) -> None:
    """Allow a MediLoop caller a move along the graph, or to ``entered-in-error``.

    Raises:
        Conflict: ``invalid_status_transition``, naming the present status, as MediLoop shows it, and what it allows.
    """
    if move_problem(present, wanted) is not None:
        shown = "pending" if present == "waitlist" else present
        raise Conflict(_problem(shown, f"cannot become {wanted}", GRAPH[present], "status"))


def require_reschedulable(present: str) -> None:
    """Allow a MediLoop caller a move to another time.

    Raises:
        Conflict: ``invalid_status_transition``, naming the present status, as MediLoop shows it, and what it allows.
    """
    problem = reschedule_problem(present, "status")
    if problem is not None:
        raise Conflict(problem)


def _problem(present: str, what: str, allowed: tuple[str, ...], param: str) -> Problem:
    may = f"It can still become: {', '.join(allowed)}." if allowed else "That status is final."
    return Problem(
        "invalid_status_transition",
        f"An appointment that is {present} {what}. {may}",
        param=param,
        details={"status": present, "allowed": list(allowed)},
        issue="business-rule",
    )
