"""Floors: closures written by hand for this call alone. What a library with the same semantics can hope for."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import anyio

from benchmarks.resilience.row import BOTH, NEVER, Boom, Row, Target

Sleep = Callable[[float], Awaitable[None]]


def retry(inner: Target, attempts: int = 3, sleep: Sleep | None = None) -> Target:
    """A loop around the call."""

    async def call() -> int:
        n = 1
        while True:
            try:
                return await inner()
            except Boom:
                if n >= attempts:
                    raise
            n += 1
            if sleep is not None:
                await sleep(0)

    return call


def breaker(inner: Target, threshold: int = NEVER) -> Target:
    """Consecutive failures, one probe, results of an older generation ignored."""
    closed, failures, opened_at, probing, epoch = True, 0, 0.0, False, 0

    async def call() -> int:
        nonlocal closed, failures, opened_at, probing, epoch
        if not closed:
            if probing or time.monotonic() - opened_at < 30.0:
                raise RuntimeError("open")
            probing = True
        mine = epoch
        try:
            result = await inner()
        except Exception:
            if mine == epoch:
                failures += 1
                probing = False
                if failures >= threshold or not closed:
                    closed, opened_at, epoch = False, time.monotonic(), epoch + 1
            raise
        except BaseException:
            probing = False
            raise
        if failures and mine == epoch:
            failures, closed, probing = 0, True, False
        return result

    return call


def scope(inner: Target, seconds: float = 30.0) -> Target:
    """One cancel scope around the call."""

    async def call() -> int:
        with anyio.CancelScope(deadline=anyio.current_time() + seconds):
            return await inner()
        raise TimeoutError

    return call


def fail_after(inner: Target, seconds: float = 30.0) -> Target:
    """anyio's own time limit."""

    async def call() -> int:
        with anyio.fail_after(seconds):
            return await inner()

    return call


def asyncio_timeout(inner: Target, seconds: float = 30.0) -> Target:
    """asyncio's own time limit."""

    async def call() -> int:
        async with asyncio.timeout(seconds):
            return await inner()

    return call


def rearmed(inner: Target, attempts: int = 3, seconds: float = 30.0, sleep: Sleep | None = None) -> Target:
    """A time limit for each attempt at the price of one scope: its deadline is moved until an attempt expires."""

    async def call() -> int:
        n = 1
        while True:
            with anyio.CancelScope() as one:
                while True:
                    one.deadline = anyio.current_time() + seconds
                    try:
                        return await inner()
                    except Boom:
                        if n >= attempts:
                            raise
                    n += 1
                    one.deadline = math.inf
                    if sleep is not None:
                        await sleep(0)
            if n >= attempts:
                raise TimeoutError
            n += 1

    return call


def bucket(inner: Target, rate: float = 1e9) -> Target:
    """A token bucket."""
    tokens, last = rate, time.monotonic()

    async def call() -> int:
        nonlocal tokens, last
        now = time.monotonic()
        tokens = min(rate, tokens + (now - last) * rate) - 1.0
        last = now
        if tokens < 0:
            raise RuntimeError("limited")
        return await inner()

    return call


def bulkhead(inner: Target, limit: int = NEVER) -> Target:
    """A counter of calls."""
    used = 0

    async def call() -> int:
        nonlocal used
        if used >= limit:
            raise RuntimeError("full")
        used += 1
        try:
            return await inner()
        finally:
            used -= 1

    return call


def hedge(inner: Target, delay: float = 30.0) -> Target:
    """The call in a task group, watched from outside for *delay* seconds."""

    async def call() -> int:
        result: list[int] = []
        async with anyio.create_task_group() as tg:
            done = anyio.Event()

            async def one() -> None:
                result.append(await inner())
                done.set()

            tg.start_soon(one)
            with anyio.move_on_after(delay):
                await done.wait()
            tg.cancel_scope.cancel()
        return result[0]

    return call


def loop_by_hand(inner: Target) -> Target:
    """What people write: a for and a try."""

    async def call() -> int:
        for _ in range(3):
            try:
                return await inner()
            except Boom:
                pass
        raise Boom

    return call


ROWS = (
    Row("bare", "bare", lambda f: f),
    Row("for / try by hand", "bare", loop_by_hand, ("fail2",)),
    Row("floor: retry", "retry", retry, BOTH),
    Row("floor: breaker", "breaker", breaker),
    Row("floor: counter", "bulkhead", bulkhead),
    Row("floor: bucket", "ratelimit", bucket),
    Row("floor: CancelScope", "timeout", scope),
    Row("floor: anyio.fail_after", "timeout", fail_after),
    Row("floor: task group", "hedge", hedge),
    Row("floor: one scope, re-armed", "pipeline", lambda f: rearmed(breaker(f)), BOTH),
    Row("floor: one scope, re-armed, sleep(0)", "pipeline", lambda f: rearmed(breaker(f), sleep=anyio.sleep), BOTH),
    Row(
        "floor: a scope per attempt, sleep(0)", "pipeline", lambda f: retry(scope(breaker(f)), sleep=anyio.sleep), BOTH
    ),
    Row("floor: fail_after, sleep(0)", "pipeline", lambda f: retry(fail_after(breaker(f)), sleep=anyio.sleep), BOTH),
    Row(
        "floor: asyncio.timeout, sleep(0)",
        "pipeline",
        lambda f: retry(asyncio_timeout(breaker(f)), sleep=asyncio.sleep),
        BOTH,
    ),
)
