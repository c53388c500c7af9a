"""The recipe of the retrier of temporary errors, behaviour by behaviour."""

from pathlib import Path
from typing import Any

import anyio
import pytest

import longrun
from longrun import Pipeline, backoff, observe, retry, timeline, timeout
from longrun.events import RetryScheduled
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio

RECIPE = Path(__file__).parents[2] / "docs" / "recipes" / "go-again.md"


class Throttled(Exception):
    """Temporary, once it is registered."""


class Fatal(Exception):
    """Never registered."""


def retrier(registry: retry.Registry, *more: longrun.Option, retries: int = 5, limit: float = 20) -> Pipeline:
    """The recipe, with the numbers of each test."""
    curve = backoff.exponential(0.5, 5, factor=2, jitter=0.5)
    return Pipeline(timeout.after(limit), retry.on(registry, retries, curve), *more)


async def test_the_recipe_as_it_is_written_works() -> None:
    """The page is run, not only read."""
    code = RECIPE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    built = code.partition("result = ")[0]
    events = RecordingListener()
    names: dict[str, Any] = {"on_event": events}
    work = Script(ConnectionResetError(), "ok")

    exec(built, names)  # the example of our own page
    result = await names["again"].do(work)

    assert result == "ok"
    assert len(events.of(RetryScheduled)) == 1


async def test_success_at_first_is_one_call() -> None:
    """And costs no wait."""
    work = Script("ok")
    started = anyio.current_time()

    assert await retrier(retry.Registry().load_defaults()).do(work) == "ok"

    assert work.calls == 1
    assert anyio.current_time() == started


async def test_an_error_that_is_not_registered_comes_out_unchanged() -> None:
    """After one call, with one attempt in the list and no entry about retries."""
    failure = Fatal("as it was")
    work = Script(failure)

    with pytest.raises(Fatal) as caught:
        await retrier(retry.Registry("r", Throttled)).do(work)

    assert caught.value is failure
    assert work.calls == 1
    assert [attempt.error for attempt in timeline(failure)] == [failure]


async def test_a_registered_error_is_tried_again() -> None:
    """One that was registered after the pipeline was built, too."""
    registry = retry.Registry()
    policy = retrier(registry)
    registry.register(Throttled)

    assert await policy.do(Script(Throttled(), Throttled(), "ok")) == "ok"


async def test_the_defaults_and_an_explicit_list_unite() -> None:
    """An explicit error does not switch the registry off."""
    work = Script(ConnectionRefusedError(), Throttled(), TimeoutError(), "ok")
    both = (retry.Registry().load_defaults(), Throttled)

    assert await longrun.do(work, retry.on(both, 3, backoff.constant(0.1))) == "ok"


async def test_an_empty_registry_means_nothing_and_exception_means_all() -> None:
    """Forgetting to fill a registry does not retry everything."""
    forgotten, everything = Script(Throttled()), Script(Throttled(), Fatal(), "ok")

    with pytest.raises(Throttled):
        await retrier(retry.Registry()).do(forgotten)
    result = await longrun.do(everything, retry.on(Exception, 5, backoff.constant(0.1)))

    assert forgotten.calls == 1
    assert result == "ok"
    assert everything.calls == 3


async def test_exhaustion_can_be_told_from_every_other_end() -> None:
    """n retries are n + 1 calls and as many attempts; the last one says why it was the last."""
    failure = Throttled()
    work = Script(failure)

    with pytest.raises(Throttled) as caught:
        await retrier(retry.Registry("r", Throttled), retries=2).do(work)

    attempts = timeline(caught.value)
    assert work.calls == 3
    assert [attempt.index for attempt in attempts] == [1, 2, 3]
    assert attempts[-1].reason == "2 retries of rule \"registry 'r'\" are spent"
    assert "gave up after 3 attempts" in caught.value.__notes__[0]


@pytest.mark.parametrize("retries", [0, -1])
def test_a_number_of_retries_below_one_is_refused(retries: int) -> None:
    """No rule at all is how one says: no retry."""
    with pytest.raises(ValueError, match=r"retry\.on retries"):
        retrier(retry.Registry(), retries=retries)


@pytest.mark.parametrize(
    "build",
    [
        lambda: backoff.exponential(0, 5),
        lambda: backoff.exponential(0.5, 5, factor=0.5),
        lambda: backoff.exponential(0.5, 5, factor=float("nan")),
        lambda: backoff.exponential(0.5, 5, jitter=-1),
        lambda: timeout.after(0),
    ],
)
def test_nonsense_is_refused_where_it_is_written(build: Any) -> None:
    """No half-built object is left."""
    with pytest.raises(ValueError, match="give"):
        build()


def test_an_interval_that_never_fits_the_limit_is_warned_of() -> None:
    """Before anything runs."""
    with pytest.warns(UserWarning, match="never fits"):
        retrier(retry.Registry("r", Throttled), limit=0.1)


async def test_the_waits_grow_by_the_factor_within_the_jitter() -> None:
    """And never past the cap, however often."""
    work = Script(Throttled())
    with pytest.raises(Throttled):
        await retrier(retry.Registry("r", Throttled), retries=6, limit=1000).do(work)

    waits = [later - earlier for earlier, later in zip(work.started, work.started[1:], strict=False)]

    for wait, plain in zip(waits, [0.5, 1, 2, 4, 5, 5], strict=True):
        assert plain * 0.5 - 1e-6 <= wait <= min(5, plain * 1.5) + 1e-6


async def test_a_huge_factor_still_waits() -> None:
    """Numbers that overflow elsewhere end at the cap."""
    work = Script(Throttled(), Throttled(), Throttled(), "ok")

    await longrun.do(work, retry.on(Throttled, 3, backoff.exponential(0.001, 60, factor=1e16, jitter=0)))

    assert work.started[-1] - work.started[0] == pytest.approx(0.001 + 60 + 60)


async def test_the_added_jitter_of_the_retrier_is_one_line() -> None:
    """A curve is any function."""
    work = Script(Throttled(), Throttled(), "ok")

    await longrun.do(work, retry.on(Throttled, 5, lambda attempt, _previous, rng: 0.5 * 2**attempt + rng.random()))

    first, second = work.started[1] - work.started[0], work.started[2] - work.started[1]
    assert 0.5 <= first < 1.5
    assert 1 <= second < 2


async def test_the_hook_hears_of_each_wait_and_of_no_other_failure() -> None:
    """Two failures and a success are two calls of it; a fatal or last failure none."""
    events = RecordingListener()
    policy = retrier(retry.Registry("r", Throttled), observe(events), retries=2)
    first, second = Throttled(), Throttled()

    await policy.do(Script(first, second, "ok"))
    with pytest.raises(Fatal):
        await policy.do(Script(Fatal()))

    assert [(event.attempt, event.error) for event in events.of(RetryScheduled)] == [(1, first), (2, second)]


async def test_a_hook_that_raises_changes_nothing() -> None:
    """It is logged."""

    def hook(event: longrun.events.Event) -> None:
        raise RuntimeError("a defect of the hook")

    assert await retrier(retry.Registry("r", Throttled), observe(hook)).do(Script(Throttled(), "ok")) == "ok"


async def test_a_cancelled_caller_gets_its_cancellation() -> None:
    """In an attempt, and in a wait; no call is made after it and nothing is left running."""
    registry = retry.Registry("r", Throttled)
    in_attempt, in_wait = Script(Hang()), Script(Throttled())

    for work in (in_attempt, in_wait):
        async with anyio.create_task_group() as tg:
            tg.start_soon(retrier(registry).do, work)
            await anyio.sleep(0.1)
            tg.cancel_scope.cancel()

    assert in_attempt.calls == 1
    assert in_wait.calls == 1


async def test_work_that_cancels_its_own_caller_is_not_tried_again() -> None:
    """Its temporary error comes out at once: behind a cancellation there is no time for another try."""
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        scope.cancel()
        raise Throttled

    with anyio.CancelScope() as scope, pytest.raises(Throttled) as caught:
        await retrier(retry.Registry("r", Throttled)).do(work)

    assert calls == 1
    assert timeline(caught.value)[-1].stopped_by == "deadline"


async def test_the_time_limit_ends_an_attempt() -> None:
    """An attempt of two seconds under a limit of one: the limit's own error, at one second."""
    started = anyio.current_time()

    with pytest.raises(longrun.TimeoutExceeded, match="1 s"):
        await retrier(retry.Registry("r", Throttled), limit=1).do(Script(2.0))

    assert anyio.current_time() - started == pytest.approx(1)


async def test_a_wait_behind_the_limit_gives_the_last_error_early() -> None:
    """Not a time-out that hides it."""
    started = anyio.current_time()

    with pytest.raises(Throttled) as caught:
        await retrier(retry.Registry("r", Throttled), retries=100, limit=20).do(Script(Throttled()))

    assert anyio.current_time() - started < 20
    assert timeline(caught.value)[-1].stopped_by == "deadline"


async def test_many_calls_share_one_pipeline() -> None:
    """No timer, slot or count of one is another's: 200 failing at once end as one would."""
    policy = retrier(retry.Registry("r", Throttled), retries=1)
    works = [Script(Throttled(), "ok") for _ in range(200)]
    results: list[str] = []

    async def one(work: Script) -> None:
        results.append(await policy.do(work))

    async with anyio.create_task_group() as tg:
        for work in works:
            tg.start_soon(one, work)

    assert results == ["ok"] * 200
    assert all(work.calls == 2 for work in works)
