"""Logs: one JSON object a line on standard error, for every program.

What is bound to the context (structlog.contextvars) is in every line of it, also in those that
libraries write: the request's id, and of who asks the pseudonyms (services.pseudonyms).

Nothing personal is ever logged. Our own events have fixed names and fields. Of what libraries
log, only the template is written, because its arguments may hold a whole message.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logging(level: int = logging.INFO) -> None:
    """Send our events at `level` and the libraries' warnings to standard error as JSON."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_only_the_template, *_SHARED],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in ("api", "indexer", "services"):
        logging.getLogger(ours).setLevel(level)


def place_of(error: BaseException) -> str:
    """Where an error came from, `module.py:line`: a stack trace may hold values, this does not."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"


def _only_the_template(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    record: logging.LogRecord = event["_record"]
    kind = record.exc_info[0] if record.exc_info else None
    return {
        "event": str(record.msg),
        "logger": record.name,
        **({"exception": kind.__name__} if kind else {}),
        "_record": record,
        "_from_structlog": False,
    }
