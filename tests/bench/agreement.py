"""Before anything is measured: all four sides answer each search, and with the same.

What an answer must be is worked out here from what Elasticsearch told, after the published
endpoint and not with the service's own presenter.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from tests.bench.errors import BenchError
from tests.bench.questions import QUANTITY, Question
from tests.bench.sides import DIRECT, FASTAPI, FORWARDER, SERVICE, Side
from tests.bench.wire import exchange

# Of an answer, and where the index has it.
SAME_NAME: Final = (
    "ownerId",
    "direction",
    "date",
    "analysisResult",
    "channels",
    "duration",
    "tags",
    "hasNotes",
)
NOBODY: Final = {"fullName": None, "phoneNumber": None}


def check(sides: Sequence[Side], questions: Sequence[Question]) -> dict[str, int]:
    """How many recordings each question finds. Raises BenchError where two sides differ."""
    by_name = {side.name: side for side in sides}
    return {
        question.name: _check(by_name, place, question.name)
        for place, question in enumerate(questions)
    }


def _check(sides: Mapping[str, Side], place: int, name: str) -> int:
    answers = {side.name: _ask(side, place, name) for side in sides.values()}
    expected = expected_answer(orjson.loads(answers[DIRECT]))
    for side in SERVICE, FASTAPI:
        if orjson.loads(answers[side]) != expected:
            raise BenchError(f"{name}: {side} does not answer what Elasticsearch holds")
    if answers[FORWARDER] != answers[DIRECT]:
        raise BenchError(f"{name}: the forwarder changes the answer")
    total: int = expected["total"]
    if not total or len(expected["recordings"]) != min(total, QUANTITY):
        raise BenchError(f"{name}: finds {total}, shows {len(expected['recordings'])}")
    return total


def _ask(side: Side, place: int, name: str) -> bytes:
    answer = exchange(side.address, side.requests[place])
    if answer.status != 200:
        raise BenchError(f"{name}: {side.name} answered {answer.status}")
    return answer.body


def expected_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint's answer to what Elasticsearch answered."""
    hits = answer["hits"]
    sources = [hit["_source"] for hit in hits.get("hits", ())]
    if len(sources) > QUANTITY:
        sources = sources[1 : QUANTITY + 1]  # a later page comes with its neighbours
    return {"total": hits["total"]["value"], "recordings": [_recording(one) for one in sources]}


def _recording(source: Mapping[str, Any]) -> dict[str, Any]:
    recording = {name: source[name] for name in SAME_NAME}
    recording["id"] = source["recordingId"]
    recording["from"] = source["from"] or NOBODY
    recording["to"] = source["to"] or NOBODY
    video = source["video"]
    recording["video"] = video and {
        name: value
        for name, value in video.items()
        if name == "status" or video["status"] == "ERROR"
    }
    return recording
