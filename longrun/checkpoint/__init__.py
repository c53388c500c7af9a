"""Checkpoints: where work got to, kept for the next start.

The handle that work uses: :mod:`longrun.checkpoint.checkpoint`. Stores: the port, memory, a SQLite file. What states
look like as bytes: :mod:`longrun.checkpoint.codec` inside :mod:`longrun.checkpoint.envelope`.
"""

from longrun.checkpoint.checkpoint import Checkpoint, Saved
from longrun.checkpoint.codec import Codec, Json
from longrun.checkpoint.errors import (
    CheckpointCorrupt,
    CheckpointError,
    CheckpointNewer,
    CheckpointStateError,
    CheckpointUnreachable,
)
from longrun.checkpoint.memory import MemoryCheckpoints
from longrun.checkpoint.sqlite import SqliteCheckpoints
from longrun.checkpoint.store import CheckpointStore

__all__ = [
    "Checkpoint",
    "CheckpointCorrupt",
    "CheckpointError",
    "CheckpointNewer",
    "CheckpointStateError",
    "CheckpointStore",
    "CheckpointUnreachable",
    "Codec",
    "Json",
    "MemoryCheckpoints",
    "Saved",
    "SqliteCheckpoints",
]
