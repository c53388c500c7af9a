"""Ready-made escalators. They remember by run id, over the attempts of a run and until it ends."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from longrun.critic.decision import Decision, ExtendBy, Kill
from longrun.critic.info import RunInfo
from longrun.durations import Duration
from longrun.durations import seconds as checked

#: Decides what is done about a stalled run; None is nothing. It may have a method ``forget(run_id: str) -> None``,
#: which is called once a run that has stalled has ended, and not only an attempt of it.
Escalator: TypeAlias = Callable[[RunInfo], Awaitable[Decision | None]]


class Ladder:
    """One step per consult of a run: ``Ladder(Nudge("still there?"), ExtendBy(60), Kill("stalled"))``.

    The critic's ``tick`` is the time between two steps. Behind the last step the deadline decides; a Kill as the last
    step stays, so that the next attempt of the run is killed as soon as it stalls. ValueError without steps, for a step
    that is no decision, and for steps behind a Kill.
    """

    __slots__ = ("_steps", "_taken")

    def __init__(self, *steps: Decision) -> None:
        if not steps:
            raise ValueError("Ladder has no steps; give decisions such as Nudge(...), ExtendBy(...), Kill(...)")
        for place, step in enumerate(steps, 1):
            if not isinstance(step, Decision):
                raise ValueError(f"Ladder step {place} is {step!r}; give a Nudge, an ExtendBy, a Kill, or some with |")
            if step.killed is not None and place < len(steps):
                raise ValueError(f"Ladder step {place} is {step!r}, so step {place + 1} is never reached; put it last")
        self._steps = steps
        self._taken: dict[str, int] = {}

    async def __call__(self, info: RunInfo) -> Decision | None:
        taken = self._taken.get(info.id, 0)
        if taken < len(self._steps):
            self._taken[info.id] = taken + 1
            return self._steps[taken]
        top = self._steps[-1]
        return top if top.killed is not None else None

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self._taken.pop(run_id, None)

    def __repr__(self) -> str:
        return f"Ladder({', '.join(map(repr, self._steps))})"


class ExtendOnce:
    """The first time a run stalls it may go on for *seconds* from then on; after that the deadline decides.

    ValueError for *seconds* that are not above 0.
    """

    __slots__ = ("_extension", "_granted")

    def __init__(self, seconds: Duration) -> None:
        self._extension = ExtendBy(checked(seconds, "ExtendOnce seconds"))
        self._granted: set[str] = set()

    async def __call__(self, info: RunInfo) -> Decision | None:
        if info.id in self._granted:
            return None
        self._granted.add(info.id)
        return self._extension

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self._granted.discard(run_id)

    def __repr__(self) -> str:
        return f"ExtendOnce({self._extension.extend:g})"


class KillAfter:
    """Kills a run at the consult number *stalls*: 1 as soon as it stalls, n when it is still, or again, stalled n - 1
    ticks later; from then on at every consult of the run. *reason*: by default how late and how silent the run is.

    ValueError for *stalls* that is no whole number of at least 1, and for a blank *reason*.
    """

    __slots__ = ("_asked", "_kill", "_stalls")

    def __init__(self, stalls: int = 1, reason: str | None = None) -> None:
        if isinstance(stalls, bool) or not isinstance(stalls, int) or stalls < 1:
            raise ValueError(f"KillAfter stalls is {stalls!r}; give a whole number of at least 1")
        self._stalls = stalls
        self._kill = None if reason is None else Kill(reason)
        self._asked: dict[str, int] = {}

    async def __call__(self, info: RunInfo) -> Decision | None:
        asked = self._asked[info.id] = self._asked.get(info.id, 0) + 1
        if asked < self._stalls:
            return None
        return self._kill or Kill(_why(info))

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self._asked.pop(run_id, None)

    def __repr__(self) -> str:
        return f"KillAfter({self._stalls})" if self._kill is None else f"KillAfter({self._stalls}, {self._kill!r})"


def _why(info: RunInfo) -> str:
    last = f", the last one was {info.note!r}" if info.note is not None else ""
    return (
        f"stalled after {info.elapsed:.1f} s of {info.expected:g} s expected, "
        f"{info.idle_for:.1f} s without progress{last}"
    )
