"""The statements that carry the load of the inbox on PostgreSQL, composed once per store.

Each is one round trip whatever the number of runs, and writes the event rows with the change. They are made for generic
plans that cannot go wrong: a fence is an expression, so that no index but the primary key can find the run.
"""

from orchestrator.inbox.machine import CRASH_ALLOWANCE
from orchestrator.inbox.store.postgres.turns import Turns
from orchestrator.inbox.store.records import ACTIVE

#: Set for each transaction that claims or settles. A plan made while the tables are empty must be good when they
#: are full as well: only walks of indexes are.
PLANS = (
    "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; "
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off"
)

#: The same for what settles: a row that somebody has locked is waited for so long, and no longer.
SETTLING = f"{PLANS}; SET LOCAL lock_timeout = '1s'"

#: The same for a session that does nothing else.
SESSION, SETTLING_SESSION = (each.replace("SET LOCAL", "SET") for each in (PLANS, SETTLING))

#: And for one that stores runs with keys, of which another transaction may have one: who shares it waits no longer.
KEYED_SESSION = f"{SESSION}; SET lock_timeout = '200ms'"

#: How long a transaction that keeps others from a type may be idle before the server ends it.
COUNTING_IDLE = "5s"

_DUE = "r.status = 'pending' AND r.ready AND r.deleted_at IS NULL AND r.run_at <= {now}"

_INSERT = """
WITH new AS (
    SELECT n.*, coalesce(n.at, {now} + n.delay * interval '1 second') AS start FROM unnest(
        %(ids)s::uuid[], %(types)s::text[], %(payloads)s::text[], %(priorities)s::int[], %(times)s::timestamptz[],
        %(delays)s::float8[], %(keys)s::text[], %(attempts)s::int[]
    ) WITH ORDINALITY AS n(id, type, payload, priority, at, delay, key, attempts, place)
),
stored AS (
    INSERT INTO {s}workflow_run
        (id, type, payload, priority, run_at, ready, idempotency_key, max_attempts, created_at, updated_at)
    SELECT id, type, payload::jsonb, priority, start, start <= {now}, key, attempts, {now}, {now} FROM new
    ORDER BY place
    ON CONFLICT (idempotency_key) DO NOTHING RETURNING id
),
event AS (
    INSERT INTO {s}workflow_event (workflow_id, event_type, created_at) SELECT id, 'created', {now} FROM stored
)
SELECT id::text FROM stored
"""

_TOTALS = "unnest(%(types)s::text[], %(totals)s::int[]) AS t(type, total)"
_LEASED = """(
    SELECT count(*) FROM (
        SELECT FROM {s}workflow_run r WHERE r.status = 'leased' AND r.type COLLATE "C" = t.type LIMIT t.total
    ) held
)"""
# Who counts a type locks it, and is told whether it got the lock: nobody waits for a process that is frozen there, and
# the server ends one that is. A type of which nothing is to be had is not locked, or idle workers would keep the busy
# ones off it: who brings a run, or makes room, tells all workers after its commit.
_LOCK = """
SELECT t.type, CASE WHEN pg_try_advisory_xact_lock(hashtextextended(%(place)s::text || t.type, 0))
    THEN set_config('idle_in_transaction_session_timeout', CASE
        WHEN current_setting('idle_in_transaction_session_timeout')::interval BETWEEN '1 ms' AND '{idle}'
        THEN current_setting('idle_in_transaction_session_timeout') ELSE '{idle}'
    END, true) IS NOT NULL ELSE false END
FROM {totals} WHERE (
    SELECT true FROM {s}workflow_run r WHERE {due} AND r.type COLLATE "C" = t.type ORDER BY r.run_at LIMIT 1
) AND t.total > {leased}
"""
# How many of each type may still be leased: asked when the locks are held, so that nobody takes them meanwhile.
_ROOM = """
SELECT t.type, greatest(0, t.total - {leased})::int FROM {totals}
"""

_KEEP = """
UPDATE {s}workflow_run r SET checkpoint = %(state)s::bytea
WHERE r.id = %(id)s::uuid AND r.status || '' = 'leased' AND r.leased_by || '' = %(holder)s::text
    AND r.fence + 0 = %(fence)s::bigint
RETURNING 1
"""

# Who waited for a row that somebody has locked would let all other leases end meanwhile.
_HEARTBEAT = """
WITH hold AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[]) WITH ORDINALITY AS h(id, fence, place)
),
mine AS MATERIALIZED (
    SELECT h.place, r.id FROM hold h JOIN {s}workflow_run r ON r.id = h.id
    WHERE r.status || '' = 'leased' AND r.leased_by || '' = %(holder)s::text AND r.fence + 0 = h.fence
    FOR NO KEY UPDATE OF r SKIP LOCKED
),
renewed AS (
    UPDATE {s}workflow_run r SET lease_until = {now} + %(lease)s::float8 * interval '1 second', updated_at = {now}
    FROM mine WHERE r.id = mine.id RETURNING mine.place, r.id
),
event AS (
    INSERT INTO {s}workflow_event (workflow_id, event_type, data, created_at)
    SELECT id, 'heartbeat', %(data)s::jsonb, {now} FROM renewed WHERE %(audit)s::bool
)
SELECT h.place::int, (
    SELECT CASE WHEN r.status = 'leased' AND r.leased_by = %(holder)s::text AND r.fence = h.fence
        THEN 'locked' ELSE r.status END FROM {s}workflow_run r WHERE r.id = h.id
) FROM hold h WHERE h.place <> ALL (ARRAY(SELECT place FROM renewed))
"""

# What foreign workers hold counts as well; theirs are told from the failures alone, for they do not count claims.
_SWEEP = """
WITH late AS MATERIALIZED (
    SELECT r.id, r.leased_by, {exhausted} AS last FROM {s}workflow_run r
    WHERE r.status = 'leased' AND r.lease_until < {now} ORDER BY r.lease_until LIMIT %(limit)s::int
    FOR UPDATE SKIP LOCKED
),
swept AS (
    UPDATE {s}workflow_run r SET
        status = CASE WHEN late.last THEN 'failed' ELSE 'pending' END,
        leased_by = NULL,
        lease_until = NULL,
        updated_at = {now},
        attempt = r.attempt + 1,
        ready = true,
        last_error = format('the lease of worker %%L expired without an outcome', late.leased_by)
            || CASE WHEN late.last THEN format(
                '; it happened too often for max_attempts %%s, see what kills its workers', r.max_attempts
            ) ELSE '' END,
        idempotency_key = CASE WHEN late.last THEN {ended_key} ELSE r.idempotency_key END
    FROM late WHERE r.id = late.id
    RETURNING r.id, late.last, late.leased_by, r.attempt, r.last_error
),
event AS (
    INSERT INTO {s}workflow_event (workflow_id, event_type, data, created_at)
    SELECT id, CASE WHEN last THEN 'failed' ELSE 'retried' END, jsonb_build_object(
        'attempt', attempt, 'error', last_error, 'worker_id', leased_by, 'reason', 'lease_expired'
    ), {now} FROM swept
)
SELECT count(*) FILTER (WHERE NOT last)::int, count(*) FILTER (WHERE last)::int FROM swept
"""

_PROMOTE = """
WITH due AS MATERIALIZED (
    SELECT r.id FROM {s}workflow_run r WHERE r.status = 'pending' AND NOT r.ready AND r.run_at <= {now}
    ORDER BY r.run_at LIMIT %(limit)s::int FOR UPDATE SKIP LOCKED
),
promoted AS (UPDATE {s}workflow_run r SET ready = true FROM due WHERE r.id = due.id RETURNING r.id)
SELECT (SELECT count(*) FROM promoted)::int, (
    SELECT extract(epoch FROM r.run_at - {now})::float8 FROM {s}workflow_run r
    WHERE r.status = 'pending' AND NOT r.ready AND isfinite(r.run_at) AND r.id <> ALL (ARRAY(SELECT id FROM due))
    ORDER BY r.run_at LIMIT 1
)
"""

_PURGE = """
WITH old AS MATERIALIZED (
    SELECT r.id FROM {s}workflow_run r WHERE r.status IN ('succeeded', 'failed', 'cancelled')
    AND r.status = ANY (%(states)s::text[]) AND r.updated_at < {now} - %(age)s::float8 * interval '1 second'
    ORDER BY r.updated_at LIMIT %(limit)s::int FOR UPDATE SKIP LOCKED
),
event AS (DELETE FROM {s}workflow_event e USING old WHERE e.workflow_id = old.id),
gone AS (DELETE FROM {s}workflow_run r USING old WHERE r.id = old.id RETURNING r.id)
SELECT count(*)::int FROM gone
"""


class Statements:
    """The statements over the tables with the name prefix *place*; *now* is the SQL expression of the time."""

    def __init__(self, place: str, now: str) -> None:
        self._parts = {
            "s": place,
            "now": now,
            "due": _DUE.format(now=now),
            "leased": _LEASED.format(s=place),
            "totals": _TOTALS,
            "idle": COUNTING_IDLE,
            **_texts(),
        }
        self.turn = Turns(self._parts)
        self.insert = self._text(_INSERT)
        # Without keys there is nothing to be in conflict with, and a fifth of the server's work is saved.
        self.insert_without_keys = self._text(_INSERT.replace("ON CONFLICT (idempotency_key) DO NOTHING ", ""))
        self.heartbeat = self._text(_HEARTBEAT)
        self.keep = self._text(_KEEP)
        self.room = self._text(_ROOM)
        self.lock = self._text(_LOCK)
        self.sweep = self._text(_SWEEP)
        self.promote = self._text(_PROMOTE)
        self.purge = self._text(_PURGE)

    def _text(self, template: str) -> str:
        return template.format(**self._parts)


def _texts() -> dict[str, str]:
    # Taken from the one side and not added to the other, where the greatest number of all may stand.
    refused = f"r.claims - {CRASH_ALLOWANCE} >= r.max_attempts"
    return {
        "refused": refused,
        "refusal": "format('claimed %%s times without an outcome, which is too often for max_attempts %%s; "
        "see what kills its workers, then retry it', r.claims, r.max_attempts)",
        "exhausted": f"greatest(r.claims, r.attempt + 1) - {CRASH_ALLOWANCE} >= r.max_attempts",
        "ended_key": f"CASE WHEN starts_with(r.idempotency_key, '{ACTIVE}') "
        "THEN r.idempotency_key || ':' || r.id ELSE r.idempotency_key END",
    }
