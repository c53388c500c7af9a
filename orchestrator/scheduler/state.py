"""State: what a service remembers over restarts - where work got to, and how long failures have to wait."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from longrun import AttemptStore, CheckpointStore, MemoryCheckpoints, SqliteAttempts, SqliteCheckpoints, StoreError
from orchestrator.contracts.errors import ContractError


class StateError(ContractError):
    """The file that ``[orchestrator] state`` names cannot be used."""


@dataclass(frozen=True, slots=True)
class State:
    """*checkpoints*: where ``run.checkpoint`` is kept. *attempts*: where retries are; None: a restart begins anew."""

    checkpoints: CheckpointStore
    attempts: AttemptStore | None = None


@asynccontextmanager
async def opened_state(path: Path | None) -> AsyncIterator[State]:
    """The state in the SQLite file *path*, which may be one that others use too; without one, in memory.

    StateError when the file cannot be used: it names the file and the remedy.
    """
    if path is None:
        yield State(MemoryCheckpoints())
        return
    async with AsyncExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            checkpoints = await stack.enter_async_context(SqliteCheckpoints(path))
            attempts = await stack.enter_async_context(SqliteAttempts(path))
        except (StoreError, OSError) as error:
            raise StateError(f"[orchestrator] state: {error}") from error
        yield State(checkpoints, attempts)
