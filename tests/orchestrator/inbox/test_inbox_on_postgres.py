"""The inbox as its users see it, on a real PostgreSQL server."""

import anyio
import anyio.lowlevel
import pytest

from orchestrator.inbox import Handlers, Inbox, Intent, Poller, State, handler

pytestmark = pytest.mark.anyio


async def test_an_intent_is_stored_run_and_told_about(postgres_url: str) -> None:
    """Submitted once under its key, run once, with its history."""
    seen: list[object] = []

    @handler("mail.v1")
    async def send(run) -> object:
        seen.append(run.payload)
        return {"sent": True}

    async with Inbox.open(postgres_url) as inbox:
        first = await inbox.submit("mail.v1", {"to": "a"}, idempotency_key="one")
        again = await inbox.submit("mail.v1", {"to": "b"}, idempotency_key="one")
        await Poller(inbox, Handlers(send)).poll()
        run = await inbox.get(first)
        history = [event.type for event in await inbox.events(first)]

    assert (first, seen) == (again, [{"to": "a"}])
    assert (run.state, run.result) == (State.SUCCEEDED, '{"sent": true}')
    assert history == ["created", "leased", "started", "succeeded"]


async def test_a_failure_is_tried_again_later_and_a_permanent_one_never(postgres_url: str) -> None:
    """The first waits in the future of the database's clock; the second is a dead letter at once."""

    @handler("flaky.v1")
    async def flaky(run) -> None:
        raise ConnectionError("away")

    @handler("dead.v1")
    async def dead(run) -> None:
        error = ValueError("no such customer")
        error.permanent = True  # type: ignore[attr-defined]  # a capability of the error
        raise error

    async with Inbox.open(postgres_url) as inbox:
        later, never = await inbox.submit_many([Intent("flaky.v1", 1), Intent("dead.v1", 2)])
        await Poller(inbox, Handlers(flaky, dead)).poll()
        waiting, ended = await inbox.get(later), await inbox.get(never)

    assert (waiting.state, waiting.attempt, waiting.run_at > waiting.created_at) == (State.PENDING, 1, True)
    assert (ended.state, ended.attempt) == (State.FAILED, 1)
    assert "no such customer" in str(ended.last_error)


async def test_two_workers_share_a_backlog_and_run_each_intent_once(postgres_url: str) -> None:
    """Each with a pool of its own, as two processes have them."""
    done: list[object] = []

    @handler("count.v1")
    async def count(run) -> None:
        done.append(run.payload)
        await anyio.lowlevel.checkpoint()

    async with Inbox.open(postgres_url) as inbox, Inbox.open(postgres_url) as other:
        await inbox.submit_many([Intent("count.v1", number) for number in range(200)])
        async with anyio.create_task_group() as tg:
            tg.start_soon(Poller(inbox, Handlers(count), worker_id="a").poll)
            tg.start_soon(Poller(other, Handlers(count), worker_id="b").poll)

    assert sorted(done) == list(range(200))  # type: ignore[type-var]  # they are numbers


async def test_an_intent_joins_the_callers_transaction(postgres_url: str) -> None:
    """Rolled back with it."""
    async with Inbox.open(postgres_url) as inbox:

        def fails(connection) -> None:
            inbox.submit_in(connection, "mail.v1", 1, idempotency_key="lost")
            raise LookupError("the rest of the transaction")

        with pytest.raises(LookupError):
            await inbox.database.transaction(fails)
        listed = await inbox.list()

    assert listed.runs == []
