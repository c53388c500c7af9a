"""The inbox: a durable record of what should happen, and the poller that makes it happen.

Producers need :class:`Inbox` alone; workers add :class:`Handlers` and a :class:`Poller`. The tables are those of the
simple-workflow wire format, with additions of our own that its programs do not see.

The names are loaded when they are first used: a producer does not load the worker.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.inbox.errors import AlreadyFinished as AlreadyFinished
    from orchestrator.inbox.errors import DuplicateHandler as DuplicateHandler
    from orchestrator.inbox.errors import IllegalMove as IllegalMove
    from orchestrator.inbox.errors import InboxError as InboxError
    from orchestrator.inbox.errors import InvalidHandler as InvalidHandler
    from orchestrator.inbox.errors import InvalidIntent as InvalidIntent
    from orchestrator.inbox.errors import InvalidPayload as InvalidPayload
    from orchestrator.inbox.errors import InvalidQuery as InvalidQuery
    from orchestrator.inbox.errors import InvalidSchedule as InvalidSchedule
    from orchestrator.inbox.errors import LeaseLost as LeaseLost
    from orchestrator.inbox.errors import PayloadTooLarge as PayloadTooLarge
    from orchestrator.inbox.errors import UnknownRun as UnknownRun
    from orchestrator.inbox.errors import UnknownSchedule as UnknownSchedule
    from orchestrator.inbox.errors import WrongConnection as WrongConnection
    from orchestrator.inbox.inbox import Inbox as Inbox
    from orchestrator.inbox.intent import Intent as Intent
    from orchestrator.inbox.machine import Move as Move
    from orchestrator.inbox.machine import State as State
    from orchestrator.inbox.module import InboxModule as InboxModule
    from orchestrator.inbox.registry import RegisteredType as RegisteredType
    from orchestrator.inbox.retention import Retention as Retention
    from orchestrator.inbox.retention import RetentionWorker as RetentionWorker
    from orchestrator.inbox.schedules.builder import ScheduleBuilder as ScheduleBuilder
    from orchestrator.inbox.schedules.schedules import Schedules as Schedules
    from orchestrator.inbox.schedules.ticker import Ticker as Ticker
    from orchestrator.inbox.store.port import Store as Store
    from orchestrator.inbox.store.records import Event as Event
    from orchestrator.inbox.store.records import Page as Page
    from orchestrator.inbox.store.records import RunRecord as RunRecord
    from orchestrator.inbox.store.records import Stats as Stats
    from orchestrator.inbox.store.schedules import SchedulePage as SchedulePage
    from orchestrator.inbox.store.schedules import ScheduleRecord as ScheduleRecord
    from orchestrator.inbox.store.schedules import ScheduleStore as ScheduleStore
    from orchestrator.inbox.submission import Submitted as Submitted
    from orchestrator.inbox.tables import Migrations as Migrations
    from orchestrator.inbox.worker.failure import Classify as Classify
    from orchestrator.inbox.worker.failure import FailureVerdict as FailureVerdict
    from orchestrator.inbox.worker.handlers import Handler as Handler
    from orchestrator.inbox.worker.handlers import Handlers as Handlers
    from orchestrator.inbox.worker.handlers import handler as handler
    from orchestrator.inbox.worker.limits import Rate as Rate
    from orchestrator.inbox.worker.otel import PollerInstruments as PollerInstruments
    from orchestrator.inbox.worker.poller import Poller as Poller

__all__ = [
    "AlreadyFinished",
    "Classify",
    "DuplicateHandler",
    "Event",
    "FailureVerdict",
    "Handler",
    "Handlers",
    "IllegalMove",
    "Inbox",
    "InboxError",
    "InboxModule",
    "Intent",
    "InvalidHandler",
    "InvalidIntent",
    "InvalidPayload",
    "InvalidQuery",
    "InvalidSchedule",
    "LeaseLost",
    "Migrations",
    "Move",
    "Page",
    "PayloadTooLarge",
    "Poller",
    "PollerInstruments",
    "Rate",
    "RegisteredType",
    "Retention",
    "RetentionWorker",
    "RunRecord",
    "ScheduleBuilder",
    "SchedulePage",
    "ScheduleRecord",
    "ScheduleStore",
    "Schedules",
    "State",
    "Stats",
    "Store",
    "Submitted",
    "Ticker",
    "UnknownRun",
    "UnknownSchedule",
    "WrongConnection",
    "handler",
]

_HOMES = {
    **dict.fromkeys(
        (
            "AlreadyFinished",
            "DuplicateHandler",
            "IllegalMove",
            "InboxError",
            "InvalidHandler",
            "InvalidIntent",
            "InvalidPayload",
            "InvalidQuery",
            "InvalidSchedule",
            "LeaseLost",
            "PayloadTooLarge",
            "UnknownRun",
            "UnknownSchedule",
            "WrongConnection",
        ),
        "orchestrator.inbox.errors",
    ),
    "Inbox": "orchestrator.inbox.inbox",
    "Intent": "orchestrator.inbox.intent",
    **dict.fromkeys(("Move", "State"), "orchestrator.inbox.machine"),
    "InboxModule": "orchestrator.inbox.module",
    "Migrations": "orchestrator.inbox.tables",
    "RegisteredType": "orchestrator.inbox.registry",
    **dict.fromkeys(("Retention", "RetentionWorker"), "orchestrator.inbox.retention"),
    "Submitted": "orchestrator.inbox.submission",
    "ScheduleBuilder": "orchestrator.inbox.schedules.builder",
    "Schedules": "orchestrator.inbox.schedules.schedules",
    "Ticker": "orchestrator.inbox.schedules.ticker",
    "Store": "orchestrator.inbox.store.port",
    **dict.fromkeys(("Event", "Page", "RunRecord", "Stats"), "orchestrator.inbox.store.records"),
    **dict.fromkeys(("SchedulePage", "ScheduleRecord", "ScheduleStore"), "orchestrator.inbox.store.schedules"),
    **dict.fromkeys(("Classify", "FailureVerdict"), "orchestrator.inbox.worker.failure"),
    **dict.fromkeys(("Handler", "Handlers", "handler"), "orchestrator.inbox.worker.handlers"),
    "Rate": "orchestrator.inbox.worker.limits",
    "PollerInstruments": "orchestrator.inbox.worker.otel",
    "Poller": "orchestrator.inbox.worker.poller",
}


def __getattr__(name: str) -> object:
    """Load a public name from its home when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestrator.inbox' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
