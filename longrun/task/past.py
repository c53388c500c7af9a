"""Past: what a runner remembers of its tasks' failures over restarts."""

from collections import deque
from collections.abc import Iterable

import anyio

from longrun.attempts.attempts import Attempts
from longrun.attempts.guarded import GuardedAttempts
from longrun.attempts.keys import join, prefix, split
from longrun.attempts.store import AttemptStore
from longrun.clock import Clock
from longrun.events import Listener
from longrun.task.unit import Trouble, Unit


class Past:
    """The attempts of *namespace* in *store*, read once at the start and written behind the runs, in order.

    A restart resumes the wait, not the death: a task goes on where it was on its curve and waits what is left of its
    wait, but a budget that was spent leaves it one retry. A store that fails, or hangs, never holds up a run.
    """

    def __init__(self, store: AttemptStore, namespace: str, clock: Clock, listeners: Iterable[Listener]) -> None:
        self._store = GuardedAttempts(store, listeners=listeners)
        self._namespace = namespace
        self._clock = clock
        self._found: dict[str, dict[str, Attempts]] = {}
        self._stored: set[str] = set()
        self._writes: deque[tuple[str, Attempts | None]] = deque()
        self._written: anyio.Event | None = None
        self._news: anyio.Event | None = None
        self._closed = False

    async def load(self) -> None:
        """Read what the life before has left."""
        for key, attempts in (await self._store.load(prefix(self._namespace))).items():
            _, task, rule = split(key)
            self._found.setdefault(task, {})[rule] = attempts
            self._stored.add(task)

    def resume(self, unit: Unit) -> float:
        """*unit* goes on where it was; how many seconds of its wait are left."""
        found = self._found.pop(unit.name, None)
        if found is None:
            return 0.0
        trouble = unit.trouble = Trouble()
        wall, left = self._clock.wall(), 0.0
        for key, rule, retries in unit.engine.budgets():
            attempts = found.get(rule)
            if attempts is not None:
                count = attempts.resumed(retries)
                if count:
                    trouble.spent.charge(key, count, attempts.last_wait)
                left = max(left, attempts.left(wall))
        return left

    def failed(self, unit: Unit) -> None:
        """The attempt of *unit* has failed and is retried: one retry more, allowed when it is due."""
        assert unit.trouble is not None
        key = unit.trouble.spent.latest
        if key is None:
            return
        _, wait = unit.trouble.spent.under(key)
        rule = next(name for known, name, _ in unit.engine.budgets() if known == key)
        self._stored.add(unit.name)
        self._put(join(self._namespace, unit.name, rule), Attempts(1, wait, self._clock.wall() + wait))

    def forgotten(self, name: str) -> None:
        """The task *name* has succeeded, or is gone: nothing is left to remember."""
        if name in self._stored:
            self._stored.discard(name)
            self._put(prefix(self._namespace, name), None)

    async def write(self) -> None:
        """Write what is told, one after the other, until closed."""
        while not self._closed:
            self._news = anyio.Event()
            while self._writes and not self._closed:
                key, attempts = self._writes[0]
                if attempts is None:
                    await self._store.reset(key)
                else:
                    await self._store.increment(key, wait=attempts.last_wait, not_before=attempts.not_before)
                self._writes.popleft()
            if self._written is not None:
                self._written.set()
            await self._news.wait()

    async def close(self, seconds: float) -> None:
        """Write the rest, if that takes no more than so many *seconds*."""
        self._written = anyio.Event()
        self._wake()
        with anyio.move_on_after(seconds):
            await self._written.wait()
        self._closed = True
        self._wake()

    def _put(self, key: str, attempts: Attempts | None) -> None:
        self._writes.append((key, attempts))
        self._wake()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
