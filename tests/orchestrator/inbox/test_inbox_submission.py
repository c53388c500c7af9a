"""Submits that come together, on both databases: each caller has its own id or its own error."""

import asyncio
import gc
import json
import sqlite3
import tracemalloc

import anyio
import psycopg
import pytest

from orchestrator.inbox import Inbox, Intent, InvalidIntent, State
from orchestrator.inbox.store.records import ClaimRequest, Settled, Succeeded
from orchestrator.sql import DatabaseClosed

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """A database of each kind."""
    return f"sqlite://{tmp_path}/state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def inbox(url, anyio_backend):
    """An inbox there."""
    async with Inbox.open(url) as opened:
        yield opened


class Counted:
    """The sizes of the inserts of a SQLite store; the first of them is held back until it is told to go on."""

    def __init__(self, inbox):
        self.sizes = []
        self.inside = anyio.Event()
        self.go = anyio.Event()
        self._insert = inbox.store.insert
        inbox.store.insert = self

    def __call__(self, connection, runs):
        self.sizes.append(len(runs))
        if len(self.sizes) == 1:
            anyio.from_thread.run_sync(self.inside.set)
            anyio.from_thread.run(self.go.wait)
        return self._insert(connection, runs)


class Locked:
    """The same of a PostgreSQL store: somebody has locked its table."""

    def __init__(self, inbox, url):
        self.sizes = []
        self.inside = anyio.Event()
        self.go = self
        self._inserting = inbox.store.inserting
        inbox.store.inserting = self
        self._lock = psycopg.connect(url)
        self._lock.execute("LOCK TABLE workflow.workflow_run IN SHARE ROW EXCLUSIVE MODE")

    def __call__(self, runs):
        self.sizes.append(len(runs))
        self.inside.set()
        return self._inserting(runs)

    def set(self):
        self._lock.close()


@pytest.fixture
def hold_back(inbox, url):
    """Hold back the first insert from now on, and count them."""
    return lambda: Counted(inbox) if url.startswith("sqlite") else Locked(inbox, url)


async def test_submits_that_come_together_share_a_statement(inbox, hold_back):
    """The first goes at once; those that arrive meanwhile share the second, and each has its own run."""
    counted, ids = hold_back(), {}

    async def submit(number):
        ids[number] = await inbox.submit("mail.v1", number)

    async with anyio.create_task_group() as tg:
        tg.start_soon(submit, 0)
        await counted.inside.wait()
        for number in range(1, 40):
            tg.start_soon(submit, number)
        await anyio.wait_all_tasks_blocked()
        counted.go.set()

    assert counted.sizes == [1, 39]
    runs = {run.id: run.payload for run in (await inbox.list(limit=1000)).runs}
    assert runs == {id_: str(number) for number, id_ in ids.items()}
    assert len(runs) == 40


async def test_a_statement_has_at_most_a_thousand_intents(inbox, hold_back):
    """What is beyond waits for the one after it."""
    counted = hold_back()

    async with anyio.create_task_group() as tg:
        tg.start_soon(inbox.submit, "mail.v1", 0)
        await counted.inside.wait()
        for number in range(1200):
            tg.start_soon(inbox.submit, "mail.v1", number)
        await anyio.wait_all_tasks_blocked()
        counted.go.set()

    assert counted.sizes == [1, 1000, 200]
    assert (await inbox.stats()).counts == {("mail.v1", State.PENDING): 1201}


async def test_large_payloads_are_not_piled_up(inbox, hold_back):
    """Some MiB in one statement, not a thousand of them."""
    counted = hold_back()

    async with anyio.create_task_group() as tg:
        tg.start_soon(inbox.submit, "mail.v1", 0)
        await counted.inside.wait()
        for _ in range(12):
            tg.start_soon(inbox.submit, "mail.v1", "x" * 1_000_000)
        await anyio.wait_all_tasks_blocked()
        counted.go.set()

    assert counted.sizes == [1, 5, 5, 2]


async def test_what_the_database_refuses_of_one_does_not_fail_the_others(inbox, url, hold_back):
    """Each of the others is stored; the one has a typed error with what the database said."""
    if url.startswith("sqlite"):
        trigger = """CREATE TRIGGER no BEFORE INSERT ON workflow_run WHEN NEW.type = 'bad.v1'
        BEGIN SELECT RAISE(ABORT, 'not in this house'); END"""
        await inbox.database.transaction(lambda c: c.execute(trigger).rowcount)
    else:
        check = "ALTER TABLE workflow_run ADD CONSTRAINT \"not in this house\" CHECK (type <> 'bad.v1')"
        await inbox.database.transaction(lambda c: c.execute(check).rowcount)
    counted, outcomes = hold_back(), {}

    async def submit(number):
        try:
            outcomes[number] = await inbox.submit("bad.v1" if number == 3 else "good.v1", number)
        except InvalidIntent as error:
            outcomes[number] = error

    async with anyio.create_task_group() as tg:
        tg.start_soon(submit, 0)
        await counted.inside.wait()
        for number in range(1, 6):
            tg.start_soon(submit, number)
        await anyio.wait_all_tasks_blocked()
        counted.go.set()

    refused = outcomes.pop(3)
    assert "intent 'bad.v1' was refused by the database: " in str(refused)
    assert "not in this house" in str(refused)
    assert isinstance(refused.__cause__, sqlite3.IntegrityError | psycopg.errors.CheckViolation)
    assert {run.id for run in (await inbox.list()).runs} == set(outcomes.values())
    assert [len(await inbox.events(id_)) for id_ in outcomes.values()] == [1] * 5


async def test_one_that_is_refused_in_many_keeps_all_out(inbox, url):
    """All or none, with the same typed error."""
    await inbox.database.transaction(lambda c: c.execute("CREATE UNIQUE INDEX one ON workflow_run (type)").rowcount)

    with pytest.raises(InvalidIntent, match="one of the intents was refused by the database"):
        await inbox.submit_many([Intent("mail.v1"), Intent("mail.v1")])

    assert (await inbox.stats()).counts == {}


async def test_a_submit_that_is_cancelled_meanwhile_is_stored_and_the_others_too(inbox, hold_back):
    """Both the one that writes and one that waits for it."""
    counted, ids = hold_back(), []

    async def submit(number, scope):
        with scope:
            ids.append(await inbox.submit("mail.v1", number))

    scopes = [anyio.CancelScope() for _ in range(4)]
    async with anyio.create_task_group() as tg:
        tg.start_soon(submit, 0, scopes[0])
        await counted.inside.wait()
        for number in (1, 2, 3):
            tg.start_soon(submit, number, scopes[number])
        await anyio.wait_all_tasks_blocked()
        for scope in scopes[:3]:
            scope.cancel()
        await anyio.wait_all_tasks_blocked()
        counted.go.set()

    payloads = sorted(run.payload for run in (await inbox.list()).runs)
    assert payloads == ["0", "1", "2", "3"]
    assert "3" in [(await inbox.get(id_)).payload for id_ in ids]


async def test_a_submit_in_a_cancelled_scope_stores_nothing(inbox):
    """It is not begun."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await inbox.submit("mail.v1", 1)

    assert (await inbox.stats()).counts == {}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncio_may_cancel_the_task_that_writes(inbox, hold_back):
    """As asyncio.timeout and asyncio.TaskGroup do, which no scope can shield from; the others have their ids."""
    counted = hold_back()
    first = asyncio.create_task(inbox.submit("mail.v1", 0))
    await counted.inside.wait()
    second, third = (asyncio.create_task(inbox.submit("mail.v1", number)) for number in (1, 2))
    await anyio.wait_all_tasks_blocked()

    first.cancel()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(asyncio.CancelledError):
        await second
    counted.go.set()

    run = await inbox.get(await third)
    assert run.payload == "2"
    assert sorted(run.payload for run in (await inbox.list()).runs) == ["0", "1", "2"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_workers_are_told_of_many_whose_task_asyncio_has_cancelled(inbox, hold_back):
    """They are stored all the same, so they are to be picked up at once, too."""
    counted, rings = hold_back(), inbox.bell.rings
    task = asyncio.create_task(inbox.submit_many([Intent("mail.v1", 1), Intent("mail.v1", 2)]))
    await counted.inside.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    counted.go.set()
    with anyio.fail_after(10):
        await inbox.bell.wait(rings)

    assert (await inbox.stats()).counts == {("mail.v1", State.PENDING): 2}


async def test_many_cancellations_at_any_moment_lose_nobody(inbox):
    """Who was not cancelled has an id of a run that is stored, and nothing is stored twice."""
    stored = []

    async def submit(number, scope):
        with scope:
            stored.append((number, await inbox.submit("mail.v1", number)))

    for turn in range(6):
        scopes = [anyio.CancelScope() for _ in range(60)]
        async with anyio.create_task_group() as tg:
            for number, scope in enumerate(scopes):
                tg.start_soon(submit, (turn, number), scope)
            for scope in scopes[:: turn + 2]:
                scope.cancel()
                await anyio.lowlevel.checkpoint()

    runs = {run.id: run.payload for run in (await inbox.list(limit=1000)).runs}
    assert len(set(runs.values())) == len(runs)
    assert all(json.loads(runs[id_]) == list(payload) for payload, id_ in stored)
    assert len(stored) >= 100


async def test_who_submits_is_told_whether_the_run_was_there_already(inbox):
    """The id is a text like any other."""
    first = await inbox.submit("mail.v1", 1, idempotency_key="k")
    again, other = await inbox.submit_many([Intent("mail.v1", idempotency_key="k"), Intent("mail.v1")])

    assert (first.existed, again.existed, other.existed) == (False, True, False)
    assert again == first
    assert isinstance(first, str)


async def test_the_same_key_in_one_statement_is_one_run(inbox, hold_back):
    """Whoever comes first has it; the others learn its id."""
    counted, ids = hold_back(), []

    async def submit(number):
        ids.append(await inbox.submit("mail.v1", number, idempotency_key="k"))

    async with anyio.create_task_group() as tg:
        tg.start_soon(inbox.submit, "mail.v1", "first")
        await counted.inside.wait()
        for number in range(5):
            tg.start_soon(submit, number)
        await anyio.wait_all_tasks_blocked()
        counted.go.set()

    assert len(set(ids)) == 1
    assert sorted(id_.existed for id_ in ids) == [False, True, True, True, True]


async def test_a_unique_key_is_free_again_when_its_run_has_ended(inbox):
    """One such run at a time."""
    first = await inbox.submit("mail.v1", 1, idempotency_key="k", unique=True)
    meanwhile = await inbox.submit("mail.v1", 2, idempotency_key="k", unique=True)
    (claimed,) = await inbox.database.transaction(
        lambda c: inbox.store.claim(c, ClaimRequest("w", ["mail.v1"], 10, 30.0))
    )
    await inbox.database.transaction(lambda c: inbox.store.settle(c, [Settled(claimed.hold, Succeeded("1"))]))
    second = await inbox.submit("mail.v1", 3, idempotency_key="k", unique=True)
    joined = await inbox.database.transaction(
        lambda c: inbox.submit_in(c, "mail.v1", 4, idempotency_key="k", unique=True)
    )

    assert (meanwhile == first, meanwhile.existed, second.existed) == (True, True, False)
    assert (joined == second, joined.existed) == (True, True)


async def test_a_submit_when_the_database_is_closed_is_one_clear_error(url, anyio_backend):
    """It says where it may be used."""
    async with Inbox.open(url) as inbox:
        pass

    with pytest.raises(DatabaseClosed, match="async with"):
        await inbox.submit("mail.v1", 1)


async def test_what_was_stored_is_not_kept_in_memory(inbox):
    """Not even the last one: it may be megabytes."""
    await inbox.submit("mail.v1", "first")
    tracemalloc.start()
    try:
        await inbox.submit("mail.v1", "x" * 1_000_000)
        await inbox.stats()  # a worker thread tells what came of its work, and lets go of it a moment later
        gc.collect()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 300_000 < 1_000_000 < most
