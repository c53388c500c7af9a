"""Logs: the standard library's logging, one line per event, with context, without secrets, repetitions folded.

Everything logs with ``logging.getLogger(__name__)``; :func:`configure` is called once, by the command line.
"""

from orchestrator.logs.bound import BoundLogger
from orchestrator.logs.configuration import Format, configure
from orchestrator.logs.context import ContextFilter, bind, bind_task, current
from orchestrator.logs.folding import Folding
from orchestrator.logs.formats import ConsoleFormatter, JsonFormatter
from orchestrator.logs.handler import LineHandler
from orchestrator.logs.redaction import MASK, RedactingFilter, Redactor
from orchestrator.logs.text import one_line

__all__ = [
    "MASK",
    "BoundLogger",
    "ConsoleFormatter",
    "ContextFilter",
    "Folding",
    "Format",
    "JsonFormatter",
    "LineHandler",
    "RedactingFilter",
    "Redactor",
    "bind",
    "bind_task",
    "configure",
    "current",
    "one_line",
]
