"""The tables of the wire format in SQLite, and what we add to them.

Step 1 is the wire format as other programs create it, so a database of theirs passes it unchanged. The later steps add
columns that have defaults, so their programs go on working, and exchange indexes, which are not part of the format.
"""

WIRE = """
CREATE TABLE IF NOT EXISTS workflow_run (
    id              TEXT PRIMARY KEY,
    type            TEXT NOT NULL,
    payload         TEXT NOT NULL,
    status          TEXT NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'leased', 'succeeded', 'failed', 'cancelled')),
    priority        INTEGER NOT NULL DEFAULT 100,
    run_at          TEXT NOT NULL DEFAULT (datetime('now')),
    idempotency_key TEXT UNIQUE,
    attempt         INTEGER NOT NULL DEFAULT 0,
    max_attempts    INTEGER NOT NULL DEFAULT 3,
    leased_by       TEXT,
    lease_until     TEXT,
    last_error      TEXT,
    result          TEXT,
    created_at      TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at      TEXT NOT NULL DEFAULT (datetime('now')),
    deleted_at      TEXT
);
CREATE TABLE IF NOT EXISTS workflow_event (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow_id TEXT NOT NULL REFERENCES workflow_run (id) ON DELETE CASCADE,
    event_type  TEXT NOT NULL CHECK (event_type IN
                ('created', 'leased', 'started', 'heartbeat', 'succeeded', 'failed', 'retried', 'cancelled')),
    data        TEXT,
    created_at  TEXT NOT NULL DEFAULT (datetime('now'))
);
CREATE TABLE IF NOT EXISTS workflow_registry (
    id            TEXT PRIMARY KEY,
    workflow_name TEXT NOT NULL UNIQUE,
    intent_type   TEXT NOT NULL DEFAULT 'workflow',
    runtime       TEXT NOT NULL CHECK (runtime IN ('go', 'python')),
    is_enabled    INTEGER NOT NULL DEFAULT 1,
    description   TEXT,
    created_at    TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at    TEXT NOT NULL DEFAULT (datetime('now')),
    deleted_at    TEXT
);
CREATE TABLE IF NOT EXISTS workflow_schedule (
    id           TEXT PRIMARY KEY,
    type         TEXT NOT NULL,
    payload      TEXT NOT NULL DEFAULT '{}',
    schedule     TEXT NOT NULL,
    timezone     TEXT NOT NULL DEFAULT 'UTC',
    next_run_at  TEXT NOT NULL,
    last_run_at  TEXT,
    enabled      INTEGER NOT NULL DEFAULT 1,
    priority     INTEGER NOT NULL DEFAULT 100,
    max_attempts INTEGER NOT NULL DEFAULT 3,
    created_at   TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at   TEXT NOT NULL DEFAULT (datetime('now')),
    deleted_at   TEXT
);
CREATE INDEX IF NOT EXISTS idx_workflow_run_type_status ON workflow_run (type, status, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_workflow_schedule_next_run ON workflow_schedule (next_run_at)
    WHERE enabled = 1 AND deleted_at IS NULL;
"""

# A finished run stays as it is under writers that name no fence. Who reopens a run raises its fence, and may.
FENCE = """
ALTER TABLE workflow_run ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workflow_run ADD COLUMN claims INTEGER NOT NULL DEFAULT 0;
CREATE INDEX orchestrator_run_claim ON workflow_run (priority, run_at, id, type)
    WHERE status = 'pending' AND deleted_at IS NULL;
CREATE INDEX orchestrator_run_age ON workflow_run (run_at, id, type) WHERE status = 'pending' AND deleted_at IS NULL;
CREATE INDEX orchestrator_run_lease ON workflow_run (lease_until) WHERE status = 'leased';
DROP INDEX IF EXISTS idx_workflow_run_claim;
DROP INDEX IF EXISTS idx_workflow_run_type_prefix;
DROP INDEX IF EXISTS idx_workflow_run_idempotency;
DROP INDEX IF EXISTS idx_workflow_run_deleted_at;
CREATE TRIGGER orchestrator_run_guard BEFORE UPDATE OF status ON workflow_run
    WHEN OLD.status IN ('succeeded', 'failed', 'cancelled') AND NEW.fence = OLD.fence
BEGIN
    SELECT RAISE(IGNORE);
END;
"""

# Events outlive a row that is moved elsewhere, and a purge deletes them itself.
EVENTS_WITHOUT_FOREIGN_KEY = """
CREATE TABLE orchestrator_event (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow_id TEXT NOT NULL,
    event_type  TEXT NOT NULL CHECK (event_type IN
                ('created', 'leased', 'started', 'heartbeat', 'succeeded', 'failed', 'retried', 'cancelled')),
    data        TEXT,
    created_at  TEXT NOT NULL DEFAULT (datetime('now'))
);
INSERT INTO orchestrator_event SELECT id, workflow_id, event_type, data, created_at FROM workflow_event;
DROP TABLE workflow_event;
ALTER TABLE orchestrator_event RENAME TO workflow_event;
CREATE INDEX orchestrator_event_run ON workflow_event (workflow_id, id);
"""

# Runs of the future and those of other types are not walked over by a claim. What other programs claim raises the fence
# as our claims do. The last two indexes are for purges and for whoever looks after failures.
READY = """
ALTER TABLE workflow_run ADD COLUMN ready INTEGER NOT NULL DEFAULT 1;
UPDATE workflow_run SET ready = 0
    WHERE status = 'pending' AND run_at > strftime('%Y-%m-%d %H:%M:%f000', 'now');
DROP INDEX orchestrator_run_claim;
DROP INDEX orchestrator_run_age;
DROP INDEX IF EXISTS idx_workflow_run_type_status;
CREATE INDEX orchestrator_run_claim ON workflow_run (type, priority, run_at, id)
    WHERE status = 'pending' AND ready = 1 AND deleted_at IS NULL;
CREATE INDEX orchestrator_run_age ON workflow_run (type, run_at, id)
    WHERE status = 'pending' AND ready = 1 AND deleted_at IS NULL;
CREATE INDEX orchestrator_run_future ON workflow_run (run_at) WHERE status = 'pending' AND ready = 0;
CREATE INDEX orchestrator_run_ended ON workflow_run (updated_at)
    WHERE status IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX orchestrator_run_failed ON workflow_run (id) WHERE status = 'failed';
CREATE TRIGGER orchestrator_run_fence AFTER UPDATE OF status ON workflow_run
    WHEN NEW.status = 'leased' AND NEW.fence = OLD.fence
BEGIN
    UPDATE workflow_run SET fence = fence + 1 WHERE id = NEW.id;
END;
ALTER TABLE workflow_schedule ADD COLUMN misfire TEXT;
ALTER TABLE workflow_schedule ADD COLUMN last_error TEXT;
"""

# A worker may keep with a run how far it got. The index of the leases tells how many runs of a type are held.
CHECKPOINT = """
ALTER TABLE workflow_run ADD COLUMN checkpoint BLOB;
DROP INDEX orchestrator_run_lease;
CREATE INDEX orchestrator_run_lease ON workflow_run (lease_until, type) WHERE status = 'leased';
"""

_BEHIND = "instr(substr({time}, 20), ' ')"
_PLAIN = f"""CASE WHEN substr({{time}}, 20) GLOB '* [+-][0-9][0-9][0-9][0-9]*'
    THEN substr({{time}}, 1, 18 + {_BEHIND}) || substr({{time}}, 20 + {_BEHIND}, 3) || ':'
        || substr({{time}}, 23 + {_BEHIND}, 2)
    ELSE {{time}} END"""
_ZONED = "(substr({time}, 11, 1) <> ' ' OR substr({time}, 20) GLOB '*[^0-9.]*')"
_UTC = f"coalesce(strftime('%Y-%m-%d %H:%M:%f000', {_PLAIN}), {{time}})"


def _in_utc(table: str, column: str) -> str:
    """Rewrites times of *column* that name a zone, those that are there and those to come."""
    zoned, utc = _ZONED.format(time=f"NEW.{column}"), _UTC.format(time=f"NEW.{column}")
    rewrite = f"WHEN {zoned} BEGIN UPDATE {table} SET {column} = {utc} WHERE id = NEW.id; END;"
    name = f"orchestrator_{table.removeprefix('workflow_')}_{column}"
    return f"""
UPDATE {table} SET {column} = {_UTC.format(time=column)} WHERE {_ZONED.format(time=column)};
CREATE TRIGGER {name}_new AFTER INSERT ON {table} {rewrite}
CREATE TRIGGER {name}_set AFTER UPDATE OF {column} ON {table} {rewrite}
"""


# For what writers of other programs store. Their times may be local wall clocks with a zone, which do not sort as text:
# they become UTC. A key that is taken only while its run is active is free again when they end it.
FOREIGN = f"""
{_in_utc("workflow_run", "run_at")}
{_in_utc("workflow_schedule", "next_run_at")}
{_in_utc("workflow_schedule", "last_run_at")}
UPDATE workflow_run SET ready = 0
    WHERE status = 'pending' AND ready = 1 AND run_at > strftime('%Y-%m-%d %H:%M:%f000', 'now');
CREATE TRIGGER orchestrator_run_key AFTER UPDATE OF status ON workflow_run
    WHEN NEW.status IN ('succeeded', 'failed', 'cancelled') AND OLD.status IN ('pending', 'leased')
        AND NEW.idempotency_key = OLD.idempotency_key AND substr(NEW.idempotency_key, 1, 7) = 'active:'
BEGIN
    UPDATE workflow_run SET idempotency_key = idempotency_key || ':' || id WHERE id = NEW.id;
END;
"""

STEPS = (WIRE, FENCE, EVENTS_WITHOUT_FOREIGN_KEY, READY, CHECKPOINT, FOREIGN)
"""Only ever added to: a step that was released is never changed."""
