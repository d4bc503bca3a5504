"""What each section had to reach, read from its results: the rows of a table and of a plot."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure with its least and greatest round, and its target; None: it has none."""

    name: str
    least: float
    middle: float
    most: float
    target: float | None
    at_most: bool = False
    unit: str = ""

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.middle <= self.target if self.at_most else self.middle >= self.target

    @property
    def bound(self) -> str:
        """The target in words: at least or at most so much."""
        if self.target is None:
            return ""
        return f"{'≤' if self.at_most else '≥'} {number(self.target)}{self.unit}"

    def of_target(self, value: float) -> float:
        """How many times as good as the target a value is; 1 is the target itself."""
        if not self.target or not value:
            return 0.0
        return self.target / value if self.at_most else value / self.target


def number(value: float) -> str:
    """With three digits that count, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rows(results: Results) -> list[Row]:
    """The figures of this section, those without a target as well."""
    return list(_ROWS[results["section"]](results))


def _compared(results: Results) -> Iterator[Row]:
    for one in results["comparisons"]:
        name = f"{one['name']}: {one['ours']['name']} ÷ {one['other']['name']}"
        yield _ratio(name, one["ratio"], one["target"])


def _indexing(results: Results) -> Iterator[Row]:
    yield from _compared(results)
    memory = results["memory"]
    megabytes = memory["maximumBytes"] / 1e6
    yield _one("memory of a worker, the most", megabytes, 300, " MB")
    yield _one("memory of a worker, last tenth ÷ first", memory["growth"], 1.1)


def _reindex(results: Results) -> Iterator[Row]:
    yield from _compared(results)
    yield _one("search p95 during ÷ before", results["impact"]["p95Ratio"], 2.0)
    yield _one("memory, second half ÷ first half", results["impact"]["memoryGrowth"], 1.1)


def _search(results: Results) -> Iterator[Row]:
    for one in results["figures"]:
        sign, _, target = (one["target"] or "").partition(" ")
        yield _ratio(one["name"], one, float(target) if target else None, at_most=sign == "≤")


def _freshness(results: Results) -> Iterator[Row]:
    found = results["freshness"]
    for key, name in (("idle", "idle"), ("underLoad", "under load")):
        yield _one(f"p95, {name}", found[key]["p95"], found["targetMs"], " ms")


def _growth(results: Results) -> Iterator[Row]:
    for name, ratio in results["searchRatios"].items():
        yield _ratio(f"{name}: p50 ÷ p50 at a tenth", ratio, ratio["target"], at_most=True)
    for size, ratio in results["deepRatios"].items():
        name = f"page at 50,000 ÷ first page, of {int(size):,}"
        yield _ratio(name, ratio, ratio["target"], at_most=True)
    memory = results["apiMemory"]
    yield _one("memory of the API, the most", memory["bytes"] / 1e6, memory["target"] / 1e6, " MB")


def _ratio(
    name: str, ratio: Mapping[str, Any], target: float | None, *, at_most: bool = False
) -> Row:
    return Row(name, ratio["min"], ratio["median"], ratio["max"], target, at_most)


def _one(name: str, value: float, target: float, unit: str = "") -> Row:
    return Row(name, value, value, value, target, at_most=True, unit=unit)


_ROWS: Final[dict[str, Callable[[Results], Iterator[Row]]]] = {
    "search": _search,
    "indexing": _indexing,
    "sync": _compared,
    "reindex": _reindex,
    "freshness": _freshness,
    "growth": _growth,
}
