"""From a handler to what an execution needs of it, put together once."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from orchestrator.inbox.worker.handlers import Handler, Handlers
from orchestrator.inbox.worker.limits import Limits
from orchestrator.inbox.worker.payloads import Read, reader

if TYPE_CHECKING:
    from longrun.critic.critic import Critic


class Route:
    """Where the runs of a type go."""

    __slots__ = ("critic", "read", "timeout", "watched", "work")

    def __init__(self, handler: Handler) -> None:
        self.work: Callable[[Any], Awaitable[object]] = handler.work
        self.timeout = handler.timeout
        self.read: Read = reader(handler.payload, handler.type)
        self.critic: Critic | None = None
        if handler.stall is not None:
            from orchestrator.critics import critic_of  # only where something is watched

            self.critic = critic_of(handler.stall)
        self.watched = self.timeout is not None or self.critic is not None


async def _nobody(run: object) -> None:
    raise AssertionError(f"{run} is given back and not run")


class Routes:
    """The routes of *handlers*, found by type."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._routes = {kind: Route(handlers[kind]) for kind in handlers.types}
        self._of_handlers: dict[str, Route] = {}
        for prefix in handlers.prefixes:  # what is wrong with one is found now
            found = handlers.find(prefix)
            if found is not None:
                self._of_handlers[found.type] = Route(found)
        self.nowhere = Route(Handler("nowhere", _nobody))
        """For what is given back at once."""
        self.excluded: list[str] = []
        """Types that a prefix brings and nobody here handles."""
        self.registered = False
        """The types are in the registry."""
        limits = {kind: handlers[kind].limit for kind in handlers.types}
        self.limits = Limits({kind: limit for kind, limit in limits.items() if limit is not None})

    def find(self, kind: str) -> Route | None:
        """The route of *kind*; None when nobody handles it."""
        route = self._routes.get(kind)
        if route is None:
            handler = self._handlers.find(kind)
            if handler is not None and handler.prefix:
                route = self._of_handlers.get(handler.type)
                if route is None:
                    route = self._of_handlers[handler.type] = Route(handler)
        return route
