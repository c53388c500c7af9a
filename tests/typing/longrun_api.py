"""Types that must survive longrun's API. Never executed: mypy --strict and pyright read it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, assert_type

import longrun
from longrun import Attempt, Baseline, Option, Outcome, Pipeline, Policy, Run, Runner, Task, backoff, retry, timeout

T = TypeVar("T")


class Page:
    """What a call returns."""


async def fetch(number: int, *, size: int = 10) -> Page:
    raise NotImplementedError


async def ping() -> str:
    raise NotImplementedError


def parse(text: str) -> list[int]:
    raise NotImplementedError


async def custom(call: Callable[[], Awaitable[T]], /) -> T:
    return await call()


policy = Pipeline(
    timeout.after(30), [retry.on((OSError, lambda error: True), 5, backoff.exponential(1, 30))], custom, name="x"
)


@policy.wrap
async def wrapped(number: int, name: str = "") -> Page:
    raise NotImplementedError


async def results_keep_their_type() -> None:
    assert_type(await longrun.do(ping), str)
    assert_type(await longrun.do(ping, retry.on(OSError), custom), str)
    assert_type(await policy.do(fetch, 1, size=20), Page)
    assert_type(await wrapped(1, name="n"), Page)
    assert_type(await longrun.blocking(parse)("1"), list[int])


async def wrong_arguments_are_found() -> None:
    await policy.do(fetch, "one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be an int
    await wrapped(page=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # no such parameter


def bundles_are_options() -> None:
    bundle: list[Option] = longrun.compose(timeout.after(3), retry.on_result(lambda value: value is None))
    Pipeline(bundle, [bundle, custom])


async def work(run: Run) -> None:
    assert_type(run.attempt, int)
    assert_type(run.deadline, float)


async def tasks_and_outcomes() -> None:
    runner = Runner(baseline=Baseline(node=Policy(backoff.constant(1))))
    runner.add(Task.once("a", ping, retry.on(OSError, 2), timeout=3))
    runner.add(Task.every("b", 10, work, [retry.on(OSError, 2), timeout.after(3)], missed="catch_up_one"))
    outcome = await runner.run()
    assert_type(outcome, Outcome)
    for failure in outcome.failures:
        assert_type(longrun.timeline(failure.error), tuple[Attempt, ...])
