"""The narrative of a resource that is changed: it must not go on telling what is no longer so.

https://hl7.org/fhir/R4/narrative.html. Whoever sends a resource sends its narrative with it. Where something else
changes what the resource says (a patch, an action, a Slot that is booked), a narrative that was generated from it would
be wrong: "Booked for 1 August" of a visit that is cancelled. FHIR forbids that of a patch, and lets the server take the
narrative away, for whoever generates it to make it anew (https://hl7.org/fhir/R4/http.html#patch). A narrative that
says more than the resource does (``additional``) is the only place where that stands, and is left as it is; so is
``empty``, which says nothing.
"""

from __future__ import annotations

from store.codec import Resource

_GENERATED = ("generated", "extensions")
_OF_NO_CONTENT = frozenset({"text", "meta", "id"})
_ADDED = frozenset({"slot", "extension"})


def fitting(after: Resource, told: Resource, *, completed: bool = False) -> Resource:
    """Return `after`, without its narrative where that was generated from other content.

    Args:
        after: what is to be stored.
        told: what its narrative was written for: what is stored, where nobody has sent another one.
        completed: `told` was sent just now. What is only added to it, its Slots and who books over others, makes
            nothing of it wrong.
    """
    text = after.get("text")
    if not isinstance(text, dict) or text.get("status") not in _GENERATED or text != told.get("text"):
        return after
    beside = _OF_NO_CONTENT | _ADDED if completed else _OF_NO_CONTENT
    if all(after.get(name) == told.get(name) for name in (after.keys() | told.keys()) - beside):
        return after
    return {name: value for name, value in after.items() if name != "text"}
