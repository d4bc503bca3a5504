"""The steps of a reindex, each from one state to the next.

A step does its work, which may be repeated, and then says so by compare-and-set; or it says so
first, when that is what has to come first. So after a kill at any line the same step is made again:

- begin_dual_writing: the index is made, then comes into the set of those that are written.
- begin_backfilling: what was written to the old index alone is made visible; then it is read.
- fill_and_verify: resumes at the kept positions. A new index that is not right stays unread; then
  the positions are forgotten, so that the source is read anew by `resume`.
- swap: one atomic change of aliases. Only what was verified in this very run is swapped in; a
  process that takes over verifies again. A process that was asleep for long, right before that
  change, and is late with it can do no harm: the index that it verified is written until it is
  deleted, and then the change fails as a whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from elasticsearch import Elasticsearch

from indexer.compare_and_set import Writer
from indexer.reindex import indices
from indexer.reindex.backfill import Backfill
from indexer.reindex.carry import Carrier
from indexer.reindex.filling import MAX_DOCUMENT_BYTES, Filler, Throttle
from indexer.reindex.session import Session
from indexer.reindex.state import Phase, Reindex
from indexer.reindex.verification import verify
from indexer.sources import Source, SourceError
from services.errors import BackendError
from services.es_client import failures_as_ours
from services.indices import ONE_SHARD, IndexNames, Layout
from services.settings import ReindexSettings


class DifferentError(Exception):
    """The new index is not right; the text says what differs."""


@dataclass(frozen=True, slots=True)
class Work:
    """All that the steps need. `show` is called with the state as it gets on, `say` with a line;
    `layout` is of the new index.
    """

    client: Elasticsearch
    names: IndexNames
    session: Session
    source: Source
    filler: Filler
    lanes: int
    show: Callable[[Reindex], None]
    say: Callable[[str], None]
    layout: Layout = ONE_SHARD

    @property
    def reindex(self) -> Reindex:
        return self.session.reindex


def make_filler(
    client: Elasticsearch,
    names: IndexNames,
    session: Session,
    settings: ReindexSettings,
    *,
    region_of: Callable[[str], str | None],
) -> Filler:
    """What fills the new index of this session."""
    writer = Writer(client, region_of, settings.bulk_count, settings.bulk_bytes, MAX_DOCUMENT_BYTES)
    target = names.written(session.reindex.new)
    throttle = Throttle(settings.documents_per_second)
    return Filler(writer, names, target, throttle, session.stopping)


def run(work: Work) -> None:
    """All steps that are left, to the swap.

    Raises DifferentError, SourceError, BackendError: the state stays, to be resumed or aborted;
    TakenOverError.
    """
    with work.session.alive():
        while work.reindex.phase is not Phase.SWAPPED:
            try:
                STEPS[work.reindex.phase](work)
            except (BackendError, SourceError):
                work.session.check()  # that may be why
                raise


def begin_dual_writing(work: Work) -> None:
    settings = indices.settings_of_every_day(work.layout) | indices.FAST
    indices.create(work.client, work.names, work.reindex.new, settings)
    work.session.change(lambda reindex: reindex.moved(Phase.DUAL_WRITING))
    work.say(f"workers write {work.reindex.new} as well")


def begin_backfilling(work: Work) -> None:
    with failures_as_ours():
        work.client.indices.refresh(index=work.reindex.old)
    as_of, total = work.source.as_of, work.source.total
    work.session.change(lambda reindex: reindex.moved(Phase.BACKFILLING, as_of=as_of, total=total))


def fill_and_verify(work: Work) -> None:
    if not work.reindex.filled:
        fill(work)
    indices.finish(work.client, work.reindex.new, work.layout)
    work.say("comparing")
    report = verify(
        work.filler,
        work.names,
        work.reindex,
        lambda compared: work.show(replace(work.reindex, amount=compared, total=None)),
    )
    for line in report.lines():
        work.say(line)
    if report.differences:
        failure = f"{len(report.differences)} differences"
        work.session.change(lambda reindex: _anew(reindex, failure))
        raise DifferentError(
            f"{failure}; {work.reindex.new} was not swapped in."
            " `reindex resume` reads the source again, `reindex abort` gives up"
        )
    work.session.change(lambda reindex: reindex.moved(Phase.VERIFIED, failure=None))


def swap(work: Work) -> None:
    work.session.change(lambda reindex: reindex)  # nobody has taken over
    indices.read_from(work.client, work.names, work.reindex.new)
    work.session.change(lambda reindex: reindex.moved(Phase.SWAPPED, rolled_back_at=None))


STEPS: Final[Mapping[Phase, Callable[[Work], None]]] = {
    Phase.CREATED: begin_dual_writing,
    Phase.DUAL_WRITING: begin_backfilling,
    Phase.BACKFILLING: fill_and_verify,
    Phase.VERIFIED: swap,
}


def fill(work: Work) -> None:
    """Read the source to its end, and carry over what only the live index knows."""
    Backfill(work.session, work.filler, work.show, work.lanes).run(work.source)
    if work.source.as_of is not None:  # it is not the live index itself
        Carrier(work.client, work.reindex.old, work.filler).run()
    work.session.change(lambda reindex: replace(reindex, filled=True))
    work.say(f"{work.reindex.done} documents written")


def _anew(reindex: Reindex, failure: str) -> Reindex:
    return replace(reindex, filled=False, positions={}, done=0, amount=0, failure=failure)
