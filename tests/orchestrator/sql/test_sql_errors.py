"""The translation of errors of the file system and of SQLite."""

import errno
import sqlite3

import pytest

from orchestrator.sql.errors import (
    DatabaseReadOnly,
    DatabaseUnopenable,
    DiskFailing,
    DiskFull,
    from_os,
    from_sqlite,
    translated,
)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EIO, DiskFailing),
        (errno.EROFS, DatabaseReadOnly),
        (errno.EACCES, DatabaseReadOnly),
        (errno.ENOTDIR, DatabaseUnopenable),
    ],
)
def test_an_error_of_the_file_system_becomes_one_of_the_tree(number, kind):
    """It names the database and the remedy."""
    error = from_os(OSError(number, "said the system"), "/data/state.db")

    assert type(error) is kind
    assert str(error).startswith("/data/state.db: said the system; ")
    assert error.where == "/data/state.db"


def test_an_extended_code_counts_as_its_primary_one():
    """SQLITE_IOERR_WRITE is an input/output error."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE

    assert type(from_sqlite(error, "x")) is DiskFailing


def test_a_wrong_statement_is_not_translated():
    """It is a mistake in the code."""
    connection = sqlite3.connect(":memory:")

    with pytest.raises(sqlite3.OperationalError, match="syntax error"), translated("x"):
        connection.execute("SELEKT 1")
    connection.close()
