"""The storing of intents that are submitted one by one, many in one statement."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled

from longrun.backend import running_asyncio
from orchestrator.contracts import Database
from orchestrator.inbox.errors import InboxError, InvalidIntent
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import NewRun, Stored
from orchestrator.inbox.writing import Occupied, Units, Writing, writing
from orchestrator.sql import SqlError

T = TypeVar("T")

#: Intents in one statement.
LARGEST = 1000

#: Intents that are made while the server stores those before them, of many that are submitted together.
CHUNK = 250

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


class _Line:
    """Runs that are submitted one by one, in batches behind each other."""

    __slots__ = ("last", "writing")

    def __init__(self, writing: Writing) -> None:
        self.writing = writing
        self.last: _Batch | None = None


class Submissions:
    """Stores runs. Those that arrive while a statement is under way share the next one, so nobody waits for company.

    A commit is one wait for the disk; so shared, a busy producer pays it once for many. Runs whose key may be that of a
    transaction which is still open share none with those that have no key, and wait for it each alone. *stored* is
    called once for each statement with its new runs, after the commit.
    """

    def __init__(self, database: Database, store: Store, stored: Callable[[Sequence[NewRun]], None]) -> None:
        self._plain = _Line(writing(database, store))
        self._keyed = _Line(writing(database, store, keyed=True))
        self._together = writing(database, store)  # apart, so that a thousand do not hold up the one
        self._units = Units(database, store)
        self._stored = stored

    async def __call__(self, run: NewRun) -> Stored:
        """Store *run*. Cancelled before, nothing is stored; cancelled meanwhile, all the same it is, and others' too.

        Not so one that waits alone for another transaction with its key. Raises what the database says of this run, and
        SqlError.
        """
        await checkpoint_if_cancelled()
        line = self._plain if run.idempotency_key is None else self._keyed
        batch = line.last
        if batch is None or batch.begun or len(batch.runs) >= LARGEST or batch.size >= LARGEST_SIZE:
            place = 0
            batch = line.last = _Batch(run, batch)
            await _undisturbed(self._write(line, batch))
        else:
            place = len(batch.runs)
            batch.runs.append(run)
            batch.size += len(run.payload)
            await batch.done.wait()
        if batch.outcomes is None:
            raise InboxError("the program ended while this intent was being stored; whether it was is unknown")
        outcome = batch.outcomes[place]
        if isinstance(outcome, Occupied):
            outcome = await _undisturbed(self._alone(run))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def many(self, count: int, runs: Iterator[NewRun], *, keyed: bool) -> Sequence[Stored]:
        """Store all *count* of *runs* in one transaction, or none; *keyed*: some have keys. Cancelled, they are stored.

        Raises what *runs* do when they are made, InvalidIntent, and SqlError.
        """
        await checkpoint_if_cancelled()
        return await _undisturbed(self._many(count, runs, keyed=keyed))

    async def _many(self, count: int, runs: Iterator[NewRun], *, keyed: bool) -> Sequence[Stored]:
        made: list[NewRun] = []

        def chunks() -> Iterator[Sequence[NewRun]]:
            while chunk := list(islice(runs, CHUNK)):
                made.extend(chunk)
                yield chunk

        try:
            if keyed:  # whose keys are taken is asked in the same transaction
                stored = await self._units.all(chunks())
            elif count <= CHUNK:
                made.extend(runs)
                stored = await self._together.some(made)
            else:
                stored = await self._together.all(chunks())
        except (SqlError, InboxError):
            raise
        except Exception as error:
            raise _refusal("one of the intents", error) from error
        self._tell(made, stored)
        return stored

    async def _alone(self, run: NewRun) -> Stored | Exception:
        outcomes = await self._outcomes(self._units, [run])
        self._tell([run], outcomes)
        return outcomes[0]

    async def _write(self, line: _Line, batch: _Batch) -> None:
        try:
            if batch.before is not None and not batch.before.done.is_set():
                await batch.before.done.wait()
                await cancel_shielded_checkpoint()  # who was in it and submits again at once comes along
            batch.before = None
            batch.begun = True
            batch.outcomes = outcomes = await self._outcomes(line.writing, batch.runs)
            self._tell(batch.runs, outcomes)
        finally:
            batch.begun = True
            batch.done.set()
            if line.last is batch:
                line.last = None  # its payloads may be megabytes

    async def _outcomes(self, writing: Writing, runs: Sequence[NewRun]) -> Sequence[Stored | Exception]:
        try:
            return await writing.some(runs)
        except Occupied as error:
            if len(runs) == 1:
                return [error]
        except (SqlError, InboxError) as error:
            if isinstance(error, SqlError) or len(runs) == 1:
                return [error] * len(runs)
        except Exception as error:  # noqa: BLE001 - each of those who share the statement raises its own
            if len(runs) == 1:
                return [_refusal(f"intent {runs[0].type!r}", error)]
        return [
            (await self._outcomes(writing, [run]))[0] for run in runs
        ]  # somebody's is refused; it must not be the others' loss

    def _tell(self, runs: Sequence[NewRun], outcomes: Sequence[Stored | Exception]) -> None:
        new = [
            run
            for run, outcome in zip(runs, outcomes, strict=True)
            if isinstance(outcome, Stored) and not outcome.existed
        ]
        if new:
            self._stored(new)


#: An event loop refers to its tasks only weakly.
_at_it: set[object] = set()


async def _undisturbed(writing: Coroutine[Any, Any, T]) -> T:
    """What *writing* comes to, which goes on to its end whatever is cancelled meanwhile."""
    with anyio.CancelScope(shield=True):
        loop = running_asyncio()
        if loop is None:
            return await writing
        # asyncio's own cancellation knows no shield of a scope; the others in a batch are not to suffer from it.
        import asyncio

        task = loop.create_task(writing)
        _at_it.add(task)
        task.add_done_callback(_at_it.discard)
        return await asyncio.shield(task)
    raise AssertionError("nobody cancels this scope")


def _refusal(what: str, error: Exception) -> InvalidIntent:
    said = " ".join(str(error).split()) or type(error).__name__
    refusal = InvalidIntent(f"{what} was refused by the database: {said}; nothing was stored")
    refusal.__cause__ = error
    return refusal
