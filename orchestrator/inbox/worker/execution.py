"""One claimed run while its handler works on it."""

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import anyio

from orchestrator.contracts import Checkpoint, JsonValue
from orchestrator.inbox.errors import InboxError
from orchestrator.inbox.store.records import Claimed, Hold
from orchestrator.logs import BoundLogger

#: Why a handler is stopped: its lease went to somebody else, its run was cancelled, or its poller stops.
StopReason: TypeAlias = Literal["lost", "cancelled", "drain"]


class Execution:
    """The port :class:`orchestrator.contracts.IntentRun`, and the handle by which its poller stops it."""

    def __init__(
        self,
        claimed: Claimed,
        expires: float,
        heartbeat: Callable[["Execution"], Awaitable[None]],
        stopping: Callable[[], bool],
        logger: logging.Logger,
    ) -> None:
        self.claimed = claimed
        self.expires = expires
        """Until when the lease is ours for certain, on the clock of the event loop."""
        self.scope = anyio.CancelScope()
        self.stopped: StopReason | None = None
        self.ended = False
        self.note: str | None = None
        self.nudges: tuple[str, ...] = ()
        self._heartbeat = heartbeat
        self._stopping = stopping
        self._deadline = math.inf
        self._payload: JsonValue = None
        fields = {"phase": "worker", "resource": claimed.type, "tenant": None, "run_id": claimed.hold.run_id}
        self._logger = BoundLogger(logger, {**fields, "attempt": claimed.failures + 1})

    @property
    def hold(self) -> Hold:
        """What the outcome is written under."""
        return self.claimed.hold

    @property
    def id(self) -> str:
        """The id of the run; the same over its attempts."""
        return self.claimed.hold.run_id

    @property
    def type(self) -> str:
        """The type of the intent."""
        return self.claimed.type

    @property
    def payload(self) -> JsonValue:
        """The decoded JSON payload."""
        return self._payload

    @property
    def attempt(self) -> int:
        """1 for the first execution, then 2, 3, ..."""
        return self.claimed.failures + 1

    @property
    def deadline(self) -> float:
        """When the handler's timeout ends this attempt, on the clock of the event loop; ``inf`` without one."""
        return self._deadline

    @property
    def stopping(self) -> bool:
        """True once the poller drains: what can end early should."""
        return self._stopping()

    @property
    def checkpoint(self) -> Checkpoint:
        """An inbox keeps no checkpoints yet."""
        raise InboxError(f"intent {self.id}: an inbox keeps no checkpoints; keep the state in your own tables")

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger bound to the type and the run id."""
        return self._logger

    def progress(self, note: str | None = None) -> None:
        """Say that the work moves on."""
        self.note = note

    async def heartbeat(self) -> None:
        """Renew the lease now. Raises LeaseLost when another worker owns the run or it was cancelled."""
        await self._heartbeat(self)

    def begin(self, payload: JsonValue, timeout: float | None) -> None:
        """The handler starts now."""
        self._payload = payload
        self._deadline = math.inf if timeout is None else anyio.current_time() + timeout

    def stop(self, reason: StopReason) -> None:
        """Cancel the handler; the first reason stays."""
        if self.stopped is None and not self.ended:
            self.stopped = reason
            self.scope.cancel()
