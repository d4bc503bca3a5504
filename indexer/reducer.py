"""The merge of change events into a recording's state: pure, in any order, any number of times.

`apply` is commutative, associative and idempotent. Of each thing (the recording, each note) the
highest version wins; a recording's deletion absorbs everything, before and after it. Two contents
under one version break the product's promise; even then the result does not depend on the order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import orjson

from indexer.events import Event, NoteDeleted, NoteSaved, RecordingDeleted, RecordingSaved

Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Revision:
    """A thing at a version; `content` (as in the event, JSON) is None when it is deleted."""

    version: int
    content: Content | None


@dataclass(frozen=True, slots=True, order=True)
class Tombstone:
    """The deletion of the recording: its version and when it happened (milliseconds)."""

    version: int
    at: int


@dataclass(frozen=True, slots=True)
class State:
    """All that the index knows of one recording. With a tombstone there is nothing else."""

    tenant_id: str
    recording_id: str
    recording: Revision | None = None
    notes: Mapping[str, Revision] = field(default_factory=dict)
    tombstone: Tombstone | None = None


def apply(state: State, events: Iterable[Event]) -> State:
    """The state after these events of the same recording."""
    return reduce(_apply_one, events, state)


def _apply_one(state: State, event: Event) -> State:
    match event:
        case RecordingDeleted():
            return _deleted(state, Tombstone(event.version, event.occurred_at))
        case _ if state.tombstone:
            return state
        case RecordingSaved():
            revision = Revision(event.version, event.recording.model_dump(by_alias=True))
            return replace(state, recording=_newest(state.recording, revision))
        case NoteSaved():
            return _with_note(
                state, event.note_id, event.version, event.note.model_dump(by_alias=True)
            )
        case NoteDeleted():
            return _with_note(state, event.note_id, event.version, None)


def _deleted(state: State, tombstone: Tombstone) -> State:
    newest = max(state.tombstone, tombstone) if state.tombstone else tombstone
    return State(state.tenant_id, state.recording_id, tombstone=newest)


def _with_note(state: State, note_id: str, version: int, content: Content | None) -> State:
    newest = _newest(state.notes.get(note_id), Revision(version, content))
    return replace(state, notes={**state.notes, note_id: newest})


def _newest(known: Revision | None, incoming: Revision) -> Revision:
    if known is None or incoming.version > known.version:
        return incoming
    if incoming.version < known.version:
        return known
    return max(known, incoming, key=_precedence)


def _precedence(revision: Revision) -> tuple[bool, bytes]:
    """Which of two revisions with one version stays: a deletion, else an arbitrary fixed one."""
    return revision.content is None, orjson.dumps(revision.content, option=orjson.OPT_SORT_KEYS)
