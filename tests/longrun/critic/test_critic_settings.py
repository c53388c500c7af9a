"""The critic's settings: what is taken, what is refused, how it describes itself; its errors and events."""

import math
from datetime import timedelta
from typing import Any

import pytest

from longrun import Critic, Decision, EscalatorError, ExtendOnce, Kill, LongrunError, RunInfo, RunKilled
from longrun.events import EscalatorFailed, Event, KillOrdered, RunExtended, RunNudged, RunStalled
from longrun.telemetry import attributes_of


async def decide(info: RunInfo) -> Decision | None:
    """An escalator that has no opinion."""


def test_durations_may_be_timedeltas() -> None:
    """Minutes read better than their seconds."""
    critic = Critic(decide, expected=timedelta(minutes=1), idle=timedelta(seconds=5), ceiling=timedelta(minutes=5))

    assert (critic.expected, critic.idle, critic.ceiling) == (60.0, 5.0, 300.0)


@pytest.mark.parametrize("name", ["expected", "idle", "ceiling", "tick", "consult_timeout"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "60", [60]])
def test_a_duration_that_is_none_is_refused_by_name(name: str, value: object) -> None:
    """One clear error."""
    settings: dict[str, Any] = {"expected": 60, name: value}

    with pytest.raises(ValueError, match=f"Critic {name} is "):
        Critic(decide, **settings)


@pytest.mark.parametrize("backstop", [1, 0, -3, 0.5, math.nan, math.inf, -math.inf, 10**400, 1e308])
def test_a_backstop_that_cannot_be_meant_is_raised_to_the_floor(backstop: float) -> None:
    """A run must be able to become late before it is ended, and has to end at some time."""
    critic = Critic(decide, expected=60, backstop=backstop)

    assert critic.backstop == 2.0
    assert critic.watch(0.0).deadline == 120.0


@pytest.mark.parametrize("backstop", ["2", None, True, [2]])
def test_a_backstop_that_is_no_number_is_refused(backstop: object) -> None:
    """That is a slip, not a wish."""
    with pytest.raises(ValueError, match=r"Critic backstop is .*; give a number above 1"):
        Critic(decide, expected=60, backstop=backstop)  # type: ignore[arg-type]  # the wrong type is the test


def test_an_expectation_beyond_all_numbers_is_refused() -> None:
    """Its deadline would be no number."""
    with pytest.raises(ValueError, match=r"Critic expected is 1\.7e\+308 s"):
        Critic(decide, expected=1.7e308)


@pytest.mark.parametrize("ceiling", [60, 59.9])
def test_a_ceiling_that_no_run_could_be_late_under_is_refused(ceiling: float) -> None:
    """It would be a timeout, and nobody would ever be asked."""
    with pytest.raises(
        ValueError, match=r"Critic ceiling is .* give a ceiling above expected, or use the task's timeout"
    ):
        Critic(decide, expected=60, ceiling=ceiling)


@pytest.mark.parametrize("escalator", [None, "kill", Kill("stalled"), ExtendOnce, 7])
def test_an_escalator_that_cannot_be_asked_is_refused(escalator: object) -> None:
    """A decision is none, a class is none yet."""
    with pytest.raises(ValueError, match=r"Critic escalator is .*; give an async callable"):
        Critic(escalator, expected=60)  # type: ignore[arg-type]  # the wrong type is the test


def test_an_escalator_whose_forget_cannot_be_called_is_refused() -> None:
    """An async one would never run, and its table grow for ever."""

    class Forgetful:
        async def __call__(self, info: RunInfo) -> None: ...

        async def forget(self, run_id: str) -> None: ...

    class Odd(Forgetful):
        forget = "me"  # type: ignore[assignment]  # the wrong type is the test

    for escalator in (Forgetful(), Odd()):
        with pytest.raises(ValueError, match=r"Critic escalator has a forget that is .*; give a plain function"):
            Critic(escalator, expected=60)


def test_a_critic_describes_itself() -> None:
    """In the words of its settings."""
    plain = Critic(decide, expected=60)
    full = Critic(ExtendOnce(90), expected=60, idle=10, backstop=3, ceiling=600)

    assert plain.describe() == "stalled after 60 s; ended after 120 s; asks decide"
    assert full.describe() == (
        "stalled after 60 s, or 10 s without progress; ended after 180 s, extended to 600 s at most; "
        "asks ExtendOnce(90)"
    )
    assert repr(plain) == f"<Critic: {plain.describe()}>"


def test_a_kill_names_its_task_and_its_reason() -> None:
    """The error that a killed run fails with."""
    error = RunKilled("stalled", "poll")

    assert (error.reason, error.task) == ("stalled", "poll")
    assert str(error) == "the run of 'poll' was killed: stalled"
    assert str(RunKilled("stalled")) == "the run was killed: stalled"
    assert isinstance(error, LongrunError)
    assert not hasattr(error, "service_pressure")


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (RunStalled("poll", "r-1", 72.5, 12.0), "run.stalled"),
        (RunNudged("poll", "r-1", "still there?"), "run.nudged"),
        (RunExtended("poll", "r-1", 30.0, 1250.0), "run.extended"),
        (KillOrdered("poll", "r-1", "stalled", "escalator"), "run.kill_ordered"),
        (EscalatorFailed("poll", "r-1", EscalatorError("it raised")), "escalator.failed"),
    ],
)
def test_every_event_tells_which_run_of_which_task_it_is_about(event: Event, name: str) -> None:
    """By the same field as the events of attempts, so that logs and spans can be put together."""
    assert event.name == name
    assert attributes_of(event)["longrun.subject"] == "poll"
    assert attributes_of(event)["longrun.run"] == "r-1"
