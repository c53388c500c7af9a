"""The breaker around calls: what counts, what does not, and how it stands with the other options."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

import longrun
from longrun import CircuitOpen, Pipeline, Rejected, TimeoutExceeded, circuit, retry, timeout
from longrun.backoff import constant
from longrun.errors import BulkheadFull, RateLimited, Shed
from longrun.testing import Hang, Script, ScriptedFailure

pytestmark = pytest.mark.anyio


class Ours(Exception):
    """A mistake of the caller's: it says nothing about the upstream."""


async def fail(pipeline: Pipeline, times: int, error: BaseException | None = None) -> None:
    """Let *times* calls fail with *error*."""
    wanted = error or ConnectionError("refused")
    for _ in range(times):
        with pytest.raises(type(wanted)):
            await pipeline.do(Script(wanted))


async def test_an_open_circuit_refuses_at_once_and_says_when_to_come_again() -> None:
    """The call does not run; the error carries name, reason and seconds."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=3, open_for=30))
    await fail(pipeline, 3)
    work = Script("ok")
    await anyio.sleep(10)

    with pytest.raises(CircuitOpen, match=r"circuit 'webhooks' is open: 3 failures in a row; .* in 20 s") as caught:
        await pipeline.do(work)

    assert work.calls == 0
    assert isinstance(caught.value, Rejected)
    assert caught.value.retry_after == pytest.approx(20)


async def test_after_the_open_time_a_successful_probe_closes_it() -> None:
    """The whole ring: closed, open, half-open, closed."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, open_for=30))
    await fail(pipeline, 1)
    await anyio.sleep(30)

    first = await pipeline.do(Script("probe"))
    second = await pipeline.do(Script("normal"))

    assert (first, second) == ("probe", "normal")
    assert circuit.statistics("webhooks").state == "closed"


async def test_the_error_of_the_call_comes_out_unchanged() -> None:
    """The object itself, also when it is the one that opens the circuit."""
    error = ConnectionError("refused")

    with pytest.raises(ConnectionError) as caught:
        await longrun.do(Script(error), circuit.breaker("webhooks", threshold=1))

    assert caught.value is error
    assert circuit.statistics("webhooks").state == "open"


async def test_the_same_name_is_the_same_circuit_in_every_pipeline() -> None:
    """One pipeline fails, the other is refused; a breaker written inline in do() has the memory too."""
    one, other = (Pipeline(circuit.breaker("webhooks", threshold=2)) for _ in range(2))
    await fail(one, 1)
    await fail(other, 1)

    with pytest.raises(CircuitOpen):
        await longrun.do(Script("ok"), circuit.breaker("webhooks", threshold=2))


@pytest.mark.parametrize("rejected", [BulkheadFull("full"), RateLimited("later"), Shed("no"), CircuitOpen("open")])
@pytest.mark.parametrize("on", [Exception, Rejected, lambda _error: True])
async def test_a_call_that_was_refused_further_in_is_no_failure(
    rejected: Rejected, on: type[Exception] | Callable[[Exception], bool]
) -> None:
    """It never ran. Not even naming Rejected makes it count."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, on=on))

    await fail(pipeline, 5, rejected)
    await fail(pipeline, 5, ExceptionGroup("all", [rejected]))

    assert circuit.statistics("webhooks").state == "closed"
    assert circuit.statistics("webhooks").calls == 0


async def test_a_refusal_does_not_count_even_when_that_very_error_is_named() -> None:
    """Identity is no way around it."""
    refusal = BulkheadFull("full")
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, on=refusal))

    await fail(pipeline, 5, refusal)

    assert circuit.statistics("webhooks").state == "closed"


async def test_errors_that_on_does_not_mean_are_neither_success_nor_failure() -> None:
    """They do not open it, and they do not break a row of failures either."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=3, on=(ConnectionError, lambda e: "5xx" in str(e))))
    await fail(pipeline, 1)
    await fail(pipeline, 10, Ours("wrong argument"))
    await fail(pipeline, 1, RuntimeError("5xx"))
    counted = circuit.statistics("webhooks").failures

    await fail(pipeline, 1)

    assert counted == 2
    assert circuit.statistics("webhooks").state == "open"


async def test_a_group_of_errors_is_a_failure_when_any_of_its_leaves_is() -> None:
    """One refused connection among the caller's own mistakes, nested."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, on=ConnectionError))
    await fail(pipeline, 3, ExceptionGroup("ours", [Ours(), Ours()]))
    before = circuit.statistics("webhooks").state

    await fail(pipeline, 1, ExceptionGroup("mixed", [Ours(), ExceptionGroup("inner", [ConnectionError()])]))

    assert (before, circuit.statistics("webhooks").state) == ("closed", "open")


async def test_a_predicate_that_raises_does_not_hide_the_failure_and_the_failure_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The call's own error comes out; the defect is in the log."""

    def broken(_error: Exception) -> bool:
        raise KeyError("status")

    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, on=broken))

    await fail(pipeline, 1)

    assert circuit.statistics("webhooks").state == "open"
    assert "judging ConnectionError failed; it counts as a failure" in caplog.text


async def test_an_attempt_that_ran_into_its_time_limit_is_a_failure() -> None:
    """timeout.after below the breaker: a service that hangs opens it."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=2), timeout.after(3))

    for _ in range(2):
        with pytest.raises(TimeoutExceeded):
            await pipeline.do(Script(Hang()))

    assert circuit.statistics("webhooks").state == "open"


async def test_a_limit_above_the_breaker_is_a_cancellation_to_it() -> None:
    """The caller had no more time; that says nothing about the upstream."""
    pipeline = Pipeline(timeout.after(3), circuit.breaker("webhooks", threshold=1))

    for _ in range(3):
        with pytest.raises(TimeoutExceeded):
            await pipeline.do(Script(Hang()))

    assert circuit.statistics("webhooks").state == "closed"


async def test_slow_successes_open_it() -> None:
    """Ten calls of two seconds; the answers were right, all of them."""
    pipeline = Pipeline(circuit.breaker("webhooks", slow_call=2, minimum=10, window=60))

    for _ in range(10):
        await pipeline.do(Script(2.0))

    with pytest.raises(CircuitOpen, match="10 of 10 calls took 2 s or longer within 60 s"):
        await pipeline.do(Script("ok"))


async def test_quick_calls_are_not_slow() -> None:
    """Just below the line."""
    pipeline = Pipeline(circuit.breaker("webhooks", slow_call=2, minimum=10, window=60))

    for _ in range(20):
        await pipeline.do(Script(1.9))

    assert circuit.statistics("webhooks").slow == 0


async def test_of_50_concurrent_calls_on_a_circuit_that_is_due_only_the_probes_run() -> None:
    """No thundering herd on a service that just comes back."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, open_for=30, probes=3))
    await fail(pipeline, 1)
    await anyio.sleep(30)
    work, refused = Script(1.0), []

    async def call() -> None:
        try:
            await pipeline.do(work)
        except CircuitOpen as error:
            refused.append(error.retry_after)

    async with anyio.create_task_group() as tg:
        for _ in range(50):
            tg.start_soon(call)

    assert work.calls == 3
    assert refused == [0.0] * 47
    assert circuit.statistics("webhooks").state == "closed"


async def cancelled(pipeline: Pipeline) -> None:
    """One call that is cancelled while it runs."""
    async with anyio.create_task_group() as tg:
        tg.start_soon(pipeline.do, Script(Hang()))
        await anyio.sleep(1)
        tg.cancel_scope.cancel()


@pytest.mark.parametrize("threshold", [1, None])
async def test_ten_cancelled_calls_change_nothing(threshold: int | None) -> None:
    """Neither failure nor success: every number is as before."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=threshold, minimum=10))
    before = circuit.statistics("webhooks")

    for _ in range(10):
        await cancelled(pipeline)

    after = circuit.statistics("webhooks")
    assert (after.state, after.calls, after.failures, after.reason) == (before.state, 0, 0, before.reason)


async def test_a_cancelled_probe_neither_wedges_nor_opens_it_again() -> None:
    """Its place is free for the next one at once."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, open_for=30))
    await fail(pipeline, 1)
    await anyio.sleep(30)

    for _ in range(5):
        await cancelled(pipeline)
    between = circuit.statistics("webhooks")
    await pipeline.do(Script("ok"))

    assert (between.state, between.probing) == ("half_open", 0)
    assert circuit.statistics("webhooks").state == "closed"


async def test_a_probe_with_an_error_that_is_ignored_frees_its_place() -> None:
    """It proves nothing in either direction."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, open_for=30, on=ConnectionError))
    await fail(pipeline, 1)
    await anyio.sleep(30)

    await fail(pipeline, 5, Ours())
    between = circuit.statistics("webhooks")
    await pipeline.do(Script("ok"))

    assert (between.state, between.probing) == ("half_open", 0)
    assert circuit.statistics("webhooks").state == "closed"


async def test_a_probe_that_is_thrown_away_unfinished_frees_its_place() -> None:
    """A coroutine that is closed from outside gives back what it held."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, open_for=30))
    await fail(pipeline, 1)
    await anyio.sleep(30)
    probe = pipeline.do(Stuck)

    probe.send(None)
    probing = circuit.statistics("webhooks").probing
    probe.close()

    assert (probing, circuit.statistics("webhooks").probing) == (1, 0)


class Stuck:
    """An awaitable that is never done."""

    def __await__(self):
        yield


async def test_a_retry_above_does_not_repeat_a_refused_call_unless_it_names_it() -> None:
    """on(Exception) stops at the open circuit; on(CircuitOpen) waits for the next probe."""
    breaker = circuit.breaker("webhooks", threshold=1, open_for=30)
    await fail(Pipeline(breaker), 1)
    blind = Pipeline(retry.on(Exception, 5, constant(1)), breaker)
    patient = Pipeline(retry.on(CircuitOpen, 1, constant(1)), breaker)

    with pytest.raises(CircuitOpen):
        await blind.do(Script("ok"))
    started = anyio.current_time()
    answer = await patient.do(Script("ok"))

    assert answer == "ok"
    assert anyio.current_time() - started == pytest.approx(30)


async def test_a_breaker_inside_a_retry_counts_every_attempt_and_one_outside_each_call() -> None:
    """The order of the options decides."""
    inside = Pipeline(retry.on(ScriptedFailure, 3, constant(0)), circuit.breaker("inside", threshold=100))
    outside = Pipeline(circuit.breaker("outside", threshold=100), retry.on(ScriptedFailure, 3, constant(0)))

    for pipeline in (inside, outside):
        await fail(pipeline, 1, ScriptedFailure())

    assert circuit.statistics("inside").failures == 4
    assert circuit.statistics("outside").failures == 1


@pytest.mark.slow
async def test_ten_thousand_tasks_on_one_breaker_lose_no_count() -> None:
    """All in flight at once; every third fails."""
    pipeline = Pipeline(circuit.breaker("webhooks", minimum=100_000, window=600))
    done: list[int] = []

    async def call(index: int) -> None:
        async def work() -> None:
            await anyio.sleep(1 + index % 7)
            if index % 3 == 0:
                raise ConnectionError

        with suppress(ConnectionError):
            await pipeline.do(work)
        done.append(index)

    async with anyio.create_task_group() as tg:
        for index in range(10_000):
            tg.start_soon(call, index)

    statistics = circuit.statistics("webhooks")
    assert len(done) == 10_000
    assert (statistics.calls, statistics.failures) == (10_000, 3_334)


async def test_a_storm_of_calls_and_cancellations_leaves_no_place_taken() -> None:
    """Hundreds of tasks through many rounds of recovery, a third of them cancelled: it still closes."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=3, open_for=5, probes=2, growth=1, ramp=2))
    most = 0

    async def work(index: int) -> None:
        nonlocal most
        most = max(most, circuit.statistics("webhooks").probing)
        await anyio.sleep(0.1 + index % 5 / 10)
        if index // 40 % 2:  # four seconds up, four seconds down
            raise ConnectionError

    async def call(index: int) -> None:
        await anyio.sleep(index / 10)
        with anyio.move_on_after(0.2 if index % 3 == 0 else 10), suppress(ConnectionError, CircuitOpen):
            await pipeline.do(work, index)

    async with anyio.create_task_group() as tg:
        for index in range(600):
            tg.start_soon(call, index)
    await anyio.sleep(10)
    for _ in range(4):
        await pipeline.do(Script("ok"))
        await anyio.sleep(2)

    assert most == 2
    assert circuit.statistics("webhooks").state == "closed"
    assert circuit.statistics("webhooks").probing == 0


async def test_types_pass_through() -> None:
    """What wraps a call returns what the call returns."""

    @Pipeline(circuit.breaker("webhooks")).wrap
    async def double(value: int) -> int:
        return 2 * value

    typed: Callable[[int], Awaitable[int]] = double

    assert await typed(21) == 42
