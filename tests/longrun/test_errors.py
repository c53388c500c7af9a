"""Errors of longrun: they travel between processes, and misuse is told from failure."""

import copy
import pickle

import pytest

import longrun
from longrun import (
    BulkheadFull,
    CircuitOpen,
    Pipeline,
    PipelineError,
    RunKilled,
    TimeoutExceeded,
    bulkhead,
    circuit,
    retry,
    timeout,
)
from longrun.backoff import constant
from longrun.testing import Script

ERRORS = (
    TimeoutExceeded(3.0),
    RunKilled("stalled", "poll"),
    CircuitOpen("it is open", 2.5),
    BulkheadFull("it is full"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_between_processes(error: longrun.LongrunError) -> None:
    """Its text once, and its fields."""
    arrived = pickle.loads(pickle.dumps(error))

    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))


def test_a_copy_of_what_holds_state_is_itself() -> None:
    """Configuration that holds options may be copied: half a bulkhead would protect nobody."""
    pipeline = Pipeline(bulkhead.max(1), circuit.breaker("copied"))
    option = retry.budget("copied")

    assert copy.deepcopy({"policy": pipeline})["policy"] is pipeline
    assert copy.deepcopy(option) is option
    assert copy.copy(option) is option


def test_a_generator_is_refused_when_it_is_wrapped() -> None:
    """Its items cannot be made a second time."""

    async def stream():
        yield 1

    with pytest.raises(PipelineError, match="stream is a generator"):
        Pipeline().wrap(stream)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options", [(), (timeout.after(5),), (circuit.breaker("misused"),)], ids=["", "limit", "circuit"]
)
async def test_what_cannot_be_awaited_is_called_once(options: tuple[longrun.Option, ...]) -> None:
    """Calling it again would not make it a coroutine."""
    calls = 0

    def plain() -> int:
        nonlocal calls
        calls += 1
        return 5

    with pytest.raises(TypeError):
        await Pipeline(retry.on(Exception, 3, constant(0)), *options).do(plain)  # type: ignore[arg-type]  # on purpose

    assert calls == 1


@pytest.mark.anyio
async def test_a_type_error_of_the_work_itself_is_retried_like_any_other() -> None:
    """It may come from an answer that is different the next time."""
    work = Script(TypeError("no such field"), "ok")

    assert await longrun.do(work, retry.on(TypeError, 1, constant(0))) == "ok"
