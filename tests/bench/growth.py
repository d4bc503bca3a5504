"""Section *growth*: the same service over 10,000, 100,000 and 1,000,000 recordings.

Each size has indices and an API process of its own, all there at once, so that the searches of all
sizes are measured in turns. An index is filled with documents of the product's own making in bare
`_bulk` requests, but for its last 10,000 recordings: those are events through a real worker, and
give the rate at that size. What grows with the size is said in `years`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import orjson
import psutil

from services.acl import Principal, Role
from tests.bench import conversations, sizes
from tests.bench.conversations import NOBODY, TENANT
from tests.bench.errors import BenchError
from tests.bench.filling import Filled, fill
from tests.bench.load import Generator, Job, generator
from tests.bench.questions import QUANTITY, Question, mix
from tests.bench.report import Report, spread
from tests.bench.searching import BUSY
from tests.bench.service import Service, serving
from tests.bench.sizes import Size, Times
from tests.bench.stand import Stand
from tests.bench.wire import exchange
from tests.bench.years import Years, last_month

SIZES: Final = (10_000, 100_000, 1_000_000)
QUICK_SIZES: Final = (2_000, 10_000, 30_000)
CONVERSATIONS: Final = 10_000
DEEP: Final = 50_000
SECONDS: Final = 6.0  # of a round, for the twelve searches of one size
DEEP_SECONDS: Final = 3.0
QUICK_SHARE: Final = 0.12  # of those seconds
DATES: Final = "dates"


@dataclass
class Place:
    """One size that is ready to be searched, and what was measured there by round."""

    filled: Filled
    service: Service
    searches: "Asked"
    deep: "Asked"
    memory: int = 0

    def warm_up(self, load: Generator, share: float) -> None:
        """The same as a round, but over as many connections as the section *search* has then.

        One connection asks the mix in a circle that is as long as the memory of Elasticsearch's
        filter cache (256 filters): it would be chance what is kept.
        """
        self.searches.warm_up(load, self.service, SECONDS * share)
        self.deep.warm_up(load, self.service, DEEP_SECONDS * share)

    def round(self, load: Generator, share: float) -> None:
        """The searches, then the pages; `share` of the usual seconds."""
        self.searches.measure(load, self.service, SECONDS * share)
        self.deep.measure(load, self.service, DEEP_SECONDS * share)
        resident = psutil.Process(self.service.pid).memory_info().rss
        self.memory = max(self.memory, resident)


@dataclass
class Asked:
    """Searches by name as bytes, the bytes of their answers, how many recordings each finds, and
    milliseconds by round.
    """

    requests: dict[str, bytes]
    lengths: list[int]
    totals: dict[str, int]
    p50: dict[str, list[float]] = field(default_factory=dict)
    p95: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, load: Generator, service: Service, seconds: float) -> None:
        """One after the other on one connection, again and again."""
        if not self.requests:
            return
        outcome = load.run(self._job(service, 1, seconds))
        for name, latencies in zip(self.requests, outcome.latencies, strict=True):
            figures = spread([1000 * one for one in latencies])
            self.p50.setdefault(name, []).append(figures["p50"])
            self.p95.setdefault(name, []).append(figures["p95"])

    def warm_up(self, load: Generator, service: Service, seconds: float) -> None:
        """On many connections; nothing is kept of it."""
        if self.requests:
            load.run(self._job(service, BUSY, seconds))

    def _job(self, service: Service, connections: int, seconds: float) -> Job:
        requests = list(self.requests.values())
        return Job(service.address, requests, self.lengths, connections, seconds)

    def times(self) -> dict[str, Times]:
        return {name: Times(self.totals[name], self.p50[name], self.p95[name]) for name in self.p50}


def run(stand: Stand) -> Report:
    """Fill, then search in turns. Raises BenchError."""
    data = conversations.load(CONVERSATIONS)
    years = Years.of(data.recordings)
    counts = QUICK_SIZES if stand.quick else SIZES
    _warm_up(stand, years, counts[0])
    with ExitStack() as held:
        places = [held.enter_context(_place(stand, years, count)) for count in counts]
        load = held.enter_context(generator())
        _in_turns(stand, places, load)
    found = [
        Size(
            place.filled,
            years.words(place.filled.documents),
            place.memory,
            place.searches.times(),
            place.deep.times(),
        )
        for place in places
    ]
    return Report({"data": data.origin, **sizes.as_json(found)}, sizes.tables(found))


def _warm_up(stand: Stand, years: Years, count: int) -> None:
    """The smallest size for nothing: what is new to the servers would slow the first one down."""
    task = stand.progress.add_task("warm up", total=count)
    with stand.indices() as names:
        fill(stand, names, years, count, task)


def _in_turns(stand: Stand, places: Sequence[Place], load: Generator) -> None:
    share = QUICK_SHARE if stand.quick else 1.0
    task = stand.progress.add_task("searches by size", total=(1 + stand.rounds) * len(places))
    for number in range(1 + stand.rounds):
        for place in places:
            ask = place.round if number else place.warm_up
            ask(load, share)
            stand.progress.advance(task)


@contextmanager
def _place(stand: Stand, years: Years, count: int) -> Iterator[Place]:
    task = stand.progress.add_task(f"fill {count:,}", total=count)
    with stand.indices() as names:
        filled = fill(stand, names, years, count, task)
        with serving(stand, names) as service:
            searches = _asked(service, _questions(years, count))
            pages = _asked(service, _pages())
            far = list(pages.totals.values())[-1] >= DEEP + QUANTITY
            yield Place(filled, service, searches, pages if far else Asked({}, [], {}))


def _questions(years: Years, count: int) -> list[Question]:
    """The mix, whose dates are the last month of this size."""
    first = [event for event in map(years.event, range(100)) if event["tenantId"] == TENANT]
    return [
        replace(one, parameters=_page(0) | last_month(count)) if one.name == DATES else one
        for one in mix(first)
    ]


def _pages() -> list[Question]:
    asker = Principal(TENANT, NOBODY, Role.ADMINISTRATOR)
    return [Question(f"page at {offset:,}", _page(offset), asker) for offset in (0, DEEP)]


def _page(offset: int) -> dict[str, str]:
    return {"quantity": str(QUANTITY), "from": str(offset)}


def _asked(service: Service, questions: Sequence[Question]) -> Asked:
    requests = {one.name: service.request(one.target, one.principal) for one in questions}
    bodies = [_answer(service, name, request) for name, request in requests.items()]
    totals = [orjson.loads(body)["total"] for body in bodies]
    return Asked(requests, list(map(len, bodies)), dict(zip(requests, totals, strict=True)))


def _answer(service: Service, name: str, request: bytes) -> bytes:
    answer = exchange(service.address, request)
    if answer.status != 200:
        raise BenchError(f"{name}: the API answered {answer.status}")
    return answer.body
