"""A run: rounds in which every row of a scenario is measured once, in a new order each time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks import processes
from benchmarks.samples import Samples
from benchmarks.scheduler.load import Load
from benchmarks.scheduler.rows import SCENARIOS, Row

#: Seconds between two runs of a unit that is to be idle.
IDLE = 10 * 86_400.0
#: Lone sleeps per second for the floor of lateness.
SLEEPS = 40
#: Seconds after which a measurement that should be over long since is given up.
PATIENCE = 180.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of a run. *units* at *interval* in the scenarios of many units, *few* in saturation and preflights.

    Durations are seconds. *hurried*: the interval below which no demand is ever met.
    """

    units: int = 100_000
    interval: float = 60.0
    few: int = 10_000
    seconds: float = 15.0
    hurried: float = 0.05

    @classmethod
    def quick(cls) -> "Plan":
        """As many runs per second with a tenth of the units: a first look, not a result."""
        return cls(units=10_000, interval=6.0, seconds=2.5)

    def load(self, row: Row, backend: str) -> Load:
        """What *row* has to bear on *backend*."""
        units, interval, seconds, herd = self.units, self.interval, self.seconds, False
        match row.scenario:
            case "floor":
                interval = 1 / SLEEPS
            case "idle":  # nothing is due: of an hour, the splay alone would bring 28 runs per second
                interval, seconds = IDLE, min(seconds, 10.0)
            case "herd":
                interval, herd = 3600.0, True
            case "saturation":
                units, interval, seconds = self.few, self.hurried, min(seconds, 5.0)
            case "preflights":
                units = self.few
            case _:
                pass
        lead = 1.0 + units * (120e-6 if row.slow else 20e-6)
        return Load(row.scenario, row.name, backend, units, interval, seconds, lead, herd)


def run(
    rows: Sequence[Row],
    backends: Sequence[str],
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
        for backend in backends:
            there = [row for row in rows if row.scenario == scenario and backend in row.backends]
            for round_ in range(repeats):
                random.shuffle(there)
                for row in there:
                    if (scenario, row.name, "", backend) in samples.notes:
                        continue
                    tell(f"{scenario}, {backend}, round {round_ + 1} of {repeats}: {row.name}")
                    _take(row, plan.load(row, backend), samples)


def _take(row: Row, load: Load, samples: Samples) -> None:
    found = measured(load)
    if isinstance(found, str):
        samples.drop(row.scenario, row.name, load.backend, found)
        return
    for metric, figure in found.items():
        samples.taken.setdefault((row.scenario, row.name, metric, load.backend), []).append(figure)


def measured(load: Load) -> dict[str, float] | str:
    """The figures that a fresh interpreter comes to under *load*; else why there are none."""
    return processes.measured("benchmarks.scheduler.child", load.to_json(), PATIENCE + load.seconds + load.lead)
