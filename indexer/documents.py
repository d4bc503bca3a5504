"""A state as a document of its index, and back.

`from_source(to_source(state)) == state`: the document holds everything that merging needs. Text
goes under its side and the recording's language, which is how `services.schema` analyses it.
"""

from collections.abc import Mapping
from typing import Any

from indexer.events import Event, GroupDeleted, GroupSaved
from indexer.reducer import Content, GroupState, RecordingState, Revision, State
from services import phones
from services.documents import document_id
from services.indices import IndexNames
from services.schema import LANGUAGES, OTHER_LANGUAGE, SIDES

Source = Mapping[str, Any]

_AS_THEY_ARE = (
    "ownerId",
    "direction",
    "from",
    "to",
    "date",
    "duration",
    "channels",
    "analysisResult",
    "tags",
    "video",
    "language",
)


def address_of(event: Event, names: IndexNames) -> tuple[str, str]:
    """The alias and the `_id` of the document that this event changes."""
    match event:
        case GroupSaved() | GroupDeleted():
            return names.groups, document_id(event.tenant_id, event.group_id)
    return names.recordings, document_id(event.tenant_id, event.recording_id)


def key_of(event: Event) -> tuple[str, ...]:
    """What tells the recordings and groups apart that events are about."""
    match event:
        case GroupSaved() | GroupDeleted():
            return "group", event.tenant_id, event.group_id
    return "recording", event.tenant_id, event.recording_id


def identity_of(state: State) -> str:
    """The `_id` of the document of this state."""
    own = state.group_id if isinstance(state, GroupState) else state.recording_id
    return document_id(state.tenant_id, own)


def to_source(state: State, region: str | None) -> dict[str, Any]:
    """The document; `region` is where the tenant's national telephone numbers belong."""
    if isinstance(state, GroupState):
        return _group(state)
    identity = {"tenantId": state.tenant_id, "recordingId": state.recording_id}
    if state.deleted is not None:
        return identity | {"version": state.deleted, "deleted": True}
    content = state.recording.content if state.recording else None
    analysis = _analysis_language(content)
    document = identity | {
        "hasNotes": any(note.content for note in state.notes.values()),
        "notes": [_note(note_id, note, analysis) for note_id, note in sorted(state.notes.items())],
    }
    if state.recording and content:
        document |= {"version": state.recording.version, **_recording(content, analysis, region)}
    return document


def from_source(source: Source) -> State:
    """The state that this document holds."""
    if "groupId" in source:
        return _group_back(source)
    tenant_id, recording_id = source["tenantId"], source["recordingId"]
    if source.get("deleted"):
        return RecordingState(tenant_id, recording_id, deleted=source["version"])
    recording = None
    if "ownerId" in source:
        content = {name: source[name] for name in _AS_THEY_ARE}
        content["transcript"] = [_turn_back(turn) for turn in source["transcript"]]
        recording = Revision(source["version"], content)
    notes = {note["id"]: _note_back(note) for note in source["notes"]}
    return RecordingState(tenant_id, recording_id, recording, notes)


def _group(state: GroupState) -> dict[str, Any]:
    """A deleted group has no members; what is left is its version."""
    document: dict[str, Any] = {"tenantId": state.tenant_id, "groupId": state.group_id}
    if state.group:
        document["version"] = state.group.version
        document |= state.group.content or {"deleted": True}
    return document


def _group_back(source: Source) -> GroupState:
    content = None if source.get("deleted") else {"members": source["members"]}
    revision = Revision(source["version"], content)
    return GroupState(source["tenantId"], source["groupId"], revision)


def _analysis_language(content: Content | None) -> str:
    language = content["language"] if content else None
    return language if language in LANGUAGES else OTHER_LANGUAGE


def _recording(content: Content, analysis: str, region: str | None) -> dict[str, Any]:
    document = {name: content[name] for name in _AS_THEY_ARE}
    document["phones"] = _phones(content, region)
    document["transcript"] = [
        {"offset": turn["offset"], turn["speaker"]: {analysis: turn["text"]}}
        for turn in content["transcript"]
    ]
    return document


def _phones(content: Content, region: str | None) -> dict[str, list[str]]:
    parties = (content["from"], content["to"])
    numbers = [party["phoneNumber"] for party in parties if party and party["phoneNumber"]]
    keys = [phones.keys_of(number, region) for number in numbers]
    return {
        "e164": [key.e164 for key in keys if key.e164],
        "reversed": [end[::-1] for key in keys for end in key.ends],
        "extension": [key.extension for key in keys if key.extension],
    }


def _turn_back(turn: Source) -> dict[str, Any]:
    speaker = next(side for side in SIDES if side in turn)
    (text,) = turn[speaker].values()
    return {"speaker": speaker, "offset": turn["offset"], "text": text}


def _note(note_id: str, note: Revision, analysis: str) -> dict[str, Any]:
    known = {"id": note_id, "version": note.version}
    if note.content is None:
        return known
    return known | {**note.content, "text": {analysis: note.content["text"]}}


def _note_back(note: Source) -> Revision:
    if "text" not in note:
        return Revision(note["version"], None)
    (text,) = note["text"].values()
    content = {"authorId": note["authorId"], "text": text, "createdAt": note["createdAt"]}
    return Revision(note["version"], content)
