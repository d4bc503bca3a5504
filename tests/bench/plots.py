"""The results as plots: for each section what it had to reach, and what else is worth seeing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from tests.bench.targets import Results, Row, number, rows

MET: Final = "#2a7f62"
MISSED: Final = "#c8442f"
FARTHEST: Final = 2.5  # times as good as the target; what is better ends there
PALE: Final = "#b8c4ce"
DARK: Final = "#243447"
SIDES: Final = {
    "service": "#1b6ca8",
    "direct": "#243447",
    "forwarder": "#9aa5b1",
    "FastAPI": "#e07b39",
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture, and in words what it shows; `name` is that of its file without the ending."""

    name: str
    caption: str
    draw: Callable[[Results], Figure]


def plots_of(results: Results) -> list[Plot]:
    """The plots of this section."""
    section = results["section"]
    return [
        Plot(f"{section}-{plot.name}", plot.caption, plot.draw)
        for plot in (_TARGETS, *_PLOTS.get(section, ()))
    ]


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6eaee", linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_targets(results: Results) -> Figure:
    shown = [row for row in rows(results) if row.target is not None][::-1]
    figure = _figure(11, 1.0 + 0.36 * len(shown))
    axes = figure.subplots()
    for place, row in enumerate(shown):
        _draw_target(axes, place, row)
    axes.axvline(1, color=DARK, linewidth=1.2)
    axes.set_yticks(range(len(shown)), [row.name for row in shown])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlim(0, min(FARTHEST, 1.1 * max(1.2, *(_reach(row) for row in shown))))
    axes.set_xlabel("times as good as the target; 1 is the target itself")
    _plain(axes)
    axes.grid(visible=False, axis="y")
    return figure


def _reach(row: Row) -> float:
    return max(row.of_target(row.least), row.of_target(row.most))


def _draw_target(axes: Axes, place: int, row: Row) -> None:
    colour = MET if row.met else MISSED
    ends = sorted((row.of_target(row.least), row.of_target(row.most)))
    axes.barh(place, row.of_target(row.middle), height=0.55, color=colour, alpha=0.85)
    if ends[0] < ends[1]:
        axes.plot(ends, [place, place], color=DARK, linewidth=2, marker="|", markersize=9)
    label = f"{number(row.middle)}{row.unit}  (target {row.bound})"
    right = axes.get_yaxis_transform()  # x from 0 to 1 across the picture, y as the bars
    axes.text(1.02, place, label, transform=right, va="center", fontsize=9, color=colour)


def _draw_memory(results: Results) -> Figure:
    megabytes = [size / 1e6 for size in results["memory"]["tenthsMedianBytes"]]
    figure = _figure(8, 3.2)
    axes = figure.subplots()
    axes.plot(range(1, 11), megabytes, color=SIDES["service"], marker="o")
    axes.axhline(300, color=MISSED, linestyle="--", linewidth=1)
    axes.annotate("limit", (10, 300), (0, -13), textcoords="offset points", ha="right")
    axes.set_ylim(0, 330)
    axes.set_xticks(range(1, 11))
    axes.set_xlabel(f"tenth of the run of {results['memory']['events']:,} events")
    axes.set_ylabel("resident, MB")
    _plain(axes)
    return figure


def _draw_latency(results: Results) -> Figure:
    mix = results["mix"]
    connections = sorted({one["connections"] for one in mix})
    figure = _figure(11, 4.2)
    left, right = figure.subplots(1, 2)
    for number_of_side, side in enumerate(SIDES):
        offset = (number_of_side - 1.5) * 0.2
        of_side = {one["connections"]: one["rounds"] for one in mix if one["side"] == side}
        places = [place + offset for place in range(len(connections))]
        for name, marker in (("p50Ms", ""), ("p95Ms", "_"), ("p99Ms", "^")):
            values = [_middle(of_side[count], name) for count in connections]
            if marker:
                left.scatter(places, values, marker=marker, color=SIDES[side], s=45, zorder=3)
            else:
                left.bar(places, values, 0.17, color=SIDES[side], label=side)
        rates = [_middle(of_side[count], "requestsPerSecond") for count in connections]
        right.bar(places, rates, 0.17, color=SIDES[side], label=side)
    left.set_yscale("log")
    left.set_ylabel("ms (logarithmic): bar p50, dash p95, triangle p99")
    right.set_ylabel("requests a second")
    for axes in (left, right):
        axes.set_xticks(range(len(connections)), [str(count) for count in connections])
        axes.set_xlabel("connections")
        _plain(axes)
    figure.legend(
        *right.get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=4
    )
    return figure


def _middle(rounds: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(median(one[name] for one in rounds))


def _draw_kinds(results: Results) -> Figure:
    kinds = results["kinds"][::-1]
    figure = _figure(9, 1 + 0.36 * len(kinds))
    axes = figure.subplots()
    for side, colour in SIDES.items():
        values = [
            next(
                one["p50Ms"]
                for one in kind["inTheMix"]
                if one["side"] == side and one["connections"] == 1
            )
            for kind in kinds
        ]
        axes.scatter(values, range(len(kinds)), color=colour, label=side, s=42, zorder=3)
    names = [f"{kind['name']} (finds {kind['found']:,})" for kind in kinds]
    axes.set_yticks(range(len(kinds)), names)
    axes.set_xlim(left=0)
    axes.set_xlabel("p50 in ms within the mix, 1 connection")
    figure.legend(frameon=False, loc="outside upper center", ncols=4)
    _plain(axes)
    return figure


def _draw_freshness(results: Results) -> Figure:
    found = results["freshness"]
    figure = _figure(9, 3.8)
    axes = figure.subplots()
    for key, name, colour in (
        ("idle", "idle", SIDES["direct"]),
        ("underLoad", "under load", SIDES["FastAPI"]),
    ):
        values = sorted(value for one in found[key]["roundsMs"] for value in one)
        shares = [100 * place / len(values) for place in range(1, len(values) + 1)]
        axes.step(values, shares, where="post", color=colour, linewidth=2, label=name)
        axes.scatter([found[key]["p95"]], [95], color=colour, zorder=3)
    axes.axvline(found["targetMs"], color=MISSED, linestyle="--", linewidth=1)
    axes.annotate(
        "target of p95", (found["targetMs"], 4), (-6, 0), textcoords="offset points", ha="right"
    )
    axes.axhline(95, color=PALE, linewidth=1)
    axes.set_xlim(left=0, right=1.15 * max(found["targetMs"], found["underLoad"]["max"]))
    axes.set_ylim(0, 102)
    axes.set_xlabel("ms from publication to being found")
    axes.set_ylabel("% of the probes found by then")
    axes.legend(frameon=False, loc="upper left")
    _plain(axes)
    return figure


def _draw_growth(results: Results) -> Figure:
    sizes = results["sizes"]
    counts = [size["recordings"] for size in sizes]
    names = list(sizes[-1]["searches"])
    figure = _figure(11, 2.3 * -(-len(names) // 4))
    grid = figure.subplots(-(-len(names) // 4), 4, sharex=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        searches = [size["searches"][name] for size in sizes]
        middles = [search["p50Ms"] for search in searches]
        met = results["searchRatios"][name]["met"]
        axes.plot(counts, [one["p95Ms"] for one in searches], color=PALE, marker=".")
        axes.plot(counts, middles, color=MET if met else MISSED, marker="o")
        limit = 3 * middles[-2]
        axes.plot(counts[-1:], [limit], color=DARK, marker="_", markersize=14, linestyle="")
        axes.set_title(name, fontsize=10)
        axes.set_xscale("log")
        axes.set_ylim(0, 1.15 * max(limit, *(one["p95Ms"] for one in searches)))
        _counts(axes, counts)
        _plain(axes)
    for axes in grid[:, 0]:
        axes.set_ylabel("ms")
    return figure


def _counts(axes: Axes, counts: Sequence[int]) -> None:
    axes.set_xticks(counts, [_short(count) for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _short(count: int) -> str:
    return f"{count // 1_000_000}M" if count >= 1_000_000 else f"{count // 1_000}k"


def _draw_weights(results: Results) -> Figure:
    sizes = results["sizes"]
    counts = [size["recordings"] for size in sizes]
    figure = _figure(11, 3.2)
    panels: tuple[tuple[str, float, dict[str, str]], ...] = (
        ("events/s, last 10,000", 1, {"workerEventsPerSecond": "a worker"}),
        ("bytes on disk a recording", 1, {"bytesPerRecording": "primary"}),
        (
            "memory, MB",
            1e6,
            {
                "elasticsearchResidentBytes": "Elasticsearch",
                "elasticsearchHeapBytes": "its heap used",
                "apiResidentBytes": "API",
                "workerResidentBytes": "worker",
            },
        ),
    )
    for axes, (title, scale, lines) in zip(figure.subplots(1, 3), panels, strict=True):
        for (key, label), colour in zip(lines.items(), SIDES.values(), strict=False):
            values = [float("nan") if size[key] is None else size[key] / scale for size in sizes]
            axes.plot(counts, values, marker="o", color=colour, label=label)
        axes.set_title(title, fontsize=10)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("recordings")
        _counts(axes, counts)
        _plain(axes)
    axes.legend(frameon=False, fontsize=9)
    return figure


_TARGETS: Final = Plot(
    "targets",
    "Each figure as a multiple of its target: a bar that reaches the line at 1 has met it. The bar "
    "is the median of the rounds, the dark line goes from the worst round to the best. Bars end at "
    "2.5. The figure itself and its target stand beside the bar.",
    _draw_targets,
)

_PLOTS: Final[dict[str, tuple[Plot, ...]]] = {
    "search": (
        Plot(
            "latency",
            "The mix of twelve searches over 1, 8 and 32 keep-alive connections: time to the whole "
            "answer, and answers a second; medians of the rounds.",
            _draw_latency,
        ),
        Plot(
            "kinds",
            "Each kind of search by itself, on one connection. The distance between service and "
            "direct is what the service adds.",
            _draw_kinds,
        ),
    ),
    "indexing": (
        Plot(
            "memory",
            "Resident memory of one worker over the long run: the median of each tenth.",
            _draw_memory,
        ),
    ),
    "freshness": (
        Plot(
            "distribution",
            "How many of the probes were found after how many milliseconds. The dots are the 95th "
            "percentiles. An index that is refreshed every second makes a probe wait half a second "
            "on average, and up to a whole one, before anything else is counted.",
            _draw_freshness,
        ),
    ),
    "growth": (
        Plot(
            "searches",
            "Each kind of search at each size, on one connection: p50 (coloured; red where the "
            "target is missed) and p95 (grey). The dark dash is the target: three times the p50 of "
            "the size before.",
            _draw_growth,
        ),
        Plot(
            "weights",
            "How fast a worker writes into an index of that size, what a recording takes on disk, "
            "and how much memory each process holds.",
            _draw_weights,
        ),
    ),
}
