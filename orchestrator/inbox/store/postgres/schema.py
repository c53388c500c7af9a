"""The tables of the wire format in PostgreSQL, and what we add to them.

Step 1 is the wire format as other programs create it, so a database of theirs passes it unchanged. Step 2 adds columns
that have defaults, so their programs go on working, and exchanges indexes, which are not part of the format: six fewer
are written by every change of a run.

``ready`` keeps runs of the future out of the indexes that claims walk. It is true unless a writer of ours says
otherwise, so what other programs store can be claimed; a trigger corrects it for their runs of the future.
"""

from collections.abc import Sequence

WIRE = """
CREATE TABLE IF NOT EXISTS {s}workflow_run (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    type            TEXT NOT NULL,
    payload         JSONB NOT NULL,
    status          TEXT NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'leased', 'succeeded', 'failed', 'cancelled')),
    priority        INT NOT NULL DEFAULT 100,
    run_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
    idempotency_key TEXT UNIQUE,
    attempt         INT NOT NULL DEFAULT 0,
    max_attempts    INT NOT NULL DEFAULT 3,
    leased_by       TEXT,
    lease_until     TIMESTAMPTZ,
    last_error      TEXT,
    result          JSONB,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at      TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS {s}workflow_event (
    id          BIGSERIAL PRIMARY KEY,
    workflow_id UUID NOT NULL,
    event_type  TEXT NOT NULL CHECK (event_type IN
                ('created', 'leased', 'started', 'heartbeat', 'succeeded', 'failed', 'retried', 'cancelled')),
    data        JSONB,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS {s}workflow_registry (
    id            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    workflow_name TEXT NOT NULL UNIQUE,
    intent_type   TEXT NOT NULL DEFAULT 'workflow',
    runtime       TEXT NOT NULL,
    is_enabled    BOOLEAN NOT NULL DEFAULT true,
    description   TEXT,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at    TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS {s}workflow_schedule (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    type         TEXT NOT NULL,
    payload      JSONB NOT NULL DEFAULT '{{}}',
    schedule     TEXT NOT NULL,
    timezone     TEXT NOT NULL DEFAULT 'UTC',
    next_run_at  TIMESTAMPTZ NOT NULL,
    last_run_at  TIMESTAMPTZ,
    enabled      BOOLEAN NOT NULL DEFAULT true,
    priority     INT NOT NULL DEFAULT 100,
    max_attempts INT NOT NULL DEFAULT 3,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at   TIMESTAMPTZ
);
CREATE INDEX IF NOT EXISTS idx_workflow_schedule_next_run ON {s}workflow_schedule (next_run_at)
    WHERE enabled = true AND deleted_at IS NULL
"""

# All at once and in the order in which writers of the other program take them, or we would wait for each other in a
# circle: a tick has read its schedules when it stores runs, and an event asks for its run by the foreign key.
COLUMNS = """
LOCK TABLE {s}workflow_schedule, {s}workflow_event, {s}workflow_run, {s}workflow_registry IN ACCESS EXCLUSIVE MODE;
ALTER TABLE {s}workflow_run ADD COLUMN IF NOT EXISTS fence BIGINT NOT NULL DEFAULT 0;
ALTER TABLE {s}workflow_run ADD COLUMN IF NOT EXISTS claims INT NOT NULL DEFAULT 0;
ALTER TABLE {s}workflow_run ADD COLUMN IF NOT EXISTS ready BOOLEAN NOT NULL DEFAULT true;
ALTER TABLE {s}workflow_registry ADD COLUMN IF NOT EXISTS id UUID DEFAULT gen_random_uuid();
ALTER TABLE {s}workflow_registry ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE {s}workflow_registry ADD COLUMN IF NOT EXISTS deleted_at TIMESTAMPTZ;
ALTER TABLE {s}workflow_schedule ADD COLUMN IF NOT EXISTS misfire TEXT;
ALTER TABLE {s}workflow_schedule ADD COLUMN IF NOT EXISTS last_error TEXT;
ALTER TABLE {s}workflow_event DROP CONSTRAINT IF EXISTS workflow_event_workflow_id_fkey;
UPDATE {s}workflow_run SET ready = false WHERE status = 'pending' AND run_at > now()
"""

# The type comes first, so that nobody walks over the backlog of somebody else's types; in the collation "C", so that
# prefixes are ranges. The last two are for purges and for whoever looks after failures.
INDEXES = """
DROP INDEX IF EXISTS {s}idx_workflow_run_claim;
DROP INDEX IF EXISTS {s}idx_workflow_run_type_prefix;
DROP INDEX IF EXISTS {s}idx_workflow_run_idempotency;
DROP INDEX IF EXISTS {s}idx_workflow_run_type_status;
DROP INDEX IF EXISTS {s}idx_workflow_run_deleted_at;
DROP INDEX IF EXISTS {s}idx_workflow_event_workflow_id;
DROP INDEX IF EXISTS {s}idx_workflow_event_type;
CREATE INDEX IF NOT EXISTS orchestrator_run_claim ON {s}workflow_run (type COLLATE "C", priority, run_at, id)
    WHERE status = 'pending' AND ready AND deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS orchestrator_run_age ON {s}workflow_run (type COLLATE "C", run_at, id)
    WHERE status = 'pending' AND ready AND deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS orchestrator_run_future ON {s}workflow_run (run_at)
    WHERE status = 'pending' AND NOT ready;
CREATE INDEX IF NOT EXISTS orchestrator_run_lease ON {s}workflow_run (lease_until) WHERE status = 'leased';
CREATE INDEX IF NOT EXISTS orchestrator_run_ended ON {s}workflow_run (updated_at)
    WHERE status IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX IF NOT EXISTS orchestrator_run_failed ON {s}workflow_run (id) WHERE status = 'failed';
CREATE INDEX IF NOT EXISTS orchestrator_event_run ON {s}workflow_event (workflow_id);
ALTER TABLE {s}workflow_run
    SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)
"""

# A worker may keep with a run how far it got. The index of the leases tells how many runs of a type are held.
CHECKPOINT = """
ALTER TABLE {s}workflow_run ADD COLUMN IF NOT EXISTS checkpoint BYTEA;
DROP INDEX IF EXISTS {s}orchestrator_run_lease;
CREATE INDEX IF NOT EXISTS orchestrator_run_lease ON {s}workflow_run (lease_until, type COLLATE "C")
    WHERE status = 'leased'
"""

# For writers that know nothing of our columns; each is asked by its WHEN alone, which costs ours next to nothing.
# Guard: a finished run stays as it is under writers that name no fence. Who reopens a run raises its fence, and may.
# Fence: their claims count as ours do, so that a former owner of ours is refused.
# Future: what they store or put off for later leaves the indexes of the claims.
TRIGGERS = """
CREATE OR REPLACE FUNCTION {s}orchestrator_run_guard() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RETURN NULL; END';
CREATE OR REPLACE FUNCTION {s}orchestrator_run_fence() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.fence := OLD.fence + 1; RETURN NEW; END';
CREATE OR REPLACE FUNCTION {s}orchestrator_run_future() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.ready := false; RETURN NEW; END';
DROP TRIGGER IF EXISTS orchestrator_run_a_guard ON {s}workflow_run;
CREATE TRIGGER orchestrator_run_a_guard BEFORE UPDATE OF status ON {s}workflow_run FOR EACH ROW
    WHEN (OLD.status IN ('succeeded', 'failed', 'cancelled') AND NEW.fence = OLD.fence)
    EXECUTE FUNCTION {s}orchestrator_run_guard();
DROP TRIGGER IF EXISTS orchestrator_run_b_fence ON {s}workflow_run;
CREATE TRIGGER orchestrator_run_b_fence BEFORE UPDATE OF status ON {s}workflow_run FOR EACH ROW
    WHEN (NEW.status = 'leased' AND NEW.fence = OLD.fence)
    EXECUTE FUNCTION {s}orchestrator_run_fence();
DROP TRIGGER IF EXISTS orchestrator_run_c_future ON {s}workflow_run;
CREATE TRIGGER orchestrator_run_c_future BEFORE INSERT OR UPDATE OF status ON {s}workflow_run FOR EACH ROW
    WHEN (NEW.status = 'pending' AND NEW.ready AND NEW.run_at > now())
    EXECUTE FUNCTION {s}orchestrator_run_future()
"""

# For their writers as well: a key that is taken only while its run is active is free again when they end it.
KEYS = """
CREATE OR REPLACE FUNCTION {s}orchestrator_run_key() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.idempotency_key := OLD.idempotency_key || '':'' || OLD.id; RETURN NEW; END';
DROP TRIGGER IF EXISTS orchestrator_run_d_key ON {s}workflow_run;
CREATE TRIGGER orchestrator_run_d_key BEFORE UPDATE OF status ON {s}workflow_run FOR EACH ROW
    WHEN (NEW.status IN ('succeeded', 'failed', 'cancelled') AND OLD.status IN ('pending', 'leased')
        AND NEW.idempotency_key = OLD.idempotency_key AND starts_with(NEW.idempotency_key, 'active:'))
    EXECUTE FUNCTION {s}orchestrator_run_key()
"""


# An intent has four event rows or more, and each index costs as much as its row. One key finds the history of a run in
# its order, and no two rows are alike in it; that no number stands twice is for its sequence to see to.
EVENT_KEY = """
ALTER TABLE {s}workflow_event DROP CONSTRAINT IF EXISTS workflow_event_pkey;
ALTER TABLE {s}workflow_event ADD PRIMARY KEY (workflow_id, id);
DROP INDEX IF EXISTS {s}orchestrator_event_run
"""


def prefix(schema: str | None) -> str:
    """What stands before each name: the quoted *schema* and a dot, or nothing, which leaves it to the search_path."""
    return "" if schema is None else '"' + schema.replace('"', '""') + '".'


def steps(schema: str | None) -> Sequence[str]:
    """The numbered migrations in *schema*. Only ever added to: a step that was released is never changed."""
    place = prefix(schema)
    return (
        WIRE.format(s=place),
        f"{COLUMNS};{INDEXES};{TRIGGERS}".format(s=place),
        CHECKPOINT.format(s=place),
        KEYS.format(s=place),
        EVENT_KEY.format(s=place),
    )
