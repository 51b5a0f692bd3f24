"""Follows a path through a resource to places: which object holds the element, under which name, at which index.

The definitions tell what a name means: `deceased` is ``deceasedBoolean`` in JSON, and an `extension` of a primitive
stands in its sibling (``_birthDate``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from adapter.fhir.patching.fhirpath import Call, Expression, Index, Literal, Name, Path
from adapter.fhir.patching.values import SHOWN, Budget, NotApplicable, same
from adapter.fhir.validation.definitions import Member, Type, resource_types, type_of
from store.codec import Resource

_ROOT = ""
_NODE = 4  # of work for each item of a list that is led through


@dataclass(frozen=True, slots=True)
class Node:
    """A place in a resource.

    Attributes:
        owner: the object that holds the element.
        name: its name there, in JSON (``deceasedBoolean``).
        index: where it is in the list of that name; None where that does not repeat.
        member: what the definitions say of it; None for the resource itself.
        choice: all members that its name in the path stands for, by their names in JSON.
    """

    owner: dict[str, Any]
    name: str
    index: int | None = None
    member: Member | None = None
    choice: Mapping[str, Member] = field(default_factory=dict)

    @property
    def value(self) -> Any:
        """What is there; None for a primitive that has extensions only."""
        return _item(self.owner.get(self.name), self.index)

    @property
    def content(self) -> dict[str, Any] | None:
        """The object with its children; None where it has none."""
        value = self.value if self.primitive is None else self.sibling
        return value if isinstance(value, dict) else None

    @property
    def sibling(self) -> Any:
        """The id and the extensions of a primitive."""
        return _item(self.owner.get(f"_{self.name}"), self.index)

    @property
    def primitive(self) -> str | None:
        """The name of its type, if that is a primitive one."""
        return None if self.member is None or self.member.primitive is None else self.member.primitive.name

    @property
    def type(self) -> Type:
        """What its children may be.

        Raises:
            NotApplicable: it is a resource of a type that is not known here.
        """
        if self.primitive is not None:
            return type_of("Element")
        if self.member is not None and self.member.type is not None:
            return self.member.type()
        name = (self.content or {}).get("resourceType")
        if name not in resource_types():
            raise NotApplicable("The path leads into a resource of a type that R4 does not have.")
        return type_of(name)

    @property
    def is_root(self) -> bool:
        """Whether it is the resource itself."""
        return self.member is None


def _item(value: Any, index: int | None) -> Any:
    if index is None:
        return value
    return value[index] if isinstance(value, list) and index < len(value) else None


def root_of(resource: Resource) -> Node:
    """Return the place of the resource itself."""
    return Node({_ROOT: resource}, _ROOT)


def locate(path: Path, resource: Resource, budget: Budget) -> list[Node]:
    """Return the places that `path` leads to, in their order.

    Raises:
        NotApplicable: it names an element that its type does not have, or starts with another type.
    """
    root = root_of(resource)
    steps = path.steps
    first = steps[0]
    if isinstance(first, Name) and first.name[0].isupper():
        if first.name not in (resource.get("resourceType"), "Resource", "DomainResource"):
            raise NotApplicable(f"The path starts with {first.name[:SHOWN]}, which this resource is not.")
        steps = steps[1:]
    found = _follow([root], steps, budget)
    if not all(isinstance(item, Node) for item in found):
        raise NotApplicable("The path leads to a value and not to an element.")
    return found


_named: dict[tuple[str, str], dict[str, Member]] = {}  # only names that there are, so it cannot grow without end


def members_named(kind: Type, name: str) -> Mapping[str, Member]:
    """Return the members that an element's name stands for, by their names in JSON: several for a choice of types."""
    known = _named.get((kind.name, name))
    if known is not None:
        return known
    found = {json: member for json, member in kind.members.items() if member.name == name and not member.sibling}
    exact = kind.members.get(name)
    if not found and exact is not None and not exact.sibling:
        found = {name: exact}  # not FHIRPath, but what many write: `deceasedBoolean`
    if found:
        _named[kind.name, name] = found
    return found


def _follow(items: list[Any], steps: tuple[Name | Index | Call, ...], budget: Budget) -> list[Any]:
    found = False  # what the next step asks for already
    for step, then in zip(steps, (*steps[1:], None), strict=False):  # there may be none
        if isinstance(step, Name):
            # Of one element, the item that is named by its place is found without a look at the others.
            only = then.index if isinstance(then, Index) and len(items) == 1 else None
            items = [child for item in items for child in _children(item, step.name, budget, only)]
            found = only is not None
        elif isinstance(step, Index):
            items = items if found else items[step.index : step.index + 1]
            found = False
        else:
            items = _call(step, items, budget)
    return items


def _children(item: Any, name: str, budget: Budget, only: int | None = None) -> list[Node]:
    """Return the children of that name, or `only` the one at that place."""
    budget.visit()
    if not isinstance(item, Node):
        raise NotApplicable(f"A plain value has no {name[:SHOWN]}.")
    members = members_named(item.type, name)
    if not members:
        raise NotApplicable(f"{item.type.name} has no element {name[:SHOWN]}.")
    content = item.content
    if content is None:
        return []
    found: list[Node] = []
    for json, member in members.items():
        held = [content[key] for key in (json, f"_{json}") if key in content]
        if member.many:
            length = max((len(one) for one in held if isinstance(one, list)), default=0)
            if only is not None and len(members) == 1:
                return [Node(content, json, only, member, members)] if only < length else []
            budget.spend(_NODE * length)
            found.extend(Node(content, json, index, member, members) for index in range(length))
        elif held:
            found.append(Node(content, json, None, member, members))
    return found if only is None else found[only : only + 1]


def _call(call: Call, items: list[Any], budget: Budget) -> list[Any]:
    function, argument = call.function, call.argument
    if function in ("where", "exists"):
        kept = items if argument is None else [item for item in items if _truth(argument, item, budget)]
        return kept if function == "where" else [bool(kept)]
    if function == "extension":
        url = _literal(argument, str)
        found = [child for item in items for child in _children(item, "extension", budget)]
        return [child for child in found if (child.content or {}).get("url") == url]
    if function in ("ofType", "as"):
        kind = _type_name(argument)
        return [item for item in items if isinstance(item, Node) and _is_of(item, kind)]
    if function in ("skip", "take"):
        count = int(_literal(argument, Decimal))
        return items[count:] if function == "skip" else items[:count]
    if function in ("startsWith", "endsWith", "contains"):
        part = _literal(argument, str)
        return [_text_holds(function, one, part) for one in map(_plain, items) if isinstance(one, str)]
    if function == "single" and len(items) > 1:
        raise NotApplicable("single() finds several elements.")
    if function == "not":
        return [not _is_true(items)] if items else []
    slices = {"first": items[:1], "last": items[-1:], "tail": items[1:], "single": items, "empty": [not items]}
    return slices[function]


def _literal(argument: Expression | None, kind: type[Any]) -> Any:
    if not isinstance(argument, Literal) or not isinstance(argument.value, kind):
        raise NotApplicable("A function of the path takes a text or a number here.", issue="not-supported")
    return argument.value


def _type_name(argument: Expression | None) -> str:
    names = [step.name for step in argument.steps if isinstance(step, Name)] if isinstance(argument, Path) else []
    if not names:
        raise NotApplicable("ofType() takes the name of a type.", issue="not-supported")
    return names[-1]


def _is_of(node: Node, kind: str) -> bool:
    return kind == (node.primitive or node.type.name)


def _text_holds(function: str, text: str, part: str) -> bool:
    if function == "contains":
        return part in text
    return text.startswith(part) if function == "startsWith" else text.endswith(part)


def _plain(item: Any) -> Any:
    return item.value if isinstance(item, Node) else item


def _truth(expression: Expression, item: Any, budget: Budget) -> bool:
    return _is_true(_evaluate(expression, item, budget))


def _is_true(items: list[Any]) -> bool:
    """Read a collection as a condition: one item that is not `false` is true, none is not."""
    if len(items) > 1:
        raise NotApplicable("A condition of the path finds several values where it needs one.")
    return bool(items) and _plain(items[0]) is not False


def _evaluate(expression: Expression, item: Any, budget: Budget) -> list[Any]:
    if isinstance(expression, Literal):
        return [expression.value]
    if isinstance(expression, Path):
        return _follow([item], expression.steps, budget)
    left, right = _evaluate(expression.left, item, budget), _evaluate(expression.right, item, budget)
    if expression.operator == "and":
        return [_is_true(left) and _is_true(right)]
    if expression.operator == "or":
        return [_is_true(left) or _is_true(right)]
    return _compared(expression.operator, left, right)


def _compared(operator: str, left: list[Any], right: list[Any]) -> list[Any]:
    alike = operator in ("~", "!~")
    if not alike and not (left and right):
        return []
    ones, others = [_plain(one) for one in left], [_plain(one) for one in right]
    if alike:
        ones, others = [_folded(one) for one in ones], [_folded(one) for one in others]
    return [same(ones, others) != operator.startswith("!")]


def _folded(value: Any) -> Any:
    return " ".join(value.casefold().split()) if isinstance(value, str) else value
