"""`.bench/index.html`: one page that shows and explains what the sections found."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import orjson

from tests.bench.plots import plots_of
from tests.bench.targets import Results, Row, number, rows

PAGE: Final = "index.html"
ABOUT: Final = {
    "search": (
        "Search",
        "The same twelve searches asked of the service, of Elasticsearch directly with the same "
        "bodies, of a bare forwarder that checks nothing, and of the same service written with "
        "FastAPI in the ordinary way.",
    ),
    "indexing": (
        "Indexing",
        "Change events through Celery workers, beside the fastest way there could be (bare _bulk "
        "requests of documents that are rendered already) and beside ordinary ways.",
    ),
    "sync": (
        "Beside a general tool",
        "The same changes through the worker and through PGSync, a tool that copies PostgreSQL "
        "into Elasticsearch.",
    ),
    "reindex": (
        "Reindex",
        "Filling a new index from the live one beside Elasticsearch's own _reindex, from a file "
        "beside bare _bulk requests; and what searches notice while it runs.",
    ),
    "freshness": (
        "Freshness",
        "From the publication of an event to its being found by HTTP, idle and at half of what one "
        "worker can do. Real publisher, broker, worker and API.",
    ),
    "growth": (
        "Growth",
        "The same service over more and more recordings. What grows is the years: 100,000 "
        "recordings are one year of work, and three of four are the searched customer's. So what a "
        "word, a phrase, a tag or no filter at all finds grows with the size, and its exact total "
        "is counted each time; one month's recordings, and one owner's once a year is full, do not "
        "grow. The sizes are there at once and are asked in turns, and the filter cache of "
        "Elasticsearch is warm: what is asked for the first time takes longer, a phrase or a NOT "
        "that finds every third of 1,000,000 recordings up to four times.",
    ),
}
STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; color: #243447; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }
h1, h2 { line-height: 1.2 }
h2 { margin-top: 3rem; border-top: 1px solid #d5dde4; padding-top: 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-size: .93rem }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e6eaee }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.met { color: #2a7f62; font-weight: 600 } .missed { color: #c8442f; font-weight: 600 }
img { max-width: 100%; height: auto } figure { margin: 1.5rem 0 } .quiet { color: #5d6b78 }
figcaption { color: #5d6b78; font-size: .93rem }
"""


def write(folder: Path) -> Path:
    """Draw the plots of all results that are in this folder, and the page; returns its path."""
    found = [results for name in ABOUT if (results := _read(folder / f"{name}.json"))]
    for results in filter(_measured, found):
        for plot in plots_of(results):
            plot.draw(results).savefig(folder / f"{plot.name}.png")
    page = folder / PAGE
    page.write_text("\n".join(_page(found)), "utf-8")
    return page


def _read(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    results: dict[str, Any] = orjson.loads(file.read_bytes())
    return results


def _measured(results: Results) -> bool:
    """A section whose programs are not on this machine says what is missing instead."""
    return "missing" not in results


def _page(found: Sequence[Results]) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield f"<title>Benchmarks of recording search</title>\n<style>{STYLE}</style>"
    yield "<h1>Benchmarks of recording search</h1>"
    yield (
        "<p>Figures count as ratios that were measured in one run, side by side and in turns: what "
        "disturbs the machine disturbs both sides. Shown are the median of the rounds and, as "
        "min and max, the worst and the best of them. A target bounds the median.</p>"
    )
    for results in found:
        yield from _section(results)


def _section(results: Results) -> Iterator[str]:
    title, about = ABOUT[results["section"]]
    yield f"<h2>{escape(title)}</h2>\n<p>{escape(about)}</p>"
    if not _measured(results):
        yield f"<p>Not measured: {escape(results['missing'])}</p>"
        return
    yield f'<p class="quiet">{escape(_conditions(results))}</p>'
    yield "<table><tr><th>figure<th class=n>min<th class=n>median<th class=n>max<th>target<th></tr>"
    yield from map(_row, rows(results))
    yield "</table>"
    for plot in plots_of(results):
        text = escape(plot.caption)
        yield f'<figure><img src="{plot.name}.png" alt="{text}">'
        yield f"<figcaption>{text}</figcaption></figure>"


def _conditions(results: Results) -> str:
    machine = results["machine"]
    form = "the quick form: less data, fewer rounds" if results["quick"] else "the full form"
    when = results["at"].replace("T", " ").replace("+00:00", " UTC")
    return (
        f"{when}; {form}; {results['rounds']} rounds. {results['data']}. "
        f"{machine['cores']} cores, {machine['memoryGiB']} GiB, {machine['processor']}, "
        f"{machine['system']}, Python {machine['python']}, "
        f"Elasticsearch {results['elasticsearch']}."
    )


def _row(row: Row) -> str:
    word = {True: "met", False: "missed", None: ""}[row.met]
    values = (row.least, row.middle, row.most)
    cells = "".join(f"<td class=n>{number(value)}{row.unit}" for value in values)
    return (
        f"<tr><td>{escape(row.name)}{cells}<td>{row.bound}<td class={word or 'quiet'}>{word}</tr>"
    )
