"""When one document is behind another."""

from typing import Any

import pytest

from indexer.reindex.versions import what_is_behind

TOMBSTONE: dict[str, Any] = {"deleted": True, "version": 5}


def document(version: int | None, **notes: tuple[int, bool]) -> dict[str, Any]:
    """A recording in this version, and its notes as (version, not deleted)."""
    own = {} if version is None else {"ownerId": "o", "version": version}
    return own | {
        "notes": [
            {"id": name, "version": number} | ({"authorId": None} if there else {})
            for name, (number, there) in notes.items()
        ]
    }


@pytest.mark.parametrize(
    ("new", "old", "behind"),
    [
        pytest.param(document(1), document(1), None, id="the same"),
        pytest.param(document(2), document(1), None, id="newer"),
        pytest.param(None, document(1), "missing", id="missing"),
        pytest.param(document(1), document(2), "recording in version 1 instead of 2", id="older"),
        pytest.param(document(None), document(2), "recording missing", id="no recording"),
        pytest.param(document(1), document(None), None, id="a recording more"),
        pytest.param(document(1), document(1, n=(1, True)), "note n missing", id="no note"),
        pytest.param(
            document(1, n=(1, True)),
            document(1, n=(2, False)),
            "note n in version 1 instead of 2",
            id="a note not deleted",
        ),
        pytest.param(
            document(1, n=(2, True)),
            document(1, n=(2, False)),
            "note n in version 2 instead of 2, not deleted",
            id="a note not deleted in the same version",
        ),
        pytest.param(document(1, n=(3, True)), document(1, n=(2, False)), None, id="a note back"),
        pytest.param(
            document(9), TOMBSTONE, "deleted, and not so in the new index", id="not deleted"
        ),
        pytest.param(TOMBSTONE, document(9), "deleted in the new index alone", id="deleted alone"),
        pytest.param(TOMBSTONE, TOMBSTONE, None, id="both deleted"),
        pytest.param(
            TOMBSTONE | {"version": 4},
            TOMBSTONE,
            "deleted in version 4 instead of 5",
            id="an older deletion",
        ),
    ],
)
def test_what_is_behind(
    new: dict[str, Any] | None, old: dict[str, Any], behind: str | None
) -> None:
    assert what_is_behind(new, old) == behind
