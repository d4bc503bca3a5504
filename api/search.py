"""The only caller of Elasticsearch on this side: how one page is come by.

Pages are windows (`from` and `size`) of one sorted search, up to 100,000 deep: the index allows it
(`max_result_window`). By date, later pages are fetched without looking up ids for their ties
(`api.ties`), and far ones are sought (`api.seeking`). In other orders a window of 100,000 costs
Elasticsearch one pass over what was found and a queue of that many entries of two sort values, some
25 MB for the moment. Going there in steps of `search_after` would be ten such passes, and send
100,000 sort values to this side to be thrown away. So the memory is bounded by how many deep
searches run at once, and that is what `api.protection` bounds.
"""

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Final

from api import seeking, ties, wire
from api.backend import Backend
from api.protection import DEEP_AT_ONCE, DEEP_WINDOW, Gate
from api.seeking import Stretch
from api.wire import WHOLE, Page, Search
from services.acl import Principal, group_documents
from services.errors import BackendError
from services.indices import IndexNames

MAX_ID_CHARACTERS: Final = 256
READY_SECONDS: Final = 2.0


@dataclass(slots=True)
class RecordingSearch:
    """Searches one alias; `timeout` in seconds is passed on to Elasticsearch."""

    backend: Backend
    names: IndexNames
    timeout: float
    gate: Gate
    _deep: Gate = field(default_factory=lambda: Gate(DEEP_AT_ONCE))

    async def page(self, principal: Principal, search: Search) -> Page:
        """One page of what the principal may see.

        Raises BackendError; never answers from a part of the shards. Cancelling it closes the
        connection, and by that Elasticsearch cancels the search.
        """
        if seeking.helps(search.order, search.start):
            in_steps = self._sought
        elif ties.helps(search.order, search.start, search.end):
            in_steps = self._window
        else:
            return await self._page(principal, search)
        try:
            async with asyncio.timeout(self.timeout + 1):
                return await in_steps(principal, search)
        except TimeoutError:
            raise BackendError(
                "Elasticsearch: the searches took too long", retryable=True
            ) from None

    async def _sought(self, principal: Principal, search: Search) -> Page:
        """The same page, from the little time that it lies in (`api.seeking`)."""
        order = search.order
        asked_for = search.aggregations | seeking.histogram(seeking.MONTH)
        counted = await self._page(principal, search.counting(asked_for))
        if counted.total <= search.start:
            return replace(counted, hits=[])
        months = seeking.spans(counted.aggregations, order, seeking.MONTH)
        wanted = seeking.ranks(months, search.start, search.size, search.after)
        place = seeking.stretch(months, wanted)
        if place is None:
            return await self._page(principal, search)
        if place.found > seeking.MANY:
            place = await self._closer(principal, search, place, wanted) or place
        found = await self._in(principal, search, place)
        return replace(counted, hits=found.hits)

    async def _closer(
        self, principal: Principal, search: Search, place: Stretch, wanted: range
    ) -> Stretch | None:
        by_hour = search.counting(seeking.histogram(seeking.HOUR)).only(seeking.inside(place))
        counted = await self._page(principal, by_hour)
        hours = seeking.spans(counted.aggregations, search.order, seeking.HOUR)
        return seeking.stretch(hours, wanted, place.before)

    async def _in(self, principal: Principal, search: Search, place: Stretch) -> Page:
        rest = replace(
            search,
            start=0 if search.after else search.start - place.before,
            aggregations={},
        )
        if not place.to_the_end:
            found = await self._window(principal, rest.only(seeking.inside(place)))
            if len(found.hits) == search.size:
                return found
        # Also when something was deleted after the counts.
        return await self._window(principal, rest.only(seeking.from_there_on(place, search.order)))

    async def _window(self, principal: Principal, search: Search) -> Page:
        """The same page, by date alone where ties allow it (`api.ties`)."""
        if not ties.helps(search.order, search.start, search.end):
            return await self._page(principal, search)
        found = await self._page(principal, search.with_neighbours())
        hits = [hit.with_id_in_sort() for hit in found.hits]
        inside = ties.settled([hit.sort for hit in hits], search.size, search.order)
        if inside is None:
            return await self._page(principal, search)
        return replace(found, hits=[hits[position] for position in inside])

    async def _page(self, principal: Principal, search: Search) -> Page:
        async with self._deep if search.end > DEEP_WINDOW else nullcontext(), self.gate:
            body = wire.body(principal, search, self.names, self.timeout)
            answer = await self.backend.ask(wire.path(self.names), body, self.timeout + 1)
        return wire.page(answer)

    async def one(self, principal: Principal, recording_id: str) -> Mapping[str, Any] | None:
        """This recording, or None when it is not there or out of the principal's sight."""
        if len(recording_id) > MAX_ID_CHARACTERS:
            return None
        found = await self.page(
            principal, Search(size=1, filters=[{"term": {"recordingId": recording_id}}])
        )
        return found.hits[0].source if found.hits else None

    async def supervised_by(self, principal: Principal) -> frozenset[str]:
        """The members of the principal's groups, as lower-case GUIDs. Raises BackendError."""
        if not principal.groups:
            return frozenset()
        path = f"/{self.names.groups}/_mget?_source_includes=members"
        async with self.gate:
            found = await self.backend.ask(path, {"ids": group_documents(principal)}, self.timeout)
        if any("error" in document for document in found["docs"]):
            raise BackendError("groups cannot be read", retryable=True)
        groups = [document["_source"] for document in found["docs"] if document["found"]]
        return frozenset(user.lower() for group in groups for user in group.get("members", ()))

    async def check(self) -> None:
        """Raises BackendError unless the index can be searched."""
        path = f"/{self.names.recordings}/_search?{WHOLE}"
        await self.backend.ask(path, {"size": 0, "terminate_after": 1}, READY_SECONDS)
