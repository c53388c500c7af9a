"""The poller on a real file: what becomes of what handlers do."""

import sqlite3
import sys
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from orchestrator.contracts import PermanentFailure, ServicePressure
from orchestrator.inbox import Handlers, Inbox, Intent, InvalidHandler, LeaseLost, Poller, State
from orchestrator.sql import DatabaseCorrupt, SqliteDatabase

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.time = NOON

    def __call__(self):
        return self.time

    def advance(self, seconds):
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def inbox(tmp_path, clock, anyio_backend):
    async with Inbox.open(f"sqlite://{tmp_path}/state.db", now=clock) as opened:
        yield opened


def poller_of(inbox, handler, **options):
    """A poller with one handler, for ``mail.v1``; its chance is always one half."""
    timeout = options.pop("timeout", None)
    handlers = Handlers().add("mail.v1", handler, timeout=timeout)
    return Poller(inbox, handlers, **{"worker_id": "w1", "random": lambda: 0.5, **options})


async def test_a_handler_gets_its_intent_and_its_result_is_stored(inbox):
    """The history tells each step."""
    seen = []

    async def work(run):
        run.progress("half way")
        run.logger.info("working")
        seen.append((run.id, run.type, run.payload, run.attempt, run.deadline))
        return {"sent": True}

    run_id = await inbox.submit("mail.v1", {"to": "me"})

    assert await poller_of(inbox, work).poll() == 1

    run = await inbox.get(run_id)
    assert seen == [(run_id, "mail.v1", {"to": "me"}, 1, float("inf"))]
    assert (run.state, run.result, run.attempt) == (State.SUCCEEDED, '{"sent":true}', 0)
    assert [event.type for event in await inbox.events(run_id)] == ["created", "leased", "started", "succeeded"]


async def test_a_poll_goes_on_until_nothing_is_due(inbox):
    """Within its concurrency, with what handlers submit, and with a sign of life at every round."""
    running, most, rounds = 0, 0, 0

    async def work(run):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.lowlevel.checkpoint()
        if run.payload == 0:
            await inbox.submit("mail.v1", 99)
        running -= 1

    def progress():
        nonlocal rounds
        rounds += 1

    await inbox.submit_many([Intent("mail.v1", n) for n in range(30)])

    poller = poller_of(inbox, work, concurrency=4)
    assert await poller.poll(progress) == 31

    assert (await inbox.stats()).counts == {("mail.v1", State.SUCCEEDED): 31}
    assert most == 4
    assert rounds > 4
    assert repr(poller) == "<Poller w1: 0 of 4 running>"
    assert await poller.poll() == 0


async def test_other_types_are_left_alone(inbox):
    """Not claimed, not failed."""

    async def work(run):
        pass

    other = await inbox.submit("mail.v2", 1)

    assert await poller_of(inbox, work).poll() == 0
    assert (await inbox.get(other)).claims == 0


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (ValueError("no"), 60.0),
        (ServicePressure("calm", retry_after=20), 21.0),
        (ServicePressure("calm", 1e9), 3780.0),
    ],
)
async def test_a_failure_is_tried_again_after_its_wait(inbox, clock, error, wait):
    """The hint of the other side and a little more, else a minute; poll itself raises nothing."""

    async def work(run):
        if run.attempt == 1:
            raise error

    run_id = await inbox.submit("mail.v1", 1)
    poller = poller_of(inbox, work)

    assert await poller.poll() == 1

    run = await inbox.get(run_id)
    assert (run.state, run.attempt) == (State.PENDING, 1)
    assert run.run_at == NOON + timedelta(seconds=wait)
    assert run.last_error == f"{type(error).__name__}: {error}"
    clock.advance(wait)
    assert await poller.poll() == 1
    assert (await inbox.get(run_id)).state is State.SUCCEEDED


async def test_attempts_are_spent_and_then_the_run_is_failed(inbox, clock):
    """1, 4 minutes between three attempts."""
    times = []

    async def work(run):
        times.append((clock.time - NOON).total_seconds() / 60)
        raise ValueError("no")

    run_id = await inbox.submit("mail.v1", 1)
    poller = poller_of(inbox, work)
    for _ in range(20):
        await poller.poll()
        clock.advance(60)

    run = await inbox.get(run_id)
    assert times == [0, 1, 5]
    assert (run.state, run.attempt, run.last_error) == (State.FAILED, 3, "ValueError: no")


async def a_permanent_failure(run):
    raise PermanentFailure("bad credential")


async def a_result_that_is_no_json(run):
    return object()


async def a_result_that_is_no_number(run):
    return float("nan")


def no_async_function(run):
    return None


async def no_function_either(run):
    yield run


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (a_permanent_failure, "PermanentFailure: bad credential"),
        (no_async_function, "returned NoneType, which cannot be awaited; make it an async function"),
        (no_function_either, "returned async_generator, which cannot be awaited; make it an async function"),
        (a_result_that_is_no_json, "the handler's result cannot be stored as JSON"),
        (a_result_that_is_no_number, "the handler's result cannot be stored as JSON"),
    ],
)
async def test_what_trying_again_cannot_help_is_failed_at_once(inbox, work, said):
    """With its error; never a row that stays leased, and no work that is done again because it was no coroutine."""
    run_id = await inbox.submit("mail.v1", 1)

    await poller_of(inbox, work).poll()

    run = await inbox.get(run_id)
    assert (run.state, run.attempt, run.leased_by) == (State.FAILED, 1, None)
    assert said in run.last_error


async def exits(run):
    sys.exit(3)


async def says_nul(run):
    raise ValueError("a\0b")


async def groups(run):
    raise ExceptionGroup("both", [ValueError("a"), KeyError("b")])


@pytest.mark.parametrize(
    ("work", "said"), [(exits, "SystemExit: 3"), (says_nul, "ValueError: ab"), (groups, "ExceptionGroup: both")]
)
async def test_whatever_a_handler_raises_is_recorded(inbox, work, said):
    """The poller lives on."""
    run_id = await inbox.submit("mail.v1", 1)

    await poller_of(inbox, work).poll()

    run = await inbox.get(run_id)
    assert (run.state, run.attempt) == (State.PENDING, 1)
    assert said in run.last_error


@pytest.mark.parametrize(
    ("error", "traced"), [(ValueError("no"), True), (ServicePressure("calm", 7), False), (ConnectionError(), False)]
)
async def test_only_a_failure_of_no_known_kind_is_logged_with_its_traceback(inbox, caplog, error, traced):
    """Of a network that is away, one line says it all."""

    async def work(run):
        raise error

    await inbox.submit("mail.v1", 1)

    await poller_of(inbox, work).poll()

    failed = [record for record in caplog.records if record.message.startswith("intent.attempt_failed")]
    assert [bool(record.exc_info) for record in failed] == [traced]


async def test_the_log_tells_a_failure_that_is_tried_again_from_the_last_one(inbox, clock, caplog):
    """Only the last one is an error: from then on nobody does the work."""

    async def work(run):
        raise ServicePressure("calm", retry_after=7)

    await inbox.submit("mail.v1", 1, max_attempts=2)
    poller = poller_of(inbox, work, random=lambda: 0.0)

    await poller.poll()
    clock.advance(7)
    await poller.poll()

    told = [(each.levelname, each.message, getattr(each, "wait", None)) for each in caplog.records]
    assert ("WARNING", "intent.attempt_failed: ServicePressure: calm", 7.0) in told
    assert ("ERROR", "intent.failed: ServicePressure: calm", None) in told


async def test_a_classifier_that_fails_does_not_keep_the_failure_from_being_recorded(inbox, caplog):
    """It counts as unknown."""

    async def work(run):
        raise ValueError("no")

    def classify(error):
        raise KeyError("broken")

    run_id = await inbox.submit("mail.v1", 1)

    await poller_of(inbox, work, classify=classify).poll()

    assert (await inbox.get(run_id)).run_at == NOON + timedelta(seconds=60)
    assert "intent.classifier_failed" in caplog.text


async def test_a_handler_has_its_timeout(inbox):
    """Which is a failure like any other."""

    async def work(run):
        assert run.deadline < float("inf")
        await anyio.sleep_forever()

    run_id = await inbox.submit("mail.v1", 1)

    await poller_of(inbox, work, timeout=0.01).poll()

    error = (await inbox.get(run_id)).last_error
    assert error == "TimeoutError: the handler of 'mail.v1' ran longer than its timeout of 0.01 s"


@pytest.mark.parametrize("payload", ["{", "x'FF'", "NaN"])
async def test_a_payload_that_is_no_json_is_failed_and_stops_nobody(tmp_path, inbox, payload):
    """Another program stored it."""
    value = payload if payload.startswith("x'") else f"'{payload}'"
    with sqlite3.connect(tmp_path / "state.db") as other:
        other.execute(
            "INSERT INTO workflow_run (id, type, payload, run_at) "
            f"VALUES ('bad', 'mail.v1', CAST({value} AS TEXT), '2026-01-01 00:00:00')"
        )
    other.close()
    good = await inbox.submit("mail.v1", 1)

    async def work(run):
        pass

    assert await poller_of(inbox, work).poll() == 2

    bad = await inbox.get("bad")
    assert bad.state is State.FAILED
    assert "the payload cannot be read as JSON" in bad.last_error
    assert (await inbox.get(good)).state is State.SUCCEEDED


async def test_cancelling_a_run_here_cancels_its_handler_at_once(inbox):
    """And its outcome is not recorded."""
    ended = []

    async def work(run):
        await inbox.cancel(run.id)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(run.id)

    run_id = await inbox.submit("mail.v1", 1)

    assert await poller_of(inbox, work).poll() == 1

    assert ended == [run_id]
    assert (await inbox.get(run_id)).state is State.CANCELLED


async def test_a_handler_that_lost_its_lease_is_told_and_stopped(inbox, clock):
    """Its heartbeat raises LeaseLost, its scope is cancelled, and the other worker's outcome stays."""
    begun, told = anyio.Event(), []

    async def slow(run):
        begun.set()
        await other_is_done.wait()
        try:
            await run.heartbeat()
        except LeaseLost as error:
            told.append(str(error))
        await anyio.sleep_forever()

    async def quick(run):
        return "quick"

    other_is_done = anyio.Event()
    run_id = await inbox.submit("mail.v1", 1)
    first = poller_of(inbox, slow)
    async with anyio.create_task_group() as group:
        group.start_soon(first.poll)
        await begun.wait()
        clock.advance(31)
        assert await poller_of(inbox, quick, worker_id="w2").poll() == 1
        other_is_done.set()
        while not told:
            await anyio.lowlevel.checkpoint()
        await first.renew()

    run = await inbox.get(run_id)
    assert "'w1' under fence 1" in told[0]
    assert (run.state, run.result, run.attempt, run.fence) == (State.SUCCEEDED, '"quick"', 1, 2)


async def test_leases_are_renewed_while_handlers_work(inbox, clock):
    """As often as a lease would have run out otherwise."""
    renewed = 0

    async def work(run):
        nonlocal renewed
        for _ in range(3):
            clock.advance(25)
            await poller.renew()
            renewed += 1

    poller = poller_of(inbox, work, concurrency=1)
    run_id = await inbox.submit("mail.v1", 1)

    await poller.poll()

    assert renewed == 3
    assert (await inbox.get(run_id)).attempt == 0


async def test_the_heartbeat_is_automatic(inbox, clock):
    """A handler longer than its lease keeps it."""
    first = None

    async def work(run):
        nonlocal first
        first = (await inbox.get(run.id)).updated_at
        clock.advance(1)
        while (await inbox.get(run.id)).updated_at == first:
            await anyio.lowlevel.checkpoint()

    run_id = await inbox.submit("mail.v1", 1)

    with anyio.fail_after(10):
        await poller_of(inbox, work, lease=0.5).poll()

    assert (await inbox.get(run_id)).fence == 1
    assert (await inbox.get(run_id)).state is State.SUCCEEDED


async def test_a_cancelled_poll_gives_its_runs_back(inbox):
    """As if they had not been claimed."""
    begun = anyio.Event()

    async def work(run):
        begun.set()
        await anyio.sleep_forever()

    run_id = await inbox.submit("mail.v1", 1)
    async with anyio.create_task_group() as group:
        group.start_soon(poller_of(inbox, work).poll)
        await begun.wait()
        group.cancel_scope.cancel()

    run = await inbox.get(run_id)
    assert (run.state, run.attempt, run.claims) == (State.PENDING, 0, 0)
    assert (await inbox.events(run_id))[-1].data["reason"] == "released"


async def test_a_stopped_poller_lets_handlers_finish_and_claims_no_more(inbox):
    """Within the drain."""
    begun, may_end = anyio.Event(), anyio.Event()

    async def work(run):
        begun.set()
        await may_end.wait()
        return run.stopping

    first = await inbox.submit("mail.v1", 1)
    second = await inbox.submit("mail.v1", 2)
    poller = poller_of(inbox, work, concurrency=1)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(poller.run)
            await begun.wait()
            poller.stop()
            may_end.set()

    assert (await inbox.get(first)).result == "true"
    assert (await inbox.get(second)).state is State.PENDING


async def test_a_handler_that_outlives_the_drain_is_cancelled_and_its_run_given_back(inbox):
    """Its attempt and its claim are refunded."""
    begun = anyio.Event()

    async def work(run):
        begun.set()
        await anyio.sleep_forever()

    run_id = await inbox.submit("mail.v1", 1)
    poller = poller_of(inbox, work, drain=0.01)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(poller.run)
            await begun.wait()
            poller.stop()

    run = await inbox.get(run_id)
    assert (run.state, run.attempt, run.claims) == (State.PENDING, 0, 0)


@pytest.mark.parametrize("how", ["submit", "submit_in", "another connection"])
async def test_an_idle_poller_wakes_up_for_a_submit(inbox, tmp_path, how):
    """By the bell in this process, else by the pulse of the file; long before its next full look."""
    handled = {"first": anyio.Event(), "second": anyio.Event()}

    async def work(run):
        handled[run.payload].set()

    poller = poller_of(inbox, work, poll_interval=1000 if how == "submit" else 10)
    await inbox.submit("mail.v1", "first")
    with anyio.fail_after(8):
        async with anyio.create_task_group() as group:
            group.start_soon(poller.run)
            await handled["first"].wait()
            if how == "submit":
                await inbox.submit("mail.v1", "second")
            elif how == "submit_in":
                await inbox.database.transaction(lambda c: inbox.submit_in(c, "mail.v1", "second"))
            else:
                async with Inbox.open(f"sqlite://{tmp_path}/state.db", now=lambda: NOON) as other:
                    await other.submit("mail.v1", "second")
            await handled["second"].wait()
            poller.stop()


async def test_an_outcome_waits_for_the_disk(inbox, caplog):
    """The work is done, so its outcome is written when there is room again."""

    async def work(run):
        pages = await inbox.database.transaction(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await inbox.database.transaction(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchall())
        group.start_soon(make_room)
        return "x" * 100_000

    async def make_room():
        while "inbox.poll_failed" not in caplog.text:
            await anyio.lowlevel.checkpoint()
        await inbox.database.transaction(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchall())

    run_id = await inbox.submit("mail.v1", 1)

    async with anyio.create_task_group() as group:
        assert await poller_of(inbox, work).poll() == 1

    assert (await inbox.get(run_id)).state is State.SUCCEEDED


async def test_an_error_of_the_database_that_does_not_pass_is_raised_when_the_handlers_have_ended(
    tmp_path, clock, caplog
):
    """As itself, not in a group; the lease brings the run back later."""

    async def work(run):
        nonlocal broken
        broken = True
        return "x"

    broken = False
    async with SqliteDatabase.open(tmp_path / "state.db") as database:
        inbox = Inbox.over(database, now=clock)
        await inbox.migrate()
        turn = inbox.store.turn

        def corrupt(connection, outcomes, request):
            if broken:
                raise DatabaseCorrupt("the file is damaged", "state.db")
            return turn(connection, outcomes, request)

        inbox.store.turn = corrupt
        run_id = await inbox.submit("mail.v1", 1)

        with pytest.raises(DatabaseCorrupt):
            await poller_of(inbox, work).poll()

        assert (await inbox.get(run_id)).state is State.LEASED
    assert "intent.outcome_lost" in caplog.text


async def test_a_poller_alone_waits_out_what_passes(tmp_path, clock, caplog):
    """It says so, and goes on when another program has let go of the file."""
    async with SqliteDatabase.open(tmp_path / "state.db", busy_timeout=0.02) as database:
        inbox = Inbox.over(database, now=clock)
        await inbox.migrate()
        run_id = await inbox.submit("mail.v1", 1)
        blocker = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")

        async def work(run):
            poller.stop()

        poller = poller_of(inbox, work)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(poller.run)
                while "inbox.poll_failed" not in caplog.text:
                    await anyio.lowlevel.checkpoint()
                blocker.execute("ROLLBACK")

        assert poller.statistics.errors["DatabaseBusy"] >= 1
        assert (await inbox.get(run_id)).state is State.SUCCEEDED
        blocker.close()


async def test_a_poller_alone_raises_what_does_not_pass(inbox):
    """Tables that are not there will not come by waiting."""

    async def work(run):
        pass

    await inbox.database.transaction(lambda c: c.execute("DROP TABLE workflow_registry").rowcount)

    with pytest.raises(sqlite3.OperationalError, match="workflow_registry"):
        await poller_of(inbox, work).run()


@pytest.mark.parametrize(
    "wrong", [{"lease": 0}, {"concurrency": 0}, {"concurrency": 1.5}, {"poll_interval": -1}, {"drain": float("nan")}]
)
async def test_a_poller_with_a_wrong_value_is_refused(inbox, wrong):
    """By name; and one without handlers too."""

    async def work(run):
        pass

    with pytest.raises(ValueError, match=next(iter(wrong))):
        poller_of(inbox, work, **wrong)
    with pytest.raises(InvalidHandler, match="no handlers"):
        Poller(inbox, Handlers())


@pytest.mark.parametrize("wrong", ["billing.", ["\ud800"], ["a\0"], [""], [7], ["billing.%"], ["%"]])
async def test_prefixes_are_beginnings_of_types(inbox, wrong):
    """One text would have been its letters, each the beginning of what belongs to others; a pattern matches nothing."""
    with pytest.raises(ValueError, match="prefix"):
        poller_of(inbox, print, prefixes=wrong)
