"""Hedges: who is asked, who wins, and that nobody is left behind."""

import asyncio
import contextvars
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest

import longrun
from longrun import Pipeline, deadline, hedge, observe, retry, timeout
from longrun.backoff import constant
from longrun.errors import CircuitOpen
from longrun.hedge import HedgeLoserLingers, HedgeStarted, HedgeSuppressed, HedgeWon
from longrun.rule import BudgetOption
from longrun.testing import Hang, RecordingListener, Script, isolated

pytestmark = pytest.mark.anyio


class Flaky(Exception):
    """A failure of the test's own."""


class Fatal(Exception):
    """Another one."""


class Copies:
    """Work whose n-th call does what the n-th step says; it counts how each call ended."""

    def __init__(self, *steps: Callable[[], Any]) -> None:
        self.steps = steps
        self.started: list[float] = []
        self.ended: list[str] = []

    async def __call__(self) -> Any:
        step = self.steps[len(self.started)]
        self.started.append(anyio.current_time())
        number = len(self.started)
        try:
            answer = await step()
        except anyio.get_cancelled_exc_class():
            self.ended.append(f"{number} cancelled")
            raise
        except BaseException as error:
            self.ended.append(f"{number} {type(error).__name__}")
            raise
        self.ended.append(f"{number} answered")
        return answer


def takes(seconds: float, answer: object = None) -> Callable[[], Any]:
    async def step() -> object:
        await anyio.sleep(seconds)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return step


async def test_a_call_in_time_is_asked_once(events: RecordingListener) -> None:
    """No second copy, no event, no trace."""
    work = Copies(takes(1, "first"))

    assert await Pipeline(hedge.after(2), observe(events)).do(work) == "first"

    assert work.ended == ["1 answered"]
    assert not events.of(HedgeStarted)
    assert not events.of(HedgeWon)


async def test_the_second_copy_wins_and_the_first_is_cancelled_and_awaited(events: RecordingListener) -> None:
    """At 2 s the second copy starts, at 3 s its answer is there, and nothing runs any more."""
    work = Copies(takes(60, "first"), takes(1, "second"))
    begun = anyio.current_time()

    answer = await Pipeline(hedge.after(2), observe(events), name="search").do(work)

    assert answer == "second"
    assert anyio.current_time() - begun == pytest.approx(3)
    assert work.ended == ["2 answered", "1 cancelled"]
    [started], [won] = events.of(HedgeStarted), events.of(HedgeWon)
    assert (started.subject, started.copy, started.reason) == ("search", 2, "slow")
    assert started.elapsed == pytest.approx(2)
    assert (won.copy, won.reaped) == (2, 0)
    assert won.elapsed == pytest.approx(3)


async def test_the_first_copy_may_still_win(events: RecordingListener) -> None:
    """The hedge is then the loser: cancelled and awaited."""
    work = Copies(takes(3, "first"), takes(60, "second"))

    assert await Pipeline(hedge.after(2), observe(events)).do(work) == "first"

    assert work.ended == ["1 answered", "2 cancelled"]
    assert [event.copy for event in events.of(HedgeWon)] == [1]


async def test_copies_follow_one_another_by_the_delay_and_never_more_than_asked_for() -> None:
    """extra=2 is three copies at 0, 2 and 4 s; the fourth never starts."""
    work = Copies(takes(60), takes(60), takes(60, "third"))
    begun = anyio.current_time()

    await Pipeline(hedge.after(2, extra=2)).do(work)

    assert [at - begun for at in work.started] == pytest.approx([0, 2, 4])
    assert work.ended[0] == "1 answered"


async def test_a_delay_of_zero_asks_all_at_once() -> None:
    """As soon as the call itself has to wait."""
    work = Copies(takes(60), takes(1, "second"), takes(60))
    begun = anyio.current_time()

    assert await Pipeline(hedge.after(0, extra=2)).do(work) == "second"

    assert [at - begun for at in work.started] == pytest.approx([0, 0, 0])


async def test_a_failed_copy_starts_the_next_at_once(events: RecordingListener) -> None:
    """It does not wait for the delay, and the delay counts anew from there."""
    work = Copies(takes(1, Flaky()), takes(60), takes(1, "third"))
    begun = anyio.current_time()

    assert await Pipeline(hedge.after(5, extra=2), observe(events)).do(work) == "third"

    assert [at - begun for at in work.started] == pytest.approx([0, 1, 6])
    assert [event.reason for event in events.of(HedgeStarted)] == ["failed", "slow"]


async def test_an_error_that_raises_before_its_first_wait_is_hedged_too() -> None:
    """The target may fail in the very step in which it is called."""
    work = Script(Flaky(), "ok")

    assert await Pipeline(hedge.after(5)).do(work) == "ok"


async def test_when_all_fail_the_error_of_the_call_itself_comes_out_with_the_others_noted() -> None:
    """The very object, not a group, though it was not the last to fail."""
    first = Flaky("one")
    work = Copies(takes(1, first), takes(1, Fatal("two")), takes(1, Flaky("three")))

    with pytest.raises(Flaky) as raised:
        await Pipeline(hedge.after(5, extra=2)).do(work)

    assert raised.value is first
    assert first.__notes__ == ["hedge: copy 2 failed too: Fatal('two')", "hedge: copy 3 failed too: Flaky('three')"]


async def test_an_error_raised_by_race_after_race_keeps_the_notes_of_the_last() -> None:
    """Notes do not pile up on an error that is an object of the module."""
    same = Flaky()
    policy = Pipeline(retry.on(Flaky, 3, constant(0)), hedge.after(5))

    with pytest.raises(Flaky):
        await policy.do(Script(*[same, Fatal()] * 4))

    assert len([note for note in same.__notes__ if note.startswith("hedge: ")]) == 1


@pytest.mark.parametrize("fatal", [Fatal, (Fatal, KeyError), lambda error: isinstance(error, Fatal)])
async def test_a_fatal_error_ends_the_race_at_once(fatal: Any) -> None:
    """Who runs is cancelled and awaited, nobody is started, the fatal error itself comes out."""
    fatality = Fatal()
    work = Copies(takes(60), takes(1, fatality), takes(60))

    with pytest.raises(Fatal) as raised:
        await Pipeline(hedge.after(2, extra=2, fatal=fatal)).do(work)

    assert raised.value is fatality
    assert work.ended == ["2 Fatal", "1 cancelled"]


async def test_a_group_is_fatal_by_one_of_its_leaves() -> None:
    """And it comes out as the group it is."""
    group = ExceptionGroup("two", [Flaky(), ExceptionGroup("inner", [Fatal()])])
    work = Copies(takes(1, group))

    with pytest.raises(ExceptionGroup) as raised:
        await Pipeline(hedge.after(2, fatal=Fatal)).do(work)

    assert raised.value is group


async def test_what_says_it_is_permanent_is_fatal() -> None:
    """Without being named."""
    error = Flaky()
    error.permanent = True  # type: ignore[attr-defined]  # a capability is a plain attribute
    work = Copies(takes(1, error))

    with pytest.raises(Flaky):
        await Pipeline(hedge.after(2)).do(work)

    assert len(work.started) == 1


@pytest.mark.parametrize("asked", ["retry_after", "rejected"])
async def test_who_asks_to_be_left_alone_gets_no_further_copy(asked: str) -> None:
    """A wait hint and a refusal stop new copies; the copy that runs may still win."""
    error: Exception = CircuitOpen("open", 9)
    if asked == "retry_after":
        error = Flaky()
        error.retry_after = 9.0  # type: ignore[attr-defined]  # a capability is a plain attribute
    work = Copies(takes(3, error), takes(10, "second"))

    assert await Pipeline(hedge.after(2, extra=5)).do(work) == "second"

    assert len(work.started) == 2


async def test_after_a_wait_hint_a_failing_copy_makes_way_for_nobody() -> None:
    """The wish to be left alone outlives the copy that heard it."""
    error = CircuitOpen("open", 9)
    work = Copies(takes(3, error), takes(10, Flaky()), takes(1, "third"))

    with pytest.raises(CircuitOpen) as raised:
        await Pipeline(hedge.after(2, extra=5)).do(work)

    assert raised.value is error
    assert len(work.started) == 2


async def test_a_predicate_that_raises_ends_the_race_with_the_failure_itself(caplog: pytest.LogCaptureFixture) -> None:
    """Foreign code that fails does not take the place of the error."""

    def broken(error: Exception) -> bool:
        raise KeyError("predicate")

    with caplog.at_level(logging.CRITICAL, "longrun.hedge"), pytest.raises(Flaky):
        await Pipeline(hedge.after(2, fatal=broken)).do(Copies(takes(1, Flaky())))


async def test_only_an_acceptable_answer_wins() -> None:
    """One that does not count makes way for the next, like a failure."""
    work = Copies(takes(1, "stale"), takes(1, "fresh"))

    assert await Pipeline(hedge.after(9, accept=lambda answer: answer == "fresh")).do(work) == "fresh"


async def test_without_an_acceptable_answer_that_of_the_call_itself_comes_out() -> None:
    """As it would have without a hedge."""
    work = Copies(takes(1, "stale"), takes(1, Flaky()))

    assert await Pipeline(hedge.after(9, accept=lambda answer: answer == "fresh")).do(work) == "stale"


async def test_a_loser_that_shields_its_clean_up_is_waited_for_and_told_about(events: RecordingListener) -> None:
    """Nothing of the call runs behind its return; the event says what that took."""

    async def stubborn() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.3)

    work = Copies(stubborn, takes(1, "second"))

    assert await Pipeline(hedge.after(2), observe(events)).do(work) == "second"

    assert work.ended == ["2 answered", "1 cancelled"]
    assert events.of(HedgeWon)[0].elapsed == pytest.approx(3)
    assert events.of(HedgeWon)[0].reaped == pytest.approx(0.3)
    assert not events.of(HedgeLoserLingers)


def deaf_for(seconds: float) -> Callable[[], Any]:
    async def step() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(seconds)
        await anyio.sleep_forever()

    return step


@pytest.mark.parametrize("loser", [1, 2])
async def test_a_loser_that_outlasts_the_grace_is_told_by_event_and_log_and_still_waited_for(
    loser: int, events: RecordingListener, caplog: pytest.LogCaptureFixture
) -> None:
    """Who hangs, where and for how long can be seen while it hangs; nothing runs on behind the call."""
    steps = [deaf_for(10), takes(1, "won")] if loser == 1 else [takes(3, "won"), deaf_for(10)]
    work = Copies(*steps)
    begun = anyio.current_time()
    heard: list[float] = []

    def listen(event: object) -> None:
        if isinstance(event, HedgeLoserLingers):
            heard.append(anyio.current_time() - begun)

    answer = await Pipeline(hedge.after(2), observe(events), observe(listen), name="search").do(work)

    assert answer == "won"
    assert [(event.subject, event.copy, event.waited) for event in events.of(HedgeLoserLingers)] == [
        ("search", loser, pytest.approx(5))
    ]
    assert heard == [pytest.approx(8)]
    assert [record.getMessage().split(" after")[0] for record in caplog.records] == [
        f"copy {loser} of search still runs 5 s"
    ]
    assert work.ended[-1] == f"{loser} cancelled"
    assert anyio.current_time() - begun == pytest.approx(10 if loser == 1 else 12)


async def test_the_grace_counts_from_the_decision_and_each_loser_that_outlasts_it_is_told(
    events: RecordingListener,
) -> None:
    """Those that end in time are not."""
    work = Copies(deaf_for(20), deaf_for(4.5), deaf_for(20), takes(0.5, "won"))

    assert await Pipeline(hedge.after(1, extra=3, grace=3), observe(events)).do(work) == "won"

    assert [(event.copy, event.waited) for event in events.of(HedgeLoserLingers)] == [
        (1, pytest.approx(3)),
        (3, pytest.approx(3)),
    ]


async def test_a_loser_that_outlasts_a_fatal_error_is_told_too(events: RecordingListener) -> None:
    """The error waits for it as an answer would."""
    work = Copies(deaf_for(10), takes(1, Fatal("no")))

    with pytest.raises(Fatal):
        await Pipeline(hedge.after(2, fatal=Fatal), observe(events)).do(work)

    assert [event.copy for event in events.of(HedgeLoserLingers)] == [1]


async def test_a_caller_that_is_cancelled_while_a_loser_lingers_leaves_nobody_behind(
    events: RecordingListener,
) -> None:
    """Its cancellation comes out when the loser has ended."""
    work = Copies(deaf_for(10), takes(1, "second"))
    begun = anyio.current_time()

    with anyio.move_on_after(4) as scope:
        await Pipeline(hedge.after(2), observe(events)).do(work)

    assert scope.cancelled_caught
    assert work.ended == ["2 answered", "1 cancelled"]
    assert [event.copy for event in events.of(HedgeLoserLingers)] == [1]
    assert anyio.current_time() - begun == pytest.approx(10)


async def test_a_loser_that_swallows_its_cancellation_is_told_and_its_late_answer_counts_for_nothing(
    events: RecordingListener,
) -> None:
    """The race was decided before."""

    async def stubborn() -> str:
        with suppress(anyio.get_cancelled_exc_class()):
            await anyio.sleep_forever()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(2)
        return "late"

    work = Copies(stubborn, takes(1, "second"))

    assert await Pipeline(hedge.after(2, grace=1), observe(events)).do(work) == "second"

    assert work.ended == ["2 answered", "1 answered"]
    assert [event.copy for event in events.of(HedgeLoserLingers)] == [1]


async def test_a_loser_without_a_shield_cannot_wait() -> None:
    """Every further await in it raises at once."""

    async def hopeful() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            await anyio.sleep(100)

    begun = anyio.current_time()

    assert await Pipeline(hedge.after(2)).do(Copies(hopeful, takes(1, "second"))) == "second"

    assert anyio.current_time() - begun == pytest.approx(3)


@pytest.mark.parametrize("loser", [0, 1])
async def test_a_loser_that_fails_on_its_way_out_changes_nothing(loser: int, caplog: pytest.LogCaptureFixture) -> None:
    """Neither its error, nor a group of its error and the cancellation, reaches the caller."""

    async def clumsy() -> None:
        async with anyio.create_task_group() as tg:
            tg.start_soon(anyio.sleep_forever)
            try:
                await anyio.sleep_forever()
            finally:
                raise Flaky("while cleaning up")

    steps = [clumsy, takes(1, "won")] if loser == 0 else [takes(3, "won"), clumsy]

    with caplog.at_level(logging.CRITICAL, "longrun.hedge"):
        assert await Pipeline(hedge.after(2)).do(Copies(*steps)) == "won"


async def test_answers_that_nobody_gets_are_discarded() -> None:
    """A loser that was cancelled and answered all the same has opened something that wants to be closed."""
    closed: list[object] = []

    async def deaf() -> str:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(9)
        return "late"

    async def close(answer: object) -> None:
        await anyio.sleep(0.5)
        closed.append(answer)

    assert await Pipeline(hedge.after(2, discard=close)).do(Copies(deaf, takes(1, "second"))) == "second"

    assert closed == ["late"]


async def test_an_answer_whose_caller_is_cancelled_is_discarded() -> None:
    """The winner waited for a loser, and the caller did not wait for the winner."""
    closed: list[object] = []

    async def deaf() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(9)
        await anyio.sleep_forever()

    with anyio.move_on_after(5) as scope:
        await Pipeline(hedge.after(2, discard=closed.append)).do(Copies(deaf, takes(1, "second")))

    assert scope.cancelled_caught
    assert closed == ["second"]


async def test_discarding_has_a_second_and_its_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It neither holds the answer up for long nor takes its place."""

    async def deaf() -> str:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(4)
        return "late"

    async def slow(answer: object) -> None:
        await anyio.sleep(100)

    def broken(answer: object) -> None:
        raise Flaky("closing")

    begun = anyio.current_time()
    assert await Pipeline(hedge.after(2, discard=slow)).do(Copies(deaf, takes(1, "second"))) == "second"
    took = anyio.current_time() - begun
    assert await Pipeline(hedge.after(2, discard=broken)).do(Copies(deaf, takes(1, "second"))) == "second"

    assert took == pytest.approx(5)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


@pytest.mark.parametrize("when", [1, 3, 5])
async def test_cancelling_the_caller_reaches_every_copy_at_once(when: float, events: RecordingListener) -> None:
    """Before, between and behind the hedges; nothing was won, and no error takes its place."""
    work = Copies(takes(60), takes(60), takes(60))
    begun = anyio.current_time()

    with anyio.move_on_after(when) as scope:
        await Pipeline(hedge.after(2, extra=2), observe(events)).do(work)

    assert scope.cancelled_caught
    assert anyio.current_time() - begun == pytest.approx(when)
    assert sorted(work.ended) == [f"{n} cancelled" for n in range(1, len(work.started) + 1)]
    assert not events.of(HedgeWon)


async def test_an_exit_of_a_copy_comes_out_as_itself() -> None:
    """SystemExit of a hedge is not hidden in a group, and ends the others."""
    work = Script(Hang(), SystemExit(3))

    async def gives_in() -> None:
        try:
            await work()
        except SystemExit as leaving:
            raise Leaving from leaving

    class Leaving(BaseException):
        pass

    with pytest.raises(Leaving):
        await Pipeline(hedge.after(2)).do(gives_in)


async def test_an_exit_of_a_loser_beats_the_answer() -> None:
    """Whoever leaves the program is not held back by an answer that came before."""

    class Leaving(BaseException):
        pass

    async def leaves() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise Leaving

    with pytest.raises(Leaving):
        await Pipeline(hedge.after(2)).do(Copies(leaves, takes(1, "second")))


async def test_each_copy_sees_the_callers_context_and_not_that_of_another() -> None:
    """What the call itself sets before it fails does not reach the next copy."""
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")
    seen: list[str] = []

    async def work() -> str:
        seen.append(var.get())
        var.set("of a copy")
        if len(seen) == 1:
            raise Flaky
        if len(seen) == 2:
            await anyio.sleep_forever()
        return "ok"

    var.set("of the caller")
    await Pipeline(hedge.after(2, extra=2)).do(work)

    assert seen == ["of the caller"] * 3


async def test_no_copy_starts_when_the_deadline_is_nearer_than_the_delay() -> None:
    """The limit ends the call as it would have without a hedge."""
    work = Copies(takes(60), takes(60))

    with pytest.raises(longrun.TimeoutExceeded):
        await Pipeline(timeout.after(2), hedge.after(2)).do(work)

    assert len(work.started) == 1


async def test_no_copy_starts_behind_the_deadline_of_the_run(events: RecordingListener) -> None:
    """The run of a task ends by its own deadline, which is no scope; a failure behind it makes way for nobody."""

    class CurrentRun:
        deadline = anyio.current_time() + 2

    token = deadline.current_run.set(CurrentRun())
    work = Copies(takes(3, Flaky()), takes(1, "second"))
    try:
        with pytest.raises(Flaky):
            await Pipeline(hedge.after(9), observe(events)).do(work)
    finally:
        deadline.current_run.reset(token)

    assert len(work.started) == 1
    assert [event.reason for event in events.of(HedgeSuppressed)] == ["deadline"]


async def test_a_copy_knows_the_deadline_of_the_caller() -> None:
    """It is a child of the call, wherever it was started from."""
    deadlines: list[float] = []

    async def work() -> None:
        deadlines.append(deadline.nearest())
        await anyio.sleep(3)

    with anyio.fail_after(50):
        await Pipeline(hedge.after(2)).do(work)

    assert len(deadlines) == 2
    assert deadlines[0] == deadlines[1]


async def test_each_extra_copy_draws_on_the_budget_and_an_empty_one_stops_only_new_copies(
    events: RecordingListener,
) -> None:
    """What runs, runs on and may win."""

    class OneExtra:
        left = 1

        def called(self) -> None: ...

        def spend(self) -> bool:
            self.left -= 1
            return self.left >= 0

        def refund(self) -> None: ...

    work = Copies(takes(60, "first"), takes(60, "second"), takes(1, "third"))

    assert await Pipeline(BudgetOption(OneExtra()), hedge.after(2, extra=3), observe(events)).do(work) == "first"

    assert len(work.started) == 2
    assert [(event.copy, event.reason) for event in events.of(HedgeSuppressed)] == [(3, "budget"), (4, "budget")]


async def test_a_budget_of_nothing_leaves_the_call_alone_and_its_own_error_comes_out(events: RecordingListener) -> None:
    """Neither slowness nor failure starts a copy."""
    slow, failing = Copies(takes(60, "first")), Copies(takes(1, Flaky()))

    with isolated():
        policy = Pipeline(retry.budget("search", ratio=0, floor=0), hedge.after(2), observe(events))
        assert await policy.do(slow) == "first"
        with pytest.raises(Flaky):
            await policy.do(failing)

    assert (len(slow.started), len(failing.started)) == (1, 1)
    assert [event.reason for event in events.of(HedgeSuppressed)] == ["budget", "budget"]


async def test_a_race_that_a_copy_ends_leaves_the_callers_own_scopes_alone() -> None:
    """A thousand races later the task is where it was: nothing is cancelled, no scope is left open."""
    policy = Pipeline(hedge.after(2))

    with anyio.CancelScope(deadline=anyio.current_time() + 10_000) as scope:
        for _ in range(1000):
            await policy.do(Copies(takes(0, "first")))
            await policy.do(Copies(takes(9), takes(1, "second")))
        await anyio.lowlevel.checkpoint()
        assert anyio.current_effective_deadline() == scope.deadline

    assert not scope.cancel_called


async def test_retry_above_counts_a_race_as_one_attempt_and_below_belongs_to_each_copy() -> None:
    """First is outermost, here as everywhere."""
    above = Script(*[Flaky()] * 3, "ok")
    below = Script(*[Flaky()] * 3, "ok")

    await Pipeline(retry.on(Flaky, 1, constant(0)), hedge.after(9)).do(above)
    await Pipeline(hedge.after(9), retry.on(Flaky, 3, constant(0))).do(below)

    assert (above.calls, below.calls) == (4, 4)


async def test_a_timeout_below_is_a_failure_of_its_copy() -> None:
    """So a hung copy is replaced; the one above ends the race."""
    work = Script(Hang(), "ok")

    assert await Pipeline(hedge.after(9), timeout.after(2)).do(work) == "ok"


async def test_hundreds_of_races_with_random_cancellations_leave_nobody_running() -> None:
    """Every copy that began has ended, when the storm is over."""
    running = 0
    policy = Pipeline(hedge.after(2, extra=2))

    async def work() -> None:
        nonlocal running
        running += 1
        try:
            await anyio.sleep((running * 7) % 13)
            if running % 3 == 0:
                raise Flaky
        finally:
            running -= 1

    async def caller(limit: float) -> None:
        with anyio.move_on_after(limit):
            with suppress(Flaky):
                await policy.do(work)

    async with anyio.create_task_group() as tg:
        for index in range(300):
            tg.start_soon(caller, (index * 11) % 17)

    assert running == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_native_cancellation_of_the_task_is_kept() -> None:
    """task.cancel() ends the call, alone and in a race, and the task says that it was cancelled."""
    for when in (0.0, 0.05):
        work = Copies(takes(60), takes(60))
        task = asyncio.ensure_future(Pipeline(hedge.after(0.01)).do(work))
        await asyncio.sleep(when)
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task

        assert task.cancelled()
        assert len(work.ended) == len(work.started)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_stray_cancellation_in_a_hedge_is_no_outcome() -> None:
    """A copy that awaits a task which somebody else cancels leaves the race to the others."""

    async def stray() -> None:
        raise asyncio.CancelledError

    assert await Pipeline(hedge.after(0.01)).do(Copies(takes(0.05, "first"), stray)) == "first"
