"""Names of the indices and aliases, and over how many nodes an index can be spread. Programs use
aliases; only `init` names an index.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Layout:
    """How many shards an index has, and how many copies of each as far as there are nodes for them.

    Nothing depends on the number of shards: sorts end in the recording's id, totals are exact, and
    a score is of its text alone (`services.schema`).
    """

    shards: int = 1
    replicas: int = 1

    def settings(self) -> dict[str, str | int]:
        """As settings of an index."""
        return {"number_of_shards": self.shards, "auto_expand_replicas": f"0-{self.replicas}"}


ONE_SHARD: Final = Layout()


@dataclass(frozen=True, slots=True)
class IndexNames:
    """The names under one prefix (`RECORDINGS_INDEX_PREFIX`)."""

    prefix: str

    @property
    def recordings(self) -> str:
        """The alias that is read: of one index, always a whole one. Workers write elsewhere, see
        `written`.
        """
        return f"{self.prefix}-recordings"

    @property
    def first_recordings_index(self) -> str:
        """The index that `init` makes behind the alias."""
        return f"{self.recordings}-000001"

    def next_recordings_index(self, index: str) -> str:
        """The name after this one, for a reindex."""
        return f"{self.recordings}-{int(index.rpartition('-')[2]) + 1:06}"

    def written(self, index: str) -> str:
        """The alias by which workers read and write this index of recordings, for ever this one.

        An alias that moves from one index to another would not do: what was read of one index
        (`if_seq_no`) could by chance allow a write to the other. The index's own name would not do
        either: a write to an index that is gone would make it anew.
        """
        return f"{index}-write"

    @property
    def reindex(self) -> str:
        """The alias of the state of a reindex, which says as well which indices are written."""
        return f"{self.prefix}-reindex"

    @property
    def first_reindex_index(self) -> str:
        """The index that `init` makes behind that alias."""
        return f"{self.prefix}-reindex-000001"

    @property
    def groups(self) -> str:
        """The alias of the groups that supervisors have."""
        return f"{self.prefix}-groups"

    @property
    def first_groups_index(self) -> str:
        """The index that `init` makes behind that alias."""
        return f"{self.prefix}-groups-000001"

    @property
    def dead_letters(self) -> str:
        """The alias of the events that could not be applied."""
        return f"{self.prefix}-dead-letters"

    @property
    def first_dead_letters_index(self) -> str:
        """The index that `init` makes behind that alias."""
        return f"{self.prefix}-dead-letters-000001"

    @property
    def first_indices(self) -> list[str]:
        """All that `init` makes."""
        return [
            self.first_recordings_index,
            self.first_groups_index,
            self.first_dead_letters_index,
            self.first_reindex_index,
        ]
