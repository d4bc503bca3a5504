"""Words as the contract has them: UAX #29, for the scripts of the texts in these tests."""

import regex

Words = tuple[str, ...]
# Letters, digits and low lines (WB5, 8 to 10, 13), joined by apostrophe, full stop or colon between
# letters (WB6, 7), and by apostrophe, full stop, comma or semicolon between digits (WB11, 12).
WORD = regex.compile(
    r"[\p{L}\p{M}\p{N}_]+(?:(?<=\p{L}\p{M}*)['.:](?=\p{L})[\p{L}\p{M}\p{N}_]+"
    r"|(?<=\p{N})['.,;](?=\p{N})[\p{L}\p{M}\p{N}_]+)*"
)
APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u02bc\uff07"), "'")


def words_of(text: str) -> Words:
    """The words of UAX #29 that have a letter or a digit, lower-cased."""
    words = WORD.findall(text.translate(APOSTROPHES).lower())
    return tuple(word for word in words if any(map(str.isalnum, word)))
