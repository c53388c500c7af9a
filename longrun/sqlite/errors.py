"""Errors of stores that are kept in a SQLite file.

    LongrunError
     └─ StoreError           the store cannot do what was asked; ``where`` is the path of its file
         ├─ StoreBusy        something else holds the file for too long                        retryable
         ├─ StoreFull        no room for the write; nothing of it was stored                   retryable
         ├─ StoreFailing     the operating system could not read or write                      retryable
         ├─ StoreReadOnly    the file or its folder refuses writes                             permanent
         ├─ StoreUnusable    no file of ours, damaged, or not to be opened; left untouched     permanent
         ├─ StoreNewer       its tables were written by a newer release                        permanent
         └─ StoreClosed      used after it was closed                                          permanent

``retryable`` and ``permanent`` are what :mod:`longrun.capabilities` reads: a task whose work meets such an error is
retried, or is not.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from longrun.errors import LongrunError


class StoreError(LongrunError):
    """The store cannot do what was asked. *where* is the path of its file."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where


class StoreBusy(StoreError):
    """Another process, or an operation that does not come back, holds the file for longer than the busy timeout."""

    retryable = True


class StoreFull(StoreError):
    """There was no room for the write, which was rolled back. Goes on by itself when there is room again."""

    retryable = True


class StoreFailing(StoreError):
    """The operating system could not read or write the file."""

    retryable = True


class StoreReadOnly(StoreError):
    """The file or its folder refuses writes."""

    permanent = True


class StoreUnusable(StoreError):
    """The file is damaged, is no SQLite database, or cannot be opened. It is never overwritten or deleted."""

    permanent = True


class StoreNewer(StoreError):
    """The tables of *store* are at version *found*, and this release knows version *known*. Nothing was changed."""

    permanent = True

    def __init__(self, where: str, store: str, found: int, known: int) -> None:
        super().__init__(
            f"{where}: its {store} are at version {found}, but this release knows version {known} only; "
            "start the newer release, or give this one a file of its own",
            where,
        )
        self.found = found
        self.known = known


class StoreClosed(StoreError):
    """The store was used after it was closed."""

    permanent = True


_BUSY = (StoreBusy, "another process holds it: end its long transaction, or give each its own file")
_READ_ONLY = (StoreReadOnly, "make the file and its folder writable for this user (the journal needs both)")
_UNUSABLE = (
    StoreUnusable,
    "the file was left untouched: keep a copy, then restore a backup, recover it with the sqlite3 shell (.recover), "
    "or give another path",
)
_UNOPENABLE = (StoreUnusable, "give the path of a file in a folder that exists or can be made")
_FULL = (StoreFull, "nothing of this write was stored; free space on that disk or enlarge it")
_FAILING = (StoreFailing, "see the system log for the disk, and the mount for network trouble")

#: Primary result codes of SQLite, by their names in :mod:`sqlite3`.
_BY_NAME: dict[str, tuple[type[StoreError], str]] = {
    "SQLITE_BUSY": _BUSY,
    "SQLITE_LOCKED": _BUSY,
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR": _FAILING,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_PERM": _READ_ONLY,
    "SQLITE_CANTOPEN": _UNOPENABLE,
}
_BY_ERRNO: dict[int, tuple[type[StoreError], str]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EIO: _FAILING,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EROFS: _READ_ONLY,
}


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise the errors of :mod:`sqlite3` and of the file system as those of this tree, with *where* in their text."""
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        code = primary_code(error)
        if code == "SQLITE_CANTOPEN" and _is_read_only(os.path.dirname(where)):
            code = "SQLITE_READONLY"
        kind, remedy = _BY_NAME.get(code, _UNUSABLE)
        raise kind(f"{where}: {error}; {remedy}", where) from error
    except OSError as error:
        kind, remedy = _BY_ERRNO.get(error.errno or 0, _UNOPENABLE)
        raise kind(f"{where}: {error.strerror or error}; {remedy}", where) from error


def _is_read_only(folder: str) -> bool:
    return os.path.isdir(folder) and not os.access(folder, os.W_OK)


def primary_code(error: BaseException) -> str:
    """The name of SQLite's primary result code in *error*; empty when it carries none that is known."""
    import sqlite3

    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return ""
    return next((name for name in _BY_NAME if getattr(sqlite3, name) == code & 0xFF), "")


def foreign(where: str) -> StoreUnusable:
    """The file at *where* does not begin as an SQLite database."""
    return StoreUnusable(f"{where}: the file does not begin as an SQLite database; {_UNUSABLE[1]}", where)
