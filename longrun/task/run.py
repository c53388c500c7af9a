"""Run: what one run of a task knows of itself. It is the same object over the attempts of the run."""

import logging
import math
from typing import TYPE_CHECKING, Any

import anyio

from longrun.errors import LongrunError, RunnerError

if TYPE_CHECKING:
    from longrun.checkpoint.checkpoint import Checkpoint
    from longrun.checkpoint.store import CheckpointStore

_log = logging.getLogger("longrun.task")


class Run:
    """Handed to work that takes an argument.

    *id* stays the same over the attempts of one run; *attempt* counts from 1; *deadline* is when this attempt is ended,
    on the event loop's clock (``inf``: never; a critic may move it). *stopping*: the runner drains, or the task is
    paused: take on nothing new. *nudges* are the messages of the critic to this attempt, oldest first.
    """

    __slots__ = (
        "_checkpoint", "_checkpoints", "_id", "attempt", "deadline", "last_progress", "note", "nudges", "stalled",
        "stopping", "task",
    )  # fmt: skip

    def __init__(
        self,
        task: str,
        id: str | tuple[str, int],  # noqa: A002 - the field's own word
        checkpoints: "CheckpointStore | None" = None,
    ) -> None:
        self.task = task
        self._id = id
        self.attempt = 0
        self.stopping = False
        self.deadline = math.inf
        self.last_progress: float | None = None
        self.note: str | None = None
        self.nudges: tuple[str, ...] = ()
        self.stalled = False
        """Whether an attempt of it has been late or idle, so that its critic may have been asked."""
        self._checkpoints = checkpoints
        self._checkpoint: Checkpoint[Any] | None = None

    @property
    def id(self) -> str:
        """Unique over all runners and processes; the same over the attempts of the run."""
        made = self._id
        if not isinstance(made, str):  # most runs are over before anybody has asked
            made = self._id = f"{made[0]}-{made[1]:x}"
        return made

    @property
    def checkpoint(self) -> "Checkpoint[Any]":
        """Where the task keeps how far it got; the next run of it, also after a restart, finds it there.

        What is pending is written when the attempt ends. RunnerError when the runner has no store for checkpoints.
        """
        if self._checkpoint is None:
            if self._checkpoints is None:
                raise RunnerError(
                    f"task {self.task!r} asks for its checkpoint, but the runner has no store for them; give it one: "
                    "Runner(checkpoints=SqliteCheckpoints(path))"
                )
            from longrun.checkpoint.checkpoint import Checkpoint

            self._checkpoint = Checkpoint(self._checkpoints, self.task)
        return self._checkpoint

    @property
    def has_pending(self) -> bool:
        """Whether a state of its checkpoint waits to be written."""
        return self._checkpoint is not None and self._checkpoint.pending

    async def flush(self) -> None:
        """Write what is pending of its checkpoint. A store that fails is logged: it never fails a run."""
        try:
            await self.checkpoint.flush()
        except LongrunError as error:
            _log.warning("the last checkpoint of %s is not stored: %s", self.task, error)

    def progress(self, note: str | None = None) -> None:
        """Say that the work moves on."""
        self.last_progress = anyio.current_time()
        self.note = note

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.task}, attempt {self.attempt}>"
