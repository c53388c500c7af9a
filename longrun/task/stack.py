"""Where a coroutine stands: its frames from the outside in, on any backend."""

import traceback
from collections.abc import Awaitable
from types import FrameType
from typing import cast


def stack_of(awaitable: Awaitable[object]) -> str:
    """The stack of a suspended coroutine as text; says so when there is none to see."""
    frames: list[FrameType] = []
    current: object = awaitable
    while current is not None:
        frame = getattr(current, "cr_frame", None) or getattr(current, "gi_frame", None)
        if frame is None:
            break
        frames.append(cast("FrameType", frame))
        current = getattr(current, "cr_await", None) or getattr(current, "gi_yieldfrom", None)
    if not frames:
        return "(no Python frame to show)"
    walked = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in frames)
    return "".join(walked.format()).rstrip()
