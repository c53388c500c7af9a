"""Signals: the first SIGINT or SIGTERM asks for a stop, a second one ends the process at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

FORCED = 130
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping_by_signal(stop: Callable[[str], object]) -> Iterator[None]:
    """While inside, the first signal calls ``stop(name)`` in the event loop; the second leaves with 130.

    Plain handlers instead of the event loop's own: they run even when the loop is blocked by somebody's code, so that a
    second Ctrl-C always works. To be entered in the event loop, in the main thread; elsewhere it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    in_loop = _in_loop()
    asked: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        asked.append(number)
        if len(asked) > 1:
            with suppress(OSError):  # nobody may be there to read it
                os.write(2, f"forced to end by a second signal ({name})\n".encode())
            os._exit(FORCED)
        in_loop(lambda: stop(name))

    former = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _in_loop() -> Callable[[Callable[[], object]], None]:
    """How a signal handler gets a callable into the running event loop, and wakes it."""
    trio = sys.modules.get("trio")  # whoever runs on trio has imported it
    if trio is not None and trio.lowlevel.in_trio_run():
        token = trio.lowlevel.current_trio_token()
        return lambda call: token.run_sync_soon(call, idempotent=False)
    import asyncio

    loop = asyncio.get_running_loop()
    return lambda call: None if loop.is_closed() else _discard(loop.call_soon_threadsafe(call))


def _discard(_handle: object) -> None:
    """The handle of a call that nobody cancels."""
