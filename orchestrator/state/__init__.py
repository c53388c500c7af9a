"""State: what a service remembers over restarts - where work got to, and how long failures have to wait."""

from orchestrator.state.opening import State, StateError, opened_state

__all__ = ["State", "StateError", "opened_state"]
