"""The parameters of the scheduling operations, under whichever name a client knows them.

Named by IHE ITI Scheduling (https://profiles.ihe.net/ITI/Scheduling, ITI-115 to ITI-117); the names of Argonaut
Scheduling, Epic and ISiK Terminplanung are read as the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.errors import Malformed, Problem, few
from adapter.fhir import searching
from adapter.fhir.call import Call
from adapter.fhir.operations.parameters import no_parameters, sent
from mappings.instants import parse
from store.codec import Resource
from store.extract import value_of
from store.search.text import escaped

ALIASES: Mapping[str, str] = {
    "startTime": "start",
    "endTime": "end",
    "provider": "practitioner",
    "location": "location-reference",
    "service-type": "visit-type",
    "appt-id": "appointment-reference",
    "appt-resource": "appointment-resource",
    "patient-id": "patient-reference",
    "patient": "patient-reference",
    "appointmentNote": "comment",
    "coverage": "insurance-reference",
}
"""What others call the parameters of IHE."""

_FORMAL = ("_format", "_pretty")


@dataclass(frozen=True, slots=True)
class Given:
    """One parameter as it came.

    Attributes:
        name: IHE's.
        value: text, number, or an element or resource as JSON.
        where: what to call it in a message.
    """

    name: str
    value: Any
    where: str


class Asked:
    """What an operation is called with."""

    def __init__(self, given: Sequence[Given]) -> None:
        self._given = given

    @classmethod
    def of(cls, call: Call, takes: Sequence[str], bare: str | None = None) -> Asked:
        """Read the query and the body.

        Args:
            call: the call.
            takes: the parameters of the operation, by IHE's names.
            bare: the parameter that a body is which is no Parameters resource.

        Raises:
            Malformed: the body is not valid, or there are parameters that the operation does not take.
        """
        given = [
            Given(ALIASES.get(name, name), value, name) for name, value in call.query if value and name not in _FORMAL
        ]
        body = call.body
        if body is not None and body.get("resourceType") == "Parameters":
            for index, one in enumerate(sent(body)):
                value = one["resource"] if "resource" in one else value_of(one)
                given.append(Given(ALIASES.get(one["name"], one["name"]), value, f"Parameters.parameter[{index}]"))
        elif body is not None:
            if bare is None:
                raise no_parameters()
            kind = body.get("resourceType")  # whatever was sent: nothing has looked at it yet
            given.append(Given(bare, body, kind if isinstance(kind, str) and kind.isalpha() else bare))
        wrong = [one for one in given if one.name not in takes]
        if wrong:
            text = f"There is no parameter {{}} here. There is: {', '.join(takes)}."
            raise Malformed(few([bad(one, text.format(one.name), "not-supported") for one in wrong]))
        return cls(given)

    def all(self, name: str) -> list[Given]:
        """Return every value of a parameter, in order."""
        return [one for one in self._given if one.name == name]

    def one(self, name: str) -> Given | None:
        """Return the value of a parameter that can be given once.

        Raises:
            Malformed: it is given several times.
        """
        found = self.all(name)
        if len(found) > 1:
            raise Malformed(bad(found[1], f"{name} may be given once."))
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """Return a parameter that is a text.

        Raises:
            Malformed: it is none, or given several times.
        """
        found = self.one(name)
        return None if found is None else _text(found)

    def texts(self, name: str) -> list[str]:
        """Return a parameter's texts.

        Raises:
            Malformed: one that is none.
        """
        return [_text(one) for one in self.all(name)]

    def references(self, name: str, *kinds: str, base: str = "") -> list[Resource]:
        """Return a parameter's References; a uri, a url or an id means the same.

        Raises:
            Malformed: one that refers to nothing, or to a resource of another type.
        """
        return [_reference(one, kinds, base) for one in self.all(name)]

    def tokens(self, name: str) -> list[str]:
        """Return a parameter's tokens, as a search has them; a CodeableConcept or Coding stands for its codes.

        Raises:
            Malformed: something else.
        """
        return [token for one in self.all(name) for token in _tokens(one)]

    def resources(self, name: str, kind: str) -> list[Resource]:
        """Return a parameter's resources.

        Raises:
            Malformed: what is no resource of that type.
        """
        for one in self.all(name):
            if not isinstance(one.value, dict) or one.value.get("resourceType") != kind:
                raise Malformed(bad(one, f"{name} takes a resource of type {kind}."))
        return [one.value for one in self.all(name)]


def is_instant(text: str) -> bool:
    """Tell whether a text is a point in time, with its offset."""
    try:
        parse(text)
    except ValueError:
        return False
    return True


def bad(given: Given, text: str, issue: str = "value") -> Problem:
    """Return the problem with a parameter."""
    return Problem("invalid_parameter", text, given.where, issue=issue)


def _text(given: Given) -> str:
    if not isinstance(given.value, str):
        raise Malformed(bad(given, f"{given.name} takes a text."))
    return given.value


def _reference(given: Given, kinds: Sequence[str], base: str) -> Resource:
    value = given.value
    found: Resource = {"reference": value} if isinstance(value, str) else dict(value) if isinstance(value, dict) else {}
    text = found.get("reference")
    if isinstance(text, str):
        # A version of it (as in the header Location) stands for the resource: what is done is done to the present one.
        text = text.removeprefix(f"{base}/").partition("/_history/")[0]
        text = text if "/" in text or not text else f"{kinds[0]}/{text}"
        if text.partition("/")[0] in kinds:
            return {**found, "reference": text}
    elif isinstance(found.get("identifier"), dict) and found["identifier"].get("value"):
        return found
    wanted = " or ".join(f"{kind}/<id>" for kind in kinds)
    raise Malformed(bad(given, f"{given.name} takes a reference to {wanted}, or one by identifier."))


def _tokens(given: Given) -> Iterator[str]:
    value = given.value
    if isinstance(value, str):
        words = searching.listed(given.where, [value])
        if any(word.endswith("|") for word in words):
            raise Malformed(bad(given, f"{given.name} takes a code as system|code."))
        yield from words
        return
    codings = value.get("coding", [value]) if isinstance(value, dict) else []
    found = [one for one in codings if isinstance(one, dict) and one.get("code")]
    if not found:
        raise Malformed(bad(given, f"{given.name} takes a code as system|code."))
    for one in found:
        code = escaped(str(one["code"]))
        yield f"{escaped(str(one['system']))}|{code}" if one.get("system") else code
