"""A worker process of a storm: ``python -m tests.orchestrator.inbox.crash.worker URL NAME LEASE BACKEND``.

It says ``ready``, works until SIGTERM, and logs to stderr. With ``STORM_MUTANT=fence`` its store does not ask for the
fence: the laws must find that out. With ``STORM_FREEZE=FILE`` it stops itself between its first claim of
``storm.total`` and the commit, and makes the file.
"""

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import anyio

from longrun.failure.classify import classify
from orchestrator.contracts import Connection
from orchestrator.inbox import Handlers, Inbox, Poller
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.postgres import statements as postgres_statements
from orchestrator.inbox.store.postgres import turns as postgres_turns
from orchestrator.inbox.store.records import ClaimRequest, Settled, Turn
from orchestrator.inbox.store.sqlite import store as sqlite_store
from orchestrator.inbox.worker import agenda
from tests.orchestrator.inbox.crash.effects import INSERT, TOTAL, opened

logger = logging.getLogger("storm")


class Boom(Exception):
    """What a handler raises."""


class Fatal(Boom):
    """The same for good."""

    permanent = True


@dataclass
class Soon:
    """A verdict that lets a run be tried again within a storm."""

    category: object
    wait_hint: float | None = 0.2


def verdict(error: BaseException) -> Soon:
    """The baseline's, but soon."""
    return Soon(classify(error).category)


class Work:
    """Handlers of every temper. Each execution has a token; what it returns or raises names its hold."""

    def __init__(self, inbox: Inbox, lease: float) -> None:
        self.inbox = inbox
        self.lease = lease

    def handlers(self) -> Handlers:
        """One for each type of a storm."""
        return (
            Handlers()
            .add("storm.fast", self.fast)
            .add("storm.slow", self.slow)
            .add("storm.fail", self.fail)
            .add("storm.fatal", self.fatal)
            .add("storm.hang", self.hang, timeout=self.lease / 2)
            .add("storm.steps", self.steps)
            .add("storm.watch", self.watch)
            .add("storm.block", self.block)
            .add("storm.total", self.total, total=TOTAL)
            .add("storm.gate", self.gate)
        )

    async def effect(self, run, token, step=0):
        """Leave a row, as the work of a domain would."""
        values = (run.id, run.hold.worker, run.hold.fence, token, step)
        await self.inbox.database.transaction(lambda connection: connection.execute(INSERT, values) and None)

    def said(self, run, token, **more):
        """The result of an execution."""
        return {"worker": run.hold.worker, "fence": run.hold.fence, "token": token, **more}

    def tag(self, run):
        """The hold in an error's text."""
        return f"[{run.hold.worker}/{run.hold.fence}]"

    async def fast(self, run):
        """Nothing but the effect."""
        token = uuid4().hex
        await self.effect(run, token)
        return self.said(run, token)

    async def slow(self, run):
        """Up to a lease and a half, with a renewal of its own."""
        token = uuid4().hex
        await self.effect(run, token)
        await anyio.sleep(run.payload["share"] * self.lease)
        await run.heartbeat()
        return self.said(run, token)

    async def fail(self, run):
        """It fails at first."""
        token = uuid4().hex
        await self.effect(run, token)
        if run.attempt <= 2:
            raise Boom(self.tag(run))
        return self.said(run, token)

    async def fatal(self, run):
        """It fails for good."""
        await self.effect(run, uuid4().hex)
        raise Fatal(self.tag(run))

    async def hang(self, run):
        """It hangs at first, until its timeout."""
        token = uuid4().hex
        await self.effect(run, token)
        if run.attempt == 1:
            await anyio.sleep_forever()
        return self.said(run, token)

    async def steps(self, run):
        """Five steps, and a later attempt goes on where the last one was."""
        token = uuid4().hex
        done = await run.checkpoint.load() or 0
        for step in range(done, 5):
            await self.effect(run, token, step)
            await run.checkpoint.save(step + 1)
            await anyio.sleep(0.05)
        if done == 5:
            await self.effect(run, token, 5)
        return self.said(run, token, steps=5)

    async def watch(self, run):
        """It asks whether it is cancelled, for a while."""
        token = uuid4().hex
        await self.effect(run, token)
        for _ in range(10):
            if await run.is_cancelled():
                return None
            await anyio.sleep(0.1)
        return self.said(run, token)

    async def total(self, run):
        """At most so many of these are held at once, in all processes together."""
        token = uuid4().hex
        await self.effect(run, token)
        await anyio.sleep(0.05)
        return self.said(run, token)

    async def block(self, run):
        """It blocks the event loop, at first for longer than the lease."""
        token = uuid4().hex
        await self.effect(run, token)
        if run.attempt == 1 and run.payload["hard"]:
            time.sleep(1.3 * self.lease)  # noqa: ASYNC251 - as a handler that computes
        return self.said(run, token)

    async def gate(self, run):
        """It blocks the event loop until the file of its turn is there."""
        token = uuid4().hex
        await self.effect(run, token)
        folder = Path(run.payload)
        (folder / f"began-{run.hold.fence}").touch()
        while not (folder / f"open-{run.hold.fence}").exists():
            time.sleep(0.01)  # noqa: ASYNC251 - the same
        return self.said(run, token)


def without_fence() -> None:
    """Break the stores: who lost its lease may still write."""
    for module in (postgres_statements, postgres_turns):
        for name, text in vars(module).copy().items():
            if isinstance(text, str) and not name.startswith("__"):
                changed = re.sub(r" AND r\.leased_by \|\| '' = %\(holder\)s::text", "", text)
                changed = re.sub(r"\s+AND r\.fence \+ 0 = (h|o|d)\.fence", "", changed)
                setattr(module, name, changed)
    fence = " AND leased_by = :worker AND fence = :fence"
    sqlite_store._SETTLE.update({move: text.replace(fence, "") for move, text in sqlite_store._SETTLE.items()})
    sqlite_store._RENEW = sqlite_store._RENEW.replace(fence, "")


def freezing(store: Store, mark: Path) -> None:
    """Have the process stop in the middle of a transaction, once; *mark* says that it did."""
    turn = store.turn

    def frozen(connection: Connection, outcomes: Sequence[Settled], request: ClaimRequest | None) -> Turn:
        found = turn(connection, outcomes, request)
        if not mark.exists() and any(run.type == "storm.total" for run in found.claimed):
            mark.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return found

    store.turn = frozen


async def main(url: str, name: str, lease: float) -> None:
    """Work until SIGTERM."""
    async with opened(url) as inbox:
        if "STORM_FREEZE" in os.environ:
            freezing(inbox.store, Path(os.environ["STORM_FREEZE"]))
        handlers = Work(inbox, lease).handlers()
        poller = Poller(
            inbox, handlers, classify=verdict, worker_id=name, lease=lease, poll_interval=0.5, concurrency=6, drain=2.0
        )

        async def until_told() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                print("ready", flush=True)
                async for _ in signals:
                    poller.stop()
                    return

        async with anyio.create_task_group() as tg:
            tg.start_soon(until_told)
            await poller.run()
            tg.cancel_scope.cancel()
        logger.info("statistics: %s errors %s", dict(poller.statistics.completed), dict(poller.statistics.errors))


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if os.environ.get("STORM_MUTANT") == "fence":
        without_fence()
    agenda.SWEEP_INTERVAL = 0.5
    where, who, seconds, backend = sys.argv[1:]
    anyio.run(main, where, who, float(seconds), backend=backend)
