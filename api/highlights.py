"""Highlights: in which turns and notes the words were found, and where in their text.

What is looked for are the atoms that the query wants: what stands under a NOT is never marked.
Elasticsearch marks each text once for each way in which it is analysed (by language, folded, exact:
`services.schema`) and gives back the marked turns or notes, whole but without their speaker and
offset. So the texts of the document are fetched too, here alone: a turn is found again by its side
and its text (two turns of the same words have the same marks), the marks of all ways are united,
and long texts are cut to what is around the marks.

Of a text longer than a million characters on one side, Elasticsearch marks the first million.
"""

import re
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final, Literal

from api.models import Match
from api.parameters import ListParameters
from api.query.compiler import any_of, compile_query
from api.query.nodes import And, Atom, Node, Not, Or
from services.schema import NOTES, SIDES, exact_fields, word_fields

Span = tuple[int, int]
"""From the first character to the one after the last."""
Marks = Mapping[tuple[str, str], set[Span]]
"""The spans found, by place (a side, or notes) and text."""

# No text can have them, and no answer shows them.
_TOKEN: Final = secrets.token_hex(8)
_OPEN: Final = f"<{_TOKEN}>"
_CLOSE: Final = f"</{_TOKEN}>"
_MARK: Final = re.compile(f"({_OPEN}|{_CLOSE})")
_TRIMMED: Final = "".join(map(chr, range(0x21)))
"""What Elasticsearch takes off the ends of a text that it marks."""
_WHOLE: Final = 300
_AROUND: Final = 100
_MOST_ANALYSED: Final = 1_000_000


def highlight_request(asked: ListParameters) -> dict[str, Any]:
    """What to ask Elasticsearch to mark; empty when there is nothing to."""
    queries, fields = [], list[str]()
    for node, places in ((asked.words, SIDES), (asked.noteswords, (NOTES,))):
        atoms = list(_wanted(node)) if node is not None else []
        if atoms:
            queries += [compile_query(atom, places) for atom in atoms]
            fields += [*word_fields(places), *exact_fields(places)]
    if not queries:
        return {}
    return {
        "type": "unified",
        "number_of_fragments": 0,
        "max_analyzed_offset": _MOST_ANALYSED,
        "pre_tags": [_OPEN],
        "post_tags": [_CLOSE],
        "highlight_query": any_of(queries),
        "fields": {field: {} for field in fields},
    }


def text_fields(request: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of the document that `matches` needs for this request."""
    places = {_place_of(field) for field in request.get("fields", ())}
    return tuple(
        text
        for text, asked in (("transcript", places - {NOTES}), ("notes.text", places & {NOTES}))
        if asked
    )


def _wanted(node: Node, negated: bool = False) -> Iterator[Atom]:
    match node:
        case And(children) | Or(children):
            for child in children:
                yield from _wanted(child, negated)
        case Not(child):
            yield from _wanted(child, not negated)
        case _ if not negated:
            yield node


def matches(source: Mapping[str, Any], highlight: Mapping[str, Sequence[str]]) -> list[Match]:
    """Where this document matches: its turns in their order, then its notes."""
    marks = _marks(highlight)
    if not marks:
        return []
    return [
        *_found(marks, "transcript", _turns(source)),
        *_found(marks, "notes", _notes(source)),
    ]


Told = tuple[str, float | None, str]
"""Place, offset and text of a turn or of a note."""


def _turns(source: Mapping[str, Any]) -> Iterator[Told]:
    for turn in source.get("transcript", ()):
        for side in SIDES:
            for text in turn.get(side, {}).values():
                yield side, turn["offset"], text


def _notes(source: Mapping[str, Any]) -> Iterator[Told]:
    for note in source.get("notes", ()):
        for text in note.get("text", {}).values():
            yield NOTES, None, text


def _found(
    marks: Marks, field: Literal["transcript", "notes"], told: Iterable[Told]
) -> Iterator[Match]:
    for place, offset, text in told:
        trimmed = text.strip(_TRIMMED)
        if spans := marks.get((place, trimmed)):
            yield {
                "field": field,
                "speaker": None if place == NOTES else place,  # type: ignore[typeddict-item]
                "offset": offset,
                "fragments": _fragments(trimmed, _united(spans)),
            }


def _place_of(field: str) -> str:
    """Of `folded.agent`, `exact.agent`, `transcript.agent.en`: agent; of `notes.text.en`: notes."""
    root, _, rest = field.partition(".")
    return NOTES if root == NOTES else rest.partition(".")[0]


def _marks(highlight: Mapping[str, Sequence[str]]) -> Marks:
    marks: dict[tuple[str, str], set[Span]] = defaultdict(set)
    for field, texts in highlight.items():
        for marked in texts:
            text, spans = _read(marked)
            marks[_place_of(field), text] |= spans
    return marks


def _read(marked: str) -> tuple[str, set[Span]]:
    """A marked text without its marks, and what was between them."""
    plain, length, start = list[str](), 0, 0
    spans = set[Span]()
    for part in _MARK.split(marked):
        if part == _OPEN:
            start = length
        elif part == _CLOSE:
            spans.add((start, length))
        else:
            plain.append(part)
            length += len(part)
    return "".join(plain), spans


def _united(spans: Iterable[Span]) -> list[Span]:
    """In their order, those that overlap as one."""
    united: list[Span] = []
    for start, end in sorted(spans):
        if united and start < united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


def _fragments(text: str, spans: list[Span]) -> list[str]:
    """The text when it is short, else what is around the marks; each mark is in one fragment."""
    if len(text) <= _WHOLE:
        return [_marked(text, 0, len(text), spans)]
    windows: list[Span] = []
    for start, end in spans:
        begin, stop = _at_blanks(text, max(0, start - _AROUND), min(len(text), end + _AROUND))
        if windows and begin < windows[-1][1]:
            windows[-1] = (windows[-1][0], stop)
        else:
            windows.append((begin, stop))
    return [
        _marked(text, begin, stop, [span for span in spans if begin <= span[0] < stop])
        for begin, stop in windows
    ]


def _at_blanks(text: str, begin: int, stop: int) -> Span:
    """The window made smaller so that it cuts no word, as far as there are blanks."""
    half = _AROUND // 2
    if begin and (blank := text.find(" ", begin, begin + half)) >= 0:
        begin = blank + 1
    if stop < len(text) and (blank := text.rfind(" ", stop - half, stop)) >= 0:
        stop = blank
    return begin, stop


def _marked(text: str, begin: int, stop: int, spans: list[Span]) -> str:
    parts, done = list[str](), begin
    for start, end in spans:
        parts += [escape(text[done:start]), "<em>", escape(text[start:end]), "</em>"]
        done = end
    return "".join(parts) + escape(text[done:stop])
