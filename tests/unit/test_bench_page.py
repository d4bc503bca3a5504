"""The page of the benchmarks: from the results that are there, each target judged rightly."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.bench import page
from tests.bench.targets import Row
from tests.bench.years import A_YEAR, STAFF, Years

MACHINE = {"cores": 2, "memoryGiB": 8.0, "processor": "A <fast> one", "system": "Linux"}
CONDITIONS: dict[str, Any] = {
    "at": "2026-01-02T03:04:05+00:00",
    "machine": MACHINE | {"python": "3.11.0"},
    "quick": True,
    "rounds": 3,
    "elasticsearch": "9.4.3",
    "data": "10 conversations",
}
PROBES = {"roundsMs": [[400.0, 900.0], [600.0, 1000.0]], "p50": 750.0, "max": 1000.0}


def freshness(p95: float) -> dict[str, Any]:
    side = PROBES | {"p95": p95}
    found = {"targetMs": 1500.0, "idle": PROBES | {"p95": 1000.0}, "underLoad": side}
    return CONDITIONS | {"section": "freshness", "freshness": found}


@pytest.mark.parametrize(
    ("p95", "word"),
    [
        pytest.param(1500.0, "met", id="just met"),
        pytest.param(1501.0, "missed", id="just missed"),
    ],
)
def test_a_section_is_drawn_and_its_targets_judged(tmp_path: Path, p95: float, word: str) -> None:
    (tmp_path / "freshness.json").write_bytes(orjson.dumps(freshness(p95)))
    text = page.write(tmp_path).read_text()
    (row,) = [line for line in text.splitlines() if "p95, under load" in line]
    assert row.endswith(f"<td class={word}>{word}</tr>")
    assert "A &lt;fast&gt; one" in text
    assert "<h2>Freshness</h2>" in text
    assert "<h2>Search</h2>" not in text
    drawn = {file.name for file in tmp_path.glob("*.png")}
    assert drawn == {"freshness-targets.png", "freshness-distribution.png"}
    assert all(f'src="{name}"' in text for name in drawn)


def test_a_section_that_was_not_measured_says_why(tmp_path: Path) -> None:
    results = CONDITIONS | {"section": "sync", "missing": "PostgreSQL is not installed"}
    (tmp_path / "sync.json").write_bytes(orjson.dumps(results))
    assert "Not measured: PostgreSQL is not installed" in page.write(tmp_path).read_text()
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    ("at_most", "middle", "met", "times_as_good"),
    [
        pytest.param(False, 0.6, False, 0.75, id="too little"),
        pytest.param(False, 0.8, True, 1.0, id="just enough"),
        pytest.param(True, 0.8, True, 1.0, id="just not too much"),
        pytest.param(True, 1.6, False, 0.5, id="too much"),
    ],
)
def test_a_target_is_a_bound(at_most: bool, middle: float, met: bool, times_as_good: float) -> None:
    row = Row("figure", middle, middle, middle, 0.8, at_most)
    assert row.met is met
    assert row.of_target(middle) == pytest.approx(times_as_good)


def test_years_grow_by_dates_and_owners() -> None:
    event = {
        "type": "recording.saved",
        "tenantId": "bench",
        "recordingId": "r",
        "version": 1,
        "occurredAt": "2026-01-01T00:00:00Z",
        "recording": {"ownerId": "o", "date": "2026-01-01T00:00:00Z", "transcript": []},
    }
    years = Years([event], [{}])
    first = [years.event(number) for number in range(1000)]
    later = [years.event(A_YEAR + number) for number in range(1000)]
    assert len({one["recordingId"] for one in first + later}) == 2000
    assert sum(one["tenantId"] == "bench" for one in first) == 750
    owners, others = ({one["recording"]["ownerId"] for one in some} for some in (first, later))
    assert len(owners) == STAFF
    assert not owners & others
    assert first[0]["recording"]["date"] == "2016-01-01T00:00:00Z"
    assert later[0]["recording"]["date"] == "2016-12-31T00:00:00Z"
