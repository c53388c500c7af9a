"""The tables as simple-workflow v0.0.4 makes them: columns, constraint names, indexes, seeds of the registry."""

_STATES = "'pending', 'leased', 'succeeded', 'failed', 'cancelled'"
_EVENTS = "'created', 'leased', 'started', 'heartbeat', 'succeeded', 'failed', 'retried', 'cancelled'"

#: The seeds that its version-controlled migrations store; its embedded ones do not.
SEEDS = (
    ("content.thumbnail.v1", "go"),
    ("content.ocr.v1", "python"),
    ("content.object_detection.v1", "python"),
)

POSTGRES = f"""
CREATE TABLE IF NOT EXISTS workflow_run (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    type TEXT NOT NULL,
    payload JSONB NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ({_STATES})),
    priority INT NOT NULL DEFAULT 100,
    run_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    idempotency_key TEXT UNIQUE,
    attempt INT NOT NULL DEFAULT 0,
    max_attempts INT NOT NULL DEFAULT 3,
    leased_by TEXT,
    lease_until TIMESTAMPTZ,
    last_error TEXT,
    result JSONB,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at TIMESTAMPTZ
);
CREATE INDEX IF NOT EXISTS idx_workflow_run_claim ON workflow_run (status, run_at, priority, created_at)
    WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS idx_workflow_run_type_prefix ON workflow_run (type text_pattern_ops, status, run_at)
    WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS idx_workflow_run_idempotency ON workflow_run (idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_workflow_run_type_status ON workflow_run (type, status, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_workflow_run_deleted_at ON workflow_run (deleted_at) WHERE deleted_at IS NULL;

CREATE TABLE IF NOT EXISTS workflow_event (
    id BIGSERIAL PRIMARY KEY,
    workflow_id UUID NOT NULL REFERENCES workflow_run (id) ON DELETE CASCADE,
    event_type TEXT NOT NULL CHECK (event_type IN ({_EVENTS})),
    data JSONB,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS idx_workflow_event_workflow_id ON workflow_event (workflow_id, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_workflow_event_type ON workflow_event (event_type, created_at DESC);

CREATE TABLE IF NOT EXISTS workflow_registry (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    workflow_name TEXT UNIQUE NOT NULL,
    intent_type TEXT NOT NULL DEFAULT 'workflow',
    runtime TEXT NOT NULL,
    is_enabled BOOLEAN NOT NULL DEFAULT true,
    description TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at TIMESTAMPTZ
);
CREATE INDEX IF NOT EXISTS idx_workflow_registry_runtime ON workflow_registry (runtime, is_enabled);
CREATE INDEX IF NOT EXISTS idx_workflow_registry_deleted_at ON workflow_registry (deleted_at) WHERE deleted_at IS NULL;

CREATE TABLE IF NOT EXISTS workflow_schedule (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    type TEXT NOT NULL,
    payload JSONB NOT NULL DEFAULT '{{}}',
    schedule TEXT NOT NULL,
    timezone TEXT NOT NULL DEFAULT 'UTC',
    next_run_at TIMESTAMPTZ NOT NULL,
    last_run_at TIMESTAMPTZ,
    enabled BOOLEAN NOT NULL DEFAULT true,
    priority INT NOT NULL DEFAULT 100,
    max_attempts INT NOT NULL DEFAULT 3,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at TIMESTAMPTZ
);
CREATE INDEX IF NOT EXISTS idx_workflow_schedule_next_run ON workflow_schedule (next_run_at)
    WHERE enabled = true AND deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS idx_workflow_schedule_type ON workflow_schedule (type);
"""

SQLITE = f"""
CREATE TABLE IF NOT EXISTS workflow_run (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ({_STATES})),
    priority INTEGER NOT NULL DEFAULT 100,
    run_at TEXT NOT NULL DEFAULT (datetime('now')),
    idempotency_key TEXT UNIQUE,
    attempt INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL DEFAULT 3,
    leased_by TEXT,
    lease_until TEXT,
    last_error TEXT,
    result TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now')),
    deleted_at TEXT
);
CREATE INDEX IF NOT EXISTS idx_workflow_run_claim ON workflow_run (status, run_at, priority, created_at);
CREATE INDEX IF NOT EXISTS idx_workflow_run_type_prefix ON workflow_run (type, status, run_at);
CREATE INDEX IF NOT EXISTS idx_workflow_run_idempotency ON workflow_run (idempotency_key);
CREATE INDEX IF NOT EXISTS idx_workflow_run_type_status ON workflow_run (type, status, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_workflow_run_deleted_at ON workflow_run (deleted_at);

CREATE TABLE IF NOT EXISTS workflow_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow_id TEXT NOT NULL REFERENCES workflow_run (id) ON DELETE CASCADE,
    event_type TEXT NOT NULL CHECK (event_type IN ({_EVENTS})),
    data TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now'))
);
CREATE INDEX IF NOT EXISTS idx_workflow_event_workflow_id ON workflow_event (workflow_id, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_workflow_event_type ON workflow_event (event_type, created_at DESC);

CREATE TABLE IF NOT EXISTS workflow_registry (
    id TEXT PRIMARY KEY,
    workflow_name TEXT UNIQUE NOT NULL,
    intent_type TEXT NOT NULL DEFAULT 'workflow',
    runtime TEXT NOT NULL,
    is_enabled INTEGER NOT NULL DEFAULT 1,
    description TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now')),
    deleted_at TEXT
);
CREATE INDEX IF NOT EXISTS idx_workflow_registry_runtime ON workflow_registry (runtime, is_enabled);
CREATE INDEX IF NOT EXISTS idx_workflow_registry_deleted_at ON workflow_registry (deleted_at);

CREATE TABLE IF NOT EXISTS workflow_schedule (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    payload TEXT NOT NULL DEFAULT '{{}}',
    schedule TEXT NOT NULL,
    timezone TEXT NOT NULL DEFAULT 'UTC',
    next_run_at TEXT NOT NULL,
    last_run_at TEXT,
    enabled INTEGER NOT NULL DEFAULT 1,
    priority INTEGER NOT NULL DEFAULT 100,
    max_attempts INTEGER NOT NULL DEFAULT 3,
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now')),
    deleted_at TEXT
);
CREATE INDEX IF NOT EXISTS idx_workflow_schedule_next_run ON workflow_schedule (next_run_at);
CREATE INDEX IF NOT EXISTS idx_workflow_schedule_type ON workflow_schedule (type);
"""
