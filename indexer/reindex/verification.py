"""What has to be right before searches are sent to the new index.

Versions of all documents, counts per tenant and kind, a sample of documents field by field, and
principals who must see the same. The new index may know more than the old one (a source of the
product's can); it must not know less.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from indexer.reindex.comparison import Compared, Comparison, Difference
from indexer.reindex.filling import Filler
from indexer.reindex.sampling import Sample
from indexer.reindex.state import Reindex
from services.es_client import failures_as_ours
from services.indices import IndexNames

SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome, for the operator to read."""

    compared: Compared
    fields: list[Difference]
    sights: list[Difference]
    principals: int

    @property
    def differences(self) -> list[Difference]:
        return [*self.compared.differences, *self.fields, *self.sights]

    def lines(self) -> list[str]:
        """What was compared, then the first of what differs."""
        compared, differences = self.compared, self.differences
        old, new = compared.old.total(), compared.new.total()
        lines = [
            f"compared {old} documents of the old index with {new} of the new one,"
            f" {len(compared.sample)} of them field by field, as {self.principals} principals"
            " see them"
        ]
        if compared.copied:
            lines.append(f"{compared.copied} were younger than the source, and copied")
        lines += [str(one) for one in differences[:SHOWN]]
        if len(differences) > SHOWN:
            more = len(differences) - SHOWN
            lines.append(f"and {more}{'' if compared.complete else ' or more'} others")
        if differences:
            lines += _counts(compared.old, compared.new)
        return lines


def verify(
    filler: Filler, names: IndexNames, reindex: Reindex, show: Callable[[int], None]
) -> Report:
    """Compare the two indices of this reindex.

    Raises BackendError; SourceError for a document that no worker wrote.
    """
    client, region_of = filler.writer.client, filler.writer.region_of
    with failures_as_ours():
        client.indices.refresh(index=[reindex.old, reindex.new])
    compared = Comparison(client, reindex.old, reindex.new, reindex.as_of, filler, show).run()
    sample = Sample(client, names, reindex.old, reindex.new, compared.sample, region_of)
    principals = sample.principals()
    return Report(compared, sample.differences(), sample.sights(principals), len(principals))


def _counts(old: Counter[tuple[str, str]], new: Counter[tuple[str, str]]) -> list[str]:
    """Of each tenant and kind where the two indices have not the same number."""
    return [
        f"{tenant}: {old[tenant, kind]} {kind} in the old index, {new[tenant, kind]} in the new one"
        for tenant, kind in sorted(old | new)
        if old[tenant, kind] != new[tenant, kind]
    ]
