"""longrun's events as log lines: one line for what a person acts on."""

import logging

import pytest

from longrun import Category
from longrun.events import (
    AttemptFailed,
    AttemptSucceeded,
    DegradedEntered,
    EscalatorFailed,
    KillOrdered,
    LoopBlocked,
    RetryScheduled,
    RunAbandoned,
    RunExtended,
    RunNudged,
    RunsCancelled,
    RunStalled,
    RunStuck,
    StopRequested,
    TaskFailed,
    TaskFinished,
    TicksSkipped,
)
from orchestrator.scheduler.event_log import EventLog


@pytest.fixture
def told(caplog):
    """Tells an event; the record that came of it, or None."""
    caplog.set_level(logging.DEBUG)

    def told(event):
        caplog.clear()
        EventLog()(event)
        return caplog.records[-1] if caplog.records else None

    return told


def test_a_line_says_where_its_unit_belongs(told):
    """The name of the event, the unit's place, and the failure in one line."""
    line = told(TaskFailed("worker:poll:acme/shop", ValueError("bad\n  answer"), "it is permanent"))

    assert (line.levelname, line.message) == ("ERROR", "task.failed")
    assert (line.phase, line.resource, line.tenant) == ("worker", "poll", "acme/shop")
    assert (line.caused_by, line.reason) == ("ValueError: bad answer", "it is permanent")


def test_a_line_of_a_global_unit_has_no_tenant(told):
    """Nothing stands for what is not there."""
    line = told(DegradedEntered("worker:tidy", ValueError("odd")))

    assert not hasattr(line, "tenant")


def test_an_event_of_no_unit_names_its_subject(told):
    """The runner itself stops."""
    line = told(StopRequested("runner", "SIGTERM", 21.0))

    assert (line.levelname, line.subject, line.reason, line.drain) == ("INFO", "runner", "SIGTERM", 21.0)


def test_a_retry_says_how_long_it_waits_and_what_was_asked_for(told):
    """Attempt, wait, rule, hint and cause."""
    line = told(RetryScheduled("worker:poll:a", 2, 61.2345, "service", OSError("busy"), 60.0, Category.SERVICE, "r-1"))

    assert (line.levelname, line.attempt, line.wait, line.rule, line.hint) == ("WARNING", 2, 61.234, "service", 60.0)
    assert (line.caused_by, line.run_id) == ("OSError: busy", "r-1")


def test_a_retry_of_no_known_kind_is_told_by_its_degraded_episode_alone(told):
    """One line for one failure."""
    line = told(RetryScheduled("worker:poll:a", 1, 30.0, "unknown", KeyError("x"), None, Category.UNKNOWN, "r-1"))

    assert line is None or line.levelname == "DEBUG"


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (AttemptSucceeded("worker:poll:a", 1, 0.1, "r"), "DEBUG"),
        (AttemptFailed("worker:poll:a", 1, 0.1, OSError("x"), Category.NODE, "r"), "DEBUG"),
        (TaskFinished("preflight:check:a", "r"), "DEBUG"),
        (TaskFinished("worker:poll:a", "r"), "INFO"),
        (TicksSkipped("worker:poll:a", 3, "slow"), "DEBUG"),
        (RunsCancelled("runner", ("worker:poll:a",)), "WARNING"),
        (RunAbandoned("worker:poll:a", "r", "stack"), "ERROR"),
    ],
)
def test_the_level_says_whether_a_person_has_to_act(told, event, level):
    """What happens all the time is for debugging."""
    assert told(event).levelname == level


@pytest.mark.parametrize(
    ("event", "level", "message", "fields"),
    [
        (RunStalled("worker:poll:a", "r-1", 20.04, 7.56), "WARNING", "run.stalled", {"duration": 20.0, "idle": 7.6}),
        (RunNudged("worker:poll:a", "r-1", "hurry"), "WARNING", "run.nudged", {"nudge": "hurry"}),
        (RunExtended("worker:poll:a", "r-1", 59.96, 1234.5), "WARNING", "run.extended", {"extended_by": 60.0}),
        (
            KillOrdered("worker:poll:a", "r-1", "it hangs", "operator"),
            "ERROR",
            "run.kill_ordered",
            {"reason": "it hangs", "by": "operator"},
        ),
        (
            RunStuck("worker:poll:a", "r-1", 5.01, "File x, line 3"),
            "ERROR",
            "run.stuck",
            {"duration": 5.0, "stack": "File x, line 3"},
        ),
        (
            EscalatorFailed("worker:poll:a", "r-1", ValueError("no\n answer")),
            "ERROR",
            "escalator.failed",
            {"caused_by": "ValueError: no answer"},
        ),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_what_happens_to_a_stalled_run_is_told_with_its_place_and_its_run(told, event, level, message, fields):
    """One line for each; the same name as the event."""
    line = told(event)

    assert (line.levelname, line.message) == (level, message)
    assert (line.phase, line.resource, line.tenant, line.run_id) == ("worker", "poll", "a", "r-1")
    assert {name: getattr(line, name) for name in fields} == fields


def test_a_blocked_event_loop_is_told_with_the_place_where_it_stood(told):
    """It belongs to no unit: the stack names who blocks it."""
    line = told(LoopBlocked("runner", 2.34, "File y, line 7, in work"))

    assert (line.levelname, line.message, line.subject) == ("ERROR", "loop.blocked", "runner")
    assert (line.duration, line.stack) == (2.3, "File y, line 7, in work")


def test_nothing_is_built_for_a_level_that_is_off(caplog):
    """A thousand attempts a second cost nothing at level info."""

    class Loud(Exception):
        def __str__(self) -> str:
            raise AssertionError("this text was not wanted")

    caplog.set_level(logging.INFO)

    EventLog()(AttemptFailed("worker:poll:a", 1, 0.1, Loud(), Category.NODE, "r"))

    assert caplog.records == []
