"""The inbox: a durable record of what should happen, and the poller that makes it happen.

Producers need :class:`Inbox` alone; workers add :class:`Handlers` and a :class:`Poller`. The tables are those of the
simple-workflow wire format, with additions of our own that its programs do not see. SQLite in this version.
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
from orchestrator.inbox.failure import Classify, FailureVerdict
from orchestrator.inbox.handlers import Handler, Handlers, handler
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.intent import Intent
from orchestrator.inbox.machine import Move, State
from orchestrator.inbox.module import InboxModule
from orchestrator.inbox.poller import Poller
from orchestrator.inbox.records import Event, Page, RunRecord, Stats
from orchestrator.inbox.store import Store

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
