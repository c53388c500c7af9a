"""A store that keeps what it is given in one SQLite file."""

from types import TracebackType
from typing import Self

from longrun.sqlite.file import SqliteFile


class KeptInFile:
    """The life of such a store: ``async with`` opens the file, so that one that cannot be used is found out at once,
    and closes it; without it the file is opened at first use and closed by :meth:`aclose`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def aclose(self) -> None:
        """Close the file."""
        await self._file.close()

    async def __aenter__(self) -> Self:
        await self._file.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._file!r}>"
