"""Laws of calls: however many run at once on one pipeline, each one's attempts add up."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import longrun
from longrun import Pipeline, observe, retry, timeout
from longrun.backoff import constant, exponential
from longrun.testing import Script, run_virtual


class A(Exception):
    pass


class B(Exception):
    pass


class Fatal(Exception):
    pass


KINDS = {"a": A, "b": B, "fatal": Fatal}
BUDGET = {"a": 2, "b": 3}

scripts = st.lists(st.sampled_from(["a", "b", "fatal", "ok"]), min_size=1, max_size=8)


def expected_calls(steps: list[str]) -> int:
    """What the rules say, written down naively."""
    left = dict(BUDGET)
    for count, step in enumerate([*steps, *[steps[-1]] * 8], start=1):
        if left.get(step, 0) == 0:
            return count
        left[step] -= 1
    raise AssertionError("a script ends within its budgets")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(st.lists(st.tuples(scripts, st.floats(0, 20)), min_size=1, max_size=8))
def test_concurrent_calls_keep_separate_accounts(backend: str, calls: list[tuple[list[str], float]]) -> None:
    """For any interleaving each call makes exactly the attempts its own script and budgets allow."""
    works = [Script(*(KINDS[step]() if step in KINDS else step for step in steps)) for steps, _delay in calls]
    policy = Pipeline(
        retry.on(A, BUDGET["a"], exponential(1, 30)), observe(lambda event: None), retry.on(B, BUDGET["b"], constant(2))
    )

    told: list[tuple[int, int]] = []

    async def one(work: Script, delay: float) -> None:
        await anyio.sleep(delay)
        try:
            await policy.do(work)
        except (A, B, Fatal) as error:
            told.append((len(longrun.timeline(error)), work.calls))

    async def main() -> None:
        async with anyio.create_task_group() as tg:
            for work, (_steps, delay) in zip(works, calls, strict=True):
                tg.start_soon(one, work, delay)

    run_virtual(main, backend=backend)

    assert all(attempts == calls for attempts, calls in told)
    assert [work.calls for work in works] == [expected_calls(steps) for steps, _delay in calls]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    limit=st.floats(0.5, 60),
    initial=st.floats(0.1, 5),
    takes=st.floats(0, 5),
    jitter=st.floats(0, 1),
)
@pytest.mark.filterwarnings("ignore:the first wait of retry rule")
def test_no_attempt_starts_and_no_wait_ends_behind_the_deadline(
    backend: str, limit: float, initial: float, takes: float, jitter: float
) -> None:
    """The call is over by its limit; with an error of the callee unless an attempt was cut off by it."""
    starts: list[float] = []

    async def work() -> None:
        starts.append(anyio.current_time())
        await anyio.sleep(takes)
        raise A

    async def main() -> tuple[float, BaseException]:
        begun = anyio.current_time()
        curve = exponential(initial, 30, jitter=jitter)
        with pytest.raises((A, longrun.TimeoutExceeded)) as caught:
            await longrun.do(work, timeout.after(limit), retry.on(A, None, curve))
        return begun, caught.value

    begun, error = run_virtual(main, backend=backend)

    assert all(start < begun + limit for start in starts)
    if isinstance(error, A):
        assert len(longrun.timeline(error)) == len(starts)
        assert all(a.start + a.duration + (a.wait or 0) <= begun + limit + 1e-6 for a in longrun.timeline(error))
    else:
        assert starts[-1] + takes >= begun + limit - 1e-6
