"""Names of the indices and aliases. Programs use aliases; only `init` names an index."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IndexNames:
    """The names under one prefix (`RECORDINGS_INDEX_PREFIX`)."""

    prefix: str

    @property
    def recordings(self) -> str:
        """The alias that workers write and the API reads."""
        return f"{self.prefix}-recordings"

    @property
    def first_recordings_index(self) -> str:
        """The index that `init` makes behind the alias."""
        return f"{self.prefix}-recordings-000001"

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
        ]
