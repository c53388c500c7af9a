"""How runs and schedules are kept: two small ports, and their adapters on SQLite and PostgreSQL."""

from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.schedules import ScheduleStore

__all__ = ["ScheduleStore", "Store"]
