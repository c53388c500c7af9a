"""What a log line belongs to: phase, resource, tenant, run. Bound once, on every line that is written inside."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Protocol

from orchestrator.logs.record import STANDARD


class Bound(Protocol):
    """What is bound: asked for its fields when there is a line."""

    @property
    def fields(self) -> Mapping[str, object]: ...


class _Fields:
    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, object]) -> None:
        self.fields = MappingProxyType(fields)


_NOTHING: Bound = _Fields({})
_context: ContextVar[Bound] = ContextVar("log_context", default=_NOTHING)


def current() -> Mapping[str, object]:
    """The fields bound here and now, read-only."""
    return _context.get().fields


@contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Put *fields* on every line logged inside, in this task and in those it starts; None takes a field off.

    Enter and leave it in the same task. Raises ValueError for a name that log records use themselves.
    """
    taken = sorted(STANDARD.intersection(fields))
    if taken:
        raise ValueError(f"{', '.join(taken)} cannot be bound: log records have it already; choose another name")
    merged = {**_context.get().fields, **fields}
    token = _context.set(_Fields({name: value for name, value in merged.items() if value is not None}))
    try:
        yield
    finally:
        _context.reset(token)


def bind_task(bound: Bound) -> None:
    """Put the fields of *bound*, names that log records have not, on every line until the task that calls it ends: for
    a task that does one thing from its first line on. What was bound around it is left behind."""
    _context.set(bound)


class ContextFilter(logging.Filter):
    """Gives each record what is bound where it is logged, and the ids of the active span. ``extra=`` goes first."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, completed."""
        said = vars(record)
        for name, value in _context.get().fields.items():
            said.setdefault(name, value)
        for name, value in _span():
            said.setdefault(name, value)
        return True


def _span() -> tuple[tuple[str, str], ...]:
    """Trace and span id when OpenTelemetry is in use already; it is not imported for this."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return ()
    try:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return ()
    except AttributeError:  # half imported, on another thread
        return ()
    return ("trace_id", f"{context.trace_id:032x}"), ("span_id", f"{context.span_id:016x}")
