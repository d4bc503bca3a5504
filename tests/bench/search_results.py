"""What section *search* found: percentiles and rates by side, the ratios that count, the load.

Every ratio is of one round: the sides of a round ran one after another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from rich.table import Table

from tests.bench.load import Outcome
from tests.bench.questions import Question
from tests.bench.report import verdict
from tests.bench.sides import DIRECT, FASTAPI, FORWARDER, SERVICE

LOAD: Final = "load"
SERVER: Final = "server"
SIDES: Final = (SERVICE, DIRECT, FORWARDER, FASTAPI)
PERCENTILES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
ADDED_MS: Final = 1.0
RATE_OF_DIRECT: Final = 0.65
RATE_OF_FASTAPI: Final = 1.5
ADDED_OF_FASTAPI: Final = 0.7


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of one side, and the cores that each process kept busy."""

    side: str
    connections: int
    outcome: Outcome
    cores: Mapping[str, float]

    def milliseconds(self, share: float, kind: int | None = None) -> float:
        """This percentile of the mix, or of one kind in it."""
        latencies = self.outcome.latencies
        chosen = latencies if kind is None else [latencies[kind]]
        ordered = sorted(value for one in chosen for value in one)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000

    def as_json(self) -> dict[str, Any]:
        percentiles = {f"{name}Ms": self.milliseconds(at) for name, at in PERCENTILES.items()}
        return percentiles | {"requestsPerSecond": self.outcome.rate, "cores": dict(self.cores)}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure that counts, round by round; `target` bounds the median."""

    name: str
    values: Sequence[float]
    target: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        middle = median(self.values)
        return middle <= self.target if self.at_most else middle >= self.target

    @property
    def bound(self) -> str:
        return "" if self.target is None else f"{'≤' if self.at_most else '≥'} {self.target:g}"

    def as_json(self) -> dict[str, Any]:
        values = self.values
        return {
            "name": self.name,
            "min": min(values),
            "median": median(values),
            "max": max(values),
            "target": self.bound or None,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Limit:
    """The load on a server that does nothing: requests a second, and its own busy cores."""

    rate: float
    cores: float


@dataclass(frozen=True, slots=True)
class SearchResults:
    """Everything that was measured; `alone` has for each question one round of each side."""

    data: str
    questions: Sequence[Question]
    found: Mapping[str, int]
    rounds: Sequence[Round]
    alone: Sequence[Sequence[Round]]
    limit: Limit

    def of(self, side: str, connections: int) -> list[Round]:
        """The rounds of one side, in the order of time."""
        return [one for one in self.rounds if (one.side, one.connections) == (side, connections)]

    def figures(self) -> list[Figure]:
        """The figures with targets, and the same of the forwarder for comparison."""
        return [
            Figure(
                "service − direct, p50 in ms, 1 connection", self._added(SERVICE), ADDED_MS, True
            ),
            Figure("forwarder − direct, p50 in ms, 1 connection", self._added(FORWARDER)),
            Figure("FastAPI − direct, p50 in ms, 1 connection", self._added(FASTAPI)),
            Figure(
                "(service − direct) ÷ (FastAPI − direct), p50, 1 connection",
                [a / b for a, b in zip(self._added(SERVICE), self._added(FASTAPI), strict=True)],
                ADDED_OF_FASTAPI,
                True,
            ),
            *(
                Figure(
                    f"{ours} ÷ {other}, requests a second, 8 connections",
                    self._rates(ours, other),
                    target,
                )
                for ours, other, target in (
                    (SERVICE, DIRECT, RATE_OF_DIRECT),
                    (FORWARDER, DIRECT, None),
                    (SERVICE, FASTAPI, RATE_OF_FASTAPI),
                )
            ),
        ]

    def _added(self, side: str) -> list[float]:
        pairs = zip(self.of(side, 1), self.of(DIRECT, 1), strict=True)
        return [ours.milliseconds(0.5) - direct.milliseconds(0.5) for ours, direct in pairs]

    def _rates(self, ours: str, other: str) -> list[float]:
        pairs = zip(self.of(ours, 8), self.of(other, 8), strict=True)
        return [one.outcome.rate / two.outcome.rate for one, two in pairs]

    @property
    def connections(self) -> list[int]:
        return sorted({one.connections for one in self.rounds})

    def as_json(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "figures": [one.as_json() for one in self.figures()],
            "mix": [
                {
                    "side": side,
                    "connections": connections,
                    "rounds": [one.as_json() for one in self.of(side, connections)],
                }
                for connections in self.connections
                for side in SIDES
            ],
            "kinds": [self._kind(place, one) for place, one in enumerate(self.questions)],
            "load": {
                "mostRequestsPerSecond": self.limit.rate,
                "coresAtMost": self.limit.cores,
                "coresMeanwhileMost": max(one.cores[LOAD] for one in self.rounds),
            },
        }

    def _kind(self, place: int, question: Question) -> dict[str, Any]:
        return {
            "name": question.name,
            "parameters": dict(question.parameters),
            "role": question.principal.role,
            "found": self.found[question.name],
            "inTheMix": [
                {"side": side, "connections": connections}
                | {
                    f"{name}Ms": self.of_kind(place, side, connections, share)
                    for name, share in PERCENTILES.items()
                }
                for connections in self.connections
                for side in SIDES
            ],
            "alone": [
                {"side": one.side, "connections": one.connections} | one.as_json()
                for one in (self.alone[place] if self.alone else ())
            ],
        }

    def of_kind(self, place: int, side: str, connections: int, share: float) -> float:
        """A percentile of one kind within the mix: the median of the rounds."""
        return median(one.milliseconds(share, place) for one in self.of(side, connections))

    def tables(self) -> list[Table]:
        return [self._mix_table(), self._kind_table(), self._figure_table(), self._load_table()]

    def _mix_table(self) -> Table:
        columns = ("p50 ms", "p95 ms", "p99 ms", "requests/s", *self._busy())
        table = Table("connections", "side", *columns, title=f"The mix of twelve: {self.data}")
        for connections in self.connections:
            for side in SIDES:
                rounds = self.of(side, connections)
                table.add_row(
                    str(connections),
                    side,
                    *(
                        f"{median(one.milliseconds(share) for one in rounds):.2f}"
                        for share in PERCENTILES.values()
                    ),
                    f"{median(one.outcome.rate for one in rounds):,.0f}",
                    *(
                        f"{median(one.cores.get(name, 0.0) for one in rounds):.2f}"
                        for name in self._busy()
                    ),
                )
        return table

    def _busy(self) -> list[str]:
        return list(dict.fromkeys(name for one in self.rounds for name in one.cores))

    def _kind_table(self) -> Table:
        alone = [f"{side}/s" for side in SIDES] if self.alone else []
        title = "Each kind: p50 in ms within the mix at 1 connection; alone at 8"
        table = Table("", "finds", *SIDES, "added", *alone, title=title)
        for place, question in enumerate(self.questions):
            middles = {side: self.of_kind(place, side, 1, 0.5) for side in SIDES}
            table.add_row(
                question.name,
                f"{self.found[question.name]:,}",
                *(f"{value:.2f}" for value in middles.values()),
                f"{middles[SERVICE] - middles[DIRECT]:.2f}",
                *(f"{one.outcome.rate:,.0f}" for one in (self.alone[place] if alone else ())),
            )
        return table

    def _figure_table(self) -> Table:
        table = Table("", "min", "median", "max", "target", "", title="Figures of the mix")
        for one in self.figures():
            values = (min(one.values), median(one.values), max(one.values))
            shown = (f"{value:.2f}" for value in values)
            table.add_row(one.name, *shown, one.bound, verdict(one.met))
        return table

    def _load_table(self) -> Table:
        busiest = max(self.rounds, key=lambda one: one.cores[LOAD])
        table = Table("", "requests/s", "its cores", title="The load itself")
        table.add_row(
            "at most (canned answers)", f"{self.limit.rate:,.0f}", f"{self.limit.cores:.2f}"
        )
        table.add_row(
            f"busiest round ({busiest.side}, {busiest.connections} connections)",
            f"{busiest.outcome.rate:,.0f}",
            f"{busiest.cores[LOAD]:.2f}",
        )
        return table
