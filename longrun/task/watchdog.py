"""Watchdog: a thread that says where the event loop stands still. Work that blocks it cannot be ended from inside."""

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from time import monotonic

from longrun.clock import is_virtual
from longrun.events import Event, LoopBlocked

_log = logging.getLogger("longrun.watchdog")

#: The event loop shows that it moves so many times per second, and in any time that is too long. The thread looks as
#: often.
BEATS = 4


class Watchdog:
    """Reports when the event loop has not moved for *limit* seconds, while it still stands: with the stack of its
    thread, as a log record of the thread and, when it moves again, as an event. Once for each block."""

    def __init__(self, limit: float, tell: Callable[[Event], None]) -> None:
        self._limit = limit
        self._every = min(1.0, limit) / BEATS
        self._tell = tell
        self._beat = 0.0
        self._blocked: str | None = None
        self._closed = threading.Event()
        self._loop_thread = 0
        self._thread: threading.Thread | None = None

    def open(self) -> float:
        """Begin, from the event loop's own thread. Returns how often :meth:`beat` is to be called, in seconds; ``inf``
        under virtual time, where nothing can block."""
        if is_virtual():
            return float("inf")
        self._loop_thread = threading.get_ident()
        self._beat = monotonic()
        self._thread = threading.Thread(target=self._watch, name="longrun watchdog", daemon=True)
        self._thread.start()
        return self._every

    def beat(self) -> None:
        """The event loop moves."""
        now = monotonic()
        stack, self._blocked = self._blocked, None
        seconds, self._beat = now - self._beat, now
        if stack is not None:
            self._tell(LoopBlocked("runner", seconds, stack))

    def close(self) -> None:
        """End."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._every):
            silent = monotonic() - self._beat
            if silent >= self._limit and self._blocked is None:
                self._blocked = stack = _stack_of_thread(self._loop_thread)
                _log.error("the event loop has not moved for %.1f s; it stands at:\n%s", silent, stack)


def _stack_of_thread(ident: int) -> str:
    frame = sys._current_frames().get(ident)
    return "(the thread is gone)" if frame is None else "".join(traceback.format_stack(frame)).rstrip()
