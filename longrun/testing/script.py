"""Script: work that does what the test says, one step per call."""

from typing import Any

import anyio


class ScriptedFailure(Exception):
    """What the step ``"fail"`` raises: an error of no known kind."""


class Hang:
    """A step that never ends by itself."""


class Script:
    """An async callable: an exception is raised, ``"fail"`` raises :class:`ScriptedFailure`, ``Hang()`` waits for ever,
    a float sleeps so many seconds, anything else is returned. The last step repeats.

    ``calls`` counts, ``started`` holds the instants of the calls on the event loop's clock.
    """

    def __init__(self, *steps: object) -> None:
        if not steps:
            raise ValueError("a Script needs at least one step")
        self._steps = steps
        self.started: list[float] = []

    @property
    def calls(self) -> int:
        """How often the script was called."""
        return len(self.started)

    async def __call__(self) -> Any:  # noqa: ANN401 - a step returns what the test wrote
        step = self._steps[min(self.calls, len(self._steps) - 1)]
        self.started.append(anyio.current_time())
        if isinstance(step, Hang):
            await anyio.sleep_forever()
        if isinstance(step, BaseException) or (isinstance(step, type) and issubclass(step, BaseException)):
            raise step
        if step == "fail":
            raise ScriptedFailure(f"step {self.calls} of the script fails")
        if isinstance(step, float):
            await anyio.sleep(step)
        return step
