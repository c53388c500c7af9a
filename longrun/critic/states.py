"""The states of an attempt under watch, and the one table of what may follow each of them."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

#: watched: nothing is wrong; stalled: late or silent, to be asked about at the next tick; consulting: the escalator is
#: being asked; blind: the escalator has failed too often, only the deadline counts; killed and over: for good.
State: TypeAlias = Literal["watched", "stalled", "consulting", "blind", "killed", "over"]

#: stall: late or silent; resume: progress again, and not late; ask and answer: the escalator; despair: one failure of
#: the escalator too many; kill: by decision, deadline or operator; end: the attempt is over by itself.
Step: TypeAlias = Literal["stall", "resume", "ask", "answer", "despair", "kill", "end"]

#: The states of an attempt that still runs.
LIVE: tuple[State, ...] = ("watched", "stalled", "consulting", "blind")

TRANSITIONS: Mapping[tuple[State, Step], State] = {
    ("watched", "stall"): "stalled",
    ("stalled", "resume"): "watched",
    ("stalled", "ask"): "consulting",
    ("consulting", "answer"): "stalled",
    ("consulting", "despair"): "blind",
    **{(state, "kill"): "killed" for state in LIVE},
    **{(state, "end"): "over" for state in LIVE},
}


def diagram() -> str:
    """The table as a mermaid state diagram."""
    arrows = (f"    {before} --> {after}: {step}" for (before, step), after in TRANSITIONS.items())
    ends = ("    killed --> [*]", "    over --> [*]")
    return "\n".join(["stateDiagram-v2", "    [*] --> watched", *arrows, *ends])
