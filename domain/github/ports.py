"""What the application needs from outside, each port as small as its user.

Stores are sync functions over a connection, so that several of them share one transaction of the service's database.
"""

from collections.abc import Sequence
from typing import Protocol

from domain.github.cursor import Cursor
from domain.github.entities import (
    Comment,
    CommentPage,
    Explanation,
    Issue,
    IssuePage,
    OutboxRow,
    Repository,
    RepositoryFacts,
)
from orchestrator.contracts import Connection


class GithubApi(Protocol):
    """The forge. Every method raises the errors of :class:`domain.github.errors.RemoteError`."""

    async def repository(self, repository: Repository) -> RepositoryFacts:
        """Look the repository up. Renamed when it has another name now, Missing when it is not there."""

    async def issues(self, repository: Repository, cursor: Cursor) -> IssuePage | None:
        """The page at *cursor*; None when it has not changed since the cursor's ETag was given."""

    async def comments(self, repository: Repository, number: int, page: int) -> CommentPage:
        """One page of the comments of an issue, from 1."""

    async def comment(self, repository: Repository, number: int, body: str) -> Comment:
        """Post a comment. Never repeated by itself: after a broken connection it may or may not be there."""


class Explainer(Protocol):
    """Says in a few lines what an issue is about and what it lacks."""

    async def explain(self, issue: Issue, others: Sequence[Issue]) -> Explanation:
        """Explain *issue*; *others* are open issues of the same repository."""


class RepositoryStore(Protocol):
    """Local ids of repositories."""

    def register(self, connection: Connection, repository: Repository, facts: RepositoryFacts) -> int:
        """Store or refresh the repository and return its local id."""

    def repository_id(self, connection: Connection, repository: Repository) -> int | None:
        """Its local id, None before it was registered."""


class IssueStore(Protocol):
    """Issues and how far they have been read."""

    def cursor(self, connection: Connection, repository_id: int) -> Cursor: ...
    def save_cursor(self, connection: Connection, repository_id: int, cursor: Cursor) -> None: ...
    def save_issues(self, connection: Connection, repository_id: int, issues: Sequence[Issue]) -> list[Issue]:
        """Store *issues* and return those that were new or changed."""

    def issue(self, connection: Connection, repository_id: int, number: int) -> Issue | None: ...
    def open_issues(self, connection: Connection, repository_id: int, limit: int) -> list[Issue]:
        """At most *limit* open issues, most recently updated first; no pull requests."""


class OutboxStore(Protocol):
    """Events on their way from a repository's issues to the inbox."""

    def emit(self, connection: Connection, repository_id: int, topic: str, issues: Sequence[Issue]) -> None: ...
    def pending(self, connection: Connection, repository_id: int, limit: int) -> list[OutboxRow]:
        """Rows to hand over: fewest attempts first, then oldest."""

    def acknowledge(self, connection: Connection, row: OutboxRow) -> None: ...
    def fail(self, connection: Connection, row: OutboxRow, reason: str, *, dead: bool) -> None:
        """Count an attempt; a dead row is kept with its reason and never tried again."""

    def prune(self, connection: Connection, repository_id: int, older_than: float) -> None:
        """Remove rows acknowledged more than *older_than* seconds ago, a small batch at a time."""


class ExplanationStore(Protocol):
    """Which run explains which issue, so that two intents of one issue do not both comment."""

    def claim(self, connection: Connection, repository_id: int, number: int, run_id: str, lifetime: float) -> str:
        """The run that holds the issue: *run_id*, or an earlier one whose claim is younger than *lifetime* seconds."""

    def release(self, connection: Connection, repository_id: int, number: int, run_id: str) -> None: ...
