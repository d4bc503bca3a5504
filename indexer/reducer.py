"""The merge of change events into a state: pure, in any order, any number of times.

`apply`, and `merge` of two states, are commutative, associative and idempotent. Of each thing (a
recording, a note, a group) the highest version wins; a recording's deletion absorbs everything,
before and after it. Two contents under one version break the product's promise; even then the
result does not depend on the order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import orjson

from indexer.events import (
    Event,
    GroupDeleted,
    GroupEvent,
    GroupSaved,
    NoteDeleted,
    NoteSaved,
    RecordingDeleted,
    RecordingEvent,
    RecordingSaved,
)

Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Revision:
    """A thing at a version; `content` (as in the event, JSON) is None when it is deleted."""

    version: int
    content: Content | None


@dataclass(frozen=True, slots=True)
class RecordingState:
    """All that the index knows of one recording.

    `deleted` is the version of its deletion; then there is nothing else.
    """

    tenant_id: str
    recording_id: str
    recording: Revision | None = None
    notes: Mapping[str, Revision] = field(default_factory=dict)
    deleted: int | None = None


@dataclass(frozen=True, slots=True)
class GroupState:
    """All that the index knows of one group."""

    tenant_id: str
    group_id: str
    group: Revision | None = None


State = RecordingState | GroupState


def nothing_of(event: Event) -> State:
    """The state of this event's recording or group before any event."""
    match event:
        case GroupSaved() | GroupDeleted():
            return GroupState(event.tenant_id, event.group_id)
    return RecordingState(event.tenant_id, event.recording_id)


def apply(state: State, events: Iterable[Event]) -> State:
    """The state after these events, all of the same recording or of the same group."""
    return reduce(_apply_one, events, state)


def merge(one: State, other: State) -> State:
    """The state after all events of which these two are states; both of the same recording or of
    the same group. Commutative, associative and idempotent as `apply` is, and in accord with it.
    """
    match one, other:
        case RecordingState(), RecordingState():
            return _merged_recordings(one, other)
        case GroupState(), GroupState():
            return replace(one, group=_newer(one.group, other.group))
    raise TypeError("a recording and a group are never merged")


def _merged_recordings(one: RecordingState, other: RecordingState) -> RecordingState:
    deletions = [state.deleted for state in (one, other) if state.deleted is not None]
    if deletions:
        return RecordingState(one.tenant_id, one.recording_id, deleted=max(deletions))
    notes = dict(one.notes)
    for note_id, note in other.notes.items():
        notes[note_id] = _newest(notes.get(note_id), note)
    return replace(one, recording=_newer(one.recording, other.recording), notes=notes)


def _newer(one: Revision | None, other: Revision | None) -> Revision | None:
    return one if other is None else _newest(one, other)


def _apply_one(state: State, event: Event) -> State:
    match state, event:
        case RecordingState(), (
            RecordingSaved() | RecordingDeleted() | NoteSaved() | NoteDeleted()
        ):
            return _of_recording(state, event)
        case GroupState(), (GroupSaved() | GroupDeleted()):
            return _of_group(state, event)
    raise TypeError(f"a {event.type} is not of this {type(state).__name__}")


def _of_recording(state: RecordingState, event: RecordingEvent) -> RecordingState:
    match event:
        case RecordingDeleted():
            version = max(event.version, -1 if state.deleted is None else state.deleted)
            return RecordingState(state.tenant_id, state.recording_id, deleted=version)
        case _ if state.deleted is not None:
            return state
        case RecordingSaved():
            revision = Revision(event.version, event.recording.model_dump(by_alias=True))
            return replace(state, recording=_newest(state.recording, revision))
        case NoteSaved():
            return _with_note(state, event, event.note.model_dump(by_alias=True))
        case NoteDeleted():
            return _with_note(state, event, None)


def _of_group(state: GroupState, event: GroupEvent) -> GroupState:
    content = event.group.model_dump(by_alias=True) if isinstance(event, GroupSaved) else None
    return replace(state, group=_newest(state.group, Revision(event.version, content)))


def _with_note(
    state: RecordingState, event: NoteSaved | NoteDeleted, content: Content | None
) -> RecordingState:
    newest = _newest(state.notes.get(event.note_id), Revision(event.version, content))
    return replace(state, notes={**state.notes, event.note_id: newest})


def _newest(known: Revision | None, incoming: Revision) -> Revision:
    if known is None or incoming.version > known.version:
        return incoming
    if incoming.version < known.version:
        return known
    return max(known, incoming, key=_precedence)


def _precedence(revision: Revision) -> tuple[bool, bytes]:
    """Which of two revisions with one version stays: a deletion, else an arbitrary fixed one."""
    return revision.content is None, orjson.dumps(revision.content, option=orjson.OPT_SORT_KEYS)
