"""Events of a source as states, one for each recording or group."""

from collections.abc import Iterable

from indexer import reducer
from indexer.documents import key_of
from indexer.events import InvalidEventError, parse
from indexer.sources import Found, SourceError

Numbered = Iterable[tuple[str, object]]


def found_in(events: Numbered) -> list[Found]:
    """What these (place in the source, event) pairs say. Raises SourceError with the place."""
    states: dict[tuple[str, ...], reducer.State] = {}
    for place, raw in events:
        try:
            event = parse(raw)
        except InvalidEventError as error:
            raise SourceError(f"{place}: not a valid event: {error}") from None
        key = key_of(event)
        known = states.get(key) or reducer.nothing_of(event)
        states[key] = reducer.apply(known, [event])
    return [Found(state) for state in states.values()]
