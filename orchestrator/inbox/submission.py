"""The storing of intents that are submitted one by one, many in one statement."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled

from longrun.backend import running_asyncio
from orchestrator.contracts import Database
from orchestrator.inbox.errors import InboxError, InvalidIntent
from orchestrator.inbox.store.direct import Direct
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import NewRun, Stored
from orchestrator.sql import Lane, Server, SqlError, server_of

T = TypeVar("T")

#: Intents in one statement.
LARGEST = 1000

#: Characters of payloads in one statement, give or take the last one.
LARGEST_SIZE = 4 * 1024 * 1024


class Submitted(str):
    """The id of a run, and whether the run was there already: *existed* is True when its key was taken."""

    __slots__ = ("existed",)
    existed: bool

    @classmethod
    def of(cls, stored: Stored) -> "Submitted":
        """What became of a submit."""
        self = cls(stored.id)
        self.existed = stored.existed
        return self


class _Batch:
    __slots__ = ("before", "begun", "done", "outcomes", "runs", "size")

    def __init__(self, run: NewRun, before: "_Batch | None") -> None:
        self.runs = [run]
        self.size = len(run.payload)
        self.before = before
        self.begun = False
        self.done = anyio.Event()
        self.outcomes: Sequence[Stored | Exception] | None = None


class Submissions:
    """Stores runs. Those that arrive while a statement is under way share the next one, so nobody waits for company.

    A commit is one wait for the disk; so shared, a busy producer pays it once for many. *stored* is called once for
    each statement with its new runs, after the commit.
    """

    def __init__(self, database: Database, store: Store, stored: Callable[[Sequence[NewRun]], None]) -> None:
        self._database = database
        self._store = store
        self._stored = stored
        self._last: _Batch | None = None
        self._lane_of: tuple[Server, Lane] | None = None
        self._writing: set[object] = set()

    async def __call__(self, run: NewRun) -> Stored:
        """Store *run*. Cancelled before, nothing is stored; cancelled meanwhile, all the same it is, and others' too.

        Raises what the database says of this run, and SqlError.
        """
        await checkpoint_if_cancelled()
        batch = self._last
        if batch is None or batch.begun or len(batch.runs) >= LARGEST or batch.size >= LARGEST_SIZE:
            place = 0
            batch = self._last = _Batch(run, batch)
            await self._lead(batch)
        else:
            place = len(batch.runs)
            batch.runs.append(run)
            batch.size += len(run.payload)
            await batch.done.wait()
        if batch.outcomes is None:
            raise InboxError("the program ended while this intent was being stored; whether it was is unknown")
        outcome = batch.outcomes[place]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def many(self, runs: Sequence[NewRun]) -> Sequence[Stored]:
        """Store all of *runs* in one transaction, or none."""
        try:
            outcomes = await self._database.transaction(lambda connection: self._store.insert(connection, runs))
        except (SqlError, InboxError):
            raise
        except Exception as error:
            raise _refusal("one of the intents", error) from error
        self._tell(runs, outcomes)
        return outcomes

    async def _lead(self, batch: _Batch) -> None:
        with anyio.CancelScope(shield=True):
            loop = running_asyncio()
            if loop is None:
                await self._write(batch)
                return
            # asyncio's own cancellation knows no shield of a scope; the others in the batch are not to suffer from it.
            import asyncio

            task = loop.create_task(self._write(batch))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
            await asyncio.shield(task)

    async def _write(self, batch: _Batch) -> None:
        try:
            if batch.before is not None and not batch.before.done.is_set():
                await batch.before.done.wait()
                await cancel_shielded_checkpoint()  # who was in it and submits again at once comes along
            batch.before = None
            batch.begun = True
            batch.outcomes = outcomes = await self._outcomes(batch.runs)
            self._tell(batch.runs, outcomes)
        finally:
            batch.begun = True
            batch.done.set()
            if self._last is batch:
                self._last = None  # its payloads may be megabytes

    async def _outcomes(self, runs: Sequence[NewRun]) -> Sequence[Stored | Exception]:
        try:
            return await self._insert(runs)
        except (SqlError, InboxError) as error:
            if isinstance(error, SqlError) or len(runs) == 1:
                return [error] * len(runs)
        except Exception as error:  # noqa: BLE001 - each of those who share the statement raises its own
            if len(runs) == 1:
                return [_refusal(f"intent {runs[0].type!r}", error)]
        return [
            (await self._outcomes([run]))[0] for run in runs
        ]  # somebody's is refused; it must not be the others' loss

    async def _insert(self, runs: Sequence[NewRun]) -> Sequence[Stored]:
        server = server_of(self._database)
        if server is None or not isinstance(self._store, Direct):
            return await self._unit(runs)
        query = self._store.inserting(runs)
        new = query.read(await self._lane(server, self._store).fetch(query.statement, query.values))
        found = {run.id: Stored(run.id, existed=False) for run in runs if run.id in new}
        if len(found) < len(runs):  # some have a key that is taken
            others = [run for run in runs if run.id not in new]
            found.update(zip((run.id for run in others), await self._unit(others), strict=True))
        return [found[run.id] for run in runs]

    async def _unit(self, runs: Sequence[NewRun]) -> Sequence[Stored]:
        return await self._database.transaction(lambda connection: self._store.insert(connection, runs))

    def _lane(self, server: Server, store: Direct) -> Lane:
        if self._lane_of is None or self._lane_of[0] is not server:  # opened again with its service
            self._lane_of = (server, server.lane(store.session))
        return self._lane_of[1]

    def _tell(self, runs: Sequence[NewRun], outcomes: Sequence[Stored | Exception]) -> None:
        new = [
            run
            for run, outcome in zip(runs, outcomes, strict=True)
            if isinstance(outcome, Stored) and not outcome.existed
        ]
        if new:
            self._stored(new)


def _refusal(what: str, error: Exception) -> InvalidIntent:
    said = " ".join(str(error).split()) or type(error).__name__
    refusal = InvalidIntent(f"{what} was refused by the database: {said}; nothing was stored")
    refusal.__cause__ = error
    return refusal
