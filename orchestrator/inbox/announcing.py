"""Telling workers that there is something to do: those of this process, and on PostgreSQL those of others."""

from contextlib import suppress

from orchestrator.contracts import Database
from orchestrator.inbox.bell import Bell
from orchestrator.inbox.joining import after_commit
from orchestrator.inbox.wakeup import CANCELLED, WORK, channel
from orchestrator.sql import SqlError, dialect_of, schema_of, server_of


class Announcer:
    """Rings the *bell*, and notifies unless *notify* is off. Always after the commit, and never fails what was stored.

    Who does not hear of it finds it by polling.
    """

    def __init__(self, database: Database, bell: Bell, *, notify: bool) -> None:
        self._database = database
        self._channel = channel(schema_of(database))
        self._bell = bell
        self._wanted = notify and dialect_of(database) == "postgresql"

    def work(self, *, due: bool = True) -> None:
        """Something was stored; *due* says that it may start now."""
        self._bell.ring()
        if due:
            self._notify(WORK)

    def cancelled(self) -> None:
        """Runs were cancelled."""
        self._bell.ring()
        self._notify(CANCELLED)

    def after(self, connection: object, *, due: bool) -> None:
        """:meth:`work`, when the transaction of *connection* is committed, as far as it can tell."""
        if hasattr(connection, "after_commit"):  # called in the event loop
            after_commit(connection, self._work_due if due else self._bell.ring)
        elif due and self._wanted:
            after_commit(connection, self._notify_work)

    def _work_due(self) -> None:
        self.work()

    def _notify_work(self) -> None:
        self._notify(WORK)

    def _notify(self, word: str) -> None:
        if not self._wanted:
            return
        with suppress(SqlError):  # closed meanwhile: what was stored stays stored
            server = server_of(self._database)
            if server is not None:
                server.notify(self._channel, word)
