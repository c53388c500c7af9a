"""How new runs reach the database."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import anyio

from orchestrator.contracts import Database
from orchestrator.inbox.store.direct import Direct
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import NewRun, Stored
from orchestrator.sql import DatabaseBusy, Lane, Server, server_of


class Occupied(Exception):
    """A key is another transaction's that is still open: who needs it waits for that one alone."""


class Writing(Protocol):
    """Stores runs in one transaction, or none of them; raises what the database does."""

    async def some(self, runs: Sequence[NewRun]) -> Sequence[Stored]:
        """Those of one statement."""
        ...

    async def all(self, chunks: Iterable[Sequence[NewRun]]) -> Sequence[Stored]:
        """All of *chunks*, which are made here, each when there is time for it."""
        ...


class Units:
    """By units of work of the database."""

    def __init__(self, database: Database, store: Store) -> None:
        self._database = database
        self._store = store

    async def some(self, runs: Sequence[NewRun]) -> Sequence[Stored]:
        """See :class:`Writing`."""
        return await self._database.transaction(lambda connection: self._store.insert(connection, runs))

    async def all(self, chunks: Iterable[Sequence[NewRun]]) -> Sequence[Stored]:
        """See :class:`Writing`."""
        return await self.some([run for chunk in chunks for run in chunk])


class Express:
    """By a lane of its own on PostgreSQL. *keyed*: the runs have keys.

    Raises Occupied, with nothing stored, when one of the keys does not become free at once.
    """

    def __init__(self, database: Database, store: Direct, units: Units, *, keyed: bool) -> None:
        self._database = database
        self._store = store
        self._units = units
        self._keyed = keyed
        self._lane_of: tuple[Server, Lane] | None = None
        self._turn = anyio.Lock(fast_acquire=True)  # what it is taken for waits for the server all the same

    async def some(self, runs: Sequence[NewRun]) -> Sequence[Stored]:
        """See :class:`Writing`. Runs whose key is taken cost a unit of work more."""
        query = self._store.inserting(runs)
        try:
            async with self._turn:
                new = query.read(await self._lane.fetch(query.statement, query.values))
        except DatabaseBusy as error:
            if not self._keyed:
                raise
            raise Occupied from error
        if len(new) == len(runs):
            return [Stored(run.id, existed=False) for run in runs]
        others = [run for run in runs if run.id not in new]
        known = dict(zip((run.id for run in others), await self._units.some(others), strict=True))
        return [known.get(run.id) or Stored(run.id, existed=False) for run in runs]

    async def all(self, chunks: Iterable[Sequence[NewRun]]) -> Sequence[Stored]:
        """See :class:`Writing`. The runs have no keys. A chunk is made while the server stores the one before."""
        stored: list[Stored] = []
        async with self._turn, (lane := self._lane).transaction():
            for chunk in chunks:
                query = self._store.inserting(chunk)
                if stored:
                    await lane.rows()
                await lane.send(query.statement, query.values)
                stored += [Stored(run.id, existed=False) for run in chunk]
            if stored:
                await lane.rows()
        return stored

    @property
    def _lane(self) -> Lane:
        server = server_of(self._database)
        assert server is not None, "only PostgreSQL has a store of statements"
        if self._lane_of is None or self._lane_of[0] is not server:  # opened again with its service
            self._lane_of = (server, server.lane(self._store.keyed if self._keyed else self._store.session))
        return self._lane_of[1]


def writing(database: Database, store: Store, *, keyed: bool = False) -> Writing:
    """For this kind of database; *keyed* as for :class:`Express`."""
    units = Units(database, store)
    return Express(database, store, units, keyed=keyed) if isinstance(store, Direct) else units
