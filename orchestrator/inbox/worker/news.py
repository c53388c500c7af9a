"""What wakes a poller: the bell of its process, the notifications of PostgreSQL, the pulse of a SQLite file."""

import logging
from collections.abc import Callable

import anyio

from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.wakeup import CANCELLED, channel
from orchestrator.sql import Listening, Server, schema_of, server_of

#: Seconds between two looks while nothing would be heard.
DEAF_INTERVAL = 0.2

#: Looks at the pulse of a file in the time of one whole look at its backlog.
PULSES = 20


class News:
    """*claim* is called when there may be something to claim, *look_after* when one of the held runs may be cancelled.

    *idle* tells whether a look at the pulse could be of use.
    """

    def __init__(
        self,
        inbox: Inbox,
        poll_interval: float,
        claim: Callable[[], None],
        look_after: Callable[[], None],
        idle: Callable[[], bool],
        logger: logging.Logger,
    ) -> None:
        self.pulse: object = None
        """What the last transaction has seen; told by who claims."""
        self._inbox = inbox
        self._poll_interval = poll_interval
        self._claim = claim
        self._look_after = look_after
        self._idle = idle
        self._logger = logger
        self._server = server_of(inbox.database)
        self._channel = channel(schema_of(inbox.database))
        self._listening: Listening | None = None
        self._bell = inbox.bell.rings
        self._cancellations = inbox.cancellations

    @property
    def interval(self) -> float:
        """Seconds until somebody has to look who heard nothing."""
        if self._server is not None and (self._listening is None or not self._listening.up):
            return min(DEAF_INTERVAL, self._poll_interval)
        return self._poll_interval

    async def follow(self) -> None:
        """Listen, for ever."""
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._hear_the_bell)
            if self._server is not None:
                tg.start_soon(self._listen, self._server)
            else:
                tg.start_soon(self._feel_the_pulse)

    async def _hear_the_bell(self) -> None:
        while True:
            await self._inbox.bell.wait(self._bell)
            self._bell = self._inbox.bell.rings
            if self._cancellations != self._inbox.cancellations:
                self._cancellations = self._inbox.cancellations
                self._look_after()
            self._claim()

    async def _listen(self, server: Server) -> None:
        async with server.listen([self._channel], self._heard) as self._listening:
            await anyio.sleep_forever()

    def _heard(self, _: str, payload: str) -> None:
        if payload == CANCELLED:
            self._look_after()
        else:
            self._claim()

    async def _feel_the_pulse(self) -> None:
        while True:
            await anyio.sleep(self._poll_interval / PULSES)
            if not self._idle():
                continue
            try:
                pulse = await self._inbox.database.read(self._inbox.store.pulse)
            except Exception as error:  # noqa: BLE001 - who claims meets it as well, and knows what to do
                self._logger.debug("inbox.pulse_failed: %s", error)
                self._claim()
            else:
                if pulse is None or pulse != self.pulse:
                    self._claim()
