"""Failures of tasks through a real runner: categories, curves, budgets, hints, degraded episodes."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from longrun import Baseline, Category, Failure, Outcome, Policy, Runner, Task, TimeoutExceeded, retry
from longrun.backoff import constant, exponential
from longrun.events import (
    AttemptFailed,
    DegradedEntered,
    DegradedOngoing,
    DegradedRecovered,
    RetryScheduled,
)
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio

RunFor = Callable[..., Awaitable[Outcome]]


class Pressed(Exception):
    """The other side asks for calm."""

    service_pressure = True


class Busy(Exception):
    """The other side says how long."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


class Odd(Exception):
    """Nobody knows what it is."""


class Final(Exception):
    """Trying again cannot help."""

    permanent = True


def gaps(work: Script) -> list[float]:
    """Seconds between the calls, to the calendar's resolution."""
    return [round(after - before, 2) for before, after in zip(work.started, work.started[1:], strict=False)]


async def run_once(work: Callable[..., Any], *options: Any, **settings: Any) -> Outcome:
    """One one-shot task in a runner of its own."""
    runner = Runner(**settings)
    runner.add(Task.once("job", work, options))
    return await runner.run()


@pytest.mark.parametrize(
    ("failure", "waits"),
    [
        (ConnectionError(), [2, 4, 8, 16, 32, 64, 120, 120]),
        (Pressed(), [5, 10, 20, 40, 80, 160, 300]),
        (Odd(), [30, 60, 120, 240, 300]),
    ],
    ids=["node", "service", "unknown"],
)
async def test_each_category_waits_its_curve(exact: Baseline, failure: Exception, waits: list[float]) -> None:
    """Without jitter the curves are exact."""
    work = Script(*[failure for _ in waits], "ok")

    outcome = await run_once(work, baseline=exact)

    assert outcome.status == "finished"
    assert gaps(work) == waits


async def test_the_curve_of_a_rule_that_is_given_none(events: RecordingListener) -> None:
    """1, 2, 4, 8, 16, 30 seconds, a tenth more or less."""
    work = Script(*[Odd() for _ in range(6)], "ok")

    await run_once(work, retry.on(Odd, None), listeners=[events])

    waits = [event.wait for event in events.of(RetryScheduled)]
    assert waits == pytest.approx([1, 2, 4, 8, 16, 30], rel=0.1)
    assert waits != [1, 2, 4, 8, 16, 30]


async def test_each_category_counts_for_itself(exact: Baseline) -> None:
    """NODE, UNKNOWN, NODE, UNKNOWN waits the first and second place of each curve."""
    work = Script(ConnectionError(), Odd(), ConnectionError(), Odd(), "ok")

    await run_once(work, baseline=exact)

    assert gaps(work) == [2, 30, 4, 60]


async def test_a_success_makes_every_curve_start_again(exact: Baseline, run_for: RunFor) -> None:
    """The failures of an earlier run are not held against the next."""
    work = Script(ConnectionError(), ConnectionError(), "ok", ConnectionError(), "ok")

    await run_for(115, Task.every("poll", 100, work), baseline=exact)

    assert gaps(work) == [2, 4, 94, 2]


async def test_without_a_baseline_every_failure_is_permanent() -> None:
    """Nothing is retried that nobody spoke of."""
    outcome = await run_once(Script(ConnectionError()))

    assert outcome.status == "failed"
    assert outcome.failures[0].reason == "no rule retries ConnectionError"


@pytest.mark.parametrize(("failure", "calls"), [(ConnectionError(), 2), (Odd(), 1)], ids=["node", "unknown"])
async def test_without_a_degraded_policy_the_unknown_is_permanent(failure: Exception, calls: int) -> None:
    """A preflight retries the way there, and stops for what it does not know."""
    work = Script(failure, "ok")

    outcome = await run_once(work, baseline=Baseline(degraded=None))

    assert work.calls == calls
    assert (outcome.status == "failed") is (calls == 1)


async def test_a_permanent_failure_is_not_retried_even_when_degraded_is() -> None:
    """The veto beats the policy that retries everything."""
    work = Script(Final())

    outcome = await run_once(work, baseline=Baseline())

    assert work.calls == 1
    assert outcome.failures[0].reason == "Final is permanent"


async def test_a_policy_with_a_budget_ends_the_task_when_it_is_spent() -> None:
    """A budget of 2 makes 3 calls."""
    work = Script(ConnectionError())

    outcome = await run_once(work, baseline=Baseline(node=Policy(constant(1), retries=2)))

    assert work.calls == 3
    assert outcome.failures[0].reason == "2 retries of category NODE are spent"


# -- rules of a task -------------------------------------------------------------------------------------------------


async def test_a_rule_of_the_task_is_asked_before_the_baseline(exact: Baseline) -> None:
    """Its wait, not the category's."""
    work = Script(ConnectionError(), "ok")

    await run_once(work, retry.on(ConnectionError, 3, constant(50)), baseline=exact)

    assert gaps(work) == [50]


async def test_a_spent_rule_is_permanent_also_when_the_baseline_would_go_on() -> None:
    """Limit 2 with a degraded baseline: three calls and the end."""
    work = Script(Odd())

    outcome = await run_once(work, retry.on(Odd, 2, constant(1), name="odd"), baseline=Baseline())

    assert work.calls == 3
    assert outcome.failures[0].reason == "2 retries of rule 'odd' are spent"


async def test_two_rules_spend_their_own_budgets_over_a_row_of_failures() -> None:
    """A, B, A with one retry each: the third call is the last."""
    work = Script(Odd(), OSError(), Odd())

    outcome = await run_once(work, retry.on(Odd, 1, constant(1)), retry.on(OSError, 1, constant(1)))

    assert work.calls == 3
    assert outcome.status == "failed"


async def test_failures_with_a_success_between_never_spend_a_rule(run_for: RunFor) -> None:
    """Failure, success, failure, success ... with one retry lives for ever; two in a row end it."""
    alternating = Script(*[step for _ in range(50) for step in (Odd(), "ok")])
    twice = Script("ok", Odd(), Odd())
    rule = retry.on(Odd, 1, constant(0.5))

    lives = await run_for(95, Task.every("poll", 2, alternating, rule))
    dies = await run_for(95, Task.every("poll", 2, twice, rule))

    assert lives.status == "stopped"
    assert alternating.calls == 96
    assert dies.status == "failed"
    assert twice.calls == 3


# -- hints -----------------------------------------------------------------------------------------------------------


async def test_a_hint_is_what_a_worker_waits(exact: Baseline) -> None:
    """Seven seconds, not the five of the curve; two hints later the curve is in its third place."""
    work = Script(Busy(7), Busy(7), Pressed(), "ok")

    await run_once(work, baseline=exact)

    assert gaps(work) == [7, 7, 20]


async def test_a_hint_behind_a_time_out_is_kept(exact: Baseline) -> None:
    """Which of the two is the cause does not matter."""
    behind = TimeoutError()
    behind.__cause__ = Busy(7)

    work = Script(behind, "ok")
    await run_once(work, baseline=exact)

    assert gaps(work) == [7]


async def test_a_hint_above_the_cap_waits_the_cap_and_tries_again(exact: Baseline, events: RecordingListener) -> None:
    """A worker is not ended by a server that asks for a week."""
    work = Script(Busy(7 * 86400), Busy(float("inf")), "ok")

    outcome = await run_once(work, baseline=exact, listeners=[events])

    assert outcome.status == "finished"
    assert gaps(work) == [3600, 3600]
    assert [event.hint for event in events.of(RetryScheduled)] == [3600, 3600]


@pytest.mark.parametrize("hint", [-5.0, 0.0, float("nan")])
async def test_a_hint_that_cannot_be_meant_leaves_the_curve(exact: Baseline, hint: float) -> None:
    """From an attribute or from the user's classifier."""
    by_attribute, by_classifier = Script(Busy(hint), "ok"), Script(Odd(), "ok")
    asked = Baseline(exact.node, exact.service, exact.degraded, classify=lambda _: Failure(Category.SERVICE, hint))

    await run_once(by_attribute, retry.on(Busy, 1, constant(5)), baseline=exact)
    await run_once(by_classifier, baseline=asked)

    assert gaps(by_attribute) == [5]
    assert gaps(by_classifier) == [5]


async def test_a_hint_that_ends_behind_the_limit_ends_the_task(exact: Baseline) -> None:
    """A preflight does not wait for what cannot come in time: the failure comes now, and says so."""
    work = Script(Busy(700))

    outcome = await run_once(work, baseline=exact, hint_limit=lambda: 600.0)

    assert work.calls == 1
    assert outcome.failures[0].reason.startswith("asked to wait 700 s, but the phase ends in ")


async def test_a_curve_may_go_behind_the_limit_of_hints(exact: Baseline) -> None:
    """Only a wait that was asked for is refused."""
    work = Script(Odd(), "ok")

    outcome = await run_once(work, baseline=exact, hint_limit=lambda: 10.0)

    assert outcome.status == "finished"


# -- attempts that take too long -------------------------------------------------------------------------------------


async def test_an_attempt_that_takes_too_long_is_a_node_failure_and_the_next_has_its_time_again(
    exact: Baseline, events: RecordingListener
) -> None:
    """The limit is fresh for each attempt; queue and backoff are not charged to it."""
    work = Script(Hang(), Hang(), 2.9)
    runner = Runner(baseline=exact, listeners=[events])
    runner.add(Task.once("job", work, timeout=3))

    outcome = await runner.run()

    assert outcome.status == "finished"
    assert gaps(work) == [3 + 2, 3 + 4]
    failed = events.of(AttemptFailed)
    assert [event.category for event in failed] == [Category.NODE] * 2
    assert isinstance(failed[0].error, TimeoutExceeded)
    assert str(failed[0].error) == "an attempt of 'job' took longer than 3 s"


async def test_a_time_out_of_the_work_itself_passes_as_its_own(events: RecordingListener) -> None:
    """Below the task's limit a TimeoutError is whatever the work raised."""
    own = TimeoutError("socket")
    runner = Runner(listeners=[events])
    runner.add(Task.once("job", Script(own), timeout=3))

    outcome = await runner.run()

    assert outcome.failures[0].error is own


# -- degraded --------------------------------------------------------------------------------------------------------


async def test_a_degraded_episode_is_told_from_its_beginning_to_its_end(
    exact: Baseline, events: RecordingListener, run_for: RunFor
) -> None:
    """Entered once, ongoing for each further failure, recovered once with the whole duration."""
    work = Script("ok", Odd(), Odd(), Odd(), "ok")

    await run_for(1000, Task.every("poll", 400, work), baseline=exact, listeners=[events])

    entered, recovered = events.of(DegradedEntered), events.of(DegradedRecovered)
    assert len(entered) == len(recovered) == 1
    assert [(e.failures, round(e.duration)) for e in events.of(DegradedOngoing)] == [(2, 30), (3, 90)]
    assert (recovered[0].failures, round(recovered[0].duration)) == (3, 210)


async def test_a_known_failure_is_no_degraded_episode(exact: Baseline, events: RecordingListener) -> None:
    """NODE and SERVICE are what is expected of networks."""
    await run_once(Script(ConnectionError(), Pressed(), "ok"), baseline=exact, listeners=[events])

    assert not events.of(DegradedEntered)
    assert not events.of(DegradedRecovered)


async def test_the_state_tells_the_episode(exact: Baseline) -> None:
    """While it lasts, and no longer."""
    runner = Runner(baseline=exact)
    seen = []

    async def work() -> None:
        seen.append(runner.state()["job"])
        if len(seen) < 3:
            raise Odd

    runner.add(Task.once("job", work))
    await runner.run()

    assert [state.degraded_since is not None for state in seen] == [False, True, True]
    assert [state.category for state in seen] == [None, Category.UNKNOWN, Category.UNKNOWN]
    assert [state.attempt for state in seen] == [1, 2, 3]
    final = runner.state()["job"]
    assert (final.phase, final.runs, final.failures, final.category, final.degraded_since) == (
        "finished", 1, 2, None, None,
    )  # fmt: skip


@pytest.mark.parametrize("broken", ["predicate", "backoff", "nan backoff", "classifier"])
async def test_broken_foreign_code_never_brings_the_runner_down(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """A rule that cannot be judged ends its task, named; a classifier that raises is skipped. The others go on."""

    def raising(*_: Any) -> Any:
        raise RuntimeError("a defect")

    options: list[Any] = []
    baseline = Baseline(node=Policy(constant(1)), degraded=None)
    match broken:
        case "predicate":
            options = [retry.on(raising, 3)]
        case "backoff":
            options = [retry.on(Odd, 3, raising)]
        case "nan backoff":
            options = [retry.on(Odd, 3, lambda *_: float("nan"))]
        case _:
            baseline = Baseline(node=Policy(exponential(1, 2)), degraded=None, classify=raising)
    other = Script(5.0)
    runner = Runner(baseline=baseline, on_permanent="isolate")
    runner.add(Task.once("broken", Script(Odd()), options))
    runner.add(Task.once("other", other))

    outcome = await runner.run()

    assert [failure.task for failure in outcome.failures] == ["broken"]
    assert isinstance(outcome.failures[0].error, Odd)
    assert runner.state()["other"].phase == "finished"
    assert caplog.records
