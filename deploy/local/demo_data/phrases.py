"""The phrase files of the demo: a language's TOML in, lines without markers out.

The markers of the files: `[a|b]` a free choice, `<m|f>` by the gender of who speaks, `<^m|f>` by
that of the other side, `{slot}` a fact of this call.
"""

import random
import re
import tomllib
from datetime import date
from functools import cache
from importlib import resources
from typing import Any, Literal, NamedTuple

LANGUAGES = ("en", "it", "de", "fr", "es")

Gender = Literal["f", "m"]
Phrases = dict[str, Any]

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_GENDER = re.compile(r"<(\^?)([^<>|]*)\|([^<>|]*)>")
_SPEAKERS = {"A": "agent", "C": "customer", "O": "other"}


class Line(NamedTuple):
    """One line of a phrase file: who speaks, whether after a wait, and the text with markers."""

    speaker: str
    after_wait: bool
    text: str


@cache
def phrases(language: str) -> Phrases:
    """The phrase file of an ISO 639-1 code out of `LANGUAGES`."""
    file = resources.files(__package__).joinpath(f"{language}.toml")
    return tomllib.loads(file.read_text("utf-8"))


@cache
def variants(block: str) -> tuple[tuple[Line, ...], ...]:
    """The variants of a step: separated by a blank line, one turn per line."""
    return tuple(
        tuple(_line(line) for line in part.splitlines()) for part in block.strip().split("\n\n")
    )


def _line(line: str) -> Line:
    mark, text = line.split(": ", 1)
    return Line(_SPEAKERS[mark[0]], mark.endswith("~"), text)


def fill(
    rng: random.Random, text: str, slots: dict[str, str], speaker: Gender, other: Gender
) -> str:
    """`text` without its markers. Raises KeyError for a slot that is not known."""

    def by_gender(match: re.Match[str]) -> str:
        return match[2] if (other if match[1] else speaker) == "m" else match[3]

    text = _GENDER.sub(by_gender, text)
    text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)
    return text.format_map(slots)


def spoken_date(language: str, day: date, form: Literal["date", "full_date", "visit"]) -> str:
    """`day` as one says it; `visit` names the weekday, which must be a working day."""
    known = phrases(language)
    weekday = known["weekdays"][day.weekday()] if form == "visit" else ""
    month = known["months"][day.month - 1]
    return str(known[form]).format(d=day.day, month=month, y=day.year, weekday=weekday)


def spoken_money(language: str, cents: int) -> str:
    known = phrases(language)
    units, rest = divmod(cents, 100)
    number = f"{units}{known['decimal']}{rest:02d}" if rest else str(units)
    return str(known["money"]).format(number)
