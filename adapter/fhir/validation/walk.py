"""One walk through a resource along the definitions, judging every element by what they say of it.

This decides; `adapter.fhir.validation.models` is the second opinion on what passes. Written for speed: the table of a
type has a place for everything that its objects may carry, and a valid element costs a look-up and a test.
"""

from __future__ import annotations

from typing import Any

from adapter.fhir.validation.containment import check_contained
from adapter.fhir.validation.definitions import Member, Type, resource_types, type_of
from adapter.fhir.validation.findings import Findings, Place, tellable
from adapter.fhir.validation.hints import code_hint, hint
from adapter.fhir.validation.invariants import Invariant
from adapter.fhir.validation.narrative import check_narrative
from adapter.fhir.validation.primitives import LANGUAGE, LANGUAGES
from adapter.fhir.validation.references import check_reference
from store.codec import Resource

_LISTED = 12  # a remedy lists the codes where there are at most so many


class Walk:
    """The walk through one resource.

    Args:
        findings: where problems go.
        conditional: references may be search URLs, which a transaction resolves.
    """

    __slots__ = ("_conditional", "_contained", "_inside", "findings")

    def __init__(self, findings: Findings, *, conditional: bool = False) -> None:
        self.findings = findings
        self._conditional = conditional
        self._inside: dict[str, Any] = {}
        self._contained = False

    def resource(self, node: Resource, place: Place) -> None:
        """Judge a resource that stands by itself; its references to ``#...`` lead to what it contains."""
        contained = node.get("contained")
        self._inside = {
            inner["id"]: inner.get("resourceType")
            for inner in (contained if isinstance(contained, list) else ())
            if isinstance(inner, dict) and isinstance(inner.get("id"), str)
        }
        self._typed(node, place)
        if contained is not None:
            check_contained(node, self.findings, place)

    def _typed(self, node: Resource, place: Place) -> None:
        kind = node.get("resourceType")
        if not isinstance(kind, str) or kind not in resource_types():
            text = "It is no resource that R4 has. Its resourceType names one, such as Patient."
            self.findings.add("unknown_type", "structure", text, (place, "resourceType", None))
            return
        self._object(node, type_of(kind), place)

    def _object(self, node: Resource, made: Type, place: Place) -> None:
        members = made.members
        for name, value in node.items():
            member = members.get(name)
            if member is None:
                self._unknown(name, made, place)
            elif member.sibling:
                self._sibling(value, node.get(name[1:]), member, place)
            elif member.many:
                self._list(value, member, place)
            elif member.accepts is None:
                self._value(value, member, (place, member.name, None))
            elif not member.accepts(value):
                self._bad_value(value, member, (place, member.name, None))
        for name, names in made.required:
            if not any(found in node for found in names):
                self._missing(name, made, place)
        for name, choice in made.choices:
            given = choice & node.keys()
            # Extensions in the place of a value have chosen its type as well: _deceasedDateTime is a deceasedDateTime.
            if len(given) > 1 and len({found.removeprefix("_") for found in given}) > 1:
                text = f"{name} is there in more than one type. Keep one of them."
                self.findings.add("repeated_choice", "structure", text, (place, name, None))
        for invariant in made.invariants:
            self._hold(invariant, node, place)

    def _list(self, items: Any, member: Member, place: Place) -> None:
        if type(items) is not list:
            text = f"{member.name} repeats, so it is a list. Put it in [ ], also where there is only one."
            self.findings.add("wrong_type", "structure", text, (place, member.name, None))
            return
        for index, item in enumerate(items):
            if item is not None:
                self._value(item, member, (place, member.name, index))

    def _sibling(self, value: Any, beside: Any, member: Member, place: Place) -> None:
        """Judge the sibling of a primitive (``_given``): where there is no value, it is the extensions that speak."""
        if member.many:
            self._list(value, member, place)
        else:
            self._value(value, member, (place, member.name, None))
            value, beside = [value], [beside]
        for index, item in enumerate(value if isinstance(value, list) else ()):
            valued = isinstance(beside, list) and index < len(beside) and beside[index] is not None
            if isinstance(item, dict) and "id" in item and "extension" not in item and not valued:
                self._no_content((place, member.name, index if member.many else None))

    def _value(self, value: Any, member: Member, place: Place) -> None:
        """Judge one value of `member`: an item where that repeats."""
        if member.accepts is not None:
            if not member.accepts(value):
                self._bad_value(value, member, place)
        elif value is None or value == []:
            return  # `structure` has told
        elif not isinstance(value, dict):
            text = f"{member.name} is an object, in {{ }}."
            if isinstance(value, list):
                text = f"{member.name} does not repeat here, so it is no list. Leave out the [ ]."
            self.findings.add("wrong_type", "structure", text, place)
        elif member.type is None:
            self._inner(value, member, place)
        else:
            self._complex(value, member, member.type(), place)

    def _complex(self, value: Resource, member: Member, made: Type, place: Place) -> None:
        if len(value) == 1 and "id" in value and not member.sibling:
            self._no_content(place)
        self._object(value, made, place)
        for invariant in member.invariants:
            self._hold(invariant, value, place)
        if made.name == "Reference":
            check_reference(
                value,
                member,
                self._inside,
                self.findings,
                place,
                conditional=self._conditional,
                contained=self._contained,
            )
        elif member.codings is not None:
            self._bound(value, made, member.codings, place)
        elif made.name == "Coding":
            if value.get("system") == LANGUAGES:
                self._language(value, (place, "code", None))
        elif made.name == "Narrative" and isinstance(value.get("div"), str) and value["div"]:
            check_narrative(value["div"], self.findings, (place, "div", None))

    def _inner(self, value: Resource, member: Member, place: Place) -> None:
        """Judge a resource in another: contained in it, or one that stands by itself (in a Bundle, say)."""
        if member.name == "contained":
            before, self._contained = self._contained, True
            self._typed(value, place)
            self._contained = before
        else:
            Walk(self.findings, conditional=self._conditional).resource(value, place)

    def _no_content(self, place: Place) -> None:
        text = "An id alone is no content (ele-1). Give the element a value, members or extensions, or leave it out."
        self.findings.add("ele-1", "invariant", text, place)

    def _hold(self, invariant: Invariant, node: Resource, place: Place) -> None:
        if not invariant.holds(node):
            where = place if invariant.about is None else (place, invariant.about, None)
            self.findings.add(invariant.key, "invariant", f"{invariant.text} ({invariant.key})", where)

    def _unknown(self, name: str, made: Type, place: Place) -> None:
        if tellable(name):
            meant = "" if self.findings.full else hint(made, name)
            text = f"{made.name} has no element {name} in R4{meant}. Leave it out or correct its name."
            self.findings.add("unknown_element", "structure", text, (place, name, None))
        else:
            text = f"{made.name} has a member whose name is no element's. Leave it out."
            self.findings.add("unknown_element", "structure", text, place)

    def _missing(self, name: str, made: Type, place: Place) -> None:
        text = f"{made.name} needs {name}. Add it."
        self.findings.add("missing_element", "required", text, (place, name, None))

    def _bad_value(self, value: Any, member: Member, place: Place) -> None:
        primitive = member.primitive
        if value in (None, "", [], {}) or primitive is None:
            return  # `structure` has told
        if isinstance(value, list | dict):
            shape = "does not repeat here, so it is no list" if isinstance(value, list) else "is no object"
            text = f"{member.name} {shape}; it is {primitive.form}."
            self.findings.add("wrong_type", "structure", text, place)
        elif member.codes is not None:
            self._unknown_code(value, member, place)
        elif primitive is LANGUAGE:
            self._no_language(member.name, place)
        else:
            self.findings.add("bad_value", "value", f"{member.name} must be {primitive.form}.", place)

    def _unknown_code(self, value: Any, member: Member, place: Place) -> None:
        codes = sorted(member.codes or ())
        text = f"{member.name} is none of the codes that FHIR allows there."
        if len(codes) <= _LISTED:
            text = f"{member.name} must be one of {', '.join(codes)}."
        meant = "" if self.findings.full else code_hint(frozenset(codes), value)
        self.findings.add("unknown_code", "code-invalid", text + meant, place)

    def _language(self, coding: Resource, place: Place) -> None:
        """Judge the code of a Coding that says it is a language; what is no code has been told."""
        code = coding.get("code")
        if isinstance(code, str) and code and not LANGUAGE.accepts(code):
            self._no_language("code", place)

    def _no_language(self, name: str, place: Place) -> None:
        self.findings.add("unknown_code", "code-invalid", f"{name} must be {LANGUAGE.form}.", place)

    def _bound(self, value: Resource, made: Type, codings: frozenset[tuple[str, str]], place: Place) -> None:
        """Judge a Coding or a CodeableConcept under a required binding: one coding must be of the value set."""
        given = [value] if made.name == "Coding" else value.get("coding")
        for coding in given if isinstance(given, list) else ():
            if isinstance(coding, dict) and (coding.get("system"), coding.get("code")) in codings:
                return
        text = "It needs a coding, with system and code, of the value set that FHIR requires there."
        self.findings.add("unknown_code", "code-invalid", text, place)
