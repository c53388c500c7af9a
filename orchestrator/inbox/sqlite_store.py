"""The store on SQLite. Times come from Python: SQLite before 3.42 has no clock finer than a second in its SQL."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from orchestrator.contracts import Connection, JsonValue, Row
from orchestrator.inbox import machine, sqlite_queries
from orchestrator.inbox.errors import AlreadyFinished, LeaseLost
from orchestrator.inbox.machine import EVENTS, TRANSITIONS, Move, State
from orchestrator.inbox.records import Claimed, Event, Hold, NewRun, Page, Renewal, RunRecord, Stats, Swept
from orchestrator.inbox.sqlite_schema import STEPS
from orchestrator.inbox.wire import to_text

_INSERT = """
INSERT INTO workflow_run (id, type, payload, priority, run_at, idempotency_key, max_attempts, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (idempotency_key) DO NOTHING
"""
_EVENT = "INSERT INTO workflow_event (workflow_id, event_type, data, created_at) VALUES (?, ?, ?, ?)"

# The plus keeps the planner from searching by type, which would sort the whole backlog for every claim.
_DUE = """
SELECT id, type, CAST(payload AS BLOB) AS payload, attempt, max_attempts, fence, claims FROM workflow_run
WHERE status = 'pending' AND deleted_at IS NULL AND run_at <= ? AND +type IN ({types})
  AND +type NOT IN (SELECT workflow_name FROM workflow_registry WHERE is_enabled = 0 AND deleted_at IS NULL)
ORDER BY {order} LIMIT ?
"""
_CLAIM = """
UPDATE workflow_run SET status = 'leased', leased_by = ?, lease_until = ?, updated_at = ?, fence = fence + 1,
claims = claims + 1 WHERE id = ?
"""
_REFUSE = "UPDATE workflow_run SET status = 'failed', last_error = ?, updated_at = ? WHERE id = ?"

_HELD = "WHERE id = ? AND status = 'leased' AND leased_by = ? AND fence = ?"
_LEAVE = "UPDATE workflow_run SET leased_by = NULL, lease_until = NULL, updated_at = ?, status = ?"
_RENEW = f"UPDATE workflow_run SET lease_until = ?, updated_at = ? {_HELD}"
_EXPIRED = """
SELECT id, leased_by, attempt, max_attempts, claims FROM workflow_run
WHERE status = 'leased' AND lease_until < ? ORDER BY lease_until LIMIT ?
"""


class SqliteStore:
    """The port :class:`orchestrator.inbox.Store` on SQLite. *now* is the clock."""

    steps: Sequence[str] = STEPS

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now

    def insert(self, connection: Connection, runs: Sequence[NewRun]) -> Sequence[str]:
        """See :class:`Store`."""
        time = self._now()
        stored, created = [], []
        for run in runs:
            start = run.run_at if run.run_at is not None else time + timedelta(seconds=run.delay)
            row = (
                *(run.id, run.type, run.payload, run.priority, to_text(start), run.idempotency_key, run.max_attempts),
                *(to_text(time), to_text(time)),
            )
            if connection.execute(_INSERT, row).rowcount:
                created.append(run.id)
                stored.append(run.id)
            else:
                known = connection.execute(
                    "SELECT id FROM workflow_run WHERE idempotency_key = ?", (run.idempotency_key,)
                )
                stored.extend(str(row["id"]) for row in known.fetchall())
        self._record(connection, ((id_, "created", None) for id_ in created), time)
        return stored

    def claim(
        self,
        connection: Connection,
        worker: str,
        types: Sequence[str],
        limit: int,
        lease: float,
        *,
        oldest_first: bool = False,
    ) -> Sequence[Claimed]:
        """See :class:`Store`."""
        time = self._now()
        query = _DUE.format(types=", ".join("?" * len(types)), order=_order(oldest_first))
        while True:
            due = connection.execute(query, (to_text(time), *types, limit)).fetchall()
            refused = [row for row in due if _move(row) is Move.REFUSE]
            if not refused:
                break
            for row in refused:  # they stood in the way of others, so look again
                self._refuse(connection, row, time)
        claimed = [
            Claimed(
                Hold(row["id"], worker, row["fence"] + 1),
                row["type"],
                bytes(row["payload"]),
                row["attempt"],
                row["max_attempts"],
            )
            for row in due
        ]
        until = to_text(time + timedelta(seconds=lease))
        connection.executemany(_CLAIM, [(worker, until, to_text(time), run.hold.run_id) for run in claimed])
        self._record(connection, _claim_events(claimed), time)
        return claimed

    def succeed(self, connection: Connection, hold: Hold, result: str) -> None:
        """See :class:`Store`."""
        self._leave(connection, hold, Move.SUCCEED, ", result = ?, last_error = NULL", (result,))

    def fail(self, connection: Connection, hold: Hold, error: str, retry_in: float | None) -> None:
        """See :class:`Store`."""
        if retry_in is None:
            changes = ", last_error = ?, attempt = attempt + 1"
            self._leave(connection, hold, Move.FAIL, changes, (error,), {"error": error})
        else:
            changes = ", last_error = ?, attempt = attempt + 1, run_at = ?"
            start = to_text(self._now() + timedelta(seconds=retry_in))
            self._leave(connection, hold, Move.RETRY, changes, (error, start), {"error": error})

    def release(self, connection: Connection, hold: Hold) -> None:
        """See :class:`Store`."""
        self._leave(connection, hold, Move.RELEASE, ", claims = claims - 1", (), {"worker_id": hold.worker})

    def heartbeat(self, connection: Connection, holds: Sequence[Hold], lease: float, *, audit: bool = False) -> Renewal:
        """See :class:`Store`."""
        time = self._now()
        until = to_text(time + timedelta(seconds=lease))
        lost: set[Hold] = set()
        cancelled: set[Hold] = set()
        renewed: list[str] = []
        for hold in holds:
            if connection.execute(_RENEW, (until, to_text(time), hold.run_id, hold.worker, hold.fence)).rowcount:
                renewed.append(hold.run_id)
                continue
            row = connection.execute("SELECT status FROM workflow_run WHERE id = ?", (hold.run_id,)).fetchone()
            (cancelled if row is not None and row["status"] == State.CANCELLED else lost).add(hold)
        if audit:
            extended: JsonValue = {"extended_by_seconds": int(lease)}
            self._record(connection, ((id_, "heartbeat", extended) for id_ in renewed), time)
        return Renewal(frozenset(lost), frozenset(cancelled))

    def sweep(self, connection: Connection, limit: int) -> Swept:
        """See :class:`Store`."""
        time = self._now()
        moves = []
        for row in connection.execute(_EXPIRED, (to_text(time), limit)).fetchall():
            move = machine.on_expiry(claims=row["claims"], attempt=row["attempt"], max_attempts=row["max_attempts"])
            error = f"the lease of worker {row['leased_by']!r} expired without an outcome"
            if move is Move.EXHAUST:
                error += f"; it happened too often for max_attempts {row['max_attempts']}, see what kills its workers"
            connection.execute(
                f"{_LEAVE}, attempt = attempt + 1, last_error = ? WHERE id = ?",
                (to_text(time), TRANSITIONS[State.LEASED, move], error, row["id"]),
            )
            data: JsonValue = {"attempt": row["attempt"] + 1, "error": error, "worker_id": row["leased_by"]}
            moves.append((row["id"], *_event(move, data)))
        self._record(connection, moves, time)
        exhausted = sum(1 for _, event, _ in moves if event == EVENTS[Move.EXHAUST][0])
        return Swept(len(moves) - exhausted, exhausted)

    def cancel(self, connection: Connection, run_id: str) -> None:
        """See :class:`Store`."""
        if self.get(connection, run_id).state is not State.CANCELLED:
            self._by_operator(connection, run_id, Move.CANCEL, "")

    def requeue(self, connection: Connection, run_id: str) -> None:
        """See :class:`Store`."""
        changes = ", fence = fence + 1, claims = 0, attempt = 0, run_at = :now"
        self._by_operator(connection, run_id, Move.REQUEUE, changes)

    def get(self, connection: Connection, run_id: str) -> RunRecord:
        """See :class:`Store`."""
        return sqlite_queries.get(connection, run_id)

    def list(
        self,
        connection: Connection,
        *,
        type: str | None,  # noqa: A002 - the wire's own word
        state: State | None,
        idempotency_key: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page:
        """See :class:`Store`."""
        wanted = {"type": type, "status": state, "idempotency_key": idempotency_key}
        return sqlite_queries.page(connection, wanted, limit, cursor)

    def events(self, connection: Connection, run_id: str) -> Sequence[Event]:
        """See :class:`Store`."""
        return sqlite_queries.events(connection, run_id)

    def stats(self, connection: Connection) -> Stats:
        """See :class:`Store`."""
        return sqlite_queries.stats(connection, to_text(self._now()))

    def register(self, connection: Connection, types: Sequence[str]) -> None:
        """See :class:`Store`."""
        connection.executemany(
            "INSERT INTO workflow_registry (id, workflow_name, runtime) VALUES (?, ?, 'python') "
            "ON CONFLICT (workflow_name) DO NOTHING",
            [(str(uuid4()), name) for name in types],
        )

    def pulse(self, connection: Connection) -> object:
        """See :class:`Store`. The first number moves with other connections' commits, the second with our own."""
        row = connection.execute("SELECT data_version, total_changes() FROM pragma_data_version").fetchone()
        return None if row is None else (row[0], row[1])

    def _leave(
        self,
        connection: Connection,
        hold: Hold,
        move: Move,
        changes: str,
        values: Sequence[object],
        data: Mapping[str, JsonValue] | None = None,
    ) -> None:
        time = self._now()
        rows = connection.execute(
            f"{_LEAVE}{changes} {_HELD} RETURNING attempt",
            (to_text(time), TRANSITIONS[State.LEASED, move], *values, hold.run_id, hold.worker, hold.fence),
        ).fetchall()
        if not rows:
            raise LeaseLost(hold.run_id, hold.worker, hold.fence)
        told = None if data is None else {"attempt": rows[0]["attempt"], **data}
        self._record(connection, [(hold.run_id, *_event(move, told))], time)

    def _refuse(self, connection: Connection, row: Row, time: datetime) -> None:
        error = (
            f"claimed {row['claims']} times without an outcome, which is too often for max_attempts "
            f"{row['max_attempts']}; see what kills its workers, then retry it"
        )
        connection.execute(_REFUSE, (error, to_text(time), row["id"]))
        data: JsonValue = {"attempt": row["attempt"], "error": error}
        self._record(connection, [(row["id"], *_event(Move.REFUSE, data))], time)

    def _by_operator(self, connection: Connection, run_id: str, move: Move, changes: str) -> None:
        time = self._now()
        state = self.get(connection, run_id).state
        if (state, move) not in TRANSITIONS:
            raise AlreadyFinished(run_id, state, move)
        connection.execute(
            "UPDATE workflow_run SET leased_by = NULL, lease_until = NULL, updated_at = :now, status = :status"
            f"{changes} WHERE id = :id",
            {"now": to_text(time), "status": TRANSITIONS[state, move], "id": run_id},
        )
        self._record(connection, [(run_id, *_event(move, None))], time)

    def _record(self, connection: Connection, events: Iterable[tuple[str, str, JsonValue]], time: datetime) -> None:
        at = to_text(time)
        connection.executemany(
            _EVENT, [(id_, event, None if data is None else json.dumps(data), at) for id_, event, data in events]
        )


def _order(oldest_first: bool) -> str:
    return "run_at, id" if oldest_first else "priority, run_at, id"


def _move(row: Row) -> Move:
    return machine.on_claim(claims=row["claims"], max_attempts=row["max_attempts"])


def _event(move: Move, data: JsonValue) -> tuple[str, JsonValue]:
    event, reason = EVENTS[move]
    if reason is None:
        return event, data
    return event, {**(data if isinstance(data, dict) else {}), "reason": reason}


def _claim_events(claimed: Sequence[Claimed]) -> Iterable[tuple[str, str, JsonValue]]:
    for run in claimed:
        yield run.hold.run_id, "leased", {"worker_id": run.hold.worker, "attempt": run.failures}
        yield run.hold.run_id, "started", {"worker_id": run.hold.worker}
