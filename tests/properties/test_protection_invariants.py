"""Laws of whole stacks under load: places, tokens and budgets add up, whoever is cancelled and whenever."""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun import (
    BulkheadFull,
    CircuitOpen,
    Pipeline,
    bulkhead,
    circuit,
    fallback,
    hedge,
    observe,
    ratelimit,
    retry,
    timeout,
)
from longrun.backoff import constant, exponential
from longrun.budget.budget import Budget
from longrun.circuit import CircuitClosed, CircuitHalfOpened, CircuitOpened
from longrun.events import Event
from longrun.hedge import HedgeStarted
from longrun.ratelimit.gcra import Gcra
from longrun.testing import RecordingListener, isolated, run_virtual

T = TypeVar("T")

backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class A(Exception):
    pass


#: Durations that binary fractions hold exactly; cancellations lie between them.
times = st.sampled_from([0, 0, 1, 2, 3, 5, 8, 13, 22, 40, 60]).map(lambda n: n / 4)
cancels = st.none() | st.sampled_from([0, 0, 1, 2, 3, 4, 5, 6, 7, 9, 13, 21, 40, 90]).map(lambda n: n / 4 + 1 / 8)
ends = st.sampled_from(["ok", "a", "a", "hang"])
steps = st.lists(st.tuples(times, ends), min_size=1, max_size=4)


class Work:
    """One caller's work: its steps one after the other, the last for ever; hedged or not, and in any number."""

    def __init__(self, script: list[tuple[float, str]], log: "Log") -> None:
        self._script = script
        self._log = log
        self.calls = 0
        self.running = 0

    async def __call__(self) -> str:
        takes, end = self._script[min(self.calls, len(self._script) - 1)]
        self.calls += 1
        self._log.starts.append(anyio.current_time())
        self.running += 1
        self._log.running += 1
        self._log.most = max(self._log.most, self._log.running)
        try:
            await anyio.sleep(takes)
            if end == "hang":
                await anyio.sleep_forever()
        finally:
            self.running -= 1
            self._log.running -= 1
        if end == "a":
            raise A
        return end


class Log:
    """What all callers saw together."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.running = 0
        self.most = 0
        self.calls = 0
        self.attempts = 0
        self.failed = 0
        self.succeeded = 0

    async def count_call(self, call: Callable[[], Awaitable[T]], /) -> T:
        self.calls += 1
        return await call()

    async def count_attempt(self, call: Callable[[], Awaitable[T]], /) -> T:
        self.attempts += 1
        return await call()

    async def count_outcome(self, call: Callable[[], Awaitable[T]], /) -> T:
        try:
            result = await call()
        except Exception:
            self.failed += 1
            raise
        self.succeeded += 1
        return result


async def cancelled_after(seconds: float | None, scope: anyio.CancelScope) -> None:
    """Cancel *scope* by hand: a deadline would be seen by the call."""
    if seconds is not None:
        await anyio.sleep(seconds)
        scope.cancel()


def tokens_left(starts: list[float]) -> int:
    """What two tokens a second, four at most, are now that one was taken at each of *starts*."""
    gcra, arrival = Gcra(0.5, 4), float("-inf")
    for start in starts:
        arrival = gcra.take(arrival, start)
    return gcra.tokens(arrival, anyio.current_time())


callers = st.lists(st.tuples(times, steps, cancels), min_size=1, max_size=10)


@backends
@given(callers)
def test_cancelled_calls_leave_everything_as_it_was(
    backend: str, crowd: list[tuple[float, list[tuple[float, str]], float | None]]
) -> None:
    """Wherever they are hit, in a queue, a wait, an attempt, a race or the fallback: at once, and as if never made."""
    log, events = Log(), RecordingListener()
    late: list[str] = []
    fell_back = 0

    async def instead() -> str:
        nonlocal fell_back
        fell_back += 1
        await anyio.sleep(0.5)
        return "instead"

    async def main() -> None:
        budget = retry.budget("all", ratio=1.0, floor=5)
        slots = bulkhead.max(3, queue=100)
        rate = ratelimit.wait(2, 1, burst=4)
        policy = Pipeline(
            log.count_call,
            fallback.to(instead),
            budget,
            retry.on(A, 2, exponential(1, 4)),
            log.count_attempt,
            hedge.after(4),
            slots,
            rate,
            circuit.breaker("upstream", minimum=10_000, window=100_000),
            log.count_outcome,
            timeout.after(11),
            observe(events),
        )

        async def one(arrives: float, script: list[tuple[float, str]], leaves: float | None) -> None:
            await anyio.sleep(arrives)
            work = Work(script, log)
            begun = anyio.current_time()
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tg:
                    tg.start_soon(cancelled_after, leaves, scope)
                    assert await policy.do(work) in ("ok", "instead")
                    tg.cancel_scope.cancel()
            if work.running or (scope.cancelled_caught and anyio.current_time() - begun != leaves):
                late.append(f"{work.running} running at {anyio.current_time() - begun}, cancelled at {leaves}")

        async with anyio.create_task_group() as everybody:
            for caller in crowd:
                everybody.start_soon(one, *caller)

        upstream = circuit.statistics("upstream")
        assert (upstream.state, upstream.probing) == ("closed", 0)
        assert (upstream.calls, upstream.failures) == (log.succeeded + log.failed, log.failed)
        assert (slots.statistics().running, slots.statistics().queued) == (0, 0)
        assert (rate.statistics().tokens, rate.statistics().queued) == (tokens_left(log.starts), 0)
        assert isinstance(budget.budget, Budget)
        counts = budget.budget.statistics()
        assert counts.calls == log.calls
        assert counts.spent - counts.refunded == log.attempts - log.calls + len(events.of(HedgeStarted))

    with isolated():
        run_virtual(main, backend=backend)

    assert late == []
    assert log.running == 0
    assert log.most <= 3
    assert fell_back <= log.failed


@backends
@given(
    limit=st.integers(1, 3),
    queue=st.integers(0, 4),
    crowd=st.lists(st.tuples(times, times, st.sampled_from(["ok", "a"]), cancels), min_size=1, max_size=12),
)
def test_slots_are_given_in_order_of_arrival_and_all_come_back(
    backend: str, limit: int, queue: int, crowd: list[tuple[float, float, str, float | None]]
) -> None:
    """For any row of arrivals, ends and cancellations: never more than may, a bounded queue, nobody overtakes."""
    slots = bulkhead.max(limit, queue=queue)
    policy = Pipeline(slots)
    crowd = sorted((caller[0] + number / 64, *caller[1:]) for number, caller in enumerate(crowd))
    started: list[int] = []
    bounds: list[tuple[int, int]] = []

    async def one(number: int, arrives: float, holds: float, end: str, leaves: float | None) -> None:
        await anyio.sleep(arrives)

        async def work() -> None:
            started.append(number)
            bounds.append((slots.statistics().running, slots.statistics().queued))
            await anyio.sleep(holds)
            if end == "a":
                raise A

        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tg:
                tg.start_soon(cancelled_after, leaves, scope)
                try:
                    await policy.do(work)
                except A:
                    pass
                except BulkheadFull:
                    counts = slots.statistics()
                    assert (counts.running, counts.queued) == (limit, queue)
                tg.cancel_scope.cancel()

    async def main() -> int:
        async with anyio.create_task_group() as everybody:
            for number, caller in enumerate(crowd):
                everybody.start_soon(one, number, *caller)
        assert (slots.statistics().running, slots.statistics().queued) == (0, 0)
        before = anyio.current_time()
        async with anyio.create_task_group() as afterwards:
            for _ in range(limit):
                afterwards.start_soon(policy.do, lambda: anyio.sleep(1))
        return round(anyio.current_time() - before)

    assert run_virtual(main, backend=backend) == 1, "some capacity was lost"
    assert started == sorted(started)
    assert all(running <= limit and queued <= queue for running, queued in bounds)


@backends
@given(
    ratio=st.sampled_from([0.0, 0.25, 0.5]),
    floor=st.integers(0, 3),
    crowd=st.lists(st.tuples(times, steps), min_size=1, max_size=12),
)
def test_retries_and_hedges_together_stay_within_one_budget(
    backend: str, ratio: float, floor: int, crowd: list[tuple[float, list[tuple[float, str]]]]
) -> None:
    """In every window; what it takes away are extra attempts: each call has its first one, and what runs runs on."""
    begun: list[float] = []
    extra: list[float] = []

    async def main() -> None:
        log = Log()
        policy = Pipeline(
            retry.budget("all", ratio=ratio, floor=floor),
            retry.on((A, TimeoutError), 3, constant(0)),
            hedge.after(3, extra=2),
            timeout.after(20),
        )

        async def one(arrives: float, script: list[tuple[float, str]]) -> None:
            await anyio.sleep(arrives)
            work = Work(script, log)

            async def copy() -> str:
                (extra if work.calls else begun).append(anyio.current_time())
                return await work()

            with suppress(A, TimeoutError):
                await policy.do(copy)

        async with anyio.create_task_group() as everybody:
            for caller in crowd:
                everybody.start_soon(one, *caller)

    with isolated():
        run_virtual(main, backend=backend)

    assert len(begun) == len(crowd)
    for end in extra:
        by_calls = ratio * within(begun, 10, end) + floor
        assert within(extra, 10, end) <= by_calls or within(extra, 1, end) <= floor


def within(instants: list[float], window: float, end: float) -> int:
    """How many of *instants* lie in the *window* seconds up to *end*."""
    return sum(1 for at in instants if end - window < at <= end)


class Rounds:
    """A listener, and work, that count the probes of each round of one circuit, and what came of them."""

    def __init__(self) -> None:
        self.round = 0
        self.most = 0
        self._running: list[tuple[int, float]] = []
        self._good, self._bad = Counter[int](), Counter[int]()
        self._ended: list[tuple[type[Event], int, int]] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, CircuitHalfOpened):
            self.round += 1
        elif isinstance(event, CircuitClosed | CircuitOpened) and event.before == "half_open":
            self._ended.append((type(event), self._good[self.round], self._bad[self.round]))

    def ended_by(self, kind: type[Event]) -> list[tuple[int, int]]:
        """Successes and failures of the probes of each round that ended with an event of *kind*."""
        return [(good, bad) for ended, good, bad in self._ended if ended is kind]

    async def work(self, takes: float, end: str) -> None:
        probe = (self.round if circuit.statistics("upstream").state == "half_open" else 0, anyio.current_time())
        self._running.append(probe)
        # One that has been silent for an open time makes way for another, and runs on.
        together = [at for number, at in self._running if number == probe[0] and at > probe[1] - 7]
        if probe[0]:
            self.most = max(self.most, len(together))
        try:
            await anyio.sleep(takes)
        finally:
            self._running.remove(probe)
        self._good[probe[0]] += end == "ok"
        self._bad[probe[0]] += end == "a"
        if end in ("a", "ignored"):
            raise A if end == "a" else KeyError


@backends
@given(
    probes=st.integers(1, 3),
    more=st.integers(0, 2),
    crowd=st.lists(
        st.tuples(times, times, st.sampled_from(["ok", "ok", "a", "ignored"]), cancels),
        min_size=1,
        max_size=20,
    ),
)
def test_a_circuit_that_is_due_is_never_stormed_and_never_stuck(
    backend: str, probes: int, more: int, crowd: list[tuple[float, float, str, float | None]]
) -> None:
    """However many call, and however their calls end: the places are kept, and a healthy service gets back in."""
    rounds = Rounds()

    async def one(arrives: float, takes: float, end: str, leaves: float | None) -> None:
        await anyio.sleep(arrives)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tg:
                tg.start_soon(cancelled_after, leaves, scope)
                with suppress(A, KeyError, CircuitOpen):
                    await policy.do(rounds.work, takes, end)
                tg.cancel_scope.cancel()

    async def main() -> str:
        async with anyio.create_task_group() as everybody:
            for caller in crowd:
                everybody.start_soon(one, *caller)
        assert circuit.statistics("upstream").probing == 0
        await anyio.sleep(7)
        for _ in range(probes + more):
            await policy.do(rounds.work, 0, "ok")
        return circuit.statistics("upstream").state

    with isolated():
        breaker = circuit.breaker(
            "upstream", threshold=1, open_for=7, growth=1, probes=probes, successes=probes + more, on=A
        )
        policy = Pipeline(breaker, observe(rounds))
        assert run_virtual(main, backend=backend) == "closed"
    assert rounds.most <= probes
    assert all(successes == probes + more for successes, _failures in rounds.ended_by(CircuitClosed))
    assert all(failures >= 1 for _successes, failures in rounds.ended_by(CircuitOpened))
