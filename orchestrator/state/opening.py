"""The state of a service, opened where its settings say."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from longrun import AttemptStore, CheckpointStore, MemoryCheckpoints, SqliteAttempts, SqliteCheckpoints, StoreError
from orchestrator.contracts.errors import ContractError
from orchestrator.sql import SqlError, open_database
from orchestrator.sql.url import MEMORY, dialect, sqlite_path

#: Connections for the state: few, for it is written seldom, and by one at a time.
CONNECTIONS = 2


class StateError(ContractError):
    """What ``[orchestrator] state`` names cannot be used."""


@dataclass(frozen=True, slots=True)
class State:
    """*checkpoints*: where ``run.checkpoint`` is kept. *attempts*: where retries are; None: a restart begins anew."""

    checkpoints: CheckpointStore
    attempts: AttemptStore | None = None


@asynccontextmanager
async def opened_state(where: str | Path | None) -> AsyncIterator[State]:
    """The state in the SQLite file *where*, which may be one that others use too, or at the URL of a database.

    Without one, in memory. StateError when it cannot be used: it names the place and the remedy.
    """
    if where is None:
        yield State(MemoryCheckpoints())
        return
    async with AsyncExitStack() as stack:
        try:
            state = await _opened(stack, where)
        except (StoreError, SqlError, OSError) as error:
            raise StateError(f"[orchestrator] state: {error}") from error
        yield state


async def _opened(stack: AsyncExitStack, where: str | Path) -> State:
    if isinstance(where, str) and "://" in where:
        if dialect(where) == "postgresql":
            from orchestrator.state import postgres

            database = await stack.enter_async_context(open_database(where, size=CONNECTIONS))
            await database.migrate(postgres.BATTERY, postgres.STEPS)
            return State(postgres.PostgresCheckpoints(database), postgres.PostgresAttempts(database))
        where = sqlite_path(where)
        if where == MEMORY:
            return State(MemoryCheckpoints())
    path = Path(where)
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoints = await stack.enter_async_context(SqliteCheckpoints(path))
    return State(checkpoints, await stack.enter_async_context(SqliteAttempts(path)))
