"""Circuits shared by threads, each with an event loop of its own, in real time."""

import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import anyio
import pytest

from longrun import CircuitOpen, Pipeline, circuit
from longrun.circuit import circuit as machine


@pytest.fixture(autouse=True)
def _real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests have switched state to the clock of the event loop, and each run of trio begins its own anew."""
    monkeypatch.setattr("longrun.clock._follow_the_loop", False)


def in_threads(count: int, main: Callable[[int], Awaitable[object]], backend: str) -> list[BaseException]:
    """Run *main* in *count* threads at once; what they raised."""
    errors: list[BaseException] = []
    together = threading.Barrier(count)

    def run(index: int) -> None:
        try:
            together.wait()
            anyio.run(main, index, backend=backend)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's failure
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_calls_of_four_threads_run_side_by_side(backend: str) -> None:
    """No lock is held while a call runs: each of the four meets the other three inside the call."""
    pipeline = Pipeline(circuit.breaker("webhooks"))
    inside = threading.Barrier(4)

    async def call(_index: int) -> None:
        async def work() -> None:
            inside.wait(timeout=10)

        await pipeline.do(work)

    errors = in_threads(4, call, backend)

    assert errors == []
    assert circuit.statistics("webhooks").calls == 4


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_count_of_any_thread_is_lost(backend: str) -> None:
    """Four threads, 5,000 calls each, every fifth fails."""
    pipeline = Pipeline(circuit.breaker("webhooks", minimum=1_000_000, window=3600))

    async def calls(_index: int) -> None:
        async def work(number: int) -> None:
            if number % 5 == 0:
                raise ConnectionError

        for number in range(5_000):
            with suppress(ConnectionError):
                await pipeline.do(work, number)

    errors = in_threads(4, calls, backend)

    found = circuit.statistics("webhooks")
    assert errors == []
    assert (found.calls, found.failures) == (20_000, 4_000)


def _switching(_frame: FrameType, _event: str, _arg: object) -> Callable[..., Any]:
    """A trace function that lets another thread run before every line."""
    time.sleep(0)
    return _switching


def test_failures_that_threads_report_at_one_instant_open_it_once() -> None:
    """Exactly one of them is told of the transition, though the threads are switched at every line."""
    settings = circuit.breaker("webhooks", threshold=1).settings
    rounds = 50
    circuits = [machine.Circuit("webhooks", settings, 0.0) for _ in range(rounds)]
    changes: list[int] = []
    together = threading.Barrier(4)

    def report() -> None:
        for index, one in enumerate(circuits):
            together.wait()
            sys.settrace(_switching)
            change = one.report(1, 0.0, True, False)
            sys.settrace(None)
            if change is not None:
                changes.append(index)

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(changes) == list(range(rounds))
    assert {one.generation for one in circuits} == {2}


def test_threads_that_find_the_circuit_due_get_one_probe_between_them() -> None:
    """Eight threads ask the machine at one instant, through many rounds."""
    settings = circuit.breaker("webhooks", threshold=1, open_for=1, growth=1).settings
    one = machine.Circuit("webhooks", settings, 0.0)
    one.report(one.free, 0.0, True, False)
    rounds = 200
    admitted: list[list[int]] = [[] for _ in range(rounds)]
    together = threading.Barrier(8)

    def ask() -> None:
        for index in range(rounds):
            instant = 1.0 + index
            together.wait()
            answer = one.admit(instant)
            if answer.generation:
                admitted[index].append(answer.generation)
            if together.wait() == 0:
                one.report(admitted[index][0], instant, True, False)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(round_) for round_ in admitted] == [1] * rounds
    assert len({round_[0] for round_ in admitted}) == rounds


def test_keys_made_by_many_threads_at_once_are_one_circuit_each_and_bounded() -> None:
    """The same hundred keys from four threads."""
    pipeline = Pipeline(circuit.breaker("hosts", max_keys=100, minimum=1_000_000, window=3600, key=lambda name: name))

    async def calls(_index: int) -> None:
        async def fetch(name: int) -> None:
            return None

        for number in range(4_000):
            await pipeline.do(fetch, number % 100)

    errors = in_threads(4, calls, "asyncio")

    assert errors == []
    assert [found.calls for found in circuit.overview("hosts")] == [160] * 100


def test_a_circuit_outlives_the_event_loop_and_the_wall_clock_has_no_part_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Opened in one run, still open in the next, of the other backend; a wall clock set by a day changes nothing."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, open_for=60))

    async def fail() -> None:
        async def work() -> None:
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await pipeline.do(work)

    async def refused() -> float | None:
        async def work() -> None:
            raise AssertionError("the call ran")

        with pytest.raises(CircuitOpen) as caught:
            await pipeline.do(work)
        return caught.value.retry_after

    anyio.run(fail, backend="asyncio")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400)
    left = anyio.run(refused, backend="asyncio")
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    again = circuit.statistics("webhooks").retry_after

    assert left is not None
    assert again is not None
    assert 0 < again <= left <= 60
