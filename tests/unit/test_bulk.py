"""What a bulk answer says of one item."""

import pytest

from indexer.bulk import Verdict, verdict


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        pytest.param(200, "", Verdict.DONE, id="written"),
        pytest.param(201, "", Verdict.DONE, id="created"),
        pytest.param(409, "version_conflict_engine_exception", Verdict.CONFLICT, id="conflict"),
        pytest.param(429, "es_rejected_execution_exception", Verdict.LATER, id="too many"),
        pytest.param(503, "unavailable_shards_exception", Verdict.LATER, id="unavailable"),
        pytest.param(404, "index_not_found_exception", Verdict.LATER, id="the index is missing"),
        pytest.param(403, "security_exception", Verdict.LATER, id="our key may not"),
        pytest.param(400, "document_parsing_exception", Verdict.REFUSED, id="the mapping refuses"),
        pytest.param(413, "too_large", Verdict.REFUSED, id="another fault of the document"),
    ],
)
def test_each_item_is_judged_by_itself(status: int, error: str, expected: Verdict) -> None:
    item = {"index": {"status": status} | ({"error": {"type": error}} if error else {})}
    assert verdict(item) == (expected, error)
