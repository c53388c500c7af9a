"""A client of another program: it writes the tables in the way of simple-workflow's clients, and knows nothing of ours.

Its outcomes name the run alone, neither worker nor lease; its events are statements of their own behind the change. In
the form "go" it also claims what an expired lease holds, in the form "python" it does not.

As a script it is a worker process: ``foreign.py URL WORKER PREFIX`` runs all that matches and prints each payload.
"""

import json
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg

sys.path.insert(0, str(Path(__file__).parent))  # for the script

from foreign_tables import POSTGRES, SEEDS, SQLITE


class Foreign:
    """One connection in autocommit mode, and the statements of the other program on it."""

    def __init__(self, url, *, form="go", schema="workflow", connection=None):
        self.form = form
        self.new_id = lambda: str(uuid4())
        self.sqlite = url.startswith("sqlite")
        if connection is not None:
            self.connection = connection
        elif self.sqlite:
            path = url.partition("://")[2]
            self.connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA foreign_keys = ON")
        else:
            self.connection = psycopg.connect(url, autocommit=True, options=f"-c search_path={schema}")

    def close(self):
        self.connection.close()

    def run(self, statement, *values):
        """Execute one statement; ``%s`` are its parameters and NOW its time."""
        if self.sqlite:
            statement = statement.replace("%s", "?").replace("NOW", "datetime('now')")
        else:
            statement = statement.replace("NOW", "now()")
        return self.connection.execute(statement, values)

    def rows(self, statement, *values):
        return [tuple(row) for row in self.run(statement, *values).fetchall()]

    def migrate(self, *, seeds=True):
        """Make its tables; as its programs do when they start, again and again."""
        if self.sqlite:
            self.connection.executescript(SQLITE)
        else:
            self.connection.execute("CREATE SCHEMA IF NOT EXISTS workflow")
            self.connection.execute(POSTGRES, prepare=False)
        for name, runtime in SEEDS if seeds else ():
            self.run(
                "INSERT INTO workflow_registry (id, workflow_name, runtime) VALUES (%s, %s, %s) "
                "ON CONFLICT (workflow_name) DO NOTHING",
                str(uuid4()),
                name,
                runtime,
            )

    def submit(self, type, payload, *, key=None, priority=100, run_at=None, max_attempts=3):  # noqa: A002 - wire's word
        """The new id, or an empty text when the key is taken."""
        if run_at is None or isinstance(run_at, datetime):
            run_at = (run_at or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
            run_at = run_at.strftime("%Y-%m-%d %H:%M:%S") if self.sqlite else run_at.isoformat()
        stored = self.rows(
            "INSERT INTO workflow_run (id, type, payload, priority, run_at, idempotency_key, max_attempts) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (idempotency_key) DO NOTHING RETURNING id",
            self.new_id(),
            type,
            json.dumps(payload),
            priority,
            run_at,
            key,
            max_attempts,
        )
        if not stored:
            return ""
        self.event(stored[0][0], "created")
        return str(stored[0][0])

    def claim(self, worker, *prefixes, lease=30):
        """(id, type, payload, attempt, max_attempts) of one run that is leased now, or None."""
        due = "status = 'pending' AND run_at <= NOW"
        if self.form == "go":
            due = f"(({due}) OR (status = 'leased' AND lease_until < NOW))"
        if prefixes:
            due += f" AND ({' OR '.join(['type LIKE %s'] * len(prefixes))})"
        skip = "" if self.sqlite else "FOR UPDATE SKIP LOCKED"
        found = self.rows(
            f"UPDATE workflow_run SET status = 'leased', leased_by = %s, lease_until = {self._after(lease)}, "
            "updated_at = NOW WHERE id = (SELECT id FROM workflow_run WHERE "
            f"{due} AND deleted_at IS NULL ORDER BY priority, created_at {skip} LIMIT 1) "
            "RETURNING id, type, payload, attempt, max_attempts",
            worker,
            *prefixes,
        )
        if not found:
            return None
        id_, type_, payload, attempt, max_attempts = found[0]
        self.event(id_, "leased", {"worker_id": worker, "attempt": attempt})
        self.event(id_, "started", {"worker_id": worker})
        return str(id_), type_, json.loads(payload) if self.sqlite else payload, attempt, max_attempts

    def succeed(self, run_id, result):
        self.run(
            "UPDATE workflow_run SET status = 'succeeded', result = %s, updated_at = NOW WHERE id = %s",
            json.dumps(result),
            run_id,
        )
        self.event(run_id, "succeeded")

    def fail(self, claimed, error, *, wait=60, run_at=None):
        """Pending again with a later time, or failed when its attempts are spent; *run_at* as its text."""
        run_id, _, _, attempt, max_attempts = claimed
        attempt += 1
        told = {"attempt": attempt, "error": error}
        if attempt >= max_attempts:
            self.run(
                "UPDATE workflow_run SET status = 'failed', attempt = %s, last_error = %s, updated_at = NOW "
                "WHERE id = %s",
                attempt,
                error,
                run_id,
            )
            self.event(run_id, "failed", told)
            return
        later = self._after(wait) if run_at is None else f"'{run_at}'"
        self.run(
            f"UPDATE workflow_run SET status = 'pending', attempt = %s, run_at = {later}, last_error = %s, "
            "updated_at = NOW WHERE id = %s",
            attempt,
            error,
            run_id,
        )
        self.event(run_id, "retried", told)

    def heartbeat(self, run_id, lease=30):
        """Whether there was anything to extend; nobody asks whose lease it is."""
        done = self.run(
            f"UPDATE workflow_run SET lease_until = {self._after(lease)}, updated_at = NOW "
            "WHERE id = %s AND status = 'leased'",
            run_id,
        )
        if done.rowcount:
            self.event(run_id, "heartbeat", {"extended_by_seconds": lease})
        return bool(done.rowcount)

    def cancel(self, run_id):
        """Whether there was anything to cancel."""
        done = self.run(
            "UPDATE workflow_run SET status = 'cancelled', updated_at = NOW "
            "WHERE id = %s AND status IN ('pending', 'leased')",
            run_id,
        )
        if done.rowcount:
            self.event(run_id, "cancelled")
        return bool(done.rowcount)

    def is_cancelled(self, run_id):
        return self.rows("SELECT status FROM workflow_run WHERE id = %s", run_id) == [("cancelled",)]

    def event(self, run_id, kind, data=None):
        self.run(
            "INSERT INTO workflow_event (workflow_id, event_type, data) VALUES (%s, %s, %s)",
            run_id,
            kind,
            None if data is None else json.dumps(data),
        )

    def schedule(self, type, payload, *, cron="* * * * *", next_run_at, zone="UTC"):  # noqa: A002 - the wire's word
        """A new schedule; *next_run_at* a time, or the text that is stored."""
        if isinstance(next_run_at, datetime):
            next_run_at = self._text(next_run_at)
        id_ = str(uuid4())
        self.run(
            "INSERT INTO workflow_schedule (id, type, payload, schedule, timezone, next_run_at) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            id_,
            type,
            json.dumps(payload),
            cron,
            zone,
            next_run_at,
        )
        return id_

    def tick(self, between=lambda: None):
        """Its ticker's one transaction; the ids of the runs. Only of schedules that fire each minute."""
        on = "enabled = 1" if self.sqlite else "enabled = true"
        skip = "" if self.sqlite else "FOR UPDATE SKIP LOCKED"
        made = []
        self.connection.execute("BEGIN")
        try:
            for id_, type_, payload, next_run_at, priority, attempts in self.rows(
                "SELECT id, type, payload, next_run_at, priority, max_attempts FROM workflow_schedule "
                f"WHERE next_run_at <= NOW AND {on} AND deleted_at IS NULL LIMIT 10 {skip}"
            ):
                between()
                at = next_run_at
                if self.sqlite:
                    at = datetime.fromisoformat(next_run_at).replace(tzinfo=UTC)
                made += self.rows(
                    "INSERT INTO workflow_run (id, type, payload, priority, run_at, idempotency_key, max_attempts) "
                    "VALUES (%s, %s, %s, %s, NOW, %s, %s) ON CONFLICT (idempotency_key) DO NOTHING RETURNING id",
                    str(uuid4()),
                    type_,
                    payload if self.sqlite else json.dumps(payload),
                    priority,
                    f"schedule:{id_}:{int(at.timestamp())}",
                    attempts,
                )
                following = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
                self.run(
                    "UPDATE workflow_schedule SET next_run_at = %s, last_run_at = NOW, updated_at = NOW WHERE id = %s",
                    self._text(following),
                    id_,
                )
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        return [str(id_) for (id_,) in made]

    def _text(self, time):
        return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if self.sqlite else time.isoformat()

    def _after(self, seconds):
        sign = "+" if seconds >= 0 else ""
        return f"datetime('now', '{sign}{seconds} seconds')" if self.sqlite else f"now() + interval '{seconds} seconds'"


def main(url, worker, prefix):
    """Work until nothing is left to be done by anybody."""
    client = Foreign(url)
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        claimed = client.claim(worker, prefix)
        if claimed is None:
            left = client.rows("SELECT count(*) FROM workflow_run WHERE status IN ('pending', 'leased')")
            if left == [(0,)]:
                return
            continue
        print(json.dumps(claimed[2]), flush=True)
        client.succeed(claimed[0], {"by": worker})


if __name__ == "__main__":
    main(*sys.argv[1:])
