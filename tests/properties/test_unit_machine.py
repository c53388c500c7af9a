"""The unit's transition table: over any row of steps it does what the table says, and what is over stays over."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun import RunnerError, Task
from longrun.engine import Engine
from longrun.task.unit import TRANSITIONS, Unit, UnitPhase

PHASES: tuple[UnitPhase, ...] = get_args(UnitPhase)
OVER = {"finished", "failed", "stopped"}


async def work() -> None:
    """Nothing to do."""


def unit() -> Unit:
    return Unit(Task.once("job", work), Engine())


@given(st.lists(st.sampled_from(PHASES), max_size=30))
def test_only_steps_of_the_table_are_taken_and_a_refused_step_changes_nothing(steps: list[UnitPhase]) -> None:
    """Random steps against the table itself."""
    one, phase = unit(), "waiting"

    for step in steps:
        if step in TRANSITIONS[one.phase]:
            one.move(step)
            phase = step
        else:
            with pytest.raises(RunnerError, match=f"cannot go from {phase} to {step}"):
                one.move(step)
        assert one.phase == phase
        assert one.over == (phase in OVER)
        assert one.state(0.0).phase == phase


def test_the_table_names_every_phase_and_what_is_over_has_no_way_out() -> None:
    """Total, and with three ends."""
    assert set(TRANSITIONS) == set(PHASES)
    assert {phase for phase, following in TRANSITIONS.items() if not following} == OVER


def test_every_phase_can_be_reached_and_everything_alive_can_be_stopped() -> None:
    """No phase is a dead letter; a stop finds a way from anywhere."""
    reached, frontier = {"waiting"}, ["waiting"]
    while frontier:
        for following in TRANSITIONS[frontier.pop()] - reached:  # type: ignore[index]  # phases are their names
            reached.add(following)
            frontier.append(following)

    assert reached == set(PHASES)
    assert all("stopped" in following for phase, following in TRANSITIONS.items() if phase not in OVER)


def test_an_attempt_can_begin_only_with_a_slot() -> None:
    """Nothing comes to run from between two attempts or from the calendar without having stood in the queue."""
    assert {phase for phase, following in TRANSITIONS.items() if "running" in following} == {"queued"}
