"""One claimed run, from its claim until its handler has ended."""

import logging
import math
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import anyio

from orchestrator.inbox.store.records import Claimed, Hold
from orchestrator.inbox.worker.routes import Route

if TYPE_CHECKING:
    from longrun.checkpoint.checkpoint import Checkpoint
    from longrun.critic.critic import Critic
    from longrun.critic.watch import Watch

#: Why a handler is stopped: its lease went to somebody else, its run was cancelled, its time is up, its critic has had
#: enough, or its poller stops.
StopReason: TypeAlias = Literal["lost", "cancelled", "timeout", "killed", "drain"]


class Desk(Protocol):
    """What an execution asks of its poller."""

    @property
    def stopping(self) -> bool: ...
    @property
    def logger(self) -> logging.Logger: ...
    async def heartbeat(self, execution: "Execution") -> None: ...
    async def is_cancelled(self, execution: "Execution") -> bool: ...
    def checkpoint(self, execution: "Execution") -> "Checkpoint[Any]": ...
    def stopped(self, execution: "Execution") -> None: ...


class Execution:
    """The port :class:`orchestrator.contracts.IntentRun`, and the handle by which its poller stops it.

    Instants are on the event loop's clock. Most runs are over before anybody asks for a logger, a checkpoint or a
    watch: these are made when they are asked for.
    """

    __slots__ = (
        "_checkpoint", "_desk", "_logger", "begun", "claimed", "consult", "coroutine", "deadline", "done", "expires",
        "handle", "last_progress", "limit", "note", "nudges", "payload", "reason", "route", "scope", "started",
        "stopped", "stopped_at", "told", "tried_at", "waited", "watch",
    )  # fmt: skip

    def __init__(self, claimed: Claimed, route: Route, expires: float, desk: Desk) -> None:
        self.claimed = claimed
        self.route = route
        self.expires = expires
        """Until when the lease is ours for certain."""
        self.tried_at = math.inf
        """Since when its renewal has been tried in vain."""
        self.scope: anyio.CancelScope | None = None
        self.coroutine: Awaitable[object] | None = None
        self.consult: anyio.CancelScope | None = None
        self.watch: Watch | None = None
        self.handle: object = None
        self.stopped: StopReason | None = None
        self.stopped_at = math.inf
        self.reason = ""
        self.begun = False
        """Whether it has a slot, and no longer stands in the line of those that wait for one."""
        self.done = False
        """What became of it is known; what its handler may still do counts for nothing."""
        self.told = False
        """Its handler was told that the run is not its own any more; what it does then is no outcome."""
        self.started = -math.inf
        self.limit = math.inf
        self.deadline = math.inf
        self.waited = claimed.waited
        self.payload: Any = None
        self.last_progress: float | None = None
        self.note: str | None = None
        self.nudges: tuple[str, ...] = ()
        self._desk = desk
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None
        self._checkpoint: Checkpoint[Any] | None = None

    # -- the run that its handler sees -------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id of the run; the same over its attempts."""
        return self.claimed.hold.run_id

    @property
    def type(self) -> str:
        """The type of the intent."""
        return self.claimed.type

    @property
    def attempt(self) -> int:
        """1 for the first execution, then 2, 3, ..."""
        return self.claimed.failures + 1

    @property
    def stopping(self) -> bool:
        """True once the poller drains: what can end early should."""
        return self._desk.stopping

    @property
    def once(self) -> bool:
        """An intent has an end."""
        return False

    @property
    def checkpoint(self) -> "Checkpoint[Any]":
        """Where the handler keeps how far it got: with the run, over its attempts, until it succeeds."""
        if self._checkpoint is None:
            self._checkpoint = self._desk.checkpoint(self)
        return self._checkpoint

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger bound to the type and the run id."""
        if self._logger is None:
            from orchestrator.logs import BoundLogger

            fields = {"phase": "worker", "resource": self.type, "tenant": None, "run_id": self.id}
            self._logger = BoundLogger(self._desk.logger, {**fields, "attempt": self.attempt})
        return self._logger

    def progress(self, note: str | None = None) -> None:
        """Say that the work moves on."""
        self.last_progress = anyio.current_time()
        self.note = note

    async def heartbeat(self) -> None:
        """Renew the lease now. Raises LeaseLost when another worker owns the run or it was cancelled."""
        await self._desk.heartbeat(self)

    async def is_cancelled(self) -> bool:
        """Whether somebody has cancelled the run, or another worker owns it by now; asks the database."""
        return await self._desk.is_cancelled(self)

    # -- what its poller does with it --------------------------------------------------------------------------------

    @property
    def hold(self) -> Hold:
        """What the outcome is written under."""
        return self.claimed.hold

    @property
    def run(self) -> "Execution":
        """For its critic."""
        return self

    @property
    def task(self) -> str:
        """For its critic: what it belongs to."""
        return self.claimed.type

    @property
    def critic(self) -> "Critic | None":
        """Who watches it."""
        return self.route.critic

    def begin(self, now: float) -> None:
        """Its handler starts now."""
        self.started = now
        route = self.route
        if route.watched:
            if route.timeout is not None:
                self.limit = now + route.timeout
            if route.critic is not None:
                self.watch = route.critic.watch(now)
            self.move_deadline()

    def move_deadline(self) -> None:
        """Its critic may have changed it."""
        self.deadline = self.limit if self.watch is None else min(self.limit, self.watch.deadline)

    def stop(self, why: StopReason, reason: str, now: float) -> bool:
        """Cancel the handler, or see to it that it is cancelled when it starts; False when it is being stopped already.

        The first reason stays.
        """
        if self.stopped is not None or self.done:
            return False
        self.stopped, self.reason, self.stopped_at = why, reason, now
        self.deadline = min(self.deadline, now)
        if self.watch is not None and why != "killed":
            self.watch.end()
        if self.consult is not None:
            self.consult.cancel()
        if self.scope is not None:
            self.scope.cancel()
        self._desk.stopped(self)
        return True

    def over(self) -> None:
        """Its handler has ended: its critic has nothing more to say."""
        if self.watch is not None:
            self.watch.end()
        if self.consult is not None:
            self.consult.cancel()
        if self.watch is not None and self.watch.stalled and self.route.critic is not None:
            self.route.critic.forget(self.id)

    @property
    def has_pending(self) -> bool:
        """Whether a state of its checkpoint waits to be written."""
        return self._checkpoint is not None and self._checkpoint.pending

    def __repr__(self) -> str:
        return f"<Execution {self.id} of {self.type}, attempt {self.attempt}>"
