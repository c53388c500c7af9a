"""Ctrl-C in a command on a database."""

import os
import signal
import threading


def leave_on_a_signal() -> None:
    """From here on a signal ends the process at once with 130; the database rolls back what was not committed."""

    def leave(*_: object) -> None:
        try:
            os.write(2, b"interrupted\n")
        finally:
            os._exit(130)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, leave)
