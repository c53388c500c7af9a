"""How rounds reach the database."""

from typing import Protocol

from orchestrator.contracts import Database
from orchestrator.inbox.store.direct import Direct
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import Settled
from orchestrator.inbox.worker.round import Done, Round
from orchestrator.sql import Lane, Server, server_of


class Rounds(Protocol):
    """Carries out rounds, up to :attr:`most` at a time."""

    @property
    def most(self) -> int: ...
    async def __call__(self, work: Round) -> Done: ...
    def close(self) -> None: ...


class Units:
    """Each round is a unit of work of the database."""

    most = 1

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, work: Round) -> Done:
        """Raises what the database does."""
        return await self._database.transaction(work)

    def close(self) -> None:
        """Nothing is kept."""


class Lanes:
    """Rounds that are one statement, which nearly all are, go by lanes; the server does one while we are at another."""

    most = 2

    def __init__(self, server: Server, store: Direct, units: Units) -> None:
        self._server = server
        self._store = store
        self._units = units
        self._free: list[Lane] = []

    async def __call__(self, work: Round) -> Done:
        """Raises what the database does."""
        query = None
        if work.is_turn:
            outcomes = [Settled(each.execution.claimed.hold, each.outcome) for each in work.ended]
            query = self._store.turning(outcomes, work.request)
        if query is None:
            return await self._units(work)
        lane = self._free.pop() if self._free else self._server.lane(self._store.settling)
        try:
            turn = query.read(await lane.fetch(query.statement, query.values))
        finally:
            self._free.append(lane)
        return Done(turn, None, None, None)

    def close(self) -> None:
        """Close the connections; when no round is under way."""
        for lane in self._free:
            lane.close()


def rounds(database: Database, store: Store) -> Rounds:
    """For this kind of database."""
    units, server = Units(database), server_of(database)
    return Lanes(server, store, units) if server is not None and isinstance(store, Direct) else units
