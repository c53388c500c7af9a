"""Laws of the runner, over hosts that fail in any pattern, on asyncio and on trio in virtual time."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun.backoff import constant
from longrun.testing import VirtualClock, run_virtual
from orchestrator.cron import CronRunner, DueJob, PassReport

IDS = ("a", "b", "c", "d", "e")
PATTERN = st.sets(st.tuples(st.sampled_from(IDS), st.integers(0, 5)))
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Trouble(Exception):
    """What the host raises."""


@dataclass(frozen=True)
class Failures:
    """In which pass which callback of which job raises; *due* names passes."""

    next: frozenset[tuple[str, int]]
    run: frozenset[tuple[str, int]]
    mark: frozenset[tuple[str, int]]
    due: frozenset[int] = frozenset()


@dataclass
class Host:
    """Five jobs that are due until they are marked, named in *order*, perhaps more than once."""

    failures: Failures
    order: tuple[str, ...] = IDS
    number: int = -1
    log: list[list[tuple[str, str]]] = field(default_factory=list)
    fire_at: dict[str, datetime] = field(default_factory=dict)
    effects: set[str] = field(default_factory=set)

    async def due(self, now: datetime) -> list[DueJob]:
        self.number += 1
        self.log.append([])
        if self.number in self.failures.due:
            raise Trouble("due")
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        return [DueJob(name, name, at) for name in self.order if (at := self.fire_at.get(name, long_ago)) <= now]

    def next(self, cron: str, after: datetime) -> datetime:
        self._note("next", cron, self.failures.next)
        return after + timedelta(days=3650)

    async def run(self, name: str) -> None:
        await anyio.sleep(0.001 * len(self.log[-1]))
        self._note("run", name, self.failures.run)
        self.effects.add(name)

    async def mark(self, name: str, ran_at: datetime, next_at: datetime) -> None:
        self._note("mark", name, self.failures.mark)
        self.fire_at[name] = next_at

    def _note(self, what: str, name: str, failing: frozenset[tuple[str, int]]) -> None:
        self.log[-1].append((what, name))
        if (name, self.number) in failing:
            raise Trouble(f"{what} of {name}")


def passes(host: Host, count: int, backend: str) -> list[PassReport | None]:
    """So many passes, each after every backoff is over; None for one that failed."""

    async def main() -> list[PassReport | None]:
        clock = VirtualClock()
        runner = CronRunner(host.due, host.run, host.mark, host.next, clock=clock, backoff=constant(10), limit=3)
        reports: list[PassReport | None] = []
        for _ in range(count):
            try:
                reports.append(await runner.tick())
            except Trouble:
                reports.append(None)
            await anyio.sleep(60)
        assert runner.statistics().running == 0
        return reports

    return run_virtual(main, backend=backend)


def failures(due: st.SearchStrategy[frozenset[int]] = st.just(frozenset())) -> st.SearchStrategy[Failures]:  # noqa: B008 - strategies do not change
    pattern = PATTERN.map(frozenset)
    return st.builds(Failures, pattern, pattern, pattern, due)


@BACKENDS
@given(failures=failures(), order=st.lists(st.sampled_from(IDS), max_size=10).map(tuple))
def test_a_job_whose_next_failed_never_runs(backend: str, failures: Failures, order: tuple[str, ...]) -> None:
    """P1: neither in that pass, nor under another name."""
    host = Host(failures, order)

    passes(host, 6, backend)

    for number, log in enumerate(host.log):
        assert not [name for what, name in log if what == "run" and (name, number) in failures.next]


@BACKENDS
@given(failures=failures())
def test_only_a_run_that_succeeded_is_marked_and_next_came_before_it(backend: str, failures: Failures) -> None:
    """P2: in each pass next, then run, then mark, for each job."""
    host = Host(failures)

    passes(host, 6, backend)

    for number, log in enumerate(host.log):
        for name in IDS:
            steps = [what for what, job in log if job == name]
            assert steps == ["next", "run", "mark"][: len(steps)]
            assert not ("mark" in steps and (name, number) in failures.run)


@BACKENDS
@given(failures=failures())
def test_a_job_runs_whatever_happens_to_the_others(backend: str, failures: Failures) -> None:
    """P3: what becomes of one job depends on its own failures alone."""
    together = Host(failures)
    passes(together, 6, backend)

    for name in IDS:
        alone = Host(failures, (name,))
        passes(alone, 6, backend)
        assert [[step for step in log if step[1] == name] for log in together.log] == alone.log


@BACKENDS
@given(failures=failures(st.frozensets(st.integers(0, 5))))
def test_a_pass_without_an_answer_of_due_does_nothing(backend: str, failures: Failures) -> None:
    """P4: no run and no mark, and the next pass is as if it had not been."""
    host = Host(failures)

    reports = passes(host, 6, backend)

    for number, (report, log) in enumerate(zip(reports, host.log, strict=True)):
        assert (report is None) == (number in failures.due)
        assert report is not None or log == []


@BACKENDS
@given(marks=PATTERN.map(frozenset))
def test_marks_that_fail_change_nothing_in_the_end(backend: str, marks: frozenset[tuple[str, int]]) -> None:
    """P5: with an idempotent run, any finite pattern of failing marks ends in the same state as none."""
    never: frozenset[tuple[str, int]] = frozenset()
    host, unharmed = Host(Failures(never, never, marks)), Host(Failures(never, never, never))

    passes(host, 8, backend)
    passes(unharmed, 8, backend)

    assert host.effects == unharmed.effects == set(IDS)
    assert set(host.fire_at) == set(unharmed.fire_at)
    assert host.log[-1] == []


@BACKENDS
@given(failures=failures(), order=st.lists(st.sampled_from(IDS), max_size=20).map(tuple))
def test_no_job_runs_twice_in_a_pass(backend: str, failures: Failures, order: tuple[str, ...]) -> None:
    """P6: however often the host names it; and the report accounts for each time that it was named."""
    host = Host(failures, order)

    reports = passes(host, 6, backend)

    for report, log in zip(reports, host.log, strict=True):
        assert report is not None
        assert all(count == 1 for count in Counter(name for what, name in log if what == "run").values())
        assert report.due == len(report.outcomes)
