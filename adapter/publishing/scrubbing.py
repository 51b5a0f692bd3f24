"""What of a Location, a Schedule and a Slot is public.

Nothing is taken away from a resource: a new one is made of the elements that are named here, so what nobody has thought
of stays inside. Texts that a person writes at a desk (comments, narrative, the text of a concept, names of actors) are
not among them; a Slot that is not free shows its time and that it is busy, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from typing import Any

from adapter import timezones
from adapter.publishing.codes import Codes
from adapter.scheduling.hours import TIMEZONE
from mappings.references import contained
from store import slotids
from store.codec import Resource
from store.extract import reference

SMART = "http://fhir-registry.smarthealthit.org/StructureDefinition"
DEEP_LINK, PHONE = f"{SMART}/booking-deep-link", f"{SMART}/booking-phone"

_NUMBER = re.compile(r"\+?[0-9][0-9 ().\-]{2,30}")
_ADDRESS = ("use", "type", "city", "district", "state", "postalCode", "country")
_HOME = "home"
"""The use of an address, or of a number."""
_HOMES = frozenset(("ho", "ptres", "264362003", "394778007"))
"""House (https://hl7.org/fhir/R4/codesystem-location-physical-type.html), patient's residence (v3 RoleCode), home and a
patient's home (SNOMED CT): in whatever system."""
_PUBLIC = frozenset(("Practitioner", "PractitionerRole", "Location", "HealthcareService", "Device"))
_NAMED = re.compile(r"(?P<kind>[A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}")


def location(resource: Resource, codes: Codes) -> Resource | None:
    """Return what is public of a Location; None where nothing is: it is closed for good, or somebody's home.

    No text of it holds a UHID, no identifier can be a person's, and no number is a home's.
    """
    if resource.get("status") == "inactive" or _is_home(resource) or not codes.is_clean(resource["id"]):
        return None
    made = _head(resource)
    _copy(resource, made, ("status",))
    made |= _clean(resource, ("name",), codes)
    identifiers = [kept for one in _listed(resource, "identifier") if (kept := codes.identifier(one)) is not None]
    telecom = [
        _clean(one, ("system", "value", "use"), codes)
        for one in _listed(resource, "telecom")
        if one.get("system") in ("phone", "url") and one.get("use") != _HOME
    ]
    _put(made, "identifier", identifiers)
    _put(made, "telecom", [one for one in telecom if "value" in one])
    address = resource.get("address")
    if isinstance(address, dict):
        kept = _clean(address, _ADDRESS, codes)
        _put(kept, "line", [one for one in address.get("line", ()) if isinstance(one, str) and codes.is_clean(one)])
        _put(made, "address", kept)
    position = resource.get("position")
    if isinstance(position, dict):
        _put(made, "position", {name: position[name] for name in ("longitude", "latitude") if name in position})
    return made


def _is_home(resource: Resource) -> bool:
    """Tell whether anything says that a Location is where somebody lives: its kind, its role, or its address."""
    address = resource.get("address")
    if isinstance(address, dict) and address.get("use") == _HOME:
        return True
    kinds = [resource.get("physicalType"), *_listed(resource, "type")]
    codings = [coding for one in kinds if isinstance(one, dict) for coding in _listed(one, "coding")]
    return any(str(one.get("code")).casefold() in _HOMES for one in codings)


def places(schedules: Iterable[Resource]) -> set[str]:
    """Return the Locations that Schedules name as actors (``Location/l``)."""
    named = {reference(str(one.get("reference", ""))) for resource in schedules for one in _listed(resource, "actor")}
    return {name for name in named if name.startswith("Location/")}


def schedule(resource: Resource, locations: Container[str], codes: Codes) -> Resource | None:
    """Return what is public of a Schedule; None where nothing is.

    It is of one place among `locations` (``Location/l``), none of its actors can be a patient or a relative, no UHID
    stands in its id, and its codings are those that `codes` finds public.
    """
    actors = [one if isinstance(one, dict) else {} for one in resource.get("actor", ())]
    if resource.get("active") is False or not all(_is_public(one, resource) for one in actors):
        return None
    if not codes.is_clean(resource["id"]):
        return None
    place = next((name for name in (reference(one.get("reference", "")) for one in actors) if name in locations), None)
    if place is None:
        return None
    made = _head(resource)
    _copy(resource, made, ("active",))
    for element in ("serviceCategory", "serviceType", "specialty"):
        _put(made, element, _concepts(resource, element, codes))
    made["actor"] = [{"reference": place}]
    horizon = resource.get("planningHorizon")
    if isinstance(horizon, dict):
        _put(made, "planningHorizon", _of(horizon, ("start", "end")))
    _put(made, "extension", _schedule_extensions(resource, codes))
    return made


def _is_public(actor: Resource, resource: Resource) -> bool:
    """Tell whether an actor is known to be one of those whom anybody may know of.

    Its reference or its type must say so, and neither they nor a contained resource anything else: who is merely not
    seen to be a patient, such as one named by an identifier, can be one.
    """
    text, kind = actor.get("reference", ""), actor.get("type")
    if not isinstance(text, str):
        return False
    named = _NAMED.fullmatch(reference(text))
    if named is None and text and not text.startswith(("#", "urn:")):
        return False  # such as Patient?identifier=...
    inside = contained(resource, text) if text.startswith("#") else None
    stated = [] if named is None else [named["kind"]]
    stated += [] if kind is None else [str(kind).rpartition("/")[2]]
    return bool(stated) and _PUBLIC.issuperset([*stated, *([] if inside is None else [inside.get("resourceType")])])


def _schedule_extensions(resource: Resource, codes: Codes) -> list[Resource]:
    kept: list[Resource] = []
    for one in _listed(resource, "extension"):
        url = one.get("url")
        if url in (f"{SMART}/vaccine-product", f"{SMART}/has-availability") and isinstance(
            one.get("valueCoding"), dict
        ):
            coding = codes.coding(one["valueCoding"])
            if coding is not None:
                kept.append({"url": url, "valueCoding": coding})
        elif url == f"{SMART}/vaccine-dose" and type(one.get("valueInteger")) is int:
            kept.append({"url": url, "valueInteger": one["valueInteger"]})
        elif url == TIMEZONE and isinstance(one.get("valueCode"), str) and one["valueCode"] in timezones.names():
            kept.append({"url": url, "valueCode": one["valueCode"]})
    return kept


def slot(resource: Resource, codes: Codes, link: str | None = None, phone: str | None = None) -> Resource | None:
    """Return what is public of a Slot; None where nothing is: it was an error, or a UHID stands in its id.

    Args:
        resource: the Slot.
        codes: tells which codings and links are public.
        link: where a free one is booked, unless it says so itself; ``{slot}`` stands for its id.
        phone: the number to call, likewise.
    """
    if resource.get("status") == "entered-in-error" or not codes.is_clean(_named_by_hand(resource)):
        return None
    # Not since when: that is the moment of a booking, or of what gave the time back.
    made: Resource = {"resourceType": "Slot", "id": resource["id"]}
    made["schedule"] = {"reference": reference(resource["schedule"].get("reference", ""))}
    made["status"] = "free" if resource["status"] == "free" else "busy"
    _copy(resource, made, ("start", "end"))
    if made["status"] == "free":
        for element in ("serviceCategory", "serviceType", "specialty"):
            _put(made, element, _concepts(resource, element, codes))
        _put(made, "extension", _slot_extensions(resource, codes, link, phone))
    return made


def _named_by_hand(slot: Resource) -> str:
    """Return what of a Slot's id somebody has chosen: the rest of a computed one's is its time, not a number."""
    named = slotids.parts(slot["id"]) if slotids.is_computed(slot) else None
    return slot["id"] if named is None else named.schedule


def _slot_extensions(resource: Resource, codes: Codes, link: str | None, phone: str | None) -> list[Resource]:
    found: dict[str, Resource] = {}
    if link is not None:
        found[DEEP_LINK] = {"url": DEEP_LINK, "valueUrl": link.replace("{slot}", resource["id"])}
    if phone is not None:
        found[PHONE] = {"url": PHONE, "valueString": phone}
    for one in _listed(resource, "extension"):
        url = one.get("url")
        if url == DEEP_LINK and isinstance(one.get("valueUrl"), str) and codes.is_link(one["valueUrl"]):
            found[url] = {"url": url, "valueUrl": one["valueUrl"]}
        elif url == PHONE and isinstance(one.get("valueString"), str) and _NUMBER.fullmatch(one["valueString"]):
            found[url] = {"url": url, "valueString": one["valueString"]}
        elif url == slotids.CAPACITY and type(one.get("valueInteger")) is int:
            found[url] = {"url": url, "valueInteger": one["valueInteger"]}
    return list(found.values())


def _head(resource: Resource) -> Resource:
    """Return the beginning of a public Location or Schedule: what it is, and since when it is so."""
    made: Resource = {"resourceType": resource["resourceType"], "id": resource["id"]}
    updated = resource.get("meta", {}).get("lastUpdated")
    return made if updated is None else made | {"meta": {"lastUpdated": updated}}


def _listed(resource: Resource, element: str) -> list[Resource]:
    return [one for one in resource.get(element, ()) if isinstance(one, dict)]


def _of(one: Resource, names: Sequence[str]) -> Resource:
    return {name: one[name] for name in names if isinstance(one.get(name), str)}


def _clean(one: Resource, names: Sequence[str], codes: Codes) -> Resource:
    return {name: text for name, text in _of(one, names).items() if codes.is_clean(text)}


def _copy(resource: Resource, made: Resource, names: Sequence[str]) -> None:
    for name in names:
        if name in resource:
            made[name] = resource[name]


def _concepts(resource: Resource, element: str, codes: Codes) -> list[Resource]:
    """Return the codes of an element: what a code system says, and no words of anybody's own."""
    kept = []
    for concept in _listed(resource, element):
        codings = [coding for one in _listed(concept, "coding") if (coding := codes.coding(one)) is not None]
        if codings:
            kept.append({"coding": codings})
    return kept


def _put(made: Resource, name: str, value: Any) -> None:
    if value:
        made[name] = value
