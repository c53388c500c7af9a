"""A SQLite file driven from worker threads, for the stores of this package. Private: its errors alone are seen outside.

``sqlite3`` is imported when a file is opened, not with the package.
"""

from longrun.sqlite.file import Schema, SqliteFile
from longrun.sqlite.kept import KeptInFile

__all__ = ["KeptInFile", "Schema", "SqliteFile"]
