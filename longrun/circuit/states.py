"""The states of a circuit, and the one table of what may follow each of them."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

#: ``forced_open``, ``disabled`` and ``metrics_only`` are set by an operator and stay until the operator says otherwise.
State: TypeAlias = Literal["closed", "open", "half_open", "forced_open", "disabled", "metrics_only"]

#: What happens to a circuit. The first four come from calls and time, the others from an operator.
Step: TypeAlias = Literal["trip", "cool", "recover", "relapse", "force_open", "disable", "metrics_only", "reset"]

#: Stands in the table for every state.
ANY: Literal["any"] = "any"

TRANSITIONS: Mapping[tuple[State | Literal["any"], Step], State] = {
    ("closed", "trip"): "open",
    ("open", "cool"): "half_open",
    ("half_open", "recover"): "closed",
    ("half_open", "relapse"): "open",
    (ANY, "force_open"): "forced_open",
    (ANY, "disable"): "disabled",
    (ANY, "metrics_only"): "metrics_only",
    (ANY, "reset"): "closed",
}

#: In these every call runs, without being asked for first.
FREE: frozenset[State] = frozenset({"closed", "disabled", "metrics_only"})


def follow(state: State, step: Step) -> State | None:
    """The state after *step*; None when the table knows no such step from *state*."""
    return TRANSITIONS.get((state, step)) or TRANSITIONS.get((ANY, step))


def diagram() -> str:
    """The table as a mermaid state diagram."""
    arrows = (f"    {before} --> {after}: {step}" for (before, step), after in TRANSITIONS.items())
    return "\n".join(["stateDiagram-v2", f'    state "any state" as {ANY}', "    [*] --> closed", *arrows])
