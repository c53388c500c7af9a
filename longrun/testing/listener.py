"""RecordingListener: keeps every event, and lets a test wait for the one it is about."""

from collections.abc import Callable
from typing import TypeVar

import anyio

from longrun.events import Event

E = TypeVar("E", bound=Event)


class RecordingListener:
    """A listener for tests: ``events`` in order, ``of(type)``, and ``await seen(type)``."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news: anyio.Event | None = None

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        news, self._news = self._news, None
        if news is not None:
            news.set()

    def of(self, kind: type[E]) -> list[E]:
        """The events of this type so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def seen(self, kind: type[E], count: int = 1, where: Callable[[E], bool] = lambda _event: True) -> E:
        """Wait until *count* events of this type (for which *where* holds) have been seen; returns the last of them."""
        while True:
            found = [event for event in self.of(kind) if where(event)]
            if len(found) >= count:
                return found[count - 1]
            news = self._news = self._news or anyio.Event()  # one for all who wait
            await news.wait()
