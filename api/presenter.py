"""Documents of the index in the form of the answer."""

from collections.abc import Mapping
from typing import Any

from api.search import Page

_UNKNOWN_PARTY = {"fullName": None, "phoneNumber": None}


def present_page(page: Page) -> dict[str, Any]:
    """The body of a page."""
    return {"total": page.total, "recordings": [present(source) for source in page.sources]}


def present(source: Mapping[str, Any]) -> dict[str, Any]:
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


def _video(video: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """`errorDetail` is there for errors only."""
    if video is None or video["status"] == "ERROR":
        return video
    return {"status": video["status"]}
