"""Resources without what tells who somebody is: an allow-list, and keyed pseudonyms in the place of identities.

What is known to be harmless stays (`adapter.export.allowed`), everything else goes: names, texts, narrative, contact
data, contained resources, extensions nobody has looked at. Ids, references and identifiers become `pseudonyms`. Dates
are neither shifted nor coarsened. Where FHIR wants something that went, it is said to be masked
(https://hl7.org/fhir/R4/extension-data-absent-reason.html), so that the result is valid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter import timezones
from adapter.export.allowed import (
    CODES,
    DEAD,
    IDENTIFIER,
    KEPT,
    NESTED,
    REFERENCE,
    RESOURCES,
    Values,
    extensions,
    holds_uhid,
    is_token,
    vocabulary,
)
from adapter.export.pseudonyms import Pseudonyms
from adapter.fhir.validation.definitions import Member, Type, type_of
from adapter.scheduling.hours import DAYS, TIMEZONE
from mappings.elements import ABSENT_REASON
from mappings.systems import Systems
from mappings.uhid import PATTERN
from store.codec import Resource, decode, encode

_LABELS = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
PSEUDONYMISED: Resource = {"system": _LABELS, "code": "PSEUDED"}
"""The security label that every result carries (https://hl7.org/fhir/R4/security-labels.html)."""
REDACTED: Resource = {"system": _LABELS, "code": "REDACTED"}
"""Carried as well where a modifier extension went: what it said must not be forgotten silently."""

_REASONS = frozenset(
    (
        *("unknown", "asked-unknown", "temp-unknown", "not-asked", "asked-declined", "masked", "not-applicable"),
        *("unsupported", "as-text", "error", "not-a-number", "negative-infinity", "positive-infinity"),
        *("not-performed", "not-permitted"),
    )
)


class Deidentifier:
    """Takes from resources what tells who somebody is.

    Args:
        key: of the pseudonyms; whoever has it can test whether a known id is among them.
        systems: the canonical URLs of the deployment.
        bases: the service's own FHIR addresses: references below them are the relative ones.
        uhid_pattern: a code in which something of this shape stands is never kept.

    Raises:
        ValueError: the key is shorter than `LEAST_KEY` bytes.
    """

    def __init__(self, key: bytes, systems: Systems, bases: Sequence[str] = (), uhid_pattern: str = PATTERN) -> None:
        self._pseudonyms = Pseudonyms(key, systems, bases)
        self._uhid_pattern = uhid_pattern
        self._extensions = extensions(systems)
        self._own = (systems.service_type, systems.specialty, systems.cancellation_reason)

    @property
    def fingerprint(self) -> str:
        """Tell keys apart without telling them."""
        return self._pseudonyms.made("key", "")[:16]

    def digest(self, text: str) -> str:
        """Return what tells equal texts as equal and nothing else."""
        return self._pseudonyms.made("text", text)

    def line(self, raw: bytes) -> bytes:
        """Return the JSON of a resource, de-identified."""
        return encode(self.resource(decode(raw)))

    def resource(self, resource: Resource) -> Resource:
        """Return a de-identified copy.

        Raises:
            ValueError: its type has no table.
        """
        kind = str(resource.get("resourceType"))
        if kind not in RESOURCES:
            raise ValueError("There is no de-identification for this type of resource.")
        made: Resource = {"resourceType": kind}
        if "id" in resource:
            made["id"] = self._pseudonyms.ident(kind, resource["id"])
        made["meta"] = self._meta(resource)
        own = [one for one in map(self._extension, resource.get("extension", ())) if one is not None]
        if own:
            made["extension"] = own
        made |= self._object(resource, type_of(kind), RESOURCES[kind], resource)
        return made

    def name(self, name: str) -> str:
        """Return the pseudonym of a resource's name (``Patient/123``)."""
        kind, _, ident = name.partition("/")
        return f"{kind}/{self._pseudonyms.ident(kind, ident)}"

    def uhid(self, uhid: str) -> str:
        """Return the pseudonym of a UHID, as MediLoop shows it of a de-identified resource."""
        return self._pseudonyms.uhid(uhid)

    # Codes.

    def _codes(self, given: Resource, made: Type) -> Resource:
        """Return a Coding or CodeableConcept with its known codes; one without any is said to be masked."""
        if made.name == "Coding":
            return self._coding(given) or _masked()
        found = [one for one in map(self._coding, given.get("coding", ())) if one is not None]
        return {"coding": found} if found else _masked()

    def _coding(self, given: Resource) -> Resource | None:
        system, code = given.get("system"), given.get("code")
        if not isinstance(system, str) or not isinstance(code, str):
            return None
        # A system is kept only as it is known, so nothing can stand in it that must be looked for.
        fits = vocabulary(system) or (is_token if system in self._own else None)
        known = fits is not None and fits(code) and not holds_uhid(code, self._uhid_pattern)
        return {"system": system, "code": code} if known else None

    # Objects.

    def _meta(self, resource: Resource) -> Resource:
        given = resource.get("meta", {})
        made = self._object(given, type_of("Meta"), NESTED["Meta"], resource)
        labels = [one for one in made.pop("security", ()) if "code" in one and one != PSEUDONYMISED]
        tags = [one for one in made.pop("tag", ()) if "code" in one]
        labels.append(PSEUDONYMISED)
        if _modified(resource):
            labels.append(REDACTED)
        return made | {"security": labels} | ({"tag": tags} if tags else {})

    def _object(self, given: Resource, of: Type, table: Mapping[str, str], root: Resource) -> Resource:
        made: Resource = {}
        for name, rule in table.items():
            member = of.members[name]
            if rule == DEAD:
                if name in given or f"_{name}" in given:
                    made["deceasedBoolean"] = True  # without it, a modifier element, they would read as living
            elif name in given:
                values = given[name] if member.many else [given[name]]
                found = [self._value(one, member, rule, root) for one in values if one is not None]
                kept = [one for one in found if one is not None]
                if kept:
                    made[name] = kept if member.many else kept[0]
            elif rule == KEPT and not member.many and f"_{name}" in given:
                made[f"_{name}"] = _reason(given[f"_{name}"])  # it is there, without a value
        self._complete(made, of)
        return made

    def _value(self, given: Any, member: Member, rule: str, root: Resource) -> Any:
        if rule == KEPT:
            plain = member.name != "versionId" or (isinstance(given, str) and given.isdecimal())  # ours are numbers
            return given if plain and member.accepts is not None and member.accepts(given) else None
        if not isinstance(given, dict) or member.type is None:
            return None
        if rule == CODES:
            return self._codes(given, member.type())
        if rule == REFERENCE:
            return self._pseudonyms.reference(given, root) or _masked()
        if rule == IDENTIFIER:
            return self._pseudonyms.identifier(given)
        return self._object(given, member.type(), NESTED[rule], root) or None

    def _complete(self, made: Resource, of: Type) -> None:
        """Say of what must be there and went that it is masked."""
        for _, names in of.required:
            if not any(one in made for one in names):
                member = of.members[names[0]]
                own = f"_{names[0]}" if member.primitive is not None else names[0]
                made[own] = [_masked()] if member.many else _masked()
        if of.name == "Organization" and "identifier" not in made:
            made["_name"] = _masked()  # org-1: it has a name or an identifier

    # Extensions.

    def _extension(self, given: Any) -> Resource | None:
        return _extension(given, self._extensions) if isinstance(given, dict) else None


def _extension(given: Resource, table: Mapping[str, Values | tuple[str, ...]]) -> Resource | None:
    """Return an extension with what is known of it."""
    url = given.get("url")
    known = table.get(url) if isinstance(url, str) else None
    if known is None:
        return None
    if isinstance(known, Mapping):
        parts = [one for one in (_extension(part, known) for part in given.get("extension", ())) if one is not None]
        return {"url": url, "extension": parts} if parts else None
    for name in known:
        if name in given and _harmless(str(url), name, given[name]):
            value = given[name]
            if name == "valuePeriod":
                value = {part: value[part] for part in ("start", "end") if part in value}
            return {"url": url, name: value}
    return None


def _harmless(url: str, name: str, value: Any) -> bool:
    if name == "valueCode":
        allowed = timezones.names() if url == TIMEZONE else _REASONS if url == ABSENT_REASON else DAYS
        return value in allowed
    if name == "valuePeriod":
        moments = type_of("Period").members
        return (
            isinstance(value, dict)
            and all(
                moments[part].accepts(value[part])  # type: ignore[misc]  # they are primitive
                for part in ("start", "end")
                if part in value
            )
            and bool({"start", "end"} & value.keys())
        )
    member = type_of("Extension").members[name]
    return member.accepts is not None and member.accepts(value)


def _modified(node: Any) -> bool:
    """Tell whether a modifier extension stands anywhere in what is not contained."""
    if isinstance(node, dict):
        return "modifierExtension" in node or any(_modified(one) for key, one in node.items() if key != "contained")
    return isinstance(node, list) and any(map(_modified, node))


def _reason(sibling: Any) -> Resource:
    """Return what a primitive without a value says of its absence."""
    for one in sibling.get("extension", ()) if isinstance(sibling, dict) else ():
        if one.get("url") == ABSENT_REASON and one.get("valueCode") in _REASONS:
            return {"extension": [{"url": ABSENT_REASON, "valueCode": one["valueCode"]}]}
    return _masked()


def _masked() -> Resource:
    return {"extension": [{"url": ABSENT_REASON, "valueCode": "masked"}]}
