"""The poller against the forge and a real database."""

import pytest

from domain.github.adapters.forge import Kind, Trouble
from domain.github.adapters.github_http import ISSUES_PER_PAGE
from domain.github.adapters.issue_store import SqlIssues
from domain.github.adapters.outbox_store import SqlOutbox
from domain.github.entities import Repository
from domain.github.errors import NotRegistered, Unavailable
from domain.github.issue_poller import IssuePoller

pytestmark = pytest.mark.anyio


@pytest.fixture
def poller(github, database):
    """The poller over the real adapters."""
    return IssuePoller(github, database, SqlIssues(), SqlOutbox())


async def writing(database):
    """Something that every write changes."""
    if database.dialect == "sqlite":
        return await rows(database, "sqlite_master LIMIT 1", "total_changes()")
    tables = ("github_repository", "github_issue", "github_cursor", "github_outbox")
    return [await rows(database, f"{table} ORDER BY ctid", "ctid::text, xmin::text, xmax::text") for table in tables]


async def rows(database, table, columns="*"):
    """All rows of *table*."""
    return await database.read(lambda db: [tuple(row) for row in db.execute(f"SELECT {columns} FROM {table}")])


async def test_the_first_run_stores_issues_cursor_and_events(poller, database, repository, new_run, open_issue, clock):
    """One outbox row for each issue."""
    open_issue("One")
    clock.tick()
    open_issue("Two", labels=("bug",))
    run = new_run()

    await poller.poll(repository, run)

    assert await rows(database, "github_issue", "number, title, labels") == [(1, "One", "[]"), (2, "Two", '["bug"]')]
    assert await rows(database, "github_outbox", "topic, number, processed_at") == [
        ("github.issue.changed", 1, None),
        ("github.issue.changed", 2, None),
    ]
    assert await rows(database, "github_cursor", "since, page") == [("2026-01-01T12:00:01Z", 1)]
    assert run.notes == ["page 1 since None: 2 issues, 2 changed"]


async def test_catching_up_reads_one_page_a_tick_and_ends_in_304(
    poller, database, repository, new_run, open_issue, clock, forge
):
    """Each issue makes one event, although boundaries are read twice; at rest a tick costs nothing."""
    for number in range(2 * ISSUES_PER_PAGE + 20):
        open_issue(f"Issue {number}")
        clock.tick()
    sizes = []

    for _ in range(6):
        before = len(forge.log())
        await poller.poll(repository, new_run())
        sizes.append(len(await rows(database, "github_outbox")))
        assert len(forge.log()) == before + 1

    assert sizes == [50, 99, 120, 120, 120, 120]
    assert [seen.status for seen in forge.log()] == [200, 200, 200, 200, 304, 304]


async def test_a_304_writes_nothing(poller, database, repository, new_run, open_issue):
    """Not even the cursor."""
    open_issue()
    for _ in range(2):
        await poller.poll(repository, new_run())
    before = await writing(database)

    await poller.poll(repository, new_run())

    assert await writing(database) == before


async def test_an_empty_repository_stores_the_cursor_only(poller, database, repository, new_run, forge):
    """And from then on asks with its ETag."""
    await poller.poll(repository, new_run())
    await poller.poll(repository, new_run())

    assert await rows(database, "github_outbox") == []
    assert len(await rows(database, "github_cursor")) == 1
    assert [seen.status for seen in forge.log()] == [200, 304]


async def test_one_update_makes_exactly_one_event(poller, database, repository, new_run, open_issue, clock, forge):
    """The boundary issue is read again and again, and says nothing when nothing changed."""
    for number in range(3):
        open_issue(f"Issue {number}")
        clock.tick()
    for _ in range(3):
        await poller.poll(repository, new_run())
    await database.transaction(lambda db: db.execute("DELETE FROM github_outbox"))

    home = forge.world.find("octocat/hello")
    forge.world.edit(forge.world.issue(home, 2), title="Changed")
    for _ in range(4):
        await poller.poll(repository, new_run())

    assert await rows(database, "github_outbox", "number") == [(2,)]


async def test_two_edits_in_one_second_are_two_changes(poller, database, repository, new_run, open_issue, forge):
    """GitHub's times have whole seconds; the content tells the two apart."""
    open_issue("First title")
    await poller.poll(repository, new_run())

    home = forge.world.find("octocat/hello")
    forge.world.edit(forge.world.issue(home, 1), title="Second title")
    await poller.poll(repository, new_run())

    assert len(await rows(database, "github_outbox")) == 2
    assert await rows(database, "github_issue", "title") == [("Second title",)]


async def test_pull_requests_are_stored_and_make_no_event(poller, database, repository, new_run, open_issue):
    """The list of issues holds them too."""
    open_issue("A change", pull_request=True)

    await poller.poll(repository, new_run())

    assert await rows(database, "github_issue", "pull_request") == [(1,)]
    assert await rows(database, "github_outbox") == []


async def test_issues_that_move_while_pages_are_walked_are_not_lost(
    poller, database, repository, new_run, open_issue, clock, forge
):
    """Updating a read issue moves the unread ones up by one place; page numbers would skip one of them."""
    for number in range(2 * ISSUES_PER_PAGE):
        open_issue(f"Issue {number}")
        clock.tick()
    home = forge.world.find("octocat/hello")

    for number in range(1, 6):
        await poller.poll(repository, new_run())
        forge.world.edit(forge.world.issue(home, number), title=f"Moved {number}")
        clock.tick()
    await poller.poll(repository, new_run())

    assert len(await rows(database, "github_issue")) == 2 * ISSUES_PER_PAGE
    assert len(await rows(database, "github_issue WHERE title LIKE 'Moved%'")) == 5


async def test_a_failing_page_leaves_everything_as_it_was(poller, database, repository, new_run, open_issue, forge):
    """The next tick reads the same page."""
    open_issue()
    forge.trouble(Trouble(Kind.BROKEN_JSON))

    with pytest.raises(Unavailable):
        await poller.poll(repository, new_run())

    assert await rows(database, "github_cursor") == []
    await poller.poll(repository, new_run())
    assert len(await rows(database, "github_outbox")) == 1


async def test_issues_cursor_and_events_are_stored_together_or_not_at_all(
    github, database, repository, new_run, open_issue
):
    """When the last of the three fails, so do the others."""
    open_issue()
    await database.transaction(lambda db: db.execute("DROP TABLE github_outbox"))
    poller = IssuePoller(github, database, SqlIssues(), SqlOutbox())

    with pytest.raises(Exception, match="github_outbox"):
        await poller.poll(repository, new_run())

    assert await rows(database, "github_issue") == []
    assert await rows(database, "github_cursor") == []


async def test_a_repository_without_local_id_is_told_so(poller, new_run):
    """The preflight stores it; with another database it has to run again."""
    with pytest.raises(NotRegistered, match="repository-validator"):
        await poller.poll(Repository("octocat", "hello"), new_run())


async def test_the_spec_says_when_it_runs_and_which_gate_it_shares(github, database):
    """Nothing about failures: that is the framework's part."""
    spec = IssuePoller(github, database, SqlIssues(), SqlOutbox(), interval=7, gate="github").task_spec()

    assert (spec.resource, spec.interval, spec.gate) == ("issue-poller", 7, "github")
