"""Worker: reads what changed in a repository, one page at a time, and says so in the outbox."""

from domain.github.cursor import Cursor, advance
from domain.github.entities import IssuePage, Repository, local_id
from domain.github.ports import GithubApi, IssueStore, OutboxStore
from orchestrator.contracts import Connection, Database, Run, WorkerSpec

#: The topic of "this issue is new or has changed".
ISSUE_CHANGED = "github.issue.changed"


class IssuePoller:
    """One page per tick. Issues, cursor and outbox rows are stored in one transaction, or none of them is."""

    def __init__(
        self,
        github: GithubApi,
        database: Database,
        issues: IssueStore,
        outbox: OutboxStore,
        *,
        interval: float = 30.0,
        gate: str | None = None,
    ) -> None:
        self._github = github
        self._database = database
        self._issues = issues
        self._outbox = outbox
        self._interval = interval
        self._gate = gate

    def task_spec(self) -> WorkerSpec[Repository]:
        return WorkerSpec("issue-poller", self._interval, self.poll, gate=self._gate)

    async def poll(self, repository: Repository, run: Run) -> None:
        """Read the page at the cursor and store it. A page that has not changed costs nothing and writes nothing."""
        repository_id = local_id(repository)
        cursor = await self._database.read(lambda db: self._issues.cursor(db, repository_id))
        page = await self._github.issues(repository, cursor)
        if page is None:
            run.logger.debug("issues.not_modified")
            return
        emitted = await self._database.transaction(lambda db: self._store(db, repository_id, cursor, page))
        if emitted:
            run.logger.info("issues.changed", extra={"changed": emitted, "page": cursor.page})
        run.progress(f"page {cursor.page} since {cursor.since}: {len(page.issues)} issues, {emitted} changed")

    def _store(self, db: Connection, repository_id: int, cursor: Cursor, page: IssuePage) -> int:
        changed = self._issues.save_issues(db, repository_id, page.issues) if page.issues else []
        moved = advance(cursor, page)
        if moved != cursor:
            self._issues.save_cursor(db, repository_id, moved)
        events = [issue for issue in changed if not issue.pull_request]
        if events:
            self._outbox.emit(db, repository_id, ISSUE_CHANGED, events)
        return len(events)
