"""The checkpoint of a run, kept with the run: longrun's port of checkpoint stores over one hold."""

from orchestrator.contracts import Database
from orchestrator.inbox.errors import LeaseLost
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import Hold


class HeldCheckpoint:
    """What the run under *hold* keeps. Writing is fenced: LeaseLost when somebody else has the run by now."""

    def __init__(self, database: Database, store: Store, hold: Hold) -> None:
        self._database = database
        self._store = store
        self._hold = hold

    async def save(self, key: str, state: bytes) -> None:  # noqa: ARG002 - the hold says whose it is
        """See :class:`longrun.checkpoint.CheckpointStore`."""
        await self._keep(state)

    async def load(self, key: str) -> bytes | None:  # noqa: ARG002 - the hold says whose it is
        """See :class:`longrun.checkpoint.CheckpointStore`."""
        return await self._database.read(lambda connection: self._store.checkpoint(connection, self._hold.run_id))

    async def delete(self, key: str) -> None:  # noqa: ARG002 - the hold says whose it is
        """See :class:`longrun.checkpoint.CheckpointStore`."""
        await self._keep(None)

    async def _keep(self, state: bytes | None) -> None:
        if not await self._database.transaction(lambda connection: self._store.keep(connection, self._hold, state)):
            raise LeaseLost(self._hold.run_id, self._hold.worker, self._hold.fence)

    def __repr__(self) -> str:
        return f"the run {self._hold.run_id}"
