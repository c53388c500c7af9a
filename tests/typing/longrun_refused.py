# type: ignore  # noqa: PGH003 - all of it is wrong on purpose; the test takes this line away
# pyright: strict
"""What must not pass: each line that ends in ``# E:`` is an error, of just these kinds, to mypy and to pyright.

``test_types_survive`` compares what the checkers say with it. Kinds: ``arg-type`` and its like are mypy's,
``reportArgumentType`` and its like pyright's. A line with kinds of one checker only is one that the other lets pass.
Never executed.
"""

from collections.abc import Awaitable, Callable
from random import Random

import longrun
from longrun import (
    Baseline,
    Pipeline,
    Policy,
    Run,
    Runner,
    Task,
    backoff,
    bulkhead,
    circuit,
    fallback,
    hedge,
    preset,
    ratelimit,
    retry,
    shed,
    timeout,
)
from longrun.events import AttemptFailed, AttemptStarted
from longrun.testing import RecordingListener, run_virtual


class Page:
    """What a call returns."""


async def fetch(number: int, /, path: str = "", *, size: int = 10, strict: bool) -> Page:
    raise NotImplementedError


async def ping() -> str:
    raise NotImplementedError


def parse(text: str, *, base: int = 10) -> list[int]:
    raise NotImplementedError


policy = Pipeline(retry.on(OSError))


class Client:
    @policy.wrap
    async def get(self, number: int, *, size: int = 10) -> Page:
        raise NotImplementedError


@policy.wrap
async def wrapped(number: int, /, path: str = "", *, size: int = 10, strict: bool) -> Page:
    raise NotImplementedError


async def wrong_arguments_of_a_call() -> None:
    await policy.do(fetch, "one", strict=True)  # E: arg-type reportArgumentType
    await policy.do(fetch, 1)  # E: call-arg reportCallIssue
    await policy.do(fetch, 1, strict=True, pages=2)  # E: call-arg reportCallIssue
    await policy.do(fetch, number=1, strict=True)  # E: call-arg reportCallIssue
    await policy.do(fetch, 1, "/", 2, strict=True)  # E: call-arg reportCallIssue
    await policy.do(ping, 1)  # E: call-arg reportCallIssue
    await longrun.do(fetch)  # E: arg-type reportArgumentType
    await longrun.do(parse)  # E: arg-type reportArgumentType
    await longrun.do(ping())  # E: arg-type reportArgumentType
    await policy.do(parse, "1")  # E: arg-type reportArgumentType


async def wrong_arguments_of_what_was_wrapped() -> None:
    await wrapped("one", strict=True)  # E: arg-type reportArgumentType
    await wrapped(1)  # E: call-arg reportCallIssue
    await wrapped(1, strict=1.5)  # E: arg-type reportArgumentType
    await wrapped(1, "/", 2, strict=True)  # E: call-arg reportCallIssue
    await wrapped(1, strict=True, pages=2)  # E: call-arg reportCallIssue
    await Client().get()  # E: call-arg reportCallIssue
    await Client().get(1, size="2")  # E: arg-type reportArgumentType
    await Client.get(1)  # E: arg-type call-arg reportCallIssue
    await longrun.blocking(parse)(1)  # E: arg-type reportArgumentType
    await longrun.blocking(parse)("1", radix=16)  # E: call-arg reportCallIssue
    policy.wrap(parse)  # E: arg-type reportArgumentType


async def wrong_results() -> None:
    text: str = await policy.do(fetch, 1, strict=True)  # E: arg-type reportAssignmentType
    number: int = await longrun.do(ping, retry.on(OSError), timeout.after(1))  # E: arg-type reportAssignmentType
    page: Page = await longrun.blocking(parse)("1")  # E: assignment reportAssignmentType
    other: str = await wrapped(1, strict=True)  # E: assignment reportAssignmentType
    lost: Page = policy.do(fetch, 1, strict=True)  # E: assignment reportAssignmentType
    kept: Callable[[str], Awaitable[Page]] = policy.wrap(fetch)  # E: arg-type reportAssignmentType
    print(text, number, page, other, lost, kept)


async def takes_an_argument(call: Callable[[int], Awaitable[str]], /) -> str:
    raise NotImplementedError


async def changes_the_type(call: Callable[[], Awaitable[object]], /) -> str:
    raise NotImplementedError


def is_sync(call: Callable[[], Awaitable[Page]], /) -> Page:
    raise NotImplementedError


def no_options() -> None:
    Pipeline("retry")  # E: reportArgumentType
    Pipeline(3)  # E: arg-type reportArgumentType
    Pipeline(None)  # E: arg-type reportArgumentType
    Pipeline(takes_an_argument)  # E: arg-type reportArgumentType
    Pipeline(changes_the_type)  # E: arg-type reportArgumentType
    Pipeline(is_sync)  # E: arg-type reportArgumentType
    Pipeline([retry.on(OSError), "x"])  # E: reportArgumentType
    Pipeline(retry.on)  # E: arg-type reportArgumentType
    Pipeline(name=1)  # E: arg-type reportArgumentType
    Pipeline(retry.on(OSError), rng=1)  # E: arg-type reportArgumentType
    longrun.compose(1)  # E: arg-type reportArgumentType


def predicate_of_two(error: Exception, attempt: int) -> bool:
    raise NotImplementedError


def wrong_settings_of_retries() -> None:
    retry.on("text")  # E: arg-type reportArgumentType
    retry.on(int)  # E: arg-type reportArgumentType
    retry.on(503)  # E: arg-type reportArgumentType
    retry.on([OSError])  # E: arg-type reportArgumentType
    retry.on((OSError, "text"))  # E: arg-type reportArgumentType
    retry.on(predicate_of_two)  # E: arg-type reportArgumentType
    retry.on(lambda error: "yes")  # E: arg-type return-value reportArgumentType
    retry.on(OSError, "3")  # E: arg-type reportArgumentType
    retry.on(OSError, 2.5)  # E: arg-type reportArgumentType
    retry.on(OSError, 3, 1.0)  # E: arg-type reportArgumentType
    retry.on(OSError, times=3)  # E: call-arg reportCallIssue
    retry.on()  # E: call-arg reportCallIssue
    retry.on_result(True)  # E: arg-type reportArgumentType
    retry.budget()  # E: call-arg reportCallIssue
    retry.budget("b", 0.2)  # E: call-arg reportCallIssue
    retry.budget("b", ratio="0.2")  # E: arg-type reportArgumentType
    retry.Registry("r", "text")  # E: arg-type reportArgumentType


def curve_of_one(attempt: int) -> float:
    return float(attempt)


def curve_of_text(attempt: int, previous: float, rng: Random) -> str:
    return ""


def wrong_curves() -> None:
    backoff.constant("1")  # E: arg-type reportArgumentType
    backoff.exponential(1)  # E: call-arg reportCallIssue
    backoff.exponential(1, 30, 2.0, 0.1)  # E: call-arg reportCallIssue
    backoff.full_jitter(1, None)  # E: arg-type reportArgumentType
    retry.on(OSError, 3, curve_of_one)  # E: arg-type reportArgumentType
    retry.on(OSError, 3, curve_of_text)  # E: arg-type reportArgumentType


async def listens_async(event: object) -> None:
    raise NotImplementedError


def listens_to_two(event: object, other: object) -> None:
    raise NotImplementedError


def wrong_settings_of_options() -> None:
    timeout.after("3")  # E: arg-type reportArgumentType
    timeout.after(None)  # E: arg-type reportArgumentType
    circuit.breaker()  # E: call-arg reportCallIssue
    circuit.breaker("c", 5)  # E: call-arg reportCallIssue
    circuit.breaker("c", threshold=0.5)  # E: arg-type reportArgumentType
    circuit.breaker("c", on="text")  # E: arg-type reportArgumentType
    circuit.breaker("c", key="tenant")  # E: arg-type reportArgumentType
    bulkhead.max("10")  # E: arg-type reportArgumentType
    bulkhead.max(10, 5)  # E: call-arg reportCallIssue
    ratelimit.wait("10")  # E: arg-type reportArgumentType
    ratelimit.wait(10, burst=1.5)  # E: arg-type reportArgumentType
    shed.adaptive(20)  # E: call-arg reportCallIssue
    shed.throttle(on="text")  # E: arg-type reportArgumentType
    shed.on_latency()  # E: call-arg reportCallIssue
    shed.priority("urgent")  # E: arg-type reportArgumentType
    hedge.after("1")  # E: arg-type reportArgumentType
    hedge.after(1, 2)  # E: call-arg reportCallIssue
    hedge.after(1, fatal="text")  # E: arg-type reportArgumentType
    hedge.after(1, accept=True)  # E: arg-type reportArgumentType
    hedge.after(1, grace="5")  # E: arg-type reportArgumentType
    fallback.to()  # E: call-arg reportCallIssue
    fallback.to("", on="text")  # E: arg-type reportArgumentType
    preset.http(statuses=429)  # E: arg-type reportArgumentType
    preset.sql(retries="5")  # E: arg-type reportArgumentType
    preset.grpc(backoff=1)  # E: arg-type reportArgumentType
    longrun.trace(1)  # E: arg-type reportArgumentType
    longrun.trace("t", attributes={"a": object()})  # E: dict-item reportArgumentType
    longrun.observe("log")  # E: arg-type reportArgumentType
    longrun.observe(listens_to_two)  # E: arg-type reportArgumentType
    longrun.observe(listens_async)  # E: arg-type reportArgumentType
    longrun.timeline("error")  # E: arg-type reportArgumentType


async def work_of_two(run: Run, other: int) -> None:
    raise NotImplementedError


async def work_of_text(text: str) -> None:
    raise NotImplementedError


def sync_work() -> None:
    raise NotImplementedError


async def wrong_tasks() -> None:
    Task.once("a", sync_work)  # E: arg-type reportArgumentType
    Task.once("a", work_of_two)  # E: arg-type reportArgumentType
    Task.once("a", work_of_text)  # E: arg-type reportArgumentType
    Task.every("a", ping)  # E: arg-type call-arg reportCallIssue
    Task.every("a", "10", ping)  # E: arg-type reportArgumentType
    Task.every("a", 10, ping, timing="sometimes")  # E: arg-type reportArgumentType
    Task.every("a", 10, ping, missed="all")  # E: arg-type reportArgumentType
    Task.once("a", ping, "retry")  # E: reportArgumentType
    Runner(on_permanent="ignore")  # E: arg-type reportArgumentType
    Runner(baseline=Policy(backoff.constant(1)))  # E: arg-type reportArgumentType
    Runner().add(ping)  # E: arg-type reportArgumentType
    Baseline(node=backoff.constant(1))  # E: arg-type reportArgumentType
    Baseline(classify=parse)  # E: arg-type reportArgumentType
    Policy(1.0)  # E: arg-type reportArgumentType
    outcome: str = await Runner().run()  # E: assignment reportAssignmentType
    print(outcome)


async def wrong_tests() -> None:
    events = RecordingListener()
    failures: list[AttemptFailed] = events.of(AttemptStarted)  # E: arg-type reportAssignmentType
    events.of(Page)  # E: type-var reportArgumentType
    await events.seen("attempt.failed")  # E: arg-type reportArgumentType
    number: int = run_virtual(ping)  # E: assignment reportAssignmentType
    run_virtual(parse, "1")  # E: arg-type reportArgumentType
    print(failures, number)
