"""The inbox: a durable record of what should happen, and the poller that makes it happen.

Producers need :class:`Inbox` alone; workers add :class:`Handlers` and a :class:`Poller`. The tables are those of the
simple-workflow wire format, with additions of our own that its programs do not see.
"""

from orchestrator.inbox.errors import (
    AlreadyFinished,
    DuplicateHandler,
    IllegalMove,
    InboxError,
    InvalidHandler,
    InvalidIntent,
    InvalidPayload,
    InvalidQuery,
    LeaseLost,
    PayloadTooLarge,
    UnknownRun,
)
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.intent import Intent
from orchestrator.inbox.machine import Move, State
from orchestrator.inbox.module import InboxModule
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import Event, Page, RunRecord, Stats
from orchestrator.inbox.worker.failure import Classify, FailureVerdict
from orchestrator.inbox.worker.handlers import Handler, Handlers, handler
from orchestrator.inbox.worker.poller import Poller

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
    "LeaseLost",
    "Move",
    "Page",
    "PayloadTooLarge",
    "Poller",
    "RunRecord",
    "State",
    "Stats",
    "Store",
    "UnknownRun",
    "handler",
]
