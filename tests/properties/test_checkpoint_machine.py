"""A checkpoint against a model: saves, flushes, loads and clears in any order over a store that fails and dawdles.

The model holds what the store was really asked, and judges the handle by that alone.
"""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, ClassVar

import anyio
import pytest
from anyio.pytest_plugin import get_runner
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from longrun import backoff
from longrun.checkpoint import Checkpoint, CheckpointUnreachable, Saved
from longrun.checkpoint.envelope import unseal
from longrun.testing import virtual_backend

KEY = "poll"
BACKOFF = 3.0
FLUSH = 4.0


class ScriptedStore:
    """Keeps one state; does what *mode* says and notes what came of each write."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.delay = 0.0
        self.content: bytes | None = None
        self.writes: list[tuple[str, float, int]] = []  # (what came of it, when, the state)

    async def save(self, key: str, state: bytes) -> None:
        number = int(unseal(state, key))
        came = "cancelled"
        try:
            if self.mode == "hang":
                await anyio.sleep_forever()
            await anyio.sleep(self.delay)
            if self.mode != "refuse":
                self.content = state
            came = "failed"
            if self.mode != "ok":
                raise ConnectionError("the store is down")
            came = "ok"
        finally:
            self.writes.append((came, anyio.current_time(), number))

    async def load(self, key: str) -> bytes | None:
        if self.mode != "ok":
            raise ConnectionError("the store is down")
        return self.content

    async def delete(self, key: str) -> None:
        if self.mode != "ok":
            raise ConnectionError("the store is down")
        self.content = None


class CheckpointMachine(RuleBasedStateMachine):
    """States are counted up, so that newer is greater."""

    backend: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.runner = self.stack.enter_context(get_runner(*virtual_backend(self.backend)))

    def teardown(self) -> None:
        self.stack.close()

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        """Run *main* on the machine's own event loop."""
        result: list[Any] = []

        async def keep() -> None:
            result.append(await main())

        self.runner.run_test(keep, {})
        return result[0]

    @initialize(interval=st.sampled_from([0.0, 5.0]))
    def begin(self, interval: float) -> None:
        """A new handle on an empty store."""
        self.interval = interval
        self.store = ScriptedStore()
        self.newest = 0  # the newest state that was given
        self.persisted = 0  # the newest of which it was said that it is stored
        self.cleared = 0  # states up to here were cleared away
        self.by_save: list[float] = []  # when saves wrote
        self.highest = 0  # the newest state seen in the store since it was cleared

        async def make() -> Checkpoint[int]:
            curve = backoff.constant(BACKOFF)
            return Checkpoint(self.store, KEY, interval=interval, backoff=curve, flush_timeout=FLUSH)

        self.handle = self.run(make)

    def next_state(self) -> int:
        """A newer state than all before."""
        self.newest += 1
        return self.newest

    def stored(self) -> int:
        """The state in the store; 0: none."""
        return 0 if self.store.content is None else int(unseal(self.store.content, KEY))

    def may_ask(self, now: float) -> bool:
        """Whether a save at *now* has to reach the store."""
        good = [at for came, at, _ in self.store.writes if came == "ok"]
        if good and now < good[-1] + self.interval:
            return False
        came, at = next(((came, at) for came, at, _ in reversed(self.store.writes) if came != "cancelled"), ("ok", 0.0))
        return came == "ok" or now >= at + BACKOFF

    @rule(seconds=st.sampled_from([1.0, 2.0, 3.0, 5.0, 12.0]))
    def time_passes(self, seconds: float) -> None:
        """Only time."""
        self.run(lambda: anyio.sleep(seconds))

    @rule(mode=st.sampled_from(["ok", "ok", "refuse", "lie"]), delay=st.sampled_from([0.0, 1.0]))
    def the_store_changes(self, mode: str, delay: float) -> None:
        """It works, refuses, or writes and then says that it did not."""
        self.store.mode, self.store.delay = mode, delay

    @rule()
    def save(self) -> None:
        """One save: it is refused only by the throttle or the backoff, and says the truth."""
        state = self.next_state()

        async def main() -> tuple[bool, object]:
            due = self.may_ask(anyio.current_time())
            try:
                return due, await self.handle.save(state)
            except CheckpointUnreachable as error:
                return due, error

        before = len(self.store.writes)
        due, outcome = self.run(main)
        asked = len(self.store.writes) > before

        assert asked == due
        if not asked:
            assert outcome is Saved.THROTTLED
        elif self.store.mode == "ok":
            assert outcome is Saved.PERSISTED
            self.persisted = state
            self.by_save.append(self.store.writes[-1][1])
        else:
            assert isinstance(outcome, CheckpointUnreachable)
        assert self.handle.pending == (outcome is not Saved.PERSISTED)

    @rule(after=st.sampled_from([0.0, 0.5]))
    def a_save_is_cancelled_in_the_store(self, after: float) -> None:
        """The store hangs; the state is kept, and nobody counts a failure."""
        state = self.next_state()
        self.store.mode, mode = "hang", self.store.mode

        async def main() -> None:
            with anyio.move_on_after(after):
                await self.handle.save(state)

        self.run(main)
        self.store.mode = mode

        assert self.handle.pending

    @rule(delays=st.lists(st.sampled_from([0.0, 0.5, 1.5]), min_size=2, max_size=6), cut=st.none() | st.just(1.0))
    def many_save_at_once(self, delays: list[float], cut: float | None) -> None:
        """Some of them cut off: what is called stored is stored, or a newer state is."""
        said: list[int] = []

        async def one(delay: float) -> None:
            await anyio.sleep(delay)
            state = self.next_state()
            try:
                if await self.handle.save(state) is Saved.PERSISTED:
                    said.append(state)
                    assert self.stored() >= state
            except CheckpointUnreachable:
                assert self.store.mode != "ok"

        async def main() -> None:
            with anyio.move_on_after(1e9 if cut is None else cut):
                async with anyio.create_task_group() as tg:
                    for delay in delays:
                        tg.start_soon(one, delay)

        before = len(self.store.writes)
        self.run(main)

        self.persisted = max([self.persisted, *said])
        self.by_save += [at for came, at, _ in self.store.writes[before:] if came == "ok"]

    @rule(hang=st.booleans(), cancelled=st.booleans())
    def flush(self, hang: bool, cancelled: bool) -> None:
        """Also of a cancelled task, and for no longer than its own time limit."""
        mode = self.store.mode
        if hang:
            self.store.mode = "hang"
        pending = self.handle.pending

        async def main() -> tuple[float, object]:
            started = anyio.current_time()
            outcome: object = None
            with anyio.CancelScope() as scope:
                if cancelled:
                    scope.cancel()
                try:
                    await self.handle.flush()
                except CheckpointUnreachable as error:
                    outcome = error
            if isinstance(outcome, CheckpointUnreachable) and hang:
                self.store.writes.append(("failed", anyio.current_time(), 0))
            return anyio.current_time() - started, outcome

        took, outcome = self.run(main)
        works, self.store.mode = self.store.mode == "ok", mode

        assert took <= FLUSH
        if not pending or works:
            assert outcome is None
            assert not self.handle.pending
            if pending:
                assert self.stored() == self.newest
        else:
            assert isinstance(outcome, CheckpointUnreachable)
            assert self.handle.pending

    @rule()
    def load(self) -> None:
        """The state or a newer one; None only when there is none; a store that fails is no miss."""

        async def main() -> object:
            try:
                return await self.handle.load()
            except CheckpointUnreachable as error:
                return error

        outcome = self.run(main)

        if self.store.mode != "ok":
            assert isinstance(outcome, CheckpointUnreachable)
        else:
            assert outcome == (self.stored() or None)

    @rule()
    def clear(self) -> None:
        """Nothing comes back, what was pending least of all."""

        async def main() -> bool:
            try:
                await self.handle.clear()
            except CheckpointUnreachable:
                return False
            return True

        done = self.run(main)

        assert done == (self.store.mode == "ok")
        assert not self.handle.pending
        if done:
            assert self.stored() == 0
            self.persisted = self.highest = 0

    @invariant()
    def persisted_is_stored(self) -> None:
        """What was called stored is, or something newer."""
        if hasattr(self, "store"):
            assert self.stored() >= self.persisted

    @invariant()
    def older_never_over_newer(self) -> None:
        """States in the store only grow."""
        if hasattr(self, "store"):
            assert self.stored() >= self.highest
            self.highest = self.stored()

    @invariant()
    def writes_keep_their_distance(self) -> None:
        """Saves write at most once in an interval."""
        if hasattr(self, "store"):
            gaps = [later - before for before, later in zip(self.by_save, self.by_save[1:], strict=False)]
            assert all(gap >= self.interval for gap in gaps)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_checkpoint_keeps_its_promises(backend: str) -> None:
    """Stored is stored, newer stays, failures are told, the throttle moves with successes only."""
    machine = type("Machine", (CheckpointMachine,), {"backend": backend})

    run_state_machine_as_test(machine)
