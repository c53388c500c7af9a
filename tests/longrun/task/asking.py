"""What tests of stalled runs share."""

import anyio

from longrun import Baseline, Decision, Policy, RunInfo
from longrun.backoff import constant
from longrun.testing import Script

#: Waits that tell the category.
NODE_3_SERVICE_7 = Baseline(node=Policy(constant(3)), service=Policy(constant(7)))


class Asked:
    """An escalator that answers what the test says, the last answer again and again, and notes what it is told."""

    def __init__(self, *answers: Decision | Exception | None, takes: float = 0.0) -> None:
        self.answers = answers
        self.takes = takes
        self.told: list[RunInfo] = []
        self.forgotten: list[str] = []

    async def __call__(self, info: RunInfo) -> Decision | None:
        self.told.append(info)
        await anyio.sleep(self.takes)
        answer = self.answers[min(len(self.told), len(self.answers)) - 1] if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def forget(self, run_id: str) -> None:
        self.forgotten.append(run_id)


def instants(work: Script, begun: float) -> list[float]:
    """When *work* was called, to the calendar's resolution."""
    return [round(at - begun, 1) for at in work.started]
