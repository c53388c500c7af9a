"""Pipelines: order, reuse, words, types that survive, options that make no sense."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio
import pytest

import longrun
from longrun import Pipeline, PipelineError, retry, timeout
from longrun.backoff import constant, exponential
from longrun.testing import Script

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Flaky(Exception):
    """A failure of the test's own."""


class Said:
    """A custom option that writes down when the call passes it."""

    def __init__(self, name: str, heard: list[str]) -> None:
        self.name = name
        self.heard = heard

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        self.heard.append(f"{self.name} before")
        result = await call()
        self.heard.append(f"{self.name} after")
        return result


async def test_the_first_option_is_the_outermost() -> None:
    """Options read top to bottom: do(fn, a, b) is a(b(fn))."""
    heard: list[str] = []

    async def fn() -> str:
        heard.append("call")
        return "ok"

    await longrun.do(fn, Said("a", heard), Said("b", heard))

    assert heard == ["a before", "b before", "call", "b after", "a after"]


async def test_lists_and_bundles_unfold_in_place() -> None:
    """compose(a, b), c is a, b, c, as deep as one likes."""
    heard: list[str] = []
    bundle = longrun.compose(Said("a", heard), [Said("b", heard), ()])

    await longrun.do(Script("ok"), bundle, [[Said("c", heard)]])

    assert heard == ["a before", "b before", "c before", "c after", "b after", "a after"]


async def test_what_stands_above_the_rules_is_called_once_and_what_stands_below_each_time() -> None:
    """All rules are at the place of the first of them."""
    heard: list[str] = []
    work = Script(Flaky(), "ok")

    await longrun.do(work, Said("above", heard), retry.on(Flaky, 3, constant(0)), Said("below", heard))

    assert heard == ["above before", "below before", "below before", "below after", "above after"]


async def test_a_custom_option_may_refuse_replace_or_repeat_the_call() -> None:
    """Ten lines are enough for an option of one's own."""

    async def twice(call: Callable[[], Awaitable[T]], /) -> T:
        await call()
        return await call()

    work = Script("first", "second")

    assert await longrun.do(work, twice) == "second"


async def test_arguments_reach_the_call_in_every_attempt() -> None:
    """Positional and keyword arguments, under any name."""
    seen: list[tuple[object, ...]] = []

    async def fetch(fn: int, /, self: str, *rest: int, name: str) -> str:
        seen.append((fn, self, rest, name))
        if len(seen) < 2:
            raise Flaky
        return "ok"

    result = await Pipeline(retry.on(Flaky, 3, constant(0))).do(fetch, 1, "s", 2, 3, name="n")

    assert result == "ok"
    assert seen == [(1, "s", (2, 3), "n")] * 2


async def test_wrap_makes_a_function_that_always_goes_through_the_pipeline() -> None:
    """Also as a decorator; name and documentation stay."""
    policy = Pipeline(retry.on(Flaky, 3, constant(0)))
    failures = [Flaky(), Flaky()]

    @policy.wrap
    async def fetch(page: int) -> int:
        """Get a page."""
        if failures:
            raise failures.pop()
        return page

    assert await fetch(7) == 7
    assert fetch.__name__ == "fetch"
    assert fetch.__doc__ == "Get a page."


async def test_methods_partials_and_callables_that_return_awaitables_can_be_called() -> None:
    """Whatever gives an awaitable is a call."""

    class Client:
        async def get(self, page: int) -> int:
            return page

    assert await Pipeline().do(Client().get, 1) == 1
    assert await longrun.do(partial(Client().get, 2)) == 2
    assert await longrun.do(lambda: Client().get(3)) == 3


async def test_a_sync_function_runs_in_a_thread_through_blocking() -> None:
    """The event loop is free meanwhile; arguments, results and errors pass."""

    def divide(a: int, b: int) -> float:
        return a / b

    assert await Pipeline().do(longrun.blocking(divide), 6, b=3) == 2
    with pytest.raises(ZeroDivisionError):
        await longrun.blocking(divide)(1, 0)


async def test_concurrent_calls_do_not_share_budgets() -> None:
    """Twenty calls at once, each with its two retries."""
    policy = Pipeline(retry.on(Flaky, 2, constant(5)))
    works = [Script(Flaky(), Flaky(), "ok") for _ in range(20)]

    async with anyio.create_task_group() as tg:
        for work in works:
            tg.start_soon(policy.do, work)

    assert [work.calls for work in works] == [3] * 20


def test_a_pipeline_may_be_built_at_import_time_and_used_in_several_loops() -> None:
    """It holds no state of an event loop."""
    policy = Pipeline(retry.on(Flaky, 2, constant(0)), timeout.after(5))

    for backend in ("asyncio", "trio", "asyncio"):
        assert anyio.run(policy.do, Script(Flaky(), "ok"), backend=backend) == "ok"


def test_describe_says_in_words_what_will_happen() -> None:
    """Outermost first, each rule with its budget and its curve."""

    async def log(call: Callable[[], Awaitable[T]], /) -> T:
        return await call()

    policy = Pipeline(
        timeout.after(30),
        retry.on((ConnectionError, TimeoutError), 5, exponential(1, 30)),
        retry.on(Exception, None, constant(2)),
        retry.on_result(bool, 1, constant(3), name="truthy"),
        log,
        timeout.after(3),
        name="webhooks",
    )

    assert policy.describe().splitlines() == [
        "webhooks:",
        "  timeout after 30 s",
        "  retry",
        "    on ConnectionError or TimeoutError: up to 5 times, exponential 1 s x 2 up to 30 s",
        "    on Exception: without limit, constant 2 s",
        "    on result truthy: once, constant 3 s",
        "  test_describe_says_in_words_what_will_happen.<locals>.log",
        "  timeout after 3 s",
        "  the call",
    ]
    assert repr(policy).startswith("<Pipeline webhooks: timeout after 30 s > retry > ")


@pytest.mark.parametrize("option", [None, 5, "retry", object(), Flaky()])
def test_what_is_no_option_is_refused(option: object) -> None:
    """The message shows it, and says what an option is."""
    with pytest.raises(PipelineError, match="is no option; give longrun's options or an async callable"):
        Pipeline(option)  # type: ignore[arg-type]  # wrong on purpose


def test_a_listener_that_cannot_be_called_is_refused() -> None:
    """observe takes a callable."""
    with pytest.raises(PipelineError, match="observe was given None"):
        longrun.observe(None)  # type: ignore[arg-type]  # wrong on purpose


def test_waits_that_never_fit_the_total_limit_are_warned_of_where_the_pipeline_is_written() -> None:
    """The pipeline is built: it is a mistake, but not one that breaks a call."""
    with pytest.warns(UserWarning, match=r"first wait of retry rule 'on timeouts' is 9 s and never fits") as caught:
        Pipeline(timeout.after(5), retry.on(TimeoutError, 3, constant(9), name="on timeouts"))

    assert caught[0].filename == __file__


@pytest.mark.anyio
async def test_do_with_ready_options_builds_its_pipeline_once() -> None:
    """The same option objects mean the same pipeline; a list may have changed and is read anew."""
    seen: list[str] = []

    async def noting(call: Callable[[], Awaitable[T]]) -> T:
        seen.append("called")
        return await call()

    work = Script("ok")
    rule = retry.on(ConnectionError, 1)
    answers = [await longrun.do(work, rule, noting), await longrun.do(work, rule, noting)]
    changing = [rule]
    answers.append(await longrun.do(work, changing))
    changing.append(noting)
    answers.append(await longrun.do(work, changing))

    assert answers == ["ok"] * 4
    assert seen == ["called"] * 3


@pytest.mark.anyio
async def test_a_pipeline_without_options_is_the_call_itself() -> None:
    """Nothing is added, and the description says so."""
    bare = Pipeline(name="bare")

    assert await bare.do(Script("ok")) == "ok"
    assert bare.describe() == "bare:\n  the call"
