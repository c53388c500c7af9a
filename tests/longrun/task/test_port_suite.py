"""The suite of the ancestors of this runner, as far as it is not told elsewhere: what it promised, we promise too.

Where we decided otherwise on purpose, docs/decisions.md says what and why.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from longrun import Baseline, Category, Failure, Outcome, Policy, Run, Runner, Task, retry
from longrun.backoff import Backoff, constant, exponential
from longrun.events import AttemptFailed, AttemptStarted, AttemptSucceeded, RetryScheduled
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio

Going = Callable[..., AbstractAsyncContextManager[Runner]]
RunFor = Callable[..., Awaitable[Outcome]]


class Odd(Exception):
    """Nobody knows what it is."""


class Busy(Exception):
    """The other side says how long."""

    retry_after = 7.0


async def run_once(work: Callable[..., Any], *options: Any, **settings: Any) -> Outcome:
    """One one-shot task in a runner of its own."""
    runner = Runner(**settings)
    runner.add(Task.once("job", work, options))
    return await runner.run()


# -- backoff and budgets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("curve", "points"),
    [
        (exponential(1, 5, factor=10, jitter=0), {0: 1, 1: 5}),
        (exponential(1, 1000, jitter=0), {0: 1, 1: 2, 3: 8}),
        (exponential(2, 120, jitter=0), {0: 2, 1: 4, 2: 8, 10: 120, 10**6: 120}),
        (constant(3), dict.fromkeys(range(10), 3)),
        (exponential(1, 30, jitter=0), {0: 1, 4: 16, 5: 30}),
    ],
    ids=["capped", "doubling", "node", "constant", "default"],
)
def test_the_points_of_the_curves(curve: Backoff, points: dict[int, float]) -> None:
    """Attempts count from 0; no attempt is too far out."""
    assert {attempt: curve(attempt, 0.0, Random(1)) for attempt in points} == points


@pytest.mark.parametrize("budget", [0, -1, -5, True, 2.5, "3"])
def test_a_budget_means_the_same_for_a_rule_and_for_a_policy_or_is_refused(budget: Any) -> None:
    """None is no limit, n is n retries; nothing else is anything."""
    said = f"is {budget!r}; give a whole number of at least 1, or None for no limit"

    with pytest.raises(ValueError, match="retries " + said.replace("(", r"\(")):
        retry.on(Odd, budget)
    with pytest.raises(ValueError, match="Policy.retries " + said):
        Policy(constant(1), retries=budget)


async def test_a_budget_of_two_is_three_calls_of_a_rule_and_of_a_policy() -> None:
    """And of the policy for what is unknown, too."""
    by_rule, by_policy, by_degraded = Script(Odd()), Script(ConnectionError()), Script(Odd())

    await run_once(by_rule, retry.on(Odd, 2, constant(1)))
    await run_once(by_policy, baseline=Baseline(node=Policy(constant(1), retries=2)))
    await run_once(by_degraded, baseline=Baseline(degraded=Policy(constant(1), retries=2)))

    assert [work.calls for work in (by_rule, by_policy, by_degraded)] == [3, 3, 3]


# -- one-shot and interval tasks ---------------------------------------------------------------------------------------


async def test_a_one_shot_that_fails_twice_and_then_works_is_called_three_times() -> None:
    """And is finished."""
    work = Script(Odd(), Odd(), "ok")

    outcome = await run_once(work, retry.on(Odd, 5, constant(1)))

    assert (outcome.status, work.calls) == ("finished", 3)


async def test_an_error_that_no_rule_means_comes_out_as_it_is() -> None:
    """One call, the very object."""
    failure = KeyError("x")
    work = Script(failure)

    outcome = await run_once(work, retry.on(Odd, 5, constant(1)))

    assert work.calls == 1
    assert outcome.failures[0].error is failure


async def test_an_interval_task_that_fails_in_its_second_run_without_rules_ends_there(run_for: RunFor) -> None:
    """Exactly two calls."""
    work = Script("ok", Odd(), "ok")

    outcome = await run_for(100, Task.every("poll", 10, work))

    assert (outcome.status, work.calls) == ("failed", 2)


async def test_an_interval_task_that_fails_in_its_second_run_recovers_with_a_rule(run_for: RunFor) -> None:
    """In the same tick, and the third comes when it should."""
    work, begun = Script("ok", Odd(), "ok"), anyio.current_time()

    await run_for(25, Task.every("poll", 10, work, retry.on(Odd, 1, constant(2))))

    assert [round(at - begun) for at in work.started] == [0, 10, 12, 20]


async def test_a_time_out_without_anybody_to_retry_it_is_permanent() -> None:
    """Standing alone, a task is what it is."""
    runner = Runner()
    runner.add(Task.once("job", Script(Hang()), timeout=20))

    outcome = await runner.run()

    assert outcome.failures[0].reason == "no rule retries TimeoutExceeded"


async def test_a_catch_all_never_shadows_a_specific_rule_whatever_the_order(run_for: RunFor) -> None:
    """The wait tells who decided."""
    gaps = []
    for rules in (
        [retry.on(Exception, 3, constant(50)), retry.on(Odd, 3, constant(2))],
        [retry.on(Odd, 3, constant(2)), retry.on(Exception, 3, constant(50))],
    ):
        work = Script(Odd(), "ok")
        await run_once(work, *rules)
        gaps.append(round(work.started[1] - work.started[0]))

    assert gaps == [2, 2]


async def test_a_hint_reaches_a_worker_whose_unknown_failures_wait_longer(exact: Baseline) -> None:
    """Seven seconds as asked, not the thirty of what is unknown."""
    work = Script(Busy(), "ok")

    await run_once(work, baseline=exact)

    assert work.started[1] - work.started[0] == pytest.approx(7, abs=0.01)


async def test_a_classifier_that_gives_no_category_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """It is skipped and logged; the failure is judged without it."""
    work = Script(Odd(), "ok")
    wrong = cast("Any", lambda _error: Failure(cast("Category", 99)))

    outcome = await run_once(work, baseline=Baseline(degraded=Policy(constant(1)), classify=wrong))

    assert (outcome.status, work.calls) == ("finished", 2)
    assert "is skipped" in caplog.text


async def test_the_baselines_of_two_runners_do_not_pile_up_on_one_task() -> None:
    """A task is a value: whoever runs it adds nothing to it."""
    first, second = Script(ConnectionError()), Script(ConnectionError())
    works = iter([first, second])
    current = next(works)

    async def work() -> None:
        await current()

    task = Task.once("job", work)
    for _runner in range(2):
        runner = Runner(baseline=Baseline(node=Policy(constant(1), retries=2)))
        runner.add(task)
        await runner.run()
        current = next(works, current)

    assert (first.calls, second.calls) == (3, 3)


# -- cancellation and time ---------------------------------------------------------------------------------------------


async def test_a_stop_during_a_backoff_makes_no_further_call_and_ends_at_once() -> None:
    """Not after the backoff, and not with one last try."""
    work, runner, begun = Script(ConnectionError()), Runner(baseline=Baseline()), anyio.current_time()
    runner.add(Task.every("poll", 10, work))

    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(1)
        runner.stop("deploy")

    assert work.calls == 1
    assert anyio.current_time() - begun == pytest.approx(1)


async def test_the_failure_that_was_waited_on_stays_in_the_state_after_a_stop() -> None:
    """What was going wrong is not lost with the cancellation."""
    failure, runner = ConnectionError("reset by peer"), Runner(baseline=Baseline())
    runner.add(Task.every("poll", 10, Script(failure)))

    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(1)
        runner.stop("deploy")

    state = runner.state()["poll"]
    assert (state.phase, state.last_error, state.attempt) == ("stopped", failure, 0)


async def test_a_cancellation_is_never_classified(going: Going) -> None:
    """Not that of a stop, a removal, a kill or a time limit."""
    asked: list[BaseException] = []

    def classify(error: BaseException) -> Failure | None:
        asked.append(error)
        return None

    names = ("stopped", "removed", "killed", "timed out")
    tasks = [
        Task.every(name, 10, Script(Hang()), retry.on(Odd, 1), timeout=5 if name == "timed out" else None)
        for name in names
    ]

    async with going(*tasks, baseline=Baseline(classify=classify)) as runner:
        await anyio.sleep(4)
        runner.remove("removed")
        runner.kill("killed", "enough")
        await anyio.sleep(2)

    assert sorted(type(error).__name__ for error in asked) == ["RunKilled", "TimeoutExceeded"]


async def test_the_wait_for_a_slot_is_not_charged_to_the_attempt(run_for: RunFor, events: RecordingListener) -> None:
    """Twenty seconds in the queue, five for the attempt."""
    work = Script(4.0)

    await run_for(
        30, Task.once("hog", Script(20.0)), Task.once("job", work, timeout=5, delay=1), max_running=1,
        listeners=[events],
    )  # fmt: skip

    assert events.of(AttemptFailed) == []
    assert [round(event.duration, 1) for event in events.of(AttemptSucceeded)] == [20, 4]


@pytest.mark.parametrize("baseline", [None, Baseline(node=Policy(constant(1)))])
async def test_every_attempt_is_told_with_who_it_belongs_to(
    baseline: Baseline | None, run_for: RunFor, events: RecordingListener
) -> None:
    """Task, run, attempt and category; with and without a baseline."""
    rules = () if baseline else (retry.on(ConnectionError, 1, constant(1)),)

    await run_for(
        5, Task.once("job", Script(ConnectionError(), "ok"), rules), baseline=baseline, listeners=[events]
    )  # fmt: skip

    (failed,), (retried,) = events.of(AttemptFailed), events.of(RetryScheduled)
    started, succeeded = events.of(AttemptStarted), events.of(AttemptSucceeded)
    assert [(event.subject, event.attempt, event.run) for event in (*started, *succeeded)] == [
        ("job", 1, failed.run), ("job", 2, failed.run), ("job", 2, failed.run),
    ]  # fmt: skip
    assert (failed.category, retried.category) == ((Category.NODE,) * 2 if baseline else (None, None))
    assert retried.rule == ("node" if baseline else "ConnectionError")


async def test_the_run_knows_the_first_attempt_s_id_in_all_of_them(run_for: RunFor) -> None:
    """A name for logs and for what is made idempotent."""
    seen: list[tuple[str, int]] = []

    async def work(run: Run) -> None:
        seen.append((run.id, run.attempt))
        if run.attempt < 3:
            raise ConnectionError

    await run_for(50, Task.every("poll", 30, work), baseline=Baseline(node=Policy(constant(1))))

    assert [attempt for _id, attempt in seen] == [1, 2, 3, 1, 2, 3]
    assert len({run for run, _attempt in seen}) == 2
