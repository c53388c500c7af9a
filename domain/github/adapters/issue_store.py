"""Repositories, their issues and their cursors in SQL. Every method is one small unit of work over a connection."""

import json
from collections.abc import Sequence

from domain.github.cursor import Cursor
from domain.github.entities import Issue, Repository, RepositoryFacts
from orchestrator.contracts import Connection, Row

_ISSUE = "github_id, number, title, body, state, author, labels, updated_at, pull_request"

# What is newer stays, also when another replica stored it a moment ago: so the row itself is compared.
_SAVE = """
INSERT INTO github_issue (repository_id, number, github_id, title, body, state, author, labels, updated_at,
                          pull_request, version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (repository_id, number) DO UPDATE SET
    github_id = excluded.github_id, title = excluded.title, body = excluded.body, state = excluded.state,
    author = excluded.author, labels = excluded.labels, updated_at = excluded.updated_at,
    pull_request = excluded.pull_request, version = excluded.version
WHERE github_issue.github_id <> excluded.github_id
   OR github_issue.version <> excluded.version AND github_issue.updated_at <= excluded.updated_at
"""

_SAVE_CURSOR = """
INSERT INTO github_cursor (repository_id, since, page, etag, etag_url, reading, before) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (repository_id) DO UPDATE SET
    since = excluded.since, page = excluded.page, etag = excluded.etag, etag_url = excluded.etag_url,
    reading = excluded.reading, before = excluded.before
"""


class SqlRepositories:
    """RepositoryStore."""

    def register(self, connection: Connection, repository: Repository, facts: RepositoryFacts) -> int:
        """Store the repository. When another one stands under its name now, reading begins anew."""
        slug = repository.slug
        connection.execute(
            "INSERT INTO github_repository (slug, full_name, github_id) VALUES (?, ?, ?) ON CONFLICT (slug) DO NOTHING",
            (slug, facts.full_name, facts.github_id),
        )
        another = connection.execute(
            "UPDATE github_repository SET github_id = ? WHERE slug = ? AND github_id <> ?",
            (facts.github_id, slug, facts.github_id),
        ).rowcount
        (stored,) = connection.execute(
            "UPDATE github_repository SET full_name = ? WHERE slug = ? RETURNING id", (facts.full_name, slug)
        ).fetchall()
        known = int(stored["id"])
        if another:
            connection.execute("DELETE FROM github_cursor WHERE repository_id = ?", (known,))
            connection.execute("DELETE FROM github_issue WHERE repository_id = ?", (known,))
        return known

    def repository_id(self, connection: Connection, repository: Repository) -> int | None:
        row = connection.execute("SELECT id FROM github_repository WHERE slug = ?", (repository.slug,)).fetchone()
        return None if row is None else int(row["id"])


class SqlIssues:
    """IssueStore."""

    def cursor(self, connection: Connection, repository_id: int) -> Cursor:
        row = connection.execute(
            "SELECT since, page, etag, etag_url, reading, before FROM github_cursor WHERE repository_id = ?",
            (repository_id,),
        ).fetchone()
        return (
            Cursor()
            if row is None
            else Cursor(row["since"], row["page"], row["etag"], row["etag_url"], row["reading"], row["before"])
        )

    def save_cursor(self, connection: Connection, repository_id: int, cursor: Cursor) -> None:
        connection.execute(
            _SAVE_CURSOR,
            (repository_id, cursor.since, cursor.page, cursor.etag, cursor.etag_url, cursor.reading, cursor.before),
        )

    def save_issues(self, connection: Connection, repository_id: int, issues: Sequence[Issue]) -> list[Issue]:
        """Store *issues* and return those that were new or changed; an older reading never replaces a newer one."""
        ordered = sorted(issues, key=lambda issue: issue.number)  # in one order, so that replicas wait in no circle
        changed = {issue for issue in ordered if connection.execute(_SAVE, _row(repository_id, issue)).rowcount}
        return [issue for issue in issues if issue in changed]

    def issue(self, connection: Connection, repository_id: int, number: int) -> Issue | None:
        row = connection.execute(
            f"SELECT {_ISSUE} FROM github_issue WHERE repository_id = ? AND number = ?", (repository_id, number)
        ).fetchone()
        return None if row is None else _issue(row)

    def open_issues(self, connection: Connection, repository_id: int, limit: int) -> list[Issue]:
        rows = connection.execute(
            f"SELECT {_ISSUE} FROM github_issue WHERE repository_id = ? AND state = 'open' AND pull_request = 0 "
            "ORDER BY updated_at DESC, number LIMIT ?",
            (repository_id, limit),
        )
        return [_issue(row) for row in rows]


def _row(repository_id: int, issue: Issue) -> tuple[object, ...]:
    return (
        repository_id,
        issue.number,
        issue.github_id,
        issue.title,
        issue.body,
        issue.state,
        issue.author,
        json.dumps(issue.labels),
        issue.updated_at,
        int(issue.pull_request),
        issue.version,
    )


def _issue(row: Row) -> Issue:
    return Issue(
        github_id=row["github_id"],
        number=row["number"],
        title=row["title"],
        body=row["body"],
        state=row["state"],
        author=row["author"],
        labels=tuple(json.loads(row["labels"])),
        updated_at=row["updated_at"],
        pull_request=bool(row["pull_request"]),
    )
