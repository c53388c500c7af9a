"""Setting the logs of the process up."""

import logging
import os
import sys
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Literal, TextIO, TypeAlias

from orchestrator.logs.folding import Folding
from orchestrator.logs.formats import ConsoleFormatter, JsonFormatter
from orchestrator.logs.handler import LineHandler
from orchestrator.logs.redaction import Redactor

Format: TypeAlias = Literal["auto", "console", "json"]

#: Libraries that tell every request at info; a person acts on none of it.
_CHATTY = ("httpx", "httpcore", "uvicorn.access")


def configure(
    format: Format = "auto",  # noqa: A002 - the setting's own name
    level: str = "info",
    service: str = "",
    stream: TextIO | None = None,
    *,
    secrets: Iterable[str] = (),
    fold: float = 60.0,
    clock: Callable[[], float] = monotonic,
) -> LineHandler:
    """Log to *stream* (standard error by default) through the root logger, and return the handler.

    *format* ``auto`` is console on a terminal and JSON elsewhere. *secrets* are taken out of every line. Warnings and
    errors repeated within *fold* seconds are folded; 0 writes each. Calling it again replaces its handler; handlers of
    others stay. Raises ValueError for an unknown format or level.
    """
    stream = sys.stderr if stream is None else stream
    severity = logging.getLevelNamesMapping().get(level.upper())
    if severity is None:
        raise ValueError(f"log level is {level!r}; use debug, info, warning, error or critical")
    handler = LineHandler(stream, Folding(fold, clock), Redactor(secrets))
    handler.setFormatter(_formatter(format, service, stream))
    root = logging.getLogger()
    for former in [each for each in root.handlers if isinstance(each, LineHandler)]:
        root.removeHandler(former)
        former.close()
    root.addHandler(handler)
    root.setLevel(severity)
    for chatty in map(logging.getLogger, _CHATTY):
        if chatty.level in (logging.NOTSET, logging.WARNING):  # any other level is somebody's decision
            chatty.setLevel(logging.NOTSET if severity <= logging.DEBUG else logging.WARNING)
    return handler


def _formatter(format: Format, service: str, stream: TextIO | None) -> logging.Formatter:  # noqa: A002 - as above
    if format not in ("auto", "console", "json"):
        raise ValueError(f"log format is {format!r}; use auto, console or json")
    terminal = _is_terminal(stream)
    if format == "json" or (format == "auto" and not terminal):
        return JsonFormatter(service)
    return ConsoleFormatter(colour=terminal and not os.environ.get("NO_COLOR"))


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
