"""Repositories, their issues and their cursors in SQL. Every method is one small unit of work over a connection."""

import json
from collections.abc import Sequence

from domain.github.cursor import Cursor
from domain.github.entities import Issue, Repository, RepositoryFacts
from orchestrator.contracts import Connection, Row

_ISSUE = "github_id, number, title, body, state, author, labels, updated_at, pull_request"

_SAVE = """
INSERT INTO github_issue (repository_id, number, github_id, title, body, state, author, labels, updated_at,
                          pull_request, version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (repository_id, number) DO UPDATE SET
    github_id = excluded.github_id, title = excluded.title, body = excluded.body, state = excluded.state,
    author = excluded.author, labels = excluded.labels, updated_at = excluded.updated_at,
    pull_request = excluded.pull_request, version = excluded.version
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
        known = connection.execute(
            "SELECT id, github_id FROM github_repository WHERE slug = ?", (repository.slug,)
        ).fetchone()
        if known is None:
            connection.execute(
                "INSERT INTO github_repository (slug, full_name, github_id) VALUES (?, ?, ?)",
                (repository.slug, facts.full_name, facts.github_id),
            )
            return self.repository_id(connection, repository) or 0
        if known["github_id"] != facts.github_id:
            connection.execute("DELETE FROM github_cursor WHERE repository_id = ?", (known["id"],))
            connection.execute("DELETE FROM github_issue WHERE repository_id = ?", (known["id"],))
        connection.execute(
            "UPDATE github_repository SET full_name = ?, github_id = ? WHERE id = ?",
            (facts.full_name, facts.github_id, known["id"]),
        )
        return int(known["id"])

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
        changed = []
        for issue in issues:
            known = connection.execute(
                "SELECT updated_at, version, github_id FROM github_issue WHERE repository_id = ? AND number = ?",
                (repository_id, issue.number),
            ).fetchone()
            if known is None or _differs(known, issue):
                changed.append(issue)
                connection.execute(_SAVE, _row(repository_id, issue))
        return changed

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


def _differs(known: Row, issue: Issue) -> bool:
    if known["github_id"] != issue.github_id:
        return True
    return bool(known["version"] != issue.version and known["updated_at"] <= issue.updated_at)


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
