"""The nearest deadline: of any enclosing anyio scope, and of the task's run that the call belongs to."""

import math
from contextvars import ContextVar
from typing import Protocol

import anyio


class HasDeadline(Protocol):
    """Whatever publishes a deadline that may still move: the current run of a task."""

    @property
    def deadline(self) -> float: ...


#: The run of a task that the code runs in, when there is one; the runner sets it once per run.
current_run: ContextVar[HasDeadline | None] = ContextVar("longrun_current_run", default=None)


def nearest() -> float:
    """The deadline that ends the caller first, on the event loop's clock; ``inf`` when nothing does."""
    run = current_run.get()
    scope = anyio.current_effective_deadline()
    return min(scope, run.deadline) if run is not None else scope


def left() -> float:
    """Seconds until :func:`nearest`; 0.0 when it has passed."""
    deadline = nearest()
    return math.inf if deadline == math.inf else max(0.0, deadline - anyio.current_time())
