"""Presets: lists of options with the transient failures of a field, for any client of it.

    policy = longrun.Pipeline(preset.http(), name="prices")

No client library is imported: its errors and answers are known by their plain attributes and by the names of their
classes. A preset's rule stands behind a rule of yours for the same error, and a preset's time limit is a default: one
that cannot fire beside yours is no mistake. ``web`` HTTP, ``database`` SQL, ``rpc`` gRPC.
"""

from longrun.preset.database import sql
from longrun.preset.rpc import CODES as GRPC_CODES
from longrun.preset.rpc import grpc
from longrun.preset.web import STATUSES as HTTP_STATUSES
from longrun.preset.web import http

__all__ = ["GRPC_CODES", "HTTP_STATUSES", "grpc", "http", "sql"]
