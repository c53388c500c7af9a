"""What the stores promise, on each kind of database."""

import pytest

from domain.github.adapters.issue_store import SqlIssues, SqlRepositories
from domain.github.adapters.outbox_store import PRUNED_AT_ONCE, SqlExplanations, SqlOutbox
from domain.github.adapters.schema import BATTERY, MIGRATIONS
from domain.github.cursor import TOO_EARLY, Cursor
from domain.github.entities import Repository, RepositoryFacts
from orchestrator.sql import StateDatabase

pytestmark = pytest.mark.anyio

HELLO = Repository("octocat", "hello")
LARGE = 2**53 + 1


def registered(db, repository=HELLO, github_id=1):
    """Its local id."""
    return SqlRepositories().register(db, repository, RepositoryFacts(github_id, str(repository)))


async def test_a_repository_keeps_its_local_id(database):
    """However often it is registered, in whatever letters, and under whatever id of the forge."""
    written = [HELLO, HELLO, Repository("OctoCat", "Hello")]

    ids = await database.transaction(lambda db: [registered(db, one, number) for number, one in enumerate(written)])

    assert len(set(ids)) == 1
    assert await database.read(lambda db: SqlRepositories().repository_id(db, HELLO)) == ids[0]


async def test_an_unknown_repository_has_no_local_id(database):
    """Nor does it get one by being asked for."""
    assert await database.read(lambda db: SqlRepositories().repository_id(db, HELLO)) is None


async def test_another_repository_under_the_same_name_is_read_anew(database, new_issue):
    """Deleted and made again: cursor and issues of the old one say nothing about the new one."""
    issues = SqlIssues()

    def before(db):
        known = registered(db, github_id=1)
        issues.save_issues(db, known, [new_issue()])
        issues.save_cursor(db, known, Cursor("2026-01-01T00:00:00Z"))

    def after(db):
        known = registered(db, github_id=2)
        return issues.cursor(db, known), issues.issue(db, known, 1)

    await database.transaction(before)

    assert await database.transaction(after) == (Cursor(), None)


async def test_the_same_repository_goes_on_where_it_was(database, new_issue):
    """Also under a new spelling."""
    issues, cursor = (
        SqlIssues(),
        Cursor("2026-01-01T00:00:00Z", 2, '"e"', "http://127.0.0.1/?page=2", 2**32 - 1, TOO_EARLY),
    )

    def before(db):
        known = registered(db)
        issues.save_issues(db, known, [new_issue()])
        issues.save_cursor(db, known, Cursor("2025-01-01T00:00:00Z"))
        issues.save_cursor(db, known, cursor)

    def after(db):
        known = registered(db, Repository("Octocat", "Hello"))
        return issues.cursor(db, known), issues.issue(db, known, 1)

    await database.transaction(before)

    assert await database.transaction(after) == (cursor, new_issue())


async def test_new_and_changed_issues_are_told_in_the_order_of_the_page(database, repository, new_issue):
    """Those that are known as they are make no event."""
    store = SqlIssues()
    first = [new_issue(7), new_issue(3), new_issue(5)]
    second = [new_issue(5), new_issue(7, title="New"), new_issue(1), new_issue(3, body="New")]

    def work(db):
        return store.save_issues(db, repository.id, first), store.save_issues(db, repository.id, second)

    assert await database.transaction(work) == (first, [second[1], second[2], second[3]])


async def test_an_older_reading_never_replaces_a_newer_one(database, repository, new_issue):
    """A forge with replicas may answer from one that lags behind."""
    store = SqlIssues()
    newer = new_issue(1, updated_at="2026-01-02T00:00:00Z", title="New")

    def work(db):
        store.save_issues(db, repository.id, [newer])
        return store.save_issues(db, repository.id, [new_issue(1, title="Old")]), store.issue(db, repository.id, 1)

    assert await database.transaction(work) == ([], newer)


async def test_another_issue_under_the_same_number_replaces_the_old_one(database, repository, new_issue):
    """However old it is: the number tells nothing of it."""
    store = SqlIssues()
    other = new_issue(1, updated_at="2025-01-01T00:00:00Z", github_id=7)

    def work(db):
        store.save_issues(db, repository.id, [new_issue(1)])
        return store.save_issues(db, repository.id, [other]), store.issue(db, repository.id, 1)

    assert await database.transaction(work) == ([other], other)


@pytest.mark.parametrize(
    "values",
    [
        {"title": "Ünï 💥 'quote'", "body": "a\nb\t--", "labels": ("bug", "ä,b"), "pull_request": True},
        {"title": "?:name$1%s??", "body": '\\ $$ " /* */', "labels": ("\0", "\ud800")},
        {"github_id": LARGE, "number": 2**31},
        {"title": "", "body": "x" * 65_536, "author": ""},
    ],
)
async def test_an_issue_comes_back_from_the_store_as_it_went_in(database, repository, new_issue, values):
    """Whatever its text holds, and however large its numbers are."""
    store = SqlIssues()
    issue = new_issue(**values)

    def work(db):
        store.save_issues(db, repository.id, [issue])
        return store.issue(db, repository.id, issue.number)

    assert await database.transaction(work) == issue


async def test_open_issues_are_the_latest_and_no_pull_requests(database, repository, new_issue):
    """At most as many as were asked for, of this repository."""
    issues = [new_issue(number, updated_at=f"2026-01-0{number}T00:00:00Z") for number in (1, 2, 3, 4)]
    others = [new_issue(8, state="closed"), new_issue(9, pull_request=True)]

    def work(db):
        other = registered(db, Repository("octocat", "other"))
        SqlIssues().save_issues(db, other, [new_issue(5)])
        SqlIssues().save_issues(db, repository.id, [*others, *issues])
        return [[one.number for one in SqlIssues().open_issues(db, repository.id, limit)] for limit in (2, 500)]

    assert await database.transaction(work) == [[4, 3], [4, 3, 2, 1]]


async def test_outbox_rows_wait_behind_those_that_failed_less_often(database, repository, new_issue):
    """Then oldest first; what is acknowledged or dead waits no more."""
    outbox = SqlOutbox()

    def work(db):
        outbox.emit(db, repository.id, "t", [new_issue(number) for number in (1, 2, 3, 4)])
        one, two, three, _ = outbox.pending(db, repository.id, 10)
        outbox.fail(db, one, "no", dead=False)
        outbox.fail(db, two, "never", dead=True)
        outbox.acknowledge(db, three)
        return [(row.number, row.attempts) for row in outbox.pending(db, repository.id, 10)]

    assert await database.transaction(work) == [(4, 0), (1, 1)]


async def test_what_became_of_a_row_stands(database, repository, new_issue):
    """Another replica that held it too, and comes later, changes nothing."""
    outbox = SqlOutbox(lambda: 1.5)
    later = SqlOutbox(lambda: 2.5)
    fate = "SELECT attempts, last_error, processed_at, dead_at FROM github_outbox ORDER BY id"

    def work(db):
        outbox.emit(db, repository.id, "t", [new_issue(1), new_issue(2)])
        done, dead = outbox.pending(db, repository.id, 10)
        outbox.acknowledge(db, done)
        outbox.fail(db, dead, "never", dead=True)
        later.acknowledge(db, done)
        later.fail(db, done, "late", dead=True)
        later.fail(db, dead, "late", dead=False)
        return [tuple(row) for row in db.execute(fate)]

    assert await database.transaction(work) == [(1, None, 1.5, None), (1, "never", None, 1.5)]


async def test_old_rows_are_pruned_some_at_a_time(database, repository, new_issue):
    """Times have their fractions, as on every machine since 1970; what is not handed over is kept."""
    now = 1_793_000_000.25

    def work(db):
        SqlOutbox(lambda: now - 10).emit(db, repository.id, "t", [new_issue(n) for n in range(1, PRUNED_AT_ONCE + 6)])
        for row in SqlOutbox().pending(db, repository.id, PRUNED_AT_ONCE + 4):
            SqlOutbox(lambda: now - 5).acknowledge(db, row)
        left = []
        for older_than in (5.0, 4.75, 4.75):
            SqlOutbox(lambda: now).prune(db, repository.id, older_than)
            left.append(db.execute("SELECT count(*) FROM github_outbox").fetchone()[0])
        return left

    assert await database.transaction(work) == [PRUNED_AT_ONCE + 5, 5, 1]


async def test_an_issue_is_held_by_one_run_until_it_lets_go_or_time_is_up(database, repository):
    """The same run may claim again; nobody lets go for another."""
    now = [1_793_000_000.0]
    claims = SqlExplanations(lambda: now[0])

    def claim(run_id):
        return lambda db: claims.claim(db, repository.id, 1, run_id, 900.0)

    seen = [await database.transaction(claim(run)) for run in ("a", "b", "a")]
    await database.transaction(lambda db: claims.release(db, repository.id, 1, "b"))
    seen.append(await database.transaction(claim("b")))
    await database.transaction(lambda db: claims.release(db, repository.id, 1, "a"))
    seen.append(await database.transaction(claim("b")))
    now[0] += 900.5
    seen.append(await database.transaction(claim("c")))

    assert seen == ["a", "a", "a", "a", "b", "c"]


async def test_both_kinds_of_database_have_the_same_tables_and_columns(tmp_path, postgres_url):
    """One set of statements serves both."""
    seen = {}
    for url in (f"sqlite://{tmp_path}/state.db", postgres_url):
        async with StateDatabase(url, {BATTERY: MIGRATIONS}) as database:
            kind = database.dialect
            query = (
                "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c "
                "WHERE m.type = 'table' AND m.name LIKE 'github%'"
                if kind == "sqlite"
                else "SELECT table_name, column_name FROM information_schema.columns WHERE table_name LIKE 'github%'"
            )
            rows = await database.read(lambda db, query=query: [tuple(row) for row in db.execute(query)])
            seen[kind] = sorted(rows)

    assert seen["sqlite"] == seen["postgresql"]
    assert len({table for table, _ in seen["sqlite"]}) == 5
