"""What a MediLoop object that says null takes away from a stored Appointment.

Null is a value of the members that may have none: a facility, a text or a time that was there is gone. But behind what
is shown there may be more than MediLoop's words can say, other codings of a reason for one, of which null says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mappings import appointment as lens
from mappings.elements import copied
from mappings.instants import to_utc
from store.codec import Resource, encode

if TYPE_CHECKING:
    from adapter.importing.means import Means

_TOGETHER = (
    ("facility_id", "facility_name"),
    ("cancellation_reason_code", "cancellation_reason_text"),
)
"""Members of one element, which goes with the first where the other has no value either."""

_LISTS = ("extension", "participant")


def lossless(service: Means, before: Resource, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return `wanted` without the nulls that would take away what MediLoop's words cannot express.

    What the members themselves could bring back whole may go. A reason of an earlier move goes with any other move:
    it would be told of the new one.

    Args:
        service: whose systems and tables.
        before: what is stored.
        wanted: the members that are given; null where they have no value.
    """
    nulls = [name for name, value in wanted.items() if value is None]
    if not nulls:
        return dict(wanted)
    shown = lens.view(before, systems=service.systems, vocabulary=service.vocabulary)
    nulls = [name for name in nulls if shown[name] is not None]
    gone = {name for name in nulls if _comes_back(service, before, (name,), shown)}
    for group in _TOGETHER:
        if group[0] in nulls:
            whole = all(wanted.get(name) is None for name in group) and _comes_back(service, before, group, shown)
            gone = gone | {*group} if whole else gone - {*group}
    if "reschedule_reason" in nulls and _is_another_move(shown, wanted):
        gone.add("reschedule_reason")
    return {name: value for name, value in wanted.items() if value is not None} | dict.fromkeys(sorted(gone))


def _comes_back(service: Means, before: Resource, group: tuple[str, ...], shown: Mapping[str, Any]) -> bool:
    tables: Any = {"systems": service.systems, "vocabulary": service.vocabulary}
    without = lens.update(before, dict.fromkeys(group), **tables)
    again = lens.update(without, {name: shown[name] for name in group if shown[name] is not None}, **tables)
    return _unordered(again) == _unordered(before)


def _unordered(resource: Resource) -> bytes:
    """Return a resource but for the places in the lists that what comes back is appended to."""
    ordered = copied(resource)
    for name in _LISTS:
        if name in ordered:
            ordered[name] = sorted(ordered[name], key=lambda one: encode(one, sort=True))
    return encode(ordered, sort=True)


def _is_another_move(shown: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    moved = wanted.get("rescheduled_at")
    return moved is not None and to_utc(moved) != shown["rescheduled_at"]
