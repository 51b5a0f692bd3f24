"""The FHIRPath that patches need, read: paths of elements with indexes, filters and a few functions.

A patch needs to know where an element is, not only what it is worth, which FHIRPath's own evaluators do not tell. So
there is a reader here for the part of the language that leads to elements of one resource
(http://hl7.org/fhirpath/N1, https://hl7.org/fhir/R4/fhirpatch.html); everything else is refused by name.
`adapter.fhir.patching.locating` follows what is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from adapter.fhir.patching.values import SHOWN, malformed
from store.remembering import remembered

_LONGEST = 1_000
_DEEPEST = 16
_NO_ARGUMENT = frozenset({"first", "last", "tail", "single", "empty", "not"})
_ONE_ARGUMENT = frozenset({"where", "extension", "ofType", "as", "startsWith", "endsWith", "contains", "skip", "take"})
_OPTIONAL_ARGUMENT = frozenset({"exists"})
FUNCTIONS = _NO_ARGUMENT | _ONE_ARGUMENT | _OPTIONAL_ARGUMENT

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^'\\]|\\.)*')
      | (?P<number>[0-9]+(?:\.[0-9]+)?)
      | (?P<date>@[0-9T][0-9T:.Z+\-]*)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | `(?P<quoted>[^`]+)`
      | (?P<symbol>!=|!~|[$%][a-z]*|[.,()\[\]=~<>&|+\-*/{}])
    )""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_COMPARISONS = ("=", "!=", "~", "!~")


@dataclass(frozen=True, slots=True)
class Name:
    """The children of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """The item at that place."""

    index: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function on what was found so far."""

    function: str
    argument: Expression | None = None


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is written down."""

    value: Any


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from the resource, or in a filter from the item that is judged."""

    steps: tuple[Name | Index | Call, ...]


@dataclass(frozen=True, slots=True)
class Binary:
    """``and``, ``or``, or a comparison."""

    operator: str
    left: Expression
    right: Expression


Expression = Literal | Path | Binary


@remembered(1_024)
def read_path(text: str) -> Path:
    """Read the path of a patch.

    Raises:
        Malformed: 400; it is no FHIRPath (issue ``value``), or more of it than patches need (``not-supported``).
    """
    if len(text) > _LONGEST:
        raise malformed(f"A path has at most {_LONGEST} characters.", issue="too-costly")
    reader = _Reader(text)
    path = reader.path()
    if reader.kind != "end":
        reader.refuse()
    return path


class _Reader:
    """Reads one text, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._read_tokens()
        self._depth = 0
        self.kind, self.word = "", ""
        self._next()

    def _read_tokens(self) -> Iterator[tuple[str, str]]:
        place, text = 0, self._text.rstrip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise malformed(f"The path cannot be read at character {place} (from 0).", issue="value")
            place = found.end()
            kind = str(found.lastgroup)
            yield kind, found[kind]
        yield "end", ""

    def _next(self) -> str:
        word = self.word
        self.kind, self.word = next(self._tokens, ("end", ""))
        return word

    def refuse(self) -> NoReturn:
        """Refuse the present token: it has no place here."""
        if self.kind == "end":
            raise malformed("The path ends too early.", issue="value")
        remedy = "Lead to the element by names, [n], where(...) and first()."
        raise malformed(f"Paths of patches cannot hold {self.word[:SHOWN]} there. {remedy}", issue="not-supported")

    def _is(self, *symbols: str) -> bool:
        return self.kind == "symbol" and self.word in symbols

    def _expect(self, symbol: str) -> None:
        if not self._is(symbol):
            self.refuse()
        self._next()

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise malformed(f"The path nests more than {_DEEPEST} expressions.", issue="too-costly")
        left = self._all()
        while self.kind == "name" and self.word == "or":
            self._next()
            left = Binary("or", left, self._all())
        self._depth -= 1
        return left

    def _all(self) -> Expression:
        left = self._comparison()
        while self.kind == "name" and self.word == "and":
            self._next()
            left = Binary("and", left, self._comparison())
        return left

    def _comparison(self) -> Expression:
        left = self._operand()
        if self._is(*_COMPARISONS):
            return Binary(self._next(), left, self._operand())
        return left

    def _operand(self) -> Expression:
        if self.kind == "string":
            return Literal(_unescaped(self._next()[1:-1]))
        if self.kind == "number":
            return Literal(Decimal(self._next()))
        if self.kind == "date":
            return Literal(self._next()[1:])
        if self.kind == "name" and self.word in ("true", "false"):
            return Literal(self._next() == "true")
        if self._is("("):
            self._next()
            inner = self._expression()
            self._expect(")")
            return inner
        return self.path()

    def path(self) -> Path:
        """Read names, calls and indexes, joined by dots."""
        steps: list[Name | Index | Call] = []
        if self._is("$this") and self._depth:
            self._next()
        else:
            steps.append(self._invocation())
        while self._is(".", "["):
            if self._next() == ".":
                steps.append(self._invocation())
            else:
                if self.kind != "number" or "." in self.word:
                    self.refuse()
                steps.append(Index(int(self._next())))
                self._expect("]")
        return Path(tuple(steps))

    def _invocation(self) -> Name | Call:
        if self.kind == "quoted":
            return Name(self._next())
        if self.kind != "name":
            self.refuse()
        name = self._next()
        if not self._is("("):
            return Name(name)
        if name not in FUNCTIONS:
            text = f"Paths of patches cannot use {name[:SHOWN]}(). They can use {', '.join(sorted(FUNCTIONS))}."
            raise malformed(text, issue="not-supported")
        self._next()
        argument = None
        if name in _ONE_ARGUMENT or (name in _OPTIONAL_ARGUMENT and not self._is(")")):
            argument = self._expression()
        self._expect(")")
        return Call(name, argument)


def _unescaped(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        escape = found[1]
        return chr(int(escape[1:], 16)) if len(escape) > 1 else _ESCAPES.get(escape, escape)

    return _ESCAPE.sub(character, text)
