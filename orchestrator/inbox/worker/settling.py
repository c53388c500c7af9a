"""What becomes of outcomes: they are stored, refused because the lease was lost, kept for later, or dropped."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import anyio

from orchestrator.inbox.errors import LeaseLost
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.store.records import Failed, Hold
from orchestrator.inbox.wire import error_text, storable
from orchestrator.inbox.worker.executions import Ended
from orchestrator.inbox.worker.round import Round
from orchestrator.inbox.worker.statistics import Statistics
from orchestrator.sql import DatabaseBusy, SqlError, StatementTimeout, TransactionConflict, server_of


class Settling:
    """Counts and tells; *lease* in seconds."""

    def __init__(self, inbox: Inbox, statistics: Statistics, lease: float) -> None:
        self._inbox = inbox
        self._statistics = statistics
        self._lease = lease
        # What a lock on one row can bring about. A file is locked as a whole.
        busy = () if server_of(inbox.database) is None else (DatabaseBusy,)
        self._of_a_row = (StatementTimeout, TransactionConflict, *busy)

    def settled(self, ended: Sequence[Ended], lost: AbstractSet[Hold]) -> None:
        """The transaction of *ended* is committed; under the holds in *lost* nothing was changed."""
        settled = self._statistics.settled
        for each in ended:
            execution = each.execution
            if not lost or execution.hold not in lost:
                settled(execution.type, each.outcome)
            elif each.uncertain:
                execution.logger.info(
                    "intent.outcome_known: it was stored when the connection broke, or its run is lost"
                )
            else:
                self._statistics.completed[execution.type, "refused"] += 1
                hold = execution.hold
                error = LeaseLost(hold.run_id, hold.worker, hold.fence)
                execution.logger.warning("intent.outcome_refused: %s", error)

    def is_for_all(self, ended: Sequence[Ended], error: SqlError) -> bool:
        """Whether all of *ended* failed with *error*, and not one of them that the database, or a lock, holds up."""
        return len(ended) == 1 or not self.is_of_a_row(error)

    def is_of_a_row(self, error: Exception) -> bool:
        """Whether *error* may be that of one run alone, whose row somebody has locked."""
        return isinstance(error, self._of_a_row)

    async def apart(self, ended: Sequence[Ended]) -> tuple[list[Ended], SqlError | None]:
        """Store each in a transaction of its own; one that the database does not take makes its run failed.

        Those that are left over, because the database fails, and how it does.
        """
        left: list[Ended] = []
        trouble: SqlError | None = None
        for place, each in enumerate(ended):
            try:
                await self._store(each)
            except SqlError as error:
                trouble = error
                if not self.is_of_a_row(error):  # the database is away: it is so for the others, too
                    return [*left, *ended[place:]], trouble
                left.append(each)
            except Exception as error:  # noqa: BLE001 - what the database says of this outcome
                await self._refused(each, error)
        return left, trouble

    def within_reason(self, kept: Sequence[Ended], error: Exception, *, hopeless: bool, now: float) -> list[Ended]:
        """Those to be tried again after *error*, and the others dropped.

        A database that is away is so for all: however long that takes, nobody else has their runs. When the transaction
        alone failed, those go whose lease ended a whole lease ago, for one of them may be what keeps the others.
        """
        alone = self.is_of_a_row(error)
        uncertain = bool(getattr(error, "outcome_unknown", False))
        left, gone = [], []
        for each in kept:
            if hopeless or (alone and now > each.execution.expires + self._lease):
                gone.append(each)
            else:
                each.uncertain = each.uncertain or uncertain
                left.append(each)
        self.drop(gone)
        return left

    def drop(self, ended: Sequence[Ended]) -> None:
        """They cannot be stored."""
        for each in ended:
            self._statistics.completed[each.execution.type, "dropped"] += 1
            what = type(each.outcome).__name__.lower()
            each.execution.logger.error("intent.outcome_lost: it %s; the run is repeated after its lease", what)

    async def _refused(self, each: Ended, error: Exception) -> None:
        said = f"the database refused the outcome of the handler: {error_text(error)}; return something else"
        each.execution.logger.error("intent.outcome_refused: %s", said)
        each.outcome = Failed(storable(said), None)
        try:
            await self._store(each)
        except Exception:  # noqa: BLE001 - nor does it take that
            self.drop([each])

    async def _store(self, each: Ended) -> None:
        with anyio.CancelScope(shield=True):
            done = await self._inbox.database.transaction(Round(self._inbox.store, [each], None))
        self.settled([each], done.turn.lost)
