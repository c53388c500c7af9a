"""The store on SQLite. Times come from Python: SQLite before 3.42 has no clock finer than a second in its SQL."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import uuid4

from orchestrator.contracts import Connection, JsonValue, Row
from orchestrator.inbox import machine
from orchestrator.inbox.errors import AlreadyFinished, InboxError
from orchestrator.inbox.machine import EVENTS, TRANSITIONS, Move, State
from orchestrator.inbox.store.records import (
    ACTIVE,
    Claimed,
    ClaimRequest,
    Event,
    Failed,
    Hold,
    NewRun,
    Outcome,
    Page,
    Promoted,
    Renewal,
    RunRecord,
    Settled,
    Stats,
    Stored,
    Succeeded,
    Swept,
    Turn,
    ended,
)
from orchestrator.inbox.store.sqlite import claim, queries
from orchestrator.inbox.store.sqlite.schema import STEPS
from orchestrator.inbox.wire import from_text, to_text

#: One line of the history before it is stored: run, type, data as JSON text.
_Line: TypeAlias = tuple[str, str, str | None]

_INSERT = """
INSERT INTO workflow_run
    (id, type, payload, priority, run_at, ready, idempotency_key, max_attempts, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (idempotency_key) DO NOTHING
"""
_EVENT = "INSERT INTO workflow_event (workflow_id, event_type, data, created_at) VALUES (?, ?, ?, ?)"
_CLAIM = """
UPDATE workflow_run SET status = 'leased', leased_by = ?, lease_until = ?, updated_at = ?, fence = fence + 1,
claims = claims + 1 WHERE id = ?
"""

_ENDED_KEY = f"""idempotency_key = CASE WHEN substr(idempotency_key, 1, {len(ACTIVE)}) = '{ACTIVE}'
THEN idempotency_key || ':' || id ELSE idempotency_key END"""
_ACTIVE_KEY = f"""idempotency_key = CASE
WHEN substr(idempotency_key, 1, {len(ACTIVE)}) = '{ACTIVE}' AND substr(idempotency_key, -37) = ':' || id
    AND NOT EXISTS (SELECT 1 FROM workflow_run o WHERE o.idempotency_key
        = substr(workflow_run.idempotency_key, 1, length(workflow_run.idempotency_key) - 37))
THEN substr(idempotency_key, 1, length(idempotency_key) - 37) ELSE idempotency_key END"""

_HELD = "WHERE id = :id AND status = 'leased' AND leased_by = :worker AND fence = :fence"
_LEAVE = "UPDATE workflow_run SET leased_by = NULL, lease_until = NULL, updated_at = :now"
_SETTLE = {
    Move.SUCCEED: f"{_LEAVE}, status = 'succeeded', result = :result, last_error = NULL, checkpoint = NULL, "
    f"{_ENDED_KEY} {_HELD} RETURNING attempt",
    Move.FAIL: f"{_LEAVE}, status = 'failed', last_error = :error, attempt = attempt + 1, {_ENDED_KEY} {_HELD} "
    "RETURNING attempt",
    Move.RETRY: f"{_LEAVE}, status = 'pending', last_error = :error, attempt = attempt + 1, run_at = :run_at, "
    f"ready = :ready {_HELD} RETURNING attempt",
    Move.RELEASE: f"{_LEAVE}, status = 'pending', claims = claims - 1 {_HELD} RETURNING attempt",
}
_REFUSE = f"UPDATE workflow_run SET status = 'failed', last_error = ?, updated_at = ?, {_ENDED_KEY} WHERE id = ?"
_RENEW = f"UPDATE workflow_run SET lease_until = :until, updated_at = :now {_HELD}"
_EXPIRED = """
SELECT id, leased_by, attempt, max_attempts, claims FROM workflow_run
WHERE status = 'leased' AND lease_until < ? ORDER BY lease_until LIMIT ?
"""
_PROMOTE = """
UPDATE workflow_run SET ready = 1 WHERE id IN (
    SELECT id FROM workflow_run WHERE status = 'pending' AND ready = 0 AND run_at <= ? ORDER BY run_at LIMIT ?
)
"""
_NEXT = "SELECT min(run_at) FROM workflow_run WHERE status = 'pending' AND ready = 0"
_OLD = """
SELECT id FROM workflow_run WHERE status IN ('succeeded', 'failed', 'cancelled') AND status IN ({states})
AND updated_at < ? ORDER BY updated_at LIMIT ?
"""


class SqliteStore:
    """The port :class:`orchestrator.inbox.Store` on SQLite. *now* is the clock."""

    steps: Sequence[str] = STEPS

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now

    def insert(self, connection: Connection, runs: Sequence[NewRun]) -> Sequence[Stored]:
        """See :class:`Store`."""
        time = self._now()
        rows = [_row(run, time) for run in runs]
        if all(run.idempotency_key is None for run in runs):
            connection.executemany(_INSERT, rows)
            stored = [Stored(run.id, existed=False) for run in runs]
        else:
            stored = [_stored(connection, run, row) for run, row in zip(runs, rows, strict=True)]
        self._record(connection, [(each.id, "created", None) for each in stored if not each.existed], time)
        return stored

    def claim(self, connection: Connection, request: ClaimRequest) -> Sequence[Claimed]:
        """See :class:`Store`."""
        time = self._now()
        while True:
            due = claim.due(connection, request, to_text(time))
            refused = [row for row in due if _move(row) is Move.REFUSE]
            if not refused:
                break
            for row in refused:  # they stood in the way of others, so look again
                self._refuse(connection, row, time)
        until, at = to_text(time + timedelta(seconds=request.lease)), to_text(time)
        connection.executemany(_CLAIM, [(request.worker, until, at, row["id"]) for row in due])
        worker = json.dumps(request.worker)
        lines: list[_Line] = []
        claimed = []
        for row in due:
            lines.append((row["id"], "leased", f'{{"worker_id": {worker}, "attempt": {row["attempt"]}}}'))
            lines.append((row["id"], "started", f'{{"worker_id": {worker}}}'))
            hold = Hold(row["id"], request.worker, row["fence"] + 1)
            waited = _waited(row["run_at"], time)
            payload = bytes(row["payload"])
            claimed.append(Claimed(hold, row["type"], payload, row["attempt"], row["max_attempts"], waited))
        self._record(connection, lines, time)
        return claimed

    def settle(self, connection: Connection, outcomes: Sequence[Settled]) -> frozenset[Hold]:
        """See :class:`Store`."""
        time = self._now()
        at = to_text(time)
        lost: set[Hold] = set()
        lines: list[_Line] = []
        for each in outcomes:
            hold = each.hold
            move, values = _settlement(each.outcome, time)
            values |= {"now": at, "id": hold.run_id, "worker": hold.worker, "fence": hold.fence}
            row = connection.execute(_SETTLE[move], values).fetchone()
            if row is None:
                lost.add(hold)
                continue
            told = {"attempt": row[0], "error": values["error"]} if "error" in values else None
            lines.append((hold.run_id, *_event(move, told)))
        self._record(connection, lines, time)
        return frozenset(lost)

    def turn(self, connection: Connection, outcomes: Sequence[Settled], request: ClaimRequest | None) -> Turn:
        """See :class:`Store`."""
        lost = self.settle(connection, outcomes) if outcomes else frozenset()
        return Turn(lost, () if request is None else self.claim(connection, request))

    def checkpoint(self, connection: Connection, run_id: str) -> bytes | None:
        """See :class:`Store`."""
        row = connection.execute("SELECT checkpoint FROM workflow_run WHERE id = ?", (run_id,)).fetchone()
        return None if row is None or row[0] is None else bytes(row[0])

    def keep(self, connection: Connection, hold: Hold, state: bytes | None) -> bool:
        """See :class:`Store`."""
        values = {"id": hold.run_id, "worker": hold.worker, "fence": hold.fence, "state": state}
        return connection.execute(f"UPDATE workflow_run SET checkpoint = :state {_HELD}", values).rowcount == 1

    def heartbeat(self, connection: Connection, holds: Sequence[Hold], lease: float, *, audit: bool = False) -> Renewal:
        """See :class:`Store`."""
        time = self._now()
        times = {"until": to_text(time + timedelta(seconds=lease)), "now": to_text(time)}
        lost: set[Hold] = set()
        cancelled: set[Hold] = set()
        renewed: list[str] = []
        for hold in holds:
            values = {**times, "id": hold.run_id, "worker": hold.worker, "fence": hold.fence}
            if connection.execute(_RENEW, values).rowcount:
                renewed.append(hold.run_id)
                continue
            row = connection.execute("SELECT status FROM workflow_run WHERE id = ?", (hold.run_id,)).fetchone()
            (cancelled if row is not None and row["status"] == State.CANCELLED else lost).add(hold)
        if audit:
            extended = json.dumps({"extended_by_seconds": int(lease)})
            self._record(connection, [(id_, "heartbeat", extended) for id_ in renewed], time)
        return Renewal(frozenset(lost), frozenset(cancelled))

    def sweep(self, connection: Connection, limit: int) -> Swept:
        """See :class:`Store`."""
        time = self._now()
        lines: list[_Line] = []
        exhausted = 0
        for row in connection.execute(_EXPIRED, (to_text(time), limit)).fetchall():
            move = machine.on_expiry(claims=row["claims"], attempt=row["attempt"], max_attempts=row["max_attempts"])
            error = f"the lease of worker {row['leased_by']!r} expired without an outcome"
            key = ""
            if move is Move.EXHAUST:
                exhausted += 1
                error += f"; it happened too often for max_attempts {row['max_attempts']}, see what kills its workers"
                key = f", {_ENDED_KEY}"
            connection.execute(
                f"{_LEAVE}, status = :status, attempt = attempt + 1, last_error = :error{key} WHERE id = :id",
                {"now": to_text(time), "status": TRANSITIONS[State.LEASED, move], "error": error, "id": row["id"]},
            )
            data: JsonValue = {"attempt": row["attempt"] + 1, "error": error, "worker_id": row["leased_by"]}
            lines.append((row["id"], *_event(move, data)))
        self._record(connection, lines, time)
        return Swept(len(lines) - exhausted, exhausted)

    def promote(self, connection: Connection, limit: int) -> Promoted:
        """See :class:`Store`."""
        time = self._now()
        count = connection.execute(_PROMOTE, (to_text(time), limit)).rowcount
        row = connection.execute(_NEXT).fetchone()
        if row is None or row[0] is None:
            return Promoted(count, None)
        return Promoted(count, max(0.0, (from_text(row[0]) - time).total_seconds()))

    def purge(self, connection: Connection, older_than: float, states: Sequence[State], limit: int) -> int:
        """See :class:`Store`."""
        before = to_text(self._now() - timedelta(seconds=older_than))
        query = _OLD.format(states=", ".join("?" * len(ended(states))))
        old = [(row["id"],) for row in connection.execute(query, (*map(str, states), before, limit)).fetchall()]
        connection.executemany("DELETE FROM workflow_event WHERE workflow_id = ?", old)
        connection.executemany("DELETE FROM workflow_run WHERE id = ?", old)
        return len(old)

    def cancel(self, connection: Connection, run_id: str) -> None:
        """See :class:`Store`."""
        if self.get(connection, run_id).state is not State.CANCELLED:
            self._by_operator(connection, run_id, Move.CANCEL, f", {_ENDED_KEY}")

    def requeue(self, connection: Connection, run_id: str) -> None:
        """See :class:`Store`."""
        changes = ", fence = fence + 1, claims = 0, attempt = 0, ready = 1, run_at = :now"
        self._by_operator(connection, run_id, Move.REQUEUE, f"{changes}, {_ACTIVE_KEY}")

    def get(self, connection: Connection, run_id: str) -> RunRecord:
        """See :class:`Store`."""
        return queries.get(connection, run_id)

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
        return queries.page(connection, {"type": type, "status": state}, idempotency_key, limit, cursor)

    def events(self, connection: Connection, run_id: str) -> Sequence[Event]:
        """See :class:`Store`."""
        return queries.events(connection, run_id)

    def stats(self, connection: Connection, *, ended: bool = True) -> Stats:
        """See :class:`Store`."""
        return queries.stats(connection, to_text(self._now()), ended=ended)

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
            f"{_LEAVE}, status = :status{changes} WHERE id = :id",
            {"now": to_text(time), "status": TRANSITIONS[state, move], "id": run_id},
        )
        self._record(connection, [(run_id, *_event(move, None))], time)

    def _record(self, connection: Connection, lines: Iterable[_Line], time: datetime) -> None:
        at = to_text(time)
        connection.executemany(_EVENT, [(*line, at) for line in lines])


def _waited(run_at: str, time: datetime) -> float:
    try:
        return max(0.0, (time - from_text(run_at)).total_seconds())
    except InboxError:  # another program wrote what is no time; its run is claimed all the same
        return 0.0


def _row(run: NewRun, time: datetime) -> Sequence[object]:
    start = run.run_at if run.run_at is not None else time + timedelta(seconds=run.delay)
    at = to_text(time)
    key, ready = run.stored_key, start <= time
    return (run.id, run.type, run.payload, run.priority, to_text(start), ready, key, run.max_attempts, at, at)


def _stored(connection: Connection, run: NewRun, row: Sequence[object]) -> Stored:
    if connection.execute(_INSERT, row).rowcount:
        return Stored(run.id, existed=False)
    known = connection.execute("SELECT id FROM workflow_run WHERE idempotency_key = ?", (run.stored_key,)).fetchall()
    return Stored(str(known[0][0]), existed=True)  # by its place: rows of a caller's own connection are plain tuples


def _settlement(outcome: Outcome, time: datetime) -> tuple[Move, dict[str, object]]:
    if isinstance(outcome, Succeeded):
        return Move.SUCCEED, {"result": outcome.result}
    if not isinstance(outcome, Failed):
        return Move.RELEASE, {}
    if outcome.retry_in is None:
        return Move.FAIL, {"error": outcome.error}
    start = to_text(time + timedelta(seconds=outcome.retry_in))
    return Move.RETRY, {"error": outcome.error, "run_at": start, "ready": outcome.retry_in <= 0}


def _move(row: Row) -> Move:
    return machine.on_claim(claims=row["claims"], max_attempts=row["max_attempts"])


def _event(move: Move, data: object) -> tuple[str, str | None]:
    event, reason = EVENTS[move]
    if reason is not None:
        data = {**(data if isinstance(data, dict) else {}), "reason": reason}
    return event, None if data is None else json.dumps(data)
