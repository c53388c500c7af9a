"""shed.adaptive: permits, what the limit learns from and what it does not, and what is told."""

from itertools import pairwise
from random import Random
from threading import Barrier, Thread

import anyio
import pytest

import longrun
from longrun import Pipeline, Shed, shed
from longrun.errors import BulkheadFull
from longrun.shed.gradient import Bounds
from longrun.shed.limiter import AdaptiveStatistics, Limiter
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio


def half() -> float:
    return 0.5


async def test_a_call_above_the_limit_is_refused_with_the_reason(events: RecordingListener) -> None:
    """Ten critical calls fill a limit of ten; the eleventh never runs, and says why."""
    limit = shed.adaptive(initial=10, name="db")
    policy = Pipeline(longrun.observe(events), limit, name="read")
    late = Script("ok")

    async with anyio.create_task_group() as tg:
        with shed.priority("critical"):
            for _ in range(10):
                tg.start_soon(policy.do, Script(Hang()))
            await anyio.sleep(1)
            with pytest.raises(Shed, match=r"read: refused by shed.adaptive 'db'.*10 calls are running.*critical"):
                await policy.do(late)
        tg.cancel_scope.cancel()

    assert late.calls == 0
    assert [(event.subject, event.priority) for event in events.of(shed.CallShed)] == [("read", "critical")]
    assert limit.statistics().in_flight == 0


async def test_cancelled_calls_give_their_permits_back_and_teach_nothing() -> None:
    """A thousand calls, cut off at random: the limit and the baseline are as before."""
    limit = shed.adaptive(initial=200, name="x")
    policy = Pipeline(limit)
    before = limit.statistics()
    rng = Random(5)

    async def one() -> None:
        with anyio.move_on_after(rng.uniform(0, 30)):
            await policy.do(Script(Hang()))

    async with anyio.create_task_group() as tg:
        for _ in range(150):
            tg.start_soon(one)

    assert limit.statistics() == before


async def test_timeouts_shrink_the_limit_and_plain_failures_do_not() -> None:
    """An answer, even a bad one, is no sign of overload; no answer is."""
    answering, silent = shed.adaptive(name="answering"), shed.adaptive(name="silent")

    for _ in range(60):
        with pytest.raises(KeyError):
            await Pipeline(answering).do(Script(KeyError("no such row")))
        with pytest.raises(TimeoutError):
            await Pipeline(silent).do(Script(TimeoutError()))
        await anyio.sleep(0.5)

    assert answering.statistics().limit == 20
    assert silent.statistics().limit < 20


async def test_a_rejection_from_below_shrinks_the_limit_and_so_does_what_on_names() -> None:
    """A full bulkhead below is overload; with *on* it is what the user says, and nothing else."""
    rejected, named = shed.adaptive(name="rejected"), shed.adaptive(name="named", on=KeyError)

    for _ in range(60):
        with pytest.raises(BulkheadFull):
            await Pipeline(rejected).do(Script(BulkheadFull("full")))
        with pytest.raises(TimeoutError):
            await Pipeline(named).do(Script(TimeoutError()))
        await anyio.sleep(0.5)
    untouched = named.statistics().limit
    for _ in range(60):
        with pytest.raises(ExceptionGroup):
            await Pipeline(named).do(Script(ExceptionGroup("g", [KeyError("k"), ValueError("v")])))
        await anyio.sleep(0.5)

    assert rejected.statistics().limit < 20
    assert untouched == 20
    assert named.statistics().limit < 20


async def test_a_predicate_that_raises_does_not_take_the_place_of_the_failure() -> None:
    """The permit is back and the caller sees the error of the call."""

    def broken(error: Exception) -> bool:
        raise ZeroDivisionError

    limit = shed.adaptive(name="x", on=broken)

    with pytest.raises(KeyError):
        await Pipeline(limit).do(Script(KeyError("k")))

    assert limit.statistics().in_flight == 0


async def test_a_limit_that_is_not_used_does_not_grow() -> None:
    """One call at a time says nothing about twenty."""
    limit = shed.adaptive(name="x")
    policy = Pipeline(limit)

    for _ in range(300):
        await policy.do(Script(0.1))

    assert limit.statistics().limit == 20
    assert limit.statistics().baseline == pytest.approx(0.1)


async def test_a_changed_limit_is_told_but_not_every_second(events: RecordingListener) -> None:
    """Two minutes of time-outs: some reports, at least five seconds apart, each going on from the last."""
    limit = shed.adaptive(name="x")
    policy = Pipeline(longrun.observe(events), limit, name="read")

    for _ in range(1200):
        with pytest.raises(TimeoutError):
            await policy.do(Script(TimeoutError()))
        await anyio.sleep(0.1)

    changes = events.of(shed.LimitChanged)
    assert 2 <= len(changes) <= 24
    assert changes[0].old == 20
    assert all(earlier.new == later.old for earlier, later in pairwise(changes))
    assert changes[-1].new == limit.statistics().limit == 1


async def test_without_a_name_each_pipeline_has_its_own_limit_and_do_refuses_it() -> None:
    """A fresh limit per call would protect nothing; statistics belong to a name."""
    unnamed = shed.adaptive(initial=1)

    async with anyio.create_task_group() as tg:
        tg.start_soon(Pipeline(unnamed).do, Script(Hang()))
        await anyio.sleep(1)
        assert await Pipeline(unnamed).do(Script("ok")) == "ok"
        tg.cancel_scope.cancel()

    with pytest.raises(longrun.PipelineError, match="give it a name"):
        await longrun.do(Script("ok"), unnamed)
    with pytest.raises(longrun.PipelineError, match="give it a name to see statistics"):
        unnamed.statistics()
    assert await longrun.do(Script("ok"), shed.adaptive(name="x")) == "ok"


@pytest.mark.slow
async def test_ten_thousand_calls_at_once_share_one_limit() -> None:
    """As many run as there is room for; everybody else is told at once; nothing is lost."""
    limit = shed.adaptive(name="x")
    policy = Pipeline(limit)
    outcomes = {"ok": 0, "shed": 0}

    async def one() -> None:
        try:
            await policy.do(Script(1.0))
            outcomes["ok"] += 1
        except Shed:
            outcomes["shed"] += 1

    async with anyio.create_task_group() as tg:
        for _ in range(10_000):
            tg.start_soon(one)

    assert outcomes == {"ok": 16, "shed": 9984}
    assert limit.statistics().in_flight == 0


def test_threads_share_a_limit_without_losing_a_permit() -> None:
    """Eight threads, forty thousand calls, every way to give a permit back."""
    limiter = Limiter(50, Bounds(1, 200))
    barrier = Barrier(8)

    def work(seed: int) -> None:
        rng = Random(seed)
        barrier.wait()
        for step in range(5_000):
            at = step / 100
            ticket = limiter.admit(at, rng.randrange(4))
            if not ticket:
                continue
            match rng.randrange(3):
                case 0:
                    limiter.release(at, ticket)
                case 1:
                    limiter.finish(at, at + 0.01, ticket, half)
                case _:
                    limiter.drop(at, at + 0.01, ticket, half)

    threads = [Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert limiter.in_flight == 0
    assert 1 <= limiter.statistics().limit <= 200


def test_statistics_are_a_value() -> None:
    """What was read does not change when the limit does."""
    limiter = Limiter(20, Bounds(1, 200))
    before = limiter.statistics()

    limiter.admit(0.0, 1)

    assert before == AdaptiveStatistics(20, 0, (12, 16, 18, 20), False, 0.0, 0.0)
    assert limiter.statistics().in_flight == 1


def test_a_probe_ends_even_when_its_calls_tell_nothing() -> None:
    """Calls that fail with answers teach nothing; they must not keep the limit at a quarter either."""
    limiter = Limiter(20, Bounds(1, 200))
    at = 0.0
    while not limiter.statistics().probing:
        tickets = [limiter.admit(at, 3) for _ in range(15)]
        at += 1.0
        for ticket in tickets:
            limiter.finish(at - 1, at, ticket, half)
    full = 0

    while limiter.admit(at, 3):
        full += 1
    refused_in_probe = limiter.admit(at + 1, 3)
    admitted_later = limiter.admit(at + 60, 3)

    assert full == 5
    assert not refused_in_probe
    assert admitted_later
    assert not limiter.statistics().probing
