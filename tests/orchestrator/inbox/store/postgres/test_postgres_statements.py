"""The statements of the store on PostgreSQL: their plans, and what they cost."""

import re

import psycopg
import pytest
from psycopg import sql

from orchestrator.inbox.store.postgres.statements import PLANS
from orchestrator.inbox.store.postgres.turns import Shape
from orchestrator.inbox.store.postgres.values import new_values, settled_values, total_values, wanted_values
from orchestrator.inbox.store.records import ClaimRequest, Failed, Settled, Succeeded
from tests.orchestrator.inbox.conftest import new

pytestmark = pytest.mark.slow  # processes of their own

BACKLOG = """
INSERT INTO workflow.workflow_run (type, payload, priority, run_at)
SELECT 'mail' || n %% 4 || '.v1', '{}', n %% 3, now() - n %% 977 * interval '1 second' FROM generate_series(1, %s) n
"""


def nodes(plan):
    """All nodes of an explained plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def explained(connection, statement, values):
    """What *statement* does with the generic plan that this session keeps for it; its changes are undone."""
    connection.prepare_threshold = None  # or psycopg would forget the statement when its work is undone
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", statement).replace("%%", "%")
    given = ", ".join(sql.Literal(values[name]).as_string(connection) for name in names)
    if not connection.execute("SELECT FROM pg_prepared_statements WHERE name = 'probe'").fetchall():
        connection.execute(f"PREPARE probe AS {numbered}")
        with connection.transaction(force_rollback=True):
            connection.execute(PLANS)
            connection.execute(f"EXECUTE probe ({given})")
    with connection.transaction(force_rollback=True):
        connection.execute(PLANS)
        row = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE probe ({given})").fetchone()
    ((kept,),) = connection.execute("SELECT generic_plans FROM pg_prepared_statements WHERE name = 'probe'").fetchall()
    assert kept >= 2
    return row[0][0]["Plan"]


def wanted(*types, limit=250):
    """The values of a claim."""
    told = {"worker": "w1", "types": list(types), "limit": str(limit), "share": str(2 * limit // len(types) + 4)}
    return {**told, "lease": "30", "first": "{}", "started": "{}"}


@pytest.mark.parametrize("shape", [Shape(many, False, oldest) for many in (False, True) for oldest in (False, True)])
def test_a_claim_costs_the_same_however_long_the_backlog(connection, store, shape):
    """It walks its index, reads no more rows than it takes or so, and sorts no backlog; with statistics or without."""
    types = [f"mail{n}.v1" for n in range(4 if shape.many else 1)]
    costs, sorted_rows = [], []
    for size, analyzed in ((0, False), (1_000, False), (99_000, False), (0, True)):
        connection.execute(BACKLOG, [size])
        if analyzed:
            connection.execute("ANALYZE workflow.workflow_run")

        plan = explained(connection, store._statements.turn("nothing", shape), wanted(*types))

        found = list(nodes(plan))
        scans = [node for node in found if node.get("Relation Name") == "workflow_run" and "Scan" in node["Node Type"]]
        index = "orchestrator_run_age" if shape.oldest_first else "orchestrator_run_claim"
        assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan", "Tid Scan"}
        assert {node["Index Name"] for node in scans if "Index Name" in node} == {index}
        sorted_rows += [node["Actual Rows"] for node in found if "Sort" in node["Node Type"]]
        if size or analyzed:
            costs.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

    assert max(sorted_rows) <= 4 * 250
    assert max(costs) <= 1.5 * min(costs)


def test_a_claim_does_not_walk_over_the_future_nor_over_the_types_of_others(connection, store):
    """However many and however urgent those are."""
    connection.execute(BACKLOG, [500])
    claim = store._statements.turn("nothing", Shape(False, False, False))
    before = explained(connection, claim, wanted("mail1.v1", limit=50))
    connection.execute(
        "INSERT INTO workflow.workflow_run (type, payload, priority, run_at) SELECT t, '{}', -9, now() + d::interval "
        "FROM generate_series(1, 20000), (VALUES ('mail1.v1', '1 day'), ('other.v1', '-1 day')) AS v(t, d)"
    )
    after = explained(connection, claim, wanted("mail1.v1", limit=50))

    blocks = [plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in (before, after)]
    assert blocks[1] <= 1.5 * blocks[0]


def test_what_makes_up_for_a_type_that_is_held_costs_the_same_however_long_the_backlog(connect, store):
    """No other index, no sort of the backlog; and no more is locked than is claimed."""
    connection, worker = connect(), connect()
    store.insert(worker, [new("held.v1")._replace(priority=-1) for _ in range(250)])
    types = ["held.v1", *(f"mail{n}.v1" for n in range(4))]
    free = "SELECT count(*) FROM (SELECT FROM workflow.workflow_run FOR UPDATE SKIP LOCKED) r"
    costs = []
    with worker.transaction():
        assert len(store.claim(worker, ClaimRequest("w1", ["held.v1"], 250, 30.0))) == 250
        for size in (1_000, 99_000):
            connection.execute(BACKLOG, [size])
            plan = explained(connection, store._statements.turn("nothing", Shape(True, False, False)), wanted(*types))
            found = list(nodes(plan))
            scans = [
                node for node in found if "Scan" in node["Node Type"] and node.get("Relation Name") == "workflow_run"
            ]
            assert {node.get("Index Name", node["Node Type"]) for node in scans} == {
                "orchestrator_run_claim",
                "Tid Scan",
            }
            assert max(node["Actual Rows"] for node in found if "Sort" in node["Node Type"]) <= 5 * 250
            costs.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        with connection.transaction():
            claimed = store.claim(connection, ClaimRequest("w2", types, 250, 30.0))
            assert connect().execute(free).fetchone() == (100_000 - 250,)

    assert len(claimed) == 250
    assert max(costs) <= 1.5 * min(costs)


def test_to_count_a_total_costs_the_same_however_long_the_backlog(connect, store):
    """One run of each type is looked for, and those that are leased are counted, up to the total."""
    totals = {"mail0.v1": 5, "mail1.v1": 5, "none.v1": 5}
    connection, worker = connect(), connect()
    costs = []
    for size in (0, 1_000, 99_000):
        connection.execute(BACKLOG, [size])
        with worker.transaction():
            store.claim(worker, ClaimRequest("w1", [*totals], 1, 30.0, totals=totals))
        plan = explained(connection, store._statements.lock, {"place": "here", **total_values(totals)})
        scans = [node for node in nodes(plan) if "Index Name" in node]
        assert {node["Index Name"] for node in scans} == {"orchestrator_run_age", "orchestrator_run_lease"}
        assert max(node["Actual Rows"] for node in scans) <= 5
        assert plan["Actual Rows"] == (2 if size else 0)
        costs.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

    assert max(costs) <= 1.5 * costs[1]


def drained(connection, store, batch=250):
    """Claim and settle until nothing is left; how many."""
    outcomes, count = [], 0
    request = ClaimRequest("w1", ["mail.v1"], batch, 30.0)
    while True:
        with connection.transaction():
            turn = store.turn(connection, outcomes, request)
        count += len(outcomes) - len(turn.lost)
        outcomes = [Settled(run.hold, Succeeded("null")) for run in turn.claimed]
        if not outcomes:
            return count


def logged(connection, statement, values):
    """Bytes of the server's log that *statement* writes, and how many of its records are images of whole pages."""
    with connection.transaction():
        connection.execute(PLANS)
        row = connection.execute(f"EXPLAIN (ANALYZE, WAL, FORMAT JSON) {statement}", values).fetchone()
    plan = row[0][0]["Plan"]
    # What only writes, as the history does, runs after the rest and is not in the sum of the whole.
    parts = [plan, *(node for node in nodes(plan) if node.get("Subplan Name") == "CTE event")]
    return sum(part["WAL Bytes"] for part in parts), sum(part["WAL FPI"] for part in parts)


def test_an_intent_costs_few_bytes_of_the_log(connection, store):
    """1.8 kB from its claim to its end with its history, 1.1 kB for its submit; images of pages aside."""
    values = new_values([new() for _ in range(1000)])
    submit, images = logged(connection, store._statements.insert, values)
    assert submit - images * 8192 <= 1000 * 1100

    request = ClaimRequest("w1", ["mail.v1"], 250, 30.0)
    for last in (Succeeded("null"), Failed("no", 5.0)):  # all of one kind, and of several
        with connection.transaction():
            claimed = store.claim(connection, request)
        outcomes = [Settled(run.hold, Succeeded("null")) for run in claimed[:-1]] + [Settled(claimed[-1].hold, last)]
        settles, settled = settled_values(outcomes)
        turn = store._statements.turn(settles, Shape(False, False, False))
        drain, images = logged(connection, turn, {**settled, **wanted_values(request)})
        assert settles == ("any" if isinstance(last, Failed) else "successes")
        assert drain - images * 8192 <= 250 * 1800


class Counting(psycopg.Cursor):
    """Counts what is executed."""

    executed = 0

    def execute(self, *args, **options):
        type(self).executed += 1
        return super().execute(*args, **options)


def test_an_intent_costs_a_share_of_a_statement(connect, store, monkeypatch):
    """One statement for a thousand submits; two round trips for a turn, its settings and itself."""
    monkeypatch.setattr(Counting, "executed", 0)
    monkeypatch.setattr("orchestrator.inbox.store.postgres.connection.Cursor", Counting)
    connection = connect()

    store.insert(connection, [new() for _ in range(1000)])
    submits, Counting.executed = Counting.executed, 0
    drained(connection, store)

    assert submits == 1
    assert Counting.executed == 2 * 5
