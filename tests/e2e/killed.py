"""`recordings-indexer` as it is, killed at one moment: `python killed.py MOMENT WHEN COMMAND...`.

MOMENT is the state that is about to be written, `page` (the position in the source), `filled`,
or `searches` (the change of aliases); WHEN is before or after.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from indexer import cli
from indexer.reindex import indices
from indexer.reindex.state import Reindex, Store, Stored


def die(moment: str, when: str) -> None:
    """Patch the functions of the moment."""

    def doomed(function: Callable[..., Any], is_it: Callable[..., bool]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            fatal = is_it(*arguments)
            if fatal and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments)
            if fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    def is_the_moment(_: Store, stored: Stored, reindex: Reindex) -> bool:
        before = stored.reindex
        if moment == "page":
            return bool(before and before.positions and before.positions != reindex.positions)
        if moment == "filled":
            return bool(before and reindex.filled and not before.filled)
        return reindex.phase == moment and not (before and before.phase == moment)

    if moment == "searches":
        indices.read_from = doomed(indices.read_from, lambda *_: True)
    else:
        Store.replace = doomed(Store.replace, is_the_moment)  # type: ignore[method-assign]


if __name__ == "__main__":
    die(*sys.argv[1:3])
    sys.argv[1:3] = []
    cli.main()
