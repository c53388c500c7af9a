"""Two replicas in the same rows at the same moment. On PostgreSQL; SQLite has one service only."""

import threading
import time

import anyio
import pytest

from domain.github.adapters.issue_store import SqlIssues, SqlRepositories
from domain.github.adapters.outbox_store import SqlExplanations, SqlOutbox
from domain.github.entities import Repository, RepositoryFacts
from domain.github.outbox_relay import OutboxRelay
from orchestrator.inbox import Inbox

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]

_SOMEBODY_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"


@pytest.fixture
def meanwhile(database):
    """Runs two units of work: the second begins when the first has written, which commits once the second waits."""

    async def run(first, second):
        wrote = threading.Event()
        results = {}

        def leading(db):
            results["first"] = first(db)
            wrote.set()
            deadline = time.monotonic() + 10
            while not db.execute(_SOMEBODY_WAITS).fetchone()[0]:
                assert time.monotonic() < deadline, "the second did not wait for the first"
                time.sleep(0.005)  # another session is waited for, not time

        def following(db):
            assert wrote.wait(10)
            results["second"] = second(db)

        async with anyio.create_task_group() as group:
            group.start_soon(database.transaction, leading)
            group.start_soon(database.transaction, following)
        return results["first"], results["second"]

    return run


async def test_a_repository_that_two_register_is_one(database, meanwhile):
    """Both pass their preflight, with the same local id."""

    def register(db):
        return SqlRepositories().register(db, Repository("octocat", "hello"), RepositoryFacts(1, "octocat/hello"))

    first, second = await meanwhile(register, register)

    assert first == second


async def test_a_page_that_two_store_makes_one_event(meanwhile, repository, new_issue):
    """For whoever came second it is known already."""
    page = [new_issue(1), new_issue(2)]

    def store(db):
        return SqlIssues().save_issues(db, repository.id, page)

    assert await meanwhile(store, store) == (page, [])


async def test_a_replica_with_an_old_page_takes_nothing_back(database, meanwhile, repository, new_issue):
    """It was slow, and stores its page when the newer one is just being stored."""
    newer = new_issue(1, updated_at="2026-01-02T00:00:00Z", title="New")

    def store(*issues):
        return lambda db: SqlIssues().save_issues(db, repository.id, issues)

    told = await meanwhile(store(newer), store(new_issue(1, title="Old")))

    assert told == ([newer], [])
    assert await database.read(lambda db: SqlIssues().issue(db, repository.id, 1)) == newer


async def test_an_issue_that_two_claim_is_held_by_one(meanwhile, repository):
    """The second is told by whom."""

    def claim(run_id):
        return lambda db: SqlExplanations().claim(db, repository.id, 1, run_id, 900.0)

    assert await meanwhile(claim("first"), claim("second")) == ("first", "first")


async def test_a_claim_that_is_just_let_go_is_free(database, meanwhile, repository):
    """The second waits for the end of the first."""
    claims = SqlExplanations()
    await database.transaction(lambda db: claims.claim(db, repository.id, 1, "first", 900.0))

    _, holder = await meanwhile(
        lambda db: claims.release(db, repository.id, 1, "first"),
        lambda db: claims.claim(db, repository.id, 1, "second", 900.0),
    )

    assert holder == "second"


async def test_pages_in_opposite_orders_never_lock_each_other_out(database, repository, new_issue):
    """Two replicas see the list sorted by its last update, which changes between their looks."""
    numbers = range(1, 51)

    async def replica(order, name):
        for turn in range(10):
            day = f"2026-01-{turn + 1:02}T00:00:00Z"
            page = [new_issue(number, updated_at=day, title=f"{name}{turn}") for number in order]
            await database.transaction(lambda db, page=page: SqlIssues().save_issues(db, repository.id, page))

    async with anyio.create_task_group() as group:
        group.start_soon(replica, numbers, "a")
        group.start_soon(replica, list(reversed(numbers)), "b")

    stored = await database.read(lambda db: SqlIssues().open_issues(db, repository.id, 100))
    assert {issue.updated_at for issue in stored} == {"2026-01-10T00:00:00Z"}


async def test_rows_that_two_relay_become_one_intent_each(database, repository, new_issue, new_run):
    """Six relays in three hundred rows: every row handed over, none twice and none dead."""
    inbox = Inbox.over(database)
    await inbox.migrate()
    issues = [new_issue(number) for number in range(1, 301)]

    def emit(db):
        SqlIssues().save_issues(db, repository.id, issues)
        SqlOutbox().emit(db, repository.id, "github.issue.changed", issues)

    await database.transaction(emit)

    async def replica():
        relay = OutboxRelay(database, SqlIssues(), SqlOutbox(), inbox)
        while await database.read(lambda db: SqlOutbox().pending(db, repository.id, 1)):
            await relay.relay(repository, new_run())

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(replica)

    fates = "SELECT count(*), count(processed_at), count(dead_at), max(attempts) FROM github_outbox"
    assert await database.read(lambda db: tuple(db.execute(fates).fetchone())) == (300, 300, 0, 1)
    assert sum((await inbox.stats()).counts.values()) == 300
