"""Pacing and the gate of one token, in virtual time."""

import math

import anyio
import pytest
import trio.testing

from domain.github.adapters.throttle import Throttle
from domain.github.errors import RateLimited

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """Trio with a clock that jumps: the suite waits for nothing. The throttle itself is anyio and knows no backend."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def test_nine_callers_at_one_a_second_all_pass_a_five_second_request_timeout():
    """The wait for a turn is not part of the request's time: the ninth waits 8 s and still has its 5 s."""
    throttle, started = Throttle(1.0), []
    begin = anyio.current_time()

    async def call():
        await throttle.turn()
        with anyio.fail_after(5.0):
            started.append(anyio.current_time() - begin)
            await anyio.sleep(4.9)

    async with anyio.create_task_group() as group:
        for _ in range(9):
            group.start_soon(call)

    assert started == [pytest.approx(second) for second in range(9)]


async def test_no_pacing_means_no_waiting():
    """An interval of 0 lets all of them through at once."""
    throttle, begin = Throttle(0.0), anyio.current_time()

    for _ in range(100):
        await throttle.turn()

    assert anyio.current_time() == begin


async def test_a_cancelled_caller_costs_no_turn():
    """Otherwise callers that give up would push the turns of all others away for ever."""
    throttle, begin = Throttle(1.0), anyio.current_time()
    await throttle.turn()
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(throttle.turn)
        await anyio.sleep(0.5)
        group.cancel_scope.cancel()

    await throttle.turn()

    assert anyio.current_time() - begin == pytest.approx(1.0)


async def test_one_limit_parks_every_caller_of_the_token_until_it_is_over():
    """Each is told what is left of the wait; nobody asks the network to learn it."""
    throttle = Throttle(0.0)
    throttle.hold(RateLimited("used up", 60.0))
    waits = []

    for _ in range(3):
        with pytest.raises(RateLimited, match="used up") as caught:
            await throttle.turn()
        waits.append(caught.value.retry_after)
        await anyio.sleep(20.0)
    await throttle.turn()

    assert waits == [pytest.approx(60), pytest.approx(40), pytest.approx(20)]


async def test_callers_already_waiting_for_their_turn_learn_of_the_limit_too():
    """They stood in the queue when the limit came: no request goes out, and none waits its pacing first."""
    throttle, refused = Throttle(1.0), []
    await throttle.turn()

    async def call():
        try:
            await throttle.turn()
        except RateLimited:
            refused.append(anyio.current_time())

    begin = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(call)
        await anyio.sleep(0.5)
        throttle.hold(RateLimited("used up", 60.0))

    assert len(refused) == 5
    assert max(refused) - begin == pytest.approx(1.0)


async def test_a_shorter_limit_does_not_open_the_gate_early():
    """The longest wait that was named holds."""
    throttle = Throttle(0.0)
    throttle.hold(RateLimited("primary", 60.0))
    throttle.hold(RateLimited("secondary", 5.0))
    await anyio.sleep(10.0)

    with pytest.raises(RateLimited, match="primary"):
        await throttle.turn()


async def test_a_limit_without_a_wait_closes_nothing():
    """There is no telling when it would open."""
    throttle = Throttle(0.0)

    throttle.hold(RateLimited("busy"))

    await throttle.turn()


@pytest.mark.parametrize("interval", [-1.0, math.nan, math.inf])
def test_a_nonsense_interval_is_refused(interval):
    """With its value in the message."""
    with pytest.raises(ValueError, match="min_interval is"):
        Throttle(interval)
