"""Load: what one measurement puts on a system. It travels to the processes of the measurement as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Load:
    """*count* intents of the *system* in an empty database at *url*; *options* are the system's own.

    *workers*: processes that run what is stored. *seconds*: how long something that has no number is looked at, *warm*:
    how long a worker is left alone before it counts as idle. *folder*: where files may be left behind. *condition*:
    what the tables of a growth row look like.
    """

    scenario: str
    row: str
    backend: str
    system: str
    url: str
    folder: str
    count: int
    workers: int = 1
    seconds: float = 10.0
    warm: float = 1.5
    place: int = 0
    condition: str = ""
    loop: str = "uvloop"
    options: tuple[tuple[str, int | str], ...] = ()

    def file(self, name: str) -> Path:
        """A place for a file of this measurement."""
        return Path(self.folder) / name

    def to_json(self) -> str:
        """For the command line of a process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Load":
        """What :meth:`to_json` made."""
        said = json.loads(text)
        return cls(**{**said, "options": tuple((name, value) for name, value in said["options"])})
