"""What the entries of a transaction call each other, replaced by what they are called once they are stored.

https://hl7.org/fhir/R4/http.html#trules: in References, in elements of type uri and url, in the links of narratives;
a canonical URL is never one of them, nor is text that happens to look the same. So the walk goes by the definitions. An
oid or a uuid, which the rules name too, is left as it is: ``Patient/123`` is neither, and no resource could hold it.
Nothing is changed in place: a transaction may be run again. What is left of such names, and of searches, when all are
replaced leads nowhere: the same walk finds it (`adapter.fhir.elsewhere`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.fhir.validation.definitions import Member, Type, resource_types, type_of
from adapter.fhir.validation.findings import Place, expression
from store.codec import Resource
from store.extract import is_elsewhere, is_urn, relative, spellings

_URIS = frozenset({"uri", "url"})
_RESTFUL = re.compile(r"(?P<root>https?://\S+/)(?P<name>[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})")
_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?\S+")
_LINK = re.compile(r"""(?P<head>\b(?:href|src)\s*=\s*(?P<quote>["']))(?P<url>.*?)(?P=quote)""", re.DOTALL)
_VERSION = "/_history/"


def is_astray(text: str, bases: Sequence[str]) -> bool:
    """Tell whether a reference lies below an address of this server and is no Type/id, so leads to nothing here.

    Whoever is meant would have another name by it, and could be booked twice. `bases`: these addresses.
    """
    if "://" not in text or not bases or text.startswith("urn:") or is_elsewhere(text, bases):
        return False
    kind, _, ident = relative(text, tuple(bases)).partition("/")
    return not ident or kind not in resource_types()


def comparable(full_url: str) -> str:
    """Return a fullUrl as it is compared: the hex of a uuid, and what stands before it, mean the same in either case.

    https://www.rfc-editor.org/rfc/rfc4122#section-3
    """
    return full_url.lower() if is_urn(full_url) else full_url


class Names:
    """What the entries of one transaction are called, before and after.

    Args:
        base: of this server: relative names in an entry that does not say where it is from are read below it.
    """

    def __init__(self, base: str) -> None:
        self._root = f"{base}/"
        self._ours = tuple(f"{one}/" for one in spellings(base))
        self._absolute: dict[str, str] = {}
        self._relative: dict[str, dict[str, str]] = {}
        self._tables: dict[str, Mapping[str, str]] = {}

    def add(self, full_url: str, name: str) -> None:
        """Let `full_url` mean `name` (``Patient/123``), also where it is shortened below a common root.

        Below our own, that is so by http as by https (`spellings`). What begins with ``#`` is contained in whoever says
        it, and is no entry.
        """
        if full_url.startswith("#"):
            return
        for text in spellings(full_url) if full_url.startswith(self._ours) else (full_url,):
            self._absolute[comparable(text)] = name
            restful = _RESTFUL.fullmatch(text)
            if restful is not None:
                self._relative.setdefault(restful["root"], {})[restful["name"]] = name

    def seen_from(self, full_url: str | None) -> Mapping[str, str]:
        """Return what the names mean in the entry with `full_url`; to be asked when all are added."""
        restful = None if full_url is None else _RESTFUL.fullmatch(full_url)
        root = self._root if restful is None else restful["root"]
        if root not in self._tables:
            self._tables[root] = self._relative.get(root, {}) | self._absolute
        return self._tables[root]


@dataclass(frozen=True, slots=True)
class Conditional:
    """A reference by criteria.

    Attributes:
        text: as it is written, perhaps below our own base.
        where: it stands, as a FHIRPath.
        search: below the base (``Patient?identifier=system|value``).
    """

    text: str
    where: str
    search: str


@dataclass(frozen=True, slots=True)
class Urn:
    """A reference that the table does not know: what it is, and where it stands, as a FHIRPath."""

    text: str
    where: str


@dataclass(slots=True)
class Rewriting:
    """A walk through resources that replaces what `table` names, and notes which references are still to be resolved.

    Attributes:
        table: what is to be replaced, with what; names as they are compared (`comparable`).
        conditionals: the conditional references met.
        urns: the references met that are a ``urn:uuid`` or ``urn:oid`` which the table does not know.
        astray: the references met that lie below an address of this server and are no Type/id: it has nothing there.
        versioned: names put in where a certain version was meant.
        bases: addresses of this server: a search below one of them is ours, below any other it is another server's.
        version: what is put in for that version; 1 is that of a resource made just now, and an empty one is none.
        searches: what references by criteria lead to, by their texts; the same text as a URI is an address like others.
        copied: the resources stay what they were elsewhere: so does the version that is meant, and a URI that ends in
            the name that its resource keeps.
    """

    table: Mapping[str, str]
    conditionals: list[Conditional]
    urns: list[Urn]
    astray: list[Urn]
    versioned: set[str]
    bases: Sequence[str]
    version: str
    searches: Mapping[str, str]
    copied: bool

    def resource(self, resource: Resource) -> Resource:
        """Return `resource` with all names replaced; the very same where there is none."""
        kind = resource.get("resourceType")
        return self._resource(resource, kind if isinstance(kind, str) else "Resource")

    def value(self, value: Any, pointer: Sequence[str], kind: str, where: str) -> Any:
        """Return a value with all names replaced that is to be put into a resource.

        Args:
            value: any JSON.
            pointer: to where, the tokens of a JSON Pointer; an item's place may be ``-``.
            kind: of the resource.
            where: its place as a FHIRPath.
        """
        made: Type | None = type_of(kind)
        member: Member | None = None
        within = False  # at the list, the next token is a place in it
        for token in pointer:
            if member is not None and member.many and not within:
                within = True
                continue
            if member is not None:
                made = None if member.type is None else member.type()
                if made is None and member.primitive is None:  # a resource within: which, only what is stored tells
                    return self._unknown(value, pointer[-1], where)
            member = None if made is None else made.members.get(token)
            if member is None:
                return value  # validation says so
            within = False
        if member is None or made is None:
            return self.resource(value) if isinstance(value, dict) else value
        if isinstance(value, list):
            return [self._item(item, member, made, f"{where}[{index}]") for index, item in enumerate(value)]
        return self._item(value, member, made, where)

    def _item(self, value: Any, member: Member, made: Type, place: Place) -> Any:
        if isinstance(value, str):
            return self._text(value, member, made, place)
        return self._complex(value, member, place) if isinstance(value, dict) else value

    def _unknown(self, value: Any, name: str, place: Place) -> Any:
        """Return a value of a type that is not known, called `name`: what is called reference is one in every type."""
        if isinstance(value, str):
            return self.reference(value, place) if name == "reference" else value
        if isinstance(value, list):
            return [self._unknown(item, name, place) for item in value]
        if isinstance(value, dict):
            return {key: self._unknown(item, key, (place, key, None)) for key, item in value.items()}
        return value

    def _resource(self, node: Resource, place: Place) -> Resource:
        kind = node.get("resourceType")
        if not isinstance(kind, str) or kind not in resource_types():
            return node  # validation says so
        return self._object(node, type_of(kind), place)

    def _object(self, node: Resource, made: Type, place: Place) -> Resource:
        changed: Resource | None = None
        for name, value in node.items():
            member = made.members.get(name)
            if member is None or value is None:
                continue
            kind = type(value)
            new: Any = value
            if kind is str:
                new = self._text(value, member, made, (place, name, None))
            elif kind is list:
                new = self._list(value, member, made, place)
            elif isinstance(value, dict):
                new = self._complex(value, member, (place, name, None))
            if new is not value:
                changed = dict(node) if changed is None else changed
                changed[name] = new
        return node if changed is None else changed

    def _list(self, items: list[Any], member: Member, made: Type, place: Place) -> list[Any]:
        changed = False
        result = []
        for index, item in enumerate(items):
            new = item
            if type(item) is str:
                new = self._text(item, member, made, (place, member.name, index))
            elif isinstance(item, dict):
                new = self._complex(item, member, (place, member.name, index))
            changed = changed or new is not item
            result.append(new)
        return result if changed else items

    def _complex(self, value: Resource, member: Member, place: Place) -> Resource:
        if member.type is not None:
            return self._object(value, member.type(), place)
        return value if member.primitive is not None else self._resource(value, place)

    def _text(self, value: str, member: Member, made: Type, place: Place) -> str:
        if member.primitive is None:
            return value
        name = member.primitive.name
        if made.name == "Reference":
            return self.reference(value, place) if member.name == "reference" else value
        if name in _URIS:
            return self._uri(value)
        if name == "xhtml" and self.table:
            return _LINK.sub(self._link, value)
        return value

    def reference(self, value: str, place: Place) -> str:
        """Return what to write for `value`, the text of a reference at `place`."""
        found = self.table.get(comparable(value), self.searches.get(value))
        if found is not None:
            return found
        if _VERSION in value:
            address, _, meant = value.partition(_VERSION)
            name = self.table.get(comparable(address))
            if name is not None:
                self.versioned.add(name)
                version = meant if self.copied else self.version
                return f"{name}{_VERSION}{version}" if version else name
        elif "?" in value:
            own = (one for base in self.bases for one in spellings(base))
            base = next((one for one in own if value.startswith(f"{one}/")), None)
            search = value if base is None else value[len(base) + 1 :]
            if _CONDITIONAL.fullmatch(search):
                self.conditionals.append(Conditional(value, expression(place), search))
                return value
        if is_urn(value):
            self.urns.append(Urn(value, expression(place)))
        elif is_astray(value, self.bases):
            self.astray.append(Urn(value, expression(place)))
        return value

    def _uri(self, value: str) -> str:
        name = self.table.get(comparable(value), value)
        return value if self.copied and value.endswith(f"/{name}") else name

    def _link(self, found: re.Match[str]) -> str:
        return f"{found['head']}{self._uri(found['url'])}{found['quote']}"


def rewriting(
    table: Mapping[str, str],
    bases: Sequence[str] = (),
    *,
    version: str = "1",
    searches: Mapping[str, str] | None = None,
    copied: bool = False,
) -> Rewriting:
    """Return a walk that replaces what `table` names, on a server with these addresses (no slash at their ends).

    `version`, `searches`, `copied`: as `Rewriting` has them.
    """
    return Rewriting(table, [], [], [], set(), bases, version, searches or {}, copied)
