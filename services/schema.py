"""The one field table: mapping and text analysis of the recordings index, and its version.

Every field that is written or searched is named here. The mapping is strict: a field that is not
in the table is refused by Elasticsearch.

Text is kept three ways, for the three kinds of atoms of the query language:

- by language (`transcript.<side>.<language>`, `notes.text.<language>`): case and accents folded,
  elided articles dropped, inflections reduced. For bare words.
- `folded.<where>`: case and accents folded only. For prefixes, and for bare words in recordings
  of other languages.
- `exact.<where>`: case folded only; Unicode word boundaries (UAX #29). For phrases.

A text's score comes from its recording alone: how often the words are in it, and how long it is.
How rare a word is elsewhere does not count, as it does in the usual BM25. It would let a score tell
of recordings that the caller may not see (of other tenants too), and it would change with every
write, so that a walk by relevance could skip or repeat what did not change.

A turn or a note is one value of an array. The gap between values is wider than any `~n`, so that
no phrase crosses it. `<where>` is a side of the transcript or `notes`.
"""

import unicodedata
from typing import Any, Final

VERSION: Final = 2

SIDES: Final = ("agent", "customer", "other")
NOTES: Final = "notes"
OTHER_LANGUAGE: Final = "none"
MAX_WINDOW: Final = 100_000
POSITION_GAP: Final = 100

# Each language's stemmers. Where there are two, a word is kept under both stems: the light one
# reduces nouns and adjectives and does not need the accents, the other reduces verbs as well.
LANGUAGES: Final[dict[str, tuple[str, ...]]] = {
    "de": ("light_german", "german"),
    "en": ("english",),
    "es": ("light_spanish", "spanish"),
    "fr": ("light_french", "french"),
    "it": ("light_italian", "italian"),
    "nl": ("dutch",),
    "pt": ("light_portuguese", "portuguese"),
}
# What comes before the stemmers: the possessive 's, and ae, oe, ue, ss for their one letter.
_BEFORE_STEMMING: Final = {"en": ["possessive_english"], "de": ["german_normalization"]}
# English endings after an accent (fiancés, fiance), of which its stemmer knows the plain letters
# only; Portuguese plurals in -ões and -ães, which its stemmers know by the tilde, without it.
_WITHOUT_ACCENTS: Final = {
    "en": ["asciifolding, english"],
    "pt": ["asciifolding, plural_of_ao, light_portuguese"],
}
# French and Italian articles and pronouns that an apostrophe ties to the next word.
_FRENCH: Final = [
    "l",
    "m",
    "t",
    "qu",
    "n",
    "s",
    "j",
    "d",
    "c",
    "jusqu",
    "lorsqu",
    "puisqu",
    "quoiqu",
]
_ITALIAN: Final = ["un", "all", "dall", "dell", "nell", "sull", "coll", "gl", "agl", "dagl", "v"]

# As the usual search sorts (api.orders): Elasticsearch keeps documents in this order, so that after
# the first page of a segment it compares no more and only counts. An index without it answers the
# same, at 100,000 recordings in twenty times the time; the next reindex brings it.
NEWEST_FIRST: Final = {"field": ["date", "recordingId"], "order": ["desc", "desc"]}
_GUIDS: Final = {"guid": {"type": "custom", "filter": ["lowercase"]}}
_KEYWORD: Final = {"type": "keyword"}
_GUID: Final = {"type": "keyword", "normalizer": "guid"}
_STORED: Final = {"type": "keyword", "index": False, "doc_values": False}
_STORED_NUMBER: Final = {"type": "double", "index": False, "doc_values": False}
_DATE: Final = {"type": "date", "format": "strict_date_optional_time||epoch_millis"}


# BM25 without the rarity of words and with a fixed usual length (in words) instead of the average.
_OF_THE_TEXT_ALONE: Final = {
    "type": "scripted",
    "script": {
        "source": "double length = 0.25 + 0.75 * doc.length / 500.0;"
        " return query.boost * doc.freq / (doc.freq + 1.2 * length);"
    },
}


def _text(analyzer: str) -> dict[str, Any]:
    return {
        "type": "text",
        "analyzer": analyzer,
        "position_increment_gap": POSITION_GAP,
        "similarity": "of_the_text_alone",
    }


def _spoken(where: str) -> dict[str, Any]:
    """The text of one side or of the notes, one field for each language."""
    copies = {"copy_to": [f"folded.{where}", f"exact.{where}"]}
    fields = {language: _text(language) | copies for language in LANGUAGES}
    fields[OTHER_LANGUAGE] = {"type": "text", "index": False} | copies
    return {"properties": fields}


def _party() -> dict[str, Any]:
    return {"properties": {"fullName": _STORED, "phoneNumber": _STORED}}


_PLACES: Final = (*SIDES, NOTES)

FIELDS: Final[dict[str, Any]] = {
    # What the document is, and the state that merging needs.
    "tenantId": _KEYWORD,
    "recordingId": _KEYWORD,
    "version": {"type": "long"},
    "deleted": {"type": "boolean"},
    "writtenAt": _DATE,  # when the document last changed; the age of a tombstone counts from here
    # What an answer shows, in its own names.
    "ownerId": _GUID,
    "direction": _KEYWORD,
    "from": _party(),
    "to": _party(),
    "date": _DATE,
    "analysisResult": {
        "properties": {
            "score": {"type": "double"},
            "sentiment": _KEYWORD,
            "status": {"type": "byte"},
        }
    },
    "channels": {"type": "byte"},
    "duration": {"type": "double"},
    "tags": {"properties": {"id": _GUID, "value": _STORED}},
    "video": {"properties": {"status": _STORED, "errorDetail": _STORED}},
    "hasNotes": {"type": "boolean"},
    # What is searched.
    "language": _KEYWORD,
    "phones": {"properties": {"e164": _KEYWORD, "reversed": _KEYWORD, "extension": _KEYWORD}},
    "transcript": {
        "properties": {side: _spoken(side) for side in SIDES} | {"offset": _STORED_NUMBER}
    },
    "notes": {
        "properties": {
            "id": _STORED,
            "version": {"type": "long", "index": False, "doc_values": False},
            "authorId": _STORED,
            "createdAt": _STORED,
            "text": _spoken(NOTES),
        }
    },
    "folded": {"properties": {where: _text("folded") for where in _PLACES}},
    "exact": {"properties": {where: _text("exact") | {"norms": False} for where in _PLACES}},
}


GROUP_FIELDS: Final[dict[str, Any]] = {
    "tenantId": _KEYWORD,
    "groupId": _KEYWORD,
    "version": {"type": "long"},
    "deleted": {"type": "boolean"},
    "writtenAt": _DATE,
    "members": _GUID,
}


def group_mapping() -> dict[str, Any]:
    """The mapping of the groups index."""
    return {"dynamic": "strict", "_meta": {"schema_version": VERSION}, "properties": GROUP_FIELDS}


def group_settings() -> dict[str, Any]:
    """The settings of the groups index, without its layout."""
    return {"analysis": {"normalizer": _GUIDS}}


def mapping() -> dict[str, Any]:
    """The mapping of the recordings index."""
    return {"dynamic": "strict", "_meta": {"schema_version": VERSION}, "properties": FIELDS}


def index_settings() -> dict[str, Any]:
    """The settings of the recordings index: paging window, freshness, text analysis; without its
    layout.
    """
    return {
        "refresh_interval": "1s",
        "max_result_window": MAX_WINDOW,
        "sort": NEWEST_FIRST,
        "analysis": _analysis(),
        "similarity": {"of_the_text_alone": _OF_THE_TEXT_ALONE},
    }


def _analyzer(*filters: str) -> dict[str, Any]:
    """For words in any accents."""
    return _exact_analyzer() | {
        "char_filter": ["plain"],
        "filter": ["lowercase", *filters],
    }


def _exact_analyzer() -> dict[str, Any]:
    return {
        "type": "custom",
        "char_filter": ["apostrophes"],
        "tokenizer": "standard",
        "filter": ["lowercase"],
    }


def _analysis() -> dict[str, Any]:
    stemmers = {name for names in LANGUAGES.values() for name in names} | {"possessive_english"}
    filters: dict[str, Any] = {
        name: {"type": "stemmer", "language": name} for name in sorted(stemmers)
    }
    filters["elided"] = {"type": "elision", "articles": _FRENCH + _ITALIAN}
    filters["plural_of_ao"] = {
        "type": "pattern_replace",
        "pattern": "[oa]es$",
        "replacement": "ao",
    }
    analyzers = {"folded": _analyzer("elided", "asciifolding"), "exact": _exact_analyzer()}
    for language, names in LANGUAGES.items():
        stems = [f"{name}, asciifolding" for name in names]
        filters[f"{language}_stems"] = {
            "type": "multiplexer",
            "filters": stems + _WITHOUT_ACCENTS.get(language, []),
            "preserve_original": False,
        }
        before = _BEFORE_STEMMING.get(language, [])
        analyzers[language] = _analyzer("elided", *before, f"{language}_stems")
    return {
        "char_filter": {
            "apostrophes": {"type": "mapping", "mappings": _same_apostrophes()},
            "plain": {"type": "mapping", "mappings": _same_apostrophes() + _without_marks()},
        },
        "filter": filters,
        "normalizer": _GUIDS,
        "analyzer": analyzers,
    }


def _same_apostrophes() -> list[str]:
    return [f"\\u{ord(typographic):04x}=>'" for typographic in APOSTROPHES]


def _without_marks() -> list[str]:
    """Letters without their accents, where asciifolding, which is for Latin, leaves them.

    Greek (whose sigma at the end is a sigma), the Russian yo, the points of Hebrew and Arabic.
    """
    plain = {0x3C2: "\u03c3"}
    for code in (*range(0x370, 0x400), *range(0x1F00, 0x2000), 0x401, 0x451):
        letter = unicodedata.normalize("NFD", chr(code))[0]
        if letter != chr(code) and letter.isalpha():
            plain[code] = letter
    points = [c for c in range(0x5B0, 0x5C8) if unicodedata.category(chr(c)) == "Mn"]
    plain |= dict.fromkeys([*points, *range(0x64B, 0x653), 0x670], "")
    return [f"\\u{code:04x}=>{letter}" for code, letter in plain.items()]


# Typographic apostrophes that count as the plain one, in texts and in queries.
APOSTROPHES: Final = "\u2018\u2019\u201a\u201b\u02bc\uff07"


def word_fields(where: tuple[str, ...]) -> list[str]:
    """The fields in which a bare word is looked for, in these places."""
    stems = [
        f"{NOTES}.text.{language}" if place == NOTES else f"transcript.{place}.{language}"
        for place in where
        for language in LANGUAGES
    ]
    return [f"folded.{place}" for place in where] + stems


def folded_fields(where: tuple[str, ...]) -> list[str]:
    """The fields in which a prefix is looked for."""
    return [f"folded.{place}" for place in where]


def exact_fields(where: tuple[str, ...]) -> list[str]:
    """The fields in which a phrase is looked for."""
    return [f"exact.{place}" for place in where]
