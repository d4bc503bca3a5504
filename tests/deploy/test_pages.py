"""What is made from the code is what the code would make now."""

import json
from pathlib import Path

import pytest

from deploy.pages import DASHBOARD, pages, replaced
from tests.deploy import manifests
from tests.deploy.manifests import TOP


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(TOP)))
def test_a_page_is_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == pages()[path], "run `make pages`"


def test_every_setting_is_in_the_table() -> None:
    text = (TOP / "README.md").read_text("utf-8")
    for variable in manifests.variables():
        assert f"\n| `{variable}` |" in text


def test_the_dashboard_has_no_two_panels_at_one_place() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    places = {(one["gridPos"]["x"], one["gridPos"]["y"]) for one in panels}
    assert len(places) == len(panels) == len({one["id"] for one in panels})


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="settings"):
        replaced("nothing", "settings", "")
