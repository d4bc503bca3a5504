"""Documents of the index in the form of the answer."""

from collections.abc import Mapping
from typing import Any

from api.facets import facets_of
from api.highlights import matches
from api.models import Party, Recording, RecordingList, Video
from api.parameters import ListParameters
from api.wire import Hit, Page

_UNKNOWN_PARTY: Party = {"fullName": None, "phoneNumber": None}


def present_page(page: Page, asked: ListParameters, next_cursor: str | None) -> RecordingList:
    """The body of a page, with what was asked for beside the recordings."""
    hits = page.hits[: asked.quantity]
    body: RecordingList = {
        "total": page.total,
        "recordings": [
            _with_matches(hit) if asked.highlight else present(hit.source) for hit in hits
        ],
    }
    if asked.facets:
        body["facets"] = facets_of(page.aggregations, asked.facets)
    if asked.cursor is not None:
        body["nextCursor"] = next_cursor
    return body


def _with_matches(hit: Hit) -> Recording:
    recording = present(hit.source)
    recording["matches"] = matches(hit.source, hit.highlight)
    return recording


def present(source: Mapping[str, Any]) -> Recording:
    """One recording under the endpoint's names; what is not known is null, never missing."""
    return {
        "id": source["recordingId"],
        "ownerId": source["ownerId"],
        "direction": source["direction"],
        "from": source["from"] or _UNKNOWN_PARTY,
        "to": source["to"] or _UNKNOWN_PARTY,
        "date": source["date"],
        "analysisResult": source["analysisResult"],
        "channels": source["channels"],
        "duration": source["duration"],
        "tags": source["tags"],
        "video": _video(source["video"]),
        "hasNotes": source["hasNotes"],
    }


def _video(video: Video | None) -> Video | None:
    """`errorDetail` is there for errors only."""
    if video is None or video["status"] == "ERROR":
        return video
    return {"status": video["status"]}
