"""The product's HTTP address: pages of events, each with an opaque word for the next.

`GET URL?after=<opaque>&limit=N` -> `{"events": [...], "next": "<opaque>" | null}`. A request that
fails for the moment is tried again with rising pauses; whatever else is wrong ends the reading, and
the error says with which page.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson
import urllib3
from pydantic import SecretStr
from urllib3.util import Retry

from indexer.sources import Page, SourceError
from indexer.sources.of_events import found_in

TIMEOUT_SECONDS: Final = 60.0
ATTEMPTS: Final = 6
BACKOFF_SECONDS: Final = 0.1
_OK: Final = 200
_TRY_AGAIN: Final = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class HttpPages:
    """The events of this address, in one part; the position is the word for the next page.

    What the live index gets after this was made may be newer than a page that was read before.
    """

    url: str
    limit: int
    token: SecretStr | None = None
    as_of: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    _pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)

    @property
    def total(self) -> None:
        """The pages do not say."""

    def beginning(self) -> Mapping[str, Any]:
        return {"pages": ""}

    def parts(self, positions: Mapping[str, Any]) -> Mapping[str, Generator[Page]]:
        return {"pages": self._pages(positions["pages"])}

    def rest(self, positions: Mapping[str, Any]) -> Generator[Page]:  # noqa: ARG002 (the protocol)
        yield from ()

    def events(self) -> Iterator[tuple[Sequence[tuple[str, object]], int]]:
        """Some events, each with its place in the source, and how many they are.

        Raises SourceError.
        """
        for events, _ in self._from(""):
            yield events, len(events)

    def _pages(self, after: str | None) -> Generator[Page]:
        """From a word on; None: it was read to the end."""
        if after is not None:
            for events, following in self._from(after):
                yield Page(partial(found_in, events), following, len(events))

    def _from(self, after: str) -> Iterator[tuple[list[tuple[str, object]], str | None]]:
        """The events of each page, and the word for what comes next."""
        following: str | None = after
        while following is not None:
            name = f"the page after {following!r}" if following else "the first page"
            events, next_ = self._get(following, name)
            if next_ is not None and next_ == following:
                raise SourceError(f"{name} says that it comes next itself")
            yield [(f"{name}, event {n}", one) for n, one in enumerate(events, start=1)], next_
            following = next_

    def _get(self, after: str, name: str) -> tuple[list[object], str | None]:
        fields = {"limit": str(self.limit)} | ({"after": after} if after else {})
        try:
            answer = self._pool.request(
                "GET", self.url, fields=fields, headers=self._headers(), retries=_retries()
            )
        except urllib3.exceptions.HTTPError as error:
            raise SourceError(f"{name} cannot be read: {type(error).__name__}") from error
        if answer.status != _OK:
            raise SourceError(f"{name} cannot be read: the source answered {answer.status}")
        return _parsed(answer.data, name)

    def _headers(self) -> dict[str, str]:
        if self.token is None:
            return {"Accept": "application/json"}
        bearer = f"Bearer {self.token.get_secret_value()}"
        return {"Accept": "application/json", "Authorization": bearer}


def _retries() -> Retry:
    """Also of an answer that ends in the middle, since reading it is part of the request."""
    return Retry(
        total=ATTEMPTS,
        redirect=0,
        status_forcelist=_TRY_AGAIN,
        backoff_factor=BACKOFF_SECONDS,
        backoff_jitter=BACKOFF_SECONDS,
        raise_on_status=False,
    )


def _parsed(data: bytes, name: str) -> tuple[list[object], str | None]:
    try:
        page = orjson.loads(data)
        events, following = page["events"], page["next"]
    except (ValueError, TypeError, KeyError):
        raise SourceError(f'{name} is not {{"events": [...], "next": ...}}') from None
    if not isinstance(events, list) or not isinstance(following, str | None):
        raise SourceError(f'{name} is not {{"events": [...], "next": ...}}')
    return events, following
