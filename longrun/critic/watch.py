"""Watch: the state machine of one attempt of a run under watch. It waits for nothing and reads no clock."""

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

from longrun.critic.decision import NOTHING, Decision, Kill
from longrun.critic.info import RunInfo
from longrun.critic.states import State

if TYPE_CHECKING:
    from longrun.critic.critic import Critic

Finding: TypeAlias = Literal["well", "stalled", "expired"]

#: So many failures of the escalator in a row, and it is not asked about this attempt any more: whoever has timed out or
#: raised three times is down or wrong, and one failure per tick for the rest of a long run helps nobody.
FAILURES = 3

_NEVER = -math.inf


class Watch:
    """Made by :meth:`Critic.watch`, one per attempt; driven by the runner. Instants are on the event loop's clock.

    *deadline* is when the attempt is ended, *stalled* whether it has stalled at least once, *killed* why it was ended:
    the first reason, for good. *nudges* and *extensions* count what took effect.
    """

    __slots__ = (
        "_asked_again_at", "_blocked", "_critic", "_failures", "_idle_from", "_late_at", "_latest", "_started",
        "deadline", "extensions", "killed", "nudges", "stalled", "state",
    )  # fmt: skip

    def __init__(self, critic: "Critic", started: float) -> None:
        self._critic = critic
        self._started = self._idle_from = started
        self._late_at = started + critic.expected
        self._latest = started + critic.longest
        self._blocked = 0.0  # seconds of a blocked event loop that the idle clock still has to be put forward by
        self._asked_again_at = _NEVER
        self._failures = 0
        self.state: State = "watched"
        self.deadline = started + critic.allowed
        self.stalled = False
        self.killed: str | None = None
        self.nudges = 0
        self.extensions = 0

    def look(self, now: float, progress: float | None) -> Finding:
        """How the attempt stands at *now*; *progress* is when the work last said that it moves on, None for never.

        ``"stalled"``: consult the escalator now, and report with :meth:`consulted`. It is said at most once per tick,
        and not again while that consult is under way. ``"expired"``: the deadline has passed, kill it. What is killed
        or over is well: nothing is to be done about it.
        """
        state = self.state
        if state == "killed" or state == "over":
            return "well"
        if self._blocked:
            since = self._idle_since(progress)
            self._idle_from = min(since + self._blocked, max(since, now))
            self._blocked = 0.0
        if now >= self.deadline:
            return "expired"
        if state == "blind" or state == "consulting":
            return "well"
        if now < self._late_at:
            idle = self._critic.idle
            if idle is None or now < self._idle_since(progress) + idle:
                self.state = "watched"
                return "well"
        self.stalled = True
        if now < self._asked_again_at:
            self.state = "stalled"
            return "well"
        self.state = "consulting"
        return "stalled"

    def next_look(self, progress: float | None) -> float:
        """The next instant at which :meth:`look` may say something else than well; ``inf`` when there is none."""
        state = self.state
        if state == "killed" or state == "over":
            return math.inf
        deadline = self.deadline
        if state == "blind" or state == "consulting":
            return deadline
        stalls_at = self._late_at
        idle = self._critic.idle
        if idle is not None:
            silent_at = self._idle_since(progress) + self._blocked + idle
            if silent_at < stalls_at:
                stalls_at = silent_at
        if stalls_at < self._asked_again_at:
            stalls_at = self._asked_again_at
        return min(deadline, stalls_at)

    def consulted(self, now: float, *, failed: bool = False) -> None:
        """The consult that :meth:`look` asked for came to its end, or *failed*; the next one is due in a tick.

        After :data:`FAILURES` failures in a row there is none: from then on only the deadline counts.
        """
        if self.state != "consulting":  # it was killed, or ended, meanwhile
            return
        self._asked_again_at = now + self._critic.tick
        self._failures = self._failures + 1 if failed else 0
        self.state = "blind" if self._failures >= FAILURES else "stalled"

    def apply(self, decision: Decision, now: float) -> Decision:
        """*decision* takes effect; returns what really did.

        An extension moves the deadline to so many seconds from *now*, up to the ceiling; one that would not make it
        later is none, and neither is one that comes after it. A kill is final: nothing changes after it.
        """
        if self.state == "killed" or self.state == "over":
            return NOTHING
        if decision.killed is not None:
            self.state = "killed"
            self.killed = decision.killed
            self.deadline = min(self.deadline, now)
            return decision
        self.nudges += len(decision.nudges)
        if decision.extend <= 0:
            return decision
        deadline = min(now + decision.extend, self._latest)
        if not now < self.deadline < deadline:
            return Decision(nudges=decision.nudges)
        self.deadline = deadline
        self.extensions += 1
        return Decision(nudges=decision.nudges, extend=deadline - now)

    def kill(self, reason: str, now: float) -> bool:
        """End it for its deadline, or on an operator's order; False when it was killed or over already."""
        return bool(self.apply(Kill(reason), now))

    def end(self) -> None:
        """The attempt has ended. What comes later, a decision or an order, does nothing; a kill that was stays."""
        if self.state != "killed":
            self.state = "over"

    def shift(self, seconds: float) -> None:
        """The event loop was blocked for so many *seconds* of this attempt: all of its clocks move on by them."""
        if not 0 <= seconds < math.inf:
            raise ValueError(f"Watch.shift seconds is {seconds!r}; give a finite number of at least 0")
        if self.state == "killed" or self.state == "over":
            return
        self._started += seconds
        self._late_at += seconds
        self._latest += seconds
        self._asked_again_at += seconds
        self._blocked += seconds
        self.deadline += seconds

    def elapsed(self, now: float) -> float:
        """Seconds that the attempt has taken at *now*, but for those in which the event loop was blocked."""
        return max(0.0, now - self._started)

    def info(
        self, now: float, progress: float | None, *, run_id: str, task: str, attempt: int, note: str | None = None
    ) -> RunInfo:
        """What an escalator is told at *now*."""
        return RunInfo(
            id=run_id,
            task=task,
            attempt=attempt,
            elapsed=self.elapsed(now),
            expected=self._critic.expected,
            idle_for=max(0.0, now - self._idle_since(progress) - self._blocked),
            left=max(0.0, self.deadline - now),
            note=note,
            nudges=self.nudges,
            extensions=self.extensions,
        )

    def _idle_since(self, progress: float | None) -> float:
        """Since when there is no progress: that of an attempt before does not count."""
        return progress if progress is not None and progress > self._idle_from else self._idle_from

    def __repr__(self) -> str:
        said = f", {self.killed}" if self.killed is not None else ""
        return f"<Watch: {self.state}, deadline {self.deadline:.3f}{said}>"
