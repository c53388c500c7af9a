"""InboxModule: the inbox inside a service. Registering it brings the migration, the poller and the ticker."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import anyio

from orchestrator.contracts import (
    GlobalPreflight,
    GlobalPreflightSpec,
    GlobalWorker,
    GlobalWorkerSpec,
    Module,
    Run,
)
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.retention import Retention, RetentionWorker
from orchestrator.inbox.schedules.ticker import Ticker
from orchestrator.inbox.worker.otel import PollerInstruments
from orchestrator.inbox.worker.poller import Poller

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

#: Seconds between two looks whether the service drains; and from the end of the poller's one run, which no service
#: sees, to the next.
LOOK_INTERVAL = 0.1

#: Seconds between two looks at the clock; the schedules themselves are read when the next fire has come.
TICK_INTERVAL = 1.0


#: Seconds between two counts of what waits and works.
SAMPLE_INTERVAL = 30.0


class InboxModule(Module[object]):
    """Global preflight ``inbox-migration``, global workers ``inbox-poller``, ``inbox-ticker`` and ``inbox-sampler``.

    No tenants. What the poller counts, and how much waits, are metrics of the *meter_provider*, or the global one. With
    a *retention* also ``inbox-retention``, which deletes runs that ended long ago.
    """

    name = "inbox"

    def __init__(
        self,
        inbox: Inbox,
        poller: Poller,
        ticker: Ticker | None = None,
        retention: Retention | None = None,
        *,
        meter_provider: "MeterProvider | None" = None,
    ) -> None:
        self._inbox = inbox
        self._retention = retention
        self._poller = poller
        self._ticker = ticker or Ticker(inbox)
        PollerInstruments(poller, meter_provider=meter_provider)

    def global_preflights(self) -> Sequence[GlobalPreflight]:
        """The tables are as this code needs them."""
        return (_Migration(self._inbox),)

    def global_workers(self) -> Sequence[GlobalWorker]:
        """One claims what is due and runs its handlers, one submits what is scheduled, one counts, one deletes."""
        workers: tuple[GlobalWorker, ...] = (_Polling(self._poller), _Ticking(self._ticker), _Sampling(self._poller))
        if self._retention is not None:
            workers += (RetentionWorker(self._inbox.purging, self._retention),)
        return workers


class _Migration:
    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def task_spec(self) -> GlobalPreflightSpec:
        return GlobalPreflightSpec("inbox-migration", self._inbox.migrate)


class _Polling:
    def __init__(self, poller: Poller) -> None:
        self._poller = poller

    def task_spec(self) -> GlobalWorkerSpec:
        return GlobalWorkerSpec("inbox-poller", LOOK_INTERVAL, self._poll)

    async def _poll(self, run: Run) -> None:
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._stop_with, run)
            if run.once:
                await self._poller.poll(run.progress)
            else:
                await self._poller.run(run.progress)
            beside.cancel_scope.cancel()

    async def _stop_with(self, run: Run) -> None:
        while not run.stopping:  # noqa: ASYNC110 - a run is asked, it does not call
            await anyio.sleep(LOOK_INTERVAL)
        self._poller.stop()


class _Ticking:
    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def task_spec(self) -> GlobalWorkerSpec:
        return GlobalWorkerSpec("inbox-ticker", TICK_INTERVAL, self._tick)

    async def _tick(self, run: Run) -> None:
        if self._ticker.due():
            await self._ticker.tick(partial(self._progress, run))

    def _progress(self, run: Run) -> None:
        run.progress()
        if run.stopping:
            self._ticker.stop()


class _Sampling:
    def __init__(self, poller: Poller) -> None:
        self._poller = poller

    def task_spec(self) -> GlobalWorkerSpec:
        return GlobalWorkerSpec("inbox-sampler", SAMPLE_INTERVAL, self._sample)

    async def _sample(self) -> None:
        await self._poller.sample()
