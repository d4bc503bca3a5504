r"""Text of `words` or `noteswords` -> tokens -> tree of `api.query.nodes`.

    query   = or
    or      = and { ("OR" | "|") and }
    and     = unary { ["AND" | "&"] unary }
    unary   = ["NOT" | "-"] primary
    primary = "(" or ")" | [side] atom
    side    = "agent:" | "customer:"            only in words, nothing between it and its atom
    atom    = word | word "*" | '"' phrase '"' ["~" n]

Where the grammar leaves a choice:

- Blanks are Unicode's white space. A word ends at a blank and at any of ( ) " | & * ~, so
  `R&D` is `R AND D` (write `"R&D"` for the two side by side).
- An operator is a whole word in upper case: ORDER, and, NOT-x are words. `-` is an operator where
  a word could start, blanks after it allowed, and part of the word everywhere else: e-mail, foo-.
- One NOT for each operand: `NOT NOT a` and `--a` are errors, `NOT (NOT a)` is not.
- A side is lower case: `Agent:x` is a word with a colon, as `foo:bar` is.
- A `*` or `~` that is not where the grammar has it is an error, never dropped; `*` inside a phrase
  as well, because a user would expect it to stand for something. Else a phrase is plain text.
- Typographic quotation marks and apostrophes are read as plain ones, one character for one, and
  the tree has the plain ones. An apostrophe never quotes.
- An atom needs a word that analysis finds in it, see `api.query.characters`.

Recursion is bounded: only a parenthesis recurses, and those are counted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from api.query.characters import count_searchable, is_searchable
from api.query.nodes import (
    NOTHING_TO_SEARCH,
    And,
    Atom,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    QuerySyntaxError,
    Side,
    Word,
)

MAX_CHARACTERS = 512
MAX_ATOMS = 32
MAX_DEPTH = 8
MIN_PREFIX = 3
MAX_GAPS = 20

_PLAIN = str.maketrans(
    dict.fromkeys("“”„‟«»″＂〝〞〟❝❞⹂", '"') | dict.fromkeys("‘’‚‛‹›ʼ＇`´′❛❜", "'")
)
# The control characters that are not Unicode white space, and the halves of surrogate pairs.
_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_ENDS_OF_WORD = frozenset('()"|&*~')
_SIDES: dict[str, Side] = {"agent:": "agent", "customer:": "customer"}
_GAPS = re.compile("[1-9][0-9]?")

_Kind = Enum("_Kind", "AND OR NOT OPEN CLOSE SIDE ATOM END")
_SIGNS = {"&": _Kind.AND, "|": _Kind.OR, "-": _Kind.NOT, "(": _Kind.OPEN, ")": _Kind.CLOSE}
_OPERATORS = {"AND": _Kind.AND, "OR": _Kind.OR, "NOT": _Kind.NOT}
_ENDS_OF_AND = frozenset({_Kind.OR, _Kind.CLOSE, _Kind.END})


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    start: int
    end: int
    shown: str
    """How a message names it."""


@dataclass(frozen=True, slots=True)
class _AtomToken(_Token):
    atom: Atom


def parse(text: str, *, sides: bool) -> Node:
    """Read a query; `sides` says whether `agent:` and `customer:` are allowed (in `words`).

    Raises QuerySyntaxError, and nothing else, for whatever is not a query of the grammar.
    """
    if len(text) > MAX_CHARACTERS:
        message = f"expected at most {MAX_CHARACTERS} characters, found {len(text)}"
        raise QuerySyntaxError(MAX_CHARACTERS, message)
    if forbidden := _FORBIDDEN.search(text):
        code = f"U+{ord(forbidden.group()):04X}"
        raise QuerySyntaxError(forbidden.start(), f"expected text, found the character {code}")
    return _Parser(text, sides).query()


class _Parser:
    """Recursive descent with one token of lookahead; a method is a rule of the grammar."""

    def __init__(self, text: str, sides: bool) -> None:
        self._sides = sides
        self._tokens = _tokens(text.translate(_PLAIN).rstrip())
        self._taken: _Token | None = None
        self._next = next(self._tokens)
        self._atoms = 0
        self._depth = 0

    def query(self) -> Node:
        tree = self._or()
        if self._next.kind is _Kind.CLOSE:
            raise QuerySyntaxError(self._next.start, "found ) without a ( before it")
        return tree

    def _or(self) -> Node:
        operands = [self._and()]
        while self._next.kind is _Kind.OR:
            self._advance()
            operands.append(self._and())
        return _joined(Or, operands)

    def _and(self) -> Node:
        operands = [self._unary()]
        while self._next.kind not in _ENDS_OF_AND:
            if self._next.kind is _Kind.AND:
                self._advance()
            operands.append(self._unary())
        return _joined(And, operands)

    def _unary(self) -> Node:
        if self._next.kind is _Kind.NOT:
            self._advance()
            return Not(self._primary())
        return self._primary()

    def _primary(self) -> Node:
        match self._next.kind:
            case _Kind.OPEN:
                return self._parentheses()
            case _Kind.SIDE:
                side = self._side()
                return replace(self._atom("a word or a phrase"), side=side)
            case _:
                return self._atom("a word")

    def _parentheses(self) -> Node:
        opening = self._next
        if self._depth == MAX_DEPTH:
            message = f"expected at most {MAX_DEPTH} nested parentheses, found one more"
            raise QuerySyntaxError(opening.start, message)
        self._depth += 1
        self._advance()
        tree = self._or()
        if self._next.kind is not _Kind.CLOSE:
            raise QuerySyntaxError(opening.start, "expected a ) for this (, found the end")
        self._advance()
        self._depth -= 1
        return tree

    def _side(self) -> Side:
        token = self._next
        if not self._sides:
            message = f"{token.shown} is only allowed in the parameter words"
            raise QuerySyntaxError(token.start, message)
        self._advance()
        if self._next.start > token.end:
            message = f"expected a word or a phrase right after {token.shown}, found a blank"
            raise QuerySyntaxError(token.end, message)
        return _SIDES[token.shown]

    def _atom(self, expected: str) -> Atom:
        token = self._next
        if not isinstance(token, _AtomToken):
            after = f" after {self._taken.shown}" if self._taken else ""
            message = f"expected {expected}{after}, found {token.shown}"
            raise QuerySyntaxError(token.start, message)
        self._atoms += 1
        if self._atoms > MAX_ATOMS:
            message = f"expected at most {MAX_ATOMS} words and phrases, found one more"
            raise QuerySyntaxError(token.start, message)
        self._advance()
        return token.atom

    def _advance(self) -> None:
        self._taken = self._next
        self._next = next(self._tokens)


def _joined(kind: type[And] | type[Or], operands: list[Node]) -> Node:
    """One node for the operands; parentheses that repeat the operator add no level."""
    if len(operands) == 1:
        return operands[0]
    children: list[Node] = []
    for operand in operands:
        children.extend(operand.children if isinstance(operand, kind) else [operand])
    return kind(*children)


def _tokens(text: str) -> Iterator[_Token]:
    """Split as far as the parser asks, so that the first error is the leftmost one."""
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
        else:
            token = _token(text, position)
            yield token
            position = token.end
    yield _Token(_Kind.END, position, position, "the end")


def _token(text: str, start: int) -> _Token:
    match text[start]:
        case '"':
            return _phrase(text, start)
        case "*":
            raise _misplaced_asterisk(start)
        case "~":
            message = 'found ~, which is only allowed right after a phrase, as in "a b"~2'
            raise QuerySyntaxError(start, message)
        case sign if sign in _SIGNS:
            return _Token(_SIGNS[sign], start, start + 1, sign)
        case _:
            return _side_or_word(text, start)


def _side_or_word(text: str, start: int) -> _Token:
    for side in _SIDES:
        if text.startswith(side, start):
            return _Token(_Kind.SIDE, start, start + len(side), side)
    end = _end_of_word(text, start)
    word = text[start:end]
    if text.startswith("*", end):
        return _prefix(text, start, end)
    if word in _OPERATORS:
        return _Token(_OPERATORS[word], start, end, word)
    return _atom_token(Word(word, position=start), end)


def _prefix(text: str, start: int, asterisk: int) -> _Token:
    end = asterisk + 1
    if _end_of_word(text, end) > end:
        raise _misplaced_asterisk(asterisk)
    prefix = text[start:asterisk]
    found = count_searchable(prefix)
    if found < MIN_PREFIX:
        message = f"expected {MIN_PREFIX} or more letters or digits before *, found {found}"
        raise QuerySyntaxError(asterisk, message)
    return _atom_token(Prefix(prefix, position=start), end)


def _phrase(text: str, start: int) -> _Token:
    closing = text.find('"', start + 1)
    if closing < 0:
        raise QuerySyntaxError(start, "expected a closing quotation mark, found the end")
    if (asterisk := text.find("*", start, closing)) >= 0:
        raise _misplaced_asterisk(asterisk)
    gaps, end = _gaps(text, closing + 1)
    return _atom_token(Phrase(text[start + 1 : closing], gaps=gaps, position=start), end)


def _gaps(text: str, tilde: int) -> tuple[int, int]:
    """The number after the tilde (0 when there is no tilde), and where it ends."""
    if not text.startswith("~", tilde):
        return 0, tilde
    start = tilde + 1
    end = _end_of_word(text, start)
    number = text[start:end]
    if not _GAPS.fullmatch(number) or int(number) > MAX_GAPS:
        message = f"expected a number from 1 to {MAX_GAPS} right after ~, found {number or 'none'}"
        raise QuerySyntaxError(start, message)
    return int(number), end


def _end_of_word(text: str, start: int) -> int:
    rest = range(start, len(text))
    return next((i for i in rest if text[i] in _ENDS_OF_WORD or text[i].isspace()), len(text))


def _atom_token(atom: Atom, end: int) -> _Token:
    if not is_searchable(atom.text):
        raise QuerySyntaxError(atom.position, NOTHING_TO_SEARCH)
    return _AtomToken(_Kind.ATOM, atom.position, end, "a word", atom)


def _misplaced_asterisk(position: int) -> QuerySyntaxError:
    message = f"found *, which may only end a word of {MIN_PREFIX} or more letters or digits"
    return QuerySyntaxError(position, message)
