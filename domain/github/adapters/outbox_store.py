"""The outbox, and who explains what, in SQL."""

import time
from collections.abc import Callable, Sequence

from domain.github.entities import Issue, OutboxRow
from orchestrator.contracts import Connection

#: Rows removed by one pruning: small, because it shares the relay's transaction.
PRUNED_AT_ONCE = 100

_CLAIM = """
INSERT INTO github_explanation (repository_id, number, run_id, claimed_at) VALUES (?, ?, ?, ?)
ON CONFLICT (repository_id, number) DO UPDATE SET run_id = excluded.run_id, claimed_at = excluded.claimed_at
WHERE github_explanation.run_id = excluded.run_id OR github_explanation.claimed_at < ?
"""

_PRUNE = f"""
DELETE FROM github_outbox WHERE id IN (
    SELECT id FROM github_outbox WHERE repository_id = ? AND processed_at < ? LIMIT {PRUNED_AT_ONCE}
)
"""


class SqlOutbox:
    """OutboxStore."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def emit(self, connection: Connection, repository_id: int, topic: str, issues: Sequence[Issue]) -> None:
        connection.executemany(
            "INSERT INTO github_outbox (repository_id, topic, number, version, created_at) VALUES (?, ?, ?, ?, ?)",
            [(repository_id, topic, issue.number, issue.version, self._now()) for issue in issues],
        )

    def pending(self, connection: Connection, repository_id: int, limit: int) -> list[OutboxRow]:
        rows = connection.execute(
            "SELECT id, topic, number, version, attempts FROM github_outbox "
            "WHERE repository_id = ? AND processed_at IS NULL AND dead_at IS NULL ORDER BY attempts, id LIMIT ?",
            (repository_id, limit),
        )
        return [OutboxRow(row["id"], row["topic"], row["number"], row["version"], row["attempts"]) for row in rows]

    def acknowledge(self, connection: Connection, row: OutboxRow) -> None:
        connection.execute(
            "UPDATE github_outbox SET processed_at = ?, attempts = attempts + 1 WHERE id = ? AND processed_at IS NULL",
            (self._now(), row.id),
        )

    def fail(self, connection: Connection, row: OutboxRow, reason: str, *, dead: bool) -> None:
        connection.execute(
            "UPDATE github_outbox SET attempts = attempts + 1, last_error = ?, dead_at = ? "
            "WHERE id = ? AND processed_at IS NULL AND dead_at IS NULL",
            (reason[:1000], self._now() if dead else None, row.id),
        )

    def prune(self, connection: Connection, repository_id: int, older_than: float) -> None:
        connection.execute(_PRUNE, (repository_id, self._now() - older_than))


class SqlExplanations:
    """ExplanationStore."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def claim(self, connection: Connection, repository_id: int, number: int, run_id: str, lifetime: float) -> str:
        now = self._now()
        connection.execute(_CLAIM, (repository_id, number, run_id, now, now - lifetime))
        row = connection.execute(
            "SELECT run_id FROM github_explanation WHERE repository_id = ? AND number = ?", (repository_id, number)
        ).fetchone()
        return run_id if row is None else str(row["run_id"])

    def release(self, connection: Connection, repository_id: int, number: int, run_id: str) -> None:
        connection.execute(
            "DELETE FROM github_explanation WHERE repository_id = ? AND number = ? AND run_id = ?",
            (repository_id, number, run_id),
        )
