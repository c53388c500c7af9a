"""Run: what one run of a task knows of itself. It is the same object over the attempts of the run."""

import math

import anyio


class Run:
    """Handed to work that takes an argument.

    *id* stays the same over the attempts of one run; *attempt* counts from 1; *deadline* is when this attempt is ended,
    on the event loop's clock (``inf``: never; a critic may move it). *stopping* turns True when the runner drains: take
    on nothing new. *nudges* are the messages of the critic to this attempt, oldest first.
    """

    __slots__ = ("attempt", "deadline", "id", "last_progress", "note", "nudges", "stopping", "task")

    def __init__(self, task: str, id: str) -> None:  # noqa: A002 - the field's own word
        self.task = task
        self.id = id
        self.attempt = 0
        self.stopping = False
        self.deadline = math.inf
        self.last_progress: float | None = None
        self.note: str | None = None
        self.nudges: tuple[str, ...] = ()

    def progress(self, note: str | None = None) -> None:
        """Say that the work moves on."""
        self.last_progress = anyio.current_time()
        self.note = note

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.task}, attempt {self.attempt}>"
