"""Which codings and which links are public: those that can be read as nothing else.

A coding is written by whoever makes a Slot, so what stands in it is looked at before anybody may read it: a code must
look like one, and its system must be one of codes and not of people's numbers.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from adapter.export.allowed import holds_uhid, is_token, vocabulary
from mappings.systems import Systems
from store.codec import Resource

_LINK = re.compile(r"https?://[^\s\"<>\\^`{|}]{1,2000}")
_SYSTEM = re.compile(r"[A-Za-z0-9:./_-]{1,120}")
# Systems of identifiers, by the words that FHIR, MediLoop and national registers name them with.
_IDENTIFIERS = re.compile(r"(?:^|[/:.#])(?:sid|naming-?system|identifiers?|patient|related-?person|person)(?:$|[/:.#])")
_PEOPLE = re.compile(r"(?:^|[/:.#_-])(?:patients?|related-?persons?|persons?|uhid)(?:$|[/:.#_-])")
# What a link says of one: a reference, a part of its path, or a parameter. `patient-portal` is everybody's.
_ONE = re.compile(
    r"(?<![\w-])(?:patient|relatedperson)[/=]"
    r"|[/?&;#](?:patients?|related-?persons?|persons?|uhids?)(?:[_-]?id)?(?![\w-])"
    r"|[?&;#](?:patient|related-?person|person(?!nel|al)|uhid)[^/&;#=]*="
)
_HOST = re.compile(r"https?://[^/?#]*")
_OID = "urn:oid:"


class Codes:
    """Tells what is public.

    Args:
        systems: the canonical URLs of the deployment.
        uhid_pattern: the shape of UHIDs (`mappings.uhid`).
    """

    def __init__(self, systems: Systems, uhid_pattern: str) -> None:
        self._identifiers = frozenset(_plain(one) for one in (*systems.all_uhid, systems.appointment_number))
        self._uhid_pattern = uhid_pattern

    def coding(self, given: Resource) -> Resource | None:
        """Return the system and the code of a Coding; None where they are not public."""
        system, code = given.get("system"), given.get("code")
        if not isinstance(system, str) or not isinstance(code, str) or holds_uhid(code, self._uhid_pattern):
            return None
        fits = vocabulary(system) or (is_token if self._is_of_codes(system) else None)
        return {"system": system, "code": code} if fits is not None and fits(code) else None

    def is_link(self, text: str) -> bool:
        """Tell whether a text is the address of a web page, no UHID stands in it, and nothing tells of one patient."""
        if _LINK.fullmatch(text) is None or not self.is_clean(text):
            return False
        return _ONE.search(_HOST.sub("", _unquoted(text).casefold(), count=1)) is None

    def is_clean(self, text: str) -> bool:
        """Tell whether no UHID stands in a text, however it is escaped."""
        return not any(holds_uhid(one, self._uhid_pattern) for one in (text, _unquoted(text)))

    def identifier(self, given: Resource) -> Resource | None:
        """Return the system and the value of a place's Identifier; None where it has no value, or can be a person's."""
        made = {name: given[name] for name in ("system", "value") if isinstance(given.get(name), str)}
        plain = _plain(made.get("system", ""))
        if plain in self._identifiers or _PEOPLE.search(plain) is not None:
            return None
        return made if "value" in made and all(map(self.is_clean, made.values())) else None

    def _is_of_codes(self, system: str) -> bool:
        """Tell whether a code system of which no more is known can be one: nothing in it names people's numbers."""
        plain = _plain(system)
        return (
            _SYSTEM.fullmatch(system) is not None
            and plain not in self._identifiers
            and _IDENTIFIERS.search(plain) is None
            and (plain.startswith(_OID) or all(map(is_token, filter(None, re.split(r"[:/]", system)))))
            and not holds_uhid(system, self._uhid_pattern)
        )


def _plain(system: str) -> str:
    return system.casefold().rstrip("/")


def _unquoted(text: str) -> str:
    """Return what a text says, though it may be escaped more than once."""
    for _ in range(3):
        text = unquote(text)
    return text
