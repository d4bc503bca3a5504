"""The stream of the demo's change events: calls drawn one by one, their histories mixed.

Each call gives a short list of events with a delay, counted in recordings. A heap lets them out in
that order: a note before its recording, version 2 before version 1, an event twice. Only what is
delayed is held in memory.
"""

import heapq
import random
from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from deploy.local.demo_data.history import Call, Delayed, Event, history
from deploy.local.demo_data.people import USERS, Customer, new_customer, seeded
from deploy.local.demo_data.phrases import LANGUAGES
from deploy.local.demo_data.talks import SCENARIOS, Occasion, make_talk

_FIRST_DAY, _LAST_DAY = date(2026, 1, 5), date(2026, 10, 30)
_DAYS = [
    day
    for n in range((_LAST_DAY - _FIRST_DAY).days + 1)
    if (day := _FIRST_DAY + timedelta(n)).weekday() < 5
]
_OPENING, _OPEN_SECONDS = time(8, tzinfo=UTC), 8.5 * 3600
_LANGUAGE_WEIGHTS = (40, 20, 15, 15, 10)
# With these, about a third of the customers call again.
_KNOWN_CUSTOMER, _REMEMBERED = 0.3, 500


def demo_events(seed: int = 1, recordings: int = 3000) -> Iterator[Event]:
    """The change events of so many `recordings`, the same for the same arguments.

    The calls of 2026-01-05 to 2026-10-30 with their notes, edits and deletions, in about the
    order of their dates. Versions count from 1 for each thing.
    """
    rng = seeded(seed)
    waiting: list[tuple[float, int, Event]] = []
    count = 0
    for index, call in enumerate(_calls(rng, recordings)):
        for delay, event in _some_twice(rng, history(rng, call)):
            count += 1
            heapq.heappush(waiting, (index + delay, count, event))
        while waiting[0][0] <= index:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _some_twice(rng: random.Random, events: list[Delayed]) -> Iterator[Delayed]:
    for delay, event in events:
        yield delay, event
        if rng.random() < 0.01:
            yield delay + rng.uniform(0, 60), event


def _calls(rng: random.Random, count: int) -> Iterator[Call]:
    pools: dict[str, deque[Customer]] = {code: deque(maxlen=_REMEMBERED) for code in LANGUAGES}
    serials = dict.fromkeys(LANGUAGES, 0)
    names, weights = list(SCENARIOS), [scenario.weight for scenario in SCENARIOS.values()]
    for index in range(count):
        language = rng.choices(LANGUAGES, _LANGUAGE_WEIGHTS)[0]
        if not pools[language] or rng.random() >= _KNOWN_CUSTOMER:
            pools[language].append(new_customer(rng, language, serials[language]))
            serials[language] += 1
            customer = pools[language][-1]
        else:
            customer = rng.choice(pools[language])
        scenario = rng.choices(names, weights)[0]
        yield _call(rng, index, _moment(rng, index, count), scenario, customer)


def _call(rng: random.Random, index: int, at: datetime, scenario: str, customer: Customer) -> Call:
    agent = rng.choice([user for user in USERS if user.language == customer.language])
    allowed = SCENARIOS[scenario].directions
    direction = "OUT" if "IN" not in allowed or ("OUT" in allowed and rng.random() < 0.25) else "IN"
    talk = make_talk(rng, Occasion(scenario, direction, agent, customer, at))
    if direction == "IN" and rng.random() < 0.03:
        direction = "UNKNOWN"
    return Call(f"r-2026-{index + 1:06d}", at, agent, customer, direction, talk)


def _moment(rng: random.Random, index: int, count: int) -> datetime:
    """The calls are spread evenly over the working days, in the order of their ids."""
    day, share = divmod((index + rng.random()) * len(_DAYS) / count, 1)
    opening = datetime.combine(_DAYS[int(day)], _OPENING)
    return opening + timedelta(seconds=int(share * _OPEN_SECONDS))
