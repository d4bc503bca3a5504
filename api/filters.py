"""The parameters as filters of Elasticsearch: each function one parameter."""

from api.parameters import ListParameters
from api.query.characters import is_one_word
from api.query.compiler import Clause, any_of, compile_query
from api.query.nodes import Prefix, atoms
from api.values import Tags, Users
from services.errors import CallerError
from services.instants import Instant
from services.schema import NOTES, SIDES


def compile_filters(asked: ListParameters) -> list[Clause]:
    """The clauses that must all hold beside those of the words.

    Who may see what is not here: see `api.wire`.
    """
    clauses: list[Clause] = []
    if asked.sentiment:
        clauses.append({"terms": {"analysisResult.sentiment": list(asked.sentiment)}})
    if asked.tel:
        clauses.append(any_of([_number(number) for number in asked.tel]))
    if asked.startdate:
        clauses.append(_dates(asked.startdate, asked.end))
    if asked.users:
        clauses.append(_owners(asked.users))
    if asked.tagids:
        clauses += _tags(asked.tagids)
    if asked.direction:
        clauses.append({"terms": {"direction": list(asked.direction)}})
    if asked.language:
        clauses.append({"terms": {"language": list(asked.language)}})
    if asked.minduration is not None:
        clauses.append({"range": {"duration": {"gte": asked.minduration}}})
    if asked.maxduration is not None:
        clauses.append({"range": {"duration": {"lte": asked.maxduration}}})
    if asked.hasnotes is not None:
        clauses.append({"term": {"hasNotes": asked.hasnotes}})
    return clauses


def compile_words(asked: ListParameters) -> list[Clause]:
    """The clauses of `words` and `noteswords`, which must hold too."""
    clauses: list[Clause] = []
    if asked.words is not None:
        clauses.append(compile_query(asked.words, SIDES))
    if asked.noteswords is not None:
        clauses.append(compile_query(asked.noteswords, (NOTES,)))
    return clauses


def refuse_wide_prefixes(asked: ListParameters) -> None:
    """Blame a prefix of several words, which alone can stand for more than one search may have.

    Raises CallerError for the first; returns when there is none.
    """
    for name, node in (("words", asked.words), ("noteswords", asked.noteswords)):
        for atom in atoms(node) if node else ():
            if isinstance(atom, Prefix) and not is_one_word(atom.text):
                message = "expected more letters before *, found the beginning of too many words"
                detail = f"{name}: {message} (at character {atom.position})"
                raise CallerError("invalid_query", detail, parameter=name, position=atom.position)


def _number(keys: dict[str, str]) -> Clause:
    match keys:
        case {"e164": number}:
            return {"term": {"phones.e164": number}}
        case {"end": digits}:
            return {"prefix": {"phones.reversed": digits[::-1]}}
    return {"term": {"phones.extension": keys["extension"]}}


def _dates(start: Instant, end: Instant | None) -> Clause:
    bounds: dict[str, object] = {"gte": start.ceil_ms, "format": "epoch_millis"}
    if end:
        bounds["lt"] = end.ceil_ms
    return {"range": {"date": bounds}}


def _owners(users: Users) -> Clause:
    owners = {"terms": {"ownerId": list(users.ids)}}
    return owners if users.include else {"bool": {"must_not": [owners]}}


def _tags(tags: Tags) -> list[Clause]:
    if tags.all:
        return [{"term": {"tags.id": tag}} for tag in tags.ids]
    return [{"terms": {"tags.id": list(tags.ids)}}]
