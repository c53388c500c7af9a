"""Exits that are no failures: what is not an Exception goes through the runner and takes all of it along."""

import anyio
import pytest

from longrun import Baseline, Critic, Runner, Task
from longrun.testing import Hang, Script, run_virtual


class Exit(BaseException):
    """Like pytest's own outcomes: no Exception, and no exit that the event loop knows."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_exit_of_a_kind_of_its_own_ends_the_runner_and_every_run(backend: str) -> None:
    """run() does not hang, and nothing of it is left running behind it."""
    cleaned: list[str] = []

    async def hangs() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append("hangs")

    async def main() -> None:
        runner = Runner(baseline=Baseline())
        runner.add(Task.once("hangs", hangs))
        runner.add(Task.every("poll", 1, Script(0.5)))
        runner.add(Task.once("exits", Script(Exit()), delay=3.2))
        with anyio.fail_after(100):
            try:
                await runner.run()
            finally:
                assert cleaned == ["hangs"]

    with pytest.raises((Exit, BaseExceptionGroup)) as caught:
        run_virtual(main, backend=backend)

    found: BaseException = caught.value
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Exit)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_escalator_that_raises_wherever_it_can_is_no_defect_of_the_runner(backend: str) -> None:
    """When it is asked, and when it is to forget: the others go on."""

    class Forgetful:
        async def __call__(self, info: object) -> None:
            raise OSError("down")

        def forget(self, run_id: str) -> None:
            raise OSError("down")

    async def main() -> int:
        runner, fine = Runner(baseline=Baseline(), keep_open=True), Script("ok")
        runner.add(Task.every("watched", 10, Script(2.0), stall=Critic(Forgetful(), expected=1, backstop=5)))
        runner.add(Task.every("hangs", 10, Script(Hang()), timeout=3))
        runner.add(Task.every("fine", 10, fine))
        async with anyio.create_task_group() as tg:
            tg.start_soon(runner.run)
            await anyio.sleep(35)
            runner.stop("enough", drain=0)
        return fine.calls

    assert run_virtual(main, backend=backend) == 4
