# pyright: strict
"""Tasks, their runner, and what tests are given. Never executed: checkers read it."""

from datetime import timedelta
from functools import partial
from typing import Any, assert_type

import longrun
from longrun import (
    Baseline,
    Category,
    Classifier,
    Clock,
    Failure,
    Gate,
    HookFailure,
    InfraClassifier,
    Option,
    Outcome,
    Pipeline,
    Policy,
    Run,
    Runner,
    SystemClock,
    Task,
    TaskFailure,
    TaskState,
    backoff,
    retry,
    timeout,
)
from longrun.events import AttemptFailed, AttemptStarted, Event, RetryScheduled
from longrun.testing import Hang, RecordingListener, Script, VirtualClock, instant, isolated, run_virtual

policy = Pipeline(retry.on(OSError), name="work")


async def ping() -> str:
    raise NotImplementedError


async def main(tenant: str, size: int = 10) -> list[int]:
    raise NotImplementedError


async def work(run: Run) -> None:
    assert_type(run.attempt, int)
    assert_type(run.deadline, float)
    assert_type(run.stopping, bool)
    assert_type(run.id, str)
    run.progress()
    run.progress("half")


async def add(tenant: str, run: Run) -> int:
    raise NotImplementedError


@policy.wrap
async def resilient(run: Run) -> None:
    raise NotImplementedError


class Poller:
    """Work may be a method."""

    async def poll(self) -> int:
        raise NotImplementedError

    async def poll_run(self, run: Run) -> None:
        raise NotImplementedError


def own(error: BaseException) -> Failure | None:
    raise NotImplementedError


def work_of_each_kind_is_taken() -> None:
    assert_type(Task.once("a", ping), Task)
    assert_type(Task.every("b", 10, work), Task)
    Task.once("method", Poller().poll)
    Task.every("method", 1.5, Poller().poll_run)
    Task.every("partial", timedelta(minutes=1), partial(add, "tenant"))
    Task.once("wrapped", resilient)
    Task.once("blocking", longrun.blocking(lambda: 1))
    Task.once("script", Script("ok"))


def terms_of_each_kind_are_taken() -> None:
    options: list[Option] = [retry.on(OSError, 2), timeout.after(3)]
    Task.once("a", ping, retry.on(OSError, 2), timeout=3, delay=timedelta(seconds=1), shutdown=ping, gate=Gate("key"))
    Task.every("b", 10, work, options, jitter=1, timing="fixed_delay", missed="catch_up_one", phase=3)
    Task.every("c", 10, work, (options, timeout.after(3)), timing="fixed_rate", missed="skip")


def a_baseline_takes_policies_and_classifiers() -> None:
    classifier: Classifier = own
    infra: Classifier = InfraClassifier()
    policy_ = Policy(backoff.exponential(2, 120), retries=None)
    baseline = Baseline(
        node=policy_, service=policy_, degraded=None, classify=classifier, hint_cap=60, capabilities=infra
    )
    assert_type(baseline.failure(OSError()), Failure)
    assert_type(baseline.policy(Category.NODE), Policy | None)
    assert_type(longrun.classify(OSError(), own), Failure)
    assert_type(Failure(Category.SERVICE, 3.0).wait_hint, float | None)


async def a_runner_gives_an_outcome() -> None:
    clock: Clock = SystemClock()
    events = RecordingListener()
    runner = Runner(
        baseline=Baseline(),
        shutdown_timeout=timedelta(seconds=30),
        clock=clock,
        listeners=[events, lambda event: None],
        on_permanent="isolate",
    )
    runner.add(Task.once("a", ping))
    assert_type(runner.state(), dict[str, TaskState])
    for state in runner.state().values():
        assert_type(state.category, Category | None)
        assert_type(state.last_error, BaseException | None)
        assert_type(state.runs, int)
    assert_type(runner.stop("enough", drain=5), str)
    outcome = await runner.run()
    assert_type(outcome, Outcome)
    assert_type(outcome.reason, str | None)
    assert_type(outcome.failures, tuple[TaskFailure, ...])
    assert_type(outcome.hook_failures, tuple[HookFailure, ...])
    assert_type(outcome.abandoned, tuple[str, ...])
    for failure in outcome.failures:
        assert_type(failure.error, Exception)
    outcome.raise_if_failed()


async def what_tests_are_given_is_typed() -> None:
    events = RecordingListener()
    script = Script("fail", TimeoutError(), OSError, Hang(), 2.0, "ok")
    clock: Clock = VirtualClock()
    assert_type(clock.wall(), float)
    assert_type(script.calls, int)
    assert_type(script.started, list[float])
    assert_type(events.events, list[Event])
    assert_type(events.of(AttemptFailed), list[AttemptFailed])
    assert_type(await events.seen(RetryScheduled), RetryScheduled)
    assert_type(await events.seen(AttemptStarted, 2, where=lambda event: event.attempt > 1), AttemptStarted)
    assert_type(await longrun.do(script, longrun.observe(events)), Any)
    with instant(), isolated() as inside:
        assert_type(inside, None)


def virtual_time_gives_the_result() -> None:
    assert_type(run_virtual(ping), str)
    assert_type(run_virtual(main, "tenant", backend="trio"), list[int])
    assert_type(run_virtual(policy.wrap(ping)), str)
