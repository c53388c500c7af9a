"""One service on one file: an advisory lock beside the database that dies with its process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.sql.errors import DatabaseInUse


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Hold ``<database>.lock`` while the block runs. DatabaseInUse, which names the holder, when another has it.

    The operating system lets go of the lock when the process ends, however it ends. The file stays: to delete it would
    let two processes hold two different files of the same name.
    """
    path = Path(f"{database}.lock")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(database, path, handle) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _in_use(database: Path, path: Path, handle: int) -> DatabaseInUse:
    written = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
    pid = int(written) if written.isdecimal() else None
    holder = f"process {pid}" if pid is not None else "another process"
    return DatabaseInUse(
        f"{database} is in use: {holder} holds {path}; stop that service, or give this one a database file of its own",
        str(database),
        pid,
    )
