"""Which failures a call retries, how often, and what comes out in the end."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

import longrun
from longrun import PipelineError, Rejected, retry
from longrun import events as longrun_events
from longrun.backoff import constant, exponential
from longrun.errors import BulkheadFull, CircuitOpen
from longrun.testing import RecordingListener, Script

pytestmark = pytest.mark.anyio

AT_ONCE = constant(0)


class Flaky(Exception):
    """A failure of the test's own."""


class Worse(Flaky):
    """A special kind of it."""


class Other(Exception):
    """A failure of another kind."""


async def calls_made(work: Script, *options: longrun.Option) -> int:
    """How often *work* is called until the call ends, one way or the other."""
    try:
        await longrun.do(work, *options)
    except Exception:  # noqa: BLE001 - only the count of calls matters here
        return work.calls
    return work.calls


async def test_a_success_is_not_retried() -> None:
    """One call, its result, and no error on the way."""
    work = Script("ok")

    result = await longrun.do(work, retry.on(Exception, 5, AT_ONCE))

    assert result == "ok"
    assert work.calls == 1


async def test_a_call_without_options_is_just_the_call() -> None:
    """do(fn) calls fn once and hands out what it gives."""
    assert await longrun.do(Script("ok")) == "ok"
    with pytest.raises(Flaky):
        await longrun.do(Script(Flaky()))


async def test_retries_n_means_n_plus_one_calls() -> None:
    """A budget of 2 makes 3 calls."""
    assert await calls_made(Script(Flaky()), retry.on(Flaky, 2, AT_ONCE)) == 3


async def test_no_budget_retries_until_it_works() -> None:
    """None is without limit: the hundredth call may succeed."""
    work = Script(*[Flaky() for _ in range(99)], "ok")

    assert await longrun.do(work, retry.on(Flaky, None, AT_ONCE)) == "ok"
    assert work.calls == 100


async def test_the_default_is_three_retries() -> None:
    """Nothing said: four calls."""
    assert await calls_made(Script(Flaky()), retry.on(Flaky, backoff=AT_ONCE)) == 4


INSTANCE = Flaky("this one")

MATCHING: list[tuple[str, Any, Exception, bool]] = [
    ("a class means itself", Flaky, Flaky(), True),
    ("a class means its subclasses", Flaky, Worse(), True),
    ("a class does not mean its parent", Worse, Flaky(), False),
    ("a class does not mean a stranger", Flaky, Other(), False),
    ("an instance means itself", INSTANCE, INSTANCE, True),
    ("an instance does not mean an equal one", INSTANCE, Flaky("this one"), False),
    ("a predicate that says yes", lambda error: "busy" in str(error), Flaky("busy"), True),
    ("a predicate that says no", lambda error: "busy" in str(error), Flaky("gone"), False),
    ("a tuple means any of its members", (Other, INSTANCE, lambda e: False), INSTANCE, True),
    ("a tuple in a tuple", (Other, (Worse, (Flaky,))), Flaky(), True),
    ("a tuple without the error", (Other, Worse), Flaky(), False),
]


@pytest.mark.parametrize(("errors", "error", "meant"), [case[1:] for case in MATCHING], ids=[c[0] for c in MATCHING])
async def test_a_rule_means_what_it_names(errors: Any, error: Exception, meant: bool) -> None:
    """Classes by isinstance, instances by identity, predicates by asking, tuples by any member."""
    assert await calls_made(Script(error, "ok"), retry.on(errors, 5, AT_ONCE)) == (2 if meant else 1)


async def test_what_caused_an_error_is_not_looked_at() -> None:
    """``raise Other() from Flaky()`` is an Other: a rule on Flaky does not mean it."""
    wrapped = Other()
    wrapped.__cause__ = Flaky()

    assert await calls_made(Script(wrapped, "ok"), retry.on(Flaky, 5, AT_ONCE)) == 1


GROUPS: list[tuple[str, Exception, int]] = [
    ("all leaves retryable", ExceptionGroup("g", [Flaky(), Worse()]), 2),
    ("one leaf fatal", ExceptionGroup("g", [Flaky(), Other()]), 1),
    ("nested, all leaves retryable", ExceptionGroup("g", [ExceptionGroup("h", [Flaky()]), Flaky()]), 2),
    ("nested, one leaf fatal", ExceptionGroup("g", [ExceptionGroup("h", [Flaky(), Other()]), Flaky()]), 1),
]


@pytest.mark.parametrize(("error", "calls"), [case[1:] for case in GROUPS], ids=[case[0] for case in GROUPS])
async def test_a_group_is_retried_only_when_every_leaf_is(error: Exception, calls: int) -> None:
    """One fatal leaf stops the call, however deep it sits."""
    assert await calls_made(Script(error, "ok"), retry.on(Flaky, 5, AT_ONCE)) == calls


async def test_the_leaves_of_a_group_may_belong_to_different_rules() -> None:
    """Each rule that is needed pays for the retry from its own budget."""
    both = ExceptionGroup("g", [Flaky(), Other()])
    work = Script(both, both, Other(), "ok")

    with pytest.raises(ExceptionGroup) as caught:
        await longrun.do(work, retry.on(Flaky, 1, AT_ONCE), retry.on(Other, 5, AT_ONCE))

    assert caught.value is both
    assert work.calls == 2


async def test_a_rule_may_name_the_group_itself() -> None:
    """A rule on ExceptionGroup takes any group, whatever is in it."""
    group = ExceptionGroup("g", [Other()])

    assert await calls_made(Script(group, "ok"), retry.on(ExceptionGroup, 5, AT_ONCE)) == 2


async def test_a_rule_on_exception_does_not_retry_a_refusal() -> None:
    """An open circuit refused the call; repeating it would defeat the circuit."""
    assert await calls_made(Script(CircuitOpen("open"), "ok"), retry.on(Exception, 5, AT_ONCE)) == 1
    assert await calls_made(Script(CircuitOpen("open"), "ok"), retry.on(lambda e: True, 5, AT_ONCE)) == 1


@pytest.mark.parametrize("named", [CircuitOpen, Rejected, (Flaky, CircuitOpen)])
async def test_a_refusal_is_retried_when_it_is_named(named: Any) -> None:
    """Who names Rejected, or a kind of it, means it."""
    assert await calls_made(Script(CircuitOpen("open"), "ok"), retry.on(named, 5, AT_ONCE)) == 2
    assert await calls_made(Script(BulkheadFull("full"), "ok"), retry.on(CircuitOpen, 5, AT_ONCE)) == 1


async def test_a_refusal_inside_a_group_is_fatal_to_a_catch_all() -> None:
    """The leaf is judged like any other error."""
    group = ExceptionGroup("g", [Flaky(), CircuitOpen("open")])

    assert await calls_made(Script(group, "ok"), retry.on(Exception, 5, AT_ONCE)) == 1


@pytest.mark.parametrize("catch_all_first", [True, False])
async def test_a_catch_all_comes_last_whatever_the_order(events: RecordingListener, catch_all_first: bool) -> None:
    """It never shadows a specific rule, wherever it is written."""
    rules = [retry.on(Exception, 9, constant(50), name="any"), retry.on(Flaky, 9, constant(7), name="flaky")]
    work = Script(Flaky(), Other(), "ok")

    await longrun.do(work, rules if catch_all_first else rules[::-1], longrun.observe(events))

    assert [event.rule for event in events.of(longrun_events.RetryScheduled)] == ["flaky", "any"]
    assert work.started[1] - work.started[0] == pytest.approx(7)


async def test_of_two_specific_rules_the_first_written_decides(events: RecordingListener) -> None:
    """There is no most specific rule: order decides."""
    work = Script(Worse(), "ok")

    await longrun.do(
        work, retry.on(Flaky, 1, AT_ONCE, name="a"), retry.on(Worse, 1, AT_ONCE, name="b"), longrun.observe(events)
    )

    assert [event.rule for event in events.of(longrun_events.RetryScheduled)] == ["a"]


async def test_each_rule_spends_its_own_budget() -> None:
    """A Flaky does not eat the retries of an Other; the second Flaky ends the call."""
    last = Flaky("second")
    work = Script(Flaky(), Other(), last)

    with pytest.raises(Flaky) as caught:
        await longrun.do(work, retry.on(Flaky, 1, AT_ONCE), retry.on(Other, 1, AT_ONCE))

    assert caught.value is last
    assert work.calls == 3


async def test_a_spent_rule_does_not_fall_through_to_a_later_one() -> None:
    """Budgets never add up: the first rule that means the error decides, also when it is spent."""
    work = Script(Flaky())

    assert await calls_made(work, retry.on(Flaky, 1, AT_ONCE), retry.on(Exception, 9, AT_ONCE)) == 2


async def test_rules_in_different_places_form_one_engine() -> None:
    """Two rules around a timeout make 2 + 2 + 1 calls at most, not 3 x 3."""
    work = Script(Flaky(), Other(), Flaky(), Other(), Flaky())

    assert (
        await calls_made(work, retry.on(Flaky, 2, AT_ONCE), longrun.timeout.after(30), [[retry.on(Other, 2, AT_ONCE)]])
        == 5
    )


async def test_every_call_of_a_pipeline_has_a_fresh_budget() -> None:
    """What the first call spent is not missing in the second."""
    policy = longrun.Pipeline(retry.on(Flaky, 2, AT_ONCE))
    first, second = Script(Flaky()), Script(Flaky())

    for work in (first, second):
        with pytest.raises(Flaky):
            await policy.do(work)

    assert (first.calls, second.calls) == (3, 3)


async def test_each_rule_keeps_its_own_place_on_its_curve() -> None:
    """Alternating errors: each waits the next wait of its own curve."""
    work = Script(Flaky(), Other(), Flaky(), Other(), "ok")

    await longrun.do(
        work, retry.on(Flaky, 5, exponential(1, 60, jitter=0)), retry.on(Other, 5, exponential(10, 60, jitter=0))
    )

    gaps = [after - before for before, after in zip(work.started, work.started[1:], strict=False)]
    assert gaps == pytest.approx([1, 10, 2, 20])


async def test_a_backoff_is_told_the_attempt_and_the_wait_before() -> None:
    """A plain callable is a backoff: (attempt, previous, rng) -> seconds, attempt counting from 0."""
    told: list[tuple[int, float]] = []

    def curve(attempt: int, previous: float, _rng: object) -> float:
        told.append((attempt, previous))
        return attempt + 1.5

    await calls_made(Script(Flaky()), retry.on(Flaky, 3, curve))

    assert told == [(0, 0.0), (1, 1.5), (2, 2.5)]


async def test_a_wait_of_nothing_does_not_sleep() -> None:
    """Delay 0 costs no turn of the event loop: nobody else gets a word in."""
    heard: list[str] = []
    work = Script(Flaky(), Flaky(), "ok")

    async def other() -> None:
        heard.append("other")

    async with anyio.create_task_group() as tg:
        tg.start_soon(other)
        await longrun.do(work, retry.on(Flaky, 5, AT_ONCE))
        heard.append("call")

    assert heard == ["call", "other"]


# -- results ---------------------------------------------------------------------------------------------------------


async def test_an_unwanted_result_is_retried() -> None:
    """A predicate on the returned value asks for another try."""
    work = Script(None, None, "ok")

    assert await longrun.do(work, retry.on_result(lambda value: value is None, 5, AT_ONCE)) == "ok"
    assert work.calls == 3


async def test_the_last_unwanted_result_is_returned_when_the_budget_is_spent() -> None:
    """No error is made up: the caller gets what the callee gave."""
    work = Script("pending")

    assert await longrun.do(work, retry.on_result(lambda value: value == "pending", 2, AT_ONCE)) == "pending"
    assert work.calls == 3


async def test_a_result_may_ask_for_a_wait() -> None:
    """A response with ``retry_after`` is waited for like an error with one."""

    class Busy:
        retry_after = 12.0

    work = Script(Busy(), "ok")

    await longrun.do(work, retry.on_result(lambda value: isinstance(value, Busy), 5, constant(1)))

    assert work.started[1] - work.started[0] == pytest.approx(12)


async def test_rules_on_errors_never_see_an_unwanted_result() -> None:
    """A predicate for errors is asked about errors of the callee only, whatever stands first."""
    asked: list[Exception] = []

    def any_error(error: Exception) -> bool:
        asked.append(error)
        return True

    work = Script(None, "ok")

    result = await longrun.do(
        work, retry.on(any_error, 5, constant(9)), retry.on_result(lambda value: value is None, 5, constant(2))
    )

    assert result == "ok"
    assert asked == []
    assert work.started[1] - work.started[0] == pytest.approx(2)


# -- what comes out --------------------------------------------------------------------------------------------------


async def test_the_original_error_comes_out_with_its_traceback_and_cause() -> None:
    """The last error itself, not a wrapper: same object, same cause, the callee's frame still in the traceback."""
    cause = Other("why")

    async def the_callee_that_fails() -> None:
        raise Flaky("what") from cause

    with pytest.raises(Flaky) as caught:
        await longrun.do(the_callee_that_fails, retry.on(Flaky, 2, AT_ONCE))

    frames = [entry.name for entry in caught.traceback]
    assert caught.value.__cause__ is cause
    assert frames[-1] == "the_callee_that_fails"
    assert frames.count("the_callee_that_fails") == 1


async def test_an_attempt_does_not_become_the_context_of_the_next() -> None:
    """The last error does not drag the errors of earlier attempts behind it."""
    with pytest.raises(Flaky) as caught:
        await longrun.do(Script(Other(), Flaky()), retry.on(Other, 2, constant(1)))

    assert caught.value.__context__ is None


async def test_a_predicate_that_raises_ends_the_call_with_the_original_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A defect in a rule never hides the failure it was asked about."""

    def broken(error: Exception) -> bool:
        raise AttributeError("no status")

    failure = Flaky()

    with pytest.raises(Flaky) as caught:
        await longrun.do(Script(failure), retry.on(broken, 5, AT_ONCE))

    assert caught.value is failure
    assert "AttributeError" in longrun.timeline(failure)[-1].reason
    assert "no status" in caplog.text


@pytest.mark.parametrize("wait", [float("nan"), float("inf"), -1.0, "1", None])
async def test_a_backoff_that_gives_nonsense_ends_the_call_with_the_original_error(wait: Any) -> None:
    """No number of seconds, no wait: the failure comes out and says why."""
    failure = Flaky()

    with pytest.raises(Flaky) as caught:
        await longrun.do(Script(failure), retry.on(Flaky, 5, lambda *_: wait))

    assert caught.value is failure
    assert repr(wait) in longrun.timeline(failure)[-1].reason


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: retry.on((), 3), "empty tuple"),
        (lambda: retry.on(None, 3), "None"),
        (lambda: retry.on("ConnectionError", 3), "'ConnectionError'"),
        (lambda: retry.on(int, 3), "int"),
        (lambda: retry.on(KeyboardInterrupt, 3), "KeyboardInterrupt"),
        (lambda: retry.on(BaseException, 3), "BaseException"),
        (lambda: retry.on(Flaky, 3, 5.0), "backoff is 5.0"),
        (lambda: retry.on(Flaky, 0), "retries is 0"),
        (lambda: retry.on(Flaky, -1), "retries is -1"),
        (lambda: retry.on(Flaky, -5), "retries is -5"),
        (lambda: retry.on(Flaky, True), "retries is True"),
        (lambda: retry.on(Flaky, 1.5), "retries is 1.5"),
        (lambda: retry.on(Flaky, 3, hint_cap=0), "hint_cap is 0"),
        (lambda: retry.on_result(None, 3), "None"),
        (lambda: retry.on_result(bool, 0), "is 0"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(make: Callable[[], object], said: str) -> None:
    """A ValueError names the value; those about the pipeline are PipelineErrors."""
    with pytest.raises(ValueError, match=said):
        make()


def test_errors_of_assembly_are_value_errors() -> None:
    """One tree: PipelineError is a ValueError."""
    with pytest.raises(PipelineError):
        retry.on((), 3)
    assert issubclass(PipelineError, ValueError)
