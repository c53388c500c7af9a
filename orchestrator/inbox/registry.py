"""The types that workers have made known, each with its switch."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from orchestrator.contracts import Connection
from orchestrator.inbox.intent import check_type

_LIST = """
SELECT workflow_name, runtime, is_enabled FROM workflow_registry WHERE deleted_at IS NULL ORDER BY workflow_name
"""

# Both databases take it as it is; the one makes text of the time, the other a time.
_SWITCH = """
INSERT INTO workflow_registry (id, workflow_name, runtime, is_enabled) VALUES (?, ?, 'python', ?)
ON CONFLICT (workflow_name) DO UPDATE
SET is_enabled = excluded.is_enabled, updated_at = CURRENT_TIMESTAMP, deleted_at = NULL
"""


@dataclass(frozen=True, slots=True)
class RegisteredType:
    """A type that a worker knows, or that was switched. *runtime*: ``python`` or ``go``."""

    type: str
    runtime: str
    enabled: bool


def types(connection: Connection) -> Sequence[RegisteredType]:
    """All of them, by name."""
    return [RegisteredType(row[0], row[1], bool(row[2])) for row in connection.execute(_LIST).fetchall()]


def switch(connection: Connection, type_: str, enabled: bool) -> None:
    """Switch *type_* on or off; one that nobody has made known yet becomes known. Raises InvalidIntent."""
    check_type(type_)
    connection.execute(_SWITCH, (str(uuid4()), type_, enabled))
