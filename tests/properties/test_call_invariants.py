"""Laws of single calls: how many attempts, until when, in which order, and whose error comes out."""

import math
from collections.abc import Awaitable, Callable
from itertools import count, pairwise
from random import Random

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import longrun
from longrun import Option, Pipeline, TimeoutExceeded, retry, timeout
from longrun.backoff import constant, exponential
from longrun.deadline import current_run
from longrun.testing import Script, isolated, run_virtual

backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])
unwarned = pytest.mark.filterwarnings("ignore:the first wait of retry rule")

#: Durations that binary fractions hold exactly; limits lie between them, so that no two things happen at one instant.
eighths = st.integers(1, 80).map(lambda n: n / 8)
limits = st.integers(1, 400).map(lambda n: n / 8 + 1 / 16)


class A(Exception):
    pass


class B(Exception):
    pass


class Fatal(Exception):
    pass


class Hinted(Exception):
    def __init__(self, retry_after: object) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


async def caught(call: Awaitable[object]) -> BaseException | None:
    """What *call* raises."""
    try:
        await call
    except Exception as error:  # noqa: BLE001 - it is looked at
        return error
    return None


def attempts_allowed(
    retries: int, fatal_at: int, floor: int, limit: float, takes: float, wait: float
) -> tuple[int, str]:
    """How many attempts are made and what ends them, by going through them one by one."""
    now, spent = 0.0, list[float]()
    for attempt in count(1):
        if now + takes > limit:
            return attempt, "cut off"
        now += takes
        if attempt == fatal_at:
            return attempt, "fatal"
        if attempt > retries:
            return attempt, "A"
        if now + wait >= limit:
            return attempt, "deadline"
        if len([at for at in spent if at > now - 1]) >= floor:
            return attempt, "budget"
        spent.append(now)
        now += wait
    raise AssertionError


@backends
@unwarned
@given(st.integers(1, 12), st.integers(1, 14), st.integers(0, 4), limits, eighths, eighths | st.just(0.0))
def test_attempts_end_with_whatever_ends_first(
    backend: str, retries: int, fatal_at: int, floor: int, limit: float, takes: float, wait: float
) -> None:
    """Retries, an error that is not meant, the budget, or the deadline; the timeline says which."""
    starts: list[float] = []

    async def work() -> None:
        starts.append(anyio.current_time())
        await anyio.sleep(takes)
        raise Fatal if len(starts) == fatal_at else A

    async def main() -> BaseException | None:
        rule = retry.on(A, retries, constant(wait), name="A")
        options = (timeout.after(limit), retry.budget("all", ratio=0, floor=floor), rule)
        return await caught(longrun.do(work, *options))

    with isolated():
        error = run_virtual(main, backend=backend)

    expected, end = attempts_allowed(retries, fatal_at, floor, limit, takes, wait)
    assert error is not None
    assert len(starts) == expected
    if end == "cut off":
        assert isinstance(error, TimeoutExceeded)
    else:
        told = longrun.timeline(error)
        assert len(told) == expected
        assert told[-1].stopped_by == (None if end == "fatal" else end)


class Published:
    """A run of a task that publishes its deadline."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline


async def limited(rest: list[tuple[str, float]], call: Callable[[], Awaitable[object]]) -> None:
    """*call* inside all limits of *rest*, whoever's they are."""
    if not rest:
        await call()
        return
    (kind, seconds), *inner = rest
    if kind == "ours":
        await longrun.do(lambda: limited(inner, call), timeout.after(seconds))
    elif kind == "fail_after":
        with anyio.fail_after(seconds):
            await limited(inner, call)
    elif kind == "scope":
        with anyio.move_on_after(seconds), anyio.CancelScope():
            await limited(inner, call)
    else:
        token = current_run.set(Published(anyio.current_time() + seconds))
        try:
            await limited(inner, call)
        finally:
            current_run.reset(token)


kinds = st.sampled_from(["ours", "fail_after", "scope", "run"])


@backends
@given(st.lists(st.tuples(kinds, limits), min_size=1, max_size=4), eighths, eighths, st.booleans())
def test_the_nearest_of_all_limits_counts_whoever_set_them(
    backend: str, nest: list[tuple[str, float]], takes: float, wait: float, curved: bool
) -> None:
    """Nothing starts behind it, nobody sleeps up to it, and unless an attempt is cut off the error is the callee's."""
    scopes = [seconds for kind, seconds in nest if kind != "run"]
    runs = [seconds for kind, seconds in nest if kind == "run"][-1:]  # a run in a run counts by itself
    nearest = min(scopes + runs)
    starts: list[float] = []
    raised: list[A] = []
    seen: list[BaseException | None] = []

    async def work() -> None:
        starts.append(anyio.current_time() - begun)
        await anyio.sleep(takes)
        raised.append(A())
        raise raised[-1]

    async def call() -> None:
        rule = retry.on(A, None, exponential(wait, 30, jitter=1) if curved else constant(wait))
        seen.append(await caught(Pipeline(rule, rng=Random(0)).do(work)))

    begun = 0.0

    async def main() -> float:
        nonlocal begun
        begun = anyio.current_time()
        await caught(limited(nest, call))
        return anyio.current_time() - begun

    ended = run_virtual(main, backend=backend)

    assert all(start < nearest for start in starts)
    if seen:
        assert seen == [raised[-1]]
        assert ended == pytest.approx(starts[-1] + takes)
    else:
        assert starts[-1] + takes > nearest
        assert ended <= min(scopes) + 1e-6


nonsense: st.SearchStrategy[object] = st.sampled_from([math.nan, -1, -0.5, True, False, "5", None, [], b"1"])


@backends
@given(
    hints=st.lists(st.floats(0, 200) | st.integers(0, 200) | nonsense | st.just(math.inf), min_size=1, max_size=5),
    jitter=st.floats(0, 1),
    cap=st.floats(1, 150),
)
def test_a_hint_is_kept_and_one_that_cannot_be_ends_the_call(
    backend: str, hints: list[object], jitter: float, cap: float
) -> None:
    """At least the hint is waited, never more than its jitter above; beyond the cap the call ends; nonsense is none."""
    work = Script(*(Hinted(hint) for hint in hints), "ok")

    async def main() -> BaseException | None:
        rule = retry.on(Hinted, None, constant(3, jitter=jitter), hint_cap=cap)
        return await caught(Pipeline(rule).do(work))

    error = run_virtual(main, backend=backend)

    waits = [after - before for before, after in pairwise(work.started)]
    meant = [hint if isinstance(hint, int | float) and not isinstance(hint, bool) and hint > 0 else 0 for hint in hints]
    beyond = next((index for index, hint in enumerate(meant) if hint > cap), None)
    assert (error is None) == (beyond is None)
    assert len(waits) == (len(hints) if beyond is None else beyond)
    for hint, wait in zip(meant, waits, strict=False):
        low, high = (hint, hint * (1 + jitter)) if hint else (3 * (1 - jitter), 3 * (1 + jitter))
        assert low - 1e-6 <= wait <= high + 1e-6


groups = st.recursive(
    st.sampled_from([A, B, Fatal]), lambda deeper: st.lists(deeper, min_size=1, max_size=3), max_leaves=8
)


def grown(tree: object, found: set[object]) -> Exception:
    """The error that *tree* stands for; its leaves' classes go into *found*."""
    if isinstance(tree, list):
        return ExceptionGroup("several", [grown(child, found) for child in tree])
    found.add(tree)
    return Fatal() if tree is Fatal else A() if tree is A else B()


@backends
@given(groups, st.booleans())
def test_a_group_is_retried_when_every_leaf_is_and_comes_out_as_it_is(
    backend: str, tree: object, with_cause: bool
) -> None:
    """However deep; the object itself with its cause, and with its traceback down to where it was raised."""
    found: set[object] = set()
    error = grown(tree, found)
    error.__cause__ = cause = KeyError("why") if with_cause else None
    work = Script(error)

    raised = run_virtual(caught_from, work, retry.on(A, 1, constant(1)), retry.on(B, 1, constant(2)), backend=backend)

    assert work.calls == (1 if Fatal in found else 2)
    assert raised is error
    assert error.__cause__ is cause
    names: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_qualname)
        trace = trace.tb_next
    assert names[-1] == "Script.__call__"


async def caught_from(work: Script, *options: Option) -> BaseException | None:
    """What comes out of a call of *work*."""
    return await caught(longrun.do(work, *options))


@backends
@given(st.permutations([1.0, 2.0, 3.0, 5.0, 7.0]))
def test_who_ran_out_of_time_is_told_apart(backend: str, times: list[float]) -> None:
    """A scope of the caller, our outer and inner limit, a limit of the callee, and an error that the callee raises."""
    scope_at, outer, inner, callees, raises = times
    own = TimeoutError("the callee's")

    async def work() -> None:
        with anyio.fail_after(callees):
            await anyio.sleep(raises)
            raise own

    async def main() -> tuple[bool, BaseException | None]:
        error: BaseException | None = None
        with anyio.move_on_after(scope_at) as scope:
            error = await caught(longrun.do(lambda: longrun.do(work, timeout.after(inner)), timeout.after(outer)))
        return scope.cancelled_caught, error

    expired, error = run_virtual(main, backend=backend)

    first = min(times)
    assert expired == (first == scope_at)
    if first == scope_at:
        assert error is None
    elif first in (outer, inner):
        assert isinstance(error, TimeoutExceeded)
        assert error.seconds == first
    else:
        assert isinstance(error, TimeoutError)
        assert not isinstance(error, TimeoutExceeded)
        assert (error is own) == (first == raises)
