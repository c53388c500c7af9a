# pyright: strict
"""Every option lets the type of the call through, alone and with the others. Never executed: checkers read it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import TypeVar, assert_type

import longrun
from longrun import (
    Option,
    Pipeline,
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
from longrun.backoff import Backoff, Curve
from longrun.budget.budget import Budget
from longrun.events import Event, Listener
from longrun.option import Wrapper

T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    """What a call returns."""

    number: int


class Refused(Exception):
    """An error of one's own."""


async def fetch(number: int, *, size: int = 10) -> Page:
    raise NotImplementedError


async def ping() -> str:
    raise NotImplementedError


async def custom(call: Callable[[], Awaitable[T]], /) -> T:
    """A custom option: one async callable."""
    return await call()


class Custom:
    """A custom option that keeps something."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        return await call()


def listener(event: Event) -> None:
    raise NotImplementedError


def is_refused(error: Exception) -> bool:
    raise NotImplementedError


def is_empty(page: Page) -> bool:
    raise NotImplementedError


def tenant_of(number: int, *, size: int = 10) -> Hashable:
    return (number, size)


def linear(attempt: int, previous: float, rng: Random) -> float:
    return attempt + previous + rng.random()


async def close(page: Page) -> None:
    raise NotImplementedError


async def cached() -> Page:
    raise NotImplementedError


def cached_for(error: Exception) -> Page:
    raise NotImplementedError


MINUTE = timedelta(minutes=1)


async def each_kind_of_matcher_is_taken() -> None:
    registry = retry.Registry("temporary", ConnectionError, is_refused, Refused("x"))
    assert_type(await longrun.do(ping, retry.on(OSError)), str)
    assert_type(await longrun.do(ping, retry.on(OSError, None)), str)
    assert_type(await longrun.do(ping, retry.on(Refused("this one"), 1)), str)
    assert_type(await longrun.do(ping, retry.on(is_refused, 2, linear)), str)
    assert_type(await longrun.do(ping, retry.on(lambda error: isinstance(error, OSError))), str)
    assert_type(await longrun.do(ping, retry.on(registry.load_defaults(), name="net")), str)
    assert_type(await longrun.do(ping, retry.on((OSError, (Refused, is_refused), registry))), str)
    assert_type(await longrun.do(ping, retry.on(ExceptionGroup, hint_cap=60.0)), str)
    assert_type(await longrun.do(ping, retry.on_result(lambda value: value is None, 2, linear, name="none")), str)
    assert_type(await longrun.do(cached, retry.on_result(is_empty)), Page)


async def each_curve_is_taken() -> None:
    curves: list[Backoff] = [
        backoff.constant(1, jitter=0.1),
        backoff.exponential(1, MINUTE, 3.0, jitter=0.0),
        backoff.fibonacci(1, 30, jitter=0.5),
        backoff.full_jitter(1, 30),
        backoff.equal_jitter(timedelta(seconds=1), 30),
        backoff.decorrelated(1, 30),
        linear,
    ]
    assert_type(backoff.exponential(1, 30), Curve)
    assert_type(backoff.exponential(1, 30)(1, 0.0, Random()), float)
    assert_type(backoff.jitter_of(linear), float)
    for curve in curves:
        assert_type(await longrun.do(ping, retry.on(OSError, 3, curve)), str)


async def each_option_lets_the_type_through() -> None:
    assert_type(await longrun.do(ping, retry.on(OSError), retry.budget("b", ratio=0.1, floor=5)), str)
    assert_type(await longrun.do(ping, timeout.after(1)), str)
    assert_type(await longrun.do(ping, timeout.after(MINUTE)), str)
    assert_type(await longrun.do(ping, circuit.breaker("c")), str)
    assert_type(await longrun.do(ping, circuit.breaker("c", threshold=5, open_for=MINUTE, on=(OSError, Refused))), str)
    assert_type(await longrun.do(ping, circuit.breaker("c", failure_rate=0.5, slow_call=1.0, ramp=10)), str)
    assert_type(await longrun.do(ping, bulkhead.max(10, queue=5, name="b")), str)
    assert_type(await longrun.do(ping, ratelimit.wait(10, MINUTE, burst=5, name="r")), str)
    assert_type(await longrun.do(ping, ratelimit.wait(10, per=1.0, name="r", queue=0)), str)
    assert_type(await longrun.do(ping, shed.adaptive(initial=20, low=1, high=200, name="s")), str)
    assert_type(await longrun.do(ping, shed.throttle(k=2.0, window=120.0, name="t", on=OSError)), str)
    assert_type(await longrun.do(ping, shed.on_latency(1, window=MINUTE, name="l")), str)
    assert_type(await longrun.do(ping, hedge.after(0.2, extra=2, fatal=(Refused, is_refused), grace=MINUTE)), str)
    assert_type(await longrun.do(ping, hedge.after(quantile=0.95, name="h")), str)
    assert_type(await longrun.do(cached, hedge.after(0.2, accept=is_empty, discard=close)), Page)
    assert_type(await longrun.do(ping, preset.http(retries=2, method="POST")), str)
    assert_type(await longrun.do(ping, preset.sql(reconnect=linear)), str)
    assert_type(await longrun.do(ping, preset.grpc()), str)
    assert_type(await longrun.do(ping, longrun.trace("t", attributes={"tenant": "a", "n": 1})), str)
    assert_type(await longrun.do(ping, longrun.observe(listener)), str)
    assert_type(await longrun.do(ping, longrun.observe(lambda event: print(event.subject))), str)
    assert_type(await longrun.do(ping, custom, Custom("a")), str)


async def a_fallback_is_taken_for_an_answer_of_the_call() -> None:
    """``fallback.to`` lets the call's own type through: what the alternative gives must be of it."""
    spare = Pipeline(retry.on(OSError))
    assert_type(await longrun.do(ping, fallback.to("", on=OSError)), str)
    assert_type(await longrun.do(cached, fallback.to(Page(0))), Page)
    assert_type(await longrun.do(cached, fallback.to(cached, on=(OSError, longrun.Rejected))), Page)
    assert_type(await longrun.do(cached, fallback.to(cached_for)), Page)
    assert_type(await longrun.do(cached, fallback.to(spare.wrap(cached), on=is_refused)), Page)


async def all_of_them_together_let_it_through() -> None:
    bundle = longrun.compose(timeout.after(3), [retry.on(OSError), (custom, [Custom("a")])])
    policy = Pipeline(
        fallback.to(cached),
        timeout.after(30),
        longrun.trace("pages"),
        longrun.observe(listener),
        shed.adaptive(),
        retry.budget("pages"),
        hedge.after(quantile=0.95),
        retry.on(OSError, 5, backoff.exponential(1, 30)),
        retry.on_result(is_empty),
        circuit.breaker("pages", key=tenant_of),
        bulkhead.max(10),
        ratelimit.wait(100),
        preset.http(),
        bundle,
        [bundle, custom],
        name="pages",
        rng=Random(1),
    )

    @policy.wrap
    async def wrapped(number: int, *, size: int = 10) -> Page:
        return await fetch(number, size=size)

    assert_type(await policy.do(fetch, 1, size=20), Page)
    assert_type(await policy.do(ping), str)
    assert_type(await wrapped(1, size=20), Page)


async def keys_are_functions_of_the_arguments() -> None:
    policy = Pipeline(circuit.breaker("tenants", key=tenant_of, max_keys=100))
    assert_type(await policy.do(fetch, 1, size=2), Page)


def what_options_are_called() -> None:
    options: list[Option] = [timeout.after(1), custom, Custom("a"), [retry.on(OSError)], (custom,), preset.http()]
    wrappers: list[Wrapper] = [custom, Custom("a"), timeout.after(1)]
    listeners: list[Listener] = [listener, lambda event: None]
    assert_type(longrun.compose(*options), list[Option])
    assert_type(preset.http(), list[Option])
    assert_type(preset.sql(), list[Option])
    assert_type(preset.grpc(), list[Option])
    Pipeline(wrappers, *map(longrun.observe, listeners))


def what_can_be_asked_of_named_state() -> None:
    assert_type(circuit.names(), tuple[str, ...])
    assert_type(circuit.statistics("pages"), circuit.Statistics)
    assert_type(circuit.statistics("pages", key=1), circuit.Statistics)
    assert_type(circuit.overview(), tuple[circuit.Statistics, ...])
    assert_type(circuit.statistics("pages").state, circuit.State)
    circuit.force_open("pages", key="tenant")
    circuit.disable("pages")
    circuit.metrics_only("pages")
    circuit.reset("pages")
    assert_type(shed.overload(OSError()), bool)
    assert_type(shed.priority("low"), AbstractContextManager[None])


def registries_are_sets_of_errors() -> None:
    registry = retry.Registry("github")
    assert_type(registry.register(OSError, is_refused), retry.Registry)
    assert_type(registry.unregister(OSError).clean(), retry.Registry)
    assert_type(registry.contains(OSError), bool)
    assert_type(OSError() in registry, bool)
    assert_type(len(registry), int)


def errors_say_what_they_know(refused: longrun.CircuitOpen, late: longrun.TimeoutExceeded) -> None:
    assert_type(refused.retry_after, float | None)
    rejected: list[longrun.Rejected] = [refused]
    every: list[longrun.LongrunError] = [*rejected, late]
    timed_out: list[TimeoutError] = [late]
    raise ExceptionGroup("all", [*every, *timed_out])


async def streams(call: Callable[[], Awaitable[AsyncIterator[bytes]]]) -> None:
    """What a call returns may be anything: here something to be iterated."""
    async for chunk in await longrun.do(call, retry.on(OSError), timeout.after(1)):
        assert_type(chunk, bytes)


def budgets_are_shared(budget: Budget) -> None:
    assert_type(budget.spend(), bool)
