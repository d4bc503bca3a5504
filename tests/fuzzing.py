"""Queries to fuzz with: random bytes, and texts of the grammar with something done to them."""

import random
from urllib.parse import quote_from_bytes

WORDS = (
    ["refund", "a", "the", "e-mail", "12.50", "l'appel", "退款", "😀", "שלום", "Straße", "½", "🇩🇪"]
    + ["jane.doe@example.com", "and", "ORDER", "agent", "foo:bar", "cafe\u0301", "x" * 300]
    + ["\u200d", "\u202e", "\u0301", "\ufeff", "\U0001fae8", "ﬁ", "İ", "ㅤ", "ไทย", "$where", "{}"]
)
PIECES = ["(", ")", '"', "“", "«", "*", "~", "~3", "~21", "-", "&", "|", "AND", "OR", "NOT", " "]
PIECES += ["agent:", "customer:", "'", "’", ":", ".", "\u00a0", "\u3000", "\t", "\0", "\x1b", "\\"]
LONGEST = 600


def random_bytes(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randint(1, LONGEST))


def query(chance: random.Random, depth: int = 0) -> str:
    """A text of the grammar, at times beyond its limits."""
    kind = chance.random()
    if depth < 10 and kind < 0.25:
        joint = chance.choice([" ", " AND ", " & ", " OR ", "|"])
        return joint.join(query(chance, depth + 1) for _ in range(chance.randint(2, 4)))
    if depth < 10 and kind < 0.4:
        return f"({query(chance, depth + 1)})"
    if depth < 10 and kind < 0.5:
        return f"{chance.choice(['NOT ', '-'])}{query(chance, depth + 1)}"
    return f"{chance.choice(['', '', 'agent:', 'customer:'])}{atom(chance)}"


def atom(chance: random.Random) -> str:
    word = chance.choice(WORDS)
    match chance.randrange(4):
        case 0:
            inside = " ".join(chance.choices(WORDS, k=chance.randint(1, 4)))
            gaps = f"~{chance.randint(0, 21)}" if chance.random() < 0.5 else ""
            return f'"{inside}"{gaps}'
        case 1:
            return f"{word}*"
    return word


def altered(chance: random.Random, text: str) -> str:
    """The text with pieces put in, taken out, doubled or moved."""
    for _ in range(chance.randint(0, 4)):
        start = chance.randint(0, len(text))
        end = min(len(text), start + chance.randint(0, 8))
        piece = chance.choice([chance.choice(PIECES), chance.choice(PIECES), text[start:end] * 2])
        text = text[:start] + piece + text[end if chance.random() < 0.5 else start :]
    return text


def as_value(chance: random.Random) -> str:
    """One fuzzed value, percent-encoded as in a query string."""
    if chance.random() < 0.2:
        return quote_from_bytes(random_bytes(chance))
    return quote_from_bytes(altered(chance, query(chance)).encode())
