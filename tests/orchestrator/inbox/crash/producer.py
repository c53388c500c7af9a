"""A producer process of a storm: ``python -m tests.orchestrator.inbox.crash.producer URL NAME SEED BACKEND``.

It says on stdout what was acknowledged: ``submitted KEY RUN_ID``, ``cancelled RUN_ID``, and ``unknown KEY`` where the
connection broke under a commit; that one is submitted again with its key. It ends with SIGTERM.
"""

import random
import signal
import sys

import anyio

from orchestrator.inbox import Inbox, Intent
from orchestrator.inbox.errors import AlreadyFinished
from orchestrator.sql import SqlError
from tests.orchestrator.inbox.crash.effects import opened

#: How often each type is submitted.
TYPES = {
    "storm.fast": 50, "storm.slow": 14, "storm.fail": 10, "storm.fatal": 3, "storm.hang": 3, "storm.steps": 10,
    "storm.watch": 8, "storm.block": 2, "storm.total": 6,
}  # fmt: skip

ATTEMPTS = {"storm.fatal": 3, "storm.slow": 6}


class Producer:
    """Five who submit at a time, *rate* intents per second together."""

    def __init__(self, inbox: Inbox, name: str, seed: int, rate: float) -> None:
        self.inbox = inbox
        self.name = name
        self.random = random.Random(seed)
        self.rate = rate
        self.count = 0
        self.stopping = False

    def intent(self) -> Intent:
        """The next one; its key is its own."""
        self.count += 1
        kind = self.random.choices(list(TYPES), list(TYPES.values()))[0]
        payload = {"share": self.random.uniform(0.1, 1.5), "hard": self.random.random() < 0.5}
        return Intent(
            kind,
            payload,
            idempotency_key=f"{self.name}-{self.count}",
            priority=self.random.choice((10, 100, 100)),
            delay=self.random.choice((0.0, 0.0, 0.0, 0.3)),
            max_attempts=ATTEMPTS.get(kind, 12),
            unique=False,
        )

    async def submitting(self) -> None:
        """Intents one by one, and now and then several together."""
        while not self.stopping:
            intents = [self.intent() for _ in range(10 if self.random.random() < 0.05 else 1)]
            ids = await self.acknowledged(intents)
            for intent, run_id in zip(intents, ids, strict=True):
                print("submitted", intent.idempotency_key, run_id, flush=True)
                if intent.type == "storm.watch" and self.random.random() < 0.7:
                    await anyio.sleep(self.random.uniform(0, 0.5))
                    await self.cancel(run_id)
            await anyio.sleep(len(intents) * 5 / self.rate * self.random.uniform(0.5, 1.5))

    async def acknowledged(self, intents: list[Intent]) -> list[str]:
        """Submit until it is said that they are stored."""
        while True:
            try:
                if len(intents) > 1:
                    return list(await self.inbox.submit_many(intents))
                (one,) = intents
                return [
                    await self.inbox.submit(
                        one.type,
                        one.payload,
                        idempotency_key=one.idempotency_key,
                        priority=one.priority,
                        delay=one.delay,
                        max_attempts=one.max_attempts,
                    )
                ]
            except SqlError as error:
                if not getattr(error, "retryable", False):
                    raise
                word = "unknown" if getattr(error, "outcome_unknown", False) else "refused"
                print(word, intents[0].idempotency_key, type(error).__name__, flush=True)
                await anyio.sleep(0.1)

    async def cancel(self, run_id: str) -> None:
        """Until it is said that it is, or that it has ended."""
        while True:
            try:
                await self.inbox.cancel(run_id)
            except AlreadyFinished:
                return
            except SqlError as error:
                if not getattr(error, "retryable", False):
                    raise
                await anyio.sleep(0.1)
            else:
                print("cancelled", run_id, "-", flush=True)
                return

    async def run(self) -> None:
        """Until SIGTERM; what was begun is finished."""
        async with anyio.create_task_group() as tg:
            for _ in range(5):
                tg.start_soon(self.submitting)
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                print("ready", "-", "-", flush=True)
                async for _ in signals:
                    self.stopping = True
                    return


async def main(url: str, name: str, seed: int, rate: float) -> None:
    """Produce."""
    async with opened(url) as inbox:
        await Producer(inbox, name, seed, rate).run()


if __name__ == "__main__":
    where, who, seed, rate, backend = sys.argv[1:]
    anyio.run(main, where, who, int(seed), float(rate), backend=backend)
