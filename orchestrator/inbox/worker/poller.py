"""The poller: runs what the inbox holds."""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import random as chance
from typing import TYPE_CHECKING, Any

import anyio

from longrun.clock import SystemClock
from longrun.clock import reader as clock_of
from longrun.failure.classify import classify as baseline
from orchestrator.inbox.errors import InboxError, InvalidHandler
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.wire import is_text
from orchestrator.inbox.worker.agenda import Agenda
from orchestrator.inbox.worker.attempt import Attempts
from orchestrator.inbox.worker.backoff import Backoff, Contention
from orchestrator.inbox.worker.checkpoints import HeldCheckpoint
from orchestrator.inbox.worker.engine import Engine, Mode
from orchestrator.inbox.worker.execution import Execution
from orchestrator.inbox.worker.executions import Executions
from orchestrator.inbox.worker.failure import Classify
from orchestrator.inbox.worker.handlers import Handlers
from orchestrator.inbox.worker.looks import Looks
from orchestrator.inbox.worker.news import News
from orchestrator.inbox.worker.renewals import Renewals
from orchestrator.inbox.worker.rounds import rounds
from orchestrator.inbox.worker.routes import Routes
from orchestrator.inbox.worker.statistics import Sample, Statistics

if TYPE_CHECKING:
    from longrun.checkpoint.checkpoint import Checkpoint


class Poller:
    """Runs what the inbox holds, up to *concurrency* handlers at a time. One per worker.

    :meth:`run` goes on until :meth:`stop`; :meth:`poll` does what is due and returns.

    *lease*: seconds until a silent worker's run is given to another; it is renewed at every third of it.
    *poll_interval*: seconds between two looks when nothing is heard; submits are heard at once, but on SQLite those of
    other processes within a twentieth of it. *prefixes*: beginnings of types to claim besides the registered types and
    prefixes; a type that turns out to have no handler is given back without cost. *drain*: seconds that handlers have
    to finish after :meth:`stop`; then they are cancelled and their runs given back. *classify* says what a handler's
    error means. *random* gives 0 to 1.

    :attr:`statistics` counts what it does; see :class:`orchestrator.inbox.worker.otel.PollerInstruments` for metrics.
    """

    def __init__(
        self,
        inbox: Inbox,
        handlers: Handlers,
        *,
        classify: Classify = baseline,
        worker_id: str | None = None,
        lease: float = 30.0,
        poll_interval: float = 2.0,
        prefixes: Sequence[str] | None = None,
        concurrency: int = 10,
        drain: float = 10.0,
        random: Callable[[], float] = chance,
        logger: logging.Logger | None = None,
    ) -> None:
        if isinstance(prefixes, str):
            raise ValueError(f"Poller: prefixes is {prefixes!r}; give a list of beginnings of types, [{prefixes!r}]")
        _check(handlers, lease=lease, poll_interval=poll_interval, concurrency=concurrency, drain=drain)
        if worker_id is not None and not is_text(worker_id):
            raise ValueError(f"Poller: worker_id is {worker_id!r}; give a text without NUL, such as host-pid")
        self.worker_id = worker_id or f"{socket.gethostname()}-{os.getpid()}"
        self.logger = logger or logging.getLogger("orchestrator.inbox")
        self.statistics = Statistics()
        self.stopping = False
        self._inbox = inbox
        self._types = tuple(handlers.types)
        self._prefixes = _prefixes((*handlers.prefixes, *(prefixes or ())))
        self._routes = Routes(handlers)
        self._classify = classify
        self._lease = lease
        self._poll_interval = poll_interval
        self._concurrency = concurrency
        self._drain = drain
        self._random = random
        self._executions: Executions | None = None
        self._engine: Engine | None = None
        self._looks: Looks | None = None
        self._renewals: Renewals | None = None

    @property
    def inbox(self) -> Inbox:
        """Whose runs it runs."""
        return self._inbox

    @property
    def running(self) -> int:
        """How many handlers are at work."""
        return 0 if self._executions is None else self._executions.running

    async def run(self, progress: Callable[[], None] | None = None) -> None:
        """Claim and run until :meth:`stop`. Errors of the database that pass are waited out; others are raised.

        *progress* is called at every round, for a run that must show that it is alive. What handlers raise is recorded,
        not raised. Cancelled, it cancels its handlers and gives their runs back.
        """
        await self._work("until stopped", progress)

    async def poll(self, progress: Callable[[], None] | None = None) -> int:
        """Bring back expired leases, then claim and run until nothing is due; how many runs that were.

        Raises SqlError when the database fails, after the handlers at work have ended.
        """
        return await self._work("until idle", progress)

    def stop(self) -> None:
        """Claim no more; handlers at work may finish within the drain, then their runs are given back.

        From the event loop's own thread.
        """
        self.stopping = True
        if self._engine is not None:
            self._engine.stop()

    async def renew(self) -> None:
        """Renew all leases now, and stop the handlers whose run is cancelled or not ours any more."""
        await self._at_work(self._renewals).renew()

    async def sample(self) -> Sample:
        """How many runs wait and work, by type, and since when the oldest is due; kept in :attr:`statistics`, too.

        Cheap, however many have ended; for a timer of half a minute or so. Raises SqlError.
        """
        store = self._inbox.store
        stats = await self._inbox.database.read(lambda connection: store.stats(connection, ended=False))
        self.statistics.sample = Sample(stats, datetime.now(UTC))
        return self.statistics.sample

    async def _work(self, mode: Mode, progress: Callable[[], None] | None) -> int:
        if self._engine is not None:
            raise InboxError(f"{self!r} is at work already; make a poller of its own for each worker")
        now = clock_of(SystemClock())
        attempts = Attempts(self._classify, self._random)
        executions = Executions(self._concurrency, attempts, self._routes.limits, self.statistics, now)
        renewals = Renewals(self._inbox, executions, self._lease, self.statistics, now, self.logger)
        carried_out = rounds(self._inbox.database, self._inbox.store)
        backoff = Backoff(self._random)
        agenda = Agenda(
            self._inbox.store,
            self._routes,
            executions,
            backoff,
            Contention(self._random),
            Contention(self._random),
            most=carried_out.most,
            worker_id=self.worker_id,
            types=self._types,
            prefixes=self._prefixes,
            lease=self._lease,
            until_idle=mode == "until idle",
        )
        engine = Engine(
            self._inbox,
            agenda,
            carried_out,
            self._routes,
            executions,
            self.statistics,
            backoff,
            self,
            lease=self._lease,
            drain=self._drain,
            mode=mode,
            progress=progress,
            now=now,
        )
        idle = engine.is_idle
        agenda.news = news = News(self._inbox, self._poll_interval, engine.wake, renewals.look_after, idle, self.logger)
        try:
            async with anyio.create_task_group() as tg:
                executions.open(tg)
                self._looks = Looks(tg, executions, renewals.fence, now, self.logger)
                self._executions, self._renewals, self._engine = executions, renewals, engine
                with anyio.CancelScope() as beside:
                    async with anyio.create_task_group() as others:
                        others.start_soon(self._looks.keep)
                        others.start_soon(renewals.keep)
                        others.start_soon(news.follow)
                        await engine.run(tg)
                        beside.cancel()
                tg.cancel_scope.cancel()
        finally:
            self._executions = self._renewals = self._engine = self._looks = None
            self.stopping = False  # one that is paused has another life before it
            carried_out.close()
        if engine.failure is not None:
            await self._inbox.tables.explain(engine.failure)
            raise engine.failure
        return engine.count

    # -- what executions ask for -------------------------------------------------------------------------------------

    async def heartbeat(self, execution: Execution) -> None:
        """See :meth:`Execution.heartbeat`."""
        await self._at_work(self._renewals).heartbeat(execution)

    async def is_cancelled(self, execution: Execution) -> bool:
        """See :meth:`Execution.is_cancelled`."""
        return await self._at_work(self._renewals).is_cancelled(execution)

    def checkpoint(self, execution: Execution) -> "Checkpoint[Any]":
        """See :attr:`Execution.checkpoint`."""
        from longrun.checkpoint.checkpoint import Checkpoint  # for those who keep one

        store = HeldCheckpoint(self._inbox.database, self._inbox.store, execution.hold)
        return Checkpoint(store, execution.type)

    def stopped(self, execution: Execution) -> None:
        """See to it that it does stop."""
        if self._looks is not None:
            self._looks.stopped(execution)

    def _at_work(self, renewals: Renewals | None) -> Renewals:
        if renewals is None:
            raise InboxError(f"{self!r} is not at work")
        return renewals

    def __repr__(self) -> str:
        return f"<Poller {self.worker_id}: {self.running} of {self._concurrency} running>"


def _check(handlers: Handlers, **numbers: float) -> None:
    if not len(handlers):
        raise InvalidHandler("the poller has no handlers; register at least one with @handler('type.v1')")
    for name, value in numbers.items():
        whole = name == "concurrency"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 < value < 1e9:
            raise ValueError(f"Poller: {name} is {value!r}; give a {'whole number' if whole else 'number'} above 0")


def _prefixes(prefixes: Sequence[str]) -> Sequence[str]:
    for prefix in prefixes:
        if not is_text(prefix) or not prefix:
            raise ValueError(f"Poller: a prefix is {prefix!r}; give the beginning of types, such as 'billing.'")
        if prefix.endswith("%"):
            raise ValueError(f"Poller: the prefix {prefix!r} is a pattern; give the beginning itself, without the '%'")
    return tuple(dict.fromkeys(prefixes))
