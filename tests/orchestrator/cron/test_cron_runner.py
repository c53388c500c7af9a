"""The runner against a host in memory: passes, failures, claims, waits, in virtual time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from longrun.testing import RecordingListener
from orchestrator.cron import CronRunner, DueJob

pytestmark = pytest.mark.anyio


async def nothing(*_: object) -> Any:
    return []


async def test_a_pass_runs_what_is_due_and_marks_it_with_its_next_fire(new_host: Any) -> None:
    """All from one reading of the clock."""
    host = new_host(a="every 5m", b="@hourly")
    host.jobs["later"] = DueJob("later", "@hourly", host.since(3600))

    report = await host.runner().tick()

    assert report.ids("ran") == ("a", "b")
    assert report.now == host.begin
    assert str(report) == "2 due: 2 ran"
    assert host.marked == {"a": (host.begin, host.since(300)), "b": (host.begin, host.since(3600))}
    assert host.clock.reads == 1


async def test_the_next_fire_is_reckoned_before_the_run(new_host: Any) -> None:
    """In this order, also with a claim, which is asked in between."""
    host = new_host(a="every 5m")

    await host.runner(claim=host.claim).tick()

    assert [what for what, _ in host.calls] == ["due", "next", "claim", "run", "mark"]


async def test_fires_that_were_missed_come_down_to_one_run(new_host: Any) -> None:
    """A job that was due two days ago runs once, and is due again after now."""
    host = new_host()
    host.jobs["a"] = DueJob("a", "every 5m", host.since(-2 * 86400))

    await host.runner().tick()

    assert host.ran() == ["a"]
    assert host.marked["a"][1] == host.since(300)


async def test_an_expression_that_cannot_be_read_skips_its_job_and_is_told_once(
    new_host: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It never runs, harms nobody, is counted each time and logged again only when it has changed."""
    host = new_host(bad="* * 99 * *", good="every 1s")
    runner = host.runner()

    for _ in range(3):
        await runner.tick()
        await anyio.sleep(1)
    told = [record for record in caplog.records if "cron.job_refused" in record.getMessage()]
    host.jobs["bad"] = DueJob("bad", "nonsense", host.begin)
    await runner.tick()

    assert set(host.ran()) == {"good"}
    assert runner.statistics().refused == 4
    assert len(told) == 1
    assert "bad: ExpressionError: day-of-month (field 3 of 5)" in told[0].getMessage()
    assert len([record for record in caplog.records if "cron.job_refused" in record.getMessage()]) == 2


async def test_a_job_with_a_repaired_expression_runs_again(new_host: Any) -> None:
    """Being refused leaves nothing behind."""
    host = new_host(a="nonsense")
    runner = host.runner()
    await runner.tick()
    host.jobs["a"] = DueJob("a", "every 5m", host.begin)

    report = await runner.tick()

    assert report.ids("ran") == ("a",)


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(seconds=-1)])
async def test_a_next_fire_that_is_not_later_is_refused(new_host: Any, offset: timedelta) -> None:
    """Otherwise the job would run again and again."""
    host = new_host(a="x")
    host.next = lambda cron, after: after + offset

    report = await host.runner().tick()

    assert host.ran() == []
    assert "must give a later moment" in str(report.outcomes[0].error)


@pytest.mark.parametrize("answer", [None, "tomorrow", datetime(2027, 1, 1)])  # noqa: DTZ001 - that is the point
async def test_a_next_fire_that_is_no_moment_is_refused(new_host: Any, answer: object) -> None:
    """Naive datetimes are no moments."""
    host = new_host(a="x", b="y")
    host.next = lambda cron, after: answer if cron == "x" else host.since(60)

    report = await host.runner().tick()

    assert report.ids("refused") == ("a",)
    assert report.ids("ran") == ("b",)


async def test_a_stored_fire_without_a_zone_costs_its_own_job_only(new_host: Any) -> None:
    """What a database gave back wrongly is told, and the others run."""
    host = new_host(b="every 5m")

    async def due(now: datetime) -> list[Any]:
        return [DueJob("a", "every 5m", datetime(2025, 1, 1)), "no job", *host.jobs.values()]  # noqa: DTZ001 - naive

    report = await CronRunner(due, host.run, host.mark, host.next, clock=host.clock).tick()

    assert report.ids("refused") == ("a", "'no job'")
    assert report.ids("ran") == ("b",)


async def test_a_failing_job_is_left_alone_for_its_backoff(new_host: Any, run_for: Any) -> None:
    """It stays due and is tried after 100 s, while its neighbour keeps its pace."""
    host = new_host(bad="every 10s", good="every 10s")
    tried: list[float] = []

    async def fail() -> None:
        tried.append((datetime.fromtimestamp(host.clock.wall(), UTC) - host.begin).total_seconds())
        raise OSError("nobody listens")

    host.work["bad"] = fail
    runner = host.runner(interval=10)

    await run_for(295, runner.run)

    assert tried == pytest.approx([0, 100, 200])
    assert host.ran().count("good") == 30
    assert runner.statistics().failed == 3
    assert runner.statistics().failing == 1
    assert "bad" not in host.marked


async def test_a_job_that_works_again_starts_from_the_beginning(new_host: Any) -> None:
    """Its failures are forgotten with the first success."""
    host = new_host(a="every 1h")
    events = RecordingListener()
    host.work["a"] = lambda: nothing() if host.ran().count("a") == 2 else nothing_but_trouble()
    runner = host.runner(listeners=[events])

    for _ in range(3):
        await runner.tick()
        await anyio.sleep(3600)

    assert [event.failures for event in events.events if event.name == "cron.job_failed"] == [1, 1]
    assert [event.name for event in events.events] == ["cron.job_failed", "cron.job_ran", "cron.job_failed"]


async def nothing_but_trouble() -> None:
    raise OSError("nobody listens")


async def test_a_job_that_was_deleted_is_forgotten(new_host: Any) -> None:
    """Nothing grows with jobs that are gone."""
    host = new_host(a="every 1h", b="nonsense")
    host.work["a"] = nothing_but_trouble
    runner = host.runner()
    await runner.tick()
    host.jobs.clear()
    await anyio.sleep(101)

    await runner.tick()

    assert runner.statistics().failing == 0
    assert runner._refused == {}


async def test_a_mark_that_fails_lets_the_job_run_again_later(new_host: Any) -> None:
    """Not in every pass: it waits like any failure."""
    host = new_host(a="every 1h")
    failures = iter([OSError("disk full")])
    host.answer = lambda what, name: _raise(next(failures, None)) if what == "mark" else None
    runner = host.runner()

    first, second = await runner.tick(), await runner.tick()
    await anyio.sleep(100)
    third = await runner.tick()

    assert first.ids("unmarked") == second.ids("waiting") == third.ids("ran") == ("a",)


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


async def test_a_mark_that_hangs_is_given_up(new_host: Any) -> None:
    """It has its seconds; a database that does not answer stops no pass."""
    host = new_host(a="every 1h")
    host.mark = lambda *_: anyio.sleep_forever()

    with anyio.fail_after(6):
        report = await host.runner(write_timeout=5).tick()

    assert isinstance(report.outcomes[0].error, TimeoutError)
    assert report.ids("unmarked") == ("a",)


async def test_due_alone_can_fail_a_pass(new_host: Any) -> None:
    """tick() raises it as it is, and nothing has run."""
    host = new_host(a="every 5m")
    host.answer = lambda what, name: _raise(OSError("no database")) if what == "due" else None
    runner = host.runner()

    with pytest.raises(OSError, match="no database"):
        await runner.tick()

    assert host.calls == [("due", "")]
    assert runner.statistics().passes_failed == 1


async def test_the_loop_goes_on_after_a_pass_that_failed(
    new_host: Any, run_for: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The next pass comes after one interval."""
    host = new_host(a="every 5m")
    troubles = iter([OSError("no database"), ValueError("no such table")])
    host.answer = lambda what, name: _raise(next(troubles, None)) if what == "due" else None

    await run_for(125, host.runner().run)

    assert host.ran() == ["a"]
    assert "cron.pass_failed: cron: OSError: no database; again in 60 s" in caplog.text


async def test_the_first_pass_is_at_once_and_the_others_keep_the_interval(new_host: Any, run_for: Any) -> None:
    """At 0, 60, 120 s, though each pass itself takes ten."""
    host = new_host()
    passes: list[float] = []

    async def due(now: datetime) -> list[DueJob]:
        passes.append((now - host.begin).total_seconds())
        await anyio.sleep(10)
        return []

    await run_for(130, CronRunner(due, host.run, host.mark, host.next, clock=host.clock).run)

    assert passes == pytest.approx([0, 60, 120])


@pytest.mark.parametrize("slow", [False, True])
async def test_it_wakes_for_the_next_fire_when_the_store_can_tell(new_host: Any, run_for: Any, slow: bool) -> None:
    """Every 7 s, with an interval of a minute, and also when a run is not marked before the pass is over."""
    host = new_host(a="every 7s")
    if slow:
        host.work["a"] = lambda: anyio.sleep(2)

    await run_for(30, host.runner(upcoming=host.upcoming).run)

    assert 5 <= len(host.ran()) <= 6
    assert host.calls.count(("due", "")) <= 12


@pytest.mark.parametrize("answer", ["past", "raises", "naive"])
async def test_a_wrong_upcoming_fire_costs_no_busy_loop(new_host: Any, run_for: Any, answer: str) -> None:
    """The interval counts then."""
    host = new_host(a="every 1h")

    async def upcoming(after: datetime) -> datetime:
        if answer == "raises":
            raise OSError("no database")
        return after - timedelta(hours=1) if answer == "past" else after.replace(tzinfo=None)

    await run_for(130, host.runner(upcoming=upcoming).run)

    assert host.calls.count(("due", "")) == 3


async def test_a_run_that_still_goes_on_is_not_started_again(new_host: Any, run_for: Any) -> None:
    """And it does not keep the others waiting."""
    host = new_host(slow="every 10s", quick="every 10s")
    host.work["slow"] = lambda: anyio.sleep(35)
    runner = host.runner(interval=10)

    await run_for(95, runner.run)

    assert host.most["slow"] == 1
    assert host.ran().count("slow") == 3
    assert host.ran().count("quick") == 10
    assert runner.statistics().overlapping == 7


async def test_a_job_named_twice_runs_once(new_host: Any) -> None:
    """No id twice in a pass."""
    host = new_host(a="every 5m")

    async def due(now: datetime) -> list[DueJob]:
        return [host.jobs["a"]] * 3

    report = await CronRunner(due, host.run, host.mark, host.next, clock=host.clock).tick()

    assert host.ran() == ["a"]
    assert report.ids("ran") == ("a",)
    assert report.ids("repeated") == ("a", "a")


async def test_no_more_than_the_limit_run_at_the_same_time(new_host: Any) -> None:
    """Sixteen unless told otherwise, in the host's order."""
    host = new_host(**{f"j{number}": "every 5m" for number in range(50)})
    for name in host.jobs:
        host.work[name] = lambda: anyio.sleep(1)

    report = await host.runner().tick()

    assert host.most["*"] == 16
    assert len(report.ids("ran")) == 50
    assert host.ran() == list(host.jobs)


async def test_a_backoff_of_the_host_that_raises_costs_its_own_job_only(new_host: Any, run_for: Any) -> None:
    """The loop survives everything but cancellation."""
    host = new_host(a="every 5m", b="every 10s")
    host.work["a"] = nothing_but_trouble

    def backoff(*_: object) -> float:
        raise ZeroDivisionError

    await run_for(55, host.runner(backoff=backoff, interval=10).run)

    assert host.ran().count("b") == 6


async def test_a_listener_that_raises_harms_nobody(new_host: Any) -> None:
    """It is logged by the events themselves."""
    host = new_host(a="every 5m")

    report = await host.runner(listeners=[lambda event: _raise(OSError("broken pipe"))]).tick()

    assert report.ids("ran") == ("a",)


async def test_what_happens_is_told_and_counted(new_host: Any) -> None:
    """One event for each outcome, and counts that are a value."""
    host = new_host(a="every 5m", bad="x")
    events = RecordingListener()
    runner = host.runner(listeners=[events])

    before = runner.statistics()
    await runner.tick()
    after = runner.statistics()

    assert [(event.name, event.subject) for event in events.events] == [
        ("cron.job_refused", "bad"),
        ("cron.job_ran", "a"),
    ]
    assert (before.passes, before.last_pass) == (0, None)
    assert (after.passes, after.due, after.ran, after.refused, after.last_pass) == (1, 2, 1, 1, host.begin)
