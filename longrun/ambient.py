"""The ambient listener: who hears of the calls made below, without being an option of their pipelines.

It is asked for on the failure path only, so a call that succeeds at once costs the same with and without it.
"""

from contextvars import ContextVar

from longrun.events import Listener

#: Set by a recording ``trace`` around the call that it wraps; child tasks of the call inherit it.
ambient: ContextVar[Listener | None] = ContextVar("longrun_ambient_listener", default=None)


def with_ambient(listeners: tuple[Listener, ...]) -> tuple[Listener, ...]:
    """*listeners*, and the ambient one when there is one."""
    heard = ambient.get()
    return listeners if heard is None else (*listeners, heard)
