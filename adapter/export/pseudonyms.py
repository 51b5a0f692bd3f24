"""Keyed pseudonyms in the place of identities: ids, identifiers, references.

HMAC-SHA256 under a key (https://www.rfc-editor.org/rfc/rfc2104): equal ones stay equal, in every export under that key,
and nobody without the key can test a guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from collections.abc import Sequence
from typing import Any

from adapter.fhir.validation.definitions import resource_types
from mappings.references import contained
from mappings.systems import Systems
from mappings.uhid import normalise
from store.codec import Resource
from store.extract import spellings

LEAST_KEY = 16
"""Bytes of a key, at least."""

_LITERAL = re.compile(r"(?:(?P<base>.+)/)?(?P<kind>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+")  # of whatever scheme


class Pseudonyms:
    """What stands for whom, under one key.

    Args:
        key: whoever has it can test whether a known id is among them.
        systems: the canonical URLs of the deployment.
        bases: the service's own FHIR addresses: references below them are the relative ones.

    Raises:
        ValueError: the key is shorter than `LEAST_KEY` bytes.
    """

    def __init__(self, key: bytes, systems: Systems, bases: Sequence[str]) -> None:
        if len(key) < LEAST_KEY:
            raise ValueError(f"the key has {len(key)} bytes; {LEAST_KEY} are needed at least")
        self._hmac = hmac.new(key, digestmod=hashlib.sha256)
        self._systems = systems
        self._bases = tuple(one for base in bases for one in spellings(base))
        self._own = {systems.appointment_number: systems.appointment_number}
        self._own |= dict.fromkeys(systems.all_uhid, systems.uhid)

    def made(self, *parts: str) -> str:
        """Return the pseudonym of what `parts` name together."""
        keyed = self._hmac.copy()
        keyed.update("\0".join(parts).encode())
        return keyed.hexdigest()[:32]

    def ident(self, kind: str, ident: str) -> str:
        """Return the pseudonym of a resource's id."""
        return self.made("id", kind, ident)

    def identifier(self, given: Resource) -> Resource | None:
        """Return an Identifier under its pseudonym; None for one without a value."""
        value = given.get("value")
        if not isinstance(value, str):
            return None
        system = str(given.get("system", ""))
        own = self._own.get(system)
        if system in self._systems.all_uhid:  # however it is spelt, and under whichever of its systems
            value = normalise(value)
        made: Resource = {} if own is None else {"system": own}
        return made | {"value": self._valued(own or system, value)}

    def uhid(self, uhid: str) -> str:
        """Return the value of a UHID's Identifier (`identifier`), under whichever of its systems it stands."""
        return self._valued(self._systems.uhid, normalise(uhid))

    def _valued(self, system: str, value: str) -> str:
        return self.made("identifier", system, value).upper()  # in capitals, as UHIDs are shown

    def reference(self, given: Resource, root: Resource) -> Resource:
        """Return a Reference in `root`: its type, and what it names by pseudonyms; empty where nothing is left."""
        text, kind, identifier = given.get("reference"), given.get("type"), given.get("identifier")
        made: Resource = {}
        if isinstance(text, str):
            found = _LITERAL.fullmatch(text)
            inside = contained(root, text) if text.startswith("#") else None
            if found is not None and found["kind"] in resource_types():
                base = found["base"]
                ident = found["id"] if base is None or base in self._bases else f"{base}/{found['id']}"
                made["reference"] = f"{found['kind']}/{self.ident(found['kind'], ident)}"
            elif _ADDRESS.fullmatch(text):
                made["reference"] = f"urn:uuid:{uuid.UUID(self.made('urn', text), version=4)}"
            elif inside is not None:
                kind = kind or inside.get("resourceType")
                identifier = identifier or self._preferred(inside.get("identifier"))
        if isinstance(kind, str) and kind.rpartition("/")[2] in resource_types():
            made["type"] = kind.rpartition("/")[2]
        found_identifier = self.identifier(identifier) if isinstance(identifier, dict) else None
        if found_identifier is not None:
            made["identifier"] = found_identifier
        return made

    def _preferred(self, identifiers: Any) -> Resource | None:
        """Return the identifier by which a contained resource is known: its UHID before others."""
        valued = [one for one in identifiers or () if "value" in one] if isinstance(identifiers, list) else []
        for system in self._systems.all_uhid:
            for one in valued:
                if one.get("system") == system:
                    return one  # type: ignore[no-any-return]  # an element of JSON
        return valued[0] if valued else None
