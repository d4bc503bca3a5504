"""The tree of a query: what the parser hands to the compiler, and the one error of both.

The `repr` of a tree is how the tests write it down:
`Or(And(Word('a'), Not(Word('b'))), Phrase('c d', gaps=2))`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

Side = Literal["agent", "customer"]

NOTHING_TO_SEARCH = "expected a letter or a digit, found none"
"""The message for an atom of which analysis leaves nothing."""


class QuerySyntaxError(ValueError):
    """A query that cannot be understood.

    `position` is the 0-based character of the parameter where it goes wrong (its length when
    something is missing at the end); `message` says what was expected and what was found.
    """

    def __init__(self, position: int, message: str) -> None:
        super().__init__(position, message)
        self.position = position
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} (at character {self.position})"


@dataclass(frozen=True, slots=True, repr=False)
class _Atom:
    """What is looked for. `position` is where it starts in the parameter, after the side."""

    text: str
    side: Side | None = field(default=None, kw_only=True)
    position: int = field(default=0, kw_only=True, compare=False, repr=False)

    def __repr__(self) -> str:
        options = [(f, getattr(self, f.name)) for f in fields(self)[1:] if f.repr]
        shown = [f"{f.name}={value!r}" for f, value in options if value != f.default]
        return f"{type(self).__name__}({', '.join([repr(self.text), *shown])})"


@dataclass(frozen=True, slots=True, repr=False)
class Word(_Atom):
    """One word in any of its inflections; analysis may split it into adjacent parts."""


@dataclass(frozen=True, slots=True, repr=False)
class Prefix(_Atom):
    """The words that begin with `text`, which is without the asterisk."""


@dataclass(frozen=True, slots=True, repr=False)
class Phrase(_Atom):
    """These words in this form and order, with up to `gaps` other words between, in all."""

    gaps: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class _Group:
    """Two or more operands; the parser puts none of the group's own kind among them."""

    children: tuple["Node", ...]

    def __init__(self, first: "Node", second: "Node", *more: "Node") -> None:
        object.__setattr__(self, "children", (first, second, *more))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.children))})"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class And(_Group):
    """All of the children."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Or(_Group):
    """Any of the children."""


@dataclass(frozen=True, slots=True, repr=False)
class Not:
    """Everything but the child."""

    child: "Node"

    def __repr__(self) -> str:
        return f"Not({self.child!r})"


Atom: TypeAlias = Word | Prefix | Phrase
Node: TypeAlias = And | Or | Not | Atom


def atoms(node: Node) -> Iterator[Atom]:
    """The atoms of a tree, in the order in which they are written."""
    match node:
        case And(children) | Or(children):
            for child in children:
                yield from atoms(child)
        case Not(child):
            yield from atoms(child)
        case atom:
            yield atom
