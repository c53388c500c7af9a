"""shed.throttle: it sheds what the other side would reject, sees recovery, and leaves bursts alone."""

from random import Random
from threading import Thread

import anyio
import pytest

import longrun
from longrun import Pipeline, Shed, shed
from longrun.errors import CircuitOpen
from longrun.shed.window import Window
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio


class Busy(Exception):
    """The service says that it has too much to do."""

    service_pressure = True


async def offer(policy: Pipeline, work: Script, calls: int, every: float = 0.1) -> int:
    """Make so many calls; how many of them were shed."""
    refused = 0
    for _ in range(calls):
        try:
            await policy.do(work)
        except Shed:
            refused += 1
        except Exception:  # noqa: BLE001 - the answer of the service is no matter here
            pass
        await anyio.sleep(every)
    return refused


async def test_it_sheds_while_the_service_rejects_and_lets_go_when_it_is_back(
    events: RecordingListener,
) -> None:
    """Nine of ten are refused in the outage; refusals fall within one window, and end in two and a half."""
    limit = shed.throttle(name="api")
    policy = Pipeline(longrun.observe(events), limit, name="call", rng=Random(1))
    outage = Script(Busy("try later"))

    before = await offer(policy, Script("ok"), 1200)
    await offer(policy, outage, 1200)
    during = await offer(policy, outage, 1000)
    recovering = [await offer(policy, Script("ok"), 600) for _ in range(5)]
    after = await offer(policy, Script("ok"), 1000)

    assert before == 0
    assert 850 <= during <= 950
    assert recovering == sorted(recovering, reverse=True)
    assert recovering[1] < 0.95 * recovering[0]
    assert recovering[4] == 0
    assert after == 0
    assert limit.statistics().rejection["normal"] == 0
    told = events.of(shed.CallShed)[-1]
    assert told.name == "shed.refused"
    assert "accepted" in told.reason


async def test_an_outage_shorter_than_the_window_is_forgotten_within_it() -> None:
    """Half a window of outage after half a window of health: one window later nothing is refused."""
    policy = Pipeline(shed.throttle(), rng=Random(1))
    await offer(policy, Script("ok"), 600)

    during = await offer(policy, Script(TimeoutError()), 720)
    await offer(policy, Script("ok"), 1200)
    after = await offer(policy, Script("ok"), 600)

    assert during > 0
    assert after == 0


async def test_some_calls_always_go_through_so_that_recovery_is_seen() -> None:
    """At the most extreme the share of *max_rejection* is refused, not more."""
    policy = Pipeline(shed.throttle(max_rejection=0.5), rng=Random(2))
    outage = Script(ConnectionRefusedError())

    refused = await offer(policy, outage, 2000)

    assert 0 < refused < 1100
    assert outage.calls == 2000 - refused


async def test_an_answer_is_an_accept_and_a_rejection_from_below_is_none() -> None:
    """A KeyError was served; what a circuit refused was not; *on* can say otherwise."""
    answers, rejections, said = shed.throttle(name="a"), shed.throttle(name="r"), shed.throttle(name="s", on=KeyError)

    await offer(Pipeline(answers), Script(KeyError("no such thing")), 100)
    await offer(Pipeline(rejections), Script(CircuitOpen("open")), 100)
    await offer(Pipeline(said), Script(KeyError("no such thing")), 100)

    assert answers.statistics().accepts == answers.statistics().requests == 100
    assert rejections.statistics().accepts == 0
    assert said.statistics().accepts == 0
    assert said.statistics().requests == 100


@pytest.mark.slow
async def test_a_burst_that_has_not_been_answered_yet_does_not_refuse_itself() -> None:
    """Ten thousand calls at once against a healthy service, with one failure among them: all of them are sent."""
    limit = shed.throttle(name="x")
    policy = Pipeline(limit)
    refused = 0

    async def one(number: int) -> None:
        nonlocal refused
        try:
            await anyio.sleep(number / 100_000)
            await policy.do(Script(Busy()) if number == 0 else Script(2.0))
        except Shed:
            refused += 1
        except Busy:
            pass

    async with anyio.create_task_group() as tg:
        for number in range(10_000):
            tg.start_soon(one, number)

    assert refused == 0
    assert limit.statistics().accepts == 9_999


async def test_a_service_that_hangs_is_seen_before_anything_times_out() -> None:
    """Calls that have been under way for longer than the grace count as not accepted."""
    limit = shed.throttle(name="x")
    policy = Pipeline(limit)

    async with anyio.create_task_group() as tg:
        for _ in range(50):
            tg.start_soon(policy.do, Script(Hang()))
        await anyio.sleep(4)
        early = limit.statistics()
        await anyio.sleep(7)
        late = limit.statistics()
        tg.cancel_scope.cancel()

    assert early.requests == 0
    assert (late.requests, late.accepts) == (50, 0)
    assert late.rejection["normal"] == 0.9
    assert limit.statistics().requests == 0


async def test_cancelled_calls_were_never_requests() -> None:
    """Random cancellations leave the counts as they were."""
    limit = shed.throttle(name="x")
    policy = Pipeline(limit)
    rng = Random(3)

    async def one() -> None:
        with anyio.move_on_after(rng.uniform(0, 60)):
            await policy.do(Script(Hang()))

    async with anyio.create_task_group() as tg:
        for _ in range(9):
            tg.start_soon(one)

    assert limit.statistics().requests == 0


async def test_a_few_failures_are_no_overload() -> None:
    """Below the minimum nothing is refused, however bad it looks."""
    refused = await offer(Pipeline(shed.throttle(minimum=10)), Script(TimeoutError()), 9)

    assert refused == 0


async def test_a_retry_does_not_try_again_what_was_shed() -> None:
    """A rule for Exception does not mean it: the refusal comes out at once."""
    limit = shed.throttle(name="x", max_rejection=0.99)
    await offer(Pipeline(limit), Script(TimeoutError()), 200)
    policy = Pipeline(longrun.retry.on(Exception, 5, longrun.backoff.constant(0)), limit, rng=Random(1))
    work = Script("ok")

    with pytest.raises(Shed):
        await policy.do(work)

    assert work.calls == 0


def test_threads_count_exactly() -> None:
    """Four threads on one window: as many settled as began."""
    window = Window(120.0, 24, 2)

    def work() -> None:
        for number in range(10_000):
            with window.lock:
                slot = window.begin()
            if number % 3:
                window.settle(slot, number % 2 == 0)
            else:
                window.cancel(slot)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (window.newest.under_way, window.good, window.bad) == (0, 4 * 3333, 4 * 3333)
