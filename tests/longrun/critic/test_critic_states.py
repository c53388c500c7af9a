"""The table of states: complete, without dead ends, and the same as the picture in the documentation."""

from pathlib import Path
from typing import get_args

from longrun.critic.states import LIVE, TRANSITIONS, State, Step, diagram

DOCS = Path(__file__).parents[3] / "docs" / "critic.md"
STATES: tuple[State, ...] = get_args(State)


def test_the_diagram_in_the_documentation_is_the_table() -> None:
    """The picture that people read is generated from what runs."""
    written = DOCS.read_text(encoding="utf-8")

    assert f"```mermaid\n{diagram()}\n```" in written


def test_the_table_names_every_state_and_every_step() -> None:
    """Every state can be reached from the first, no step is without meaning."""
    reached: set[State] = {"watched"}
    for _ in STATES:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}

    assert reached == set(STATES)
    assert {step for _, step in TRANSITIONS} == set(get_args(Step))


def test_what_lives_can_be_killed_and_can_end_and_nothing_leads_back() -> None:
    """Killed and over are for good."""
    assert set(STATES) - set(LIVE) == {"killed", "over"}
    assert {before for before, step in TRANSITIONS if step == "kill"} == set(LIVE)
    assert {before for before, step in TRANSITIONS if step == "end"} == set(LIVE)
    assert {before for before, _ in TRANSITIONS} == set(LIVE)


def test_only_a_stalled_attempt_is_asked_about() -> None:
    """No consult before a stall, none while one is under way, none for the blind."""
    assert {before for before, step in TRANSITIONS if step == "ask"} == {"stalled"}
