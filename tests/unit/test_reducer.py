"""The merge: any order, any repeat and any grouping of a history end in the same state."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import events, reducer
from indexer.documents import from_source, to_source
from indexer.events import Event
from indexer.reducer import GroupState, RecordingState

OWNER = "1efc024d-0000-4000-8000-00000000000a"
EMPTY = RecordingState("acme", "r-1")
NO_GROUP = GroupState("acme", "g-1")


def event(kind: str, version: int, **more: Any) -> Event:
    envelope = {
        "type": kind,
        "tenantId": "acme",
        "recordingId": "r-1",
        "version": version,
        "occurredAt": "2026-04-25T10:30:00Z",
    }
    return events.parse(envelope | more)


def saved(version: int, **content: Any) -> Event:
    return event("recording.saved", version, recording={"ownerId": OWNER} | content)


def note_saved(version: int, text: str, note_id: str = "n-1") -> Event:
    return event("note.saved", version, noteId=note_id, note={"authorId": OWNER, "text": text})


def note_deleted(version: int, note_id: str = "n-1") -> Event:
    return event("note.deleted", version, noteId=note_id)


def deleted(version: int) -> Event:
    return event("recording.deleted", version)


VERSIONS = st.integers(0, 4)
TURNS = st.lists(
    st.fixed_dictionaries(
        {
            "speaker": st.sampled_from(["agent", "customer", "other"]),
            "offset": st.none() | st.floats(0, 1000),
            "text": st.text(max_size=8),
        }
    ),
    max_size=3,
)
HISTORIES = st.lists(
    st.one_of(
        st.builds(
            lambda version, turns, language: saved(version, transcript=turns, language=language),
            VERSIONS,
            TURNS,
            st.sampled_from([None, "en", "it", "xx"]),
        ),
        st.builds(note_saved, VERSIONS, st.text(max_size=8), st.sampled_from(["n-1", "n-2"])),
        st.builds(note_deleted, VERSIONS, st.sampled_from(["n-1", "n-2"])),
        st.builds(deleted, VERSIONS),
    ),
    max_size=8,
)
# Most histories keep their recording: a deletion would hide all else.
LIVING = HISTORIES.map(lambda h: [e for e in h if e.type != "recording.deleted"])


@given(st.one_of(HISTORIES, LIVING), st.randoms(use_true_random=False))
def test_order_repeats_and_grouping_do_not_matter(
    history: list[Event], chance: random.Random
) -> None:
    repeated = history + chance.choices(history, k=len(history)) if history else []
    chance.shuffle(repeated)
    middle = chance.randint(0, len(repeated))
    expected = reducer.apply(EMPTY, history)
    assert reducer.apply(EMPTY, repeated) == expected
    first = reducer.apply(EMPTY, repeated[:middle])
    assert reducer.apply(first, repeated[middle:]) == expected


@given(st.one_of(HISTORIES, LIVING), st.one_of(HISTORIES, LIVING))
def test_merging_states_is_applying_the_events_of_both(
    one: list[Event], other: list[Event]
) -> None:
    first, second = reducer.apply(EMPTY, one), reducer.apply(EMPTY, other)
    both = reducer.apply(EMPTY, one + other)
    assert reducer.merge(first, second) == both
    assert reducer.merge(second, first) == both
    assert reducer.merge(both, first) == both
    assert reducer.merge(EMPTY, first) == first


@given(*[st.one_of(HISTORIES, LIVING)] * 3)
def test_merging_states_in_any_grouping(
    one: list[Event], two: list[Event], three: list[Event]
) -> None:
    a, b, c = (reducer.apply(EMPTY, history) for history in (one, two, three))
    assert reducer.merge(reducer.merge(a, b), c) == reducer.merge(a, reducer.merge(b, c))


@given(st.one_of(HISTORIES, LIVING))
def test_a_document_holds_the_whole_state(history: list[Event]) -> None:
    state = reducer.apply(EMPTY, history)
    assert from_source(to_source(state, "IT")) == state


@given(HISTORIES, HISTORIES)
def test_nothing_follows_a_deletion(before: list[Event], after: list[Event]) -> None:
    state = reducer.apply(EMPTY, [*before, deleted(9), *after])
    assert to_source(state, None) == {
        "tenantId": "acme",
        "recordingId": "r-1",
        "version": 9,
        "deleted": True,
    }


def group(version: int, members: list[str] | None) -> Event:
    kind = "group.deleted" if members is None else "group.saved"
    envelope = {"type": kind, "tenantId": "acme", "groupId": "g-1", "version": version}
    content = {} if members is None else {"group": {"members": members}}
    return events.parse(envelope | {"occurredAt": "2026-04-25T10:30:00Z"} | content)


GROUP_HISTORIES = st.lists(
    st.builds(
        group,
        VERSIONS,
        st.none() | st.lists(st.sampled_from([OWNER, OWNER.replace("1efc", "2efc")]), max_size=2),
    ),
    max_size=6,
)


@given(GROUP_HISTORIES.filter(bool), st.randoms(use_true_random=False))
def test_groups_converge_too(history: list[Event], chance: random.Random) -> None:
    repeated = history + chance.choices(history, k=len(history))
    chance.shuffle(repeated)
    state = reducer.apply(NO_GROUP, history)
    assert reducer.apply(NO_GROUP, repeated) == state
    assert from_source(to_source(state, None)) == state


def test_a_deleted_group_has_no_members_until_a_higher_version() -> None:
    gone = reducer.apply(NO_GROUP, [group(1, [OWNER]), group(2, None)])
    assert "members" not in to_source(gone, None)
    assert "members" not in to_source(reducer.apply(gone, [group(1, [OWNER])]), None)
    assert to_source(reducer.apply(gone, [group(3, [OWNER])]), None)["members"] == [OWNER]


def test_a_note_before_its_recording_is_kept_and_appears_with_it() -> None:
    early = reducer.apply(EMPTY, [note_saved(1, "call back")])
    assert "ownerId" not in to_source(early, None)
    document = to_source(reducer.apply(early, [saved(1, language="en")]), None)
    assert document["hasNotes"] is True
    assert document["notes"][0]["text"] == {"en": "call back"}


def test_a_deleted_note_comes_back_by_a_higher_version_only() -> None:
    gone = reducer.apply(EMPTY, [saved(1), note_saved(1, "a"), note_deleted(2)])
    assert to_source(reducer.apply(gone, [note_saved(1, "a")]), None)["hasNotes"] is False
    assert to_source(reducer.apply(gone, [note_saved(3, "b")]), None)["hasNotes"] is True


def test_a_deleted_note_leaves_no_word() -> None:
    gone = reducer.apply(EMPTY, [saved(1), note_saved(1, "secret"), note_deleted(2)])
    assert to_source(gone, None)["notes"] == [{"id": "n-1", "version": 2}]


def test_the_language_decides_under_which_field_the_text_goes() -> None:
    turns = [{"speaker": "agent", "offset": 1, "text": "ciao"}]
    for language, key in [
        ("it", "it"),
        ("it-CH", "it"),
        ("IT", "it"),
        ("xx", "none"),
        (None, "none"),
    ]:
        state = reducer.apply(EMPTY, [saved(1, transcript=turns, language=language)])
        assert to_source(state, None)["transcript"] == [{"offset": 1, "agent": {key: "ciao"}}]


def test_states_of_groups_are_merged() -> None:
    before, after = (
        reducer.apply(NO_GROUP, [group(version, members)])
        for version, members in ((1, []), (2, None))
    )
    assert reducer.merge(before, after) == reducer.merge(after, before) == after
    with pytest.raises(TypeError):
        reducer.merge(before, EMPTY)
