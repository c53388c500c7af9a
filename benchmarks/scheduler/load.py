"""Load: what one measurement puts on a design. It travels to the process of the measurement as JSON."""

import json
from dataclasses import asdict, dataclass

#: Golden ratio: the phases of consecutive units spread evenly over the interval.
_PHI = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Load:
    """*units* that each run every *interval* seconds, looked at for *seconds*.

    *lead*: seconds between the creation of the first unit and the first due run, for designs that fix it beforehand.
    *herd*: all units are due at one instant, not spread over the interval.
    """

    scenario: str
    row: str
    backend: str
    units: int
    interval: float
    seconds: float
    lead: float = 1.0
    herd: bool = False

    @property
    def demand(self) -> float:
        """Runs per second that would be due."""
        return self.units / self.interval

    def phase(self, unit: int) -> float:
        """Where in the interval the grid of *unit* lies, where the design leaves that to us."""
        return 0.0 if self.herd else unit * _PHI % 1.0 * self.interval

    def to_json(self) -> str:
        """For the command line of the child."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Load":
        """What :meth:`to_json` made."""
        return cls(**json.loads(text))
