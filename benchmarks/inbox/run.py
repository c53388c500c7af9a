"""A run: rounds in which every row of a scenario is measured once, in a new order each time."""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks import processes
from benchmarks.inbox.load import Load
from benchmarks.inbox.rows import BACKENDS, POSTGRES, SCENARIOS, Row
from benchmarks.inbox.server import Server
from benchmarks.samples import Samples

#: Seconds after which a measurement that should be over long since is given up.
PATIENCE = 240.0

#: Numbers below this in a condition stay as they are in a quick run: they are what the large ones stand beside.
SMALL = 50_000


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of a run: intents of a drain and of a bulk submit; pickups; seconds of the others.

    *shrink*: what the large numbers of the growth rows are divided by.
    """

    drain: int = 100_000
    pickups: int = 150
    seconds: float = 3.0
    idle: float = 15.0
    warm: float = 1.5
    shrink: int = 1

    @classmethod
    def quick(cls) -> "Plan":
        """A tenth: a first look, not a result."""
        return cls(drain=10_000, pickups=30, seconds=0.7, idle=4.0, shrink=10)

    def load(self, row: Row, url: str, folder: str) -> Load:
        """What *row* has to bear in the database at *url*."""
        count, seconds = max(100, int(self.drain * row.share)), self.seconds
        if row.scenario == "pickup":
            count = self.pickups
        elif row.scenario == "idle":
            seconds = self.idle
        return Load(
            row.scenario,
            row.name,
            row.backend,
            row.system,
            url,
            folder,
            count,
            row.workers,
            seconds,
            self.warm,
            condition=re.sub(r"\d+", self._shrunk, row.condition),
            loop=row.loop,
            options=row.options,
        )

    def _shrunk(self, number: "re.Match[str]") -> str:
        value = int(number[0])
        return str(value // self.shrink if value >= SMALL else value)


def run(
    rows: Sequence[Row],
    server: Server | None,
    plan: Plan,
    samples: Samples,
    *,
    repeats: int,
    seed: int,
    tell: Callable[[str], None],
) -> None:
    """Add the figures of *rows* to *samples*. A row that fails once is left out of the rest, with a note."""
    random = Random(seed)
    for scenario in SCENARIOS:
        for backend in BACKENDS:
            there = [row for row in rows if (row.scenario, row.backend) == (scenario, backend)]
            for round_ in range(repeats):
                random.shuffle(there)
                for row in there:
                    if (scenario, row.name, "", backend) in samples.notes:
                        continue
                    tell(f"{scenario}, {backend}, round {round_ + 1} of {repeats}: {row.name}")
                    take(row, server, plan, samples)


def take(row: Row, server: Server | None, plan: Plan, samples: Samples) -> None:
    """Measure *row* once, in a database of its own."""
    if row.backend == POSTGRES and server is None:
        samples.drop(row.scenario, row.name, row.backend, "there is no PostgreSQL")
        return
    with _place(row, server) as (url, folder):
        found = processes.measured("benchmarks.inbox.child", plan.load(row, url, folder).to_json(), PATIENCE)
    if isinstance(found, str):
        samples.drop(row.scenario, row.name, row.backend, found)
        return
    for metric, figure in found.items():
        samples.taken.setdefault((row.scenario, row.name, metric, row.backend), []).append(figure)


@contextmanager
def _place(row: Row, server: Server | None) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="longrun-bench-") as folder:
        if row.backend == POSTGRES and server is not None:
            with server.database() as url:
                yield url, folder
        else:
            yield f"sqlite://{Path(folder) / 'inbox.db'}", folder
