"""Decision: what is done about a stalled run. Frozen values, combined with ``|``."""

import sys
from dataclasses import dataclass
from datetime import timedelta

from longrun.durations import Duration


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Decision:
    """Made by :class:`Nudge`, :class:`ExtendBy`, :class:`Kill`, and by ``|`` of these; always in its normal form.

    *killed*: the first reason to kill, and with one nothing else is left in the decision. *extend*: the longest of the
    extensions in seconds, 0.0 for none. *nudges*: all messages, in order. A decision without any part is False.
    """

    killed: str | None = None
    extend: float = 0.0
    nudges: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.killed is not None:
            object.__setattr__(self, "extend", 0.0)
            object.__setattr__(self, "nudges", ())
        elif self.extend <= 0:
            object.__setattr__(self, "extend", 0.0)

    def __or__(self, other: "Decision") -> "Decision":
        """Both at once; a Kill on either side dominates, the first reason stays."""
        if not isinstance(other, Decision):
            return NotImplemented
        killed = self.killed if self.killed is not None else other.killed
        return Decision(killed, max(self.extend, other.extend), self.nudges + other.nudges)

    def __bool__(self) -> bool:
        return self.killed is not None or self.extend > 0 or bool(self.nudges)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decision):
            return NotImplemented
        return (self.killed, self.extend, self.nudges) == (other.killed, other.extend, other.nudges)

    def __hash__(self) -> int:
        return hash((self.killed, self.extend, self.nudges))

    def __repr__(self) -> str:
        if self.killed is not None:
            return f"Kill({self.killed!r})"
        parts = [f"Nudge({message!r})" for message in self.nudges]
        if self.extend > 0:
            parts.append(f"ExtendBy({self.extend:g})")
        return " | ".join(parts) or "NOTHING"


#: The decision without any part: the deadline decides.
NOTHING = Decision()


class Nudge(Decision):
    """Say something to the work (``run.nudges``) and to the listeners. ValueError for a blank *message*."""

    __slots__ = ()

    def __init__(self, message: str) -> None:
        super().__init__(nudges=(_text(message, "Nudge message"),))


class ExtendBy(Decision):
    """Let the run go on for *seconds* from now on: its deadline becomes later, never earlier.

    0 or less asks for nothing, so what is left of something may be given as it comes. ValueError for NaN, infinity
    and other types.
    """

    __slots__ = ()

    def __init__(self, seconds: Duration) -> None:
        length = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        if isinstance(length, bool) or not isinstance(length, int | float) or not abs(length) <= sys.float_info.max:
            raise ValueError(f"ExtendBy seconds is {seconds!r}; give a finite number of seconds, or a timedelta")
        super().__init__(extend=float(length))


class Kill(Decision):
    """End the run, which fails with :class:`longrun.RunKilled`. ValueError for a blank *reason*."""

    __slots__ = ()

    def __init__(self, reason: str) -> None:
        super().__init__(killed=_text(reason, "Kill reason"))


def _text(value: str, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is {value!r}; say in words what an operator should read")
    return value
