"""A wake-up that is never missed."""

import anyio


class Bell:
    """Rung when there may be work; who waits names the last ring it knows of, so none between is lost."""

    def __init__(self) -> None:
        self.rings = 0
        self._event = anyio.Event()

    def ring(self) -> None:
        """Wake all who wait. From the event loop's own thread."""
        self.rings += 1
        event, self._event = self._event, anyio.Event()
        event.set()

    async def wait(self, known: int) -> None:
        """Return when it was rung after ring number *known*."""
        while self.rings == known:
            await self._event.wait()
