"""Laws of pipelines: the order is the written one, and neither fusing, listeners nor the backend change the story."""

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any, TypeVar

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import longrun
from longrun import Option, Pipeline, bulkhead, circuit, fallback, observe, ratelimit, retry, timeout
from longrun.backoff import constant, full_jitter
from longrun.events import Event
from longrun.testing import Hang, RecordingListener, Script, isolated, run_virtual

T = TypeVar("T")

BACKENDS = ("asyncio", "trio")
backends = pytest.mark.parametrize("backend", BACKENDS)


class A(Exception):
    pass


class Fatal(Exception):
    pass


async def passing(call: Callable[[], Awaitable[T]], /) -> T:
    """An option that does nothing."""
    return await call()


nests = st.recursive(st.sampled_from("abcdefgh"), lambda deeper: st.lists(deeper, max_size=3), max_leaves=12)


@backends
@given(st.lists(nests, max_size=4))
def test_options_are_entered_in_the_order_in_which_they_are_written(backend: str, tree: list[object]) -> None:
    """do(fn, a, b) is a(b(fn)), however the options are bundled; pipelines inside one another say the same."""
    told: list[str] = []
    written: list[str] = []

    def made(node: object) -> Option:
        if isinstance(node, list):
            return longrun.compose(*[made(child) for child in node])
        name = str(node)
        written.append(name)

        async def option(call: Callable[[], Awaitable[T]], /) -> T:
            told.append(name)
            result = await call()
            told.append(name.upper())
            return result

        return option

    async def work() -> str:
        told.append("!")
        return "done"

    options = [made(node) for node in tree]
    nested: Callable[[], Awaitable[str]] = work
    for option in reversed(options):
        nested = partial(Pipeline(option).do, nested)
    expected = "".join(written) + "!" + "".join(reversed(written)).upper()

    for call in (partial(Pipeline(*options).do, work), partial(longrun.do, work, *options), nested):
        told.clear()
        assert run_virtual(call, backend=backend) == "done"
        assert "".join(told) == expected


#: What an attempt does: it takes so long (no sum of others, no multiple of the limit), and ends so.
steps = st.lists(
    st.tuples(st.sampled_from([0.0, 0.375, 1.625, 7.75]), st.sampled_from(["ok", "bad", "a", "fatal", "hang"])),
    min_size=1,
    max_size=7,
)


def work_of(script: list[tuple[float, str]]) -> Callable[[], Awaitable[Any]]:
    """Work that does as *script* says, its last step for ever."""
    calls = 0

    async def work() -> str:
        nonlocal calls
        takes, end = script[min(calls, len(script) - 1)]
        calls += 1
        if takes:
            await anyio.sleep(takes)
        if end == "hang":
            await anyio.sleep_forever()
        if end in ("a", "fatal"):
            raise (A if end == "a" else Fatal)(calls)
        return end

    return work


def story(backend: str, work: Callable[[], Awaitable[Any]], *options: Option) -> list[object]:
    """All that can be seen from outside: events with their numbers, the outcome, and when it was over."""
    heard: list[object] = []

    def listen(event: Event) -> None:
        facts = {name: getattr(event, name) for name in event.__slots__ if name in FACTS}
        error = getattr(event, "error", None)
        heard.append((event.name, facts, type(error).__name__))

    async def main() -> None:
        begun = anyio.current_time()
        try:
            heard.append(await Pipeline(*options, observe(listen), rng=Random(7)).do(work))
        except Exception as error:  # noqa: BLE001 - it belongs to the story
            told = [(each.index, each.wait, each.stopped_by, type(each.error)) for each in longrun.timeline(error)]
            heard.extend([type(error), type(error.__cause__), told])
        heard.append(round(anyio.current_time() - begun, 6))

    run_virtual(main, backend=backend)
    return heard


FACTS = {"pipeline", "index", "wait", "rule", "hint", "reason", "alternative"}


@backends
@given(steps, st.integers(1, 4), st.sampled_from([0.0, 1.5]), st.none() | st.sampled_from([2.25, 9.0, 30.5]))
@pytest.mark.filterwarnings("ignore:the first wait of retry rule")
def test_a_limit_fused_with_the_loop_above_it_behaves_as_two_layers(
    backend: str, script: list[tuple[float, str]], retries: int, wait: float, total: float | None
) -> None:
    """An option that does nothing keeps them apart: the same attempts, waits, errors, causes, events and instants."""
    above = [] if total is None else [timeout.after(total)]
    rules = [
        retry.on((A, TimeoutError), retries, constant(wait), name="errors"),
        retry.on_result(lambda value: value == "bad", retries, constant(wait), name="bad"),
    ]

    fused = story(backend, work_of(script), *above, *rules, timeout.after(2))
    apart = story(backend, work_of(script), *above, *rules, passing, timeout.after(2))

    assert fused == apart


def full_stack() -> list[Option]:
    """Every kind of option that decides."""
    return [
        fallback.to("instead", on=A),
        timeout.after(40),
        retry.budget("all", ratio=0, floor=3),
        retry.on((A, TimeoutError), 4, full_jitter(1, 8), name="errors"),
        bulkhead.max(1, name="slots"),
        ratelimit.wait(1, 2.5, burst=2, name="starts"),
        circuit.breaker("upstream", threshold=3, open_for=6),
        timeout.after(2),
    ]


@given(steps)
def test_a_call_goes_the_same_way_on_asyncio_and_on_trio(script: list[tuple[float, str]]) -> None:
    """With the same chance the same story, to the microsecond."""
    stories = []
    for backend in BACKENDS:
        with isolated():
            stories.append(story(backend, work_of(script), *full_stack()))
    asyncio_story, trio_story = stories

    assert asyncio_story == trio_story


@backends
@given(steps)
@pytest.mark.filterwarnings("ignore:the first wait of retry rule")
def test_listeners_change_nothing_not_even_when_they_fail(backend: str, script: list[tuple[float, str]]) -> None:
    """Heard by nobody, by one who keeps everything, by one who always raises: one outcome, at one instant."""

    def failing(event: Event) -> None:
        raise RuntimeError(event.name)

    outcomes = [
        ending(backend, script, *listeners)
        for listeners in ([], [observe(RecordingListener())], [observe(failing), observe(RecordingListener())])
    ]

    assert outcomes[0] == outcomes[1] == outcomes[2]


def ending(backend: str, script: list[tuple[float, str]], *listeners: Option) -> object:
    """What comes out of the full stack, and when."""

    async def main() -> object:
        begun = anyio.current_time()
        try:
            outcome = await Pipeline(*full_stack(), *listeners, rng=Random(7)).do(work_of(script))
        except Exception as error:  # noqa: BLE001 - it is the outcome
            outcome = (type(error), str(error), len(longrun.timeline(error)))
        return outcome, round(anyio.current_time() - begun, 6)

    with isolated():
        return run_virtual(main, backend=backend)


@backends
@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from([0.75, 2.5, 6.25]))
@pytest.mark.filterwarnings("ignore:the first wait of retry rule")
def test_a_limit_below_the_rules_counts_attempts_and_one_above_ends_them(
    backend: str, retries: int, limit: int, wait: float
) -> None:
    """Below, every expiry is an attempt with its whole time; above, the one expiry ends attempts and waits alike."""
    below, above = Script(Hang()), Script(A())
    rule = retry.on((A, TimeoutError), retries, constant(wait))

    async def main() -> tuple[float, float]:
        begun = anyio.current_time()
        with pytest.raises(longrun.TimeoutExceeded):
            await longrun.do(below, rule, timeout.after(limit))
        between = anyio.current_time()
        with pytest.raises(A):
            await longrun.do(above, timeout.after(limit), retry.on(A, None, constant(wait)))
        return between - begun, anyio.current_time() - between

    took_below, took_above = run_virtual(main, backend=backend)

    assert below.calls == retries + 1
    assert took_below == pytest.approx((retries + 1) * limit + retries * wait)
    assert above.calls == 1 + sum(1 for n in range(1, 100) if n * wait < limit)
    assert took_above < limit
