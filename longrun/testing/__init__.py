"""For tests of services built on longrun: virtual time, scripted work, recorded events, no waits.

events = RecordingListener()
work = Script(TimeoutError(), "ok")

async def main() -> None:
    runner = Runner(baseline=Baseline(), listeners=[events])
    runner.add(Task.once("job", work))
    await runner.run()

run_virtual(main)      # minutes of backoff in milliseconds
"""

from longrun.testing.block import block
from longrun.testing.clock import VirtualClock, run_virtual, virtual_backend
from longrun.testing.instant import instant
from longrun.testing.isolated import isolated
from longrun.testing.listener import RecordingListener
from longrun.testing.script import Hang, Script, ScriptedFailure

__all__ = [
    "Hang",
    "RecordingListener",
    "Script",
    "ScriptedFailure",
    "VirtualClock",
    "block",
    "instant",
    "isolated",
    "run_virtual",
    "virtual_backend",
]
