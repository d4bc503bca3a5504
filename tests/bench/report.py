"""Results: what a section hands back, as JSON for programs and as tables for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Report:
    """What a section found: JSON values, and the same as tables."""

    results: Mapping[str, Any]
    tables: Sequence[Table]


@dataclass(frozen=True, slots=True)
class Measure:
    """One round of one side: events, seconds, and the cores that each process kept busy."""

    events: int
    seconds: float
    cores: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two ways of doing the same, round by round; `target` is the least median of the ratio."""

    name: str
    ours: str
    other: str
    rounds: Sequence[tuple[Measure, Measure]]
    target: float | None

    @property
    def ratios(self) -> list[float]:
        return [ours.rate / other.rate for ours, other in self.rounds]

    @property
    def met(self) -> bool | None:
        return None if self.target is None else median(self.ratios) >= self.target

    def as_json(self) -> dict[str, Any]:
        ratios = self.ratios
        return {
            "name": self.name,
            "ratio": {"min": min(ratios), "median": median(ratios), "max": max(ratios)},
            "target": self.target,
            "met": self.met,
            "ours": _side(self.ours, [ours for ours, _ in self.rounds]),
            "other": _side(self.other, [other for _, other in self.rounds]),
        }


def _side(name: str, rounds: Sequence[Measure]) -> dict[str, Any]:
    return {
        "name": name,
        "events": rounds[0].events,
        "seconds": [one.seconds for one in rounds],
        "eventsPerSecond": [one.rate for one in rounds],
        "cores": _median_cores(rounds),
    }


def _median_cores(rounds: Sequence[Measure]) -> dict[str, float]:
    return {name: round(median(one.cores[name] for one in rounds), 3) for name in rounds[0].cores}


def ratio_table(title: str, comparisons: Sequence[Comparison]) -> Table:
    """One line a comparison: rates (medians), ratio, and whether the target is met."""
    table = Table("", "ours/s", "other/s", "min", "median", "max", "target", "", title=title)
    for one in comparisons:
        ratios = one.ratios
        table.add_row(
            f"{one.name}: {one.ours} ÷ {one.other}",
            f"{median(ours.rate for ours, _ in one.rounds):,.0f}",
            f"{median(other.rate for _, other in one.rounds):,.0f}",
            *(f"{value:.2f}" for value in (min(ratios), median(ratios), max(ratios))),
            "" if one.target is None else f"≥ {one.target:g}",
            verdict(one.met),
        )
    return table


def core_table(comparisons: Sequence[Comparison]) -> Table:
    """Who was busy: cores, the median of the rounds. Who is near 1.00 holds the others up."""
    names = list(dict.fromkeys(name for one in comparisons for name in one.rounds[0][0].cores))
    table = Table("", "side", *names, "together", title="Busy cores (1.00 is one whole core)")
    for one in comparisons:
        for side in one.as_json()["ours"], one.as_json()["other"]:
            busy = side["cores"]
            each = (f"{busy[name]:.2f}" if name in busy else "" for name in names)
            table.add_row(one.name, side["name"], *each, f"{sum(busy.values()):.2f}")
    return table


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum of at least one value, in the unit of the values."""
    ordered = sorted(values)
    p95 = ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)]
    return {"p50": median(ordered), "p95": p95, "max": ordered[-1]}


def verdict(met: bool | None) -> str:
    """A word for the table."""
    return {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[met]
