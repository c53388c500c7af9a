"""Outcome: what a runner came to."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """A task failed for good: *reason* says why it was not tried again."""

    task: str
    error: Exception
    reason: str


@dataclass(frozen=True, slots=True)
class HookFailure:
    """The shutdown hook of *task* raised, or was given up."""

    task: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class Outcome:
    """*status*: every task ended by itself, someone stopped the runner, or a task failed for good.

    *reason* is the first one that was given for a stop. *abandoned* names the tasks that ignored their cancellation.
    """

    status: Status
    reason: str | None = None
    failures: tuple[TaskFailure, ...] = ()
    hook_failures: tuple[HookFailure, ...] = ()
    abandoned: tuple[str, ...] = ()

    def raise_if_failed(self) -> None:
        """Raise one ExceptionGroup of all permanent failures, if there are any."""
        if self.failures:
            names = ", ".join(failure.task for failure in self.failures)
            raise ExceptionGroup(f"{len(self.failures)} failed: {names}", [failure.error for failure in self.failures])
