"""How long runs are kept that have ended, and their removal in small batches."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

import anyio

from orchestrator.contracts import Connection, GlobalWorkerSpec, Run
from orchestrator.inbox.errors import InvalidQuery
from orchestrator.inbox.machine import TERMINAL, State
from orchestrator.inbox.store.port import Store

#: Runs a unit of work in one write transaction, for what it comes to.
Transaction: TypeAlias = Callable[[Callable[[Connection], int]], Awaitable[int]]

#: The states that end a run.
ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

#: Seconds between two batches, in which others write. A batch of a thousand takes some hundredths of a second.
BREATH = 0.05

#: The most runs in one batch.
LARGEST_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Retention:
    """Runs in one of *states* are deleted *older_than* seconds after they ended, looked for *every* so many seconds.

    Raises InvalidQuery.
    """

    older_than: float | timedelta
    every: float = 3600.0
    states: Sequence[State | str] = ENDED

    def __post_init__(self) -> None:
        checked_age(self.older_than)
        checked_states(self.states)
        if not _number(self.every) or self.every <= 0:
            raise InvalidQuery(f"Retention: every is {self.every!r}; give a number of seconds above 0")


class RetentionWorker:
    """The global worker ``inbox-retention``. *purge* is that of the inbox's :class:`Purge`."""

    def __init__(self, purge: "Purge", retention: Retention) -> None:
        self._purge = purge
        self._retention = retention

    def task_spec(self) -> GlobalWorkerSpec:
        """Looks for old runs every so often."""
        return GlobalWorkerSpec("inbox-retention", float(self._retention.every), self.run)

    async def run(self, run: Run) -> None:
        """Delete what is old enough now; ends early when the service stops."""

        def goes_on() -> bool:
            run.progress()
            return not run.stopping

        count = await self._purge(self._retention.older_than, self._retention.states, goes_on=goes_on)
        if count:
            run.logger.info("inbox.purged: %d runs", count)


class Purge:
    """Deletes runs that ended long ago, with their events, a batch in each transaction."""

    def __init__(
        self, transaction: Transaction, store: Store, sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    ) -> None:
        self._transaction = transaction
        self._store = store
        self._sleep = sleep

    async def __call__(
        self,
        older_than: float | timedelta,
        states: Sequence[State | str] = ENDED,
        batch: int = 1000,
        *,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> int:
        """How many were deleted. *goes_on* is asked after each batch. Raises InvalidQuery, with nothing deleted."""
        age, wanted = checked_age(older_than), checked_states(states)
        if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= LARGEST_BATCH:
            raise InvalidQuery(f"batch is {batch!r}; give a whole number from 1 to {LARGEST_BATCH}")
        total = 0
        while True:
            count = await self._transaction(lambda connection: self._store.purge(connection, age, wanted, batch))
            total += count
            if not goes_on() or count < batch:  # fewer: there are no more, or others hold them
                return total
            await self._sleep(BREATH)


def checked_age(older_than: object) -> float:
    """*older_than* in seconds. Raises InvalidQuery."""
    seconds = older_than.total_seconds() if isinstance(older_than, timedelta) else older_than
    if not _number(seconds) or not isinstance(seconds, int | float) or not 0 <= seconds <= 1e10:
        raise InvalidQuery(f"older_than is {older_than!r}; give seconds or a timedelta, of at least 0")
    return float(seconds)


def checked_states(states: object) -> Sequence[State]:
    """*states*, each of which ends a run. Raises InvalidQuery."""
    named = f"{', '.join(ENDED[:-1])} and {ENDED[-1]}"
    if isinstance(states, str) or not isinstance(states, Sequence) or not states:
        raise InvalidQuery(f"states is {states!r}; give some of {named}")
    for state in states:
        if state not in tuple(TERMINAL):
            raise InvalidQuery(f"runs that are {state!r} are not purged, for they have not ended; use {named}")
    return [State(state) for state in states]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
