"""What the contract says a request finds, worked out in plain Python over all recordings.

Written from the contract alone: no part of the product is used but the types of who asks. A query
is a small tree of its own; each atom is looked up in all turns and notes.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from services.acl import Principal, Role
from tests.differential.corpus import FAMILIES, GROUPS, TENANTS, Recording, Told, fold

SPOKEN = ("agent", "customer", "other")


@dataclass(frozen=True)
class Atom:
    """A word (`exact` False), a prefix, or a phrase (`exact` True) with `gaps`."""

    words: tuple[str, ...]
    exact: bool = False
    prefix: bool = False
    gaps: int = 0
    side: str | None = None

    def is_in(self, told: Told, language: str | None) -> bool:
        said = told.words
        return any(
            self._same(self.words[0], first, language)
            and self._rest(said, place + 1, 1, self.gaps, language)
            for place, first in enumerate(said)
        )

    def _rest(
        self, said: Sequence[str], place: int, n: int, gaps: int, language: str | None
    ) -> bool:
        """Whether the words from the n-th on follow; `gaps` counts all words between."""
        if n == len(self.words):
            return True
        return any(
            self._same(self.words[n], said[place + skipped], language)
            and self._rest(said, place + skipped + 1, n + 1, gaps - skipped, language)
            for skipped in range(gaps + 1)
            if place + skipped < len(said)
        )

    def _same(self, asked: str, said: str, language: str | None) -> bool:
        if self.exact:
            return asked == said
        if self.prefix:
            return any(form.startswith(fold(asked)) for form in _forms(said))
        family = _family(fold(asked.rpartition("'")[2]), language)
        return any(form in family for form in _forms(said))


@dataclass(frozen=True)
class Not:
    child: "Query"


@dataclass(frozen=True)
class Group:
    """`kind` is AND or OR."""

    kind: str
    children: tuple["Query", ...]


Query = Atom | Not | Group


def _forms(said: str) -> set[str]:
    """A word folded, and without its elided article."""
    return {fold(said), fold(said.rpartition("'")[2])}


def _family(word: str, language: str | None) -> set[str]:
    for family in FAMILIES.get((language or "")[:2], ()):
        forms = {fold(form) for form in family}
        if word in forms:
            return forms
    return {word}


def positive_atoms(query: Query, negated: bool = False) -> list[Atom]:
    match query:
        case Not(child):
            return positive_atoms(child, not negated)
        case Group(_, children):
            return [atom for child in children for atom in positive_atoms(child, negated)]
    return [] if negated else [query]


@dataclass(frozen=True)
class Unit:
    """A turn or a note, and the place of its recording in the corpus."""

    recording: int
    language: str | None
    told: Told


class Oracle:
    """Answers for one corpus."""

    def __init__(self, recordings: list[Recording]) -> None:
        self.recordings = recordings
        self.everything = set(range(len(recordings)))
        self.units = [
            Unit(place, recording.content["language"], told)
            for place, recording in enumerate(recordings)
            for told in recording.told
        ]
        self._found: dict[Atom, set[int]] = {}

    @cached_property
    def _having(self) -> dict[str, set[int]]:
        """The units that have a word, exact, or folded after a blank."""
        having: dict[str, set[int]] = defaultdict(set)
        for number, unit in enumerate(self.units):
            for word in unit.told.words:
                having[word].add(number)
                for form in _forms(word):
                    having[f" {form}"].add(number)
        return having

    def units_of(self, atom: Atom, places: Iterable[str]) -> set[int]:
        if atom not in self._found:
            self._found[atom] = {
                number
                for number in self._candidates(atom)
                if atom.is_in(self.units[number].told, self.units[number].language)
            }
        wanted = {atom.side} if atom.side else set(places)
        return {n for n in self._found[atom] if self.units[n].told.place in wanted}

    def _candidates(self, atom: Atom) -> set[int]:
        first = atom.words[0]
        if atom.exact:
            return self._having[first]
        if atom.prefix:
            keys = [key for key in self._having if key.startswith(f" {fold(first)}")]
        else:
            word = fold(first.rpartition("'")[2])
            keys = [f" {form}" for language in FAMILIES for form in _family(word, language)]
        return set().union(*(self._having[key] for key in keys))

    def recordings_of(self, query: Query, places: Iterable[str]) -> set[int]:
        match query:
            case Not(child):
                return self.everything - self.recordings_of(child, places)
            case Group(kind, children):
                each = [self.recordings_of(child, places) for child in children]
                return set.intersection(*each) if kind == "AND" else set.union(*each)
        return {self.units[n].recording for n in self.units_of(query, places)}

    def matches(self, place: int, words: Query | None, notes: Query | None) -> list[Any]:
        """Where the recording has what the queries want: (field, speaker, offset, text)."""
        numbers: set[int] = set()
        for query, places in ((words, SPOKEN), (notes, ("notes",))):
            for atom in positive_atoms(query) if query else ():
                numbers |= self.units_of(atom, places)
        told = [self.units[n].told for n in sorted(numbers) if self.units[n].recording == place]
        return [
            ("notes", None, None, one.text)
            if one.place == "notes"
            else ("transcript", one.place, one.offset, one.text)
            for one in told
        ]


def sees(principal: Principal, recording: Recording) -> bool:
    """Section 2 of the contract."""
    if recording.tenant != principal.tenant_id:
        return False
    return principal.role in {Role.ADMINISTRATOR, Role.CONTROLLER} or may_name(
        principal, recording.owner
    )


def may_name(principal: Principal, user: str) -> bool:
    """Whether this user is in the principal's scope."""
    if principal.role in {Role.ADMINISTRATOR, Role.CONTROLLER} or user == principal.user_id:
        return True
    groups = principal.groups if principal.tenant_id == TENANTS[0] else ()
    return any(user in GROUPS.get(group, ()) for group in groups)


def in_order(recordings: Iterable[Recording], sort: str) -> list[Recording]:
    """By a property, ties by id in the same direction, what has no value last."""
    backwards = sort.startswith("-")
    value = VALUES[sort.removeprefix("-")]
    every = list(recordings)
    known = [each for each in every if value(each) is not None]
    unknown = [each for each in every if value(each) is None]
    known.sort(key=lambda each: (value(each), each.id), reverse=backwards)
    unknown.sort(key=lambda each: each.id, reverse=backwards)
    return known + unknown


VALUES: dict[str, Callable[[Recording], Any]] = {
    "date": lambda recording: recording.date,
    "duration": lambda recording: recording.content["duration"],
    "score": lambda recording: (recording.content["analysisResult"] or {}).get("score"),
}


def facet(recordings: Iterable[Recording], name: str) -> list[dict[str, Any]]:
    """The most frequent first, 100 at most; days by date, the newest hundred of them."""
    counts = Counter(value for each in recordings for value in COUNTED[name](each))
    if name == "day":
        return [{"value": day, "count": counts[day]} for day in sorted(counts)[-100:]]
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:100]
    return [{"value": value, "count": count} for value, count in ordered]


def _some(value: Any) -> list[Any]:
    return [] if value is None else [value]


COUNTED: dict[str, Callable[[Recording], list[Any]]] = {
    "sentiment": lambda r: _some((r.content["analysisResult"] or {}).get("sentiment")),
    "direction": lambda r: _some(r.content["direction"]),
    "tags": lambda r: [tag["id"] for tag in r.content["tags"]],
    "users": lambda r: [r.owner],
    "day": lambda r: _some(r.date and r.date.date().isoformat()),
}


def has_number(recording: Recording, asked: str, known: dict[str, tuple[Any, Any]]) -> bool:
    """`known` tells of each number its E.164 form and its extension."""
    written = [
        party["phoneNumber"]
        for party in (recording.content["from"], recording.content["to"])
        if party and party["phoneNumber"]
    ]
    digits = re.sub(r"\D", "", asked)
    for number in written:
        e164, extension = known[number]
        if asked in known:
            wanted, alone = known[asked]
            if wanted is None and alone is None:  # no valid number: by its end
                if re.sub(r"\D", "", number).endswith(digits):
                    return True
            elif wanted == e164 if wanted else alone == extension:
                return True
        elif len(digits) >= 4:
            main = re.sub(r"\D", "", number.partition(" ext")[0])
            if main.endswith(digits) or (e164 or "").endswith(digits):
                return True
        elif digits == extension:
            return True
    return False
