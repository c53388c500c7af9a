"""The runner under random orders, failures and run times, against a naive model of what it has promised.

The model knows nothing of calendars, queues and lines. It keeps what was ordered, notes each start and each end from
within the work, and says at once what must not have happened; when everything is at rest it counts.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun import Baseline, Limit, Policy, Run, Runner, Task
from longrun.backoff import constant
from longrun.task.unit import Unit
from longrun.testing import run_virtual

WAIT = 3.0
GRAIN = 0.02
SHARED, OWN = "shared", "own"

NAMES = ("a", "b", "c", "d")
orders = st.sampled_from(("add", "remove", "pause", "resume", "trigger", "kill"))
pauses = st.sampled_from((0.0, 0.01, 0.5, 1.0, 2.5, 7.0, 12.0))
script = st.lists(st.tuples(pauses, orders, st.sampled_from(NAMES)), min_size=3, max_size=40)
steps = st.lists(
    st.tuples(st.sampled_from((0.0, 0.0, 0.3, 1.0, 4.0, 11.0)), st.sampled_from(("ok", "ok", "ok", "fail", "deaf"))),
    min_size=1,
    max_size=8,
)
settings = st.fixed_dictionaries(
    {
        "slots": st.sampled_from((1, 2, 10)),
        "shared": st.sampled_from((1, 2)),
        "intervals": st.tuples(*[st.sampled_from((1.0, 2.0, 5.0))] * len(NAMES)),
        "missed": st.sampled_from(("skip", "catch_up_one")),
    }
)


@dataclass
class Believed:
    """What the model knows of one task."""

    interval: float
    added_at: float
    inside: int = 0
    paused: bool = False
    triggers: int = 0
    #: Triggers that no start has followed yet: they merge, so one start answers them all.
    ordered: bool = False
    gone: bool = False
    starts: list[float] = field(default_factory=list)


class Story:
    """One runner, one script, one model."""

    def __init__(self, given: dict[str, Any], behaviour: list[tuple[float, str]]) -> None:
        self.given = given
        self.behaviour = behaviour
        self.calls = 0
        self.calm = False
        self.limits = {SHARED: Limit(SHARED, given["shared"]), OWN: Limit(OWN, 1)}
        self.runner = Runner(
            baseline=Baseline(node=Policy(constant(WAIT)), service=Policy(constant(WAIT))),
            max_running=given["slots"],
            keep_open=True,
        )
        self.known: dict[str, Believed] = {}
        self.everyone: list[Believed] = []

    def add(self, name: str) -> None:
        if name in self.known:
            return
        index = NAMES.index(name)
        believed = self.known[name] = Believed(self.given["intervals"][index], anyio.current_time())
        self.everyone.append(believed)
        limits = {"a": (SHARED,), "b": (SHARED, OWN), "c": (OWN,), "d": ()}[name]

        async def work(_run: Run) -> None:
            await self.work(believed)

        self.runner.add(
            Task.every(
                name, believed.interval, work, missed=self.given["missed"], limits=[self.limits[key] for key in limits]
            )
        )

    async def work(self, believed: Believed) -> None:
        assert not believed.gone, "a removed task has started"
        assert not believed.paused or believed.ordered, "a paused task has started"
        assert believed.inside == 0, "two runs of one task overlap"
        seconds, outcome = (0.0, "ok") if self.calm else self.behaviour[self.calls % len(self.behaviour)]
        self.calls += 1
        believed.ordered = False
        believed.starts.append(anyio.current_time())
        believed.inside += 1
        try:
            with anyio.CancelScope(shield=outcome == "deaf"):
                await anyio.sleep(seconds)
        finally:
            believed.inside -= 1
        if outcome == "fail":
            raise ConnectionError

    def order(self, what: str, name: str) -> None:
        if what == "add":
            self.add(name)
            return
        believed = self.known.get(name)
        if believed is None:
            return
        if what == "remove":
            self.runner.remove(name)
            believed.gone = True
        elif what == "pause":
            assert self.runner.pause(name) is not believed.paused
            believed.paused = True
        elif what == "resume":
            assert self.runner.resume(name) is believed.paused
            believed.paused = False
        elif what == "trigger" and not believed.gone:
            self.runner.trigger(name)
            believed.triggers += 1
            believed.ordered = True
        elif what == "kill":
            self.runner.kill(name, "the script says so")

    # -- what must hold at any time ------------------------------------------------------------------------------------

    def check(self) -> None:
        self.forget_those_that_have_left()
        runner: Any = self.runner
        units: dict[str, Unit] = runner._roster.units
        on_calendar = {
            unit.name
            for tick, slot in runner._dispatcher._calendar._slots.items()
            for unit in slot
            if unit.tick == tick and units.get(unit.name) is unit
        }
        lines = [*runner._dispatcher._queue, *(u for limit in self.limits.values() for u in limit._line or ())]
        in_line = Counter(id(unit) for unit in lines)
        assert all(count == 1 for count in in_line.values()), "a unit stands in two lines"
        for name, unit in units.items():
            due, queued, flies = unit.phase in ("waiting", "retrying"), unit.phase == "queued", unit.phase == "running"
            assert (name in on_calendar) is due, f"{name} is {unit.phase}; on the calendar: {sorted(on_calendar)}"
            assert not queued or in_line[id(unit)] == 1, f"{name} is queued and stands in no line"
            assert flies == (name in runner._flights.running)
            assert unit.lined == (id(unit) in in_line)
        counts = self.runner.statistics()
        assert counts.queued == sum(unit.phase == "queued" for unit in units.values())
        assert counts.running == len(runner._flights.running)
        assert counts.tasks == len(self.known) == len(units)
        ended = counts.succeeded + counts.failed + counts.cancelled
        assert 0 <= counts.attempts - ended <= counts.running
        for limit in self.limits.values():
            carried = sum(limit in flight.unit.limits for flight in runner._flights.running.values())
            assert limit.used == carried <= limit.runs
            assert 0 <= limit.waiting <= counts.queued

    def forget_those_that_have_left(self) -> None:
        for name in [name for name, believed in self.known.items() if believed.gone and name not in self.runner]:
            assert self.known.pop(name).inside == 0, "a removed task is gone while its run goes on"

    def check_the_grid(self) -> None:
        """What waits is due on its grid, and every point before that was served or counted as skipped."""
        for name, state in self.runner.state().items():
            believed = self.known[name]
            if state.phase != "waiting" or state.next_due is None or state.next_due <= anyio.current_time() + GRAIN:
                continue
            index = (state.next_due - believed.added_at) / believed.interval
            assert abs(index - round(index)) < GRAIN, f"{name} has left its grid"
            extra = state.runs + state.skipped - round(index)
            assert 0 <= extra <= believed.triggers, f"{name} lost or invented {extra} points"

    async def rest(self) -> None:
        """Everybody goes on, nobody hogs anything any more, and whoever lives is seen to run again in time."""
        self.calm = True
        self.forget_those_that_have_left()
        for name, believed in self.known.items():
            if believed.paused:
                self.order("resume", name)
        await anyio.sleep(max(seconds for seconds, _outcome in self.behaviour))
        since = anyio.current_time()
        await anyio.sleep(max(self.given["intervals"]) + WAIT + GRAIN)
        self.check()
        for name, believed in self.known.items():
            if not believed.gone:
                assert max(believed.starts, default=since) > since, f"{name} was lost"

    async def tell(self, orders: list[tuple[float, str, str]]) -> None:
        async with anyio.create_task_group() as tg:
            tg.start_soon(self.runner.run)
            for name in NAMES[:3]:
                self.add(name)
            await anyio.sleep(GRAIN)
            for pause, what, name in orders:
                await anyio.sleep(pause)
                self.check()
                self.order(what, name)
                self.check()
                await anyio.sleep(GRAIN)
                self.check_the_grid()
            await self.rest()
            self.runner.stop("the story is over", drain=0)
        assert [limit.used for limit in self.limits.values()] == [0, 0]
        assert [limit.waiting for limit in self.limits.values()] == [0, 0]
        assert all(believed.inside == 0 for believed in self.everyone)
        counts = self.runner.statistics()
        assert counts.attempts == counts.succeeded + counts.failed + counts.cancelled == self.calls
        assert (counts.tasks, counts.running, counts.queued, counts.stuck) == (0, 0, 0, 0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(orders=script, given=settings, behaviour=steps)
def test_whatever_is_ordered_the_runner_keeps_its_promises(
    backend: str, orders: list[tuple[float, str, str]], given: dict[str, Any], behaviour: list[tuple[float, str]]
) -> None:
    """No overlap, no start that was forbidden, nobody lost, no point lost, every count true."""

    async def main() -> None:
        await Story(given, behaviour).tell(orders)

    run_virtual(main, backend=backend)
