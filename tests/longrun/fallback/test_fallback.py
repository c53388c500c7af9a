"""Fallbacks: what takes the place of a failure, and what it never covers."""

import asyncio
from functools import partial
from typing import Any

import anyio
import pytest

import longrun
from longrun import Pipeline, PipelineError, fallback, observe, retry, timeout
from longrun.backoff import constant
from longrun.errors import CircuitOpen, Rejected
from longrun.fallback import FallbackFailed, FallbackUsed
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio


class Flaky(Exception):
    """A failure of the test's own."""


class Other(Exception):
    """Another one."""


def nothing() -> str:
    return "from a function"


async def nothing_async() -> str:
    await anyio.sleep(1)
    return "from a coroutine"


def of_the_error(error: Exception) -> str:
    return f"instead of {error}"


async def of_the_error_async(error: Exception) -> str:
    return f"instead of {error}"


class Callable:
    async def __call__(self, error: Exception) -> str:
        return f"instead of {error}"

    def bound(self) -> str:
        return "from a method"


cache = Pipeline(retry.on(Other, 1, constant(0)))


@cache.wrap
async def cached() -> str:
    return "from a pipeline"


def with_default(key: str = "all") -> str:
    return f"from {key}"


@pytest.mark.parametrize(
    ("alternative", "answer"),
    [
        ("a value", "a value"),
        (None, None),
        (nothing, "from a function"),
        (nothing_async, "from a coroutine"),
        (of_the_error, "instead of it"),
        (of_the_error_async, "instead of it"),
        (lambda error: error.args[0], "it"),
        (Callable(), "instead of it"),
        (Callable().bound, "from a method"),
        (partial(with_default, "a partial"), "from a partial"),
        (partial(cache.do, cached), "from a pipeline"),
        (cached, "from a pipeline"),
        (with_default, "from all"),
        (list, []),
        (dict, {}),
    ],
)
async def test_the_alternative_takes_the_place_of_the_failure(alternative: Any, answer: object) -> None:
    """A value, or what a callable of any shape returns."""
    assert await longrun.do(Script(Flaky("it")), fallback.to(alternative)) == answer


async def test_a_call_that_succeeds_asks_no_alternative(events: RecordingListener) -> None:
    """And nothing is told."""
    asked = Script("alternative")

    assert await longrun.do(Script("ok"), fallback.to(asked), observe(events)) == "ok"

    assert asked.calls == 0
    assert not events.of(FallbackUsed)


async def test_its_use_is_told(events: RecordingListener) -> None:
    """With the error that it covered, and what was used."""
    error = Flaky()

    await Pipeline(fallback.to(nothing), observe(events), name="prices").do(Script(error))

    assert events.of(FallbackUsed) == [FallbackUsed("prices", "nothing", error)]


@pytest.mark.parametrize(
    ("on", "covered"),
    [
        (Flaky, True),
        (Other, False),
        ((Other, Flaky), True),
        (lambda error: "it" in str(error), True),
        (lambda error: False, False),
    ],
)
async def test_only_what_it_means_is_covered(on: Any, covered: bool) -> None:
    """Anything else comes out as it is."""
    error = Flaky("it")
    call = longrun.do(Script(error), fallback.to("instead", on=on))

    if covered:
        assert await call == "instead"
    else:
        with pytest.raises(Flaky) as raised:
            await call
        assert raised.value is error


async def test_a_single_error_is_covered_by_identity() -> None:
    """Its twin is not."""
    error = Flaky()

    assert await longrun.do(Script(error), fallback.to("instead", on=error)) == "instead"
    with pytest.raises(Flaky):
        await longrun.do(Script(Flaky()), fallback.to("instead", on=error))


@pytest.mark.parametrize(
    "on", [Exception, longrun.LongrunError, Rejected, CircuitOpen, (Other, Exception), lambda e: True]
)
async def test_a_rejection_is_covered_by_whatever_takes_it_in(on: Any) -> None:
    """A refused call is what a fallback is for: other than a retry, Exception means it."""
    assert await longrun.do(Script(CircuitOpen("open", 3)), fallback.to("instead", on=on)) == "instead"


@pytest.mark.parametrize("on", [Flaky, ValueError, longrun.BulkheadFull, lambda e: False])
async def test_a_rejection_that_is_not_meant_comes_out(on: Any) -> None:
    """It is no Flaky."""
    with pytest.raises(CircuitOpen):
        await longrun.do(Script(CircuitOpen("open", 3)), fallback.to("instead", on=on))


async def test_of_a_group_every_leaf_must_be_meant() -> None:
    """Nested ones too; one that is not meant lets the whole group out."""
    meant = ExceptionGroup("all", [Flaky(), ExceptionGroup("inner", [Flaky(), CircuitOpen("open")])])
    mixed = ExceptionGroup("one", [Flaky(), Other()])
    option = fallback.to("instead", on=(Flaky, Rejected))

    assert await longrun.do(Script(meant), option) == "instead"
    with pytest.raises(ExceptionGroup) as raised:
        await longrun.do(Script(mixed), option)
    assert raised.value is mixed


async def test_cancellation_is_never_covered() -> None:
    """Neither in the call nor in the alternative."""
    asked = Script(Hang())

    with anyio.move_on_after(1) as in_the_call:
        await longrun.do(Script(Hang()), fallback.to(asked))
    assert in_the_call.cancelled_caught
    assert asked.calls == 0

    with anyio.move_on_after(1) as in_the_alternative:
        await longrun.do(Script(Flaky()), fallback.to("never"), fallback.to(asked))
    assert in_the_alternative.cancelled_caught
    assert asked.calls == 1


async def test_a_limit_above_ends_the_alternative_and_one_below_is_covered() -> None:
    """A fallback covers exactly what it encloses."""
    with pytest.raises(longrun.TimeoutExceeded):
        await longrun.do(Script(Flaky()), timeout.after(2), fallback.to(Script(Hang())))

    assert await longrun.do(Script(Hang()), fallback.to("late"), timeout.after(2)) == "late"


@pytest.mark.parametrize("leaving", [SystemExit(3), asyncio.CancelledError()])
async def test_what_is_no_exception_passes(leaving: BaseException) -> None:
    """Exits go out."""

    async def leave() -> None:
        raise leaving

    with pytest.raises(type(leaving)):
        await Pipeline(fallback.to("instead")).do(leave)


async def test_the_failure_of_the_alternative_comes_out_with_the_calls_behind_it(events: RecordingListener) -> None:
    """Its own object; a cause that it gave itself stays."""
    error, failure, cause = Flaky(), Other(), KeyError()

    async def alternative() -> None:
        await anyio.sleep(1)
        raise failure from cause

    with pytest.raises(Other) as raised:
        await longrun.do(Script(error), fallback.to(alternative), observe(events))

    assert raised.value is failure
    assert failure.__context__ is error
    assert failure.__cause__ is cause
    assert [(event.error, event.failure) for event in events.of(FallbackFailed)] == [(error, failure)]
    assert not events.of(FallbackUsed)


async def test_an_alternative_may_let_the_error_out_after_all() -> None:
    """The same object, untouched."""
    error = Flaky()

    def decide(given: Exception) -> str:
        raise given

    with pytest.raises(Flaky) as raised:
        await longrun.do(Script(error), fallback.to(decide))

    assert raised.value is error
    assert error.__context__ is None


async def test_of_several_the_innermost_is_asked_first() -> None:
    """The outer one covers the failure of the inner one."""
    asked: list[str] = []

    def inner(error: Exception) -> str:
        asked.append(f"inner: {error}")
        raise Other("inner failed")

    def outer(error: Exception) -> str:
        asked.append(f"outer: {error}")
        return "outer"

    answer = await longrun.do(Script(Flaky("call")), fallback.to(outer), fallback.to(inner))

    assert answer == "outer"
    assert asked == ["inner: call", "outer: inner failed"]


async def test_of_several_each_covers_its_own_errors() -> None:
    """The inner one does not mean it; the outer one does."""
    options = (fallback.to("outer", on=Flaky), fallback.to("inner", on=Other))

    assert await longrun.do(Script(Flaky()), *options) == "outer"
    assert await longrun.do(Script(Other()), *options) == "inner"


async def test_above_a_retry_it_is_asked_once_when_all_attempts_are_spent() -> None:
    """Exhaustion is what it covers."""
    work, asked = Script(Flaky()), Script("instead")

    assert await longrun.do(work, fallback.to(asked), retry.on(Flaky, 3, constant(1))) == "instead"

    assert (work.calls, asked.calls) == (4, 1)


async def test_below_a_retry_it_answers_the_first_failure_and_its_own_failures_are_retried() -> None:
    """Then the retry sees what the fallback lets out."""
    work, asked = Script(Flaky()), Script(Other(), "instead")

    assert await longrun.do(work, retry.on(Other, 3, constant(1)), fallback.to(asked)) == "instead"

    assert (work.calls, asked.calls) == (2, 2)


async def test_a_predicate_that_raises_lets_the_error_out(caplog: pytest.LogCaptureFixture) -> None:
    """Foreign code that fails does not take the place of the failure; it is logged."""

    def broken(error: Exception) -> bool:
        raise KeyError("predicate")

    with pytest.raises(Flaky):
        await longrun.do(Script(Flaky()), fallback.to("instead", on=broken))

    assert "judging Flaky failed" in caplog.text


def needs_two(one: object, two: object) -> None: ...


def needs_a_keyword(*, key: str) -> None: ...


async def no_awaitable() -> None: ...


@pytest.mark.parametrize(
    ("alternative", "words"),
    [
        (needs_two, "needs_two with the error at most, and it needs one, two"),
        (needs_a_keyword, "needs key"),
        (ValueError("x"), r"was given the error ValueError\('x'\)"),
        (ValueError, "was given the error"),
    ],
)
def test_an_alternative_that_cannot_be_meant_is_refused(alternative: object, words: str) -> None:
    """When the pipeline is written, not when it is needed."""
    with pytest.raises(PipelineError, match=words):
        fallback.to(alternative)


def test_a_coroutine_is_refused_and_closed() -> None:
    """It could be awaited once; the async function is meant."""
    with pytest.raises(PipelineError, match="can be awaited only once"):
        fallback.to(no_awaitable())


@pytest.mark.parametrize("on", [(), BaseException, KeyboardInterrupt, "Flaky", 5])
def test_nonsense_about_errors_is_refused_in_its_own_name(on: Any) -> None:
    """The message speaks of fallback.to, not of a retry."""
    with pytest.raises(PipelineError, match=r"^fallback\.to on was given"):
        fallback.to("instead", on=on)


def test_a_pipeline_says_what_it_falls_back_to() -> None:
    """In words, before anything runs."""
    policy = Pipeline(fallback.to(nothing, on=Flaky), fallback.to([]))

    assert policy.describe().splitlines()[1:3] == [
        "  fallback to nothing on Flaky",
        "  fallback to [] on Exception",
    ]
