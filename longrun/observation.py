"""observe: hand every event of a pipeline to a listener."""

from longrun.errors import PipelineError
from longrun.events import Listener
from longrun.option import Part


class Observe(Part):
    """The option that :func:`observe` makes."""

    __slots__ = ("listener",)

    def __init__(self, listener: Listener) -> None:
        if not callable(listener):
            raise PipelineError(f"observe was given {listener!r}; give a callable (event) -> None")
        self.listener = listener


def observe(listener: Listener) -> Observe:
    """Give *listener* one event per attempt and per decision. One that raises is logged and changes nothing."""
    return Observe(listener)
