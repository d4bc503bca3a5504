"""What the section *growth* found, as JSON values and as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from rich.table import Table

from tests.bench.filling import Filled
from tests.bench.report import verdict

SEARCH_TARGET: Final = 3.0  # p50 at a size ÷ p50 at a tenth of it
DEEP_TARGET: Final = 10.0  # page at an offset of 50,000 ÷ the first page
MEMORY_TARGET: Final = 150_000_000  # of the API


@dataclass(frozen=True, slots=True)
class Times:
    """One kind of search at one size: how many it finds, and milliseconds by round."""

    total: int
    p50: Sequence[float]
    p95: Sequence[float]


@dataclass(frozen=True, slots=True)
class Size:
    """All about one size."""

    filled: Filled
    words: float
    api_memory: int
    searches: Mapping[str, Times]
    deep: Mapping[str, Times]

    @property
    def deep_ratios(self) -> list[float]:
        """Page at 50,000 ÷ first page, by round; none where there are not so many recordings."""
        if not self.deep:
            return []
        first, far = self.deep.values()
        return [one / other for one, other in zip(far.p50, first.p50, strict=True)]


def ratios(larger: Size, smaller: Size, name: str) -> list[float]:
    """p50 of a search at the larger size ÷ at the smaller one, by round."""
    pairs = zip(larger.searches[name].p50, smaller.searches[name].p50, strict=True)
    return [one / other for one, other in pairs]


def as_json(sizes: Sequence[Size]) -> dict[str, Any]:
    """JSON values; the two largest sizes are compared."""
    *_, smaller, larger = sizes
    most = max(size.api_memory for size in sizes)
    return {
        "sizes": [_size(size) for size in sizes],
        "searchRatios": {
            name: _ratio(ratios(larger, smaller, name), SEARCH_TARGET) for name in larger.searches
        },
        "deepRatios": {
            str(size.filled.documents): _ratio(size.deep_ratios, DEEP_TARGET)
            for size in sizes
            if size.deep
        },
        "apiMemory": {"bytes": most, "target": MEMORY_TARGET, "met": most < MEMORY_TARGET},
    }


def _ratio(values: Sequence[float], target: float) -> dict[str, Any]:
    middle = median(values)
    spread = {"min": min(values), "median": middle, "max": max(values)}
    return spread | {"target": target, "met": middle <= target}


def _size(size: Size) -> dict[str, Any]:
    filled = size.filled
    return {
        "recordings": filled.documents,
        "wordsPerRecording": size.words,
        "bytesOnDisk": filled.on_disk,
        "bytesPerRecording": filled.on_disk / filled.documents,
        "bytesPerWord": filled.on_disk / filled.documents / size.words,
        "segments": filled.segments,
        "bulkDocumentsPerSecond": filled.bulk_rate,
        "workerEventsPerSecond": filled.worker_rate,
        "workerResidentBytes": filled.worker_memory,
        "elasticsearchHeapBytes": filled.heap_used,
        "elasticsearchResidentBytes": filled.resident,
        "apiResidentBytes": size.api_memory,
        "searches": {name: _times(times) for name, times in size.searches.items()},
        "deep": {name: _times(times) for name, times in size.deep.items()},
    }


def _times(times: Times) -> dict[str, Any]:
    return {
        "total": times.total,
        "p50Ms": median(times.p50),
        "p95Ms": median(times.p95),
        "roundsP50Ms": list(times.p50),
    }


def tables(sizes: Sequence[Size]) -> list[Table]:
    """Searches, deep pages where a size has them, and what each size weighs."""
    deep = [_deep(sizes)] if any(size.deep for size in sizes) else []
    return [_searches(sizes), *deep, _weights(sizes)]


def _searches(sizes: Sequence[Size]) -> Table:
    *_, smaller, larger = sizes
    heads = [f"{size.filled.documents:,}" for size in sizes]
    table = Table("found, p50 / p95 ms", *heads, "min", "median", "max", "target", "")
    table.title = f"Searches by size; the ratio is {heads[-1]} ÷ {heads[-2]}"
    for name in larger.searches:
        of_sizes = (size.searches[name] for size in sizes)
        figures = (
            f"{one.total:,}: {median(one.p50):.1f} / {median(one.p95):.1f}" for one in of_sizes
        )
        table.add_row(name, *figures, *_cells(_ratio(ratios(larger, smaller, name), SEARCH_TARGET)))
    return table


def _deep(sizes: Sequence[Size]) -> Table:
    table = Table(
        "recordings", "first page", "page at 50,000", "min", "median", "max", "target", ""
    )
    table.title = "The page at an offset of 50,000 ÷ the first page"
    for size in sizes:
        if size.deep:
            pages = (f"{median(one.p50):.1f} ms" for one in size.deep.values())
            ratio = _ratio(size.deep_ratios, DEEP_TARGET)
            table.add_row(f"{size.filled.documents:,}", *pages, *_cells(ratio))
    return table


def _cells(ratio: Mapping[str, Any]) -> list[str]:
    values = [f"{ratio[which]:.2f}" for which in ("min", "median", "max")]
    return [*values, f"≤ {ratio['target']:g}", verdict(ratio["met"])]


def _weights(sizes: Sequence[Size]) -> Table:
    table = Table("", *(f"{size.filled.documents:,}" for size in sizes), title="What it weighs")
    found = [_size(size) for size in sizes]
    for name, key, unit, scale in _WEIGHTS:
        values = [one[key] for one in found]
        table.add_row(
            name, *("" if value is None else f"{value / scale:,.0f} {unit}" for value in values)
        )
    return table


_WEIGHTS: Final = (
    ("a worker (last 10,000)", "workerEventsPerSecond", "events/s", 1),
    ("bare _bulk, 2 clients", "bulkDocumentsPerSecond", "documents/s", 1),
    ("on disk a recording", "bytesPerRecording", "bytes", 1),
    ("on disk a word", "bytesPerWord", "bytes", 1),
    ("segments", "segments", "", 1),
    ("Elasticsearch, resident", "elasticsearchResidentBytes", "MB", 1e6),
    ("Elasticsearch, heap used", "elasticsearchHeapBytes", "MB", 1e6),
    ("API, resident, most", "apiResidentBytes", "MB", 1e6),
    ("worker, resident", "workerResidentBytes", "MB", 1e6),
)
