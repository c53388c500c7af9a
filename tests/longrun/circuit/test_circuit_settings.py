"""Settings: what cannot be meant is refused in one sentence, and the same settings are the same circuit."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from longrun import Pipeline, PipelineError, circuit


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"threshold": 0}, "threshold is 0; give a whole number of at least 1"),
        ({"threshold": True}, "threshold is True"),
        ({"threshold": 2.5}, "threshold is 2.5"),
        ({"failure_rate": 0}, "failure_rate is 0; give a share above 0 and up to 1"),
        ({"failure_rate": 50}, "failure_rate is 50"),
        ({"failure_rate": float("nan")}, "failure_rate is nan"),
        ({"minimum": 0}, "minimum is 0"),
        ({"window": 0}, "window is 0"),
        ({"window": 1e-9}, "window is 1e-09 s; give at least 0.001 s"),
        ({"window": "30"}, "window is '30'"),
        ({"open_for": -1}, "open_for is -1"),
        ({"open_for": float("inf")}, "open_for is inf"),
        ({"open_cap": 10}, "open_cap=10.*below its initial wait"),
        ({"growth": 0.5}, "growth=0.5"),
        ({"jitter": 2}, "jitter=2"),
        ({"probes": 0}, "probes is 0"),
        ({"successes": 0}, "successes is 0"),
        ({"probes": 3, "successes": 2}, "successes is 2, below probes 3"),
        ({"ramp": 0}, "ramp is 0"),
        ({"slow_call": 0}, "slow_call is 0"),
        ({"slow_rate": 0.5}, "slow_rate is 0.5 without slow_call"),
        ({"slow_call": 1, "slow_rate": 1.5}, "slow_rate is 1.5"),
        ({"max_keys": 0}, "max_keys is 0"),
        ({"key": "tenant"}, "key is 'tenant'; give a function"),
        ({"on": ()}, r"circuit.breaker on is \(\)"),
        ({"on": "ConnectionError"}, "circuit.breaker on is 'ConnectionError'"),
        ({"on": KeyboardInterrupt}, "cancellation and exit are never counted"),
        ({"threshold": 5, "failure_rate": 0.9, "window": 60}, "failure_rate, window mean nothing"),
    ],
)
def test_nonsense_is_refused_where_it_is_written(keywords: dict[str, Any], message: str) -> None:
    """One PipelineError, which is a ValueError, naming the keyword, the value and the remedy."""
    with pytest.raises(PipelineError, match=message):
        circuit.breaker("upstream", **keywords)


@pytest.mark.parametrize("name", ["", None, 7])
def test_a_circuit_needs_a_name(name: Any) -> None:
    """State is shared by name."""
    with pytest.raises(PipelineError, match="circuit name is"):
        circuit.breaker(name)


def test_a_refused_breaker_leaves_no_circuit_behind() -> None:
    """Bad settings do not occupy the name."""
    with pytest.raises(PipelineError):
        circuit.breaker("upstream", threshold=0)

    circuit.breaker("upstream", threshold=5)

    assert circuit.names() == ("upstream",)


def test_other_settings_under_one_name_are_refused_and_both_are_shown() -> None:
    """Two parts of a program would believe in two limits."""
    circuit.breaker("upstream", threshold=5)

    with pytest.raises(PipelineError, match=r"threshold=5.*threshold=6.*another name"):
        circuit.breaker("upstream", threshold=6)


def test_durations_may_be_timedeltas() -> None:
    """Half a minute is thirty seconds: the same circuit."""
    first = circuit.breaker("upstream", open_for=timedelta(seconds=30), slow_call=timedelta(seconds=2))
    second = circuit.breaker("upstream", open_for=30, slow_call=2.0)

    assert first.settings == second.settings


def _written_again(limit: int) -> Callable[[Exception], bool]:
    return lambda error: len(str(error)) > limit


def test_a_predicate_written_in_a_function_that_runs_twice_is_one_predicate() -> None:
    """A lambda is a new object each time; the circuit it describes is not."""
    for _ in range(2):
        circuit.breaker("upstream", on=_written_again(3))

    with pytest.raises(PipelineError, match="other settings"):
        circuit.breaker("upstream", on=_written_again(4))


def test_the_pipeline_says_in_words_when_a_circuit_opens() -> None:
    """Both modes, slow calls, kinds of errors."""
    pipeline = Pipeline(
        circuit.breaker("rate", slow_call=2, on=(ConnectionError, TimeoutError)),
        circuit.breaker("row", threshold=5, open_for=10),
        circuit.breaker("tenants", threshold=1, key=str),
    )

    words = pipeline.describe()

    assert "circuit 'rate': opens at 50% failures of at least 10 calls in 30 s" in words
    assert "(ConnectionError or TimeoutError), slow from 2 s, for 30 s" in words
    assert "circuit 'row': opens at 5 failures in a row, for 10 s" in words
    assert "one for each key" in words
