"""InboxModule: the inbox inside a service. Registering it brings the migration and the poller."""

from collections.abc import Sequence
from functools import partial

from orchestrator.contracts import (
    GlobalPreflight,
    GlobalPreflightSpec,
    GlobalWorker,
    GlobalWorkerSpec,
    Module,
    Run,
)
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.worker.poller import Poller

#: Seconds between two looks for news; a look that finds none is one cheap read.
LOOK_INTERVAL = 0.1


class InboxModule(Module[object]):
    """Global preflight ``inbox-migration`` and global worker ``inbox-poller``; no tenants of its own."""

    name = "inbox"

    def __init__(self, inbox: Inbox, poller: Poller) -> None:
        self._inbox = inbox
        self._poller = poller

    def global_preflights(self) -> Sequence[GlobalPreflight]:
        """The tables are as this code needs them."""
        return (_Migration(self._inbox),)

    def global_workers(self) -> Sequence[GlobalWorker]:
        """Claims what is due and runs its handlers."""
        return (_Polling(self._poller),)


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
        if await self._poller.news():
            await self._poller.poll(partial(self._progress, run))

    def _progress(self, run: Run) -> None:
        run.progress()
        if run.stopping:
            self._poller.stop()
