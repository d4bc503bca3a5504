"""The tasks on the queue: what a message of each holds. What happens to it is in `settling`.

`indexer.apply_events` takes a list of events, `indexer.apply_event` takes one.
"""

from typing import Final

from celery import Celery

from indexer.gathering import Gathered, Gathering
from indexer.settling import Settler

APPLY_EVENTS: Final = "indexer.apply_events"
APPLY_EVENT: Final = "indexer.apply_event"


def register(app: Celery, settler: Settler) -> None:
    """Add both tasks to the application; their messages are settled together."""
    gathering = Gathering(settler.settle)
    app.register_task(Gathered(APPLY_EVENTS, _of_lists, gathering))
    app.register_task(Gathered(APPLY_EVENT, list, gathering))


def _of_lists(arguments: list[object]) -> list[object]:
    """What is no list is taken for an event, and judged so."""
    return [event for one in arguments for event in (one if isinstance(one, list) else [one])]
