"""The table of states: complete, without dead ends, and the same as the picture in the documentation."""

from pathlib import Path
from typing import get_args

import pytest

from longrun.circuit.states import ANY, FREE, TRANSITIONS, State, Step, diagram, follow

STATES: tuple[State, ...] = get_args(State)
STEPS: tuple[Step, ...] = get_args(Step)
DOCS = Path(__file__).parents[3] / "docs" / "options" / "circuit.md"


def test_the_diagram_in_the_documentation_is_the_table() -> None:
    """The picture that people read is generated from what runs."""
    written = DOCS.read_text(encoding="utf-8")

    assert f"```mermaid\n{diagram()}\n```" in written


def test_the_table_names_every_state_and_every_step() -> None:
    """No state is out of reach, no step is without meaning."""
    assert set(TRANSITIONS.values()) == set(STATES)
    assert {step for _, step in TRANSITIONS} == set(STEPS)
    assert {before for before, _ in TRANSITIONS} <= {*STATES, ANY}


@pytest.mark.parametrize("state", STATES)
def test_an_operator_can_do_everything_from_everywhere(state: State) -> None:
    """The four orders are known in every state, and reset always leads to closed."""
    assert follow(state, "force_open") == "forced_open"
    assert follow(state, "disable") == "disabled"
    assert follow(state, "metrics_only") == "metrics_only"
    assert follow(state, "reset") == "closed"


@pytest.mark.parametrize("state", ["forced_open", "disabled", "metrics_only"])
@pytest.mark.parametrize("step", ["trip", "cool", "recover", "relapse"])
def test_calls_and_time_change_nothing_about_what_an_operator_ordered(state: State, step: Step) -> None:
    """Only an order ends an order."""
    assert follow(state, step) is None


def test_a_circuit_opens_from_closed_and_closes_only_by_way_of_half_open() -> None:
    """The three automatic states form one ring with a way back."""
    automatic = {key: after for key, after in TRANSITIONS.items() if key[0] != ANY}

    assert automatic == {
        ("closed", "trip"): "open",
        ("open", "cool"): "half_open",
        ("half_open", "recover"): "closed",
        ("half_open", "relapse"): "open",
    }


def test_no_call_runs_unasked_while_the_circuit_is_open_or_probed() -> None:
    """What lets every call through is exactly the rest."""
    assert {"closed", "disabled", "metrics_only"} == FREE
