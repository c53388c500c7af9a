"""What it costs and how it is to live with: wake-ups, connections, retention, counts, names, errors, stopping."""

import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest

from orchestrator.inbox import AlreadyFinished, Handlers, Inbox, Intent, InvalidQuery, Poller, State, UnknownRun
from orchestrator.sql import SqlError
from tests.orchestrator.inbox.wire.conftest import BOTH_BACKENDS
from tests.orchestrator.inbox.wire.foreign import Foreign

pytestmark = pytest.mark.anyio


async def done(run):
    return "done"


@BOTH_BACKENDS
@pytest.mark.parametrize("who", ["same", "other"])
async def test_an_idle_worker_starts_what_is_submitted_at_once(place, inbox, who):
    """There, it slept through its interval, and did one run in each."""
    started = anyio.Event()

    async def work(run):
        started.set()

    poller = Poller(inbox, Handlers().add("mail.v1", work), poll_interval=10)
    async with place.inbox() as other, anyio.create_task_group() as tasks:
        tasks.start_soon(poller.run)
        await other.submit("other.v1", 1)
        await (inbox if who == "same" else other).submit("mail.v1", 1)
        with anyio.fail_after(20):
            await started.wait()
        poller.stop()


@BOTH_BACKENDS
async def test_a_run_of_their_producers_is_found_by_polling(foreign, inbox):
    """They notify nobody."""
    started = anyio.Event()

    async def work(run):
        started.set()

    poller = Poller(inbox, Handlers().add("mail.v1", work), poll_interval=0.1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(poller.run)
        foreign.submit("mail.v1", 1)
        with anyio.fail_after(20):
            await started.wait()
        poller.stop()


@BOTH_BACKENDS
async def test_an_idle_worker_stops_at_once(inbox):
    """There, it slept to the end of its interval first."""
    poller = Poller(inbox, Handlers().add("mail.v1", done), poll_interval=600)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poller.run)
            await inbox.submit("mail.v1", 1)
            while (await inbox.stats()).counts != {("mail.v1", State.SUCCEEDED): 1}:
                continue
            poller.stop()


async def test_a_worker_does_several_runs_at_once_and_each_has_its_timeout(inbox):
    """There, one at a time, and for as long as it liked."""
    together = anyio.Event()
    working = set()

    async def meet(run):
        working.add(run.id)
        if len(working) == 3:
            together.set()
        await together.wait()

    async def hang(run):
        await anyio.sleep_forever()

    for n in range(3):
        await inbox.submit("meet.v1", n)
    hung = await inbox.submit("hang.v1", 1, max_attempts=1)
    handlers = Handlers().add("meet.v1", meet).add("hang.v1", hang, timeout=0.01)

    with anyio.fail_after(20):
        assert await Poller(inbox, handlers, concurrency=4).poll() == 4

    assert "timeout" in (await inbox.get(hung)).last_error.lower()


@BOTH_BACKENDS
async def test_a_worker_that_is_interrupted_gives_its_run_back_untouched(inbox):
    """There, it stayed leased, and with one of the clients for ever."""

    async def work(run):
        scope.cancel()
        await anyio.sleep_forever()

    run_id = await inbox.submit("mail.v1", 1)
    with anyio.CancelScope() as scope:
        await Poller(inbox, Handlers().add("mail.v1", work)).run()

    run = await inbox.get(run_id)
    assert (run.state, run.attempt, run.claims, run.leased_by) == (State.PENDING, 0, 0, None)


async def test_submits_and_runs_share_their_connections(postgres_url):
    """There, each submit was a connection, and each run five."""
    watcher = Foreign(postgres_url)
    seen = set()

    def look():
        seen.update(
            watcher.rows(
                "SELECT pid, backend_start FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        )

    async def work(run):
        look()

    async with Inbox.open(postgres_url) as inbox:
        poller = Poller(inbox, Handlers().add("mail.v1", work))
        await inbox.submit("mail.v1", -1)
        await poller.poll()
        for n in range(40):
            await inbox.submit("mail.v1", n)
            look()
        assert await poller.poll() == 40
        look()
    watcher.close()

    assert len(seen) <= 10


async def test_what_has_ended_is_purged_and_the_rest_is_not(foreign, inbox, poll):
    """There, everything was kept for ever."""
    ended = await inbox.submit("mail.v1", 1)
    await poll(done)
    waiting = await inbox.submit("mail.v1", 2)
    failed = foreign.submit("other.v1", 3, max_attempts=1)
    foreign.fail(foreign.claim("theirs", "other.%"), "no")
    foreign.run("UPDATE workflow_run SET updated_at = %s", "2020-01-01 00:00:00+00"[: 19 if foreign.sqlite else 22])

    assert await inbox.purge(3600, [State.SUCCEEDED]) == 1

    assert {run.id for run in (await inbox.list()).runs} == {waiting, failed}
    with pytest.raises(UnknownRun):
        await inbox.events(ended)


async def test_the_depth_of_the_queue_is_told_while_there_is_one(foreign, inbox):
    """There, only a poll that found nothing told it."""
    await inbox.submit_many([Intent("mail.v1", n) for n in range(3)])
    foreign.submit("mail.v1", 4)
    await inbox.submit("mail.v1", 5, delay=60)

    stats = await inbox.stats()

    assert stats.counts == {("mail.v1", State.PENDING): 5}
    assert stats.oldest_due is not None


WITHOUT_EXTRAS = """
import sys
for name in ("psycopg", "psycopg_binary", "prometheus_client", "opentelemetry.sdk", "starlette", "httpx", "cronsim"):
    sys.modules[name] = None

import anyio
from orchestrator.inbox import Handlers, Inbox, Poller

async def work(run):
    return run.payload

async def main():
    async with Inbox.open("sqlite://" + sys.argv[1]) as inbox:
        await inbox.submit("mail.v1", 1)
        print(await Poller(inbox, Handlers().add("mail.v1", work)).poll())

anyio.run(main)
"""


async def test_the_embedded_inbox_needs_none_of_the_extras(tmp_path):
    """There, an installed package could not be imported without a library that it did not ask for."""
    child = await anyio.run_process(
        [sys.executable, "-c", WITHOUT_EXTRAS, str(tmp_path / "state.db")],
        cwd=Path(__file__).parents[4],
        stderr=subprocess.STDOUT,
        check=False,
    )

    assert child.stdout.splitlines()[-1] == b"1"


@pytest.mark.parametrize(
    "name", ["my-schema", 'a"b', "Work Flow", "workflow;create table public.planted(x int)", "s'q"]
)
async def test_a_schema_is_a_name_whatever_it_says(postgres_url, name):
    """There, it was put into a statement as it came, and executed."""
    async with Inbox.open(f"{postgres_url}?schema={quote(name)}") as inbox:
        await inbox.submit("mail.v1", 1)
        assert await Poller(inbox, Handlers().add("mail.v1", done)).poll() == 1

    watcher = Foreign(postgres_url)
    schemas = watcher.rows("SELECT table_schema FROM information_schema.tables WHERE table_name = 'workflow_run'")
    planted = watcher.rows("SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'planted%%'")
    watcher.close()
    assert (schemas, planted) == ([(name,)], [(0,)])


async def test_other_parameters_of_a_url_come_through_as_they_were_meant(postgres_url):
    """There, they were put together again without their escapes."""
    url = f"{postgres_url}?options=-c%20statement_timeout%3D4321&application_name=a%26b&schema=workflow"
    async with Inbox.open(url) as inbox:
        row = await inbox.database.transaction(
            lambda c: c.execute("SELECT current_setting('application_name')").fetchone()
        )

    assert row[0] == "a&b"


async def test_what_an_operator_asks_wrongly_is_one_clear_error(inbox, poll):
    """There, a mistake of the caller was an error of the server, with the database's own words."""
    run_id = await inbox.submit("mail.v1", {"a": "ä"})
    await poll(done)

    with pytest.raises(AlreadyFinished):
        await inbox.cancel(run_id)
    for unknown in ("no-uuid", "00000000-0000-4000-8000-000000000000", ""):
        with pytest.raises(UnknownRun):
            await inbox.get(unknown)
        with pytest.raises(UnknownRun):
            await inbox.events(unknown)
        with pytest.raises(UnknownRun):
            await inbox.cancel(unknown)
    for limit in (-1, 0, 10**9, 1.5):
        with pytest.raises(InvalidQuery):
            await inbox.list(limit=limit)
    with pytest.raises(InvalidQuery):
        await inbox.list(cursor="nowhere")
    with pytest.raises(InvalidQuery):
        await inbox.list(state="done")
    assert (await inbox.get(run_id)).payload.replace(" ", "") == '{"a":"ä"}'


async def test_a_server_that_is_away_is_one_clear_error():
    """With where it was looked for, and without the password."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # and nobody listens
        port = unheard.getsockname()[1]

        with pytest.raises(SqlError, match=str(port)) as caught:
            async with Inbox.open(f"postgresql://postgres:secret@127.0.0.1:{port}/d"):
                pytest.fail("it was opened")

    assert "secret" not in str(caught.value)
