"""The tree of a query as an Elasticsearch query. Knows the names of `services.schema` only.

What a person wrote becomes the value of a `multi_match` or of `intervals`; it is never read
as a query language by Elasticsearch.
"""

import unicodedata
from typing import Any, Final

from api.query.characters import is_one_word
from api.query.nodes import And, Node, Not, Or, Phrase, Prefix, Word
from services import schema

Clause = dict[str, Any]
Places = tuple[str, ...]

_ALL: Final = 2**31 - 1


def compile_query(node: Node, places: Places) -> Clause:
    """The clause that holds for the recordings that the query means.

    `places` is where words without a side are looked for: sides of the transcript, or the notes.
    """
    match node:
        case And(children):
            return {"bool": {"must": [compile_query(child, places) for child in children]}}
        case Or(children):
            return any_of([compile_query(child, places) for child in children])
        case Not(child):
            return {"bool": {"must_not": [compile_query(child, places)]}}
        case _:
            return _compile_atom(node, (node.side,) if node.side else places)


def _compile_atom(atom: Word | Prefix | Phrase, places: Places) -> Clause:
    text = unicodedata.normalize("NFC", atom.text)  # as the texts are in the index
    match atom:
        case Word():
            return _word(text, places)
        case Prefix():
            return _prefix(text, schema.folded_fields(places))
        case Phrase(gaps=0):
            return _adjacent(text, schema.exact_fields(places))
    return _ordered(text, atom.gaps, schema.exact_fields(places))


def any_of(clauses: list[Clause]) -> Clause:
    """The clause that holds where one of these does."""
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def _word(text: str, places: Places) -> Clause:
    """A clause for each place: Elasticsearch keeps what a filter finds, for the next page or facet,
    but never of a filter of more than 16 clauses (Lucene), and one for all would have 24.
    """
    found = [_adjacent(text, schema.word_fields((place,))) for place in places]
    return found[0] if len(found) == 1 else {"dis_max": {"queries": found}}


def _adjacent(text: str, fields: list[str]) -> Clause:
    return {"multi_match": {"query": text, "type": "phrase", "fields": fields}}


def _ordered(text: str, gaps: int, fields: list[str]) -> Clause:
    rule = {"match": {"query": text, "ordered": True, "max_gaps": gaps}}
    return any_of([{"intervals": {field: rule}} for field in fields])


def _prefix(text: str, fields: list[str]) -> Clause:
    """`e-mai*`: its words adjacent and in order, the last of them a prefix.

    A prefix that is one word stands for any number of words. Where it is more, or could be, it is
    a phrase, whose last word stands for as many as one query may have clauses: beyond that,
    Elasticsearch refuses the query, and never answers with a part of them.
    """
    match = {"query": text, "fields": fields}
    if is_one_word(text):
        return {"multi_match": match | {"type": "bool_prefix"}}
    return {"multi_match": match | {"type": "phrase_prefix", "max_expansions": _ALL}}
