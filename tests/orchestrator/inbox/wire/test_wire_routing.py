"""A worker gets what it can do and nothing else; nothing waits for ever; a key is answered."""

import pytest

from orchestrator.inbox import Handlers, InvalidHandler, Poller, State

pytestmark = pytest.mark.anyio


async def done(run):
    return "done"


async def test_a_worker_leaves_the_types_of_its_siblings_alone(inbox, poll):
    """There, whoever knew one type of a family claimed all of them, and failed what it did not know to death."""
    mine = await inbox.submit("billing.invoice.v1", 1)
    sibling = await inbox.submit("billing.payment.v1", 1)

    assert await poll(done, "billing.invoice.v1") == 1

    assert (await inbox.get(mine)).state is State.SUCCEEDED
    run = await inbox.get(sibling)
    assert (run.state, run.attempt, run.claims) == (State.PENDING, 0, 0)


@pytest.mark.parametrize(("known", "other"), [("my_app.job.v1", "myXapp.job.v1"), ("a.v1", "a.v10"), ("a.v1", "A.v1")])
async def test_a_type_is_taken_to_the_letter(inbox, poll, known, other):
    """There, an underscore stood for any letter."""
    left = await inbox.submit(other, 1)
    taken = await inbox.submit(known, 1)

    assert await poll(done, known) == 1

    assert (await inbox.get(left)).claims == 0
    assert (await inbox.get(taken)).state is State.SUCCEEDED


async def test_a_default_run_starts_under_endless_urgent_work(inbox):
    """There, it never ran as long as something more urgent came in."""
    order = []

    async def work(run):
        order.append(run.payload)
        if run.payload == "urgent" and len(order) < 50:
            await inbox.submit("mail.v1", "urgent", priority=1)

    await inbox.submit("mail.v1", "default")
    await inbox.submit("mail.v1", "urgent", priority=1)

    await Poller(inbox, Handlers().add("mail.v1", work), concurrency=1).poll()

    assert order.index("default") <= 8  # every eighth claim takes the oldest
    assert len(order) > 8


async def test_a_known_key_is_answered_with_its_run(inbox, poll):
    """There, with an empty text; who had the key could not be learned."""
    first = await inbox.submit("mail.v1", 1, idempotency_key="k")
    await poll(done)

    again = await inbox.submit("mail.v1", 2, idempotency_key="k")

    assert (again, again.existed, first.existed) == (first, True, False)
    assert (await inbox.get(again)).state is State.SUCCEEDED


async def test_a_key_can_be_taken_while_its_run_is_active_and_no_longer(inbox, poll):
    """There, a key was taken for ever."""
    first = await inbox.submit("mail.v1", 1, idempotency_key="k", unique=True)
    meanwhile = await inbox.submit("mail.v1", 2, idempotency_key="k", unique=True)
    await poll(done)

    after = await inbox.submit("mail.v1", 3, idempotency_key="k", unique=True)

    assert (meanwhile, after == first) == (first, False)
    assert [run.id for run in (await inbox.list(idempotency_key="k")).runs] == [after]


async def test_a_type_that_an_operator_switched_off_waits_for_all_of_us(foreign, inbox, poll):
    """There, the registry was read by nobody."""
    run_id = await inbox.submit("content.ocr.v1", 1)
    foreign.run("UPDATE workflow_registry SET is_enabled = %s WHERE workflow_name = 'content.ocr.v1'", False)

    assert await poll(done, "content.ocr.v1") == 0
    foreign.run("UPDATE workflow_registry SET is_enabled = %s WHERE workflow_name = 'content.ocr.v1'", True)
    assert await poll(done, "content.ocr.v1") == 1
    assert (await inbox.get(run_id)).state is State.SUCCEEDED


async def test_a_worker_makes_its_types_known_beside_the_seeds(foreign, inbox, poll):
    """Lines of theirs stay as they are."""
    before = foreign.rows("SELECT workflow_name, runtime FROM workflow_registry ORDER BY workflow_name")

    await poll(done, "content.ocr.v1", "mail.v1")

    after = foreign.rows("SELECT workflow_name, runtime FROM workflow_registry ORDER BY workflow_name")
    assert after == sorted([*before, ("mail.v1", "python")])


async def test_a_poller_without_handlers_is_refused_and_ends_no_process(inbox):
    """There, the library ended the process."""
    with pytest.raises(InvalidHandler):
        Poller(inbox, Handlers())
