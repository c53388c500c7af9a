"""preset.sql: what passes by itself between a transaction and its database.

PostgreSQL and whatever speaks SQLSTATE (psycopg, asyncpg, pg8000, ODBC), MySQL and MariaDB by their error numbers,
SQLite by its result codes, all of them inside SQLAlchemy's errors too.
"""

from collections.abc import Iterator

from longrun.backoff import Backoff, exponential
from longrun.durations import Duration
from longrun.failure.baseline import HINT_CAP
from longrun.option import Option
from longrun.preset.limit import limits
from longrun.preset.reading import attribute, lineage
from longrun.preset.transient import Transient
from longrun.registry import Registry
from longrun.rule import On, build

# PostgreSQL's appendix A, MySQL's server and client error reference, SQLite's result codes.
_CONFLICT_STATES = frozenset({"40001", "40P01", "55P03"})  # serialization, deadlock, lock not available
_CONFLICT_NUMBERS = frozenset({1205, 1213})  # lock wait timeout, deadlock
_CONFLICT_SQLITE = frozenset({5, 6})  # busy, locked
_CONFLICT_TEXTS = ("database is locked", "database table is locked", "database schema is locked")

_LOST_STATES = frozenset({"57P01", "57P02", "57P03", "53300"})  # shut down, crashed, starting, too many connections
_LOST_CLASS = "08"
_PROTOCOL_VIOLATION = "08P01"  # a defect of the client
_UNKNOWN_STATES = frozenset({"08007", "40003"})  # nobody knows whether it was committed
_LOST_NUMBERS = frozenset({1040, 1053, 2002, 2003, 2006, 2013, 2055})  # too many, shutdown, no server, gone, lost
_LOST_TEXTS = (
    "server closed the connection", "connection is lost", "connection is closed", "connection already closed",
    "connection was closed", "connection not open", "connection has been closed", "connection refused",
    "connection reset", "connection timed out", "connection timeout expired", "lost connection", "gone away",
    "could not connect to server", "could not translate host name", "database system is starting up",
    "database system is shutting down",
)  # fmt: skip

#: PEP 249's names: an error with one of them among its classes is a database's.
_DB_API = frozenset({"InterfaceError", "DatabaseError", "OperationalError", "InternalError", "MySQLError"})
_STATE_LENGTH = 5
_NETWORK = Registry("network").load_defaults()


def sql(
    *,
    retries: int | None = 5,
    backoff: Backoff | None = None,
    reconnect: Backoff | None = None,
    timeout: Duration | None = None,
    attempt_timeout: Duration | None = None,
    unsafe: bool = False,
    hint_cap: Duration = HINT_CAP,
) -> list[Option]:
    """Options around one whole transaction, from its connection to its commit: it is what must be run again.

    Two rules with *retries* each. A conflict (serialization failure, deadlock, lock time-out, SQLite busy or locked)
    was rolled back by the database and goes again after *backoff*: 0.1 s doubled up to 2 s, +- 50 % so that the two in
    conflict part, as CockroachDB advises. A lost, refused or surplus connection goes again after *reconnect*: 0.5 s
    doubled up to 10 s, which outlasts a usual failover. A connection lost in the very commit may have been committed:
    let the transaction bear being run twice. Where the database itself says that this is unknown (SQLSTATE 08007,
    40003) it is run again only with *unsafe*.

    No limits by default: a database has its own (``statement_timeout``, ``lock_timeout``), which tell it to stop too.
    """

    def lost(error: Exception) -> bool:
        return _lost(error, unsafe)

    conflicts = exponential(0.1, 2, jitter=0.5) if backoff is None else backoff
    outages = exponential(0.5, 10, jitter=0.2) if reconnect is None else reconnect
    conflict = Transient("conflicts of transactions", _conflict)
    outage = Transient("lost connections to a database", lost)
    return [
        *limits(timeout, "preset.sql timeout"),
        On(build(conflict, retries, conflicts, "sql conflict", hint_cap, preset=True, what="preset.sql")),
        On(build(outage, retries, outages, "sql connection", hint_cap, preset=True, what="preset.sql")),
        *limits(attempt_timeout, "preset.sql attempt_timeout", below=timeout),
    ]


def _conflict(error: Exception) -> bool:
    for part in _parts(error):
        state = _state(part)
        if state is not None:
            return state in _CONFLICT_STATES
        if _number(part) in _CONFLICT_NUMBERS or _sqlite(part) in _CONFLICT_SQLITE or _says(part, _CONFLICT_TEXTS):
            return True
    return False


def _lost(error: Exception, unsafe: bool) -> bool:
    if _NETWORK.contains(error) or attribute(error, "connection_invalidated") is True:
        return not _unknown(error) or unsafe
    for part in _parts(error):
        state = _state(part)
        if state is not None:
            if state in _UNKNOWN_STATES:
                return unsafe
            return state in _LOST_STATES or (state.startswith(_LOST_CLASS) and state != _PROTOCOL_VIOLATION)
        if _number(part) in _LOST_NUMBERS or _says(part, _LOST_TEXTS):
            return True
    return False


def _unknown(error: Exception) -> bool:
    return any(_state(part) in _UNKNOWN_STATES for part in _parts(error))


def _parts(error: BaseException) -> Iterator[BaseException]:
    """*error*, and the driver's inside it: SQLAlchemy keeps it as ``orig``, Django as the cause of one of like name."""
    current: object = error
    for _ in range(4):  # as deep as such wrapping goes
        if not isinstance(current, BaseException):
            return
        yield current
        current = attribute(current, "orig") or (current.__cause__ if _is_db_api(current) else None)


def _is_db_api(error: object) -> bool:
    return any(name in _DB_API for _package, name in lineage(error))


def _state(error: BaseException) -> str | None:
    """The SQLSTATE, from wherever the driver keeps it."""
    first = error.args[0] if error.args and _is_db_api(error) else None
    if isinstance(first, dict):
        first = first.get("C")  # pg8000: the fields of the server's message
    for state in (attribute(error, "sqlstate"), attribute(error, "pgcode"), first):
        if isinstance(state, str) and len(state) == _STATE_LENGTH and state.isalnum() and state != "HY000":
            return state  # HY000 is MySQL's and ODBC's "general error": its number says more
    return None


def _number(error: BaseException) -> int | None:
    """MySQL's error number: an attribute of MySQL's own connector, else the first argument."""
    if not _is_db_api(error):
        return None
    for number in (attribute(error, "errno"), error.args[0] if error.args else None):
        if isinstance(number, int):
            return number
    return None


def _sqlite(error: BaseException) -> int | None:
    code = attribute(error, "sqlite_errorcode")
    return code & 0xFF if isinstance(code, int) else None  # the rest is SQLite's extended code


def _says(error: BaseException, texts: tuple[str, ...]) -> bool:
    """Drivers tell a lost connection in words alone when it was not the server who told them."""
    if not _is_db_api(error):
        return False
    said = " ".join(str(part) for part in error.args).lower()
    return any(text in said for text in texts)
