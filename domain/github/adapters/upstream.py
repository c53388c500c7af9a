"""Where the API is: the configured address, or a sandbox forge that is started for this service."""

import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The forge to start: see ``[sandbox]``."""

    port: int = 0
    seed: int = 1
    extra_issues: int = 0
    alive: bool = True
    state_file: str = ""


class Upstream:
    """An async context manager; *base_url* is what to call, known once it is entered.

    Without *sandbox* it does nothing. With it, the forge runs from entering to leaving.
    """

    def __init__(self, base_url: str, sandbox: Sandbox | None = None) -> None:
        self._base_url = base_url
        self._sandbox = sandbox
        self._running = AsyncExitStack()

    def base_url(self) -> str:
        """The address of the API."""
        return self._base_url

    async def __aenter__(self) -> Self:
        if self._sandbox is not None:
            self._base_url = await _started(self._sandbox, self._running)
            _log.info("sandbox.started", extra={"url": self._base_url, "comments": f"{self._base_url}/_forge/comments"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._running.__aexit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<Upstream {self._base_url}{' (sandbox)' if self._sandbox else ''}>"


async def _started(sandbox: Sandbox, running: AsyncExitStack) -> str:
    # Imported here: a service that uses the real GitHub needs no web server.
    from domain.github.adapters.forge import SANDBOX, Forge, World, serving

    state_file = Path(sandbox.state_file) if sandbox.state_file else None
    if state_file is not None:
        state_file.parent.mkdir(parents=True, exist_ok=True)
    world = World.seeded(seed=sandbox.seed, extra_issues=sandbox.extra_issues)
    forge = Forge(world, state_file=state_file)
    return await running.enter_async_context(
        serving(forge, port=sandbox.port, scenario=SANDBOX if sandbox.alive else None)
    )
