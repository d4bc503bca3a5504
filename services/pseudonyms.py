"""Whom a line of the log concerns, without saying who it is.

Names of tenants can be guessed, so a plain digest would say them: theirs is keyed. With one key for
all processes the same tenant or user is the same word in every line, and who has the key can find
the lines of a known one: HMAC-SHA-256 of the name, its first 16 hexadecimal digits.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self

import structlog
from structlog.contextvars import bind_contextvars

from services.settings import LogSettings

DIGITS: Final = 16
# As many as a process may see in a while: a digest takes longer than finding it.
_REMEMBERED: Final = 10_000

log = structlog.get_logger("services")


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """The pseudonyms of one key; by itself of a new one."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @classmethod
    def of(cls, settings: LogSettings) -> Self:
        """Those of the settings' key, else of this process alone."""
        if settings.hash_key:
            return cls(settings.hash_key.get_secret_value().encode())
        log.warning("log_hash_key_is_not_set", setting="RECORDINGS_LOG_HASH_KEY")
        return cls()

    def word_for(self, name: str) -> str:
        """The pseudonym of this name: DIGITS hexadecimal digits."""
        return _word_for(self.key, name)

    def bind(self, **names: str) -> None:
        """Put the pseudonyms of these names into every further line of this request."""
        bind_contextvars(**{field: self.word_for(name) for field, name in names.items()})


@lru_cache(_REMEMBERED)
def _word_for(key: bytes, name: str) -> str:
    return hmac.digest(key, name.encode(errors="replace"), "sha256").hex()[:DIGITS]
