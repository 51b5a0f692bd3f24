"""The parameters of the scheduling operations, under whichever name a client knows them.

Named by IHE ITI Scheduling (https://profiles.ihe.net/ITI/Scheduling, ITI-115 to ITI-117); the names of Argonaut
Scheduling, Epic and ISiK Terminplanung are read as the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from adapter.aside import aside
from adapter.errors import Malformed, Problem
from adapter.fhir import searching
from adapter.fhir.call import MOST_PARAMETERS, Call
from adapter.fhir.operations.parameters import each, names, no_parameters
from adapter.fhir.refusing import Faults
from mappings.instants import parse
from store.codec import Resource
from store.extract import ID, relative, value_of
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
_UNREADABLE = object()
"""The value of a parameter that is no valid one: what is wrong with it has been noted."""

_Read = TypeVar("_Read")


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
    """What an operation is called with.

    Whatever is wrong is kept until all has been read, and told together by `require_sound`; what is read later refuses
    by itself.
    """

    def __init__(self, given: Sequence[Given], wrong: Faults) -> None:
        self._given = given
        self._faults = wrong
        self._is_sound = False

    @classmethod
    async def of(cls, call: Call, takes: Sequence[str], bare: str | None = None) -> Asked:
        """Read the query and the body.

        Args:
            call: the call.
            takes: the parameters of the operation, by IHE's names.
            bare: the parameter that a body is which is no Parameters resource.

        Raises:
            Malformed: the body is none of ours, has too many, or is not valid as a whole; of parameters that are not,
                it is noted.
        """
        return await aside(lambda: cls._of(call, takes, bare), much=call.large)

    @classmethod
    def _of(cls, call: Call, takes: Sequence[str], bare: str | None) -> Asked:
        wrong = Faults()
        given = [
            Given(ALIASES.get(name, name), value, name) for name, value in call.query if value and name not in _FORMAL
        ]
        body = call.body
        if body is not None and body.get("resourceType") == "Parameters":
            _require_few(body)
            for place, one, is_sound in each(body, wrong):
                if is_sound:
                    value = one["resource"] if "resource" in one else value_of(one)
                    given.append(Given(ALIASES.get(one["name"], one["name"]), value, place))
                else:
                    given += [Given(ALIASES.get(name, name), _UNREADABLE, place) for name in names(one)]
        elif body is not None:
            if bare is None:
                raise no_parameters()
            kind = body.get("resourceType")  # whatever was sent: nothing has looked at it yet
            given.append(Given(bare, body, kind if isinstance(kind, str) and kind.isalpha() else bare))
        text = f"There is no parameter {{}} here. There is: {', '.join(takes)}."
        for one in given:
            if one.name not in takes:
                wrong.take(Malformed(bad(one, text.format(one.name), "not-supported")))
        return cls(given, wrong)

    def note(self, *problems: Problem) -> None:
        """Keep what is wrong until all has been read.

        Raises:
            Malformed: all has been read already.
        """
        if self._is_sound:
            raise Malformed(problems)
        self._faults.take(Malformed(problems))

    def require_sound(self) -> None:
        """Let pass parameters with which nothing is wrong, as far as they have been read.

        Raises:
            Malformed: with everything that is.
        """
        self._faults.require_none()
        self._is_sound = True

    def all(self, name: str) -> list[Given]:
        """Return every value of a parameter, in order."""
        return [one for one in self._given if one.name == name]

    def one(self, name: str) -> Given | None:
        """Return the value of a parameter that can be given once; note that it is given several times."""
        found = self.all(name)
        if len(found) > 1:
            self.note(bad(found[1], f"{name} may be given once."))
        return found[0] if found else None

    def each(self, given: Iterable[Given], read: Callable[[Given], _Read]) -> list[_Read]:
        """Return what `read` makes of each value; note what it refuses (`Malformed`)."""
        found: list[_Read] = []
        for one in given:
            if one.value is _UNREADABLE:
                continue
            try:
                found.append(read(one))
            except Malformed as refused:
                self.note(*refused.problems)
        return found

    def read(self, name: str, read: Callable[[Given], _Read]) -> _Read | None:
        """Return what `read` makes of a parameter that can be given once, if it is given; note what it refuses."""
        found = self.one(name)
        return next(iter(self.each([] if found is None else [found], read)), None)

    def text(self, name: str) -> str | None:
        """Return a parameter that is a text; note that it is none, or given several times."""
        return self.read(name, text_of)

    def texts(self, name: str) -> list[str]:
        """Return a parameter's texts; note what is none."""
        return self.each(self.all(name), text_of)

    def references(self, name: str, *kinds: str, base: str = "") -> list[Resource]:
        """Return a parameter's References; a uri, a url or an id means the same.

        What refers to nothing, or to a resource of another type, is noted.
        """
        return self.each(self.all(name), lambda one: _reference(one, kinds, base))

    def names(self, name: str, kind: str, base: str) -> list[str]:
        """Return what a parameter's References name (``Appointment/a``); note one that is by identifier alone."""
        return self.each(self.all(name), lambda one: _name(one, kind, base))

    def tokens(self, name: str) -> list[str]:
        """Return a parameter's tokens, as a search has them; a CodeableConcept or Coding stands for its codes.

        Anything else is noted.
        """
        return [token for tokens in self.each(self.all(name), lambda one: [*_tokens(one)]) for token in tokens]

    def resources(self, name: str, kind: str) -> list[Resource]:
        """Return a parameter's resources; note what is no resource of that type."""
        return self.each(self.all(name), lambda one: _resource(one, kind))


def _require_few(body: Resource) -> None:
    sent = body.get("parameter")
    if isinstance(sent, list) and len(sent) > MOST_PARAMETERS:  # each may be somebody who is looked for
        text = f"There are more than {MOST_PARAMETERS} parameters. Send fewer."
        raise Malformed(Problem("invalid_parameter", text, "Parameters.parameter", issue="too-costly"))


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


def text_of(given: Given) -> str:
    """Return a parameter's value, which is a text.

    Raises:
        Malformed: it is none.
    """
    if not isinstance(given.value, str):
        raise Malformed(bad(given, f"{given.name} takes a text."))
    return given.value


def _resource(given: Given, kind: str) -> Resource:
    if not isinstance(given.value, dict) or given.value.get("resourceType") != kind:
        raise Malformed(bad(given, f"{given.name} takes a resource of type {kind}."))
    return given.value


def _reference(given: Given, kinds: Sequence[str], base: str) -> Resource:
    value = given.value
    found: Resource = {"reference": value} if isinstance(value, str) else dict(value) if isinstance(value, dict) else {}
    text = found.get("reference")
    if isinstance(text, str):
        # A version of it (as in the header Location) stands for the resource: what is done is done to the present one.
        text = relative(text, (base,))
        text = f"{kinds[0]}/{text}" if ID.fullmatch(text) else text
        kind, _, ident = text.partition("/")
        if kind in kinds and ID.fullmatch(ident):
            return {**found, "reference": text}
    elif (
        isinstance(found.get("identifier"), dict)
        and found["identifier"].get("value")
        and found.get("type", kinds[0]).rpartition("/")[2] in kinds
    ):
        return found
    wanted = " or ".join(f"{kind}/<id>" for kind in kinds)
    raise Malformed(bad(given, f"{given.name} takes a reference to {wanted}, or one by identifier."))


def _name(given: Given, kind: str, base: str) -> str:
    found: str | None = _reference(given, (kind,), base).get("reference")
    if found is None:
        raise Malformed(bad(given, f"{given.name} is not looked for by an identifier. Name it as {kind}/<id>."))
    return found


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
