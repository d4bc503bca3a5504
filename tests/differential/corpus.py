"""Random recordings for the differential test: events to send, and the same as plain records.

Most have a real conversation (../shared/data beside the checkout; else of the demo), cut short.
The others are made of `FAMILIES`: words whose inflections are known. Families of which a real text
could have another inflection are left out.
"""

import gzip
import json
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain, islice, zip_longest
from pathlib import Path
from random import Random
from typing import Any

from deploy.local.demo_data.events import demo_events
from services.acl import Principal, Role
from tests.uax29 import words_of

DATA = Path(__file__).parents[3] / "shared" / "data"
SOURCES = ("star", "multidogo", "bcontrast_de")
TENANTS = ("acme", "globex")
REGION = "IT"
FAMILIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("giraffe", "giraffes"),
        ("juggle", "juggles", "juggled", "juggling"),
        ("dismantle", "dismantled", "dismantling"),
        ("gazebo", "gazebos"),
        ("fjord", "fjords"),
        ("fiancé", "fiancés"),
    ),
    "de": (("zwerg", "zwerge", "zwergen"), ("grüße", "grüßen"), ("drache", "drachen")),
    "it": (("fattura", "fatture"), ("lampione", "lampioni"), ("ombrello", "ombrelli")),
    "fr": (("chandelle", "chandelles"), ("abeille", "abeilles"), ("écureuil", "écureuils")),
    "es": (("girasol", "girasoles"), ("teléfono", "teléfonos")),
    "nl": (("tulp", "tulpen"),),
    "pt": (("laranja", "laranjas"),),
}
FILLERS = ("the", "of", "4711", "12.50", "o", "e-mail", "jane.doe@example.com", "ok", "10,5", "x")
NUMBERS = (
    ("+39 02 1234 5678", "+390212345678", None),
    ("(02) 1234-5678", "+390212345678", None),
    ("0039 06 698 12345", "+390669812345", None),
    ("+44 20 7946 0958", "+442079460958", None),
    ("+1 415-286-4371", "+14152864371", None),
    ("555 0199 22", None, None),
    ("204", None, "204"),
    ("+39 02 1234 5678 ext. 31", "+390212345678", "31"),
)
USERS = tuple(f"{n:08x}-aaaa-4000-8000-00000000000{n:x}" for n in range(12))
TAGS = tuple(f"{n:08x}-bbbb-4000-8000-00000000000{n:x}" for n in range(8))
GROUPS = {"sales": USERS[0:4], "support": USERS[3:7], "empty": ()}
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    """A turn or a note: `place` is its side, or notes."""

    place: str
    offset: float | None
    text: str

    @cached_property
    def words(self) -> tuple[str, ...]:
        return words_of(self.text)


@dataclass(frozen=True)
class Recording:
    """What the product knows of one recording, for the oracle."""

    id: str
    tenant: str
    content: dict[str, Any]
    told: tuple[Told, ...]

    @property
    def owner(self) -> str:
        return str(self.content["ownerId"]).lower()

    @cached_property
    def date(self) -> datetime | None:
        text = self.content["date"]
        return datetime.fromisoformat(text) if text else None

    @property
    def has_notes(self) -> bool:
        return any(told.place == "notes" for told in self.told)

    def events(self) -> Iterator[dict[str, Any]]:
        envelope = {
            "tenantId": self.tenant,
            "recordingId": self.id,
            "version": 1,
            "occurredAt": "2026-01-01T00:00:00Z",
        }
        yield envelope | {"type": "recording.saved", "recording": self.content}
        for number, told in enumerate(self.told):
            if told.place == "notes":
                note = {"noteId": f"{number:03}", "note": {"text": told.text}}
                yield envelope | {"type": "note.saved"} | note


def group_events() -> Iterator[dict[str, Any]]:
    """The groups are those of the first tenant; the other has none."""
    for group, members in GROUPS.items():
        yield {
            "type": "group.saved",
            "tenantId": TENANTS[0],
            "groupId": group,
            "version": 1,
            "occurredAt": "2026-01-01T00:00:00Z",
            "group": {"members": [member.upper() for member in members]},
        }


def fold(word: str) -> str:
    """Case and accents ignored, as the contract has bare words."""
    spread = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in spread if not unicodedata.combining(letter))


def make_recordings(chance: Random, count: int) -> list[Recording]:
    """So many recordings, two thirds of them with a real conversation."""
    real = list(_conversations(chance, 2 * count // 3))
    invented = [_invented(chance) for _ in range(count - len(real))]
    told = real + invented
    chance.shuffle(told)
    return [_recording(chance, number, *each) for number, each in enumerate(told)]


def usable_families(recordings: Iterable[Recording]) -> dict[str, list[tuple[str, ...]]]:
    """Those of which no text has a word that begins alike and is none of their forms."""
    seen = {fold(word) for r in recordings for told in r.told for word in told.words}
    return {
        language: [family for family in families if not _has_others(seen, family)]
        for language, families in FAMILIES.items()
    }


def _has_others(seen: set[str], family: tuple[str, ...]) -> bool:
    forms = {fold(form) for form in family}
    start = fold(family[0])[:4]
    alike = {word.rpartition("'")[2] for word in seen if start in word}
    return not alike <= forms


def _conversations(chance: Random, count: int) -> Iterator[tuple[str, list[Told]]]:
    """Real ones, the beginning of each: language, turns and notes."""
    source = _real() if DATA.is_dir() else _of_the_demo()
    known = [
        (language, [Told(*turn) for turn in turns] + [Told("notes", None, note) for note in notes])
        for language, turns, notes in islice(source, 3 * count)
    ]
    plain = [each for each in known if all(map(_foldable, each[1]))]
    yield from chance.sample(plain, min(count, len(plain)))


def _foldable(told: Told) -> bool:
    """Whether the letters are such that there is no doubt about what they are without accents."""
    return all(fold(word).isascii() for word in told.words)


def _real() -> Iterator[tuple[str, list[tuple[str, float | None, str]], list[str]]]:
    with ExitStack() as opened:
        files = [opened.enter_context(gzip.open(DATA / f"{n}.ndjson.gz", "rt")) for n in SOURCES]
        for line in filter(None, chain.from_iterable(zip_longest(*files))):
            raw = json.loads(line)
            turns = [(t["speaker"], t.get("offset_s"), t["text"]) for t in raw["turns"][:6]]
            yield raw["language"], turns, str(raw.get("notes") or "").splitlines()[:2]


def _of_the_demo() -> Iterator[tuple[str, list[tuple[str, float | None, str]], list[str]]]:
    for event in demo_events():
        if event["type"] == "recording.saved":
            content = event["recording"]
            turns = [(t["speaker"], t["offset"], t["text"]) for t in content["transcript"][:6]]
            yield content["language"], turns, []


def _invented(chance: Random) -> tuple[str, list[Told]]:
    language = chance.choice([*FAMILIES, "xx"])
    words = [form for family in FAMILIES.get(language, FAMILIES["en"]) for form in family]

    def text() -> str:
        said = [chance.choice(words if chance.random() < 0.5 else FILLERS) for _ in range(6)]
        if language == "fr":
            said = [f"l'{word}" if word == "abeille" else word for word in said]
        return chance.choice((" ", ", ", " & <b> ")).join(
            map(chance.choice((str, str.title)), said)
        )

    turns = [
        Told(
            chance.choice(("agent", "customer", "other")),
            chance.choice((None, place * 2.5)),
            text(),
        )
        for place in range(chance.randrange(4))
    ]
    return language, turns + [Told("notes", None, text()) for _ in range(chance.randrange(3))]


def _recording(chance: Random, number: int, language: str, told: list[Told]) -> Recording:
    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.85 else None

    moment = START + timedelta(minutes=chance.randrange(60 * 24 * 40))
    result = {
        "score": maybe(round(chance.uniform(-1, 1), 1)),
        "sentiment": maybe(chance.choice(("POSITIVE", "NEGATIVE", "NEUTRAL", "ERROR", "UNKNOWN"))),
        "status": 2,
    }
    content = {
        "ownerId": chance.choice((str, str.upper))(chance.choice(USERS)),
        "direction": maybe(chance.choice(("IN", "OUT", "UNKNOWN"))),
        "from": maybe({"fullName": "A", "phoneNumber": maybe(chance.choice(NUMBERS)[0])}),
        "to": maybe({"fullName": None, "phoneNumber": maybe(chance.choice(NUMBERS)[0])}),
        # Many ties: a day at midnight as often as a minute.
        "date": maybe((moment if chance.random() < 0.5 else _midnight(moment)).isoformat()),
        "duration": maybe(chance.choice((0, 12.5, chance.randrange(600)))),
        "channels": 2,
        "analysisResult": maybe(result),
        "tags": [{"id": tag, "value": "T"} for tag in chance.sample(TAGS, chance.randrange(4))],
        "video": None,
        "language": chance.choice((language, f"{language}-XY"))
        if language != "xx"
        else maybe("xx"),
        "transcript": [
            {"speaker": t.place, "offset": t.offset, "text": t.text}
            for t in told
            if t.place != "notes"
        ],
    }
    name = chance.choice((f"r-{number}", f"R/{number}", f"\u00e9 {number}"))
    return Recording(name, chance.choice((TENANTS[0], *TENANTS)), content, tuple(told))


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0)


def random_principal(chance: Random) -> Principal:
    role = chance.choice(list(Role))
    groups = tuple(chance.sample([*GROUPS, "no-such"], chance.randrange(3)))
    tenant = chance.choice((TENANTS[0], *TENANTS))
    user = chance.choice(USERS)
    return Principal(tenant, user, role, groups if role is Role.SUPERVISOR else ())
