"""Worker: hands outbox rows over to the inbox, each exactly once."""

from collections.abc import Mapping
from types import MappingProxyType

from domain.github.entities import Issue, OutboxRow, Repository, local_id
from domain.github.issue_explainer import EXPLAIN_ISSUE
from domain.github.issue_poller import ISSUE_CHANGED
from domain.github.ports import IssueStore, OutboxStore
from orchestrator.contracts import Connection, Database, Inbox, Run, WorkerSpec

#: Which intent type each topic becomes.
ROUTES: Mapping[str, str] = MappingProxyType({ISSUE_CHANGED: EXPLAIN_ISSUE})

BATCH = 20
#: A row that the inbox refuses this often is dead. Refusals are about the row: a failing database fails the whole tick.
ATTEMPTS = 5
#: Executions of one intent. After 1, 4, 9, ... minutes that is eight hours of trying, so it outlives a bad night.
EXECUTIONS = 12
#: Acknowledged rows are kept a week for whoever looks into yesterday.
KEEP = 7 * 86_400.0


class OutboxRelay:
    """Submits and acknowledges a batch in one transaction, so a crash in between leaves neither.

    A row that cannot be handed over (unknown topic, no such issue) is marked dead with the reason and blocks nobody.
    """

    def __init__(
        self,
        database: Database,
        issues: IssueStore,
        outbox: OutboxStore,
        inbox: Inbox,
        *,
        interval: float = 5.0,
        batch: int = BATCH,
    ) -> None:
        self._database = database
        self._issues = issues
        self._outbox = outbox
        self._inbox = inbox
        self._interval = interval
        self._batch = batch

    def task_spec(self) -> WorkerSpec[Repository]:
        return WorkerSpec("outbox-relay", self._interval, self.relay)

    async def relay(self, repository: Repository, run: Run) -> None:
        """Hand over one batch."""
        repository_id = local_id(repository)
        if not await self._database.read(lambda db: self._outbox.pending(db, repository_id, 1)):
            return
        handed, dead = await self._database.transaction(lambda db: self._batch_in(db, repository, repository_id))
        for row, reason in dead:
            run.logger.error("outbox.row_dead", extra={"row": row.id, "topic": row.topic, "reason": reason})
        if handed:
            run.logger.info("issues.relayed", extra={"count": handed})
        run.progress(f"{handed} rows handed over, {len(dead)} dead")

    def _batch_in(
        self, db: Connection, repository: Repository, repository_id: int
    ) -> tuple[int, list[tuple[OutboxRow, str]]]:
        handed, dead = 0, []
        for row in self._outbox.pending(db, repository_id, self._batch):
            try:
                self._submit(db, repository, repository_id, row)
            except ValueError as refusal:  # what a port raises for a value it cannot take; it has written nothing
                final = isinstance(refusal, _Poison) or row.attempts + 1 >= ATTEMPTS
                self._outbox.fail(db, row, str(refusal), dead=final)
                if final:
                    dead.append((row, str(refusal)))
            else:
                self._outbox.acknowledge(db, row)
                handed += 1
        self._outbox.prune(db, repository_id, KEEP)
        return handed, dead

    def _submit(self, db: Connection, repository: Repository, repository_id: int, row: OutboxRow) -> None:
        intent = ROUTES.get(row.topic)
        if intent is None:
            raise _Poison(f"unknown topic {row.topic!r}; known: {', '.join(ROUTES)}")
        issue = self._issues.issue(db, repository_id, row.number)
        if issue is None:
            raise _Poison(f"issue {repository}#{row.number} is not stored")
        self._inbox.submit_in(
            db, intent, _payload(repository, row), idempotency_key=_key(issue, row), max_attempts=EXECUTIONS
        )


class _Poison(ValueError):
    """No later attempt can hand this row over."""


def _payload(repository: Repository, row: OutboxRow) -> dict[str, object]:
    return {"repository": str(repository), "number": row.number, "version": row.version}


def _key(issue: Issue, row: OutboxRow) -> str:
    return f"github.issue:{issue.github_id}:{row.version}"
