"""Our rows. A module that this version does not have yet leaves its rows out, with a note."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import longrun
from benchmarks.missing import NotHere
from benchmarks.resilience import floors
from benchmarks.resilience.row import BOTH, NEVER, Boom, Make, Row, Target
from longrun.option import Option

RETRY = longrun.retry.on(Boom, 2, longrun.backoff.constant(0))


def module(name: str) -> Any:
    """``longrun.<name>``; NotHere when this version has none."""
    try:
        return import_module(f"longrun.{name}")
    except ModuleNotFoundError as error:
        raise NotHere(f"longrun.{name} is not there") from error


def pipeline(*options: Callable[[], Option]) -> Make:
    """``Pipeline(...).do`` with options made for the row."""

    return lambda f: partial(longrun.Pipeline(*(option() for option in options)).do, f)


def wrapped(*options: Callable[[], Option]) -> Make:
    """``Pipeline(...).wrap(f)``."""
    return lambda f: longrun.Pipeline(*(option() for option in options)).wrap(f)


def ready(*options: Callable[[], Option]) -> Make:
    """``do(f, *options)`` with options that stand ready."""

    return lambda f: partial(longrun.do, f, *(option() for option in options))


def retry() -> Option:
    return RETRY


def timeout() -> Option:
    return longrun.timeout.after(30)


def breaker_by_rate() -> Option:
    return module("circuit").breaker("bench.rate", minimum=NEVER)


def breaker_in_a_row() -> Option:
    return module("circuit").breaker("bench.in-a-row", threshold=NEVER)


def bulkhead() -> Option:
    return module("bulkhead").max(1000)


def ratelimit() -> Option:
    return module("ratelimit").wait(1e9)


def hedge() -> Option:
    return module("hedge").after(30.0)


def trace() -> Option:
    return module("tracing").trace("bench")


def closure_breaker() -> Option:
    """The floor's breaker as a custom option: what the rest of a pipeline costs, whatever our breaker does."""
    passing: list[Target] = []

    async def current() -> int:
        return await passing[0]()

    guarded = floors.breaker(current)

    async def option(call: Any) -> Any:
        passing[:] = [call]
        return await guarded()

    return option


ROWS = (
    Row("longrun Pipeline.do(retry)", "retry", pipeline(retry), BOTH),
    Row("longrun Pipeline.wrap(retry)", "retry", wrapped(retry), BOTH),
    Row("longrun do(retry), ready option", "retry", ready(retry), BOTH),
    Row("longrun Pipeline.do(trace, retry), no provider", "retry", pipeline(trace, retry), BOTH),
    Row("longrun Pipeline.do()", "retry", pipeline()),
    Row("longrun breaker, failure rate", "breaker", pipeline(breaker_by_rate)),
    Row("longrun breaker, in a row", "breaker", pipeline(breaker_in_a_row)),
    Row("longrun bulkhead", "bulkhead", pipeline(bulkhead)),
    Row("longrun ratelimit", "ratelimit", pipeline(ratelimit)),
    Row("longrun timeout", "timeout", pipeline(timeout)),
    Row("longrun hedge, not fired", "hedge", pipeline(hedge)),
    Row("longrun Pipeline(retry, timeout)", "pipeline", pipeline(retry, timeout), BOTH),
    Row("longrun Pipeline(retry, timeout, breaker)", "pipeline", pipeline(retry, timeout, breaker_by_rate), BOTH),
    Row("longrun Pipeline(retry, timeout, closure)", "pipeline", pipeline(retry, timeout, closure_breaker), BOTH),
    Row("longrun do(retry, timeout, breaker), ready", "pipeline", ready(retry, timeout, breaker_by_rate), BOTH),
    Row(
        "longrun Pipeline(trace, retry, timeout, breaker)",
        "pipeline",
        pipeline(trace, retry, timeout, breaker_by_rate),
        BOTH,
    ),
)
