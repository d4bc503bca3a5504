"""Schemathesis: requests made from the OpenAPI document, with all checks of the answers."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

USER = "aaaaaaaa-0000-4000-8000-00000000000a"
FOLDER = Path(__file__).parent / "schemathesis"
# `make test-api` for the long form: some ten thousand cases.
EXAMPLES = 1_000 if os.environ.get("RECORDINGS_TEST_SIZE") == "full" else 60
SEED = 5


@pytest.fixture(scope="module", autouse=True)
def _served(deployment: Any, eventually: Callable[..., Any]) -> None:
    lines = "\n".join(json.dumps(event(number)) for number in range(30))
    given = lines.encode()
    assert deployment.run("recordings-indexer", "publish", "-", given=given).returncode == 0
    deployment.start("recordings-indexer", "worker")
    deployment.serve()
    eventually(lambda: deployment.total() == 30)


def event(number: int) -> dict[str, Any]:
    """Recordings that have much, and some that have nothing."""
    full = {
        "direction": "IN",
        "date": f"2026-04-{number + 1:02}T10:24:40Z",
        "duration": 60 * number,
        "channels": 2,
        "analysisResult": {"score": 0.1, "sentiment": "POSITIVE", "status": 2},
        "tags": [{"id": USER, "value": "Complaint"}],
        "from": {"fullName": "Ada Lovelace", "phoneNumber": "+390212345678"},
        "video": {"status": "ERROR", "errorDetail": "no camera"} if number % 2 else None,
        "language": "en",
        "transcript": [{"speaker": "agent", "offset": 1, "text": "A date of birth. Refunded."}],
    }
    return {
        "type": "recording.saved",
        "tenantId": "acme",
        "recordingId": f"r-{number}",
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {"ownerId": USER} | (full if number % 3 else {}),
    }


def test_every_answer_is_one_of_the_document(
    deployment: Any, make_token: Callable[..., str]
) -> None:
    done = deployment.run(
        "schemathesis",
        f"--config-file={FOLDER / 'schemathesis.toml'}",
        "run",
        f"{deployment.base}/openapi.json",
        "--checks=all",
        f"--max-examples={EXAMPLES}",
        f"--seed={SEED}",
        "--continue-on-failure",
        f"--header=Authorization: Bearer {make_token(USER, 'administrator', 'acme')}",
        "--no-color",
        seconds=1800,
        SCHEMATHESIS_HOOKS="hooks",
        PYTHONPATH=str(FOLDER),
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
