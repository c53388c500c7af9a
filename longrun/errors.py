"""Errors of longrun.

    Exception
     ├─ LongrunError
     │   ├─ Rejected                 a protecting option refused the call; it never ran
     │   │   ├─ CircuitOpen
     │   │   ├─ BulkheadFull
     │   │   ├─ RateLimited
     │   │   └─ Shed
     │   ├─ TimeoutExceeded          (also TimeoutError) one of our own time limits ended the call
     │   ├─ RunKilled                the critic ended a run
     │   ├─ EscalatorError           an escalator raised, took too long or answered nonsense; it is told, never raised
     │   ├─ CheckpointError          see longrun.checkpoint.errors
     │   ├─ StoreError               a SQLite file of longrun, see longrun.sqlite.errors
     │   ├─ StrayCancellation        work let a cancellation out that nobody had asked for
     │   └─ RunnerError              a Runner is used in a way it cannot serve
     └─ ValueError
         └─ PipelineError            a pipeline cannot work as it is written

A call that fails raises its own, original error: nothing wraps it. ``longrun.timeline(exc)`` tells what was tried.
"""

from typing import Any


class LongrunError(Exception):
    """Root of what longrun raises on its own account."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class again: what an error is made from and what it says are not the same.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[LongrunError], args: tuple[object, ...], state: dict[str, object]) -> LongrunError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class Rejected(LongrunError):
    """A protecting option refused the call before it ran. *retry_after*: seconds until one may be let in.

    For a task it is the service's failure: somebody asks for calm, if only we ourselves.
    """

    service_pressure = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CircuitOpen(Rejected):
    """The circuit breaker is open."""


class BulkheadFull(Rejected):
    """The concurrency limit and its queue are full."""


class RateLimited(Rejected):
    """The next token comes later than the caller can wait."""


class Shed(Rejected):
    """Refused to keep the service from overload."""


class TimeoutExceeded(LongrunError, TimeoutError):
    """A limit set with longrun ended the call; a TimeoutError of the callee is never of this type."""

    def __init__(self, seconds: float, what: str = "the call") -> None:
        super().__init__(f"{what} took longer than {seconds:g} s")
        self.seconds = seconds


class RunKilled(LongrunError):
    """The critic ended the run; *reason* is the first one given and stays. *task* is the name of the run's task.

    For a task it is the service's failure, unless its classifier knows better: a run that hangs is tried again, gently.
    """

    retryable = True

    def __init__(self, reason: str, task: str | None = None) -> None:
        super().__init__(f"the run{f' of {task!r}' if task is not None else ''} was killed: {reason}")
        self.reason = reason
        self.task = task


class EscalatorError(LongrunError):
    """An escalator failed; the run it was asked about keeps its deadline. ``__cause__`` is what it raised."""


class StrayCancellation(LongrunError):
    """Work let a cancellation out that longrun had not asked for (a foreign task was cancelled and awaited in it)."""


class RunnerError(LongrunError):
    """A Runner is used in a way it cannot serve: the message says which and what to do."""


class PipelineError(ValueError):
    """A pipeline cannot work as it is written: the message names the option, its value and the remedy."""
