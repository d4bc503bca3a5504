"""Random requests: the parameters as they are sent, and what the oracle says that they find."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from services.acl import Principal
from tests.differential.corpus import (
    FAMILIES,
    NUMBERS,
    START,
    TAGS,
    USERS,
    Recording,
    fold,
    random_principal,
    usable_families,
)
from tests.differential.oracle import (
    SPOKEN,
    Atom,
    Group,
    Not,
    Oracle,
    Query,
    has_number,
    in_order,
    may_name,
    sees,
)
from tests.uax29 import words_of

KNOWN_NUMBERS = {written: (e164, extension) for written, e164, extension in NUMBERS}
ENDS = ("5678", "345678", "286-4371", "12345", "0958", "19922", "9999")
FACETS = ("sentiment", "tags", "direction", "users", "day")
SORTS = ("date", "-date", "duration", "-duration", "score", "-score", "relevance")
SENTIMENTS = ("POSITIVE", "NEGATIVE", "NEUTRAL", "ERROR", "UNKNOWN")
Keep = Callable[[Recording], bool]


@dataclass
class Question:
    """Who asks for what; `forbidden` when the contract answers 403."""

    principal: Principal
    parameters: dict[str, str] = field(default_factory=dict)
    keeps: list[Keep] = field(default_factory=list)
    words: Query | None = None
    notes: Query | None = None
    forbidden: bool = False

    def __str__(self) -> str:
        return f"{self.principal} asked {self.parameters}"

    @property
    def sort(self) -> str:
        asked = self.parameters.get("sort", "-date")
        return "-date" if asked == "relevance" and not self.has_words else asked

    @property
    def has_words(self) -> bool:
        return self.words is not None or self.notes is not None


class Questions:
    """Makes them, out of what the corpus has."""

    def __init__(self, chance: Random, oracle: Oracle) -> None:
        self.chance = chance
        self.oracle = oracle
        families = usable_families(oracle.recordings)
        self.forms = [form for usable in families.values() for family in usable for form in family]
        assert len(self.forms) > len(FAMILIES), "the texts leave hardly any word to ask for"
        # What an elided article may stand before in a real text: no prefixes of these.
        self.after_apostrophes = {
            fold(word.rpartition("'")[2]) for key in oracle._having if "'" in (word := key.strip())
        }

    def one(self) -> Question:
        question = Question(random_principal(self.chance))
        for name in FILTERS:
            if self.chance.random() < 0.16:
                getattr(self, f"_{name}")(question)
        if self.chance.random() < 0.5:
            question.words = self._query(SPOKEN, 2)
            question.parameters["words"] = render(question.words, self.chance)
        if self.chance.random() < 0.2:
            question.notes = self._query(("notes",), 1)
            question.parameters["noteswords"] = render(question.notes, self.chance)
        if self.chance.random() < 0.7:
            question.parameters["sort"] = self.chance.choice(SORTS)
        if self.chance.random() < 0.3:
            asked = self.chance.sample(FACETS, self.chance.randint(1, 5))
            question.parameters["facets"] = ",".join(asked)
        if self.chance.random() < 0.3:
            question.parameters["highlight"] = "true"
        return question

    def expected(self, question: Question) -> list[Recording]:
        """What it finds, in its order (that of relevance is not for the oracle to know)."""
        places = self.oracle.everything
        if question.words is not None:
            places = places & self.oracle.recordings_of(question.words, SPOKEN)
        if question.notes is not None:
            places = places & self.oracle.recordings_of(question.notes, ("notes",))
        found = [
            recording
            for recording in map(self.oracle.recordings.__getitem__, sorted(places))
            if sees(question.principal, recording)
            and all(keep(recording) for keep in question.keeps)
        ]
        sort = question.sort
        return in_order(found, "-date" if sort == "relevance" else sort)

    # Each filter: its value, and what it keeps.

    def _sentiment(self, question: Question) -> None:
        asked = self._some(SENTIMENTS)
        question.parameters["sentiment"] = ",".join(self._any_case(asked))
        question.keeps.append(
            lambda r: (r.content["analysisResult"] or {}).get("sentiment") in asked
        )

    def _direction(self, question: Question) -> None:
        asked = self._some(("IN", "OUT", "UNKNOWN"))
        question.parameters["direction"] = ",".join(self._any_case(asked))
        question.keeps.append(lambda r: r.content["direction"] in asked)

    def _language(self, question: Question) -> None:
        asked = self._some((*FAMILIES, "xx", "ja"))
        question.parameters["language"] = ",".join(self._any_case(asked))
        question.keeps.append(lambda r: (r.content["language"] or "")[:2] in asked)

    def _tel(self, question: Question) -> None:
        asked = self._some((*KNOWN_NUMBERS, *ENDS, "31", "99"), 2)
        question.parameters["tel"] = ",".join(asked)
        question.keeps.append(
            lambda r: any(has_number(r, number, KNOWN_NUMBERS) for number in asked)
        )

    def _startdate(self, question: Question) -> None:
        start = START + timedelta(minutes=self.chance.randrange(60 * 24 * 40))
        whole_days = self.chance.random() < 0.5
        start = start.replace(hour=0, minute=0) if whole_days else start
        question.parameters["startdate"] = self._written(start.isoformat(), whole_days)
        question.keeps.append(lambda r: r.date is not None and r.date >= start)
        if self.chance.random() < 0.6:
            last = start + timedelta(days=self.chance.randrange(0 if whole_days else 1, 20))
            end = last + timedelta(days=1) if whole_days else last
            question.parameters["enddate"] = self._written(last.isoformat(), whole_days)
            question.keeps.append(lambda r: r.date is not None and r.date < end)

    def _written(self, moment: str, whole_day: bool) -> str:
        if whole_day:
            return moment[:10]
        return self.chance.choice((moment, moment[:-6], moment[:-6] + "Z"))

    def _users(self, question: Question) -> None:
        asked = self._some((*USERS, "99999999-aaaa-4000-8000-000000000009"))
        mode = self.chance.choice(("", "include:", "exclude:"))
        question.parameters["users"] = mode + ",".join(self._any_case(asked))
        if mode == "exclude:":
            question.keeps.append(lambda r: r.owner not in asked)
        else:
            question.keeps.append(lambda r: r.owner in asked)
            question.forbidden |= not all(may_name(question.principal, user) for user in asked)

    def _tagids(self, question: Question) -> None:
        asked = self._some(TAGS)
        every = self.chance.random() < 0.3
        question.parameters["tagids"] = ("all:" if every else "") + ",".join(self._any_case(asked))
        quantor = all if every else any
        question.keeps.append(
            lambda r: quantor(tag in {t["id"] for t in r.content["tags"]} for tag in asked)
        )

    def _duration(self, question: Question) -> None:
        low, high = sorted(self.chance.choice((0, 12.5, 100, 300, 600)) for _ in range(2))
        if self.chance.random() < 0.7:
            question.parameters["minduration"] = str(low)
            question.keeps.append(
                lambda r: r.content["duration"] is not None and r.content["duration"] >= low
            )
        else:
            question.parameters["maxduration"] = str(high)
            question.keeps.append(
                lambda r: r.content["duration"] is not None and r.content["duration"] <= high
            )

    def _hasnotes(self, question: Question) -> None:
        asked = self.chance.random() < 0.5
        question.parameters["hasnotes"] = str(asked).lower()
        question.keeps.append(lambda r: r.has_notes == asked)

    def _some(self, of: tuple[str, ...], at_most: int = 3) -> list[str]:
        return self.chance.sample(of, self.chance.randint(1, min(at_most, len(of))))

    def _any_case(self, names: list[str]) -> list[str]:
        return [self.chance.choice((str.upper, str.lower))(name) for name in names]

    # Queries.

    def _query(self, places: tuple[str, ...], depth: int) -> Query:
        if depth == 0 or self.chance.random() < 0.35:
            atom = self._atom(places)
            return Not(atom) if self.chance.random() < 0.2 else atom
        children = tuple(self._query(places, depth - 1) for _ in range(self.chance.randint(2, 3)))
        group = Group(self.chance.choice(("AND", "OR")), children)
        return Not(group) if self.chance.random() < 0.15 else group

    def _atom(self, places: tuple[str, ...]) -> Atom:
        speakers = ("agent", "customer") if places == SPOKEN else ()
        side = self.chance.choice(speakers) if speakers and self.chance.random() < 0.25 else None
        kind = self.chance.random()
        if kind < 0.4:
            form = self.chance.choice(self.forms)
            written = self.chance.choice(
                (form, fold(form), form.upper(), "4711", "12.50", "jane.doe@example.com")
            )
            return Atom(words_of(written), side=side)
        words = self._said(places)
        if kind < 0.55 and (prefix := self._prefix(words)):
            return Atom((prefix,), prefix=True, side=side)
        start = self.chance.randrange(len(words))
        taken = words[start : start + self.chance.randint(1, 4)]
        if len(taken) > 2 and self.chance.random() < 0.4:
            gaps = self.chance.randint(1, 4)
            return Atom((taken[0], *taken[2:]), exact=True, gaps=gaps, side=side)
        return Atom(taken, exact=True, side=side)

    def _said(self, places: tuple[str, ...]) -> tuple[str, ...]:
        while True:
            told = self.chance.choice(self.oracle.units).told
            if told.place in places and told.words:
                return told.words

    def _prefix(self, words: tuple[str, ...]) -> str | None:
        long = [word for word in words if word.isalpha() and len(word) > 4]
        if not long:
            return None
        word = self.chance.choice(long)
        prefix = word[: self.chance.randint(3, len(word))]
        clear = not any(rest.startswith(fold(prefix)) for rest in self.after_apostrophes)
        return prefix if clear else None


FILTERS = (
    "sentiment",
    "direction",
    "language",
    "tel",
    "startdate",
    "users",
    "tagids",
    "duration",
    "hasnotes",
)


def render(query: Query, chance: Random) -> str:
    """The query in the language of the contract, in one of the ways that it can be written."""
    match query:
        case Not(child):
            inner = render(child, chance)
            written = f"({inner})" if isinstance(child, Group) else inner
            return f"{chance.choice(('NOT ', '-'))}{written}"
        case Group(kind, children):
            signs = {"AND": (" AND ", " & ", " "), "OR": (" OR ", " | ")}[kind]
            return chance.choice(signs).join(_operand(child, chance) for child in children)
        case Atom(words, exact, prefix, gaps, side):
            before = f"{side}:" if side else ""
            if exact:
                phrase = chance.choice((str, str.upper))(" ".join(words))
                if phrase.lower() != " ".join(words):
                    phrase = " ".join(words)
                return f'{before}"{phrase}"' + (f"~{gaps}" if gaps else "")
            text = "@".join(words) if len(words) > 1 else words[0]
            return f"{before}{text}{'*' if prefix else ''}"


def _operand(query: Query, chance: Random) -> str:
    written = render(query, chance)
    return f"({written})" if isinstance(query, Group) else written
