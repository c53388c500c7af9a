"""instant: waits between attempts take no time."""

from collections.abc import Iterator
from contextlib import contextmanager

from longrun.clock import no_waits


@contextmanager
def instant() -> Iterator[None]:
    """No pause is made between attempts of calls, and of tasks started, inside; decisions and events are the same."""
    token = no_waits.set(True)
    try:
        yield
    finally:
        no_waits.reset(token)
