"""Telling a cancellation of the current task from one that it only came upon."""

import asyncio
import math

import anyio


def asked_for(cancelled: BaseException) -> bool:
    """Whether *cancelled*, which has just come by, is meant for this task, and not only for something it waited for.

    Trio knows no other kind. On asyncio whoever awaits a future that somebody cancels gets the same exception.
    """
    if not isinstance(cancelled, asyncio.CancelledError):
        return True
    task = asyncio.current_task()
    return anyio.current_effective_deadline() == -math.inf or task is None or task.cancelling() > 0
