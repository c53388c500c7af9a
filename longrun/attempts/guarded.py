"""GuardedAttempts: a store that may fail or hang, with memory behind it. A failing store never fails a run."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from random import Random
from typing import TypeVar

import anyio

from longrun.attempts.attempts import Attempts
from longrun.attempts.events import AttemptStoreFailed, AttemptStoreRecovered
from longrun.attempts.memory import MemoryAttempts
from longrun.attempts.store import AttemptStore
from longrun.backoff import Backoff, exponential
from longrun.clock import now
from longrun.durations import Duration, seconds
from longrun.errors import TimeoutExceeded
from longrun.events import Event, Listener, emit

T = TypeVar("T")

_log = logging.getLogger("longrun.attempts")


class GuardedAttempts:
    """An :class:`longrun.attempts.AttemptStore` that raises nothing but ValueError for nonsense.

    Every change is also kept in memory, which answers while *store* fails or takes longer than *timeout* seconds. The
    outage is told once, by :class:`AttemptStoreFailed`. Meanwhile the store is asked again only as often as *backoff*
    says, by one caller at a time; what it has missed is written first, then :class:`AttemptStoreRecovered` is told.
    Without *listeners* both are logged.
    """

    def __init__(
        self,
        store: AttemptStore,
        *,
        timeout: Duration = 1.0,
        backoff: Backoff | None = None,
        listeners: Iterable[Listener] = (),
        clock: Callable[[], float] = now,
        memory: MemoryAttempts | None = None,
        rng: Random | None = None,
    ) -> None:
        self._store = store
        self._timeout = seconds(timeout, "GuardedAttempts timeout")
        self._backoff = exponential(1, 60) if backoff is None else backoff
        self._listeners = tuple(listeners)
        self._clock = clock
        self._memory = memory or MemoryAttempts()
        self._rng = rng or Random()
        self._missed: dict[str, None] = {}  # keys and prefixes of which the store may know less than memory
        self._failed_at: float | None = None  # since when the outage lasts
        self._ask_at = 0.0
        self._failures = 0
        self._last_wait = 0.0
        self._repaired = 0
        self._catching_up = False

    @property
    def failing(self) -> bool:
        """Whether the store is failing, and memory answers."""
        return self._failed_at is not None

    async def increment(self, key: str, *, wait: float, not_before: float, by: int = 1) -> int:
        """See the port; in an outage the count of this process."""
        count = await self._memory.increment(key, wait=wait, not_before=not_before, by=by)
        call = partial(self._store.increment, key, wait=wait, not_before=not_before, by=by)
        answer = await self._ask("increment", call, key)
        if answer is None or answer == (count,):
            return count
        await self._remember(key, Attempts(answer[0], wait, not_before))
        return answer[0]

    async def get(self, key: str) -> Attempts | None:
        """See the port; in an outage what this process knows."""
        answer = await self._ask("get", partial(self._store.get, key))
        return await self._memory.get(key) if answer is None else answer[0]

    async def load(self, prefix: str) -> Mapping[str, Attempts]:
        """See the port; in an outage what this process knows."""
        answer = await self._ask("load", partial(self._store.load, prefix))
        if answer is None:
            return await self._memory.load(prefix)
        for key, attempts in answer[0].items():
            await self._remember(key, attempts)
        return answer[0]

    async def reset(self, prefix: str) -> None:
        """See the port; a reset that the store misses is made good when it is there again."""
        await self._memory.reset(prefix)
        await self._ask("reset", partial(self._store.reset, prefix), prefix)

    def __repr__(self) -> str:
        return f"<GuardedAttempts {self._store!r}{': failing' if self.failing else ''}>"

    # -- asking the store --------------------------------------------------------------------------------------------

    async def _ask(
        self, operation: str, call: Callable[[], Awaitable[T]], changes: str | None = None
    ) -> tuple[T] | None:
        """The store's answer; None when memory has to answer. *changes*: the key or prefix that *call* changes."""
        if self._failed_at is not None or self._missed:
            self._miss(changes)  # and so it is written with all else that was missed
            if not await self._caught_up() or changes is not None:
                return None
        try:
            answer = await self._within_limit(operation, call)
        except BaseException:  # cancelled: whether the store knows it is open
            self._miss(changes)
            raise
        if answer is None:
            self._miss(changes)
        return answer

    async def _within_limit(self, operation: str, call: Callable[[], Awaitable[T]]) -> tuple[T] | None:
        with anyio.move_on_after(self._timeout):
            try:
                return (await call(),)
            except Exception as error:  # noqa: BLE001 - whatever a store raises, it is the store's trouble alone
                self._fail(operation, error)
                return None
        self._fail(operation, TimeoutExceeded(self._timeout, f"{operation} of {self._store!r}"))
        return None

    async def _remember(self, key: str, attempts: Attempts) -> None:
        await self._memory.reset(key)
        await _increment(self._memory, key, attempts)

    def _miss(self, changes: str | None) -> None:
        if changes is not None:
            self._missed[changes] = None

    # -- an outage ---------------------------------------------------------------------------------------------------

    def _fail(self, operation: str, error: Exception) -> None:
        at = self._clock()
        if self._failed_at is not None and at < self._ask_at:
            return  # began before the outage was known
        self._last_wait = self._backoff(self._failures, self._last_wait, self._rng)
        self._failures += 1
        self._ask_at = at + self._last_wait
        if self._failed_at is None:
            self._failed_at = at
            self._repaired = 0
            self._tell(AttemptStoreFailed("attempts", repr(self._store), operation, error))

    async def _caught_up(self) -> bool:
        """If it is time, ask the store and tell it what it has missed; whether it works and has missed nothing."""
        if self._catching_up or (self._failed_at is not None and self._clock() < self._ask_at):
            return False
        self._catching_up = True
        try:
            return await self._catch_up()
        finally:
            self._catching_up = False

    async def _catch_up(self) -> bool:
        # One caller pays for all, but not with more than the time limit: the next goes on where it stopped.
        give_up = self._clock() + self._timeout
        if not self._missed and await self._within_limit("get", partial(self._store.get, "nothing")) is None:
            return False
        while self._missed:
            changed = next(iter(self._missed))
            del self._missed[changed]
            try:
                repaired = await self._within_limit("reset", partial(self._repair, changed))
            except BaseException:
                self._miss(changed)
                raise
            if repaired is None:
                self._miss(changed)
                return False
            self._repaired += 1
            if self._missed and self._clock() >= give_up:
                return False
        self._recover()
        return True

    async def _repair(self, changed: str) -> None:
        """Make the store say of *changed*, a key or a prefix, what memory says."""
        await self._store.reset(changed)
        if changed.endswith("/"):
            self._missed.update(dict.fromkeys(await self._memory.load(changed)))  # one by one, each in its own time
        elif (attempts := await self._memory.get(changed)) is not None:
            await _increment(self._store, changed, attempts)

    def _recover(self) -> None:
        if self._failed_at is not None:
            duration = self._clock() - self._failed_at
            self._failed_at = None
            self._failures, self._last_wait = 0, 0.0
            self._tell(AttemptStoreRecovered("attempts", repr(self._store), duration, self._repaired))

    def _tell(self, event: Event) -> None:
        if self._listeners:
            emit(self._listeners, event)
        else:
            _log.warning("%s: %s", event.name, event)


async def _increment(store: AttemptStore, key: str, attempts: Attempts) -> None:
    await store.increment(key, wait=attempts.last_wait, not_before=attempts.not_before, by=attempts.count)
