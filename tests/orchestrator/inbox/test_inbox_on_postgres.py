"""The inbox as its users see it, on a real PostgreSQL server."""

import os
import re
from pathlib import Path

import anyio
import anyio.lowlevel
import psycopg
import pytest

from orchestrator.contracts import IntentRun
from orchestrator.inbox import Handlers, Inbox, Intent, Poller, State, Ticker, handler
from orchestrator.inbox.store.postgres import queries
from orchestrator.sql import AccessDenied, ConnectionLost

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


async def test_a_producer_and_a_worker_need_the_rights_of_the_page_of_operations_alone(
    postgres_url: str,
) -> None:
    """Neither can change the tables; the producer cannot take or change a run."""
    page = (Path(__file__).parents[3] / "docs" / "inbox-operations.md").read_text(encoding="utf-8")
    (grants,) = re.findall(r"```sql\n(.*?)```", page, flags=re.DOTALL)
    producer, worker = (f"shop_{name}_{os.getpid()}" for name in ("producer", "worker"))
    grants = grants.replace("shop_producer", producer).replace("shop_worker", worker)
    sent = []

    async def send(run: IntentRun) -> None:
        await run.heartbeat()
        await run.checkpoint.save(len(sent))
        sent.append(run.payload)
        if run.payload == "second":
            raise ConnectionError("away")

    def acting(role: str) -> str:
        return f"{postgres_url}{'&' if '?' in postgres_url else '?'}options=-c%20role%3D{role}"

    with psycopg.connect(postgres_url, autocommit=True) as owner:
        try:
            owner.execute(f"CREATE ROLE {producer}; CREATE ROLE {worker}")
            async with Inbox.open(postgres_url) as inbox:
                await inbox.schedule("mail.v1", "by schedule").cron("0 9 * * 1").create()
            owner.execute(grants)
            owner.execute("UPDATE workflow.workflow_schedule SET next_run_at = now()")
            async with Inbox.open(acting(producer), migrate=False) as inbox:
                first = await inbox.submit("mail.v1", "first", idempotency_key="one")
                assert await inbox.submit("mail.v1", "first", idempotency_key="one") == first
                await inbox.submit_many([Intent("mail.v1", "second")])
                with pytest.raises(AccessDenied, match="grant this user the right"):
                    await inbox.cancel(first)
                with pytest.raises(AccessDenied, match="permission denied"):
                    await Poller(inbox, Handlers().add("mail.v1", send)).poll()
            async with Inbox.open(acting(worker), migrate=False) as inbox:
                await Ticker(inbox).tick()
                await Poller(inbox, Handlers().add("mail.v1", send)).poll()
                purged = await inbox.purge(0)
                (waiting,) = (await inbox.list()).runs
        finally:
            for role in (producer, worker):
                owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert sorted(sent) == ["by schedule", "first", "second"]
    assert (purged, waiting.payload, waiting.attempt) == (2, '"second"', 1)


async def test_many_of_which_some_have_known_keys_are_stored_all_or_not_at_all(postgres_url: str, monkeypatch) -> None:
    """Also when the connection breaks while it is asked whose the keys are."""
    many = [Intent("mail.v1", n, idempotency_key=key) for n, key in enumerate(("known", "new", None))]
    async with Inbox.open(postgres_url) as inbox:
        await inbox.submit("mail.v1", 0, idempotency_key="known")
        with monkeypatch.context() as patch:
            patch.setattr(queries.Queries, "by_key", broken)
            with pytest.raises(ConnectionLost):
                await inbox.submit_many(many)
        before = await inbox.stats()
        known, *new = await inbox.submit_many(many)
        after = await inbox.stats()

    assert [sum(stats.counts.values()) for stats in (before, after)] == [1, 3]
    assert (known.existed, [each.existed for each in new]) == (True, [False, False])


def broken(_queries: object, _connection: object, _keys: object) -> None:
    """As a server that goes away."""
    raise ConnectionLost("the connection broke", "here")


async def test_a_key_of_a_transaction_that_is_still_open_keeps_only_its_own_submits_waiting(postgres_url: str) -> None:
    """Those who would have shared a statement or a connection with them have done meanwhile."""
    waits, others = {}, {}

    async def one(ids, name, key) -> None:
        ids[name] = await inbox.submit("mail.v1", name, idempotency_key=key)

    async def many(ids, name, key) -> None:
        (ids[name],) = await inbox.submit_many([Intent("mail.v1", name, idempotency_key=key)])

    async with Inbox.open(postgres_url) as inbox:
        with psycopg.connect(postgres_url) as open_, anyio.fail_after(20):
            taken = inbox.submit_in(open_, "mail.v1", "first", idempotency_key="taken")
            async with anyio.create_task_group() as tg:
                tg.start_soon(many, waits, "many", "taken")
                tg.start_soon(one, waits, "one", "taken")
                tg.start_soon(one, others, "keyed", "free")
                tg.start_soon(one, others, "plain", None)
                tg.start_soon(many, others, "many", "another")
                while len(others) < 3:
                    await anyio.lowlevel.checkpoint()
                assert waits == {}
                open_.commit()

    assert waits == {"one": taken, "many": taken}
    assert not any(each.existed for each in others.values())
