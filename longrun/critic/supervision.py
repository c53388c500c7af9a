"""Supervision: what is done about attempts under watch - their critics are asked, and their answers take effect."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup

from longrun.clock import Clock
from longrun.critic.critic import Critic
from longrun.critic.info import RunInfo
from longrun.critic.watch import Watch
from longrun.errors import EscalatorError
from longrun.events import EscalatorFailed, Event, KillOrdered, RunExtended, RunNudged, RunStalled


class Watched(Protocol):
    """The run of an attempt, as far as its critic is told of it: :class:`longrun.task.run.Run` is one."""

    nudges: tuple[str, ...]

    @property
    def id(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def note(self) -> str | None: ...
    @property
    def last_progress(self) -> float | None: ...


class Subject(Protocol):
    """An attempt that may be watched. *consult* is the scope of the consult under way, for who ends the attempt."""

    consult: CancelScope | None

    @property
    def run(self) -> Watched: ...

    @property
    def critic(self) -> Critic | None: ...

    @property
    def watch(self) -> Watch | None: ...


S = TypeVar("S", bound=Subject)


class Supervision(Generic[S]):
    """*tell* hears what critics do; *judged* is called with whom a critic, or its deadline, has changed the time of.

    Each consult is a task of its own in *tg*, so that an escalator that hangs holds up nobody.
    """

    def __init__(self, tg: TaskGroup, clock: Clock, tell: Callable[[Event], None], judged: Callable[[S], None]) -> None:
        self._tg = tg
        self._clock = clock
        self._tell = tell
        self._judged = judged
        self._asking: dict[RunInfo, None] = {}
        self._silent: anyio.Event | None = None

    async def end(self, grace: float) -> tuple[str, ...]:
        """Nobody is watched any more: wait for the escalators, *grace* seconds at most.

        Returns who still asks: these escalators ignore their cancellation.
        """
        with anyio.move_on_after(grace):
            while self._asking:
                self._silent = anyio.Event()
                await self._silent.wait()
        return tuple(f"critic of {info.task}" for info in self._asking)

    def look(self, subject: S, now: float) -> None:
        """Ask the critic when *subject* has stalled; kill it when its deadline has passed."""
        watch, critic, run = subject.watch, subject.critic, subject.run
        assert watch is not None and critic is not None  # noqa: PT018 - one fact: it is watched
        stalled_before = watch.stalled
        finding = watch.look(now, run.last_progress)
        if watch.stalled and not stalled_before:
            info = _info(run, watch, now)
            self._tell(RunStalled(run.task, run.id, info.elapsed, info.idle_for))
        if finding == "expired":
            reason = f"still running at its deadline, {watch.elapsed(now):.3g} s after its start"
            if watch.kill(reason, now):
                self._tell(KillOrdered(run.task, run.id, reason, "deadline"))
                self._judged(subject)
        elif finding == "stalled":
            self._tg.start_soon(self._ask, subject, watch, critic, _info(run, watch, now), name=f"critic of {run.task}")

    def killed(self, subject: S, reason: str, by: str) -> None:
        """Somebody else has killed *subject*: its critic has nothing more to say."""
        if subject.watch is not None:
            subject.watch.kill(reason, self._clock.now())
        self._tell(KillOrdered(subject.run.task, subject.run.id, reason, by))

    async def _ask(self, subject: S, watch: Watch, critic: Critic, info: RunInfo) -> None:
        if watch.state != "consulting":  # the attempt has ended before anybody could be asked
            return
        scope = subject.consult = CancelScope()
        self._asking[info] = None
        try:
            with scope:
                answer = await critic.consult(info)
        finally:
            del self._asking[info]
            if self._silent is not None and not self._asking:
                self._silent.set()
        if subject.consult is scope:
            subject.consult = None
        if scope.cancel_called or watch.killed is not None:  # the attempt has ended meanwhile
            return
        now, run = self._clock.now(), subject.run
        if isinstance(answer, EscalatorError):
            watch.consulted(now, failed=True)
            self._tell(EscalatorFailed(run.task, run.id, answer))
        else:
            watch.consulted(now)
        if answer is not None and not isinstance(answer, EscalatorError):
            effect = watch.apply(answer, now)
            for message in effect.nudges:
                run.nudges = (*run.nudges, message)
                self._tell(RunNudged(run.task, run.id, message))
            if effect.extend > 0:
                self._tell(RunExtended(run.task, run.id, effect.extend, watch.deadline))
            if effect.killed is not None:
                self._tell(KillOrdered(run.task, run.id, effect.killed, "escalator"))
        self._judged(subject)


def _info(run: Watched, watch: Watch, now: float) -> RunInfo:
    return watch.info(now, run.last_progress, run_id=run.id, task=run.task, attempt=run.attempt, note=run.note)
