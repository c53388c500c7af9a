"""State shared by name: options of one kind with one name and the same settings are one state in the process."""

from collections.abc import Callable
from threading import Lock
from typing import TypeVar, cast

from longrun.errors import PipelineError

S = TypeVar("S")

_lock = Lock()
_states: dict[tuple[str, str], tuple[object, object]] = {}


def shared(kind: str, name: str, settings: object, make: Callable[[], S]) -> S:
    """The state of *kind* called *name*, made by *make* when it is first asked for.

    PipelineError when the name is known with other *settings*: two parts of a program would believe in two limits.
    """
    if not isinstance(name, str) or not name:
        raise PipelineError(f"{kind} name is {name!r}; give a short text, for example the upstream that it protects")
    with _lock:
        known = _states.get((kind, name))
        if known is None:
            known = _states[kind, name] = (settings, make())
        elif known[0] != settings:
            raise PipelineError(
                f"{kind} {name!r} exists with other settings: {known[0]}, and now {settings}; "
                "use the same settings everywhere, or another name"
            )
        return cast("S", known[1])


def swap(states: dict[tuple[str, str], tuple[object, object]]) -> dict[tuple[str, str], tuple[object, object]]:
    """Put *states* in the place of all that is shared, and return what was there; for tests."""
    with _lock:
        former = dict(_states)
        _states.clear()
        _states.update(states)
        return former
