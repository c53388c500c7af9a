"""A storm over an inbox: worker and producer processes, and a tormentor with a seeded plan."""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

import psycopg

from tests.orchestrator.inbox.crash.effects import NOT_STARTED
from tests.orchestrator.inbox.crash.laws import Trail
from tests.postgres_server import NoServer, PostgresServer

ROOT = Path(__file__).parents[4]
CRASH = "tests.orchestrator.inbox.crash"

#: What none of them may say, whatever happens around it.
FORBIDDEN = re.compile(r"never retrieved|RuntimeWarning|ResourceWarning|was never awaited|Exception ignored|in thread")


class Child:
    """One process of ours, with its output in files."""

    def __init__(self, folder: Path, module: str, name: str, *arguments: object, **environment: str) -> None:
        self.name = name
        self.out, self.log = folder / f"{name}.out", folder / f"{name}.log"
        self.stopped = self.told = False
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"{CRASH}.{module}", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            )

    @property
    def ready(self) -> bool:
        """Whether it is at work."""
        return self.out.read_bytes().startswith(b"ready")

    def signal(self, number: signal.Signals) -> None:
        """Send it."""
        self.stopped = number is signal.SIGSTOP or (self.stopped and number is not signal.SIGCONT)
        self.process.send_signal(number)

    def tell_to_end(self) -> None:
        """Once: a second SIGTERM would find the process without its handler."""
        if not self.told:
            self.told = True
            self.process.terminate()

    def end(self, patience: float = 20.0) -> int:
        """Ask it to end; its exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.tell_to_end()
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return -signal.SIGKILL

    def kill(self) -> None:
        """End it now."""
        self.process.kill()
        self.process.wait()


class Storm:
    """Workers and producers on the database at *url*, and a plan that *seed* decides.

    *folder* holds what the processes say. A plan says how often each trouble comes; the time between two is *gap*
    seconds on the average. *lease* in seconds; *rate*: intents per second of each producer.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        query: Callable[[str], Sequence[tuple]],
        *,
        seed: int,
        plan: dict[str, int],
        workers: int = 3,
        producers: int = 1,
        lease: float = 1.5,
        rate: float = 40.0,
        gap: float = 0.5,
        server: PostgresServer | None = None,
    ) -> None:
        self.url = url
        self.folder = folder
        self.query = query
        self.random = random.Random(seed)
        self.plan = plan
        self.lease = lease
        self.rate = rate
        self.gap = gap
        self.server = server
        self.done: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.all: list[Child] = []
        self._numbers = count(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.workers = [self._worker() for _ in range(workers)]
        self.producers = [self._producer() for _ in range(producers)]

    def _worker(self) -> Child:
        number = next(self._numbers)
        backend = "trio" if number % 3 == 0 else "asyncio"
        name = f"worker-{number}"
        self.all.append(Child(self.folder, "worker", name, self.url, name, self.lease, backend))
        return self.all[-1]

    def _producer(self) -> Child:
        number = next(self._numbers)
        backend = "trio" if number % 2 else "asyncio"
        name = f"producer-{number}"
        self.all.append(Child(self.folder, "producer", name, self.url, name, number, self.rate, backend))
        return self.all[-1]

    # -- the storm ---------------------------------------------------------------------------------------------------

    def rage(self, seconds: float) -> None:
        """Trouble for so many seconds, once all are at work; each kind comes once at least."""
        wait_for(lambda: all(child.ready for child in self.all), 30, "the processes")
        end = time.monotonic() + seconds
        first = self.random.sample(list(self.plan), len(self.plan))
        while (now := time.monotonic()) < end or first:
            self._do_what_is_due(now)
            self._replace_the_dead()
            trouble = first.pop() if first else self.random.choices(list(self.plan), list(self.plan.values()))[0]
            self.done[trouble] += 1
            getattr(self, f"_{trouble}")()
            time.sleep(min(self.random.expovariate(1 / self.gap), 4 * self.gap))
        while self._agenda:
            heappop(self._agenda)[2]()

    def calm(self, patience: float) -> None:
        """No more trouble and no more intents: wait until everything has ended, then end the workers."""
        wait_for(self._all_at_work, 30, "the processes")
        while self.producers:
            self.codes[f"producer {self.producers.pop().end()}"] += 1
        open_ = "SELECT count(*) FROM workflow_run WHERE status IN ('pending', 'leased')"
        with suppress(TimeoutError):  # the laws say more
            wait_for(lambda: self.query(open_)[0][0] == 0, patience, "everything to end", every=0.1)
        for worker in self.workers:
            self.codes[f"worker {worker.end()}"] += 1

    def close(self) -> None:
        """Leave nobody behind."""
        for child in self.all:
            if child.process.poll() is None:
                child.kill()

    def _all_at_work(self) -> bool:
        self._replace_the_dead()
        return all(child.ready for child in (*self.workers, *self.producers))

    def _do_what_is_due(self, now: float) -> None:
        while self._agenda and self._agenda[0][0] <= now:
            heappop(self._agenda)[2]()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        heappush(self._agenda, (time.monotonic() + seconds, next(self._numbers), call))

    def _replace_the_dead(self) -> None:
        for children, make in ((self.workers, self._worker), (self.producers, self._producer)):
            for place, child in enumerate(children):
                if child.process.poll() is not None:
                    if child.process.returncode != -signal.SIGKILL:
                        self.codes[f"ended {child.process.returncode}"] += 1
                    children[place] = make()

    # -- troubles ----------------------------------------------------------------------------------------------------

    def _kill_worker(self) -> None:
        self.random.choice(self.workers).kill()

    def _kill_producer(self) -> None:
        self.random.choice(self.producers).kill()

    def _stop_worker(self) -> None:
        self._stop(self.random.choice(self.workers), self.random.uniform(1.1, 2.5) * self.lease)

    def _stop_producer(self) -> None:
        self._stop(self.random.choice(self.producers), self.random.uniform(0.1, 1.0) * self.lease)

    def _stop(self, child: Child, seconds: float) -> None:
        if child.stopped or child.process.poll() is not None:
            return
        child.signal(signal.SIGSTOP)
        self._later(seconds, lambda: (child.process.poll() is None and child.signal(signal.SIGCONT)) or None)

    def _end_worker(self) -> None:
        worker = self.random.choice(self.workers)
        if worker.ready and not worker.stopped:  # before, Python would end as anything ends by it
            worker.tell_to_end()

    def _cut_one(self) -> None:
        self._terminate("ORDER BY random() LIMIT 1")

    def _cut_all(self) -> None:
        self._terminate("")

    def _terminate(self, which: str) -> None:
        with suppress(psycopg.Error), psycopg.connect(self._server.url(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE datname = 'postgres' "
                f"AND application_name = 'longrun' AND pid <> pg_backend_pid() {which}) AS theirs"  # type: ignore[arg-type] # text of ours
            )

    def _kill_backend(self) -> None:
        with suppress(psycopg.Error), psycopg.connect(self._server.url(), autocommit=True) as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'longrun' ORDER BY random() LIMIT 1"
            ).fetchall()
            for (pid,) in found:
                if pid in children_of(self._server.pid):
                    os.kill(pid, signal.SIGKILL)

    def _crash_server(self) -> None:
        self._restart(signal.SIGQUIT)

    def _restart_server(self) -> None:
        self._restart(signal.SIGINT)

    def _kill_server(self) -> None:
        self._restart(signal.SIGKILL)

    def _restart(self, how: signal.Signals) -> None:
        server = self._server
        server.stop(how)
        time.sleep(self.random.choice((0.0, 0.2, 0.8)))
        for attempt in range(40):  # its children may outlive it for a moment
            try:
                server.start()
            except NoServer:
                if attempt == 39:
                    raise
                time.sleep(0.1)
            else:
                return

    def _freeze_server(self) -> None:
        pids = [self._server.pid, *children_of(self._server.pid)]
        try:
            _signal_all(pids, signal.SIGSTOP)
            time.sleep(self.random.uniform(0.2, 1.5) * self.lease)
        finally:
            _signal_all(pids, signal.SIGCONT)

    @property
    def _server(self) -> PostgresServer:
        assert self.server is not None, "a plan for a server"
        return self.server

    # -- what came of it ---------------------------------------------------------------------------------------------

    def submitted(self) -> dict[str, str]:
        """The acknowledged ids by key."""
        return {key: run_id for word, key, run_id in self._said() if word == "submitted"}

    def cancelled(self) -> set[str]:
        """The ids whose cancellation was acknowledged."""
        return {run_id for word, run_id, _ in self._said() if word == "cancelled"}

    def _said(self) -> list[tuple[str, str, str]]:
        found = []
        for child in self.all:
            if child.name.startswith("producer"):
                whole = child.out.read_text().rpartition("\n")[0]  # the last line may be cut off
                found += [(a, b, c) for a, b, c in map(str.split, whole.splitlines())]
        return found

    def logged(self) -> Counter[str]:
        """How often each event was logged by the workers, and how often producers were told what."""
        counted: Counter[str] = Counter()
        for child in self.all:
            counted.update(re.findall(r"(?:intent|inbox)\.[a-z_]+(?=:)", child.log.read_text()))
        counted.update(f"submit {word}" for word, _, _ in self._said() if word in ("unknown", "refused"))
        return counted

    def crashes(self) -> list[str]:
        """Last words of those that were not to die, and what none of them may say."""
        return [
            f"{child.name} ended with {child.process.returncode}: {child.log.read_text()[-3000:]}"
            for child in self.all
            if child.process.returncode not in (0, -signal.SIGKILL, NOT_STARTED)
        ] + [
            f"{child.name}: {said[0]}"
            for child in self.all
            if (said := FORBIDDEN.search(child.log.read_text())) is not None
        ]

    def trail(self) -> Trail:
        """All that is known of all runs."""
        return Trail(self.query)


def _signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def children_of(pid: int) -> list[int]:
    """The processes that *pid* has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(there: Callable[[], bool], patience: float, what: str, every: float = 0.02) -> None:
    """Until *there*; TimeoutError after *patience* seconds."""
    deadline = time.monotonic() + patience
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience} s for {what}")
        time.sleep(every)


@contextmanager
def sqlite_query(path: Path):
    """Statements on the file at *path*."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=20)
    try:
        yield lambda statement: connection.execute(statement).fetchall()
    finally:
        connection.close()


def postgres_query(url: str) -> Callable[[str], list[tuple]]:
    """Statements on a server that may be gone meanwhile."""

    def query(statement: str) -> list[tuple]:
        with psycopg.connect(url, autocommit=True, options="-c search_path=workflow") as connection:
            return connection.execute(statement.encode()).fetchall()

    return query
