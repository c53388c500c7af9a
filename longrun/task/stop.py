"""Stop: one stop of a runner, as a ladder - drain, then cancel, then abandon."""

from collections.abc import Callable

import anyio

from longrun.events import Event, RunAbandoned, RunsCancelled
from longrun.task.flights import Flights
from longrun.task.stack import stack_of


class Stop:
    """Asked for once or more; the first reason stays. *timeout* seconds are shared out over the whole of it.

    Runs in flight may use seven tenths of the time; cancelled ones get a tenth (at most 5 s) to clean up, and the
    hooks what is left, so that a slow run never takes their turn.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.longest_drain = 0.7 * timeout
        self.grace = min(5.0, 0.1 * timeout)
        self.reason: str | None = None
        self.drain = 0.0
        self._begun_at: float | None = None
        self._drain_until = 0.0
        self._draining: anyio.CancelScope | None = None

    def ask(self, reason: str, drain: float) -> None:
        """Keep the first *reason* and its *drain*."""
        if self.reason is None:
            self.reason, self.drain = reason, drain

    def begin(self, now: float) -> None:
        """The runner stops from *now* on."""
        self._begun_at = now
        self._drain_until = now + self.drain

    def shorten(self, until: float) -> None:
        """Drain no longer than *until*; a later instant changes nothing."""
        self._drain_until = min(self._drain_until, until)
        if self._draining is not None:
            self._draining.deadline = self._drain_until

    def hooks_deadline(self, now: float) -> float:
        """When the shutdown hooks must have ended."""
        return (now if self._begun_at is None else self._begun_at) + self.timeout

    async def climb(self, quiet: anyio.Event, flights: Flights, tell: Callable[[Event], None]) -> tuple[str, ...]:
        """Wait until nothing of *flights* is left, ever less patiently; the names of those that would not end."""
        with anyio.CancelScope(deadline=self._drain_until) as self._draining:
            await quiet.wait()
        running = flights.running
        if running:
            tell(RunsCancelled("runner", tuple(running)))
            for flight in tuple(running.values()):
                flights.end(flight, "stopped", self.reason or "")
            with anyio.move_on_after(self.grace):
                await quiet.wait()
        for flight in tuple(running.values()):
            stack = stack_of(flight.coroutine) if flight.coroutine is not None else "(not started)"
            tell(RunAbandoned(flight.unit.name, flight.run.id, stack))
        return tuple(running)
